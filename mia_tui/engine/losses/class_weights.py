"""Class weights from how often classes occur."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def auto_weights(counts: Sequence[float] | NDArray[np.integer | np.floating]) -> NDArray[np.float64]:
    """Weights inverse to the frequency of the classes.

    Parameters
    ----------
    counts : (C,) numbers, 0 or more
        Pixels or images of each class.

    Returns
    -------
    (C,) float64
        n_occurring (1 / n_c) / sum of 1 / n: mean 1 over the classes that occur. A class that does not occur gets 1:
        it can have no say in the loss of this data, and must not spoil that of the others.
    """
    counted = np.asarray(counts, np.float64)
    there = counted > 0
    weights = np.ones(len(counted))
    if there.any():
        inverse = counted[there].min() / counted[there]
        weights[there] = inverse / inverse.mean()
    return weights
