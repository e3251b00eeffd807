"""The training form: made from the settings model, says mistakes at their field, starts a real run."""

import functools
import json

import pytest
from driving import screen_text, until
from standin import ROOT, WORKER, make_project, make_run
from textual.widgets import Input

from mia_tui.app import MiaApp
from mia_tui.engine.config import TrainConfig, make_config
from mia_tui.jobs import control
from mia_tui.screens.run_view import RunScreen
from mia_tui.screens.training import TrainingScreen, check_settings, parse, setting_names, to_text


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(control, "start", functools.partial(control.start, worker=WORKER))
    return make_project(tmp_path, labelled=3)


async def open_form(pilot) -> TrainingScreen:
    pilot.app.go("training")
    await until(pilot, lambda: isinstance(pilot.app.screen, TrainingScreen) and pilot.app.screen._labelled is not None)
    await pilot.pause()
    return pilot.app.screen


async def enter(pilot, name, *keys) -> None:
    """Type `keys` over the text of the field `name`."""
    pilot.app.screen.field(name).control.focus()
    await pilot.press("end", "ctrl+u", *keys)


def test_the_form_has_every_setting_once_and_its_texts_give_the_defaults() -> None:
    assert sorted(setting_names(basic=True) + setting_names(basic=False)) == sorted(TrainConfig.model_fields)
    assert len(setting_names(basic=True)) <= 12
    texts = {name: to_text(value) for name, value in make_config({}).model_dump().items()}
    assert TrainConfig(**parse(texts)) == make_config({})
    assert check_settings(texts) == {}


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_basic_settings_are_in_sight_the_others_folded(project, size) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=size) as pilot:
        screen = await open_form(pilot)
        text = screen_text(app)
        assert "3 labelled frames" in text
        for word in ("Name of the model", "Encoder", "resnet18", "Epochs", "Learning rate", "more settings"):
            assert word in text
        assert "Weight decay" not in text
        await pilot.press("ctrl+o")
        await pilot.pause()
        screen.field("weight_decay").control.focus()
        await until(pilot, lambda: "Weight decay" in screen_text(app))
        await pilot.press("down")
        await until(pilot, lambda: screen.field("warmup").control.has_focus)


async def test_start_writes_the_request_and_shows_the_run_live(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_form(pilot)
        assert screen.field("epochs").control.has_focus
        await pilot.press("4")
        await pilot.press("down", "2", "full_stop", "5")
        await enter(pilot, "name", "u", "1")
        await enter(pilot, "channels", "0", "comma", "2")
        screen.field("touching").control.focus()
        await pilot.press("right", "ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        live = app.screen
        await until(pilot, lambda: live.status is not None and live.status.state == "finished")
        assert live.history.epochs == [1, 2, 3, 4]
        assert live.run_folder.id == "u1"
    config = json.loads((project.runs_folder / "u1" / "config.json").read_text())
    expected = {"epochs": 4, "max_minutes": 2.5, "channels": [0, 2], "touching": "off"}
    assert config == {
        "name": "u1", "kind": "train", "project": str(project.folder), "device": "auto",
        "train": make_config(expected).model_dump(),
    }  # fmt: skip


async def test_mistakes_are_said_at_their_field_and_nothing_starts(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_form(pilot)
        await enter(pilot, "epochs", "0")
        await pilot.press("tab")
        await pilot.pause()
        assert "must be at least 1" in screen.field("epochs").note
        assert "must be at least 1" in screen_text(app)
        await enter(pilot, "patch_size", "1", "0", "0")
        await enter(pilot, "validation", "x")
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert app.screen is screen
        await until(pilot, lambda: screen.field("epochs").control.has_focus)
        assert "must be a number" in screen.field("validation").note
        assert not screen.query_one("#advanced").has_class("-hidden")
        await enter(pilot, "epochs", "5")
        assert not screen.field("epochs").has_class("-wrong")
        await enter(pilot, "validation", "0")
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert "multiple of 32" in screen.field("patch_size").note
        await pilot.press("ctrl+r")
        await pilot.pause()
        assert screen.field("patch_size").text == "256"
        assert not [f for f in screen.query("Field") if f.has_class("-wrong")]
    assert not project.runs_folder.exists()


async def test_a_name_that_is_taken_or_odd_is_refused(project) -> None:
    make_run(project, "old", state="finished")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_form(pilot)
        for name, problem in (("old", "runs/old exists"), ("a/b", "letters"), ("", "letters")):
            screen.field("name").control.value = name
            await pilot.press("ctrl+s")
            await pilot.pause()
            assert problem in screen.field("name").note
    assert [path.name for path in project.runs_folder.iterdir()] == ["old"]


async def test_without_labels_start_says_what_to_do(tmp_path, project) -> None:
    empty = make_project(tmp_path / "empty", labelled=0)
    app = MiaApp(empty.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_form(pilot)
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert any("no labels yet" in n.message for n in app._notifications)
    assert not empty.runs_folder.exists()


async def test_settings_of_an_old_run_fill_the_form(project) -> None:
    run = make_run(project, "old", state="finished")
    run.path.joinpath("config.json").write_text(
        json.dumps({**run.config(), "train": make_config({"epochs": 7, "encoder": "resnet34"}).model_dump()})
    )
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("runs")
        await until(pilot, lambda: getattr(app.screen, "rows", None))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, TrainingScreen))
        screen = app.screen
        await until(pilot, lambda: screen.field("encoder").text == "resnet34")
        assert screen.field("epochs").text == "7"
        assert isinstance(screen.field("epochs").control, Input)
