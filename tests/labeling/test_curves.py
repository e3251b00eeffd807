"""Splines through rays and points, ellipses, outlines between frames."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import rotate, scale, translate
from shapely.geometry import Point, box

from mia_tui.labeling.between import between
from mia_tui.labeling.curves import Ellipse, compass, fit_ellipse, rays, rays_of, spline
from mia_tui.labeling.raster import fill, shapes_from_labels

SHAPE = (200, 220)


def overlap(a, b):
    return a.intersection(b).area / a.union(b).area


def pixels(geometry, shape=SHAPE):
    image = np.zeros(shape, bool)
    rows, columns, mask = fill(geometry, shape)
    image[rows, columns] = mask
    return image


def ellipse(y, x, a, b, degrees):
    return translate(rotate(scale(Point(0, 0).buffer(1, quad_segs=256), a, b), degrees), x, y)


# ---- splines and rays ------------------------------------------------------------------------------------------------


def test_the_compass_begins_at_the_top_and_goes_clockwise():
    assert np.allclose(compass()[[0, 2, 4, 6]], [[-1, 0], [0, 1], [1, 0], [0, -1]])


@pytest.mark.parametrize("radius", [1, 4, 30, 90])
def test_eight_equal_rays_are_a_circle(radius):
    made = rays((100, 110), [radius] * 8, SHAPE)
    edge = shapely.get_coordinates(made) - (110, 100)
    assert np.abs(np.hypot(*edge.T) - radius).max() < 0.005 * radius + 0.01
    # The pieces that stand for the curve keep close to it, too.
    middle = (edge[1:] + edge[:-1]) / 2
    assert np.abs(np.hypot(*middle.T) - radius).max() < 0.005 * radius + 0.1


def test_the_spline_runs_through_its_points():
    points = np.array([(20, 30), (25, 120), (150, 180), (180, 90), (90, 20)])
    made = spline(points, SHAPE)
    assert made.is_valid
    for y, x in points:
        assert made.exterior.distance(Point(x, y)) < 0.1


@pytest.mark.parametrize("points", [[], [(1, 1)], [(1, 1), (5, 5)], [(1, 1), (1, 1), (4, 4), (np.nan, 2)]])
def test_less_than_three_points_span_nothing(points):
    assert spline(points, SHAPE) is None


def test_a_spline_that_crosses_itself_becomes_parts():
    made = spline([(20, 20), (120, 120), (20, 120), (120, 20)], SHAPE)
    assert made.is_valid
    assert len(shapely.get_parts(made)) == 2


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.floats(-50, 260), st.floats(-50, 260)), max_size=9))
def test_any_points_give_a_valid_outline_or_none(points):
    made = spline(points, SHAPE)
    assert made is None or (made.is_valid and made.area > 0)


@settings(max_examples=60, deadline=None)
@given(st.floats(4, 60), st.floats(0.6, 1), st.floats(0, 180))
def test_rays_of_an_ellipse_give_it_back(radius, narrow, degrees):
    truth = ellipse(100, 110, radius, radius * narrow, degrees)
    centre, radii = rays_of(truth)
    assert np.allclose(centre, (100, 110), atol=1e-6)
    assert overlap(rays(centre, radii, SHAPE), truth) > 0.93


def test_rays_of_a_box_by_hand_from_a_centre_of_ones_own():
    centre, radii = rays_of(box(10, 20, 30, 40), centre=(25, 12))
    assert centre == (25, 12)
    assert radii == pytest.approx([5, 5 * 2**0.5, 18, 15 * 2**0.5, 15, 2 * 2**0.5, 2, 2 * 2**0.5])


def test_rays_start_inside_even_if_the_centroid_lies_outside():
    ring = Point(50, 50).buffer(30).difference(box(0, 45, 85, 55)).difference(Point(50, 50).buffer(25))
    centre, radii = rays_of(max(shapely.get_parts(ring), key=lambda part: part.area))
    assert ring.contains(Point(centre[1], centre[0]))
    assert (radii > 0).all()


def test_rays_of_a_single_pixel():
    centre, radii = rays_of(box(3, 4, 4, 5))
    assert centre == (4.5, 3.5)
    assert (pixels(rays(centre, radii, SHAPE)) == pixels(box(3, 4, 4, 5))).all()


# ---- ellipses --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.floats(1, 60), st.floats(0.1, 0.95), st.floats(0, 3.1))
def test_an_ellipse_is_fitted_to_itself(radius, narrow, angle):
    truth = Ellipse((100.0, 110.0), (radius, max(radius * narrow, 0.5)), angle)
    found = fit_ellipse(truth.outline(SHAPE))
    assert found.centre == pytest.approx(truth.centre)
    assert found.radii == pytest.approx(truth.radii, rel=0.02, abs=0.05)
    turned = abs(found.angle - truth.angle) % np.pi
    if truth.radii[1] < 0.9 * truth.radii[0]:
        assert min(turned, np.pi - turned) < 0.02


def test_the_angle_goes_from_right_towards_down():
    made = Ellipse((50.0, 50.0), (20.0, 5.0), np.pi / 4).outline(SHAPE)
    assert made.contains(Point(60, 60))
    assert not made.contains(Point(60, 40))


def test_holes_and_parts_count_in_the_fit():
    two = shapely.MultiPolygon([box(0, 0, 2, 2), box(10, 0, 12, 2)])
    found = fit_ellipse(two)
    assert found.centre == (1, 6)
    # Variance along x: 25 between the boxes and 1/3 inside each.
    assert found.radii == pytest.approx((2 * np.sqrt(25 + 1 / 3), 2 * np.sqrt(1 / 3)))
    ring = box(0, 0, 12, 12).difference(box(3, 3, 9, 9))
    assert fit_ellipse(ring).radii[0] == pytest.approx(2 * np.sqrt((12**4 - 6**4) / 12 / (144 - 36)))


def test_an_ellipse_of_no_size_is_about_a_pixel_and_one_outside_is_none():
    assert Ellipse((4.5, 4.5), (0.0, 0.0), 0.0).outline(SHAPE).area == pytest.approx(np.pi / 4, rel=0.03)
    assert Ellipse((-50.0, 4.5), (9.0, 9.0), 0.0).outline(SHAPE) is None


# ---- between frames --------------------------------------------------------------------------------------------------


def traced(mask):
    return shapes_from_labels(mask.astype(np.uint8))[1]


def test_what_only_moves_keeps_its_pixels():
    mask = np.zeros(SHAPE, bool)
    mask[20:40, 30:60] = True
    mask[30:50, 30:40] = True
    moved = np.roll(mask, (40, 80), axis=(0, 1))
    made = between(traced(mask), traced(moved), 3, SHAPE)
    for share, outline in enumerate(made, 1):
        assert (pixels(outline) == np.roll(mask, (10 * share, 20 * share), axis=(0, 1))).all()


def test_a_disc_that_grows_has_the_radii_between():
    small, large = Point(60.5, 60.5).buffer(10), Point(120.5, 100.5).buffer(40)
    made = between(small, large, 2, SHAPE)
    for radius, x, y, outline in zip((20, 30), (80.5, 100.5), (73.8, 87.2), made, strict=True):
        assert overlap(outline, Point(x, y).buffer(radius)) > 0.93


def test_holes_single_pixels_and_ways_out_of_the_image():
    pixel = box(5, 5, 6, 6)
    assert all(outline.equals(pixel) for outline in between(pixel, pixel, 4, SHAPE))
    ring = Point(50, 50).buffer(20).difference(Point(50, 50).buffer(8))
    assert len(shapely.get_parts(between(ring, ring, 1, SHAPE)[0])[0].interiors) == 1
    assert between(pixel, box(-9, -9, -5, -5), 2, SHAPE) == [None, None]
    assert between(pixel, ring, 0, SHAPE) == []


def test_forms_that_have_nothing_in_common_are_still_an_object():
    ring = Point(50, 50).buffer(20).difference(Point(50, 50).buffer(15))
    for outline in between(ring, Point(50, 50).buffer(3), 3, SHAPE):
        assert outline.area > 0
