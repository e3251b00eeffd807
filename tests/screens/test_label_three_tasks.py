"""Predictions of points and of image classes, as files that a model writes, decided by real keys."""

import json
import re

import numpy as np
import pytest
import tifffile
from driving import screen_text, until
from typer.testing import CliRunner

from mia_tui.app import MiaApp
from mia_tui.cli import app as command_line
from mia_tui.labeling.store import read_frame
from mia_tui.project import Project

HEIGHT, WIDTH = 60, 80
POINTS = {"a.tif": [(20, 30, 0.9), (60, 30, 0.2), (40, 10, 0.5)], "b.tif": [(30, 30, 0.95), (33, 30, 0.96)]}
"""(x, y, score) of the predicted points."""
CLASSES = {"a.tif": ("alive", 0.95), "b.tif": ("dead", 0.4), "c.tif": ("alive", 0.8)}


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))
    (tmp_path / "images").mkdir()
    for name in ("a.tif", "b.tif", "c.tif"):
        tifffile.imwrite(tmp_path / "images" / name, np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH))

    def build(task, classes) -> Project:
        return Project.create(tmp_path / "project", images=tmp_path / "images", task=task, classes=classes)

    return build


def write_features(project, name, features) -> None:
    """A prediction file written by hand, in the format of the project folder."""
    path = project.prediction_path("net", name, "image")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(collection(features))


def collection(features) -> str:
    ours = {"format": 1, "height": HEIGHT, "width": WIDTH, "revision": 1, "next_id": 9, "rejected": []}
    return json.dumps({"type": "FeatureCollection", "mia_tui": ours, "features": features})


def feature(number, geometry, name, score) -> dict:
    properties = {
        "id": number, "objectType": "annotation", "classification": {"name": name}, "source": "predicted",
        "score": score,
    }  # fmt: skip
    return {"type": "Feature", "id": str(number), "geometry": geometry, "properties": properties}


@pytest.fixture
def points(make) -> Project:
    project = make("detection", ["cell", "debris"])
    for name, places in POINTS.items():
        write_features(project, name, [
            feature(i, {"type": "Point", "coordinates": [x, y]}, "cell", score)
            for i, (x, y, score) in enumerate(places, 1)
        ])  # fmt: skip
    return project


@pytest.fixture
def classes(make) -> Project:
    project = make("classification", ["alive", "dead"])
    outline = {"type": "Polygon", "coordinates": [[[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT], [0, 0]]]}
    for name, (label_class, score) in CLASSES.items():
        write_features(project, name, [feature(1, outline, label_class, score)])
    return project


def labels(project, name) -> list:
    frame = read_frame(project.labels_path(name, "image"))
    return [] if frame is None else list(frame.objects.values())


def ready(screen) -> bool:
    return not (screen._loading or screen._pumping or screen._queue or screen._leaving)


async def settled(pilot) -> None:
    await pilot.pause()
    screen = pilot.app.screen
    await until(pilot, lambda: ready(screen))
    await pilot.pause()


async def review(pilot, word) -> None:
    await until(pilot, lambda: "a.tif" in screen_text(pilot.app))
    await pilot.press("g", "v")
    await until(pilot, lambda: word in screen_text(pilot.app))


async def test_predicted_points_are_accepted_moved_reclassified_and_rejected(points) -> None:
    app = MiaApp(points.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await review(pilot, "3 pending of net")
        assert re.search(r"object 2\s+pending\s+cell\s+score 0\.20", screen_text(app))
        assert not list((points.folder / "labels").rglob("*.geojson")), "looking writes nothing"
        await pilot.press("y")
        await settled(pilot)
        (label,) = labels(points, "a.tif")
        assert (label.source, label.origin, label.score) == ("accepted", "net#2", 0.2)
        await pilot.press("2")  # object 3, the next doubtful one, is debris
        await settled(pilot)
        await pilot.press("n", "x")
        await settled(pilot)
        assert "0 pending of net" in screen_text(app)
        assert {(item.origin, item.source, item.label_class) for item in labels(points, "a.tif")} == {
            ("net#2", "accepted", "cell"),
            ("net#3", "corrected", "debris"),
        }
        assert read_frame(points.prediction_path("net", "a.tif", "image")).rejected == {1}


async def test_a_predicted_point_that_was_moved_does_not_come_back(points) -> None:
    app = MiaApp(points.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await review(pilot, "3 pending of net")
        await pilot.press("e", "shift+right", "shift+right", "down", "escape")
        await settled(pilot)
        (label,) = labels(points, "a.tif")
        assert (label.geometry.x, label.geometry.y) == (70, 31)
        assert (label.source, label.origin) == ("corrected", "net#2")
        assert "2 pending of net" in screen_text(app)
    assert CliRunner().invoke(command_line, _accept(points, "all")).exit_code == 0
    assert len(labels(points, "a.tif")) == 3


def _accept(project, rule) -> list[str]:
    return ["review", str(project.folder), "--from", "predictions:net", "--accept", rule, "--json"]


def test_the_command_accepts_points_above_a_score_but_not_those_that_are_labelled(points) -> None:
    """One label near two predictions is one of them, the nearer one."""
    label = feature(1, {"type": "Point", "coordinates": [34, 31]}, "cell", None)
    path = points.labels_path("b.tif", "image")
    path.parent.mkdir(parents=True)
    label["properties"]["source"] = "manual"
    path.write_text(collection([label]))
    answer = json.loads(CliRunner().invoke(command_line, _accept(points, "score>=0.9")).stdout.splitlines()[-1])
    assert answer["totals"]["accepted"] == 2
    assert answer["totals"]["overlapping"] == 1
    assert [item.origin for item in labels(points, "a.tif")] == ["net#1"]
    assert [(item.origin, item.source) for item in labels(points, "b.tif")] == [(None, "manual"), ("net#1", "accepted")]
    again = json.loads(CliRunner().invoke(command_line, _accept(points, "score>=0.9")).stdout.splitlines()[-1])
    assert again["totals"]["accepted"] == 0


async def test_predicted_classes_are_accepted_and_corrected_and_looking_writes_nothing(classes) -> None:
    app = MiaApp(classes.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await review(pilot, "predicted")
        await until(pilot, lambda: re.search(r"predicted\s+■ alive 0\.95\s+y accepts", screen_text(app)))
        assert not (classes.folder / "labels").exists()
        await pilot.press("y")
        await until(pilot, lambda: re.search(r"predicted\s+■ dead 0\.40", screen_text(app)))
        await pilot.press("1")
        await until(pilot, lambda: re.search(r"predicted\s+■ alive 0\.80", screen_text(app)))
        await until(pilot, lambda: "2/3   saved" in screen_text(app))
    found = [(item.label_class, item.source, item.origin) for name in CLASSES for item in labels(classes, name)]
    assert found == [("alive", "accepted", "net#1"), ("alive", "corrected", "net#1")]


def test_the_command_accepts_classes_above_a_score_and_leaves_images_that_have_one(classes) -> None:
    first = json.loads(CliRunner().invoke(command_line, _accept(classes, "score>=0.9")).stdout.splitlines()[-1])
    assert first["totals"]["accepted"] == 1
    (label,) = labels(classes, "a.tif")
    assert (label.label_class, label.source, label.score) == ("alive", "accepted", 0.95)
    again = json.loads(CliRunner().invoke(command_line, _accept(classes, "all")).stdout.splitlines()[-1])
    assert again["totals"]["accepted"] == 2
    assert [len(labels(classes, name)) for name in CLASSES] == [1, 1, 1]
