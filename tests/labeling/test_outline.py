"""Operations on outlines, checked pixel by pixel against what they must do to masks."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from shapely.geometry import LineString, MultiPolygon, Polygon, box

from mia_tui.labeling import outline, vertices
from mia_tui.labeling.raster import fill, shapes_from_labels
from mia_tui.labeling.window import Window, grey, window_around, window_of

SHAPE = (12, 15)
FOUR = ndimage.generate_binary_structure(2, 1)


def painted(geometry, shape=SHAPE):
    image = np.zeros(shape, bool)
    if geometry is not None:
        rows, columns, mask = fill(geometry, shape)
        image[rows, columns] = mask
    return image


def traced(mask):
    return shapes_from_labels(mask.astype(np.uint8))[1]


def disc(y, x, radius, shape):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2 <= radius**2


def check(geometry, shape=SHAPE):
    """Valid, inside the image, not empty: what every operation promises of what it returns."""
    if geometry is None:
        return
    assert geometry.geom_type in ("Polygon", "MultiPolygon")
    assert geometry.is_valid
    assert geometry.area > 0
    left, top, right, bottom = geometry.bounds
    assert left >= 0
    assert top >= 0
    assert right <= shape[1]
    assert bottom <= shape[0]


masks = arrays(bool, SHAPE).filter(lambda mask: mask.any())
points = st.tuples(st.floats(-3, SHAPE[0] + 3), st.floats(-3, SHAPE[1] + 3))
paths = st.lists(points, min_size=1, max_size=6)
rings = st.lists(points, min_size=3, max_size=9, unique=True).map(lambda found: Polygon([(x, y) for y, x in found]))


# ---- validity --------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(rings)
def test_any_ring_becomes_an_outline(ring):
    check(outline.valid(ring, SHAPE))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.integers(3, 9))
def test_a_ring_in_general_position_keeps_its_pixels(seed, number):
    ring = Polygon(np.random.default_rng(seed).uniform(-3, 18, (number, 2)))
    assert (painted(outline.valid(ring, SHAPE)) == painted(ring)).all()


def test_a_bow_tie_is_its_two_triangles():
    made = outline.valid(Polygon([(0, 0), (10, 10), (10, 0), (0, 10)]), SHAPE)
    assert len(shapely.get_parts(made)) == 2
    assert made.area == 50


@pytest.mark.parametrize(
    "odd",
    [None, Polygon(), Polygon([(1, 1), (5, 5), (9, 9)]), Polygon([(0, 0), (np.nan, 3), (4, 4)]), box(-9, -9, -1, -1)],
)
def test_what_has_no_area_in_the_image_is_none(odd):
    assert outline.valid(odd, SHAPE) is None


# ---- sets ------------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(masks, masks)
def test_add_subtract_and_merge_are_those_of_the_pixels(a, b):
    first, second = traced(a), traced(b)
    for made, truth in [
        (outline.add(first, second, SHAPE), a | b),
        (outline.subtract(first, second, SHAPE), a & ~b),
        (outline.merge([first, second], SHAPE), a | b),
    ]:
        check(made)
        assert (painted(made) == truth).all()


def test_adding_to_nothing_and_subtracting_everything():
    assert outline.add(None, box(1, 1, 3, 3), SHAPE).equals(box(1, 1, 3, 3))
    assert outline.subtract(box(1, 1, 3, 3), box(0, 0, 9, 9), SHAPE) is None


@settings(max_examples=60, deadline=None)
@given(masks)
def test_bridges_make_one_part_and_lose_nothing(mask):
    made = outline.merge([traced(mask)], SHAPE, bridge=True)
    check(made)
    assert isinstance(made, Polygon)
    assert painted(made)[mask].all()
    assert ndimage.label(painted(made), FOUR)[1] == 1


def test_merging_keeps_the_gap_unless_a_bridge_is_asked_for():
    apart = [box(0, 4, 4, 8), box(9, 4, 12, 8)]
    assert isinstance(outline.merge(apart, SHAPE), MultiPolygon)
    bridged = outline.merge(apart, SHAPE, bridge=True, width=2)
    assert bridged.area == pytest.approx(16 + 12 + 5 * 2, abs=2)


# ---- cutting ---------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(masks, st.lists(points, min_size=2, max_size=5))
def test_cutting_gives_every_pixel_to_exactly_one_piece(mask, line):
    pieces = outline.cut(traced(mask), line, SHAPE)
    count = np.zeros(SHAPE, int)
    for piece in pieces:
        check(piece)
        assert painted(piece).any()
        count += painted(piece)
    assert (count == mask).all()


def test_a_line_across_cuts_in_two_and_one_that_misses_does_not():
    whole = box(2, 2, 12, 10)
    halves = outline.cut(whole, [(0, 7), (11, 7)], SHAPE)
    assert [half.area for half in halves] == [40, 40]
    assert outline.cut(whole, [(0, 0), (11, 0)], SHAPE) == [whole]


def test_a_line_that_ends_inside_goes_on_to_the_outline():
    pieces = outline.cut(box(2, 2, 12, 10), [(4, 5), (8, 5)], SHAPE)
    assert sorted(piece.area for piece in pieces) == pytest.approx([24, 56])


def test_a_bent_line_from_one_side_cuts_out_a_corner():
    pieces = outline.cut(box(0, 0, 10, 10), [(-1, 4), (4, 4), (4, -1)], SHAPE)
    assert [piece.area for piece in pieces] == [84, 16]


def test_a_part_which_the_line_misses_stays_with_the_nearest_piece():
    whole = MultiPolygon([box(0, 0, 8, 4), box(9, 0, 11, 4)])
    pieces = outline.cut(whole, [(-1, 4), (5, 4)], SHAPE)
    assert sorted(piece.area for piece in pieces) == [16, 24]


@settings(max_examples=80, deadline=None)
@given(masks, st.lists(points, min_size=2, max_size=4))
def test_splitting_gives_every_pixel_to_exactly_one_piece(mask, starts):
    count = np.zeros(SHAPE, int)
    for piece in outline.split(traced(mask), starts, SHAPE):
        check(piece)
        count += painted(piece)
    assert (count == mask).all()


@pytest.mark.parametrize("starts", [[(20, 16), (20, 44)], [(14, 18), (26, 48)], [(20, 24), (20, 50)]])
def test_two_discs_come_apart_at_the_waist_wherever_their_points_lie(starts):
    shape = (40, 60)
    left, right = disc(20, 18, 13, shape), disc(20, 42, 13, shape)
    pieces = outline.split(traced(left | right), starts, shape)
    assert len(pieces) == 2
    for piece, truth in zip(pieces, (left, right), strict=True):
        mask = painted(piece, shape)
        assert (mask & truth).sum() / (mask | truth).sum() > 0.9


def test_points_on_one_pixel_do_not_split():
    whole = box(2, 2, 3, 3)
    assert outline.split(whole, [(2.2, 2.2), (9, 9)], SHAPE) == [whole]


# ---- form ------------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(masks)
def test_filling_holes_is_filling_the_holes_of_the_mask_part_by_part(mask):
    parts, number = ndimage.label(mask, FOUR)
    truth = np.any([ndimage.binary_fill_holes(parts == one + 1) for one in range(number)], axis=0)
    made = outline.fill_holes(traced(mask), SHAPE)
    check(made)
    assert (painted(made) == truth).all()


def test_only_small_holes_are_filled_when_a_size_is_given():
    ring = box(0, 0, 12, 10).difference(box(1, 1, 3, 3)).difference(box(5, 1, 9, 6))
    assert outline.fill_holes(ring, SHAPE, largest=4).area == 100


@settings(max_examples=80, deadline=None)
@given(masks, st.integers(-3, 4))
def test_growing_goes_by_the_distance_between_pixel_centres(mask, pixels):
    made = outline.grow(traced(mask), pixels, SHAPE)
    check(made)
    rows, columns = np.indices(SHAPE)
    other = mask if pixels > 0 else ~mask
    y, x = np.nonzero(other)
    far = np.full(SHAPE, np.inf)
    if len(y):
        far = np.sqrt((rows[..., None] - y) ** 2 + (columns[..., None] - x) ** 2).min(axis=-1)
    truth = far <= pixels if pixels > 0 else mask & (far > -pixels)
    assert (painted(made) == truth).all()


def test_growing_and_shrinking_of_a_single_pixel():
    pixel = box(3, 3, 4, 4)
    assert outline.grow(pixel, 1, SHAPE).area == 5
    assert outline.grow(pixel, -1, SHAPE) is None
    assert outline.grow(pixel, 0, SHAPE).equals(pixel)


def test_smoothing_keeps_area_and_place_and_takes_the_steps_away():
    shape = (80, 90)
    mask = disc(40, 44, 25, shape)
    made = outline.smooth(traced(mask), shape, 2)
    check(made, shape)
    assert made.area == pytest.approx(mask.sum(), rel=0.01)
    assert made.symmetric_difference(traced(mask)).area < 0.05 * mask.sum()
    assert made.length == pytest.approx(2 * np.pi * 25, rel=0.01)
    assert traced(mask).length > 1.2 * made.length


@settings(max_examples=60, deadline=None)
@given(masks, st.floats(0.1, 8))
def test_smoothing_never_loses_an_object(mask, sigma):
    made = outline.smooth(traced(mask), SHAPE, sigma)
    check(made)
    assert made is not None


def test_small_parts_are_dropped_and_the_hull_spans_the_rest():
    two = MultiPolygon([box(0, 0, 1, 1), box(4, 4, 8, 8)])
    assert outline.drop_small(two, 2, SHAPE).equals(box(4, 4, 8, 8))
    assert outline.drop_small(two, 17, SHAPE) is None
    assert outline.convex(two, SHAPE).equals(two.convex_hull)


# ---- brush -----------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(masks, paths, st.floats(0.5, 4))
def test_the_brush_paints_what_is_within_its_radius(mask, path, radius):
    more = painted(outline.brush(traced(mask), path, radius, SHAPE))
    less = painted(outline.brush(traced(mask), path, radius, SHAPE, erase=True))
    assert more[mask].all()
    assert not less[~mask].any()
    line = LineString([(x, y) for y, x in [*path, path[0]][: max(2, len(path))]])
    far = shapely.distance(shapely.points(*(np.indices(SHAPE)[::-1] + 0.5)), line)
    assert more[far < radius * 0.99].all()
    assert not less[far < radius * 0.99].any()
    # Under the points themselves the pixel is painted however small the brush.
    assert (more == mask)[far > max(radius, np.sqrt(0.5)) + 1e-9].all()
    assert (less == mask)[far > max(radius, np.sqrt(0.5)) + 1e-9].all()


def test_a_brush_of_half_a_pixel_paints_one_pixel_and_may_begin_an_object():
    assert outline.brush(None, [(3.5, 4.5)], 0.5, SHAPE).equals(box(4, 3, 5, 4))
    assert outline.brush(None, [(3.5, 4.5)], 2, SHAPE, erase=True) is None
    assert outline.brush(box(4, 3, 5, 4), [(3.1, 4.1)], 1, SHAPE, erase=True) is None


# ---- vertices --------------------------------------------------------------------------------------------------------


def test_vertices_of_shell_and_hole_by_hand():
    ring = Polygon([(0, 0), (8, 0), (8, 8), (0, 8)], [[(2, 2), (2, 4), (4, 2)]])
    assert vertices.vertices(ring).tolist() == [[0, 0], [0, 8], [8, 8], [8, 0], [2, 2], [4, 2], [2, 4]]
    moved = vertices.move_vertex(ring, 2, (9.5, 9), SHAPE)
    assert moved.exterior.contains(shapely.Point(9, 9.5))
    more = vertices.insert_vertex(ring, 1, SHAPE)
    assert [4.0, 8.0] in vertices.vertices(more).tolist()
    assert vertices.insert_vertex(ring, 1, SHAPE, at=(4, 10)).area == ring.area + 8
    assert vertices.delete_vertex(ring, 0, SHAPE).area == 32
    assert len(vertices.delete_vertex(ring, 5, SHAPE).interiors) == 0


def test_deleting_a_vertex_of_a_triangle_deletes_it():
    assert vertices.delete_vertex(Polygon([(0, 0), (4, 0), (0, 4)]), 1, SHAPE) is None


@settings(max_examples=150, deadline=None)
@given(masks, st.integers(0, 400), points)
def test_vertex_edits_always_give_an_outline(mask, number, to):
    whole = traced(mask)
    index = number % len(vertices.vertices(whole))
    for made in (
        vertices.move_vertex(whole, index, to, SHAPE),
        vertices.insert_vertex(whole, index, SHAPE, at=to),
        vertices.insert_vertex(whole, index, SHAPE),
        vertices.delete_vertex(whole, index, SHAPE),
    ):
        check(made)


@settings(max_examples=60, deadline=None)
@given(masks)
def test_simplified_outlines_keep_the_promised_overlap(mask):
    made = vertices.simplify(traced(mask), SHAPE)
    check(made)
    assert made.intersection(traced(mask)).area >= 0.95 * made.union(traced(mask)).area - 1e-9


def test_a_disc_of_hundreds_of_steps_needs_few_vertices():
    mask = disc(50, 50, 30, (100, 100))
    assert len(vertices.vertices(traced(mask))) > 130
    assert len(vertices.vertices(vertices.simplify(traced(mask), (100, 100)))) <= 16


# ---- windows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", [(0, 0), (-50, 3), (5.5, 999), (11.9, 14.9)])
def test_a_window_is_never_empty_and_never_leaves_the_image(point):
    for radius in (0, 0.4, 5, 1000):
        window = window_around(point, radius, SHAPE)
        assert min(window.shape) > 0
        assert np.ones(SHAPE)[window.slices].shape == window.shape


@settings(max_examples=60, deadline=None)
@given(masks, st.integers(0, 11), st.integers(0, 14))
def test_pixels_go_to_outlines_and_back_in_a_window(mask, top, left):
    window = window_of((top, left, SHAPE[0], SHAPE[1]), SHAPE)
    part = mask[window.slices]
    made = window.outline(part)
    assert (made is None) == (not part.any())
    if made is not None:
        assert (window.pixels(made) == part).all()
        assert (painted(made)[window.slices] == part).all()
    assert (Window(0, 0, *SHAPE).pixels(traced(mask)) == mask).all()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_grey_takes_every_kind_of_number(dtype):
    pixels = np.arange(12).reshape(3, 4).astype(dtype)
    made = grey(pixels)
    assert made.dtype == np.float32
    assert (made.min(), made.max()) == (0, 1)
    assert not grey(np.full((3, 4), 7, dtype)).any()


def test_grey_of_odd_numbers():
    pixels = np.array([[np.nan, 1.0], [3.0, np.inf]])
    assert grey(pixels).tolist() == [[0.5, 0.0], [1.0, 0.5]]
    assert not grey(np.full((2, 2), np.nan)).any()
    assert grey(np.array([[-1.7e308, 1.7e308]])).tolist() == [[0.0, 1.0]]


def test_grey_takes_the_channel_with_the_best_contrast():
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[..., 0] = 100
    picture[:2, :, 1] = 200
    picture[:2, :, 2] = 20
    assert (grey(picture) == (picture[..., 1] > 0)).all()
