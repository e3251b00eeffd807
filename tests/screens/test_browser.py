"""The image browser, driven by keys on a small real project."""

import re
import subprocess
import sys

import numpy as np
import pytest
import shapely
import tifffile
from driving import screen_text, until

from mia_tui.app import MiaApp
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import write_frame
from mia_tui.project import Project
from mia_tui.widgets.canvas.widget import ImageCanvas
from mia_tui.widgets.choose import ChooseScreen

HEIGHT, WIDTH = 48, 64


def values() -> np.ndarray:
    """Values that name their place: 100 y + x."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (100 * y + x).astype(np.uint16)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))
    images = tmp_path / "images"
    (images / "deep").mkdir(parents=True)
    tifffile.imwrite(images / "a.tif", values())
    stack = np.stack([np.stack([values() + 1000 * t, values() * 0 + 7 + t]) for t in range(3)])
    tifffile.imwrite(images / "deep" / "b.tif", stack.astype(np.uint16), imagej=True, metadata={"axes": "TCYX"})
    (images / "zz_broken.tif").write_bytes(b"II*\0 this is no image")
    return Project.create(tmp_path / "project", images=images, classes=["cell", "debris"])


def add_objects(project, path, ids, source="imported") -> None:
    boxes = [LabelObject(i, shapely.box(5 * i, 10, 5 * i + 4, 14), "cell", source, score=0.5) for i in ids]
    write_frame(path, FrameLabels.of(HEIGHT, WIDTH, boxes))


async def opened(pilot, name="a.tif") -> None:
    """Wait until an image is on the screen."""
    screen = pilot.app.screen
    await until(pilot, lambda: screen.shown is not None and screen.shown.request.key.endswith(name))
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


@pytest.mark.parametrize(("size", "list_shown"), [((80, 24), False), ((120, 40), True), ((200, 50), True)])
async def test_the_first_image_is_shown_with_its_facts_and_the_list_where_there_is_room(
    project, size, list_shown
) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        text = screen_text(app)
        assert "a.tif   64 x 48 · uint16 · YX" in text
        assert "1/3" in text
        assert ("Training images" in text) == list_shown
        assert ("zz_broken.tif" in text) == list_shown
        strips = app.screen.query_one(ImageCanvas).lines
        assert len({segment.style.bgcolor for strip in strips for segment in strip}) > 10, "no picture"
        await pilot.press("b")
        await pilot.pause()
        assert ("Training images" in screen_text(app)) != list_shown


async def test_the_readout_is_the_images_own_value_under_the_cursor(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("z")  # one pixel per dot: a step is one pixel
        await pilot.pause()
        assert re.search(r"x 32\s+y 24\s+value 2432", screen_text(app))
        await pilot.press("right", "right", "down", "h", "shift+up")
        await pilot.pause()
        assert re.search(r"x 33\s+y 15\s+value 1533", screen_text(app))
        await pilot.press(*["shift+left"] * 9, *["shift+up"] * 9)
        await pilot.pause()
        assert re.search(r"x 0\s+y 0\s+value 0", screen_text(app))


async def test_zoom_keeps_the_pixel_under_the_cursor_in_sight(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        canvas = app.screen.query_one(ImageCanvas)
        fitted = canvas.scale
        await pilot.press("shift+left", "shift+left", "plus", "plus", "plus")
        await app.workers.wait_for_complete()
        assert canvas.scale > 2 * fitted
        row, column = canvas.view.to_cell(canvas.cursor[0], canvas.cursor[1])
        assert 0 <= row < canvas.size.height
        assert 0 <= column < canvas.size.width
        left = canvas.view.left
        await pilot.press("L")
        await pilot.pause()
        assert canvas.view.left > left
        await pilot.press("f")
        assert canvas.scale == fitted


async def test_the_next_image_its_time_points_and_channels(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("full_stop")
        assert "one frame in time" in [n.message for n in app._notifications][-1]
        await pilot.press("n")
        await opened(pilot, "b.tif")
        text = screen_text(app)
        assert "3 t · 2 channels · uint16" in text
        assert "TCYX (imagej)" in text
        assert re.search(r"value 2432\s+7\s+t 1/3", text)
        await pilot.press("full_stop")
        await until(pilot, lambda: "t 2/3" in screen_text(app))
        assert re.search(r"value 3432\s+8", screen_text(app))
        assert "■ 1 channel 1   ■ 2 channel 2" in screen_text(app)
        await pilot.press("2")
        await pilot.pause()
        assert "■ 1 channel 1   □ 2 channel 2" in screen_text(app)
        await pilot.press("3")
        assert "This image has 2 channels." in [n.message for n in app._notifications]
        await pilot.press("comma", "0")
        await until(pilot, lambda: "t 1/3" in screen_text(app))
        assert "□" not in screen_text(app)


async def test_contrast_modes_gamma_and_inversion_change_the_picture_and_are_named(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)

        def picture():
            return [str(strip) for strip in app.screen.query_one(ImageCanvas).lines]

        seen = [picture()]
        for key, words in (("i", "inverted"), ("i", "contrast frame"), ("right_curly_bracket", "gamma 0.7")):
            await pilot.press(key)
            await until(pilot, lambda: app.screen.query_one(ImageCanvas).settled)
            await pilot.pause()
            assert words in screen_text(app)
            seen.append(picture())
        assert seen[0] != seen[1]
        assert seen[2] == seen[0]
        assert seen[3] != seen[0]
        for words in ("contrast sequence", "contrast full", "contrast frame"):
            await pilot.press("c")
            await until(pilot, lambda words=words: words in screen_text(app))


async def test_a_broken_image_is_named_and_the_others_go_on(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("n")
        await opened(pilot, "b.tif")
        await pilot.press("n")
        await until(pilot, lambda: "has no image" in screen_text(app))
        assert "zz_broken.tif" in screen_text(app)
        await pilot.press("plus")
        assert "No image is shown." in [n.message for n in app._notifications]
        await pilot.press("n")
        assert "This is the last image." in [n.message for n in app._notifications]
        await pilot.press("p")
        await opened(pilot, "b.tif")


async def test_labels_and_predictions_are_counted_drawn_and_switched(project) -> None:
    add_objects(project, project.labels_path("a.tif", "image"), [1, 2, 3])
    add_objects(project, project.prediction_path("unet-a", "a.tif", "image"), [4, 5], "predicted")
    app = MiaApp(project.folder)

    def braille() -> int:
        return len(re.findall("[⠁-⣿]", screen_text(app)))

    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        text = screen_text(app)
        assert "━ 3 labels   ┅ 2 predicted by unet-a" in text
        assert re.search(r"●◇ a\.tif", text)
        assert re.search(r"[^●◇] b\.tif", text)
        both = braille()
        for key, words in (("o", "labels off"), ("d", "predictions off")):
            await pilot.press(key)
            await app.workers.wait_for_complete()
            await pilot.pause()
            assert words in screen_text(app)
            assert braille() < both
        assert braille() == 0
        await pilot.press("o", "number_sign")
        await app.workers.wait_for_complete()
        await pilot.pause()
        canvas = app.screen.query_one(ImageCanvas)
        assert {mark.text for mark in canvas.scene.marks} == {"1", "2", "3"}
        assert not list((project.folder / "labels").rglob("*.journal")), "viewing has written"
        assert not list(project.folder.rglob("*.lock")), "viewing has locked"


async def test_new_predictions_are_found_and_another_model_is_chosen(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("M")
        assert "No model has predicted anything yet" in [n.message for n in app._notifications][-1]
        add_objects(project, project.prediction_path("one", "a.tif", "image"), [1], "predicted")
        add_objects(project, project.prediction_path("two", "a.tif", "image"), [1, 2, 3, 4], "predicted")
        await pilot.press("R")
        await until(pilot, lambda: "predicted by" in screen_text(app))
        await pilot.press("M")
        await pilot.pause()
        assert isinstance(app.screen, ChooseScreen)
        await pilot.press("home", "enter")
        await pilot.pause()
        first = app.screen._model
        await pilot.press("M", "end", "enter")
        await until(pilot, lambda: app.screen._model != first)
        await opened(pilot)
        assert f"{4 if app.screen._model == 'two' else 1} predicted by {app.screen._model}" in screen_text(app)


async def test_an_empty_project_says_what_to_do(tmp_path, project) -> None:
    (tmp_path / "nothing").mkdir()
    empty = Project.create(tmp_path / "empty", images=tmp_path / "nothing")
    app = MiaApp(empty.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "press R" in screen_text(app))
        assert "No images in" in screen_text(app)
        await pilot.press("n")
        assert "The project has no images yet." in [n.message for n in app._notifications]
        tifffile.imwrite(tmp_path / "nothing" / "late.tif", values())
        await pilot.press("R")
        await opened(pilot, "late.tif")


async def test_measure_export_and_predict_ask_for_source_and_start_other_processes(project, monkeypatch) -> None:
    add_objects(project, project.labels_path("a.tif", "image"), [1])
    commands, runs = [], []

    async def run_command(arguments, on_line):
        commands.append(list(arguments))
        return {}

    class Run:
        id = "predict-1"

    monkeypatch.setattr("mia_tui.screens.command.run_command", run_command)
    monkeypatch.setattr("mia_tui.jobs.control.start", lambda project, config, name: runs.append(config) or Run())
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("m", "enter")
        await until(pilot, lambda: len(commands) == 1)
        out = project.results_folder / "measure-labels.csv"
        assert commands[0] == ["measure", str(project.folder), "--from", "labels", "--out", str(out)]
        await pilot.press("e")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(commands) == 2)
        dest = project.results_folder / "geojson-labels"
        assert commands[1] == [
            "export", str(project.folder), str(dest), "--format", "geojson", "--from", "labels",
        ]  # fmt: skip
        await pilot.press("P")
        await until(pilot, lambda: any("no model yet" in n.message for n in app._notifications))
        (project.models_folder / "unet-a").mkdir(parents=True)
        (project.models_folder / "unet-a" / "model.json").write_text("{}")
        await pilot.press("P")
        await until(pilot, lambda: isinstance(app.screen, ChooseScreen))
        await pilot.press("enter")
        await until(pilot, lambda: len(runs) == 1)
        assert runs[0]["kind"] == "predict"
        assert runs[0]["predict"] == {"model": "unet-a"}


async def test_images_stepped_through_quickly_do_not_flip_back(project, monkeypatch) -> None:
    """The list says where its cursor is a moment later than the keys: it must not undo the last of them."""
    tifffile.imwrite(project.roots["train"] / "zz.tif", np.zeros((8, 8), np.uint8))
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        screen, shown = app.screen, []
        show = type(screen)._show

        def count(self, index, *plane):
            shown.append(index)
            show(self, index, *plane)

        monkeypatch.setattr(type(screen), "_show", count)
        screen.action_next()
        screen.action_next()
        for _ in range(10):
            await pilot.pause()
        assert shown == [1, 2]


async def test_the_list_opens_an_image_and_hides_again_on_a_narrow_terminal(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("b")
        await pilot.pause()
        assert "b.tif" in screen_text(app)
        await pilot.press("home", "down", "down", "down", "enter")
        await opened(pilot, "b.tif")
        assert "Training images" not in screen_text(app)
        assert "deep/b.tif" in screen_text(app)


async def test_another_project_replaces_the_images_of_the_first(project, tmp_path) -> None:
    (tmp_path / "more").mkdir()
    tifffile.imwrite(tmp_path / "more" / "other.tif", values())
    other = Project.create(tmp_path / "second", images=tmp_path / "more")
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await app.open_project(other.folder)
        await until(pilot, lambda: app.current_mode == "browser" and getattr(app.screen, "shown", None) is not None)
        await opened(pilot, "other.tif")
        text = screen_text(app)
        assert "second  ›  Images" in text
        assert "a.tif" not in text


NO_COLOR = """
import asyncio, sys, time
from pathlib import Path
from mia_tui.app import MiaApp

async def main():
    app = MiaApp(Path(sys.argv[1]))
    async with app.run_test(size=(80, 24)) as pilot:
        deadline = time.monotonic() + 30
        while app.screen.shown is None and time.monotonic() < deadline:
            await pilot.pause(0.02)
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert app.no_color
        strips = app.screen._compositor.render_strips()
        canvas = strips[2:-3]
        looks = [s.style for strip in canvas for s in strip if s.style and not s.style.reverse]
        styles = {(look.color, look.bgcolor) for look in looks}
        assert len(styles) == 1, styles
        print("\\n".join("".join(s.text for s in strip) for strip in strips))

asyncio.run(main())
"""


def test_without_colours_shades_and_glyphs_carry_everything(project, monkeypatch) -> None:
    add_objects(project, project.labels_path("a.tif", "image"), [1, 2])
    monkeypatch.setenv("NO_COLOR", "1")
    done = subprocess.run(
        [sys.executable, "-c", NO_COLOR, str(project.folder)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert {"░", "▒", "▓", "█"} <= set(done.stdout)
    assert re.search("[⠁-⣿]", done.stdout), "no outlines"
    assert not re.search("[▘▝▖▗▚▞▙▛▜▟]", done.stdout)
    # Two classes: the key of its class stands on each object, since colour cannot say it.
    assert len(re.findall(r"(?<=[⠀-⣿░▒▓█ ])1(?=[⠀-⣿░▒▓█ ])", done.stdout)) >= 2
