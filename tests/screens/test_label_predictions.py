"""The labelling screen on a model's predictions, driven by keys; the files say what happened."""

import re

import numpy as np
import pytest
import shapely
import tifffile
from driving import screen_text, type_text, until
from textual import events

from mia_tui.app import MiaApp
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import FrameStore, read_frame, write_frame
from mia_tui.project import Project
from mia_tui.widgets.canvas.widget import ImageCanvas

SCORES = {"a.tif": (0.9, 0.2, 0.5), "b.tif": (), "c.tif": (0.7, 0.95)}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for name in SCORES:
        tifffile.imwrite(tmp_path / "images" / name, rng.integers(0, 255, (60, 80)).astype(np.uint8))
    return Project.create(tmp_path / "project", images=tmp_path / "images")


@pytest.fixture
def predicted(project) -> Project:
    predict(project, "unet")
    return project


def predict(project, model) -> None:
    for name, scores in SCORES.items():
        objects = [
            LabelObject(i, shapely.box(12 * i, 20, 12 * i + 8, 30), "cell", "predicted", score=score)
            for i, score in enumerate(scores, 1)
        ]
        write_frame(project.prediction_path(model, name, "image"), FrameLabels.of(60, 80, objects))


def origins(project, key):
    frame = read_frame(project.labels_path(key, "image"))
    return set() if frame is None else {item.origin for item in frame.objects.values()}


def rejected(project, key):
    return set(read_frame(project.prediction_path("unet", key, "image")).rejected)


async def open_review(pilot) -> None:
    await pilot.press("f6")
    await until(pilot, lambda: "pending of" in screen_text(pilot.app))
    await settled(pilot)


async def settled(pilot) -> None:
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await until(pilot, lambda: re.search("saved|viewing only", screen_text(pilot.app)))
    await pilot.pause()


def said(app) -> list[str]:
    """Notifications, and the line of the desk."""
    return [*(n.message for n in app._notifications), screen_text(app).splitlines()[-3]]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_the_most_doubtful_object_is_chosen_and_described(predicted, size) -> None:
    app = MiaApp(predicted.folder)
    async with app.run_test(size=size) as pilot:
        await open_review(pilot)
        text = screen_text(app)
        assert re.search(r"object 2\s+pending\s+cell\s+score 0\.20\s+80 px", text)
        assert "3 pending of unet" in text
        assert all(corner in text for corner in "┌┐└┘"), "the chosen object has no brackets"
        assert "y Accept" in text
        assert "x Delete" in text
        assert app.screen.query_one(ImageCanvas).cursor == (25, 28)  # the middle of object 2


async def test_accept_reject_and_undo_are_on_disk_when_it_says_saved(predicted) -> None:
    app = MiaApp(predicted.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_review(pilot)
        await pilot.press("y")
        await settled(pilot)
        assert origins(predicted, "a.tif") == {"unet#2"}
        assert re.search(r"object 3\s+pending", screen_text(app))
        await pilot.press("x")
        await settled(pilot)
        assert rejected(predicted, "a.tif") == {3}
        assert "1 pending of unet" in screen_text(app)
        await pilot.press("u")
        await settled(pilot)
        assert rejected(predicted, "a.tif") == set()
        assert "2 pending of unet" in screen_text(app)
        await pilot.press("ctrl+r")
        await settled(pilot)
        assert rejected(predicted, "a.tif") == {3}
        await pilot.press("u", "u", "u")
        await settled(pilot)
        assert origins(predicted, "a.tif") == set()
        assert "Nothing to undo on this image." in screen_text(app)


async def test_next_walks_by_doubt_and_over_to_the_next_frame_with_something_pending(predicted) -> None:
    app = MiaApp(predicted.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_review(pilot)
        seen = []
        for key in "nnnp":
            seen.append(re.search(r"object (\d)", screen_text(app))[1])
            await pilot.press(key)
            await settled(pilot)
        assert seen == ["2", "3", "1", "1"]  # the last is object 1 of c.tif: b.tif has nothing
        assert "a.tif" in screen_text(app)
        assert "object 1" in screen_text(app)
        await pilot.press("n", "n", "n")
        await settled(pilot)
        await until(pilot, lambda: any("later frames" in text for text in said(app)))
        assert origins(predicted, "a.tif") == origins(predicted, "c.tif") == set()


async def test_a_deleted_label_does_not_come_back_as_a_prediction_and_one_undo_brings_it_back(predicted) -> None:
    app = MiaApp(predicted.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_review(pilot)
        await pilot.press("A", "d", "f")
        await settled(pilot)
        assert len(origins(predicted, "a.tif")) == 2
        assert len(rejected(predicted, "a.tif")) == 1
        assert "0 pending of unet" in screen_text(app)
        await pilot.press("escape", "u")
        await settled(pilot)
        assert origins(predicted, "a.tif") == {"unet#1", "unet#2", "unet#3"}
        assert rejected(predicted, "a.tif") == set()


async def test_a_score_is_asked_for_and_checked_before_anything_is_accepted(predicted) -> None:
    app = MiaApp(predicted.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_review(pilot)
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "with a score of at least" in screen_text(app))
        await pilot.press("ctrl+u", "7", "enter")
        await until(pilot, lambda: "7 is no score: give a number from 0 to 1" in screen_text(app))
        await pilot.press("ctrl+u")
        await type_text(pilot, "0.7")
        await pilot.press("enter")
        await until(pilot, lambda: "Accepted 3 objects on 2 frames." in said(app))
        await settled(pilot)
        assert origins(predicted, "a.tif") == {"unet#1"}
        assert origins(predicted, "c.tif") == {"unet#1", "unet#2"}
        assert "2 pending of unet" in screen_text(app)


async def test_quick_keys_are_all_honoured_and_quitting_waits_for_the_disk(predicted) -> None:
    app = MiaApp(predicted.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_review(pilot)
        for key in "yyxq":
            app.post_message(events.Key(key, key))
        await until(pilot, lambda: app._exit)
    assert origins(predicted, "a.tif") == {"unet#2", "unet#3"}
    assert rejected(predicted, "a.tif") == {1}


async def test_a_frame_that_another_window_edits_is_for_viewing_only(predicted) -> None:
    app = MiaApp(predicted.folder)
    with FrameStore(predicted.labels_path("a.tif", "image"), 60, 80):
        async with app.run_test(size=(80, 24)) as pilot:
            await open_review(pilot)
            assert "viewing only" in screen_text(app)
            assert any("being edited by another window" in text for text in said(app))
            await pilot.press("y")
            await settled(pilot)
            assert "3 pending of unet" in screen_text(app)
    assert origins(predicted, "a.tif") == set()


async def test_scores_and_labels_are_shown_and_models_are_chosen(predicted) -> None:
    predict(predicted, "other")
    write_frame(
        predicted.labels_path("c.tif", "image"),
        FrameLabels.of(60, 80, [LabelObject(1, shapely.box(60, 40, 70, 50), "cell")]),
    )
    app = MiaApp(predicted.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_review(pilot)
        await pilot.press("M", "home", "enter")
        await settled(pilot)
        await pilot.press("N", "N")
        await until(pilot, lambda: "3/3" in screen_text(app))
        await settled(pilot)
        canvas = app.screen.query_one(ImageCanvas)
        assert [len(layer.colors) for layer in canvas.scene.layers] == [3]
        await pilot.press("o", "number_sign")
        await settled(pilot)
        assert [len(layer.colors) for layer in canvas.scene.layers] == [2]
        assert {mark.text for mark in canvas.scene.marks} == {".70", ".95"}
        await pilot.press("N")
        await until(pilot, lambda: any("This is the last image." in text for text in said(app)))


async def test_without_predictions_it_says_how_to_get_some(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f6")
        await until(pilot, lambda: any("No model has predicted anything yet" in text for text in said(app)))
        await pilot.press("y")
        await until(pilot, lambda: "Nothing is pending here" in screen_text(app))
        predict(project, "unet")
        await pilot.press("f3")
        await pilot.pause()
        await pilot.press("f6")
        await until(pilot, lambda: re.search(r"object 2\s+pending", screen_text(app)))
