"""Label images to outlines and back."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from shapely.geometry import MultiPolygon, Point, Polygon, box

from mia_tui.errors import MiaError
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import area_mask, class_image, fill, label_image, shapes_from_labels
from mia_tui.project import make_classes

DATA = Path(os.environ.get("MIA_TUI_DATA", Path(__file__).parents[3] / "shared" / "data"))
FOUR = ndimage.generate_binary_structure(2, 1)
EIGHT = ndimage.generate_binary_structure(2, 2)


def painted(geometry, shape):
    image = np.zeros(shape, bool)
    rows, columns, mask = fill(geometry, shape)
    image[rows, columns] = mask
    return image


def holes_in(mask):
    """Number of background pieces that do not reach the border: what 8-connected background leaves inside."""
    return ndimage.label(np.pad(~mask, 1, constant_values=True), FOUR)[1] - 1


def check_round_trip(labels):
    shapes = shapes_from_labels(labels)
    assert set(shapes) == set(np.unique(labels).tolist()) - {0}
    for value, geometry in shapes.items():
        mask = labels == value
        assert geometry.is_valid, shapely.is_valid_reason(geometry)
        assert geometry.area == mask.sum()
        assert len(shapely.get_parts(geometry)) == ndimage.label(mask, FOUR)[1]
        assert (painted(geometry, labels.shape) == mask).all()
        coordinates = shapely.get_coordinates(geometry)
        assert (coordinates == coordinates.astype(int)).all()
    objects = [LabelObject(value, geometry, "cell") for value, geometry in shapes.items()]
    assert (label_image(objects, labels.shape) == labels).all()


sizes = st.tuples(st.integers(1, 14), st.integers(1, 14))


@settings(max_examples=300, deadline=None)
@given(sizes.flatmap(lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 3))))
def test_any_label_image_comes_back_exactly(labels):
    check_round_trip(labels)


@settings(max_examples=60, deadline=None)
@given(arrays(bool, (11, 13)), st.integers(1, 3), st.integers(1, 3))
def test_blocky_objects_with_holes_and_corners_come_back_exactly(cells, tall, wide):
    check_round_trip(np.kron(cells, np.full((tall, wide), 70_000, np.uint32)))


@settings(max_examples=60, deadline=None)
@given(arrays(bool, (9, 9)))
def test_a_hole_is_a_hole_even_when_it_touches_the_rim_in_a_corner(mask):
    shapes = shapes_from_labels(mask)
    found = sum(len(part.interiors) for part in shapely.get_parts(list(shapes.values()))) if shapes else 0
    # Pieces of 4-connected background inside one part; those between two parts of the mask belong to no part.
    parts, count = ndimage.label(mask, FOUR)
    assert found == sum(holes_in(parts == number) for number in range(1, count + 1))


def test_one_pixel_by_hand():
    labels = np.zeros((4, 5), np.uint16)
    labels[2, 3] = 9
    assert shapes_from_labels(labels)[9].equals(box(3, 2, 4, 3))
    assert shapely.get_coordinates(shapes_from_labels(labels)[9]).tolist() == [[3, 2], [4, 2], [4, 3], [3, 3], [3, 2]]


def test_straight_sides_have_no_vertices_between_their_ends():
    assert len(shapely.get_coordinates(shapes_from_labels(np.ones((40, 60), np.uint8))[1])) == 5


def test_a_ring_holds_what_is_inside_it_as_an_object_of_its_own():
    labels = np.zeros((9, 9), np.uint8)
    labels[1:8, 1:8] = 1
    labels[2:7, 2:7] = 0
    labels[4, 4] = 2
    shapes = shapes_from_labels(labels)
    assert [len(shapes[1].interiors), len(shapes[2].interiors)] == [1, 0]
    assert shapes[1].area == 24
    assert shapes[2].area == 1
    check_round_trip(labels)


def test_pixels_that_meet_in_a_corner_are_two_parts_and_a_closed_corner_is_a_hole():
    diagonal = np.eye(2, dtype=np.uint8)
    assert isinstance(shapes_from_labels(diagonal)[1], MultiPolygon)
    horseshoe = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], np.uint8)
    shape = shapes_from_labels(horseshoe)[1]
    assert isinstance(shape, Polygon)
    assert len(shape.interiors) == 1
    check_round_trip(horseshoe)


def test_shells_run_counter_clockwise_as_geojson_wants():
    labels = np.ones((5, 5), np.uint8)
    labels[2, 2] = 0
    shape = shapes_from_labels(labels)[1]
    assert shape.exterior.is_ccw
    assert not shape.interiors[0].is_ccw


def test_nothing_and_everything():
    assert shapes_from_labels(np.zeros((7, 3), np.int32)) == {}
    assert shapes_from_labels(np.zeros((0, 0), np.int32)) == {}
    assert shapes_from_labels(np.ones((7, 3), bool))[1].equals(box(0, 0, 3, 7))


@pytest.mark.parametrize("labels", [np.zeros((3, 3, 3), int), np.zeros((3, 3)), np.full((3, 3), -1)])
def test_what_is_no_label_image_is_refused(labels):
    with pytest.raises(ValueError, match="label image"):
        shapes_from_labels(labels)


def nuclei(count, size, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.zeros((size, size), np.uint32)
    y, x = np.mgrid[-14:15, -14:15]
    for value in range(1, count + 1):
        top, left = rng.integers(0, size - 29, 2)
        stretch = rng.uniform(0.75, 1.3, 2)
        labels[top : top + 29, left : left + 29][(y * stretch[0]) ** 2 + (x * stretch[1]) ** 2 <= 100] = value
    return labels


def test_a_thousand_touching_nuclei_are_exact_and_quick():
    labels = nuclei(1000, 2048)
    to_shapes, back = [], []
    for _ in range(3):
        start = time.process_time()
        shapes = shapes_from_labels(labels)
        middle = time.process_time()
        image = label_image([LabelObject(n, g, "cell") for n, g in shapes.items()], labels.shape)
        to_shapes.append(middle - start)
        back.append(time.process_time() - middle)
    assert (image == labels).all()
    assert all(shapely.is_valid(list(shapes.values())))
    assert min(to_shapes) < 1.5
    assert min(back) < 0.8


def test_big_noise_is_exact():
    check_round_trip(np.random.default_rng(1).integers(0, 3, (300, 220)).astype(np.uint8))
    dense = ndimage.label(np.random.default_rng(2).random((400, 500)) > 0.42, EIGHT)[0]
    shapes = shapes_from_labels(dense)
    image = label_image([LabelObject(n, g, "cell") for n, g in shapes.items()], dense.shape)
    assert (image == dense).all()
    assert all(shapely.is_valid(list(shapes.values())))


def test_real_label_images_come_back_exactly():
    tifffile = pytest.importorskip("tifffile")
    paths = sorted(DATA.glob("neubias_multidim/**/*labels*.tif"))
    if not paths:
        pytest.skip("no test data")
    for path in paths:
        check_round_trip(tifffile.imread(path))


# ---- fill ------------------------------------------------------------------------------------------------------------

coordinate = st.floats(-12, 32, allow_nan=False, width=32)
points = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=12)


def centres_inside(geometry, shape):
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return shapely.contains_xy(geometry, x, y)


@settings(max_examples=250, deadline=None)
@given(points, points)
def test_hand_drawn_outlines_fill_the_pixels_whose_centres_they_contain(a, b):
    geometry = shapely.make_valid(Polygon(a)).difference(shapely.make_valid(Polygon(b)))
    polygons = [part for part in shapely.get_parts(geometry) if part.geom_type in ("Polygon", "MultiPolygon")]
    geometry = shapely.union_all(polygons)
    shape = (17, 23)
    y, x = np.mgrid[:17, :23] + 0.5
    # Where a centre lies on an edge (or within rounding of it), which side it counts to is a matter of taste.
    clear = shapely.distance(shapely.boundary(geometry), shapely.points(x, y)) > 1e-9
    assert (painted(geometry, shape) == centres_inside(geometry, shape))[clear | geometry.is_empty].all()


def test_a_drawn_circle_with_a_hole_by_shapely():
    ring = Point(20.3, 14.8).buffer(11.7).difference(Point(22, 15).buffer(4.2))
    expected = centres_inside(ring, (32, 40))
    assert (painted(ring, (32, 40)) == expected).all()
    assert expected.sum() == pytest.approx(ring.area, rel=0.03)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), min_size=4, max_size=14, unique=True), st.data())
def test_shapes_that_share_edges_share_no_pixel_and_leave_none_out(corners, data):
    # Half-integer vertices put edges right through pixel centres.
    shift = data.draw(st.sampled_from([0, 0.5, 0.25]))
    triangles = shapely.delaunay_triangles(shapely.MultiPoint([(x + shift, y + shift) for x, y in corners]))
    total = np.zeros((26, 26), int)
    for triangle in triangles.geoms:
        total += painted(triangle, total.shape)
    hull = shapely.union_all(list(triangles.geoms))
    assert total.max(initial=0) <= 1
    if not hull.is_empty:
        assert (total >= centres_inside(hull, total.shape)).all()


def test_outside_the_image_nothing_is_filled_and_partly_outside_is_clipped():
    shape = (10, 12)
    for geometry in (box(-5, -5, -1, -1), box(12, 0, 20, 5), box(3, 10, 5, 40), Polygon(), Point(3, 3)):
        rows, columns, mask = fill(geometry, shape)
        assert mask.sum() == 0
        assert np.zeros(shape)[rows, columns].shape == mask.shape
    assert painted(box(-5, -5, 3, 2), shape).sum() == 6
    assert painted(box(-100, -100, 100, 100), shape).all()


def test_thin_shapes_between_centres_fill_nothing():
    assert painted(box(2.6, 0, 3.4, 10), (10, 10)).sum() == 0


# ---- whole frames ----------------------------------------------------------------------------------------------------


def test_label_image_takes_the_smallest_type_that_holds_the_ids_and_paints_in_order():
    low, high = LabelObject(65_535, box(0, 0, 4, 4), "a"), LabelObject(65_536, box(2, 2, 6, 6), "a")
    assert label_image([low], (8, 8)).dtype == np.uint16
    both = label_image([low, high], (8, 8))
    assert both.dtype == np.uint32
    assert [both[1, 1], both[3, 3], both[5, 5], both[7, 7]] == [65_535, 65_536, 65_536, 0]
    assert label_image([high, low], (8, 8))[3, 3] == 65_535
    with pytest.raises(MiaError, match="4294967296"):
        label_image([LabelObject(2**32, box(0, 0, 1, 1), "a")], (8, 8))


def test_class_image_numbers_the_classes_in_project_order():
    objects = [LabelObject(1, box(0, 0, 2, 2), "b"), LabelObject(2, box(3, 3, 5, 5), "a")]
    image = class_image(objects, (6, 6), make_classes(["a", "b"]))
    assert [image[0, 0], image[4, 4], image[0, 5]] == [2, 1, 0]
    with pytest.raises(MiaError, match=r"'b'.*project.toml"):
        class_image(objects, (6, 6), make_classes(["a"]))


def test_area_mask_is_the_union_of_the_annotated_areas():
    assert area_mask(FrameLabels(8, 9)) is None
    mask = area_mask(FrameLabels(8, 9, areas=(box(0, 0, 3, 3), box(2, 2, 5, 5), box(7, 7, 99, 99))))
    assert mask.shape == (8, 9)
    assert mask.sum() == 9 + 9 - 1 + 2
