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
    "drop": ((-0.252, 0.156, 0.405, 0.706, 1.4), (1.15, -0.20, -0.75, -0.64, 0.45)),
    "weakest": ((-1.12, 0, 0.124, 0.506, 1.26), (-0.49, -0.46, -0.06, -0.05, 1.07)),
    "uneven": ((0.000109, 0.0845, 0.14, 0.237, 0.804), (1.68, 0.06, -0.35, -1.03, -0.36)),
    "contrast": ((-0.241, 0.27, 0.68, 1.06, 1.87), (-10.41, 0.16, 3.43, 4.08, 2.74)),
    "texture": ((0.0164, 0.161, 0.239, 0.286, 1.01), (2.02, 2.59, 0.84, 0.04, -5.50)),
    "peak": ((-0.359, 0.111, 0.192, 0.271, 0.813), (-2.45, 0.50, 0.63, 0.76, 0.56)),
    "valley": ((0, 0.00678, 0.0224, 0.0546, 0.572), (-0.07, -0.25, -0.45, -0.04, 0.81)),
    "height": ((0.0336, 1.39, 1.63, 1.81, 2.59), (-3.49, 1.27, 1.16, 1.18, -0.12)),
    "relative contrast": ((-0.57, 0.249, 0.462, 0.667, 0.917), (-7.11, 0.05, 1.57, 2.23, 3.26)),
    "ellipticity": ((0.842, 0.987, 0.993, 0.996, 1), (-0.23, -0.40, -0.09, 0.11, 0.60)),
    "elongation": ((0, 0.131, 0.242, 0.396, 0.955), (-0.23, -0.53, -0.70, -1.02, 2.48)),
    "roughness": ((0, 0.0269, 0.0431, 0.0592, 0.14), (1.48, -0.08, -0.40, -0.72, -0.29)),
    "roundness": ((1, 1.05, 1.08, 1.13, 1.65), (-0.63, 1.25, 2.20, 1.84, -4.66)),
    "size": ((-1.25, -0.221, -0.024, 0.212, 0.711), (1.00, 0.05, -0.04, -0.34, -0.67)),
    "outside": ((0, 0.719), (-2.14, 2.14)),
}
# fmt: on
BASE = -2.45


def scores(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score of each row of `candidates.FEATURES`; beyond the ends of the table its last points count."""
    total = np.full(len(features), BASE)
    for column, name in zip(features.T, FEATURES, strict=True):
        total += np.interp(column, *POINTS[name])
    return np.asarray(1 / (1 + np.exp(-total)))
