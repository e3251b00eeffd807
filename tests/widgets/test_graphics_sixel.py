"""Sixel: decoded again by a plain reading of the standard, pictures are what they were; frames stay small."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from textual.geometry import Region

from mia_tui.widgets.canvas.graphics import MAX_STRING, BasePicture
from mia_tui.widgets.canvas.pyramid import Pyramid
from mia_tui.widgets.canvas.sixel import Indexed, SixelGraphics, color_levels, encode, grey_levels, patches
from mia_tui.widgets.canvas.view import place as view_of

CELL = (10, 20)
REGION = Region(5, 2, 60, 20)


def decode(text: str) -> np.ndarray:
    """(H, W, 4) of one sixel picture: percent of red, green, blue; 1 where a pixel was set."""
    head = re.match(r'\x1bP0;1q"1;1;(\d+);(\d+)', text)
    assert head is not None
    assert text.endswith("\x1b\\")
    width, height = int(head[1]), int(head[2])
    picture = np.zeros((-(-height // 6) * 6, width, 4))
    colors: dict[int, tuple[int, ...]] = {}
    x = band = color = 0
    tokens = re.findall(r"#\d+(?:;2;\d+;\d+;\d+)?|!\d+[?-~]|[?-~]|\$|-", text[head.end() : -2])
    assert "".join(tokens) == text[head.end() : -2]
    for token in tokens:
        if token == "$":
            x = 0
        elif token == "-":
            x, band = 0, band + 1
        elif token[0] == "#":
            color, *levels = (int(part) for part in token[1:].split(";"))
            if levels:
                colors[color] = tuple(levels[1:])
        else:
            count = int(token[1:-1]) if token[0] == "!" else 1
            bits = ord(token[-1]) - 63
            assert x + count <= width
            for bit in range(6):
                if bits >> bit & 1:
                    target = picture[band * 6 + bit, x : x + count]
                    assert not target[:, 3].any(), "a pixel is set twice"
                    target[:] = (*colors[color], 1)
            x += count
    assert not picture[height:].any(), "nothing below the picture"
    return picture[:height]


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 40)), elements=st.integers(0, 4)))
def test_what_is_encoded_is_decoded(index) -> None:
    palette = np.array([[0, 0, 0], [255, 0, 0], [51, 102, 204], [255, 255, 255], [5, 5, 5]], np.uint8)
    found = decode(encode(Indexed(index, palette)))
    assert found[..., 3].all()
    assert (found[..., :3] == np.round(palette[index].astype(int) * 100 / 255)).all()


def test_letter_by_letter() -> None:
    index = np.array([[0] * 12 + [1] * 2] * 6 + [[1] * 14], np.uint8)
    palette = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
    assert encode(Indexed(index, palette)) == (
        '\x1bP0;1q"1;1;14;7#0;2;0;0;0#1;2;100;100;100#0!12~$#1!12?~~-#1!14@\x1b\\'
    )


def test_greys_are_as_many_as_said_and_evenly_spaced() -> None:
    found = grey_levels(np.arange(256, dtype=np.uint8)[None], 16)
    assert len(np.unique(found.index)) == 16
    assert (np.diff(found.palette[:, 0].astype(int)) == 17).all()
    assert np.abs(found.palette[found.index][0, :, 0].astype(int) - np.arange(256)).max() <= 9


def test_a_composite_keeps_its_colours() -> None:
    rng = np.random.default_rng(1)
    picture = np.zeros((120, 120, 3), np.uint8)
    picture[..., 1] = rng.integers(0, 256, (12, 12)).repeat(10, 0).repeat(10, 1)
    picture[..., 0] = picture[..., 2] = rng.integers(0, 256, (12, 12)).repeat(10, 0).repeat(10, 1)
    found = color_levels(picture, 32)
    assert np.abs(found.palette[found.index].astype(int) - picture).mean() < 20


def placed(strings):
    """(row, column, picture) of each sixel picture, with the cursor kept."""
    assert all(len(text) < MAX_STRING for text in strings)
    text = "".join(strings)
    found = re.findall(r"\x1b7\x1b\[(\d+);(\d+)H(\x1bP[^\x1b]*\x1b\\)\x1b8", text)
    assert "".join(f"\x1b7\x1b[{row};{column}H{picture}\x1b8" for row, column, picture in found) == text
    return [(int(row) - 1, int(column) - 1, decode(picture)) for row, column, picture in found]


def on_screen(strings, canvas):
    for row, column, picture in placed(strings):
        top, left = row * CELL[1], column * CELL[0]
        target = canvas[top : top + picture.shape[0], left : left + picture.shape[1]]
        target[picture[..., 3] > 0] = picture[picture[..., 3] > 0]
    return canvas


@pytest.mark.parametrize("colored", [False, True])
def test_a_frame_fills_its_region_and_no_more_and_a_patch_heals_it(colored) -> None:
    rng = np.random.default_rng(0)
    plane = rng.integers(0, 256, (3 if colored else 1, 200, 260)).astype(np.uint8)
    picture = BasePicture(Pyramid(plane), lambda v: np.moveaxis(np.broadcast_to(v, (3, *v.shape[1:])), 0, -1).copy())
    graphics = SixelGraphics(CELL)
    view = view_of(200, 260, 20, 60, 0.25, 100, 130)
    screen = on_screen(graphics.show(picture, view, REGION, coarse=False), np.zeros((30 * 20, 80 * 10, 4)))
    inside = np.zeros(screen.shape[:2], bool)
    inside[2 * 20 : 22 * 20, 5 * 10 : 65 * 10] = True
    assert (screen[..., 3] > 0)[inside].all()
    assert not screen[..., 3][~inside].any()
    values, there = picture.sample(view, (20, 10))
    wanted = np.where(there[..., None], np.broadcast_to(values.reshape(*values.shape[:2], -1), (*there.shape, 3)), 0)
    assert np.abs(screen[40:440, 50:650, :3] * 2.55 - wanted).mean() < (30 if colored else 6)
    hurt = screen.copy()
    for row, column in ((0, 0), (7, 30), (7, 31), (19, 59)):
        hurt[(2 + row) * 20 : (3 + row) * 20, (5 + column) * 10 : (6 + column) * 10] = 0
    strings = graphics.repair(picture, view, REGION, [(7, 31), (0, 0), (7, 30), (19, 59)])
    assert len(placed(strings)) == 3, "neighbours are one patch"
    assert (on_screen(strings, hurt) == screen).all()
    assert graphics.repair(picture, view_of(200, 260, 20, 60, 0.5, 100, 130), REGION, [(0, 0)]) == []


@pytest.mark.parametrize("scale", [0.08, 0.3, 1.0, 4.0])
def test_the_worst_picture_stays_below_a_megabyte_and_a_held_key_costs_less(scale) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 1024, 1024)).astype(np.uint8)
    picture = BasePicture(Pyramid(noise), lambda values: np.repeat(values[0][..., None], 3, axis=2))
    graphics, region = SixelGraphics(CELL), Region(0, 0, 120, 40)
    view = view_of(1024, 1024, 40, 120, scale, 512, 512)
    fine = sum(map(len, graphics.show(picture, view, region, coarse=False)))
    coarse = sum(map(len, graphics.show(picture, view, region, coarse=True)))
    assert fine < 2**20
    assert coarse < min(250_000, 0.8 * fine)


def test_a_patch_of_one_cell_is_small() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)
    assert sum(map(len, patches(grey_levels(noise, 16), CELL, REGION, [(1, 2)]))) < 900
