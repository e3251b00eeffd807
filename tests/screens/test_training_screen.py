"""The training form: made from the settings model, says mistakes at their field, starts a real run."""

import functools
import json
from typing import Any, Literal

import numpy as np
import pytest
import shapely
from driving import screen_text, type_text, until
from PIL import Image
from pydantic import BaseModel, Field
from standin import ROOT, WORKER, make_project, make_run
from textual.widgets import Input

from mia_tui.app import MiaApp
from mia_tui.engine.config import TrainConfig, make_config
from mia_tui.jobs import control
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import write_frame
from mia_tui.screens import training
from mia_tui.screens.augmentation import AugmentationScreen
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
        for word in ("Name of the model", "Encoder", "auto", "Epochs", "Learning rate", "more settings"):
            assert word in text
        assert "Weight decay" not in text
        await pilot.press("ctrl+o")
        await pilot.pause()
        screen.field("weight_decay").control.focus()
        await until(pilot, lambda: "Weight decay" in screen_text(app))
        await pilot.press("down")
        await until(pilot, lambda: screen.field("clip").control.has_focus)


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
        await enter(pilot, "clip", "x")
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert app.screen is screen
        await until(pilot, lambda: screen.field("epochs").control.has_focus)
        assert "must be a number" in screen.field("clip").note
        assert not screen.query_one("#advanced").has_class("-hidden")
        await enter(pilot, "epochs", "5")
        assert not screen.field("epochs").has_class("-wrong")
        await enter(pilot, "clip", "0")
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert "multiple of 32" in screen.field("patch_size").note
        await pilot.press("ctrl+r")
        await pilot.pause()
        assert screen.field("patch_size").text == "256"
        assert not [f for f in screen.query("Field") if f.has_class("-wrong")]
    assert not project.runs_folder.exists()


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("loss", "dice + huber", "huber"),
        ("class_weights", "1,2,3,4,5", "5 numbers"),
        ("frozen_epochs", "2", "teaches nothing"),
        ("schedule", "plateau", "needs validation"),
    ],
)
async def test_what_does_not_suit_the_task_is_said_before_anything_starts(project, name, text, problem) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_form(pilot)
        screen.field("validation").control.value = "0"
        screen.field(name).control.value = text
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert app.screen is screen
        assert problem in screen.field(name).note
        await until(pilot, lambda: screen.field(name).control.has_focus)
    assert not project.runs_folder.exists()


async def test_a_classification_of_one_class_is_refused_below_the_form(tmp_path, project) -> None:
    single = make_project(tmp_path / "single", task="classification", labelled=3)
    app = MiaApp(single.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_form(pilot)
        assert "patch_size" not in fields(screen)
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert app.screen is screen
        await until(pilot, lambda: "at least two classes" in screen_text(app))
    assert not single.runs_folder.exists()


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


# ---- augmented samples -----------------------------------------------------------------------------------------------


def noisy_project(folder):
    """A project with one labelled image, of which samples can be drawn."""
    project = make_project(folder, labelled=0)
    picture = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(picture).save(folder / "images" / "a.png")
    frame = FrameLabels.of(64, 64, [LabelObject(1, shapely.box(10, 10, 40, 40), "cell")])
    write_frame(project.labels_path("a.png", "image"), frame)
    return project


async def test_samples_are_drawn_with_the_settings_of_the_form_and_anew_after_a_change(tmp_path, project) -> None:
    noisy = noisy_project(tmp_path / "noisy")
    app = MiaApp(noisy.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_form(pilot)
        screen.field("patch_size").control.value = "64"
        pictures = []
        for blur, said in (("0", "off"), ("2.5", "2.5")):
            screen.field("augment_blur").control.value = blur
            await pilot.press("ctrl+t")
            await until(pilot, lambda: isinstance(app.screen, AugmentationScreen))
            await until(pilot, lambda: "samples/s" in screen_text(app) and has_picture(app), 120)
            line = next(line for line in screen_text(app).splitlines() if "blur " in line)
            assert line.split("blur", 1)[1].split()[0] == said
            assert line.split("blur", 1)[1].split()[1].isdigit()
            pictures.append((noisy.results_folder / "augmentation.png").read_bytes())
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is screen)
        assert pictures[0] != pictures[1]


def has_picture(app) -> bool:
    return bool(set(screen_text(app)) & set("▀▄▌▐▘▝▖▗▚▞"))


async def test_samples_with_a_wrong_setting_or_without_labels_are_not_drawn(tmp_path, project) -> None:
    app = MiaApp(make_project(tmp_path / "empty", labelled=0).folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_form(pilot)
        await pilot.press("ctrl+t")
        await pilot.pause()
        assert any("no labels yet" in n.message for n in app._notifications)
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_form(pilot)
        await enter(pilot, "patch_size", "1", "0", "0")
        await pilot.press("ctrl+t")
        await pilot.pause()
        assert app.screen is screen
        assert "multiple of 32" in screen.field("patch_size").note
        screen.field("patch_size").control.value = "64"
        await pilot.press("ctrl+t")  # the images of these labels are not there
        await until(pilot, lambda: "no labels" in screen_text(app), 60)
        assert isinstance(app.screen, AugmentationScreen)


# ---- many settings in groups -----------------------------------------------------------------------------------------


def setting(default: Any, help_text: str, **extra: Any) -> Any:
    return Field(default, description=help_text, json_schema_extra=extra)


class ManySettings(BaseModel):
    """A settings model with groups and tasks; defaults that the form can show."""

    epochs: int = setting(60, "Rounds through the images", basic=True, group="Schedule")
    radius: float = setting(6.0, "Radius of a match in pixels", basic=True, group="Target", tasks=["detection"])
    smoothing: float = setting(0.1, "Softness of the classes", group="Loss", tasks=["classification"])
    cached: bool = setting(True, "Keep read images in memory", group="Machine")
    clipping: float = setting(1.0, "Longest step of the optimiser", group="Optimiser")
    scheduler: Literal[
        "constant", "step", "plateau", "cosine", "one-cycle", "exponential", "polynomial", "cosine-restarts"
    ] = setting("cosine", "How the learning rate goes on", group="Schedule")
    weights: str | None = setting(None, "File of weights to begin with", group="Network")


@pytest.fixture
def many(project, monkeypatch):
    monkeypatch.setattr(training, "TrainConfig", ManySettings)
    monkeypatch.setattr(training, "make_config", lambda values: ManySettings(**values))
    monkeypatch.setattr(training, "check_for_task", lambda *_: None)
    return project


def fields(screen) -> list[str]:
    return [field.field_name for field in screen.query("Field")]


async def test_settings_stand_in_groups_and_only_those_of_the_task(many) -> None:
    app = MiaApp(many.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_form(pilot)
        assert fields(screen) == ["name", "epochs", "weights", "clipping", "scheduler", "cached"]
        assert "4 more settings" in screen_text(app)
        assert "Optimiser" not in screen_text(app)
        await pilot.press("ctrl+o")
        await pilot.pause()
        lines = [line.strip() for line in screen_text(app).splitlines()]
        assert [line for line in lines if line in ("Network", "Loss", "Optimiser", "Schedule", "Machine")] == [
            "Network", "Optimiser", "Schedule", "Machine",
        ]  # fmt: skip


async def test_a_switch_is_yes_or_no_and_comes_as_one(many) -> None:
    app = MiaApp(many.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_form(pilot)
        await pilot.press("ctrl+o")
        screen.field("cached").control.focus()
        await pilot.pause()
        assert "◉ yes  ○ no" in screen_text(app)
        await pilot.press("right")
        await pilot.pause()
        assert "○ yes  ◉ no" in screen_text(app)
        texts = screen._texts()
        texts.pop("name")
        assert ManySettings(**parse(texts)) == ManySettings(cached=False)


async def test_a_choice_of_many_options_shows_those_around_the_chosen_one(many) -> None:
    app = MiaApp(many.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_form(pilot)
        await pilot.press("ctrl+o")
        screen.field("scheduler").control.focus()
        await pilot.pause()
        for option in ("cosine", "one-cycle", "exponential", "polynomial", "cosine-restarts", "constant", "step"):
            line = next(line for line in screen_text(app).splitlines() if line.strip().startswith("Scheduler"))
            assert f"◉ {option}" in line
            assert ("‹" in line) == ("constant" not in line)
            assert ("›" in line) == ("cosine-restarts" not in line)
            await pilot.press("right")
            await pilot.pause()


async def test_a_slash_finds_settings_by_name_or_help_and_goes_to_them(many) -> None:
    app = MiaApp(many.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_form(pilot)
        assert screen.field("epochs").control.has_focus
        await pilot.press("slash")
        await type_text(pilot, "learning rate")
        await pilot.pause()
        assert "Scheduler" in screen_text(app)
        assert "Epochs" not in screen_text(app)
        assert screen.field("epochs").text == "60"
        await pilot.press("enter")
        await until(pilot, lambda: screen.field("scheduler").control.has_focus)
        await pilot.press("right", "escape")
        await pilot.pause()
        assert app.screen is screen
        assert screen.field("scheduler").text == "one-cycle"
        await until(pilot, lambda: "Epochs" in screen_text(app) and "◉ one-cycle" in screen_text(app))
        await pilot.press("slash")
        await type_text(pilot, "qqq")
        await until(pilot, lambda: "No setting is called so" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Epochs" in screen_text(app))
        await until(pilot, lambda: screen.field("scheduler").control.has_focus)


async def test_a_slash_is_a_letter_in_a_setting_that_takes_text(many) -> None:
    app = MiaApp(many.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_form(pilot)
        await pilot.press("ctrl+o")
        await enter(pilot, "weights")
        await type_text(pilot, "a/b")
        await pilot.pause()
        assert screen.field("weights").text == "a/b"
