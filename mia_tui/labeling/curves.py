"""Outlines as few numbers: eight rays with a spline through their ends, closed splines, ellipses."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry import LineString
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.outline import Point, Shape, polygon, polygons, valid

FLAT = 0.05
"""A curve and the straight pieces that stand for it are at most this far apart, in pixels."""

COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")


# ---- splines ---------------------------------------------------------------------------------------------------------


def compass(number: int = 8) -> NDArray[np.float64]:
    """(number, 2) unit vectors (y, x) around the compass: up first, then clockwise as seen on the screen."""
    angle = 2 * np.pi * np.arange(number) / number
    return np.stack([-np.cos(angle), np.sin(angle)], axis=1)


def spline(points: ArrayLike, shape: Shape) -> BaseGeometry | None:
    """What lies inside the closed cubic spline through points (y, x), in their order; None for less than three.

    The spline is periodic, its parameter the root of the distances between the points (centripetal), which keeps it
    from swinging out where long and short distances meet.
    """
    through = np.array(points, np.float64).reshape(-1, 2)
    through = through[np.isfinite(through).all(axis=1)]
    through = through[np.hypot(*(through - np.roll(through, 1, axis=0)).T) > 1e-6]
    if len(through) < 3:
        return None
    from scipy.interpolate import CubicSpline

    closed = np.vstack([through, through[:1]])
    parameter = np.append(0, np.cumsum(np.sqrt(np.hypot(*np.diff(closed, axis=0).T))))
    curve = CubicSpline(parameter, closed, bc_type="periodic")
    pieces = 4
    while True:
        share = np.arange(2 * pieces) / (2 * pieces)
        knots = (parameter[:-1, None] + np.diff(parameter)[:, None] * share).ravel()
        dense = curve(knots)
        sag = dense[1::2] - (dense[::2] + np.roll(dense[::2], -1, axis=0)) / 2
        if np.hypot(*sag.T).max() < FLAT or pieces * len(through) > 2000:
            return valid(polygon(dense[::2, ::-1]), shape)
        pieces *= 2


def rays(centre: Point, radii: ArrayLike, shape: Shape) -> BaseGeometry | None:
    """The closed spline through the ends of rays from a centre (y, x), in the directions of `compass`.

    Radii below half a pixel count as half a pixel.
    """
    lengths = np.maximum(np.array(radii, np.float64), 0.5)
    return spline(np.array(centre) + compass(len(lengths)) * lengths[:, None], shape)


def rays_of(geometry: BaseGeometry, centre: Point | None = None, number: int = 8) -> tuple[Point, NDArray[np.float64]]:
    """Centre (y, x) and radii of the rays that fit an outline: how far it is to its edge in every direction.

    Without a centre, or when that lies outside, the centroid is the centre, or if that lies outside too, a point well
    inside. A ray that meets the edge several times ends where it does so first.
    """
    part = max(polygons(geometry), key=lambda part: part.area)
    candidates = [part.centroid, shapely.Point(shapely.maximum_inscribed_circle(part, 0.5).coords[0])]
    if centre is not None:
        candidates.insert(0, shapely.Point(centre[1], centre[0]))
    inside = [point for point in candidates if part.contains(point)]
    start = inside[0] if inside else part.representative_point()
    far = np.hypot(*np.diff(np.reshape(part.bounds, (2, 2)), axis=0)[0]) + 1
    radii = []
    for y, x in compass(number):
        way = LineString([(start.x, start.y), (start.x + x * far, start.y + y * far)])
        radii.append(shapely.Point(start).distance(shapely.intersection(way, part.exterior)))
    return (start.y, start.x), np.array(radii)


# ---- ellipses --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ellipse:
    """An ellipse.

    Attributes
    ----------
    centre : (y, x)
    radii : (long, short)
        Half axes in pixels.
    angle : float
        Of the first axis, in radians, from right towards down, 0 to pi.
    """

    centre: Point
    radii: tuple[float, float]
    angle: float

    def outline(self, shape: Shape) -> BaseGeometry | None:
        """The ellipse as an outline; radii below half a pixel count as half a pixel."""
        a, b = (max(radius, 0.5) for radius in self.radii)
        # The sag of a chord is at most that of the circle with the longer radius.
        number = int(np.clip(np.ceil(np.pi / np.sqrt(2 * FLAT / max(a, b))), 16, 4000))
        turn = 2 * np.pi * np.arange(number) / number
        x, y = a * np.cos(turn), b * np.sin(turn)
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        points = np.stack([self.centre[1] + x * cos - y * sin, self.centre[0] + x * sin + y * cos], axis=1)
        return valid(polygon(points), shape)


def fit_ellipse(geometry: BaseGeometry) -> Ellipse:
    """The ellipse with the centroid and the second moments of an outline, holes and all parts counted."""
    shells = [(ring.coords, 1) for part in polygons(geometry) for ring in (part.exterior,)]
    holes = [(ring.coords, -1) for part in polygons(geometry) for ring in part.interiors]
    origin = geometry.centroid
    moments = np.zeros(4)
    for ring, sign in shells + holes:
        moments += sign * _moments(np.array(ring)[:, :2] - (origin.x, origin.y))
    area, xx, xy, yy = moments
    values, vectors = np.linalg.eigh(np.array([[xx, xy], [xy, yy]]) / area)
    short, long = 2 * np.sqrt(np.maximum(values, 0))
    return Ellipse((origin.y, origin.x), (float(long), float(short)), float(np.arctan2(*vectors[::-1, 1]) % np.pi))


def _moments(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area and integrals of x x, x y, y y over the inside of a closed ring (Green's theorem)."""
    x, y = ring[:-1].T
    nx, ny = ring[1:].T
    cross = x * ny - nx * y
    found = np.array(
        [
            cross.sum() / 2,
            (cross * (x * x + x * nx + nx * nx)).sum() / 12,
            (cross * (x * ny + 2 * x * y + 2 * nx * ny + nx * y)).sum() / 24,
            (cross * (y * y + y * ny + ny * ny)).sum() / 12,
        ]
    )
    return found if found[0] >= 0 else -found
