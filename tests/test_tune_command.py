"""`mia-tui tune` with real trainings, as small as they can be."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TINY = {
    "encoder": "tu-mobilenetv3_small_050", "decoder_channels": "16,8,8,8,8", "patch_size": 32, "batch_size": 2,
    "steps_per_epoch": 2, "epochs": 1, "augmentation_strength": 0, "loss": "cross_entropy", "validation": 0.34,
    "threads": 1,
    "device": "cpu",
}  # fmt: skip


def three_images(folder):
    """A project of three simulated images with their masks."""
    from mia_tui.formats import masks
    from mia_tui.project import Project
    from mia_tui.simulate import write_dataset

    write_dataset(folder, train=3, predict=1, size=64, frames=2)
    project = Project.create(folder / "project", images=folder / "train")
    return masks.import_masks(project, folder / "train_masks", kind="instance").project


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))
    return three_images(tmp_path)


def tune(project, *arguments, code=0):
    """Run the command to its end; what it says to people, and to programs."""
    command = [sys.executable, "-m", "mia_tui.cli", "tune", str(project.folder), *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=240)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    *text, last = done.stdout.splitlines()
    return "\n".join(text), json.loads(last)


@pytest.mark.slow
def test_two_real_trainings(project):
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    text, found = tune(project, "--name", "s", "--trials", "2", "--search", "learning_rate=1e-3:1e-2", *settings)
    assert [row["state"] for row in found["trials"]] == ["finished"] * 2
    for row in found["trials"]:
        config = json.loads((project.runs_folder / row["run"] / "config.json").read_text())
        assert config["train"]["learning_rate"] == row["settings"]["learning_rate"]
        assert 0 <= row["value"] <= 1
    best = found["best"]
    assert project.models() == [best["model"]] == [best["run"]]
    assert tomllib.loads(Path(best["config"]).read_text())["learning_rate"] == best["settings"]["learning_rate"]
    assert f"best: trial {best['trial']}" in text
    shown, again = tune(project, "--name", "s", "--show")
    assert (again["trials"], again["best"]) == (found["trials"], best)
    assert shown in text


def test_what_is_wrong_is_said_before_anything_starts(project):
    for arguments, message in (
        (["--search", "learning_rate=1:20"], "learning_rate=20.0 cannot be"),
        (["--set", "validation=0"], "validation images"),
        (["--show"], "--name"),
        (["--show", "--name", "x"], "no search 'x'"),
    ):
        _, found = tune(project, *arguments, code=1)
        assert message in found["error"]
    assert "--minutes" in tune(project, "--minutes", "0", code=2)[1]["error"]
    assert not project.runs_folder.exists() or not any(project.runs_folder.iterdir())
