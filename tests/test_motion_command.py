"""`mia-tui motion`: from tracked labels of a project to tables and plots, and what it says where it cannot."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely

from mia_tui.analysis.tables import read_table, units
from mia_tui.cli import main
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import write_frame
from mia_tui.project import Project
from mia_tui.tracking.sequence import find_sequence, read_detections
from mia_tui.tracking.store import Link, create
from mia_tui.tracking.tracks import tracks_of

PLACES = {1: [(10, 10), (10, 14), (10, 18), (10, 22)], 2: [(30, 10), (30, 10), (21, 18), (30, 10)]}
"""Object -> (y, x) of its middle on four frames: 1 walks 4 px a frame, 2 comes to touch it on the third."""


def make(folder: Path, shape, name: str) -> Project:
    images = folder / "images" / name
    images.mkdir(parents=True)
    for frame in range(4):
        cv2.imwrite(str(images / f"t{frame}.png"), np.zeros((50, 60), np.uint8))
    classes = ["cell", "dead"]
    project = Project.create(folder / "project", images=folder / "images", task="segmentation", classes=classes)
    for frame in range(4):
        items = [
            LabelObject(number, shape(y[frame][1], y[frame][0]), classes[number - 1]) for number, y in PLACES.items()
        ]
        write_frame(project.labels_path(f"{name}/t{frame}.png", "image"), FrameLabels.of(50, 60, items))
    return project


def square(x: float, y: float) -> shapely.Geometry:
    return shapely.box(x - 5.5, y - 5.5, x + 5.5, y + 5.5)


def track(project: Project, name: str) -> None:
    sequence = find_sequence(project, name)
    found = read_detections(project, sequence, "labels")
    links = [(row, row + 2) for row in range(len(found) - 2)]
    create(project, sequence, "labels", found, tracks_of(found, links), Link({}, {}))


@pytest.fixture
def motion(monkeypatch, capsys):
    """Runs `mia-tui motion PROJECT ...`; exit code, output and errors."""

    def run(project, *arguments):
        monkeypatch.setattr("sys.argv", ["mia-tui", "motion", str(project.folder), *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return run


def test_all_tracked_sequences_with_masks_in_contact(tmp_path, motion) -> None:
    project = make(tmp_path, square, "movie")
    (project.folder / "project.toml").write_text(
        (project.folder / "project.toml").read_text() + "\n[calibration]\npixel_size = 0.5\nframe_interval = 60.0\n"
    )
    track(project, "movie")
    code, out, _ = motion(project, "--json")
    assert code == 0
    lines = out.splitlines()
    found = json.loads(lines[-1])["sequences"]
    assert [one["sequence"] for one in found] == ["movie/@frames"]
    folder = project.results_folder / "motion" / "labels" / "movie" / "@frames"
    assert found[0]["folder"] == str(folder)
    assert {Path(file).parent for file in found[0]["files"]} == {folder}
    walker = read_table(folder / "tracks.csv").to_pylist()[0]
    assert (walker["class"], walker["path"], walker["duration"], walker["directionality"]) == ("cell", 6, 180, 1)
    assert walker["speed_mean"] == pytest.approx(2 / 60)
    assert units(read_table(folder / "tracks.csv"))["speed_mean"] == "um/s"
    (contact,) = read_table(folder / "contacts.csv").to_pylist()
    assert (contact["first_frame"], contact["frames"], contact["class_b"]) == (2, 1, "dead")
    assert "  2 tracks, 0 divisions, 4 frames" in lines
    assert not any("project.toml" in line for line in lines)


def test_points_without_calibration_to_a_folder_of_ones_own_with_plots_in_the_terminal(tmp_path, motion) -> None:
    project = make(tmp_path, shapely.Point, "movie")
    track(project, "movie")
    code, out, _ = motion(project, "--sequence", "movie", "--out", str(tmp_path / "mine"), "--contact", "9", "--show")
    assert code == 0
    folder = tmp_path / "mine" / "movie" / "@frames"
    assert units(read_table(folder / "tracks.csv"))["speed_mean"] == "px/frame"
    assert not read_table(folder / "contacts.csv").num_rows  # 11 px at the nearest
    assert "set pixel_size and frame_interval under [calibration] in project.toml" in out
    for title in ("Paths from one origin", "Mean squared displacement", "Speed over time", "Lineage"):
        assert title in out
    assert motion(project, "--contact", "11.5")[0] == 0
    own = project.results_folder / "motion" / "labels" / "movie" / "@frames"
    assert read_table(own / "contacts.csv")["first_frame"].to_pylist() == [2]
    assert motion(project)[0] == 0
    assert not (own / "contacts.csv").exists()
    assert (own / "tracks.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no sequence of project project has tracks from labels. Make them: mia-tui track"),
        (["--sequence", "movie"], "movie/@frames has no tracks from labels"),
        (["--sequence", "other"], "has no sequence 'other'. There are: movie/@frames"),
        (["--window", "0"], "--window is 0"),
        (["--contact", "-1"], "--contact is -1"),
        (["--from", "nonsense"], "nonsense"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path, motion, arguments, said) -> None:
    code, _, errors = motion(make(tmp_path, square, "movie"), *arguments)
    assert code == 1
    assert said in errors
    assert "Traceback" not in errors
