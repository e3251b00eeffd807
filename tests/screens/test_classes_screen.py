"""The classes of a project, edited by keys; project.toml and the label files say what happened."""

import re

import numpy as np
import pytest
import shapely
import tifffile
from driving import screen_text, type_text, until

from mia_tui.app import MiaApp
from mia_tui.labeling.objects import LabelObject
from mia_tui.labeling.store import open_labels, read_frame
from mia_tui.project import Project
from mia_tui.screens.classes import ClassesScreen

SIZE = 40, 50
NAMES = ("a.tif", "b.tif")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    """On each of two images two cells, one piece of debris, and a ghost, which is no class of the project."""
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))
    (tmp_path / "images").mkdir()
    made = Project.create(tmp_path / "project", images=tmp_path / "images", classes=["cell", "debris"])
    for name in NAMES:
        tifffile.imwrite(tmp_path / "images" / name, np.zeros(SIZE, np.uint8))
        with open_labels(made, name, "image", *SIZE) as store:
            kinds = enumerate(("cell", "cell", "debris", "ghost"), 1)
            store.edit("four", add=[LabelObject(i, shapely.box(5 * i, 1, 5 * i + 3, 6), kind) for i, kind in kinds])
    return made


def labels(project, key="b.tif"):
    return [item.label_class for item in read_frame(project.labels_path(key, "image")).objects.values()]


def classes(project):
    return [(c.name, c.key, c.color) for c in Project.load(project.folder).classes]


def row(app, name):
    """The line of a class: key, swatch, name, colour, count in the image, count in the project."""
    found = re.search(rf"│ +(\S?) +([■□]) {name} +(\S+) +(\S+) +(\S+) +│", screen_text(app))
    return found.groups() if found else None


async def opened(pilot) -> None:
    await until(pilot, lambda: pilot.app.screen.shown is not None)
    await pilot.press("C")
    await settled(pilot)


async def settled(pilot) -> None:
    """Counts are shown and nothing is being saved."""
    await pilot.pause()
    await until(pilot, lambda: isinstance(pilot.app.screen, ClassesScreen) and not pilot.app.screen.busy)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_classes_are_listed_with_keys_and_counts(project, size) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        assert row(app, "cell") == ("1", "■", "#56B4E9", "2", "4")
        assert row(app, "debris") == ("2", "■", "#E69F00", "1", "2")
        assert row(app, "ghost") == ("?", "□", "unknown", "1", "2")
        text = screen_text(app)
        assert all(word in text for word in ("a add", "rename", "c colour", "0-9 key", "d remove", "esc closes"))
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, ClassesScreen)


async def test_without_colours_everything_can_be_read(project, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert row(app, "cell") == ("1", "■", "#56B4E9", "2", "4")
        assert row(app, "ghost")[0] == "?"


async def test_add_key_order_and_colour(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("a")
        await type_text(pilot, "cell")
        await pilot.press("enter")
        assert "there is a class cell already" in screen_text(app)
        await type_text(pilot, " 2")
        await pilot.press("enter")
        await settled(pilot)
        assert classes(project)[2][:2] == ("cell 2", "3")
        await pilot.press("0", "K", "shift+up")  # the new class is under the cursor
        await settled(pilot)
        assert [c[:2] for c in classes(project)] == [("cell 2", "0"), ("cell", "1"), ("debris", "2")]
        await pilot.press("1", "J")
        await settled(pilot)
        assert [c[:2] for c in classes(project)] == [("cell", "0"), ("cell 2", "1"), ("debris", "2")]
        await pilot.press("c", "home", "down", "enter")
        await settled(pilot)
        assert classes(project)[1] == ("cell 2", "1", "#E69F00")
        await pilot.press("c", "end", "enter", "ctrl+u")
        await type_text(pilot, "red")
        await pilot.press("enter")
        assert "six hexadecimal digits" in screen_text(app)
        await pilot.press("ctrl+u", "number_sign")
        await type_text(pilot, "00ff7f")
        await pilot.press("enter")
        await settled(pilot)
        assert classes(project)[1] == ("cell 2", "1", "#00FF7F")
        await pilot.press("q")
        await pilot.pause()
        assert app.project == Project.load(project.folder)


async def test_rename_reaches_the_labels_and_the_image_behind(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        browser = app.screen_stack[0]
        await pilot.press("down", "enter", "ctrl+u")
        await type_text(pilot, "dirt")
        await pilot.press("enter")
        await settled(pilot)
        assert [c[0] for c in classes(project)] == ["cell", "dirt"]
        assert labels(project) == ["cell", "cell", "dirt", "ghost"]
        assert row(app, "dirt") == ("2", "■", "#E69F00", "1", "2")
        await pilot.press("escape")
        await until(pilot, lambda: browser.shown.labels.frame.objects[3].label_class == "dirt")


async def test_removing_asks_what_becomes_of_the_labels(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("d")
        await pilot.pause()
        assert "remove it and give its 4 labels to debris" in screen_text(app)
        assert "remove it and delete its 4 labels" in screen_text(app)
        await pilot.press("escape")
        await settled(pilot)
        assert labels(project) == ["cell", "cell", "debris", "ghost"]
        await pilot.press("d", "enter")
        await settled(pilot)
        assert labels(project) == ["debris", "debris", "debris", "ghost"]
        assert row(app, "debris")[4] == "6"
        await pilot.press("d")
        await pilot.pause()
        assert "last class cannot be removed" in screen_text(app)
        await pilot.press("down", "d", "end", "enter")
        await settled(pilot)
        assert labels(project) == ["debris"] * 3
        with open_labels(project, "b.tif", "image", *SIZE) as store:
            store.undo()
            store.undo()
        assert labels(project) == ["cell", "cell", "debris", "ghost"]


async def test_an_unknown_class_becomes_a_class_or_part_of_one(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("end", "r", "home", "enter")
        await settled(pilot)
        assert [c[:2] for c in classes(project)] == [("cell", "1"), ("debris", "2"), ("ghost", "3")]
        with open_labels(project, "a.tif", "image", *SIZE) as store:
            store.edit("spook", add=[LabelObject(9, shapely.box(1, 9, 4, 12), "spook")])
        await pilot.press("escape", "C")
        await until(pilot, lambda: row(app, "spook") is not None)
        await pilot.press("end", "r", "end", "enter")
        await settled(pilot)
        assert labels(project, "a.tif") == ["cell", "cell", "debris", "ghost", "ghost"]
        assert row(app, "spook") is None


async def test_a_frame_open_in_another_window_is_told_and_nothing_changes(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        with open_labels(project, "b.tif", "image", *SIZE):
            await pilot.press("r", "ctrl+u", "x", "enter")
            await until(pilot, lambda: "being edited by another window" in screen_text(app))
        assert classes(project)[0][0] == "cell"
        assert app.project.classes[0].name == "cell"
        await pilot.press("r", "ctrl+u", "x", "enter")
        await settled(pilot)
        assert labels(project) == ["x", "x", "debris", "ghost"]


async def test_a_change_cut_off_by_a_kill_is_finished_when_the_project_is_opened(project) -> None:
    (project.folder / "class-change.json").write_text(
        '{"format": 1, "kind": "rename", "name": "cell", "to": "nucleus"}'
    )
    app = MiaApp(project.folder)
    assert app.project.classes[0].name == "nucleus"
    assert labels(project) == ["nucleus", "nucleus", "debris", "ghost"]
