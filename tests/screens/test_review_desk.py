"""Decisions of a review on real files: what is written, and what undo takes back."""

import shutil

import numpy as np
import pytest
import shapely
import tifffile

from mia_tui.errors import MiaError
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import FrameStore, read_frame, write_frame
from mia_tui.project import Project
from mia_tui.screens.review_desk import Place, ReviewDesk

A, B = Place("a.tif", "image"), Place("b.tif", "image")


def box(number, score=None, shift=0, **more):
    source = "predicted" if score is not None else "manual"
    return LabelObject(
        number, shapely.box(10 * number + shift, 5, 10 * number + 8 + shift, 12), "cell", source, score=score, **more
    )


@pytest.fixture
def project(tmp_path) -> Project:
    (tmp_path / "images").mkdir()
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / "images" / name, np.zeros((30, 80), np.uint8))
    project = Project.create(tmp_path / "project", images=tmp_path / "images")
    for place, scores in ((A, (0.9, 0.2, 0.5)), (B, (0.7, 0.6))):
        objects = [box(i, score) for i, score in enumerate(scores, 1)]
        write_frame(project.prediction_path("unet", place.key, place.frame), FrameLabels.of(30, 80, objects))
    return project


def labels(project, place):
    frame = read_frame(project.labels_path(place.key, place.frame))
    return {} if frame is None else {item.origin: item.source for item in frame.objects.values()}


def test_the_most_doubtful_comes_first_and_looking_writes_nothing(project) -> None:
    before = sorted(project.folder.rglob("*"))
    desk = ReviewDesk(project, "unet")
    assert desk.places() == [A, B]
    assert desk.state(A).pending == (2, 3, 1)
    assert desk.next_pending(desk.places(), 0, 1) == 0
    desk.close()
    assert sorted(project.folder.rglob("*")) == before


def test_decisions_are_on_disk_at_once_and_undo_goes_back_through_the_frames(project) -> None:
    desk = ReviewDesk(project, "unet")
    desk.accept(A, [2])
    assert labels(project, A) == {"unet#2": "accepted"}  # read by another reader while the desk is open
    state = desk.reject(A, [3])
    assert state.rejected == {3}
    assert state.pending == (1,)
    desk.accept(B, [1])
    assert desk.next_pending(desk.places(), 0, 1) == 0
    assert desk.undo(B).place == B
    assert labels(project, B) == {}
    assert desk.undo(B).place == A
    assert desk.state(A).rejected == frozenset()
    assert desk.redo(A).place == A
    assert desk.state(A).rejected == {3}
    assert [desk.undo(A).place for _ in range(2)] == [A, A]
    assert labels(project, A) == {}
    assert desk.state(A).pending == (2, 3, 1)
    desk.close()


def test_undo_survives_a_restart(project) -> None:
    desk = ReviewDesk(project, "unet")
    desk.accept(A, [1])
    desk.reject(A, [2])
    desk.close()
    again = ReviewDesk(project, "unet")
    assert "reject" in again.undo(A).text
    assert again.state(A).rejected == frozenset()
    again.close()
    assert labels(project, A) == {"unet#1": "accepted"}
    third = ReviewDesk(project, "unet")
    third.redo(A)
    third.close()
    assert read_frame(project.prediction_path("unet", "a.tif", "image")).rejected == {2}


def test_undo_leaves_what_another_program_did_alone(project) -> None:
    desk = ReviewDesk(project, "unet")
    desk.accept(A, [1])
    desk.close()
    with FrameStore(project.labels_path("a.tif", "image"), 30, 80) as store:
        store.edit("drawn by hand", add=[box(7)])
    with pytest.raises(MiaError, match=r"a\.tif.*edited elsewhere"):
        desk.undo(A)
    desk.close()
    assert len(labels(project, A)) == 2


def test_rejecting_an_accepted_object_takes_its_label_away_and_one_undo_brings_both_back(project) -> None:
    desk = ReviewDesk(project, "unet")
    desk.accept(A, [1])
    desk.reject(A, [1])
    assert labels(project, A) == {}
    desk.undo(A)
    assert labels(project, A) == {"unet#1": "accepted"}
    assert desk.state(A).rejected == frozenset()
    desk.close()


def test_accepting_a_frame_leaves_out_what_the_labels_hold_already(project) -> None:
    """Label 50 covers prediction 1 but for one of its eight columns (IoU 7/9), and prediction 2 by half (IoU 1/3)."""
    with FrameStore(project.labels_path("a.tif", "image"), 30, 80) as store:
        store.edit("drawn", add=[box(1, shift=1)])
        half = LabelObject(60, shapely.box(24, 5, 32, 12), "cell")
        store.edit("drawn", add=[half])
    desk = ReviewDesk(project, "unet")
    state, left = desk.accept_frame(A)
    desk.close()
    assert left == 1
    assert state.pending == (1,)
    assert set(state.accepted) == {2, 3}
    assert set(labels(project, A)) == {None, "unet#2", "unet#3"}


def test_accepting_above_a_score_goes_over_all_frames_and_is_undone_frame_by_frame(project) -> None:
    desk = ReviewDesk(project, "unet")
    desk.reject(A, [1])
    report = desk.accept_all("score>=0.5")
    assert report.totals["accepted"] == 3
    assert set(labels(project, A)) == {"unet#3"}
    assert set(labels(project, B)) == {"unet#1", "unet#2"}
    assert desk.undo(A).place == B
    assert desk.undo(A).place == A
    assert labels(project, A) == labels(project, B) == {}
    assert desk.state(A).rejected == {1}
    desk.close()


def test_a_frame_open_elsewhere_is_refused_and_nothing_changes(project) -> None:
    desk = ReviewDesk(project, "unet")
    with FrameStore(project.labels_path("a.tif", "image"), 30, 80), pytest.raises(MiaError, match=r"a\.tif"):
        desk.accept(A, [1])
    desk.accept(A, [1])
    desk.close()
    assert labels(project, A) == {"unet#1": "accepted"}


def test_a_vanished_prediction_is_named(project) -> None:
    desk = ReviewDesk(project, "unet")
    shutil.rmtree(project.folder / "predictions" / "unet" / "a.tif")
    with pytest.raises(MiaError, match=r"unet has no prediction of a\.tif"):
        desk.accept(A, [1])
