"""Tracks into a project and out again: through the files of other programs, by the command and by the functions."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
import tifffile
from test_track_formats import HEIGHT, WIDTH, squares, trackmate

from mia_tui import formats
from mia_tui.analysis.ctc.report import score_ctc
from mia_tui.analysis.ctc.sequence import read_ctc
from mia_tui.cli import main
from mia_tui.errors import MiaError
from mia_tui.formats.ctc import export_ctc, import_ctc, tracks_of_ctc
from mia_tui.formats.mia import import_mia
from mia_tui.formats.mia_export import export_mia
from mia_tui.formats.napari_tracks import export_napari, import_napari
from mia_tui.formats.trackmate import import_trackmate
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import label_image
from mia_tui.labeling.store import read_frame, write_frame
from mia_tui.project import Project
from mia_tui.tracking import edits
from mia_tui.tracking.sequence import find_sequence, read_detections
from mia_tui.tracking.store import TrackStore, read_tracks, tracks_path

# 5 misses frame 1 (8 is its second part there) and divides into 6 and 7; nothing is on frame 1.
MASKS = squares({5: (0, 0)}, {}, {8: (0, 4)}, {8: (0, 6)}, {6: (0, 0), 7: (0, 12)}, {6: (0, 0), 7: (0, 14)})
TABLE = "5 0 0 0\n6 4 5 8\n7 4 5 8\n8 2 3 5\n"


def make(folder: Path, task: str = "segmentation", sequences: tuple[str, ...] = ("01",), frames: int = 6) -> Project:
    for name in sequences:
        (folder / "images" / name).mkdir(parents=True)
        for t in range(frames):
            cv2.imwrite(str(folder / "images" / name / f"t{t:03d}.png"), np.zeros((HEIGHT, WIDTH), np.uint8))
    return Project.create(folder / "project", images=folder / "images", task=task, classes=["cell", "other"])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make(tmp_path)


@pytest.fixture
def challenge(tmp_path: Path) -> Path:
    """A result of the challenge for the sequence 01."""
    return result(tmp_path / "01_RES")


def result(folder: Path) -> Path:
    folder.mkdir()
    for t, mask in enumerate(MASKS):
        tifffile.imwrite(folder / f"mask{t:03d}.tif", mask.astype("uint16"))
    (folder / "res_track.txt").write_text(TABLE)
    return folder


def labelled(project: Project, sequence: str = "01") -> list[dict[int, LabelObject]]:
    """The labels of every frame."""
    found = [read_frame(project.labels_path(f"{sequence}/t{t:03d}.png", "image")) for t in range(6)]
    return [{} if labels is None else labels.objects for labels in found]


def tracked(project: Project, name: str = "01"):
    return read_tracks(project, find_sequence(project, name), "labels")


def test_a_folder_of_the_challenge_becomes_labels_and_tracks_and_goes_out_the_same(
    project, challenge, tmp_path
) -> None:
    report = import_ctc(project, challenge)
    assert (report.objects, len(report.frames), report.problems) == (7, 6, [])
    for objects, mask in zip(labelled(project), MASKS, strict=True):
        assert (label_image(objects.values(), (HEIGHT, WIDTH)) == mask).all()
        assert {item.track for item in objects.values()} <= {5, 6, 7}, "8 is a part of 5"
    tracks = tracked(project)
    assert tracks.spans().tolist() == [[5, 0, 3, 0], [6, 4, 5, 5], [7, 4, 5, 5]]
    assert len(tracks) == 7
    out = export_ctc(project, tmp_path / "out")
    assert (tmp_path / "out" / "res_track.txt").read_text() == TABLE
    assert all((tifffile.imread(path) == mask).all() for path, mask in zip(out.files[:6], MASKS, strict=True))
    assert out.objects == 7
    export_ctc(project, tmp_path / "01_GT" / "TRA", truth=True)
    assert score_ctc(challenge, tmp_path / "01_GT")["scores"]["TRA"] == 1
    export_ctc(project, tmp_path / "filled", fill=True)
    assert (tmp_path / "filled" / "res_track.txt").read_text() == "5 0 3 0\n6 4 5 5\n7 4 5 5\n"


def test_tracks_that_were_corrected_go_out_as_corrected(project, challenge, tmp_path) -> None:
    import_ctc(project, challenge)
    with TrackStore(project, find_sequence(project, "01"), "labels") as store:
        store.do(edits.cut, 6, 5)
    export_ctc(project, tmp_path / "out")
    assert (tmp_path / "out" / "res_track.txt").read_text() == "5 0 0 0\n6 4 4 9\n7 4 5 9\n8 5 5 0\n9 2 3 5\n"
    with pytest.raises(MiaError, match=r"hold 1 corrections.*--replace"):
        import_ctc(project, challenge)
    report = import_ctc(project, challenge, replace=True)
    assert len(report.frames) == 6
    assert tracked(project).spans()[:, 0].tolist() == [5, 6, 7]


def test_labels_that_are_there_are_left_alone(project, challenge) -> None:
    mine = FrameLabels.of(HEIGHT, WIDTH, [LabelObject(1, shapely.box(1, 1, 3, 3), "other")])
    write_frame(project.labels_path("01/t002.png", "image"), mine)
    report = import_ctc(project, challenge)
    assert report.skipped == ["01/t002.png image"]
    assert report.frames == []
    assert not tracks_path(project, find_sequence(project, "01").name, "labels").exists()
    assert labelled(project)[2] == mine.objects
    import_ctc(project, challenge, replace=True)
    assert labelled(project)[2].keys() == {8}


def test_the_sequence_is_found_by_its_folder_or_said(tmp_path) -> None:
    project = make(tmp_path, sequences=("01", "02"))
    import_ctc(project, result(tmp_path / "02_RES"))
    assert labelled(project, "02")[0].keys() == {5}
    assert labelled(project, "01") == [{}] * 6
    with pytest.raises(MiaError, match=r"several sequences with 6 frames: 01/@frames, 02/@frames"):
        import_ctc(project, result(tmp_path / "elsewhere"))
    import_ctc(project, tmp_path / "elsewhere", sequence="01")
    export_ctc(project, tmp_path / "both")
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["01", "02"]
    export_napari(project, tmp_path / "tables")
    assert sorted(path.name for path in (tmp_path / "tables").glob("*.csv")) == ["01.csv", "02.csv"]
    for path in (tmp_path / "elsewhere").glob("mask005.tif"):
        path.unlink()
    (tmp_path / "elsewhere" / "res_track.txt").write_text("5 0 0 0\n6 4 4 8\n7 4 4 8\n8 2 3 5\n")
    with pytest.raises(MiaError, match=r"no sequence with 5 frames.*01/@frames \(6 frames\)"):
        import_ctc(project, tmp_path / "elsewhere")


def test_masks_of_another_size_and_projects_for_classes_are_refused(tmp_path, challenge) -> None:
    tifffile.imwrite(challenge / "mask001.tif", np.zeros((5, 5), "uint16"))
    with pytest.raises(MiaError, match=r"mask001.tif has 5 x 5 pixels, the frames of 01/@frames 24 x 40"):
        import_ctc(make(tmp_path / "a"), challenge)
    with pytest.raises(MiaError, match="for classes of images"):
        import_ctc(make(tmp_path / "b", "classification"), challenge)


def test_points_take_the_centroids_and_go_out_as_discs(tmp_path, challenge) -> None:
    project = make(tmp_path, "detection")
    import_ctc(project, challenge)
    assert labelled(project)[2][8].geometry == shapely.Point(6, 2)
    export_ctc(project, tmp_path / "out", radius=2)
    back = tracks_of_ctc(read_ctc(tmp_path / "out"))
    assert back.position == pytest.approx(tracked(project).position)
    assert set(back.area) == {12}
    with pytest.raises(MiaError, match="--radius"):
        export_ctc(project, tmp_path / "other", radius=float("nan"))


def test_without_tracks_nothing_goes_out(project, tmp_path) -> None:
    for name in ("ctc", "napari", "geff"):
        with pytest.raises(MiaError, match=r"no sequence .* has tracks from labels.*mia-tui track"):
            formats.load(name).export(project, tmp_path / "out")
    with pytest.raises(MiaError, match="not written"):
        formats.load("trackmate").export(project, tmp_path / "out")
    with pytest.raises(MiaError, match="only written"):
        formats.load("geff").import_(project, tmp_path / "out")


def test_napari_goes_round_with_the_outlines_that_the_tracks_pass(project, challenge, tmp_path) -> None:
    import_ctc(project, challenge)
    before = tracked(project)
    export_napari(project, tmp_path / "tracks.csv")
    tracks_path(project, find_sequence(project, "01").name, "labels").unlink()
    report = import_napari(project, tmp_path / "tracks.csv")
    assert len(report.notes) == 1
    after = tracked(project)
    for name in ("track", "frame", "object"):
        assert (getattr(after, name) == getattr(before, name)).all()
    assert after.mothers == before.mothers
    rows = (tmp_path / "tracks.csv").read_text().splitlines()
    (tmp_path / "tracks.csv").write_text("\n".join([*rows[:2], "5,1,20,30", *rows[2:]]))
    report = import_napari(project, tmp_path / "tracks.csv", replace=True)
    assert "1 of 8 positions have no object" in report.notes[0]
    assert tracked(project).object.tolist() == [5, 0, 8, 8, 6, 6, 7, 7]


def test_napari_and_trackmate_become_points_with_tracks(tmp_path) -> None:
    project = make(tmp_path, "detection")
    (tmp_path / "a.csv").write_text("id,t,y,x\n1,0,-0.5,-0.5\n1,2,3,4\n2,0,5,5\n")
    report = import_napari(project, tmp_path / "a.csv")
    assert report.objects == 3
    assert [item.geometry for item in labelled(project)[0].values()] == [shapely.Point(0, 0), shapely.Point(5.5, 5.5)]
    assert tracked(project).spans().tolist() == [[1, 0, 2, 0], [2, 0, 0, 0]]
    assert import_napari(project, tmp_path / "a.csv").frames == []
    report = import_trackmate(project, trackmate(tmp_path / "a.xml"), replace=True)
    assert report.objects == 7
    assert tracked(project).mothers == {3: 1, 4: 1}
    (tmp_path / "a.csv").write_text("id,t,y,x\n1,0,1,1\n1,6,3,4\n")
    with pytest.raises(MiaError, match="the tracks have 7 frames, 01/@frames has 6"):
        import_napari(project, tmp_path / "a.csv", replace=True)


def test_tracks_that_pass_no_object_are_refused(project, tmp_path) -> None:
    (tmp_path / "a.csv").write_text("id,t,y,x\n1,0,1,1\n")
    write_frame(
        project.labels_path("01/t000.png", "image"),
        FrameLabels.of(HEIGHT, WIDTH, [LabelObject(1, shapely.box(9, 9, 12, 12), "cell")]),
    )
    with pytest.raises(MiaError, match="none of the tracks passes a labelled object"):
        import_napari(project, tmp_path / "a.csv")


def test_object_numbers_of_mia_go_round(project, challenge, tmp_path) -> None:
    import_ctc(project, challenge)
    sequence = find_sequence(project, "01")
    with TrackStore(project, sequence, "labels") as store:
        store.do(edits.delete, 7)
    export_mia(project, tmp_path / "mia")
    other = make(tmp_path / "other")
    report = import_mia(other, tmp_path / "mia")
    assert report.problems == []
    tracks = tracked(other)
    assert tracks.spans().tolist() == [[5, 0, 3, 0], [6, 4, 5, 0]], "7 is in no track, and MIA knows no mothers"
    assert len(read_detections(other, find_sequence(other, "01"), "labels")) == 7
    again = import_mia(other, tmp_path / "mia", replace=True)
    assert len(again.frames) == 6
    assert tracked(other).spans().tolist() == tracks.spans().tolist()


def test_the_commands_import_and_export_tracks(project, challenge, tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("geff")

    def run(*command: object) -> tuple[dict, str]:
        """What a command answers and says; in this process, which is quicker."""
        monkeypatch.setattr(sys, "argv", ["mia-tui", *map(str, command), "--json"])
        with pytest.raises(SystemExit):
            main()
        said = capsys.readouterr()
        return json.loads(said.out.splitlines()[-1]), said.out + said.err

    assert run("import", project.folder, challenge, "--format", "ctc", "--sequence", "01")[0]["objects"] == 7
    answer, _ = run("export", project.folder, tmp_path / "out", "--format", "ctc", "--fill", "--wide")
    assert len(answer["files"]) == 7
    assert tifffile.imread(tmp_path / "out" / "mask001.tif").dtype == np.uint32
    answer, _ = run("export", project.folder, tmp_path / "01.geff", "--format", "geff")
    assert answer["files"] == [str(tmp_path / "01.geff")]
    answer, text = run("export", project.folder, tmp_path / "png", "--format", "napari", "--fill")
    assert "--fill says nothing to the format napari; it is for ctc" in answer["error"]
    answer, text = run("score", tmp_path / "out", challenge, "--metric", "ctc")
    assert answer["operations"]["FP"] == 1
    assert "TRA" in text
