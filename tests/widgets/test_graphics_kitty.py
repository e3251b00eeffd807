"""Kitty graphics: what a terminal that follows the protocol shows, and how few bytes it takes."""

import numpy as np
import pytest
from kitty_screen import DOTS, KittyScreen
from textual.geometry import Region

from mia_tui.widgets.canvas.commands import Numbers, command, delete, joined, upload
from mia_tui.widgets.canvas.graphics import MAX_STRING, BasePicture
from mia_tui.widgets.canvas.kitty import KEPT, KittyGraphics, Window, place
from mia_tui.widgets.canvas.pyramid import Pyramid
from mia_tui.widgets.canvas.view import View, fit_scale
from mia_tui.widgets.canvas.view import place as view_of

REGION = Region(30, 2, 80, 30)


def picture_of(plane) -> BasePicture:
    return BasePicture(Pyramid(plane if plane.ndim == 3 else plane[None]), _shown)


def _shown(values):
    return np.moveaxis(np.broadcast_to(values, (3, *values.shape[1:])), 0, -1).copy()


def blocks(height, width, size=16, channels=1):
    """Random black and white squares."""
    few = np.random.default_rng(4).integers(0, 2, (channels, -(-height // size), -(-width // size)), np.uint8) * 255
    return few.repeat(size, axis=1).repeat(size, axis=2)[:, :height, :width]


def truth(plane, view, region=REGION):
    """The pixel of the image under each pixel of the terminal, -1 outside."""
    _, height, width = plane.shape
    y = view.top + (np.arange(view.rows * DOTS[0]) + 0.5) * 2 / DOTS[0] / view.scale
    x = view.left + (np.arange(view.columns * DOTS[1]) + 0.5) / DOTS[1] / view.scale
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))[None, :]
    rows, columns = np.clip(y.astype(int), 0, height - 1), np.clip(x.astype(int), 0, width - 1)
    values = np.moveaxis(plane[:, rows][:, :, columns], 0, -1).astype(int)
    return np.where(inside[..., None], values, -1)


def seen(screen, region=REGION):
    """What the terminal shows in the region, grey or RGB; -1 where nothing is."""
    part = screen.pixels()[
        region.y * DOTS[0] : region.bottom * DOTS[0], region.x * DOTS[1] : region.right * DOTS[1]
    ].astype(int)
    return np.where(part[..., 3:] > 0, part[..., :3], -1)


def differing(screen, plane, view) -> float:
    """Share of the region's pixels that are not what the image has there."""
    found, wanted = seen(screen), truth(plane, view)
    wanted = np.broadcast_to(wanted, found.shape)
    other = ((found < 0) != (wanted < 0)) | (np.abs(found - wanted) > 12)
    return float(other.any(axis=2).mean())


def send(screen, strings) -> int:
    assert all(len(text) < MAX_STRING for text in strings)
    for text in strings:
        screen.feed(text)
    return sum(map(len, strings))


# ---- strings --------------------------------------------------------------------------------------------------------


def test_commands_letter_by_letter() -> None:
    window = Window(0, 0, 100, 200, -1)
    view = View(rows=10, columns=40, top=20.0, left=40.0, scale=0.5)
    assert place(7, window, view, (100, 200), Region(3, 2, 40, 10)) == (
        "\x1b[3;4H\x1b_Ga=p,i=7,p=1,x=36,y=26,w=40,h=20,c=40,r=10,z=-1073741825,C=1,q=2\x1b\\"
    )
    assert delete(7) == "\x1b_Ga=d,d=I,i=7,q=2\x1b\\"
    assert command("a=d,d=I,i=7,q=2", tmux=True) == "\x1bPtmux;\x1b\x1b_Ga=d,d=I,i=7,q=2\x1b\x1b\\\x1b\\"


def test_an_upload_is_cut_into_chunks_and_strings() -> None:
    data = bytes(range(256)) * 400
    strings = upload(data, "a=t,i=9")
    assert all(len(text) < MAX_STRING for text in strings)
    commands = "".join(strings).split("\x1b\\")[:-1]
    assert commands[0].startswith("\x1b_Ga=t,i=9,f=100,q=2,m=1;")
    assert [text.split(";")[0] for text in commands[1:-1]] == ["\x1b_Gq=2,m=1"] * (len(commands) - 2)
    assert commands[-1].startswith("\x1b_Gq=2,m=0;")
    import base64

    assert base64.b64decode("".join(text.split(";")[1] for text in commands)) == data
    assert joined(["ab", "cd"]) == ["abcd"]


def test_numbers_of_two_processes_do_not_meet() -> None:
    one, other = Numbers(1234), Numbers(1235)
    ours, theirs = {one.take() for _ in range(255)}, {other.take() for _ in range(255)}
    assert len(ours) == len(theirs) == 255
    assert not ours & theirs
    assert max(ours | theirs) < 2**24


# ---- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("scale", "y", "x"),
    [("fit", 0, 0), (0.3, 200.4, 311.7), (1.0, 250.0, 250.0), (2.7, 100.3, 77.7), (8.0, 490.0, 300.2), (32.0, 5, 5)],
)
def test_the_terminal_shows_the_pixels_of_the_view(channels, scale, y, x) -> None:
    plane = blocks(500, 640, channels=channels)
    if scale == "fit":
        scale, y, x = fit_scale(500, 640, 30, 80), 250.0, 320.0
    view = view_of(500, 640, 30, 80, scale, y, x)
    screen = KittyScreen()
    send(screen, KittyGraphics(Numbers(5)).show(picture_of(plane), view, REGION, coarse=False))
    # Half a dot of blur at each edge of the squares (16 * scale dots wide), on two sides of each axis.
    assert differing(screen, plane, view) < min(0.4, 1.2 / (16 * scale)) + 0.02
    assert all(placed.z < -(2**30) for placed in screen.placements.values()), "a dialogue would not hide it"


def test_what_lies_beside_the_image_is_left_to_the_terminal() -> None:
    plane = np.full((1, 100, 100), 0, np.uint8)  # black is a colour of the image as any other
    view = view_of(100, 100, 30, 80, 0.55, 50, 50)
    screen = KittyScreen()
    send(screen, KittyGraphics(Numbers(5)).show(picture_of(plane), view, REGION, coarse=False))
    found, wanted = seen(screen), truth(plane, view)
    assert ((found < 0) != (wanted < 0)).any(axis=2).mean() < 0.01
    assert found[wanted[..., 0] == 0].max() <= 8


def test_a_pan_is_a_short_command_and_exact() -> None:
    plane = blocks(2048, 2048, size=64)
    picture, screen, graphics = picture_of(plane), KittyScreen(), KittyGraphics(Numbers(4_000_000))
    send(screen, graphics.show(picture, view_of(2048, 2048, 30, 80, 0.5, 1024, 1024), REGION, coarse=False))
    uploaded = screen.uploaded
    for step in range(1, 9):
        view = view_of(2048, 2048, 30, 80, 0.5, 1024 + 7 * step, 1024 - 9 * step)
        assert send(screen, graphics.show(picture, view, REGION, coarse=step % 2 == 0)) <= 94
        assert differing(screen, plane, view) < 0.06
    assert screen.uploaded == uploaded
    assert len(screen.placements) == 1


def test_a_held_key_is_served_with_what_is_there() -> None:
    """A view that leaves the window while a key is held costs a quarter of what it costs at rest."""
    rng = np.random.default_rng(0)
    plane = rng.integers(0, 256, (1, 2048, 2048)).astype(np.uint8)
    sizes = {}
    for coarse in (True, False):
        screen, graphics = KittyScreen(), KittyGraphics(Numbers(5))
        view = view_of(2048, 2048, 30, 80, 0.5, 1024, 1024)
        sizes[coarse] = send(screen, graphics.show(picture_of(plane), view, REGION, coarse=coarse))
    assert sizes[True] < 0.4 * sizes[False]
    assert sizes[False] < 400_000


def test_zooming_shows_the_sheet_that_is_there_until_the_right_one_comes() -> None:
    picture, screen, graphics = picture_of(blocks(256, 256)), KittyScreen(), KittyGraphics(Numbers(5))
    send(screen, graphics.show(picture, view_of(256, 256, 30, 80, 0.23, 128, 128), REGION, coarse=False))
    uploaded = screen.uploaded
    view = view_of(256, 256, 30, 80, 0.46, 128, 128)
    send(screen, graphics.show(picture, view, REGION, coarse=True))
    assert screen.uploaded == uploaded
    send(screen, graphics.show(picture, view, REGION, coarse=False))
    assert screen.uploaded > uploaded
    assert len(screen.placements) == 1


def test_the_terminal_keeps_few_pictures_and_none_at_the_end() -> None:
    numbers = Numbers(5)
    screen, graphics = KittyScreen(), KittyGraphics(numbers)
    for turn in range(3):
        picture = picture_of(blocks(300 + turn, 300))
        for scale in (0.2, 0.4, 0.9, 1.7, 3.1, 6.0, 13.0, 20.0, 0.2):
            view = view_of(300 + turn, 300, 30, 80, scale, 150, 150)
            send(screen, graphics.show(picture, view, REGION, coarse=False))
            assert len(screen.images) <= KEPT + 1
            assert set(screen.images) == numbers.kept
            assert len(screen.placements) == 1
    send(screen, graphics.clear())
    assert not screen.images
    send(screen, graphics.show(picture, view, REGION, coarse=False))
    assert len(screen.placements) == 1
    send(screen, numbers.farewell())
    assert not screen.images


def test_after_all_was_taken_away_it_is_sent_anew() -> None:
    """The program was suspended: the driver has taken the pictures away, and the canvas starts anew."""
    numbers = Numbers(5)
    screen, graphics = KittyScreen(), KittyGraphics(numbers)
    picture, view = picture_of(blocks(300, 300)), view_of(300, 300, 30, 80, 1.0, 150, 150)
    send(screen, graphics.show(picture, view, REGION, coarse=False))
    send(screen, numbers.farewell())
    send(screen, graphics.clear())
    send(screen, graphics.show(picture, view, REGION, coarse=False))
    assert len(screen.placements) == 1
    assert numbers.kept == set(screen.images)
