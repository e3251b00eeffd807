"""What lies over the picture: sketches, handles, hints, the grid; and that only what changed is painted and written."""

import numpy as np
import pytest
import shapely
from rich.style import Style
from textual.app import App

from mia_tui.errors import MiaError
from mia_tui.widgets.canvas.cells import BOLD, CLEAR, REVERSE, Cells, bare, differences, strips
from mia_tui.widgets.canvas.overlay import ASCII_SIGNS, BRAILLE, HINT_BACK, compose, draw, trace
from mia_tui.widgets.canvas.painter import ASCII_SHADES, PAINTERS, paint_base, painter_of
from mia_tui.widgets.canvas.pyramid import Pyramid
from mia_tui.widgets.canvas.scene import Grid, Layer, Mark, Scene, Stroke
from mia_tui.widgets.canvas.view import View
from mia_tui.widgets.canvas.widget import ImageCanvas

VIEW = View(20, 60, 0, 0, 1.0)
PYRAMID = Pyramid(np.zeros((1, 40, 60), np.uint8))


def grey(values):
    return np.repeat(values[0][..., None], 3, axis=2).astype(np.uint8)


def drawn(scene=None, *, mono=False, glyphs="quadrant", view=VIEW, **parts) -> Cells:
    scene = scene or Scene(PYRAMID, grey, **parts)
    base = paint_base(scene.pyramid, view, grey, painter_of(glyphs, mono=mono))
    signs = ASCII_SIGNS if glyphs == "ascii" else None
    return compose(base, draw(scene, view, signs=signs), mono=mono)


def text_of(cells, row, start=0, end=None) -> str:
    return "".join(map(chr, cells.glyph[row, start:end]))


def box_layer(*boxes, dashed=False):
    count = len(boxes)
    return Layer(
        trace([shapely.box(*box) for box in boxes]),
        np.full((count, 3), 200, np.uint8),
        np.full(count, dashed),
        np.ones(count, np.bool_),
    )


def test_hints_are_in_front_of_everything_black_on_yellow_and_bold() -> None:
    marks = (Mark(10, 20, "as", kind="hint"), Mark(10, 19, "1234", (255, 0, 0)))
    cells = drawn(layers=(box_layer((10, 5, 40, 15)),), marks=marks)
    assert text_of(cells, 5, 19, 23) == "1as4"
    assert tuple(cells.fg[5, 20]) == (0, 0, 0)
    assert tuple(cells.bg[5, 20]) == HINT_BACK
    assert cells.attr[5, 20] & BOLD
    assert not cells.attr[5, 19] & BOLD


def test_without_colours_hints_are_reversed_and_nothing_else_is() -> None:
    cells = drawn(mono=True, marks=(Mark(10, 20, "as", kind="hint"), Mark(20, 20, "7")))
    assert (cells.attr & REVERSE > 0).sum() == 2
    assert cells.attr[5, 20] & REVERSE


def test_a_handle_is_one_sign_and_a_stroke_is_a_line_through_its_points() -> None:
    stroke = Stroke(np.array([[5.0, 5.0], [25.0, 5.0], [25.0, 15.0]]), (1, 2, 3))
    cells = drawn(strokes=(stroke,), marks=(Mark(5, 25, "", (9, 9, 9), "handle"), Mark(15, 25, "ab", kind="handle")))
    assert text_of(cells, 2, 25, 26) == "●"
    assert text_of(cells, 7, 25, 27)[0] == "a"
    assert text_of(cells, 7, 26, 27) != "b"
    line = cells.glyph[2, 5:25]
    assert ((line > BRAILLE) & (line < BRAILLE + 256)).all()
    assert tuple(cells.fg[2, 10]) == (1, 2, 3)
    assert (cells.glyph[3:7, 25] > BRAILLE).all()


def test_a_dashed_stroke_has_gaps_and_a_single_point_is_a_dot() -> None:
    def dots_of(stroke):
        overlay = draw(Scene(PYRAMID, grey, strokes=(stroke,)), VIEW)
        return sum(int(glyph - BRAILLE).bit_count() for glyph in overlay.glyph)

    points = np.array([[2.0, 3.3], [50.0, 3.3]])
    assert dots_of(Stroke(points, dashed=True)) < 0.7 * dots_of(Stroke(points))
    assert dots_of(Stroke(points[:1])) == 1
    assert dots_of(Stroke(points[:0])) == 0


def test_the_grid_has_its_letters_in_the_middle_of_its_cells() -> None:
    rows = ("abcde", "fghij", "klmno", "pqrst", "uvwxy")
    cells = drawn(grid=Grid((0, 0, 60, 40), rows))
    for i, line in enumerate(rows):
        for j, letter in enumerate(line):
            assert text_of(cells, 4 * i + 2)[12 * j + 6] == letter
    lines = set(text_of(cells, 4)) | set(text_of(cells, 5))
    assert {"─", "┼", "│"} <= lines


def test_a_grid_too_small_for_lines_keeps_its_letters() -> None:
    cells = drawn(grid=Grid((10, 10, 20, 20), ("abcde", "fghij", "klmno", "pqrst", "uvwxy")))
    shown = {text_of(cells, row)[column] for row in range(20) for column in range(60)}
    assert set("abcdefghijklmnopqrstuvwxy") <= shown
    assert not {"─", "│"} & shown


def test_plain_ascii_is_plain_ascii() -> None:
    plane = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))[None]
    scene = Scene(
        Pyramid(plane), grey, (box_layer((5, 5, 20, 15)), box_layer((30, 5, 50, 15), dashed=True)),
        (Mark(5, 5, "", kind="handle"), Mark(30, 3, "hj", kind="hint")), (4, 4, 55, 30),
        (Stroke(np.array([[5.0, 35.0], [50.0, 35.0]])),), Grid((0, 20, 60, 40), ("ab", "cd")),
    )  # fmt: skip
    cells = drawn(scene, glyphs="ascii", mono=True)
    text = [text_of(cells, row) for row in range(20)]
    assert all(line.isascii() for line in text)
    assert {"+", "x", "*", "o", "|"} <= set("".join(text))
    assert set(ASCII_SHADES).isdisjoint("+x*")


def test_over_real_pixels_only_overlays_are_text_and_hints_alone_have_a_ground() -> None:
    marks = (Mark(10, 20, "as", kind="hint"), Mark(20, 20, "7"))
    overlay = draw(Scene(PYRAMID, grey, marks=marks), VIEW)
    cells = compose(bare(20, 60), overlay)
    assert (cells.glyph != 0).sum() == 3
    assert not cells.attr[5, 20] & CLEAR
    assert cells.attr[10, 20] & CLEAR
    line = strips(cells, base_cell=lambda row, column: ("·", Style.null()))[5]
    assert line.text == "·" * 20 + "as" + "·" * 38
    assert "48;2;255;224;0" in line.written


@pytest.mark.parametrize("name", ["half", "quadrant", "sextant", "octant"])
def test_a_glyph_shows_each_of_its_parts(name) -> None:
    """Black and white parts come back from the glyph, by what Unicode says its name looks like."""
    painter = PAINTERS[name]
    high, wide = painter.parts
    for bits in range(2 ** (high * wide)):
        parts = np.array([255 * (bits >> i & 1) for i in range(high * wide)], np.uint8).reshape(high, wide)
        picture = np.kron(parts, np.ones((painter.dots[0] // high, painter.dots[1] // wide), np.uint8))
        cells = painter.paint(np.repeat(picture[..., None], 3, axis=2), coarse=False)
        glyph, fg, bg = chr(cells.glyph[0, 0]), int(cells.fg[0, 0, 0]), int(cells.bg[0, 0, 0])
        shown = [fg if ink else bg for ink in INK(glyph, high, wide)]
        assert shown == parts.ravel().tolist(), (name, bits, glyph)


def INK(glyph, high, wide):
    """Which parts of a block glyph have ink, left to right, top to bottom, from its Unicode number."""
    quarters = {" ": 0, "▘": 1, "▝": 2, "▀": 3, "▖": 4, "▌": 5, "▞": 6, "▛": 7, "▗": 8, "▚": 9, "▐": 10, "▜": 11,
                "▄": 12, "▙": 13, "▟": 14, "█": 15}  # fmt: skip
    if glyph in quarters:
        bits = quarters[glyph]
        return [bool(bits >> (2 * (2 * row // high) + (2 * column // wide if wide == 2 else 0)) & 1)
                for row in range(high) for column in range(wide)] if high != 3 else _thirds(bits)  # fmt: skip
    number = ord(glyph)
    if 0x1FB00 <= number < 0x1FB3C:  # BLOCK SEXTANT-1 … in order, without the left half (21) and the right half (42)
        pattern = number - 0x1FB00 + 1
        pattern += (pattern >= 21) + (pattern + (pattern >= 21) >= 42)
        return [bool(pattern >> i & 1) for i in range(6)]
    rest = {"▂": "00000011", "▆": "00111111", "\U0001fb82": "11000000", "\U0001fb85": "11111100",
            "\U0001cea8": "10000000", "\U0001ceab": "01000000", "\U0001cea3": "00000010", "\U0001cea0": "00000001",
            "\U0001fbe6": "00101000", "\U0001fbe7": "00010100"}  # fmt: skip
    if glyph in rest:
        return [bit == "1" for bit in rest[glyph]]
    return [str(digit) in OCTANTS[number] for digit in range(1, 9)]


def _thirds(bits):
    """A half block on a grid of three lines: only the upright halves are among the sextants."""
    assert bits in (0, 5, 10, 15)
    return [bool(bits & 1) if column == 0 else bool(bits & 2) for _ in range(3) for column in range(2)]


# A sample of the code chart of Unicode 16 (Symbols for Legacy Computing Supplement): number -> parts in the name.
OCTANT_NAMES = {
    0x1CD00: "3", 0x1CD01: "23", 0x1CD02: "123", 0x1CD03: "4", 0x1CD04: "14", 0x1CD05: "124", 0x1CD06: "34",
    0x1CD07: "134", 0x1CD08: "234", 0x1CDE5: "2345678",
}  # fmt: skip


class _Octants(dict):
    def __missing__(self, number):
        return OCTANT_NAMES.get(number) or _by_order(number)


def _by_order(number):
    """Names in the chart's order: by the bits of their parts, without those that have a character elsewhere."""
    elsewhere = {"", "1", "2", "7", "8", "12", "78", "13", "24", "57", "68", "35", "46", "1234", "5678", "1357", "2468",
                 "123456", "345678", "12345678", "1368", "2457", "123457", "123468", "135678", "245678"}  # fmt: skip
    names = ["".join(str(i + 1) for i in range(8) if bits >> i & 1) for bits in range(256)]
    return [name for name in names if name not in elsewhere][number - 0x1CD00]


OCTANTS = _Octants()


def test_the_order_of_the_octants_is_that_of_the_chart() -> None:
    for number, name in OCTANT_NAMES.items():
        assert _by_order(number) == name


def test_unknown_glyphs_are_refused_by_name() -> None:
    with pytest.raises(MiaError, match="octant"):
        painter_of("hexadecant")


def test_only_what_differs_is_found() -> None:
    old, new = bare(5, 30), bare(5, 30)
    assert differences(old, new) == []
    new.glyph[2, 7] = new.glyph[2, 9] = new.glyph[4, 29] = ord("x")
    assert differences(old, new) == [(2, 7, 10), (4, 29, 30)]
    assert differences(None, new) is None
    new.glyph[...] = ord("x")
    assert differences(old, new) is None


def test_a_line_is_written_with_as_few_codes_as_it_needs_and_means_the_same() -> None:
    """Played back by a terminal that knows SGR, every cell has the colours that were meant."""
    pyte = pytest.importorskip("pyte")
    rng = np.random.default_rng(0)
    glyph = rng.choice(np.array([ord(c) for c in " ▀▌x"], np.uint32), (6, 40))
    fg, bg = (rng.choice(np.array([0, 58, 200], np.uint8), (6, 40, 1)).repeat(3, axis=2) for _ in range(2))
    fg[3:], bg[3:] = rng.integers(0, 2, (2, 3, 40, 3)).astype(np.uint8) * 100
    attr = rng.choice(np.array([0, 0, BOLD, CLEAR], np.uint8), (6, 40))
    screen = pyte.Screen(40, 6)
    stream = pyte.Stream(screen)
    for row, line in enumerate(strips(Cells(glyph, fg, bg, attr))):
        stream.feed(f"\x1b[{row + 1};1H{line.written}")
        for column in range(40):
            cell = screen.buffer[row][column]
            assert cell.data == chr(glyph[row, column])
            assert cell.bold == bool(attr[row, column] & BOLD) or cell.data == " "
            want = "default" if attr[row, column] & CLEAR else bytes(bg[row, column].tolist()).hex()
            assert cell.bg == want
            if cell.data != " ":
                assert cell.fg == bytes(fg[row, column].tolist()).hex()


def test_with_256_colours_each_is_the_nearest_of_the_table() -> None:
    from rich._palettes import EIGHT_BIT_PALETTE
    from rich.palette import Palette

    assert isinstance(EIGHT_BIT_PALETTE, Palette)
    table = np.array([tuple(EIGHT_BIT_PALETTE[i]) for i in range(16, 256)], int)
    rng = np.random.default_rng(0)
    colors = np.vstack([rng.integers(0, 256, (200, 3)), [[20, 23, 26], [0, 0, 0], [255, 255, 255], [86, 180, 233]]])
    count = len(colors)
    fg = colors.astype(np.uint8)[None]
    cells = Cells(np.full((1, count), ord("x"), np.uint32), fg, np.zeros_like(fg), np.zeros((1, count), np.uint8))
    shown = [s.style.color.number for s in strips(cells, depth="256")[0] for _ in s.text]
    for color, number in zip(colors, shown, strict=True):
        distances = ((table - color) ** 2).sum(axis=1)
        assert distances[number - 16] <= distances.min() * 1.1 + 60, (color, number)


# ---- in the widget ---------------------------------------------------------------------------------------------------


class Shell(App):
    def __init__(self, **options):
        super().__init__()
        self.options = options
        self.told = []

    def compose(self):
        yield ImageCanvas("Nothing here.", **self.options)

    @property
    def canvas(self) -> ImageCanvas:
        return self.query_one(ImageCanvas)

    def on_image_canvas_pointed(self, event) -> None:
        self.told.append(event)

    def on_image_canvas_dragged(self, event) -> None:
        self.told.append(event)


async def settled(app, pilot) -> None:
    while not app.canvas.settled:
        await pilot.pause(0.01)
    await pilot.pause()


async def test_a_new_hint_paints_no_picture_and_writes_only_its_cells() -> None:
    app = Shell()
    async with app.run_test(size=(60, 20)) as pilot:
        samples = []
        plane = Pyramid(np.random.default_rng(0).integers(0, 255, (1, 200, 300)).astype(np.uint8))

        def display(values):
            samples.append(values.shape)
            return grey(values)

        scene = Scene(plane, display)
        app.canvas.show(scene)
        await settled(app, pilot)
        count, regions = len(samples), []
        refresh = app.canvas.refresh
        app.canvas.refresh = lambda *areas, **options: (regions.append(areas), refresh(*areas, **options))[1]
        app.canvas.show(Scene(plane, display, marks=(Mark(100, 100, "as", kind="hint"),)))
        await settled(app, pilot)
        assert len(samples) == count
        assert [(r.width, r.height) for areas in regions for r in areas] == [(2, 1)]
        app.canvas.show(scene)
        await settled(app, pilot)
        assert "as" not in "".join(line.text for line in app.canvas.lines)


async def test_a_click_points_and_a_drag_draws_a_line() -> None:
    app = Shell()
    async with app.run_test(size=(60, 20)) as pilot:
        app.canvas.show(Scene(Pyramid(np.zeros((1, 40, 60), np.uint8)), grey))
        await settled(app, pilot)
        await pilot.click(ImageCanvas, offset=(30, 5), control=True)
        pointed = app.told.pop()
        assert isinstance(pointed, ImageCanvas.Pointed)
        assert (pointed.y, pointed.x, pointed.button, pointed.ctrl) == (11.0, 30.5, 1, True)
        assert app.canvas.cursor == (11, 30)
        await pilot.mouse_down(ImageCanvas, offset=(10, 5))
        for column in (12, 14):
            await pilot.hover(ImageCanvas, offset=(column, 5))
        await pilot.mouse_up(ImageCanvas, offset=(14, 5))
        dragged = [event for event in app.told if isinstance(event, ImageCanvas.Dragged)]
        assert [event.done for event in dragged] == [False, False, True]
        assert dragged[-1].points == ((11.0, 10.5), (11.0, 12.5), (11.0, 14.5))


async def test_the_wheel_zooms_around_the_mouse() -> None:
    app = Shell()
    async with app.run_test(size=(60, 20)) as pilot:
        canvas = app.canvas
        canvas.show(Scene(Pyramid(np.zeros((1, 400, 600), np.uint8)), grey))
        canvas.zoom_one()
        await settled(app, pilot)
        before = canvas.view.to_image(4.5, 10.5)
        canvas.zoom(1, around=before)
        assert canvas.scale == 2
        assert canvas.view.to_image(4.5, 10.5) == pytest.approx(before)


async def test_a_box_that_is_zoomed_to_fills_the_view() -> None:
    app = Shell()
    async with app.run_test(size=(60, 20)) as pilot:
        canvas = app.canvas
        canvas.show(Scene(Pyramid(np.zeros((1, 400, 600), np.uint8)), grey))
        canvas.zoom_to((100, 50, 130, 60))
        view = canvas.view
        assert canvas.cursor == (55, 115)
        assert 1.2 < view.width / 30 < 1.6
        assert view.left < 100 < 130 < view.left + view.width
        await settled(app, pilot)


async def test_the_map_is_there_when_zoomed_in_flees_the_cursor_and_can_be_put_away() -> None:
    app = Shell()
    async with app.run_test(size=(60, 20)) as pilot:
        canvas = app.canvas
        plane = np.zeros((1, 400, 600), np.uint8)
        plane[:, :200] = 255  # the upper half is white
        canvas.show(Scene(Pyramid(plane), grey))
        await settled(app, pilot)
        assert canvas._corner() is None
        canvas.move_to(350, 50)
        canvas.zoom_one()
        await settled(app, pilot)
        corner = canvas._corner()
        assert corner is not None
        bright = [s.style.bgcolor.get_truecolor().red for s in canvas.lines[corner.row + 1].crop(corner.column)]
        dark = [s.style.bgcolor.get_truecolor().red for s in canvas.lines[19].crop(corner.column)]
        assert max(bright) > max(dark)
        canvas.move_to(399, 50)
        canvas.move_to(399, canvas.view.left + 58)
        assert canvas._corner().column == 0
        canvas.toggle_map()
        assert canvas._corner() is None
        await settled(app, pilot)
