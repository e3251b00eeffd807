"""The image canvas: what is repainted, what the cursor reads, and that the newest view wins."""

import itertools

import numpy as np
import pytest
from rich.style import Style
from textual.app import App

from mia_tui.widgets.canvas.cells import Cells, strips
from mia_tui.widgets.canvas.pyramid import Pyramid
from mia_tui.widgets.canvas.scene import Scene
from mia_tui.widgets.canvas.widget import ImageCanvas

PLANE = np.arange(200 * 300, dtype=np.uint16).reshape(1, 200, 300)


def grey(values):
    return np.repeat((values[0] // 256).astype(np.uint8)[..., None], 3, axis=2)


class Shell(App):
    def compose(self):
        yield ImageCanvas("Nothing here.\nPress o.")

    @property
    def canvas(self) -> ImageCanvas:
        return self.query_one(ImageCanvas)


async def shown(app, pilot) -> None:
    await app.workers.wait_for_complete()
    await pilot.pause()


async def test_without_a_picture_the_hint_is_shown() -> None:
    app = Shell()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        lines = [app.canvas.render_line(y).text for y in range(20)]
        assert [line.strip() for line in lines if line.strip()] == ["Nothing here.", "Press o."]


async def test_moving_the_cursor_repaints_two_cells_and_no_picture() -> None:
    app = Shell()
    async with app.run_test(size=(60, 20)) as pilot:
        app.canvas.show(Scene(Pyramid(PLANE), grey))
        await shown(app, pilot)
        painted, regions = [], []
        app.canvas._painter.ask = painted.append
        app.canvas.refresh = lambda *areas, **_: regions.extend(areas)
        app.canvas.move(0, 1)
        app.canvas.move(1, 0)
        assert painted == []
        assert len(regions) == 4
        assert all(region.area == 1 for region in regions)


@pytest.mark.parametrize("place", [(0, 0), (199, 299), (57, 211)])
async def test_the_cursor_stands_on_the_cell_of_its_pixel_and_reads_the_stored_value(place) -> None:
    app = Shell()
    async with app.run_test(size=(60, 20)) as pilot:
        canvas = app.canvas
        canvas.show(Scene(Pyramid(PLANE), grey))
        canvas.zoom_one()
        canvas.move_to(*place)
        await shown(app, pilot)
        assert canvas.cursor == place
        assert canvas.values == (PLANE[0][place].item(),)
        row, column = canvas._cursor_cell()
        assert canvas.render_line(row).text[column] == "┼"
        assert place[0] == int(canvas.view.top + 2 * row) + (place[0] - int(canvas.view.top)) % 2
        assert place[1] == int(canvas.view.left) + column
        canvas.move_to(10_000, -10_000)
        assert canvas.cursor == (199, 0)


async def test_zooming_steps_through_powers_of_two_and_has_ends() -> None:
    app = Shell()
    async with app.run_test(size=(60, 20)) as pilot:
        canvas = app.canvas
        canvas.show(Scene(Pyramid(PLANE), grey))
        assert canvas.scale_text == "fit 1:5"
        texts = []
        for _ in range(3):
            canvas.zoom(1)
            texts.append(canvas.scale_text)
        assert texts == ["1:4", "1:2", "1:1"]
        for _ in range(20):
            canvas.zoom(1)
        assert canvas.scale == 32
        for _ in range(40):
            canvas.zoom(-1)
        assert canvas.scale == 1 / 256
        await shown(app, pilot)


async def test_a_picture_of_the_same_size_keeps_the_view_another_one_is_shown_whole() -> None:
    app = Shell()
    async with app.run_test(size=(60, 20)) as pilot:
        canvas = app.canvas
        canvas.show(Scene(Pyramid(PLANE), grey))
        canvas.move_to(20, 30)
        canvas.zoom_one()
        view = canvas.view
        canvas.show(Scene(Pyramid(PLANE + 1), grey))
        assert canvas.view == view
        canvas.show(Scene(Pyramid(PLANE[:, :100]), grey))
        assert canvas.scale_text.startswith("fit")
        await shown(app, pilot)


async def test_a_box_is_revealed_whole() -> None:
    app = Shell()
    async with app.run_test(size=(60, 20)) as pilot:
        canvas = app.canvas
        canvas.show(Scene(Pyramid(PLANE), grey))
        canvas.zoom_one()
        canvas.reveal((250, 150, 280, 170))
        await shown(app, pilot)
        view = canvas.view
        assert canvas.cursor == (160, 265)
        assert view.top <= 150
        assert view.left <= 250
        assert view.top + 2 * view.rows >= 170
        assert view.left + view.columns >= 280


def test_neighbours_of_equal_colours_share_a_segment_and_nothing_is_lost() -> None:
    rng = np.random.default_rng(0)
    fg, bg = (rng.integers(0, 2, (4, 30, 1)).repeat(3, axis=2).astype(np.uint8) * 255 for _ in range(2))
    glyph = rng.choice(np.array([ord(c) for c in " ▀▌⠿"], np.uint32), (4, 30))
    made = strips(Cells(glyph, fg, bg, np.zeros((4, 30), np.uint8)))
    for row, strip in enumerate(made):
        assert strip.cell_length == 30
        column = 0
        for segment in strip:
            for character in segment.text:
                assert ord(character) == glyph[row, column]
                assert character == " " or tuple(segment.style.color.get_truecolor()) == tuple(fg[row, column])
                assert tuple(segment.style.bgcolor.get_truecolor()) == tuple(bg[row, column])
                column += 1
        looks = [segment.style for segment in strip]
        assert all(a != b for a, b in itertools.pairwise(looks))
    plain = strips(Cells(glyph, fg, bg, np.zeros((4, 30), np.uint8)), mono=Style.null())
    assert [len(list(strip)) for strip in plain] == [1] * 4
