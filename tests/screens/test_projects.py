"""The projects screen and the form of a new project, driven by keys."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from driving import screen_text, type_text, until

from mia_tui.app import MiaApp
from mia_tui.project import Project
from mia_tui.screens.new_project import NewProjectScreen, describe_folder
from mia_tui.screens.projects import ProjectsScreen
from mia_tui.settings import remember_project
from mia_tui.widgets.form import complete_path


class Shell(MiaApp):
    """The app, with the opening of a project noted down instead of its browser shown."""

    opened = None

    async def open_project(self, folder) -> None:
        self.project = Project.load(folder)
        self.opened = self.project.folder


@pytest.fixture(autouse=True)
def _folders(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for name in ("a.tif", "b.PNG", "deep/c.tiff", "notes.txt", ".hidden.tif"):
        (tmp_path / "images" / name).touch()
    monkeypatch.chdir(tmp_path)


async def test_the_empty_state_says_which_keys_to_press() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        text = screen_text(app)
        assert "No projects yet" in text
        assert re.search(r"n\s+new project", text)
        assert re.search(r"o\s+open a project", text)
        assert re.search(r"d\s+demo", text)
        await pilot.press("x")
        await pilot.pause()
        assert "no project in the list" in next(iter(app._notifications)).message


async def test_enter_opens_the_chosen_project_and_x_only_takes_it_off_the_list(tmp_path) -> None:
    folders = [Project.create(tmp_path / name, images=tmp_path / "images").folder for name in ("one", "two")]
    for folder in folders:
        remember_project(folder, folder.name, "segmentation")
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert re.search(r"two\s+segmentation\s+now", screen_text(app))
        await pilot.press("down", "enter")
        await pilot.pause()
        assert app.opened == folders[0]
        await pilot.press("x")
        await pilot.pause()
        assert isinstance(app.screen, ProjectsScreen)
        assert app.screen.table.row_count == 1
        assert (folders[0] / "project.toml").exists()


async def test_a_project_that_is_gone_is_marked_and_opening_it_says_why(tmp_path) -> None:
    remember_project(tmp_path / "gone", "gone", "segmentation")
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "✗ missing" in screen_text(app))
        await pilot.press("enter")
        await pilot.pause()
        assert any("not a project" in n.message for n in app._notifications)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_form_writes_a_project_by_keys_alone(tmp_path, size) -> None:
    app = Shell()
    async with app.run_test(size=size) as pilot:
        await pilot.press("n")
        await type_text(pilot, "w/n")
        await pilot.press("enter")
        await type_text(pilot, "ima")
        await pilot.press("tab")
        assert isinstance(app.screen, NewProjectScreen)
        field = app.screen.field("images")
        await until(pilot, lambda: (field.text, field.note) == ("images/", "3 images"))
        assert "Classes" in screen_text(app)
        await pilot.press("enter", "enter", "right", "enter")
        await pilot.press("ctrl+a", "ctrl+k")
        await type_text(pilot, "rod, dot")
        await pilot.press("enter")
        await until(pilot, lambda: app.opened is not None)
    assert app.opened == tmp_path / "w" / "n"
    data = tomllib.loads((app.opened / "project.toml").read_text())
    assert data["task"] == "detection"
    assert [c["name"] for c in data["classes"]] == ["rod", "dot"]
    assert data["images"] == {"train": str(tmp_path / "images")}


async def test_bad_input_is_said_at_its_field_and_nothing_is_written(tmp_path) -> None:
    Project.create(tmp_path / "old", images=tmp_path / "images")
    before = sorted(tmp_path.rglob("*"))
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("n")
        await type_text(pilot, "old")
        await pilot.press("down")
        await type_text(pilot, "no")
        await pilot.press("down", "down", "down", "ctrl+a", "ctrl+k")
        await type_text(pilot, "a,,b")
        await pilot.press("ctrl+s")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, NewProjectScreen)
        assert "already is a project" in screen.field("folder").note
        assert "does not exist" in screen.field("images").note
        assert "class names" in screen.field("classes").note
        assert not screen.field("predict").has_class("-wrong")
        assert screen.field("folder").control.has_focus
        for word in ("already is a project", "does not exist", "class names"):
            assert word in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, ProjectsScreen)
    assert sorted(p for p in tmp_path.rglob("*") if "state" not in p.parts) == before


async def test_opening_by_path_says_what_is_wrong_with_the_path(tmp_path) -> None:
    project = Project.create(tmp_path / "mine", images=tmp_path / "images")
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("o")
        await type_text(pilot, "images")
        await pilot.press("enter")
        await pilot.pause()
        assert "no project.toml in it" in screen_text(app)
        await pilot.press("ctrl+a", "ctrl+k")
        await type_text(pilot, "mi")
        await pilot.press("tab", "enter")
        await until(pilot, lambda: app.opened == project.folder)


def test_paths_complete_to_folders_first_in_order(tmp_path) -> None:
    (tmp_path / "imagery").mkdir()
    assert complete_path("ima") == "imagery/"
    assert complete_path("images/d") == "images/deep/"
    assert complete_path("images/.h", (".tif",)) == "images/.hidden.tif"
    assert complete_path("images/a") is None
    assert complete_path("images/") is None
    assert complete_path("nowhere/x") is None
    assert describe_folder("images") == "3 images"
    assert "does not exist" in describe_folder("nowhere")


def test_the_first_screen_is_painted_without_anything_heavy() -> None:
    script = """
import asyncio, sys
from mia_tui.app import MiaApp
async def main():
    async with MiaApp().run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert type(pilot.app.screen).__name__ == "ProjectsScreen"
asyncio.run(main())
heavy = "numpy scipy skimage cv2 tifffile pyarrow pydantic shapely torch PIL tomlkit mia_tui.jobs mia_tui.engine"
print([name for name in heavy.split() if name in sys.modules])
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
