"""How sure a contour is to be one whole object: a table of points per feature, added up.

Each feature gives points by a straight line between five values; the sum through a logistic function is the score, a
rough probability (0..1) that the contour overlaps a nucleus by an IoU of 0.6. The table was fitted (logistic regression
on linear splines) to every second fluorescence image of the Data Science Bowl 2018 subset, and was judged on the others.
"""

import numpy as np
from numpy.typing import NDArray

from mia_tui.labeling.proposals.candidates import FEATURES

# fmt: off
POINTS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    # feature: (values), (points)
    "drop": ((-0.207, 0.161, 0.42, 0.718, 1.43), (0.45, -0.20, -0.61, -0.30, 0.65)),
    "weakest": ((-1.17, 0, 0.136, 0.53, 1.33), (-0.84, -0.45, -0.10, -0.33, 1.73)),
    "uneven": ((0, 0.0853, 0.14, 0.234, 0.936), (1.80, 0.16, -0.26, -0.99, -0.71)),
    "contrast": ((-0.189, 0.28, 0.693, 1.06, 1.87), (-9.34, 0.14, 3.25, 3.67, 2.28)),
    "texture": ((0.0167, 0.164, 0.241, 0.288, 1), (1.93, 2.37, 0.77, 0.03, -5.10)),
    "peak": ((-0.393, 0.113, 0.194, 0.273, 0.852), (-1.63, 0.34, 0.47, 0.53, 0.29)),
    "valley": ((0, 0.00684, 0.0228, 0.0547, 0.525), (-0.05, -0.17, -0.34, 0.03, 0.54)),
    "height": ((0.0337, 1.4, 1.63, 1.81, 2.64), (-3.37, 1.23, 1.13, 1.10, -0.08)),
    "relative contrast": ((-0.423, 0.254, 0.474, 0.673, 0.92), (-5.76, -0.20, 1.13, 2.04, 2.79)),
    "ellipticity": ((0.899, 0.987, 0.993, 0.996, 1), (-0.48, -0.28, -0.06, 0.26, 0.55)),
    "elongation": ((0, 0.131, 0.244, 0.395, 0.961), (-0.01, -0.43, -0.78, -0.83, 2.05)),
    "roughness": ((0, 0.0269, 0.0431, 0.0592, 0.14), (0.85, 0.07, -0.34, -0.55, -0.02)),
    "roundness": ((1, 1.05, 1.08, 1.13, 1.55), (-0.60, 0.88, 1.91, 1.29, -3.49)),
    "size": ((-1.3, -0.212, -0.0192, 0.212, 0.699), (0.80, 0.14, -0.10, -0.31, -0.53)),
    "outside": ((0, 0.719), (-2.12, 2.12)),
}
# fmt: on
BASE = -1.59


def scores(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score of each row of `candidates.FEATURES`; beyond the ends of the table its last points count."""
    total = np.full(len(features), BASE)
    for column, name in zip(features.T, FEATURES, strict=True):
        total += np.interp(column, *POINTS[name])
    return np.asarray(1 / (1 + np.exp(-total)))
