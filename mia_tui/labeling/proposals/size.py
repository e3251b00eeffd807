"""How large the objects of a relief are, from nothing.

A first guess is read from the distance transform of what a global threshold finds; where an uneven ground fools it, a
smaller size may explain more. So contours are fitted to the strongest blobs at the guess, half of it, and so on, and
the size wins whose contours explain most: the sum of their scores, a large one counting for more, but not as its area.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from mia_tui.labeling.proposals.candidates import find_candidates
from mia_tui.labeling.proposals.relief import Relief
from mia_tui.labeling.proposals.scorecard import scores

TRIED = 60
"""Blobs per scale and size that are looked at."""
SURE = 0.4
LEAST, DEFAULT = 3.0, 8.0
"""Pixels: the smallest radius that is believed, and what is taken where there is nothing to see."""


def estimate_size(height: Relief) -> float:
    """Typical radius of the objects in pixels."""
    guess = _inscribed(height)
    if guess is None:
        return DEFAULT
    best_cover, best = 0.0, guess
    size = guess
    while size >= LEAST:
        cover, radius = _explained(height, size)
        if cover > best_cover:
            best_cover, best = cover, radius
        size /= 2
    return float(np.clip(best, LEAST, max(LEAST, min(height.shape) / 2)))


def _inscribed(height: Relief) -> float | None:
    """Median radius of the discs inscribed in the parts above Otsu's threshold, large ones counting for more."""
    smooth = cv2.GaussianBlur(height, (0, 0), 1.0)
    top = float(smooth.max(initial=0))
    if top <= 0:
        return None
    grey = (smooth * (255 / top)).astype(np.uint8)
    _, parts = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    depth = cv2.distanceTransform(np.pad(parts, 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1]
    depth = np.minimum(depth, max(height.shape))
    depth = cv2.GaussianBlur(depth, (0, 0), 1.0)
    radius = np.sort(depth[(depth >= cv2.dilate(depth, np.ones((5, 5), np.uint8))) & (depth > 1.5)])
    if not len(radius):
        return None
    total = np.cumsum(radius)
    return max(LEAST, float(radius[np.searchsorted(total, total[-1] / 2)]))


def _explained(height: Relief, size: float) -> tuple[float, float]:
    """(what contours of this size explain, their median radius)."""
    found = find_candidates(height, size, TRIED)
    sure = scores(found.features)
    taken: list[int] = []
    for index in np.argsort(-sure, kind="stable"):
        if sure[index] < SURE:
            break
        radius = float(found.radius[index].mean())
        apart = np.hypot(found.y[taken] - found.y[index], found.x[taken] - found.x[index])
        if not (apart < 0.7 * np.maximum(radius, found.radius[taken].mean(1))).any():
            taken.append(int(index))
    radii: NDArray[np.float64] = found.radius[taken].mean(1)
    return float((radii**0.75 * sure[taken]).sum()), float(np.median(radii)) if taken else size
