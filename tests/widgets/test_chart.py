"""The line chart: known values come out in known cells, extremes are never lost, series stay apart without colour."""

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from mia_tui.widgets.chart import MARKERS, LineChart, Series, plot


def lines(grid) -> list[str]:
    return ["".join(char for char, _ in row) for row in grid]


def dots(grid) -> list[tuple[int, int]]:
    """(x, y) of every braille dot, counted in dots from the top-left cell."""
    bits = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
    return [
        (2 * column + dx, 4 * row + dy)
        for row, cells in enumerate(lines(grid))
        for column, char in enumerate(cells)
        if 0x2800 <= ord(char) < 0x2900
        for dy in range(4)
        for dx in range(2)
        if (ord(char) - 0x2800) & bits[dy][dx]
    ]


def test_a_small_chart_cell_by_cell() -> None:
    grid = plot([Series("train", [0, 1, 2, 3], [0.0, 1.0, 2.0, 3.0])], 22, 6, title="loss", x_label="epoch", best_x=3)
    assert lines(grid) == [
        "loss   ● train 3      ",
        " │               ⣀⣠⠴⠒●",
        "2┤         ⢀⣀⡤⠴●⠉⠁   ┊",
        " │    ⢀⣀●⠖⠚⠉         ┊",
        "0┤●⠤⠖⠚⠉              ┊",
        " └0────────────2─────★",
    ]
    assert [role for _, role in grid[2][2:]].count(0) == 7


@given(
    ys=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=400),
    width=st.integers(16, 120),
    height=st.integers(4, 40),
    log=st.booleans(),
)
def test_every_row_is_exactly_as_wide_and_the_extremes_touch_the_edges(ys, width, height, log) -> None:
    grid = plot([Series("a", list(range(len(ys))), ys)], width, height, title="t", x_label="epoch", log=log, best_x=1)
    assert len(grid) == height
    assert {len(row) for row in grid} == {width}
    shown = [y for y in ys if y > 1e-200] if log else ys
    if shown and max(shown) - min(shown) > max(1e-9 * max(abs(y) for y in shown), 1e-200):
        curve = [row for row in range(1, height - 1) if any(role == 0 for _, role in grid[row])]
        assert (curve[0], curve[-1]) == (1, height - 2)


@pytest.mark.parametrize("size", [(1, 1), (5, 2), (15, 3), (16, 4), (3, 30), (0, 0)])
def test_a_chart_too_small_to_draw_does_no_harm(size) -> None:
    grid = plot([Series("a", [0, 1], [1.0, 2.0])], *size, title="loss", x_label="epoch", best_x=1)
    assert [len(row) for row in grid] == [size[0]] * size[1]


def test_one_outlier_among_thousands_is_seen_and_a_mean_hides_it() -> None:
    xs = [i / 50 for i in range(20_000)]
    ys = [1.0] * 20_000
    ys[10_001] = 9.0
    grid = plot([Series("a", xs, ys)], 80, 14)
    column = round(10_001 / 20_000 * (80 - 2) * 2)
    assert min(y for x, y in dots(grid) if abs(x - 4 - column) <= 2) <= 7
    labels = [line.split("┤")[0] for line in lines(plot([Series("a", xs, ys, mean=True)], 80, 14)) if "┤" in line]
    assert max(float(label) for label in labels) < 1.1


def test_a_mean_series_runs_through_the_middle_of_its_noise() -> None:
    xs = list(range(8000))
    noise = [2.0 + (1 if i % 2 else -1) for i in xs]
    guide = Series("guide", [0, 7999], [0.0, 4.0])
    grid = plot([guide, Series("steps", xs, noise, mean=True)], 100, 22)
    rows = {row for row, cells in enumerate(grid) if sum(role == 1 for _, role in cells[5:]) > 20}
    assert rows <= {10, 11}
    assert rows


def test_a_logarithmic_axis_makes_an_exponential_straight_and_drops_zero() -> None:
    xs = list(range(41))
    grid = plot([Series("a", xs, [0.0 if x == 40 else 10 ** (-x / 10) for x in xs])], 90, 22, log=True)
    found = sorted(dots(grid))
    (x0, y0), (x1, y1) = found[0], found[-1]
    for x, y in found:
        assert abs(y - (y0 + (y1 - y0) * (x - x0) / (x1 - x0))) <= 2
    labels = [line.split("┤")[0].strip() for line in lines(grid) if "┤" in line]
    assert {"1", "0.1", "0.01", "0.001"} <= set(labels)
    assert lines(grid)[0].rstrip().endswith("log")
    assert "nothing above zero" in "".join(lines(plot([Series("a", [1], [0.0])], 60, 8, log=True)))


def test_missing_and_infinite_values_leave_a_gap_not_a_crash() -> None:
    grid = plot([Series("a", [1, 2, 3, 4], [None, math.nan, math.inf, 0.5])], 40, 8)
    assert "a 0.5" in lines(grid)[0]
    assert sum(line.count("●") for line in lines(grid)[1:]) == 1
    assert "no values yet" in "".join(lines(plot([Series("a", [], [])], 40, 8)))


def test_curves_on_top_of_each_other_show_both_markers() -> None:
    xs = list(range(500))
    ys = [math.sin(x / 50) for x in xs]
    body = "".join(lines(plot([Series("a", xs, ys), Series("b", xs, ys)], 100, 20))[1:-1])
    assert body.count("●") >= 3
    assert body.count("■") >= 3


def test_the_best_epoch_is_marked_where_it_is() -> None:
    text = lines(plot([Series("a", list(range(1, 12)), [float(v) for v in range(11)])], 102, 10, best_x=6))
    gutter = text[-1].index("└") + 1
    assert abs(text[-1].index("★") - (gutter + (102 - gutter) / 2)) <= 1
    assert "★ best 6" in text[0]
    assert all(
        line[text[-1].index("★")] in "┊●" or 0x2800 < ord(line[text[-1].index("★")]) < 0x2900 for line in text[1:-1]
    )


@pytest.mark.parametrize("char", MARKERS + "★┊┤│└─")
def test_glyphs_take_one_column(char) -> None:
    assert unicodedata.east_asian_width(char) != "W"


class ChartApp(App[None]):
    def compose(self) -> ComposeResult:
        yield LineChart("loss", "epoch", id="chart")


async def test_the_widget_fills_its_place_resizes_and_switches_its_axis() -> None:
    app = ChartApp()
    async with app.run_test(size=(60, 20)) as pilot:
        chart = app.query_one(LineChart)

        def text() -> list[str]:
            return [chart.render_line(y).text for y in range(chart.size.height)]

        assert "no values yet" in "".join(text())
        chart.show([Series("train", [1, 2, 3], [3.0, 2.0, 1.0]), Series("validation", [1, 2, 3], [3.5, 2.5, 0.5])])
        await pilot.pause()
        assert "● train 1   ■ validation 0.5" in text()[0]
        first = text()
        chart.log_scale = True
        await pilot.pause()
        assert text() != first
        assert text()[0].rstrip().endswith("log")
        await pilot.resize_terminal(100, 30)
        assert [len(line) for line in text()] == [100] * 30
        colours = {s.style.color for s in chart.render_line(0) if s.text.strip()[:1] in ("●", "■") and s.style}
        assert len(colours) == 2
