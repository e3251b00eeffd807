"""How images are looked at is remembered per project; damage of the file costs the look and nothing else."""

import json

import numpy as np
import pytest
import tifffile
from driving import screen_text, until

from mia_tui.app import MiaApp
from mia_tui.project import Project
from mia_tui.screens.look import MANUAL, RememberedLook, moved_limits, read_look, write_look
from mia_tui.widgets.canvas.widget import ImageCanvas

GAMMAS, CONTRASTS = (0.5, 1.0, 2.0), ("frame", "sequence", "full")


def test_a_look_comes_back_and_other_entries_of_the_file_stay(tmp_path) -> None:
    (tmp_path / "state.json").write_text('{"last": "a.tif"}')
    look = RememberedLook(2.0, True, MANUAL, {3: frozenset({0, 2})}, ((1.0, 5.5), (2.0, 3.0)))
    write_look(tmp_path, look)
    assert read_look(tmp_path, GAMMAS, CONTRASTS) == look
    assert json.loads((tmp_path / "state.json").read_text())["last"] == "a.tif"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"look": 3}', '{"look": {"gamma": "x", "invert": true, "contrast": "frame"}}',
     '{"look": {"gamma": 1.234, "invert": true, "contrast": "frame"}}',
     '{"look": {"gamma": 1, "invert": true, "contrast": "manual", "limits": [[5, 5]]}}',
     '{"look": {"gamma": 1, "invert": true, "contrast": "frame", "hidden": {"a": [1]}}}', "\x00\xff"],
)  # fmt: skip
def test_a_damaged_file_is_no_look(tmp_path, text) -> None:
    (tmp_path / "state.json").write_bytes(text.encode("latin-1"))
    assert read_look(tmp_path, GAMMAS, CONTRASTS) == RememberedLook()


def test_a_folder_that_cannot_be_written_to_is_left_alone(tmp_path) -> None:
    (tmp_path / "state.json").mkdir()
    write_look(tmp_path, RememberedLook())
    assert read_look(tmp_path, GAMMAS, CONTRASTS) == RememberedLook()


def test_black_and_white_move_by_a_share_of_their_distance_and_never_meet() -> None:
    limits = ((0.0, 100.0), (50.0, 60.0))
    assert moved_limits(limits, [0], "black", 1) == ((4.0, 100.0), (50.0, 60.0))
    assert moved_limits(limits, [0, 1], "white", -1) == ((0.0, 96.0), (50.0, 59.6))
    for _ in range(500):
        limits = moved_limits(limits, [0, 1], "black", 1)
    assert all(black < white for black, white in limits)


@pytest.fixture
def project(tmp_path) -> Project:
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        image = rng.integers(0, 4000, (2, 48, 64)).astype(np.uint16)
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", image, imagej=True, metadata={"axes": "CYX"})
    return Project.create(tmp_path / "project", images=tmp_path / "images")


async def ready(pilot) -> None:
    app = pilot.app
    await until(pilot, lambda: app.screen.query(ImageCanvas) and app.screen.query_one(ImageCanvas).lines)
    await until(pilot, lambda: app.screen.query_one(ImageCanvas).settled)
    await app.workers.wait_for_complete()
    await pilot.pause()


async def test_the_look_is_there_again_after_a_restart(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        for key in ("i", "right_curly_bracket", "2", "alt+b", "alt+w"):
            await pilot.press(key)
        await ready(pilot)
        assert "contrast frame" not in screen_text(app)
    app = MiaApp(project.folder)
    async with app.run_test(size=(200, 50)) as pilot:
        await ready(pilot)
        screen = app.screen
        assert (screen.invert, screen.gamma, screen.hidden, screen.contrast) == (True, 0.7, {1}, MANUAL)
        text = screen_text(app)
        assert "inverted" in text
        assert "gamma 0.7" in text
        assert "□ 2 " in text
        await pilot.press("n")  # the other image has two channels too
        await ready(pilot)
        assert app.screen.hidden == {1}
        await pilot.press("c")
        await ready(pilot)
        assert "contrast frame" in screen_text(app)


async def test_moving_the_white_point_down_makes_the_picture_brighter(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("2")
        await ready(pilot)

        def light() -> float:
            lines = app.screen.query_one(ImageCanvas).lines
            return float(np.mean([s.style.bgcolor.get_truecolor().red for line in lines for s in line for _ in s.text]))

        before = light()
        for _ in range(8):
            await pilot.press("alt+w")
        await ready(pilot)
        brighter = light()
        for _ in range(16):
            await pilot.press("alt+b")
        await ready(pilot)
        assert before < brighter > light()
