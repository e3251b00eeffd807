"""The whole loop by keys alone, in a pseudo-terminal: the real app, a real training, real files."""

import csv
import json
import re
from pathlib import Path

import pytest
from terminal import Terminal

from mia_tui.formats.masks import import_masks
from mia_tui.jobs.liveness import current_status
from mia_tui.project import Project
from mia_tui.runfolder import RunFolder
from mia_tui.screens.training import setting_names
from mia_tui.simulate import write_dataset

SETTINGS = {
    "name": "tiny", "encoder": "tu-mobilenetv3_small_050", "epochs": "20", "patch_size": "64", "batch_size": "4",
    "learning_rate": "0.003", "augmentation": "none", "decoder_channels": "16,8,8,8,8", "ema": "0",
    "steps_per_epoch": "20", "validation": "0.34", "device": "cpu", "threads": "1",
}  # fmt: skip
"""Small enough for seconds on one core, large enough to find most cells; what the form calls them."""


@pytest.fixture
def project(tmp_path) -> Project:
    """Simulated cells: three images to label and learn from, one image and a time lapse of two frames to predict."""
    write_dataset(tmp_path / "images", train=3, predict=2, size=128, frames=2)
    images = tmp_path / "images"
    return Project.create(
        tmp_path / "cells", images=images / "train", predict_images=images / "predict", classes=["nucleus"],
        name="Small cells",
    )  # fmt: skip


@pytest.fixture
def labelled(project, tmp_path) -> Project:
    return import_masks(project, tmp_path / "images" / "train_masks", kind="instance").project


def label(project) -> None:
    """Label the three training images: propose, accept all, delete one and take that back, on to the next image."""
    with Terminal(project.folder, "--graphics", "cells") as terminal:
        terminal.see("━ 0 labels")
        terminal.press("enter")
        for number, ref in enumerate(project.images("train")):
            terminal.see(rf"{re.escape(ref.key)}\s+128 x 128")
            terminal.see(rf"Label +{number + 1}/\d+ *$")
            terminal.press("space")
            count = int(terminal.see(r"┅ (\d+) pending ")[1])
            assert count >= 4, terminal.text
            terminal.press("A")
            terminal.see(rf"nucleus {count} ")
            terminal.see_no("pending")
            terminal.press("d", "f")
            terminal.see(rf"nucleus {count - 1} ")
            terminal.press("escape")  # and then another key is alt+key, unless the first one was dealt with
            terminal.see_no("type the letters on objects")
            terminal.press("u")
            terminal.see(rf"nucleus {count} ")
            terminal.see(r"saved *$")
            terminal.press("N")
        assert terminal.end() == 0


def features(path: Path) -> list[dict]:
    return json.loads(path.read_text())["features"]


def browse(terminal, project) -> None:
    """Look at the images: labels over the first one, then the next one, the list, and the help."""
    first, second, *_ = [ref.key for ref in project.images()]
    count = len(features(project.labels_path(first, "image")))
    terminal.see(rf"{re.escape(first)}\s+128 x 128")
    terminal.see(rf"━ {count} labels")
    terminal.press("n")
    terminal.see(rf"{re.escape(second)}\s+128 x 128")
    terminal.press("o")
    terminal.see("labels off")
    terminal.press("?")
    terminal.see("Keys: Images")
    terminal.write("measure")
    terminal.see("Measure objects into a table")
    terminal.press("escape")
    terminal.see_no("Keys: Images")


def fill_form(terminal) -> None:
    """Set every field of `SETTINGS`, going down from the first field."""
    task = "segmentation"
    names = ["name", *setting_names(basic=True, task=task), *setting_names(basic=False, task=task)]
    labels = ["Name of the model", *(name.replace("_", " ").capitalize() for name in names[1:])]
    terminal.press("ctrl+o")
    terminal.see("Decoder channels")
    at = names.index("epochs")
    for name in sorted(SETTINGS, key=names.index):
        for step in range(at, names.index(name), 1 if names.index(name) > at else -1):
            key, neighbour = ("down", step + 1) if names.index(name) > at else ("up", step - 1)
            terminal.press(key)
            terminal.wait(f"{labels[neighbour]} in focus", lambda label=labels[neighbour]: terminal.is_bold(label))
        at = names.index(name)
        if name == "augmentation":
            terminal.see(rf"^ *{labels[at]} +◉ fluorescence")
            terminal.press("left")
            terminal.see("◉ none")
        else:  # the text of a field in focus is selected: what is typed takes its place
            terminal.write(SETTINGS[name])
            terminal.see(rf"^ *{labels[at]} .*{re.escape(SETTINGS[name][-16:])}( |$)")


def train_and_leave(project) -> RunFolder:
    """Start a training from the form, see it running, quit."""
    with Terminal(project.folder, "--graphics", "cells") as terminal:
        browse(terminal, project)
        terminal.press("g", "t")
        terminal.see("3 labelled frames")
        fill_form(terminal)
        terminal.press("ctrl+s")
        terminal.see(r"▶ running +epoch \d+ of 20", seconds=120)
        run = RunFolder(project.runs_folder / "tiny")
        assert terminal.end() == 0
    status = current_status(run)
    assert status.state in ("starting", "running"), f"quitting the interface left the run {status}"
    return run


def attach_and_predict(terminal, run) -> None:
    """Find the run in the list, watch it to its end, predict with its model."""
    terminal.see("128 x 128")
    terminal.press("f5")
    terminal.see(r"^\s*tiny +. (running|finished)")
    terminal.press("enter")
    terminal.see(r"(▶ running|✓ finished) +epoch \d+ of 20")
    terminal.see(r"✓ finished +epoch 20 of 20 +step 400 of 400", seconds=180)
    assert current_status(run).state == "finished"
    terminal.press("p")
    terminal.see("predict-tiny")
    terminal.see(r"✓ finished", seconds=120)


def decide(terminal, project) -> str:
    """Accept two predictions, reject one, accept the rest; the rejected one as `in_files` names it."""
    terminal.press("g", "v")
    total = int(terminal.see(r"(\d+) pending of tiny")[1])
    assert total >= 4, terminal.text
    terminal.press("y")
    terminal.see(rf"{total - 1} pending of tiny")
    terminal.press("y")
    terminal.see(rf"{total - 2} pending of tiny")
    rejected = int(terminal.see(r"object (\d+) +pending")[1])
    key = next(ref.key for ref in project.images("predict") if ref.key.removeprefix("@predict/") in terminal.text)
    terminal.press("x")
    terminal.see(rf"{total - 3} pending of tiny")
    terminal.press("A")
    terminal.see("0 pending of tiny")
    terminal.see(r"saved *$")
    terminal.press("ctrl+t")
    terminal.see("with a score of at least")
    terminal.write("0")
    terminal.see("│ +0 +│")
    terminal.press("enter")
    terminal.see(r"Accepted \d+ objects on 2 frames")
    return f"{key} image {rejected}"


def measure_and_export(terminal, table: Path, rows: int) -> None:
    terminal.press("g", "m")
    terminal.see("Nothing measured yet")
    terminal.press("m")
    terminal.see(rf"objects-labels\.csv +{rows} rows")
    terminal.press("w")
    terminal.see("Export this table")
    terminal.see(r"objects-labels\.csv +│")
    terminal.press("ctrl+u")
    terminal.see_no(r"objects-labels\.csv +│")
    terminal.write(str(table))
    terminal.see(re.escape(table.name))
    terminal.press("enter")
    terminal.see(rf"{rows} rows written to")


def in_files(folder: Path) -> dict[str, dict]:
    """ "<image> <frame> <id>" -> properties, of every object in the GeoJSON files below a folder."""
    return {
        f"{path.parent.relative_to(folder).as_posix()} {path.stem} {entry['properties']['id']}": entry["properties"]
        for path in folder.rglob("*.geojson")
        for entry in features(path)
    }


def check_files(project, before: dict, predicted: dict, rejected: str) -> None:
    """All predictions but the rejected one are labels now, each once, and no other label has changed."""
    labels = in_files(project.folder / "labels")
    assert {place: labels[place] for place in before} == before
    added = [(place, entry) for place, entry in labels.items() if place not in before]
    assert {entry["source"] for _, entry in added} == {"accepted"}
    origins = sorted(place.rsplit(" ", 1)[0] + " " + entry["origin"].removeprefix("tiny#") for place, entry in added)
    assert origins == sorted(predicted.keys() - {rejected})


def check_table(path: Path, project) -> None:
    """The exported table names every label once."""
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    named = sorted(f"{row['image']} {row['frame']} {row['id']}" for row in rows)
    assert named == sorted(in_files(project.folder / "labels"))
    assert all(float(row["area"]) > 0 for row in rows)


def test_from_images_to_a_table_by_keys_alone(project, tmp_path) -> None:
    label(project)
    before = in_files(project.folder / "labels")
    run = train_and_leave(project)
    with Terminal(project.folder, "--graphics", "cells") as terminal:
        attach_and_predict(terminal, run)
        predicted = in_files(project.folder / "predictions" / "tiny")
        rejected = decide(terminal, project)
        measure_and_export(terminal, tmp_path / "table.csv", len(before) + len(predicted) - 1)
        assert terminal.end() == 0
    assert current_status(run).state == "finished"
    assert rejected in predicted
    check_files(project, before, predicted, rejected)
    check_table(tmp_path / "table.csv", project)


@pytest.mark.parametrize(
    ("columns", "lines", "environment"),
    [(80, 24, {}), (120, 40, {"NO_COLOR": "1"}), (100, 30, {"TERM": "tmux-256color", "TMUX": "/tmp/none,1,0"})],
    ids=["80x24", "no-color", "tmux"],
)
def test_the_app_starts_and_quits_in_any_terminal(labelled, columns, lines, environment) -> None:
    first = labelled.images()[0].key
    with Terminal(labelled.folder, columns=columns, lines=lines, environment=environment) as terminal:
        terminal.see("Small cells")
        terminal.see(rf"{re.escape(first)}\s+128 x 128")
        terminal.see(r"━ \d+ labels")
        terminal.press("g", "r")
        terminal.see("No runs yet")
        terminal.press("escape")
        terminal.see(r"━ \d+ labels")
        assert terminal.end() == 0
    if "NO_COLOR" in environment:
        colors = set(re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", bytes(terminal.sent)))
        assert all(red == green == blue for red, green, blue in colors), colors


def test_a_folder_that_is_no_project_is_said_without_a_screen(tmp_path) -> None:
    with Terminal(tmp_path) as terminal:
        assert terminal.end("") == 1
        assert f"{tmp_path} is not a project" in terminal.text.replace("\n", "")
