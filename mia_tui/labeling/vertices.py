"""Outlines as vertices: move, insert, delete one; few of them instead of hundreds.

Outlines of pixels have a vertex at every step of their edge. `simplify` makes them outlines that a person can edit.
"""

from collections.abc import Callable

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.outline import Point, Shape, polygon, polygons, valid


def vertices(geometry: BaseGeometry) -> NDArray[np.float64]:
    """(N, 2) points (y, x): the vertices of all rings, part by part, the shell before its holes, none twice.

    The index into this array names a vertex in the functions below.
    """
    rings = shapely.get_rings(shapely.get_parts(geometry))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    return points[np.append(ring[1:] == ring[:-1], False)][:, ::-1] if len(points) else points[:, ::-1]


def move_vertex(geometry: BaseGeometry, index: int, to: Point, shape: Shape) -> BaseGeometry | None:
    """The object with one vertex at another point (y, x), which may not leave the image."""
    to = min(max(to[0], 0.0), float(shape[0])), min(max(to[1], 0.0), float(shape[1]))
    return _with_ring(geometry, index, shape, lambda ring, at: np.vstack([ring[:at], to, ring[at + 1 :]]))


def insert_vertex(geometry: BaseGeometry, index: int, shape: Shape, at: Point | None = None) -> BaseGeometry | None:
    """The object with one more vertex after number `index`: at a point (y, x), else half way to the next."""

    def inserted(ring: NDArray[np.float64], place: int) -> NDArray[np.float64]:
        new = (ring[place] + ring[(place + 1) % len(ring)]) / 2 if at is None else np.array(at)
        return np.insert(ring, place + 1, new, axis=0)

    return _with_ring(geometry, index, shape, inserted)


def delete_vertex(geometry: BaseGeometry, index: int, shape: Shape) -> BaseGeometry | None:
    """The object without one vertex. A ring of three goes with it; None when that was the last shell."""
    return _with_ring(geometry, index, shape, lambda ring, at: np.delete(ring, at, axis=0))


def _with_ring(
    geometry: BaseGeometry,
    index: int,
    shape: Shape,
    change: Callable[[NDArray[np.float64], int], NDArray[np.float64]],
) -> BaseGeometry | None:
    """The object after a change of the ring that holds vertex `index`: change(ring of (y, x), place in the ring)."""
    parts: list[list[NDArray[np.float64]]] = []
    for part in polygons(geometry):
        rings = []
        for ring in shapely.get_rings(part):
            points = shapely.get_coordinates(ring)[:-1, ::-1]
            if 0 <= index < len(points):
                points = change(points, index)
            index -= len(shapely.get_coordinates(ring)) - 1
            rings.append(points[:, ::-1])
        parts.append(rings)
    made = [polygon(rings[0], rings[1:]) for rings in parts]
    return valid(shapely.union_all([part for part in made if part is not None]), shape)


def simplify(geometry: BaseGeometry, shape: Shape, iou: float = 0.95) -> BaseGeometry | None:
    """The object with as few vertices as still give an IoU of at least `iou` with it.

    Douglas and Peucker's method; its tolerance is found by bisection.
    """
    checked = valid(geometry, shape)
    if checked is None:
        return None
    low, high = 0.0, float(np.sqrt(checked.area))
    best = checked
    for _ in range(12):
        tolerance = (low + high) / 2
        simple = valid(checked.simplify(tolerance), shape)
        if simple is not None and _iou(checked, simple) >= iou:
            low, best = tolerance, simple
        else:
            high = tolerance
    return best


def _iou(a: BaseGeometry, b: BaseGeometry) -> float:
    shared = shapely.intersection(a, b).area
    return float(shared / (a.area + b.area - shared))
