"""The outlines of an object on the frames between two on which it is drawn."""

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.outline import Shape, valid
from mia_tui.labeling.window import Window


def between(first: BaseGeometry, last: BaseGeometry, frames: int, shape: Shape) -> list[BaseGeometry | None]:
    """Outlines on the `frames` frames between two.

    Both outlines are laid centroid on centroid; there the signed distances to their edges go over from one to the
    other (shape-based interpolation, Raya and Udupa 1990), and the centroid moves straight from one to the other.

    Returns
    -------
    list
        One outline per frame, exact to the pixel; None for a frame where the way leads outside the image.
    """
    a, b = valid(first, shape), valid(last, shape)
    if a is None or b is None:
        return [None] * frames
    centres = np.array([a.centroid.coords[0], b.centroid.coords[0]])
    # Shifts by whole pixels, so that the ends come out pixel by pixel.
    at = np.floor(centres)
    sides = [_moved(geometry, -corner) for geometry, corner in zip((a, b), at, strict=True)]
    left, top, right, bottom = (int(edge) for edge in shapely.GeometryCollection(sides).bounds)
    window = Window(top - 2, left - 2, bottom + 3, right + 3)
    depths = [_signed_distance(window.pixels(side)) for side in sides]
    made = []
    for frame in range(1, frames + 1):
        share = frame / (frames + 1)
        shift = np.rint(at[0] * (1 - share) + at[1] * share)
        mask = depths[0] * (1 - share) + depths[1] * share > 0
        outline = window.outline(mask) or sides[round(share)]
        made.append(valid(_moved(outline, shift), shape))
    return made


def _moved(geometry: BaseGeometry, by: NDArray[np.float64]) -> BaseGeometry:
    return shapely.transform(geometry, lambda points: points + by)


def _signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance to the edge: positive inside, negative outside, half a pixel on both sides of it."""
    from scipy.ndimage import distance_transform_edt

    if not mask.any():
        return np.full(mask.shape, -float(max(mask.shape)))
    depth: NDArray[np.float64] = np.where(mask, distance_transform_edt(mask) - 0.5, 0.5 - distance_transform_edt(~mask))
    return depth
