"""Kitty pictures by placeholder characters: the text says which part, the pixels follow the view."""

import unicodedata

import numpy as np
import pytest
from kitty_screen import KittyScreen
from rich.cells import cell_len
from textual.geometry import Region

from mia_tui.widgets.canvas.cells import CellStrip
from mia_tui.widgets.canvas.commands import Numbers
from mia_tui.widgets.canvas.graphics import MAX_STRING, BasePicture
from mia_tui.widgets.canvas.placeholders import MARKS, PLACEHOLDER, PlaceholderGraphics, cell_text
from mia_tui.widgets.canvas.pyramid import Pyramid
from mia_tui.widgets.canvas.view import place as view_of

REGION = Region(0, 0, 60, 20)


def picture_of(plane) -> BasePicture:
    return BasePicture(Pyramid(plane[None]), lambda values: np.repeat(values[0][..., None], 3, axis=2))


def ramp(height=300, width=400):
    return (np.arange(height)[:, None] // 4 + np.arange(width)[None, :] // 4).astype(np.uint8)


def unwrapped(strings) -> str:
    """What the terminal in front of tmux gets."""
    assert all(len(text) < MAX_STRING for text in strings)
    text = "".join(strings)
    parts = text.split("\x1bPtmux;")[1:]
    assert text == "".join("\x1bPtmux;" + part for part in parts)
    for part in parts:
        assert part.endswith("\x1b\\")
        assert "\x1b" not in part[:-2].replace("\x1b\x1b", ""), "each escape character is doubled"
    return "".join(part[:-2].replace("\x1b\x1b", "\x1b") for part in parts)


def test_the_marks_are_those_of_the_protocol() -> None:
    """297 marks of combining class 230 that no normalization composes or takes apart, in the order of their codes."""
    composing = {
        ord(character)
        for code in range(0x110000)
        if (parts := unicodedata.decomposition(chr(code))) and not parts.startswith("<")
        for character in map(chr, (int(part, 16) for part in parts.split()))
    }
    assert len(MARKS) == 297
    assert list(MARKS) == sorted(set(MARKS))
    assert all(unicodedata.combining(mark) == 230 and ord(mark) not in composing for mark in MARKS)
    assert [hex(ord(MARKS[n])) for n in (0, 1, 2, 3, 4, 5, 296)] == [
        "0x305", "0x30d", "0x30e", "0x310", "0x312", "0x33d", "0x1d244",
    ]  # fmt: skip


def test_a_cell_says_its_picture_row_and_column() -> None:
    graphics = PlaceholderGraphics(Numbers(0x1234), (10, 20))
    text, style = graphics.base_cell(2, 5)
    assert text == PLACEHOLDER + "\u030e" + "\u033d"
    assert cell_len(text) == 1
    assert style.color is not None
    red, green, blue = style.color.triplet
    assert red * 65536 + green * 256 + blue == (0x1235 << 8) + 1
    assert CellStrip([*_segments(text, style)]).written == f"\x1b[38;2;18;53;1m{text}\x1b[0m"
    assert cell_text(297, 0) == cell_text(0, 297) == " "


def _segments(text, style):
    from rich.segment import Segment

    yield Segment(text, style)


def test_a_line_of_placeholders_can_be_cut_anywhere() -> None:
    """A cell that is repainted comes alone: it must keep its marks, and its neighbours theirs."""
    graphics = PlaceholderGraphics(Numbers(7), (10, 20))
    cells = [graphics.base_cell(4, column) for column in range(30)]
    line = CellStrip([next(_segments("".join(text for text, _ in cells), cells[0][1]))], 30)
    for start, end in ((0, 1), (7, 8), (12, 30), (0, 29)):
        assert line.crop(start, end).text == "".join(text for text, _ in cells[start:end])


@pytest.mark.parametrize("edits", [False, True])
@pytest.mark.parametrize("cell", [(10, 20), (9, 19)])
def test_the_pixels_are_those_of_the_view(edits, cell) -> None:
    plane = ramp()
    screen, graphics = KittyScreen(), PlaceholderGraphics(Numbers(7), cell, edits=edits)
    number = (8 << 8) + 1
    for step, (scale, coarse) in enumerate([(0.2, False), (0.2, True), (0.5, True), (0.5, False), (2.0, False)]):
        view = view_of(300, 400, 20, 60, scale, 150 + step, 200)
        text = unwrapped(graphics.show(picture_of(plane), view, REGION, coarse=coarse))
        screen.feed(text)
        assert screen.virtual == {number: (20, 60)}
        shown = screen.images[number]
        height, width = shown.shape[:2]
        assert width / height == pytest.approx(60 * cell[0] / (20 * cell[1]), rel=0.01), "it would not fill its cells"
        y = view.top + (np.arange(height) + 0.5) * view.height / height
        x = view.left + (np.arange(width) + 0.5) * view.width / width
        inside = ((y >= 0) & (y < 300))[:, None] & ((x >= 0) & (x < 400))[None, :]
        assert ((shown[..., 3] > 0) != inside).mean() < 0.02
        wanted = np.clip(y / 4, 0, 74)[:, None] + np.clip(x / 4, 0, 99)[None, :]
        both = (shown[..., 3] > 0) & inside
        assert np.abs(shown[..., 0] - wanted)[both].max() < 1.5 + 1.5 / scale
    assert ("a=f,i=" in text) == edits, "a picture that is there is changed in place where the terminal can"
    screen.feed(unwrapped(graphics.clear()))
    assert not screen.images
    assert graphics.clear() == []


def test_another_size_is_another_picture() -> None:
    screen, graphics = KittyScreen(), PlaceholderGraphics(Numbers(7), (10, 20), edits=True)
    for rows, columns in ((20, 60), (10, 60), (10, 30)):
        view = view_of(300, 400, rows, columns, 0.5, 150, 200)
        screen.feed(unwrapped(graphics.show(picture_of(ramp()), view, REGION, coarse=False)))
        assert list(screen.virtual.values()) == [(rows, columns)]


@pytest.mark.parametrize("edits", [False, True])
def test_a_held_key_costs_less(edits) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400)).astype(np.uint8)
    graphics, view = PlaceholderGraphics(Numbers(7), (10, 20), edits=edits), view_of(300, 400, 20, 60, 0.2, 150, 200)
    fine, coarse = (
        sum(map(len, graphics.show(picture_of(noise), view, REGION, coarse=coarse))) for coarse in (False, True)
    )
    assert coarse < 0.6 * fine
