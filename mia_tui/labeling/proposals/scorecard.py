"""How sure a contour is to be one whole object: a table of points per feature, added up.

Each feature gives points by straight lines between five values; the sum through a logistic function is the score, a
rough probability (0..1) that the contour overlaps a nucleus by an IoU of 0.6. The table was fitted (logistic regression
on linear splines) to every second fluorescence image of the Data Science Bowl 2018 subset and judged on the others.
"""

import numpy as np
from numpy.typing import NDArray

from mia_tui.labeling.proposals.candidates import FEATURES

# fmt: off
POINTS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    # feature: (values), (points)
    "drop": ((-0.207, 0.152, 0.397, 0.696, 1.43), (0.40, -0.19, -0.67, -0.39, 0.84)),
    "weakest": ((-1.17, 0, 0.118, 0.501, 1.33), (-0.90, -0.40, -0.04, -0.25, 1.59)),
    "uneven": ((0, 0.084, 0.14, 0.236, 0.936), (1.90, 0.11, -0.29, -1.05, -0.67)),
    "contrast": ((-0.189, 0.256, 0.668, 1.05, 1.86), (-9.52, 0.01, 3.31, 3.81, 2.38)),
    "texture": ((0.0167, 0.157, 0.238, 0.286, 1), (1.84, 2.45, 0.83, 0.08, -5.20)),
    "peak": ((-0.393, 0.11, 0.19, 0.271, 0.852), (-1.61, 0.30, 0.45, 0.48, 0.37)),
    "valley": ((0, 0.00648, 0.022, 0.0532, 0.525), (-0.03, -0.18, -0.36, 0.04, 0.54)),
    "height": ((0.0337, 1.39, 1.63, 1.81, 2.64), (-3.48, 1.27, 1.18, 1.13, -0.09)),
    "relative contrast": ((-0.423, 0.247, 0.458, 0.659, 0.92), (-6.06, -0.08, 1.18, 2.15, 2.81)),
    "ellipticity": ((0.899, 0.987, 0.993, 0.996, 1), (-0.54, -0.26, -0.05, 0.28, 0.57)),
    "elongation": ((0, 0.13, 0.242, 0.393, 0.961), (0.05, -0.41, -0.73, -0.84, 1.93)),
    "roughness": ((0, 0.0269, 0.0431, 0.0592, 0.14), (0.73, 0.05, -0.33, -0.48, 0.03)),
    "roundness": ((1, 1.05, 1.08, 1.13, 1.55), (-0.58, 0.80, 1.82, 1.20, -3.25)),
    "size": ((-1.3, -0.217, -0.0209, 0.213, 0.699), (0.87, 0.12, -0.11, -0.31, -0.56)),
    "outside": ((0, 0.719), (-2.13, 2.13)),
}
# fmt: on
BASE = -1.89


def scores(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score of each row of `candidates.FEATURES`; beyond the ends of the table its last points count."""
    total = np.full(len(features), BASE)
    for column, name in zip(features.T, FEATURES, strict=True):
        total += np.interp(column, *POINTS[name])
    return np.asarray(1 / (1 + np.exp(-total)))
