"""From label images to outlines and back, exact to the pixel.

Outlines run along the edges of pixels, so their vertices are integers: pixel (y, x) is the square from (x, y) to
(x + 1, y + 1). A pixel belongs to a shape when its centre (x + 0.5, y + 0.5) lies inside.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry.base import BaseGeometry

from mia_tui.errors import MiaError
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.project import LabelClass

Ints = NDArray[np.int64]


# ---- label image to outlines -----------------------------------------------------------------------------------------


def shapes_from_labels(labels: NDArray[np.integer]) -> dict[int, BaseGeometry]:
    """Outlines of all objects of a label image.

    Parameters
    ----------
    labels : (Y, X) int array
        0 is background, every other value one object (which may have holes and several parts).

    Returns
    -------
    dict
        Value -> Polygon, or MultiPolygon when the pixels of the object are not 4-connected. All valid in the sense of
        OGC, shells run counter-clockwise in (x, y); `fill` gives back exactly the pixels they were made from.

    Notes
    -----
    The sides that a pixel shares with another value are merged into straight horizontal and vertical pieces, each
    running with its object to the right as seen on the screen, and linked end to start. Where the pixels of one
    4-connected part touch at a corner only, the link turns left: the ring that comes in along one background pixel
    stays with it. So a ring passes each vertex once, and a hole touches its shell in single points.
    """
    padded = np.pad(_checked(labels), 1)
    runs, run_part = _parts(padded)
    if not len(runs):
        return {}
    rows = _along_rows(padded, runs, run_part)
    columns = _along_columns(padded, runs, run_part)
    after_row = _match(_key(rows.part, rows.end, rows.toward), _key(columns.part, columns.start, columns.toward))
    after_column = _match(_key(columns.part, columns.end, ~columns.toward), _key(rows.part, rows.start, rows.toward))
    return _assemble(rows, after_column[after_row], padded)


def _checked(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    if labels.ndim != 2 or not (labels.dtype == bool or np.issubdtype(labels.dtype, np.integer)):
        raise ValueError(f"a label image is a (Y, X) array of integers, not {labels.shape} {labels.dtype}")
    if labels.size and labels.min() < 0:
        raise ValueError("a label image has no negative values")
    return labels.astype(np.uint8) if labels.dtype == bool else labels


def _parts(padded: NDArray[np.integer]) -> tuple[Ints, Ints]:
    """Flat index of the first pixel of every horizontal run of one value, and the 4-connected part it belongs to."""
    flat, width = padded.ravel(), padded.shape[1]
    runs = np.flatnonzero((flat[1:] != flat[:-1]) & (flat[1:] != 0)) + 1
    below = (flat[width:] == flat[:-width]) & (flat[width:] != 0)
    # One link for each stretch in which a run and the run above it lie on each other.
    below[1:] &= ~(below[:-1] & (flat[width + 1 :] == flat[width:-1]))
    lower = np.flatnonzero(below) + width
    a = np.searchsorted(runs, lower, side="right") - 1
    b = np.searchsorted(runs, lower - width, side="right") - 1
    graph = coo_array((np.ones(len(a), np.uint8), (a, b)), shape=(len(runs), len(runs)))
    return runs, connected_components(graph, directed=False)[1].astype(np.int64)


@dataclass(frozen=True)
class _Pieces:
    """Straight pieces of boundary along one axis of the grid.

    `start` and `end` are flat indices of padded pixels and stand for their top-left corners; `part` is the part they
    bound; `toward` is true for pieces that run right or up (the two that a left turn links, as it links left and down).
    """

    start: Ints
    end: Ints
    part: Ints
    toward: NDArray[np.bool_]


def _along_rows(padded: NDArray[np.integer], runs: Ints, run_part: Ints) -> _Pieces:
    """Top sides, running right, then bottom sides, running left."""
    width = padded.shape[1]
    top, top_last = _stretches(padded, -width)
    bottom, bottom_last = _stretches(padded, width)
    pixel = np.concatenate([top, bottom])
    start = np.concatenate([top, bottom_last + width + 1])
    end = np.concatenate([top_last + 1, bottom + width])
    part = run_part[np.searchsorted(runs, pixel, side="right") - 1]
    return _Pieces(start, end, part, np.arange(len(pixel)) < len(top))


def _along_columns(padded: NDArray[np.integer], runs: Ints, run_part: Ints) -> _Pieces:
    """Left sides, running up, then right sides, running down."""
    height, width = padded.shape
    turned = np.ascontiguousarray(padded.T)
    left, left_last = (_turn_back(found, height, width) for found in _stretches(turned, -height))
    right, right_last = (_turn_back(found, height, width) for found in _stretches(turned, height))
    pixel = np.concatenate([left, right])
    start = np.concatenate([left_last + width, right + 1])
    end = np.concatenate([left, right_last + width + 1])
    part = run_part[np.searchsorted(runs, pixel, side="right") - 1]
    return _Pieces(start, end, part, np.arange(len(pixel)) < len(left))


def _turn_back(index: Ints, height: int, width: int) -> Ints:
    """Flat index in the (height, width) image of a flat index in its transpose."""
    return (index % height) * width + index // height


def _stretches(padded: NDArray[np.integer], step: int) -> tuple[Ints, Ints]:
    """First and last pixels (flat) of the row stretches of one value whose neighbour at `step` differs."""
    flat, width = padded.ravel(), padded.shape[1]
    inner = flat[width:-width]
    side = (inner != 0) & (inner != flat[width + step : flat.size - width + step])
    joined = side[1:] & side[:-1] & (inner[1:] == inner[:-1])
    first, last = side.copy(), side
    first[1:] &= ~joined
    last[:-1] &= ~joined
    return np.flatnonzero(first) + width, np.flatnonzero(last) + width


def _key(part: Ints, corner: Ints, toward: NDArray[np.bool_]) -> Ints:
    """Sorts pieces by part, then corner; where one part has two at a corner, those that belong together match."""
    return part * 2 * (int(corner.max()) + 1) + corner * 2 + toward


def _match(ends: Ints, starts: Ints) -> Ints:
    """For each end the index of the start with the same key."""
    following = np.empty_like(ends)
    following[np.argsort(ends, kind="stable")] = np.argsort(starts, kind="stable")
    return following


def _assemble(rows: _Pieces, following: Ints, padded: NDArray[np.integer]) -> dict[int, BaseGeometry]:
    """Rings from the linked row pieces, polygons from the rings, one geometry per value."""
    order, first = _rings(following)
    width = padded.shape[1]
    corners = np.stack([rows.start[order], rows.end[order]], axis=1)
    y, x = corners // width - 1, corners % width - 1
    area = np.add.reduceat((x[:, 0] - x[:, 1]) * y[:, 0], first)
    coordinates = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)
    of_ring = np.repeat(np.arange(len(first)), 2 * np.diff(np.append(first, len(order))))
    rings = np.asarray(shapely.linearrings(coordinates, indices=of_ring))
    parts = rows.part[order[first]]
    by_part = np.lexsort((area < 0, parts))
    polygons = np.asarray(shapely.polygons(rings[by_part], indices=parts[by_part]))
    values = np.empty(len(polygons), padded.dtype)
    shells = area > 0
    # A ring starts with the piece found first, which is a top side: its start corner is the pixel below it.
    values[parts[shells]] = padded.ravel()[rows.start[order[first[shells]]]]
    by_value = np.argsort(values, kind="stable")
    unique, begin = np.unique(values[by_value], return_index=True)
    groups = np.split(polygons[by_value], begin[1:])
    return {
        int(value): group[0] if len(group) == 1 else shapely.MultiPolygon(list(group))
        for value, group in zip(unique, groups, strict=True)
    }


def _rings(following: Ints) -> tuple[Ints, Ints]:
    """The cycles of a permutation: all indices cycle by cycle, and where each cycle begins."""
    after = following.tolist()
    seen = bytearray(len(after))
    order: list[int] = []
    first: list[int] = []
    for begin in range(len(after)):
        if seen[begin]:
            continue
        first.append(len(order))
        index = begin
        while not seen[index]:
            seen[index] = 1
            order.append(index)
            index = after[index]
    return np.array(order, np.int64), np.array(first, np.int64)


# ---- outlines to pixels ----------------------------------------------------------------------------------------------


def fill(geometry: BaseGeometry, shape: tuple[int, int]) -> tuple[slice, slice, NDArray[np.bool_]]:
    """The pixels whose centre lies inside a geometry (even-odd rule).

    Parameters
    ----------
    geometry : shapely geometry
        (x, y) in pixels; may lie partly or wholly outside the image. Points have no inside.
    shape : (height, width)
        Size of the image.

    Returns
    -------
    rows, columns : slice
        The part of the image that the geometry's bounding box covers.
    mask : bool array
        The pixels inside, in that part.

    Notes
    -----
    A centre exactly on an edge counts as inside when the edge is at the left or at the top, so shapes that share an
    edge never share a pixel. Each edge toggles, on the rows whose centres it spans, the first pixel to the right of
    it; a running exclusive-or along the row then gives the inside.
    """
    top, left, bottom, right = _box(geometry, shape)
    rows, columns = slice(top, bottom), slice(left, right)
    height, width = bottom - top, right - left
    if not height or not width:
        return rows, columns, np.zeros((height, width), np.bool_)
    row, x = _crossings(geometry, top, bottom)
    column = np.clip(np.ceil(x - 0.5) - left, 0, width).astype(np.int64)
    toggles = np.bincount((row - top) * (width + 1) + column, minlength=height * (width + 1))
    inside = np.bitwise_xor.accumulate((toggles & 1).reshape(height, width + 1)[:, :width].astype(np.uint8), axis=1)
    return rows, columns, inside.view(np.bool_)


def _box(geometry: BaseGeometry, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of the pixels whose centres the bounding box holds, clipped to the image."""
    bounds = np.array(geometry.bounds)
    if geometry.is_empty or not np.isfinite(bounds).all():
        return 0, 0, 0, 0
    limits = np.array([shape[1], shape[0], shape[1], shape[0]])
    left, top, right, bottom = np.clip(np.ceil(bounds - 0.5), 0, limits).astype(int).tolist()
    return top, left, bottom, right


def _crossings(geometry: BaseGeometry, top: int, bottom: int) -> tuple[Ints, NDArray[np.float64]]:
    """Where the geometry's edges cross the centre lines of the rows top..bottom-1: (row, x) of every crossing."""
    rings = shapely.get_rings(shapely.get_parts(geometry))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    edge = ring[1:] == ring[:-1]
    a, b = points[:-1][edge], points[1:][edge]
    # Both owners of a shared edge compute its crossings from the same end, hence the same numbers.
    upward = (a[:, 1] > b[:, 1])[:, None]
    a, b = np.where(upward, b, a), np.where(upward, a, b)
    first = np.clip(np.ceil(a[:, 1] - 0.5), top, bottom).astype(np.int64)
    count = np.clip(np.ceil(b[:, 1] - 0.5), top, bottom).astype(np.int64) - first
    index = np.repeat(np.arange(len(a)), count)
    row = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count) + first[index]
    a, b = a[index], b[index]
    share = (row + 0.5 - a[:, 1]) / (b[:, 1] - a[:, 1])
    return row, a[:, 0] + share * (b[:, 0] - a[:, 0])


def label_image(objects: Iterable[LabelObject], shape: tuple[int, int]) -> NDArray[np.uint16] | NDArray[np.uint32]:
    """Paint objects with their ids.

    Returns
    -------
    (Y, X) uint16 array, uint32 when an id is past 65535
        0 is background. Where objects overlap, the one that comes later in `objects` is seen.

    Raises
    ------
    MiaError
        When an id does not fit into 32 bits.
    """
    listed = list(objects)
    largest = max((item.id for item in listed), default=0)
    if largest > 0xFFFFFFFF:
        raise MiaError(f"object id {largest} does not fit into a 32-bit label image. Export as geojson instead.")
    image = np.zeros(shape, np.uint16 if largest <= 0xFFFF else np.uint32)
    for item in listed:
        rows, columns, mask = fill(item.geometry, shape)
        image[rows, columns][mask] = item.id
    return image


def class_image(
    objects: Iterable[LabelObject], shape: tuple[int, int], classes: Sequence[LabelClass]
) -> NDArray[np.uint8]:
    """Paint objects with the number of their class.

    Returns
    -------
    (Y, X) uint8 array
        0 is background, 1, 2, ... the `classes` in their order. Later objects are seen over earlier ones.

    Raises
    ------
    MiaError
        For an object of a class that is not among `classes`, and for more than 255 classes.
    """
    if len(classes) > 255:
        raise MiaError(f"a class mask holds at most 255 classes, not {len(classes)}")
    number = {entry.name: index for index, entry in enumerate(classes, 1)}
    image = np.zeros(shape, np.uint8)
    for item in objects:
        if item.label_class not in number:
            raise MiaError(
                f"object {item.id} has the class {item.label_class!r}, which the project does not know "
                f"({', '.join(number)}). Add it to project.toml or give the object another class."
            )
        rows, columns, mask = fill(item.geometry, shape)
        image[rows, columns][mask] = number[item.label_class]
    return image


def area_mask(frame: FrameLabels) -> NDArray[np.bool_] | None:
    """(Y, X) mask of the annotated areas, or None when everything is annotated."""
    if not frame.areas:
        return None
    annotated = np.zeros((frame.height, frame.width), np.bool_)
    for area in frame.areas:
        rows, columns, mask = fill(area, annotated.shape)
        annotated[rows, columns] |= mask
    return annotated
