"""The magic wand: all connected pixels about as bright as the one at a point."""

import numpy as np
from numpy.typing import NDArray

from mia_tui.labeling.ladder import Ladder, component, edge_contrast, ladder_of_masks
from mia_tui.labeling.outline import Point
from mia_tui.labeling.window import Floats, Mask, grey, window_around

REACH = 128.0
TOLERANCES = (0.02, 0.03, 0.045, 0.065, 0.09, 0.125, 0.17, 0.23, 0.31, 0.42)
"""Differences in brightness, as shares of the range of the picture around the point."""
BLUR = 1.0


def outline_of_flood(
    image: NDArray[np.generic], point: Point, tolerance: float | None = None, reach: float = REACH
) -> Ladder:
    """What a flood from a point (y, x) covers, for growing tolerances.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C) array of any number type
        Of several channels the one with the best contrast around the point is used, after a light blur.
    tolerance : float, optional
        Share of the range of brightness around the point, 0 to 1, whose flood is proposed. Without it that one is
        proposed whose outline runs along the strongest edge, of those that stay inside the window.
    reach : float
        How far around the point the flood may run, in pixels per axis.

    Returns
    -------
    Ladder
        Floods without their holes; each holds the pixel at the point.
    """
    import cv2

    shape = image.shape[0], image.shape[1]
    window = window_around(point, reach, shape)
    at = window.inside(point)
    picture = cv2.GaussianBlur(grey(image[window.slices]), (0, 0), BLUR)
    levels = sorted({*TOLERANCES, *(() if tolerance is None else (tolerance,))})
    far = np.abs(picture - picture[at])
    floods = [component(far <= level, at) for level in levels]
    best = levels.index(tolerance) if tolerance is not None else _clearest(picture, floods)
    ladder = ladder_of_masks(floods, best, window)
    assert ladder is not None  # every flood holds a pixel
    return ladder


def _clearest(picture: Floats, floods: list[Mask]) -> int:
    """Number of the flood whose outline runs along the strongest edge; floods over half of the window do not count."""
    contrasts = [edge_contrast(picture, flood) if 2 * flood.sum() < flood.size else 0.0 for flood in floods]
    return int(np.argmax(contrasts))
