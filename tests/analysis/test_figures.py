"""Figures: what is drawn lies where it should, on the page, in the picture and in characters."""

import io
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mia_tui.analysis.figure import CONTRAST, Area, Axis, Curve, Disc, Figure, Line, Words, layout, on_white
from mia_tui.analysis.figure_png import ZOOM, paint, write_png
from mia_tui.analysis.figure_svg import svg
from mia_tui.analysis.figure_text import GLYPHS, as_lines, draw

SVG = "{http://www.w3.org/2000/svg}"


def figure(*curves, **options):
    return Figure(
        "A title", Axis("x (µm)", **options.pop("x", {})), Axis("y (s)", **options.pop("y", {})), curves, **options
    )


def contrast(color: str) -> float:
    """Against white, by the formula of WCAG 2.2."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    ]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


@given(st.from_regex(r"#[0-9A-F]{6}", fullmatch=True))
def test_every_colour_can_be_seen_on_white(color) -> None:
    found = on_white(color)
    assert contrast(found) >= CONTRAST - 0.05
    if contrast(color) >= CONTRAST:
        assert found == color


def test_values_lie_where_the_numbers_of_the_axes_say() -> None:
    marks = layout(figure(Curve([0, 10, 20], [1, 5, 3], "#000000", kind="dots")))
    numbers = {mark.text: mark.place for mark in marks if isinstance(mark, Words)}
    dots = [mark.centre for mark in marks if isinstance(mark, Disc)]
    assert dots[1][0] == pytest.approx(numbers["10"][0])
    ticks = {mark.text: mark.place[1] - 4 for mark in marks if isinstance(mark, Words) and mark.anchor == "end"}
    a, b = sorted(float(text) for text in ticks)[:2]
    slope = (ticks[f"{b:g}"] - ticks[f"{a:g}"]) / (b - a)
    assert dots[1][1] == pytest.approx(ticks[f"{a:g}"] + (5 - a) * slope)


def test_logarithmic_axes_and_axes_that_grow_downwards() -> None:
    powers = layout(figure(Curve([1, 10, 100], [1, 10, 100], "#000000", kind="dots"), x={"log": True}, y={"log": True}))
    xs, ys = zip(*(mark.centre for mark in powers if isinstance(mark, Disc)), strict=True)
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1])
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2])
    assert ys[0] > ys[1]
    down = layout(figure(Curve([0, 1], [0, 1], "#000000", kind="dots"), y={"down": True}))
    first, second = (mark.centre[1] for mark in down if isinstance(mark, Disc))
    assert first < second


def test_a_gap_in_the_values_is_a_gap_in_the_line() -> None:
    nan = math.nan
    curve = Curve([0, 1, 2, 3, 4, 5], [1, 2, nan, 2, 1, 0], "#AA0000")
    lines = [m for m in layout(figure(curve, y={"log": True})) if isinstance(m, Line) and m.color == "#AA0000"]
    assert [len(mark.points) for mark in lines] == [2, 2]  # 0 is not on a logarithmic axis


def test_a_square_figure_has_one_scale_and_a_band_goes_around_its_curve() -> None:
    limits = {"limits": (-5, 5)}
    marks = layout(figure(Curve([0, 3, 0], [0, 0, 3], "#000000", kind="dots"), x=limits, y=limits, square=True))
    origin, right, top = (mark.centre for mark in marks if isinstance(mark, Disc))
    assert right[0] - origin[0] == pytest.approx(origin[1] - top[1])
    band = layout(figure(Curve([0, 1], [2, 2], "#000000", low=[1, 1], high=[3, 3])))
    area = next(mark for mark in band if isinstance(mark, Area))
    line = next(mark for mark in band if isinstance(mark, Line) and mark.width == 1.8)
    assert min(y for _, y in area.points) < line.points[0][1] < max(y for _, y in area.points)


def test_svg_is_xml_with_words_as_words() -> None:
    shown = figure(Curve([0, 1], [0, 1], "#0072B2", "round & <long>\x07"), notes=("p < 0.001",), rules=(0.5,))
    root = ElementTree.fromstring(svg(shown))
    words = [node.text for node in root.iter(f"{SVG}text")]
    assert {"A title", "x (µm)", "y (s)", "p < 0.001", "round & <long> "} <= set(words)
    assert (root.get("width"), root.get("height")) == ("640", "440")
    assert any(node.get("stroke") == "#0072B2" for node in root.iter(f"{SVG}polyline"))
    assert any(node.get("stroke-dasharray") for node in root.iter(f"{SVG}polyline"))
    assert "nan" not in svg(figure(Curve([0, math.nan], [1, 2], "#000000")))


def test_png_shows_the_colours_where_the_layout_puts_them(tmp_path) -> None:
    shown = figure(
        Curve([0, 1], [0, 1], "#C00000", width=4), Curve([0.5], [0.2], "#0000C0", kind="dots"),
        Curve([0, 1], [1, 0], "#008000", kind="dashed", width=3),
    )  # fmt: skip
    write_png(shown, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as opened:
        pixels = np.asarray(opened.convert("RGB")).astype(int)
    assert pixels.shape == (440 * ZOOM, 640 * ZOOM, 3)
    for mark in layout(shown):
        if isinstance(mark, Disc):
            x, y = (round(ZOOM * value) for value in mark.centre)
            assert pixels[y, x].tolist() == [0, 0, 0xC0]
        if isinstance(mark, Line) and mark.color == "#C00000":
            (x0, y0), (x1, y1) = mark.points
            x, y = round(ZOOM * (0.3 * x0 + 0.7 * x1)), round(ZOOM * (0.3 * y0 + 0.7 * y1))
            assert pixels[y, x].tolist() == [0xC0, 0, 0]
        if isinstance(mark, Line) and mark.dashed:
            (x0, y0), (x1, y1) = mark.points
            along = np.linspace(0, 1, 400)[:, None] * [x1 - x0, y1 - y0] + [x0, y0]
            drawn = (pixels[tuple((ZOOM * along).round().astype(int).T[::-1])] == [0, 0x80, 0]).all(axis=1)
            assert 0.4 < drawn.mean() < 0.7
    dark = (pixels.sum(axis=2) < 200).any(axis=(0,))
    assert dark[: 40 * ZOOM].any()  # the turned label at the left


def test_png_without_a_font_of_the_system(monkeypatch) -> None:
    from mia_tui.analysis import figure_png

    monkeypatch.setattr(figure_png, "_FONTS", ())
    figure_png._font.cache_clear()
    try:
        plain, other = (paint(Figure(text, Axis("µm²"), Axis("µm"), ())) for text in ("", "α"))
        assert plain.tobytes() != other.tobytes()
    finally:
        figure_png._font.cache_clear()


@pytest.mark.parametrize("curves", [(), (Curve([], [], "#000000"),), (Curve([1], [math.nan], "#000000", "a"),)])
def test_nothing_is_said_to_be_nothing(curves) -> None:
    shown = figure(*curves)
    assert "nothing to show" in svg(shown)
    assert any("nothing to show" in line for line in as_lines(draw(shown, 60, 12)))
    paint(shown).save(io.BytesIO(), "PNG")


def test_characters_by_hand() -> None:
    shown = figure(
        Curve([0, 40], [0, 8], "#000000", "up"), Curve([20], [2], "#FF0000", "seen", "dots"),
        x={"limits": (0, 40)}, y={"limits": (0, 8)}, notes=("a note that is too long for one line",),
    )  # fmt: skip
    lines = as_lines(draw(shown, 32, 14))
    assert lines[:2] + lines[10:] == [
        "A title",
        "━━ up   ■  seen",
        "  └┴─────────────┴─────────────┴",
        "   0            20        x (µm)",
        "a note that is too long for one",
        "line",
    ]
    assert [line[:3] for line in lines[2:10]] == ["  │", "  │", "  │", " 5┤", "  │", "  │", "  │", " 0┤"]
    assert lines[2][4:9] == "y (s)"
    assert lines[7][17] == "■"  # 29 x 8 cells are 58 x 32 dots; (20, 2) is dot 28 from the left and 8 from below
    bits = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
    dots = {
        (2 * column + dx, 4 * row + dy)
        for row, line in enumerate(lines[2:10])
        for column, char in enumerate(line[3:])
        for dy in range(4)
        for dx in range(2)
        if 0x2800 < ord(char) < 0x2900 and (ord(char) - 0x2800) & bits[dy][dx]
    }
    assert dots == {(x, round(31 - 31 * x / 57)) for x in range(58)}


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6) | st.just(math.nan)), max_size=30),
    st.integers(0, 100), st.integers(0, 30), st.booleans(), st.booleans(), st.sampled_from(["line", "dashed", "dots"]),
)  # fmt: skip
def test_any_figure_fills_its_place_in_characters_and_its_page(points, width, height, log, square, kind) -> None:
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    shown = figure(Curve(xs, ys, "#123456", "name", kind), x={"log": log}, y={"down": log}, square=square)
    grid = draw(shown, width, height)
    assert len(grid) == height
    assert all(len(row) == width for row in grid)
    page_width, page_height = shown.size
    for mark in layout(shown):
        places = (
            mark.points if isinstance(mark, Line | Area) else [mark.centre if isinstance(mark, Disc) else mark.place]
        )
        assert all(-1 <= x <= page_width + 1 and -1 <= y <= page_height + 1 for x, y in places)


def test_every_colour_has_its_glyph() -> None:
    curves = [Curve([n], [n], f"#00000{n}", f"c{n}", "dots") for n in range(4)]
    text = "\n".join(as_lines(draw(figure(*curves), 60, 20)))
    for glyph, name in zip(GLYPHS[:4], ("c0", "c1", "c2", "c3"), strict=True):
        assert re.search(f"{glyph}  {name}", text)
        assert text.count(glyph) == 2
