"""Operations on outlines: shapely geometries in, valid geometries inside the image out.

What remains of an object may have several parts (MultiPolygon) or nothing, which is None. `shape` is always the
(height, width) of the image. Nothing here raises for an odd outline: one that crosses itself becomes its parts.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LinearRing, LineString, Polygon
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.raster import fill
from mia_tui.labeling.window import Mask, Window, window_over

Point = tuple[float, float]
Shape = tuple[int, int]


def valid(geometry: BaseGeometry | None, shape: Shape) -> BaseGeometry | None:
    """A geometry as an outline: what of it lies in the image, without self-crossings, lines and points.

    A ring that crosses itself is read by the even-odd rule, as `raster.fill` does. None when no area is left.
    """
    if geometry is None or geometry.is_empty or not np.isfinite(shapely.get_coordinates(geometry)).all():
        return None
    if not geometry.is_valid:
        geometry = shapely.make_valid(geometry)
    if not _within(geometry, shape):
        geometry = shapely.intersection(geometry, shapely.box(0, 0, shape[1], shape[0]))
        if not _within(geometry, shape):  # by a rounding error
            geometry = shapely.transform(geometry, lambda points: np.clip(points, 0, (shape[1], shape[0])))
            geometry = shapely.make_valid(geometry)
    return _areas(geometry)


def _within(geometry: BaseGeometry, shape: Shape) -> bool:
    if geometry.is_empty:
        return True
    left, top, right, bottom = geometry.bounds
    return left >= 0 and top >= 0 and right <= shape[1] and bottom <= shape[0]


def _areas(geometry: BaseGeometry) -> BaseGeometry | None:
    """The polygons among the parts of a geometry."""
    if isinstance(geometry, Polygon):
        return None if geometry.area == 0 else geometry
    parts = [part for part in polygons(geometry) if part.area > 0]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def polygons(geometry: BaseGeometry) -> list[Polygon]:
    """All polygons of a geometry, also those in collections inside of collections."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return [part for part in parts if isinstance(part, Polygon)]


def polygon(shell: NDArray[np.float64], holes: Sequence[NDArray[np.float64]] = ()) -> BaseGeometry | None:
    """What is inside a ring of points (x, y) and in none of the holes, whatever crosses what; None when nothing is."""
    rings = [Polygon(ring) for ring in (shell, *holes) if len(ring) > 2]
    if len(shell) < 3 or not all(np.isfinite(shapely.get_coordinates(ring)).all() for ring in rings):
        return None
    made, *gaps = (ring if ring.is_valid else shapely.make_valid(ring) for ring in rings)
    return _areas(shapely.difference(made, shapely.union_all(gaps)) if gaps else made)


# ---- sets ------------------------------------------------------------------------------------------------------------


def add(geometry: BaseGeometry | None, other: BaseGeometry, shape: Shape) -> BaseGeometry | None:
    """Everything inside one or the other."""
    first, second = valid(geometry, shape), valid(other, shape)
    if first is None or second is None:
        return first or second
    return valid(shapely.union(first, second), shape)


def subtract(geometry: BaseGeometry, other: BaseGeometry, shape: Shape) -> BaseGeometry | None:
    """What is inside `geometry` but not inside `other`."""
    first, second = valid(geometry, shape), valid(other, shape)
    return first if first is None or second is None else valid(shapely.difference(first, second), shape)


def merge(
    geometries: Iterable[BaseGeometry], shape: Shape, *, bridge: bool = False, width: float = 2
) -> BaseGeometry | None:
    """One object of several.

    Parameters
    ----------
    bridge : bool
        Join parts that do not touch by straight bridges, `width` pixels wide, over the shortest gaps; without it they
        stay parts of one object.
    """
    checked = [found for found in (valid(geometry, shape) for geometry in geometries) if found is not None]
    if not checked:
        return None
    joined = valid(shapely.union_all(checked), shape)
    if joined is None or not bridge:
        return joined
    return valid(shapely.union_all([joined, *_bridges(polygons(joined), width)]), shape)


def _bridges(parts: list[Polygon], width: float) -> list[BaseGeometry]:
    """The shortest bridges that connect all parts (Kruskal's spanning tree)."""
    gaps = sorted((a.distance(b), i, j) for (i, a), (j, b) in combinations(enumerate(parts), 2))
    group = list(range(len(parts)))
    bridges: list[BaseGeometry] = []
    for _, i, j in gaps:
        if group[i] != group[j]:
            gone, kept = group[i], group[j]
            group = [kept if number == gone else number for number in group]
            line = shapely.shortest_line(parts[i], parts[j])
            bridges.append(line.buffer(width / 2, cap_style="square" if line.length else "round"))
    return bridges


# ---- cutting ---------------------------------------------------------------------------------------------------------


def cut(geometry: BaseGeometry, line: Sequence[Point], shape: Shape) -> list[BaseGeometry]:
    """The pieces of an object along a line of points (y, x), the largest first.

    An end of the line that lies inside the object goes on straight until it leaves it. The pieces share their edge, so
    no pixel is lost, and a piece that holds no pixel is none. Parts that the line misses stay with the nearest piece.
    The object alone when the line does not cut it.
    """
    checked = valid(geometry, shape)
    if checked is None:
        return []
    points = np.array(line, np.float64).reshape(-1, 2)[:, ::-1]
    if len(points) < 2 or not np.isfinite(points).all() or (points == points[0]).all():
        return [checked]
    knife = _carried_on(LineString(points), checked)
    pieces: list[Polygon] = []
    whole: list[Polygon] = []
    for part in polygons(checked):
        found = _pieces(part, knife, shape)
        (pieces if len(found) > 1 else whole).extend(found)
    if not pieces:
        return [checked]
    groups: list[list[BaseGeometry]] = [[piece] for piece in pieces]
    for part in whole:
        groups[int(np.argmin([part.distance(piece) for piece in pieces]))].append(part)
    joined = [valid(shapely.union_all(group), shape) for group in groups]
    return sorted((piece for piece in joined if piece is not None), key=lambda piece: -piece.area)


def _carried_on(line: LineString, geometry: BaseGeometry) -> LineString:
    """The line, its ends carried on straight where they lie inside the geometry."""
    points = shapely.get_coordinates(line)
    points = points[np.append(True, (np.diff(points, axis=0) != 0).any(axis=1))]
    left, top, right, bottom = geometry.bounds
    far = np.hypot(right - left, bottom - top) + 1
    for end, before in ((0, 1), (-1, -2)):
        if geometry.intersects(shapely.Point(points[end])):
            toward = points[end] - points[before]
            way = LineString([points[end], points[end] + toward / np.hypot(*toward) * far])
            out = shapely.get_parts(shapely.intersection(way, geometry))
            first = min(out, key=lambda piece: piece.distance(shapely.Point(points[end])))
            # A little further than the edge, so that the two surely cross.
            length = first.length + 0.25
            points[end] = points[end] + toward / np.hypot(*toward) * length
    return LineString(points)


def _pieces(part: Polygon, knife: LineString, shape: Shape) -> list[Polygon]:
    """A polygon cut by a line: the faces between its edges and the line, without those that hold no pixel."""
    net = shapely.union_all([part.boundary, knife])
    faces = shapely.get_parts(shapely.polygonize([net]))
    inside = [face for face in faces if part.covers(face.representative_point())]
    held = [face for face in inside if fill(face, shape)[2].any()]
    return held if len(held) > 1 else [part]


def split(geometry: BaseGeometry, points: Sequence[Point], shape: Shape) -> list[BaseGeometry]:
    """Split an object between points (y, x): each pixel goes to the point from which it is reached with least effort.

    Parameters
    ----------
    points : two or more (y, x)
        One in each piece, anywhere in it. A point outside goes to the nearest pixel of the object.

    Returns
    -------
    list
        One piece per point, in their order, exact to the pixel; together they hold every pixel. Fewer where points
        fall on one pixel.

    Notes
    -----
    Effort is the length of the way inside the object, which counts up to eleven times as much near the outline as in
    the middle: so the cut runs through the waist. On touching true objects of five kinds of real images, merged and
    split again from their centres, this gives a mean IoU of 0.90 to 0.96, where the watershed on the distance to the
    outline gives 0.71 to 0.89 (its floods start at the clicked pixels, not at the bottoms of the basins).
    """
    checked = valid(geometry, shape)
    if checked is None:
        return []
    window = window_over(checked, shape)
    mask = window.pixels(checked)
    starts = _starts(mask, window, points)
    if len(starts) < 2:
        return [checked]
    nearest = _efforts(mask, starts).argmin(axis=0)
    pieces = (window.outline(mask & (nearest == number)) for number in range(len(starts)))
    return [piece for piece in pieces if piece is not None]


def _starts(mask: Mask, window: Window, points: Sequence[Point]) -> list[tuple[int, int]]:
    """The pixels of the object that are nearest to the points, each once."""
    rows, columns = np.nonzero(mask)
    found: dict[tuple[int, int], None] = {}
    for y, x in points:
        if len(rows) and np.isfinite([y, x]).all():
            far = (rows + window.top + 0.5 - y) ** 2 + (columns + window.left + 0.5 - x) ** 2
            found[int(rows[far.argmin()]), int(columns[far.argmin()])] = None
    return list(found)


def _efforts(mask: Mask, starts: list[tuple[int, int]]) -> NDArray[np.float64]:
    """(start, Y, X) effort from every start to every pixel; other parts count by the distance to the start's part."""
    from scipy import ndimage
    from skimage.graph import MCP_Geometric

    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    cost = np.where(mask, 1 + 10 * (1 - depth / depth.max()) ** 2, np.inf)
    efforts = np.stack([MCP_Geometric(cost).find_costs([start])[0] for start in starts])
    lost = mask & np.isinf(efforts).all(axis=0)
    if lost.any():
        for effort in efforts:
            effort[lost] = ndimage.distance_transform_edt(np.isinf(effort))[lost]
    return efforts


# ---- form ------------------------------------------------------------------------------------------------------------


def fill_holes(geometry: BaseGeometry, shape: Shape, largest: float = np.inf) -> BaseGeometry | None:
    """The object without its holes of at most `largest` pixels."""
    checked = valid(geometry, shape)
    if checked is None:
        return None
    parts = [
        Polygon(part.exterior, [ring for ring in part.interiors if Polygon(ring).area > largest])
        for part in polygons(checked)
    ]
    return valid(shapely.union_all(parts), shape)


def drop_small(geometry: BaseGeometry, area: float, shape: Shape) -> BaseGeometry | None:
    """The parts of an object that have at least `area` pixels."""
    checked = valid(geometry, shape)
    if checked is None:
        return None
    return valid(shapely.MultiPolygon([part for part in polygons(checked) if part.area >= area]), shape)


def convex(geometry: BaseGeometry, shape: Shape) -> BaseGeometry | None:
    """The convex hull of all parts."""
    checked = valid(geometry, shape)
    return None if checked is None else valid(checked.convex_hull, shape)


def smooth(geometry: BaseGeometry, shape: Shape, sigma: float = 2) -> BaseGeometry | None:
    """Round off what is smaller than about `sigma` pixels along the outline; every ring keeps its area.

    The points of a ring, at equal distances, are blurred along the ring, which shrinks it, and blown up again around
    their centre. Small rings are blurred less, so that a single pixel remains an object.
    """
    checked = valid(geometry, shape)
    if checked is None:
        return None
    parts = [
        polygon(_smooth_ring(part.exterior, sigma), [_smooth_ring(ring, sigma) for ring in part.interiors])
        for part in polygons(checked)
    ]
    return valid(shapely.union_all([part for part in parts if part is not None]), shape)


def _smooth_ring(ring: LinearRing, sigma: float) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter1d

    count = int(np.clip(np.ceil(ring.length), 16, 20_000))
    step = ring.length / count
    points = shapely.get_coordinates(shapely.line_interpolate_point(ring, (np.arange(count) + 0.5) * step))
    blurred = gaussian_filter1d(points, min(sigma / step, count / 16), axis=0, mode="wrap")
    centre = blurred.mean(axis=0)
    area = Polygon(blurred).area
    # A thin ring may collapse: then the rather angular one is the better answer.
    return centre + (blurred - centre) * np.sqrt(Polygon(ring).area / area) if area > 0 else points


def grow(geometry: BaseGeometry, pixels: int, shape: Shape) -> BaseGeometry | None:
    """Add the pixels at most `pixels` away (centre to centre), or take them away when it is negative.

    Beyond the border of the image the object counts as going on: shrinking does not loosen it from there.
    """
    checked = valid(geometry, shape)
    if checked is None or pixels == 0:
        return checked
    window = window_over(checked, shape, margin=max(pixels, 0) + 1)
    mask = window.pixels(checked)
    if not mask.any() or (pixels < 0 and mask.all()):
        return window.outline(mask)
    from scipy.ndimage import distance_transform_edt

    if pixels > 0:
        return window.outline(distance_transform_edt(~mask) <= pixels)
    return window.outline(distance_transform_edt(mask) > -pixels)


# ---- brush -----------------------------------------------------------------------------------------------------------


def brush(
    geometry: BaseGeometry | None, path: Sequence[Point], radius: float, shape: Shape, *, erase: bool = False
) -> BaseGeometry | None:
    """Paint (or erase) with a disc along a path of points (y, x).

    The pixels whose centres lie within `radius` of the path, and at least the pixels under its points. Returns the
    object exact to the pixel, or None when nothing is left.
    """
    checked = valid(geometry, shape)
    stroke = _stroke(path, radius)
    boxes = [found for found in (checked, stroke) if found is not None]
    if not boxes or stroke is None:
        return checked
    window = window_over(shapely.GeometryCollection(boxes), shape, margin=1)
    painted = window.pixels(stroke)
    if checked is None:
        return None if erase else window.outline(painted)
    mask = window.pixels(checked)
    return window.outline(mask & ~painted if erase else mask | painted)


def _stroke(path: Sequence[Point], radius: float) -> BaseGeometry | None:
    """What a disc covers that moves along the path, together with the pixels under its points."""
    points = np.array(path, np.float64).reshape(-1, 2)[:, ::-1]
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return None
    # Piece by piece: the buffer of a line that runs back over itself may lack what its pieces cover.
    ends = np.repeat(points, 2, axis=0)[1:-1] if len(points) > 1 else np.repeat(points, 2, axis=0)
    dabs = [LineString(piece).buffer(radius, quad_segs=16) for piece in ends.reshape(-1, 2, 2)]
    x, y = np.floor(points).T
    return shapely.union_all([*dabs, *shapely.box(x, y, x + 1, y + 1)])
