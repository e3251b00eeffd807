"""Pictures as cells: sampling, quadrant blocks, outlines in braille dots."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from mia_tui.widgets.canvas.overlay import BRAILLE, BRAILLE_BITS, compose, dots, draw, trace
from mia_tui.widgets.canvas.painter import paint_base, painter_of
from mia_tui.widgets.canvas.pyramid import Pyramid, halve
from mia_tui.widgets.canvas.scene import Layer, Mark, Scene
from mia_tui.widgets.canvas.view import View, fit_scale, place


def grey(values):
    return np.repeat(values[0][..., None], 3, axis=2).astype(np.uint8)


def paint(pyramid, view, display, layers=(), marks=(), *, glyphs="quadrant", mono=False, void=(0, 0, 0)):
    """A view with its overlays, as the canvas makes it."""
    base = paint_base(pyramid, view, display, painter_of(glyphs, mono=mono), void=void)
    return compose(base, draw(Scene(pyramid, display, tuple(layers), tuple(marks)), view), mono=mono)


def layer(geometries, dashed=False):
    count = len(geometries)
    return Layer(
        trace(geometries), np.full((count, 3), 200, np.uint8), np.full(count, dashed), np.ones(count, np.bool_)
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_halving_is_the_mean_of_two_by_two_pixels(dtype) -> None:
    plane = np.random.default_rng(0).integers(0, 250, (2, 6, 8)).astype(dtype)
    expected = plane.reshape(2, 3, 2, 4, 2).astype(float).mean(axis=(2, 4))
    halved = halve(plane)
    assert halved.dtype == dtype
    np.testing.assert_allclose(halved, expected if dtype == np.float32 else np.floor(expected))


def test_halving_does_not_overflow_and_keeps_odd_borders() -> None:
    plane = np.full((1, 5, 3), 65535, np.uint16)
    np.testing.assert_array_equal(halve(plane), np.full((1, 3, 2), 65535))


def test_a_zoomed_out_view_shows_means_not_single_pixels() -> None:
    """A checkerboard of 0 and 200 is an even 100 from far away; picking pixels would show 0 or 200."""
    y, x = np.mgrid[:256, :256]
    plane = (((y + x) % 2) * 200).astype(np.uint8)[None]
    view = place(256, 256, 8, 16, fit_scale(256, 256, 8, 16), 0, 0)
    values, inside = Pyramid(plane).sample(view)
    assert inside.all()
    assert values.min() == values.max() == 100


@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.02, 32), st.floats(-50, 400), st.floats(-50, 400))
@settings(max_examples=200, deadline=None)
def test_a_view_never_leaves_the_picture_and_never_wastes_room(height, width, scale, y, x) -> None:
    view = place(height, width, 20, 60, scale, y, x)
    for start, size, shown in ((view.top, height, 40 / scale), (view.left, width, 60 / scale)):
        if shown >= size:  # all of it is seen, in the middle
            assert start == pytest.approx((size - shown) / 2)
        else:
            assert -1e-6 <= start <= size - shown + 1e-6


def test_cells_reproduce_a_picture_whose_pixels_are_quarters_of_cells() -> None:
    """At half a column per pixel every quadrant is one sample column; black and white come back exactly."""
    rng = np.random.default_rng(3)
    quarters = rng.integers(0, 2, (6, 10)) * 255  # 3 lines x 5 columns of cells
    plane = np.kron(quarters, np.ones((2, 1), int)).astype(np.uint8)[None]  # a quarter is 1 wide and 2 high
    cells = paint(Pyramid(plane), View(3, 5, 0, 0, 0.5), grey)
    glyphs = {" ": 0, "▘": 1, "▝": 2, "▀": 3, "▖": 4, "▌": 5, "▞": 6, "▛": 7, "▗": 8, "▚": 9, "▐": 10, "▜": 11}
    glyphs |= {"▄": 12, "▙": 13, "▟": 14}
    for row in range(3):
        for column in range(5):
            bits = glyphs[chr(cells.glyph[row, column])]
            shown = [cells.fg[row, column, 0] if bits >> i & 1 else cells.bg[row, column, 0] for i in range(4)]
            np.testing.assert_array_equal(shown, quarters[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].ravel())


def test_what_lies_outside_the_picture_has_the_colour_of_the_screen() -> None:
    view = place(10, 10, 10, 40, 1.0, 0, 0)
    cells = paint(Pyramid(np.full((1, 10, 10), 255, np.uint8)), view, grey, void=(20, 23, 26))
    assert tuple(cells.bg[0, 0]) == (20, 23, 26)
    assert tuple(cells.bg[5, 20]) == (255, 255, 255)


def braille_dots(cells):
    """All (y, x) of raised dots, read from the glyphs."""
    found = set()
    for row, column in np.argwhere(cells.glyph >= BRAILLE):
        bits = int(cells.glyph[row, column]) - BRAILLE
        found |= {(4 * row + y, 2 * column + x) for y in range(4) for x in range(2) if bits & int(BRAILLE_BITS[y, x])}
    return found


def test_the_outline_of_a_square_is_drawn_where_it_is() -> None:
    """At scale 1 a pixel is two dots wide and high: the square from (5, 3) to (15, 9) has its sides at twice that."""
    square = shapely.box(5, 3, 15, 9)
    cells = paint(Pyramid(np.zeros((1, 20, 30), np.uint8)), View(10, 30, 0, 0, 1.0), grey, [layer([square])])
    expected = {(y, x) for x in range(10, 30) for y in (6, 18)} | {(y, x) for y in range(6, 18) for x in (10, 30)}
    expected |= {(18, 30)}
    assert braille_dots(cells) - {(18, 30)} == expected - {(18, 30)}


def test_holes_and_all_parts_are_drawn_and_hidden_objects_are_not() -> None:
    ring = shapely.Polygon([(2, 2), (18, 2), (18, 18), (2, 18)], [[(6, 6), (6, 14), (14, 14), (14, 6)]])
    parts = shapely.MultiPolygon([shapely.box(20, 2, 24, 6), shapely.box(20, 10, 24, 14)])
    view = View(10, 30, 0, 0, 1.0)
    y, x, owner = dots(layer([ring, parts]), view)
    assert {(12, 12), (28, 20)} <= set(zip(y[owner == 0].tolist(), x[owner == 0].tolist(), strict=True))
    assert {(4, 40), (20, 40)} <= set(zip(y[owner == 1].tolist(), x[owner == 1].tolist(), strict=True))
    both = layer([ring, parts])
    shown = Layer(both.outlines, both.colors, both.dashed, np.array([False, True]))
    assert set(dots(shown, view)[2].tolist()) == {1}


def test_dashed_outlines_have_gaps_all_along() -> None:
    view = View(20, 60, 0, 0, 1.0)
    square = shapely.box(2, 2, 30, 30)
    solid, dashed = (len(dots(layer([square], dashed=flag), view)[0]) for flag in (False, True))
    assert 0.5 < dashed / solid < 0.7


def test_an_outline_on_the_border_of_the_view_is_not_lost() -> None:
    view = View(10, 30, 0, 0, 1.0)
    y, x, _ = dots(layer([shapely.box(0, 0, 30, 20)]), view)
    assert {int(x.min()), int(x.max())} == {0, 59}
    assert {int(y.min()), int(y.max())} == {0, 39}


def test_without_colour_brightness_becomes_shades_and_outlines_stay_glyphs() -> None:
    plane = np.repeat(np.array([0, 60, 120, 170, 255], np.uint8), 2)[None, None, :].repeat(4, axis=1)
    cells = paint(Pyramid(plane), View(2, 10, 0, 0, 1.0), grey, [layer([shapely.box(0, 2, 4, 4)])], mono=True)
    assert "".join(map(chr, cells.glyph[0])) == "  ░░▒▒▓▓██"
    assert BRAILLE < cells.glyph[1, 0] < BRAILLE + 256


def test_marks_are_written_at_their_point_and_clipped_at_the_border() -> None:
    plane = np.zeros((1, 20, 30), np.uint8)
    marks = [Mark(4, 10, "17"), Mark(4, 29, "123"), Mark(100, 0, "x")]
    cells = paint(Pyramid(plane), View(10, 30, 0, 0, 1.0), grey, marks=marks)
    line = "".join(map(chr, cells.glyph[2]))
    assert line[10:12] == "17"
    assert line[29] == "1"
