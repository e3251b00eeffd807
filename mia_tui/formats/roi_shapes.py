"""Outlines and points as ImageJ's regions of interest, and back.

Areas lie on the corners of pixels in both worlds: (0, 0) is the corner of the top-left pixel. Points of ImageJ lie on
the centres of pixels: its (0, 0) is our (0.5, 0.5).
"""

from functools import reduce
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.raster import shapes_from_labels

Points = NDArray[np.float64]

_INTEGERS = (-5000, 32767)
"""Coordinates that ImageJ keeps as integers; others go into the file as 32-bit floats."""

_OUTLINES = (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)
_MOVE, _LINE, _QUADRATIC, _CUBIC, _CLOSE = range(5)
_CURVE_STEPS = 16

# ---- from ImageJ -----------------------------------------------------------------------------------------------------


def shapes_of(roi: ImagejRoi, size: tuple[int, int]) -> list[BaseGeometry]:
    """The outline of a region, or its points.

    An oval on whole pixels gives the outline of exactly the pixels whose centres lie in it, as ImageJ fills it, cut at
    the image of `size` (height, width).

    Raises
    ------
    ValueError
        With the reason, for lines, texts, pictures and damaged regions.
    """
    if roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE):
        raise ValueError(f"it is a {roi.subtype.name.lower()}, not an outline")
    if roi.shape_roi_size > 0:
        return [_composite(np.asarray(roi.multi_coordinates, np.float64))]
    if roi.roitype == ROI_TYPE.RECT:
        left, top, right, bottom = _bounds(roi)
        radius = min(roi.rounded_rect_arc_size / 2, (right - left) / 2 - 0.01, (bottom - top) / 2 - 0.01)
        box = shapely.box(left, top, right, bottom)
        return [box if radius <= 0 else box.buffer(-radius).buffer(radius, quad_segs=32)]
    if roi.roitype == ROI_TYPE.OVAL:
        return [_oval(roi, size)]
    if roi.roitype not in (*_OUTLINES, ROI_TYPE.POINT):
        raise ValueError(f"it is a {roi.roitype.name.lower()}, not an outline")
    points = _finite(np.asarray(roi.coordinates(), np.float64).reshape(-1, 2))
    if roi.roitype == ROI_TYPE.POINT:
        return [shapely.Point(x + 0.5, y + 0.5) for x, y in points.tolist()]
    return [_ring(points)]


def _bounds(roi: ImagejRoi) -> tuple[float, float, float, float]:
    if roi.subpixelrect:
        left, top, right, bottom = roi.xd, roi.yd, roi.xd + roi.widthd, roi.yd + roi.heightd
    else:
        left, top, right, bottom = roi.left, roi.top, roi.right, roi.bottom
    if not np.isfinite([left, top, right, bottom]).all() or right <= left or bottom <= top:
        raise ValueError("it has no area")
    return left, top, right, bottom


def _oval(roi: ImagejRoi, size: tuple[int, int]) -> BaseGeometry:
    left, top, right, bottom = _bounds(roi)
    center, radii = np.array([left + right, top + bottom]) / 2, np.array([right - left, bottom - top]) / 2
    if roi.subpixelrect:
        angle = np.linspace(0, 2 * np.pi, max(64, int(4 * radii.max())), endpoint=False)
        return shapely.Polygon(center + radii * np.stack([np.cos(angle), np.sin(angle)], axis=1))
    x = np.arange(max(int(left), 0), min(int(right), size[1])) + 0.5
    y = np.arange(max(int(top), 0), min(int(bottom), size[0])) + 0.5
    inside = ((x - center[0]) / radii[0]) ** 2 + ((y[:, None] - center[1]) / radii[1]) ** 2 <= 1
    if not inside.any():
        raise ValueError("no pixel of it lies in the image")
    origin = np.array([x[0] - 0.5, y[0] - 0.5])
    return shapely.transform(shapes_from_labels(inside)[1], lambda xy: xy + origin)


def _ring(points: Points) -> BaseGeometry:
    if len(points) < 3:
        raise ValueError(f"an outline of {len(points)} points")
    return shapely.Polygon(_finite(points))


def _finite(points: Points) -> Points:
    if not len(points) or not np.isfinite(points).all():
        raise ValueError("no coordinates, or some that are no numbers")
    return points


def _composite(path: Points) -> BaseGeometry:
    """The inside of a path of several rings by the even-odd rule."""
    rings = [_mended(_ring(np.array(ring))) for ring in _rings(path.tolist()) if len(ring) > 2]
    if not rings:
        raise ValueError("it has no area")
    shape = reduce(shapely.symmetric_difference, rings)
    parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    if not parts:
        raise ValueError("it has no area")
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _mended(ring: BaseGeometry) -> BaseGeometry:
    return ring if ring.is_valid else shapely.make_valid(ring)


def _rings(path: list[float]) -> list[list[tuple[float, float]]]:
    """The rings of a path of commands, curves in short straight pieces."""
    rings: list[list[tuple[float, float]]] = []
    lengths = {_MOVE: 2, _LINE: 2, _QUADRATIC: 4, _CUBIC: 6, _CLOSE: 0}
    at = 0
    while at < len(path):
        command = int(path[at])
        count = lengths.get(command, -1)
        values = path[at + 1 : at + 1 + count]
        if count < 0 or len(values) < count or (command != _MOVE and not rings):
            raise ValueError(f"a path that cannot be read at its number {at + 1}")
        if command == _MOVE:
            rings.append([(values[0], values[1])])
        elif command != _CLOSE:
            rings[-1] += _curve(rings[-1][-1], values)
        at += 1 + count
    return rings


def _curve(start: tuple[float, float], values: list[float]) -> list[tuple[float, float]]:
    """The points after `start` of a Bezier curve with these control points; of a line, its end."""
    points = np.array([start, *zip(values[::2], values[1::2], strict=True)])
    if len(points) == 2:
        return [(values[0], values[1])]
    share = np.linspace(0, 1, _CURVE_STEPS + 1)[1:, None, None]
    layer = np.broadcast_to(points, (_CURVE_STEPS, *points.shape))
    while layer.shape[1] > 1:  # de Casteljau
        layer = layer[:, :-1] * (1 - share) + layer[:, 1:] * share
    return [(x, y) for x, y in layer[:, 0].tolist()]


# ---- to ImageJ -------------------------------------------------------------------------------------------------------


def roi_of(geometry: BaseGeometry) -> ImagejRoi:
    """A region with this outline or at this point.

    Outlines on whole numbers become a traced region, others a polygon with 32-bit floats; holes and several parts make
    a composite.
    """
    if geometry.geom_type == "Point":
        return _plain(shapely.get_coordinates(geometry) - 0.5, ROI_TYPE.POINT)
    rings = shapely.get_rings(shapely.get_parts(geometry))
    if len(rings) == 1:
        points = shapely.get_coordinates(rings[0])[:-1]
        return _plain(points, ROI_TYPE.TRACED if (points == np.round(points)).all() else ROI_TYPE.POLYGON)
    roi = ImagejRoi()
    roi.roitype = ROI_TYPE.RECT
    left, top, right, bottom = geometry.bounds
    roi.left, roi.top = int(np.floor(left)), int(np.floor(top))
    roi.right, roi.bottom = int(np.ceil(right)), int(np.ceil(bottom))
    path = np.concatenate([_path(shapely.get_coordinates(ring)[:-1]) for ring in rings])
    roi.multi_coordinates = path.astype(np.float32)
    roi.shape_roi_size = len(path)
    return roi


def _plain(points: Points, kind: ROI_TYPE) -> ImagejRoi:
    whole = (points == np.round(points)).all() and points.min() >= _INTEGERS[0] and points.max() <= _INTEGERS[1]
    given: NDArray[Any] = points.astype(np.int32) if whole else points
    roi = ImagejRoi.frompoints(given)
    roi.roitype = kind
    roi.options &= ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    return roi


def _path(points: Points) -> Points:
    commands = np.full((len(points), 1), _LINE)
    commands[0] = _MOVE
    return np.append(np.concatenate([commands, points], axis=1).ravel(), _CLOSE)
