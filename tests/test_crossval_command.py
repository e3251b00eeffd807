"""`mia-tui crossval` with real trainings, as small as they can be."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from test_tune_command import TINY, three_images

from mia_tui.console import cross_validate
from mia_tui.engine.evaluate import evaluate_project
from mia_tui.errors import MiaError
from mia_tui.labeling.objects import FrameLabels
from mia_tui.labeling.store import write_frame
from mia_tui.runfolder import RunFolder

ROOT = Path(__file__).parents[1]
SETTINGS = [part for key, value in TINY.items() if key != "validation" for part in ("--set", f"{key}={value}")]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))
    return three_images(tmp_path)


def mia(project, *arguments, code=0):
    command = [sys.executable, "-m", "mia_tui.cli", arguments[0], str(project.folder), *arguments[1:], "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=240)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout, json.loads(done.stdout.splitlines()[-1]) if code == 0 else done.stderr


@pytest.mark.slow
def test_every_image_is_scored_once_by_the_model_that_has_not_seen_it(project):
    text, found = mia(project, "crossval", "--name", "cv", "--folds", "2", *SETTINGS)
    assert sorted(project.models()) == ["cv-fold1", "cv-fold2"]
    held = []
    for row in found["folds"]:
        alone = evaluate_project(project, row["model"])
        held += [image["image"] for image in alone["images"]]
        assert row["ap50"] == pytest.approx(alone["totals"][0]["pooled"]["accuracy"], abs=1e-9)
        card = json.loads((project.models_folder / row["model"] / "model.json").read_text())
        assert not set(card["training"]["train_images"]) & set(card["training"]["validation_images"])
    assert sorted(image["image"] for image in found["images"]) == sorted(held)
    assert {name.split(" ")[0] for name in held} == {key for key, _ in project.frames_under("labels")}
    values = [row["ap50"] for row in found["folds"]]
    assert found["mean"]["ap50"] == pytest.approx(statistics.mean(values))
    assert found["deviation"]["ap50"] == pytest.approx(statistics.stdev(values))
    assert f"{found['mean']['ap50']:.3f}" in next(line for line in text.splitlines() if line.startswith("mean "))

    def again(folds=2, *more):
        return cross_validate(project, "cv", folds, [*SETTINGS[1::2], *more], None)

    started = [RunFolder(project.runs_folder / row["run"]).status().started for row in found["runs"]]
    assert again()["folds"] == found["folds"]  # and nothing was trained twice
    assert [RunFolder(project.runs_folder / row["run"]).status().started for row in found["runs"]] == started
    with pytest.raises(MiaError, match=r"other settings \(epochs 1, now 2\)"):
        again(2, "epochs=2")
    with pytest.raises(MiaError, match="3 labelled images cannot be cut into 4 folds"):
        again(4)

    # an image that was labelled afterwards was held out by nobody
    tifffile.imwrite(project.roots["train"] / "new.tif", np.zeros((64, 64), np.uint16))
    write_frame(project.labels_path("new.tif", "image"), FrameLabels.of(64, 64, []))
    with pytest.raises(MiaError, match="no longer those of these trainings"):
        again()


def test_what_cannot_be_cross_validated_is_said_before_anything_starts(project):
    said = mia(project, "crossval", "--folds", "3", "--set", "validation_images=sim_000.tif", code=1)[1]
    assert "validation_images" in said
    said = mia(project, "crossval", "--folds", "3", "--set", "folds=4", code=1)[1]
    assert "leave out" in said  # which of the two numbers is meant?
    assert "bad" in mia(project, "crossval", "--set", "bad=1", code=1)[1]
    assert not project.runs_folder.exists() or not list(project.runs_folder.iterdir())
