"""Tracks on disk: found again as they were, corrected, undone after a restart, and never lost to a kill."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely

from mia_tui.errors import MiaError
from mia_tui.labeling.lock import LockedError
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import read_frame, write_frame
from mia_tui.project import Project
from mia_tui.tracking import edits
from mia_tui.tracking.sequence import Sequence, find_sequence, find_sequences, read_detections
from mia_tui.tracking.store import Link, TrackStore, create, read_tracks, tracks_path
from mia_tui.tracking.track import sequences_to_track
from mia_tui.tracking.tracks import tracks_of

LINK = Link({"method": "points"}, {})


def make(folder: Path, names: list[str], objects: int = 3) -> Project:
    """A folder of frames with objects that stand still; object k is a square at y = 10 k."""
    images = folder / "images"
    images.mkdir(parents=True)
    for name in names:
        cv2.imwrite(str(images / name), np.zeros((50, 40), np.uint8))
    project = Project.create(folder / "project", images=images, task="segmentation", classes=["cell", "dead"])
    for name in names:
        label(project, name, range(1, objects + 1))
    return project


def label(project: Project, name: str, objects: range | list[int]) -> None:
    items = [LabelObject(k, shapely.box(5, 10 * k - 3, 11, 10 * k + 3), "dead" if k == 2 else "cell") for k in objects]
    write_frame(project.labels_path(name, "image"), FrameLabels.of(50, 40, items))


def track(project: Project, sequence: Sequence, *, replace: bool = False) -> Path:
    """Object k of a frame is object k of the next."""
    found = read_detections(project, sequence, "labels")
    rows = {(f, n): row for row, (f, n) in enumerate(zip(found.frame.tolist(), found.object.tolist(), strict=True))}
    links = [(row, rows[f + 1, n]) for (f, n), row in rows.items() if (f + 1, n) in rows]
    return create(project, sequence, "labels", found, tracks_of(found, links), LINK, replace=replace)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make(tmp_path, ["t0.png", "t1.png", "t2.png", "t10.png"][:3])


@pytest.fixture
def sequence(project: Project) -> Sequence:
    track(project, find_sequence(project, "@frames"))
    return find_sequence(project, "@frames")


def test_positions_are_those_of_the_labels_and_in_full_pixels(project: Project, sequence: Sequence) -> None:
    tracks = read_tracks(project, sequence, "labels")
    assert tracks.spans().tolist() == [[1, 0, 2, 0], [2, 0, 2, 0], [3, 0, 2, 0]]
    assert tracks.position[tracks.track == 2].tolist() == [[20.0, 8.0]] * 3
    assert tracks.area[0] == 36
    assert [tracks.classes[k] for k in tracks.labels().values()] == ["cell", "dead", "cell"]


def test_a_correction_is_there_after_a_restart_and_can_be_undone_then(project: Project, sequence: Sequence) -> None:
    with TrackStore(project, sequence, "labels") as store:
        before = store.book.track.copy()
        store.do(edits.swap, 1, 2, 1)
        store.do(edits.cut, 3, 2)
        pins = dict(store.book.pins)
    with TrackStore(project, sequence, "labels") as store:
        assert store.book.pins == pins
        assert store.book.track.tolist() == [1, 2, 3, 2, 1, 3, 2, 1, 4]
        assert store.undo_text == "track 3 cut: from frame 3 on it is track 4"
        store.undo()
        store.undo()
        assert store.undo() is None
        assert (store.book.track == before).all()
        assert store.book.pins == {}
    with TrackStore(project, sequence, "labels") as store:
        assert (store.book.track == before).all()
        assert store.redo_text == "tracks 1 and 2 swapped from frame 2 on"
        store.redo()
    lineage = tracks_path(project, sequence.name, "labels").with_suffix(".lineage.csv").read_text()
    assert lineage.splitlines()[:3] == ["track,start,end,mother,merged_into,class", "1,0,2,,,dead", "2,0,2,,,cell"]


def test_what_was_set_aside_stays_so_after_a_restart_and_can_be_taken_back(
    project: Project, sequence: Sequence
) -> None:
    with TrackStore(project, sequence, "labels") as store:
        rows = store.book.row((0, 0, 1)), store.book.row((1, 0, 1))
        store.do(edits.accept, "jump", rows)
        assert store.book.accepted == {("jump", *rows)}
    with TrackStore(project, sequence, "labels") as store:
        assert store.book.accepted == {("jump", *rows)}
        store.undo()
        assert store.book.accepted == set()
    with TrackStore(project, sequence, "labels") as store:
        assert store.book.accepted == set()


def test_a_kill_after_a_correction_loses_nothing(project: Project, sequence: Sequence) -> None:
    path = tracks_path(project, sequence.name, "labels")
    store = TrackStore(project, sequence, "labels")
    store.do(edits.reassign, store.book.row((1, 0, 1)), 2)
    at_kill = {file: file.read_bytes() for file in path.parent.iterdir() if file.suffix != ".lock"}
    expected = store.book.track.tolist()
    store.close()
    after_close = {file: file.read_bytes() for file in path.parent.iterdir()}
    for journal_only in (False, True):  # killed before the CSV is written; and between the journal's line and the CSV
        for file in path.parent.iterdir():
            file.unlink()
        for file, data in at_kill.items():
            file.write_bytes(data)
        if journal_only:
            path.with_suffix(".journal").write_bytes(after_close[path.with_suffix(".journal")])
        with TrackStore(project, sequence, "labels") as store:
            assert store.book.track.tolist() == expected
            assert store.made == 1
    with TrackStore(project, sequence, "labels") as store:
        store.undo()
        assert store.book.track.tolist() == [1, 2, 3] * 3


def test_a_line_cut_off_by_a_kill_never_counted(project: Project, sequence: Sequence) -> None:
    with TrackStore(project, sequence, "labels") as store:
        store.do(edits.cut, 1, 1)
        store.do(edits.cut, 2, 1)
    path = tracks_path(project, sequence.name, "labels")
    journal = path.with_suffix(".journal")
    with TrackStore(project, sequence, "labels") as store:
        store.do(edits.cut, 3, 1)
        whole, table = journal.read_bytes(), path.read_bytes()
    path.write_bytes(table)
    journal.write_bytes(whole[:-20])
    with TrackStore(project, sequence, "labels", read_only=True) as store:
        assert store.made == 2


def test_only_one_corrects_and_looking_never_writes(project: Project, sequence: Sequence) -> None:
    path = tracks_path(project, sequence.name, "labels")
    files = {file: file.stat().st_mtime_ns for file in path.parent.iterdir()}
    with (
        TrackStore(project, sequence, "labels", read_only=True) as store,
        pytest.raises(MiaError, match="viewing only"),
    ):
        store.do(edits.cut, 1, 1)
    read_tracks(project, sequence, "labels")
    assert {file: file.stat().st_mtime_ns for file in path.parent.iterdir()} == files
    with TrackStore(project, sequence, "labels"), pytest.raises(LockedError):
        TrackStore(project, sequence, "labels")


def test_objects_that_came_or_went_since_are_found(project: Project, sequence: Sequence) -> None:
    with TrackStore(project, sequence, "labels") as store:
        store.do(edits.swap, 1, 2, 1)
    label(project, "t1.png", [1, 3, 4])
    for _ in range(2):
        with TrackStore(project, sequence, "labels") as store:
            book = store.book
            assert book.track[book.row((1, 0, 4))] == 0
            assert book.gone[book.row((1, 0, 2))]
            rows = book.tracks()
            assert rows.object[rows.track == 1].tolist() == [1, 0, 2]
    with TrackStore(project, sequence, "labels") as store:
        store.undo()
        store.do(edits.reassign, store.book.row((1, 0, 4)), 9)
    label(project, "t1.png", [1, 2, 3, 4])
    with TrackStore(project, sequence, "labels") as store:
        assert not store.book.gone.any()
        assert store.book.frames(9) == [1]


def test_other_objects_with_the_same_ids_are_not_taken_for_those_that_were_tracked(tmp_path: Path) -> None:
    project = make(tmp_path, ["t0.png", "t1.png"])

    def predict(shift: int) -> None:
        for name in ("t0.png", "t1.png"):
            items = [LabelObject(k, shapely.box(5, 10 * k + shift - 3, 11, 10 * k + shift + 3), "cell") for k in (1, 2)]
            write_frame(project.prediction_path("net", name, "image"), FrameLabels.of(50, 40, items))

    predict(0)
    sequence, source = find_sequence(project, "@frames"), "predictions:net"
    found = read_detections(project, sequence, source)
    create(project, sequence, source, found, tracks_of(found, [(0, 2), (1, 3)]), LINK)
    predict(0)
    assert len(read_tracks(project, sequence, source).spans()) == 2
    predict(10)
    with pytest.raises(MiaError, match=r"2 objects on frame 1 .* made anew"):
        read_tracks(project, sequence, source)


def test_linking_again_does_not_overwrite_corrections(project: Project, sequence: Sequence) -> None:
    track(project, sequence)
    with TrackStore(project, sequence, "labels") as store:
        store.do(edits.cut, 1, 1)
    with pytest.raises(MiaError, match="holds 1 corrections"):
        track(project, sequence)
    track(project, sequence, replace=True)
    kept = sorted(file.name for file in tracks_path(project, sequence.name, "labels").parent.glob("*before*"))
    assert [name.rpartition(".")[2] for name in kept] == ["csv", "journal"]
    assert read_tracks(project, sequence, "labels").spans().tolist() == [[k, 0, 2, 0] for k in (1, 2, 3)]


def test_damage_is_named_and_nothing_is_overwritten(project: Project, sequence: Sequence) -> None:
    path = tracks_path(project, sequence.name, "labels")
    with TrackStore(project, sequence, "labels") as store:
        store.do(edits.cut, 1, 1)
    good = path.read_bytes()
    path.write_bytes(good.replace(b"cell", b"cel1"))
    with pytest.raises(MiaError, match="changed by another program"):
        TrackStore(project, sequence, "labels")
    path.with_suffix(".journal").unlink()
    path.write_bytes(b"nonsense\n1\n")
    with pytest.raises(MiaError, match="no table of tracks"):
        TrackStore(project, sequence, "labels")
    lines = good.splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[1]]))
    with pytest.raises(MiaError, match="no table of tracks"):
        TrackStore(project, sequence, "labels")
    path.write_bytes(good)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(MiaError, match="damaged"):
        TrackStore(project, sequence, "labels")
    assert path.read_bytes() == good


def test_a_full_disk_is_an_error_and_the_correction_was_not_made(
    project: Project, sequence: Sequence, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TrackStore(project, sequence, "labels") as store:
        store.do(edits.cut, 1, 1)
        before = store.book.track.copy()

        def full(_handle: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(MiaError, match="No space left"):
                store.do(edits.cut, 2, 1)
            with pytest.raises(MiaError, match="No space left"):
                store.undo()
        assert (store.book.track == before).all()
    with TrackStore(project, sequence, "labels") as store:
        assert (store.book.track == before).all()


# ---- which frames follow each other ----------------------------------------------------------------------------------


def test_frames_are_in_the_order_of_their_numbers_and_missing_ones_stay_empty(tmp_path: Path) -> None:
    project = make(
        tmp_path, ["a_t2.png", "a_t10.png", "a_t1.png", "a_t4.png", "a_t3.png", "a_t6.png", "a_t7.png", "a_t8.png"]
    )
    sequence = find_sequence(project, "@frames")
    keys = [moment.key if moment else None for moment in sequence.moments]
    assert keys == [
        "a_t1.png", "a_t2.png", "a_t3.png", "a_t4.png", None, "a_t6.png", "a_t7.png", "a_t8.png", None, "a_t10.png",
    ]  # fmt: skip
    assert "2 of 10 frames are not on disk (number 5, 9)" in sequence.notes[0]
    found = read_detections(project, sequence, "labels")
    assert np.diff(found.starts).tolist() == [3, 3, 3, 3, 0, 3, 3, 3, 0, 3]


def test_two_files_with_one_number_are_an_error_that_names_them(tmp_path: Path) -> None:
    project = make(tmp_path, ["t1.png", "t01.png", "t2.png"])
    with pytest.raises(MiaError, match=r"t0?1.png and t0?1.png have the same number"):
        find_sequence(project, "@frames")
    with pytest.raises(MiaError, match="have the same number"):
        sequences_to_track(project, "labels", [])
    assert len(find_sequences(project)) == 1


def test_numbers_in_steps_are_no_holes(tmp_path: Path) -> None:
    project = make(tmp_path, ["t000.png", "t010.png", "t020.png"])
    assert all(find_sequence(project, "@frames").moments)


def test_names_without_one_number_are_no_certain_series(tmp_path: Path) -> None:
    project = make(tmp_path, ["kidney.png", "liver.png"])
    assert not find_sequence(project, "@frames").series
    with pytest.raises(MiaError, match="There are: @frames"):
        find_sequence(project, "nothing")


def test_rejected_predictions_are_not_tracked_and_an_empty_first_frame_is_one(tmp_path: Path) -> None:
    project = make(tmp_path, ["t0.png", "t1.png"])
    label(project, "t0.png", [])
    sequence = find_sequence(project, "@frames")
    path = project.labels_path("t1.png", "image")
    frame = read_frame(path)
    assert frame is not None
    assert np.diff(read_detections(project, sequence, "labels").starts).tolist() == [0, 3]
    with pytest.raises(MiaError, match="no predictions of model"):
        read_detections(project, sequence, "predictions:none")


def test_frames_that_were_linked_and_are_gone_are_named(project: Project, sequence: Sequence) -> None:
    (project.roots["train"] / "t0.png").unlink()
    with pytest.raises(MiaError, match="no longer those that were linked"):
        TrackStore(project, find_sequence(project, "@frames"), "labels")


def test_a_new_frame_at_the_end_is_there_with_objects_in_no_track(project: Project, sequence: Sequence) -> None:
    cv2.imwrite(str(project.roots["train"] / "t3.png"), np.zeros((50, 40), np.uint8))
    label(project, "t3.png", [1, 2])
    longer = find_sequence(project, "@frames")
    with TrackStore(project, longer, "labels") as store:
        assert store.book.detections.frames == 4
        assert store.book.track[-2:].tolist() == [0, 0]
    about = json.loads(tracks_path(project, "@frames", "labels").with_suffix(".json").read_text())
    assert len(about["frames"]) == 4
