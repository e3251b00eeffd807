"""Accepting and rejecting predictions."""

import json
from dataclasses import replace

import pytest
from shapely.geometry import box

from mia_tui.errors import MiaError
from mia_tui.labeling import review
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import FrameStore, open_labels, read_frame, write_frame
from mia_tui.project import Project

H, W = 60, 80
A, B = "a.png", "@predict/b.tif"


@pytest.fixture
def project(tmp_path):
    for name in ("images", "more"):
        (tmp_path / name).mkdir()
    return Project.create(
        tmp_path / "project", images=tmp_path / "images", predict_images=tmp_path / "more", classes=["cell", "debris"]
    )


def square(number, left, top=0, size=10, score=None, **more):
    more = {"source": "predicted", **more}
    return LabelObject(number, box(left, top, left + size, top + size), "cell", score=score, **more)


@pytest.fixture
def predicted(project):
    """Two frames predicted by `net`: scores 0.95, 0.3, 0.9 at x 0, 20, 40, and one of 0.5."""
    first = [square(1, 0, score=0.95), square(2, 20, score=0.3), square(3, 40, score=0.9)]
    write_frame(project.prediction_path("net", A, "image"), FrameLabels.of(H, W, first))
    write_frame(project.prediction_path("net", B, "t0001z0000"), FrameLabels.of(H, W, [square(1, 5, score=0.5)]))
    return project


def labels(project, key=A, frame="image"):
    found = read_frame(project.labels_path(key, frame))
    return found.objects if found else {}


def state(project, key=A, frame="image"):
    return review.review_state(project, "net", key, frame)


def everything(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_doubtful_ones_come_first(predicted):
    now = state(predicted)
    assert now.pending == (2, 3, 1)
    assert (now.accepted, now.rejected) == ({}, frozenset())
    assert sorted(now.predictions.objects) == [1, 2, 3]


def test_accepting_copies_into_the_labels_as_one_undo_step(predicted):
    with open_labels(predicted, A, "image", H, W) as store:
        store.edit("draw", add=[square(store.new_id(), 60, source="manual")])
    assert review.accept(predicted, "net", A, "image", [3, 1]) == [2, 3]
    found = labels(predicted)
    assert [(o.source, o.origin, o.score) for o in found.values()] == [
        ("manual", None, None),
        ("accepted", "net#3", 0.9),
        ("accepted", "net#1", 0.95),
    ]
    assert found[2].geometry.equals(box(40, 0, 50, 10))
    assert state(predicted).accepted == {3: 2, 1: 3}
    assert state(predicted).pending == (2,)
    with open_labels(predicted, A, "image", H, W) as store:
        assert store.undo() == "accept 2 of net"
    assert state(predicted).pending == (2, 3, 1)


def test_looking_and_accepting_leave_the_predictions_as_they_are(predicted):
    before = everything(predicted.folder)
    state(predicted)
    assert everything(predicted.folder) == before
    review.accept(predicted, "net", A, "image", [1])
    after = everything(predicted.folder)
    assert {p: after[p] for p in before} == before
    assert all("labels" in p.parts for p in after.keys() - before.keys())


def test_accepting_twice_does_nothing(predicted):
    assert review.accept(predicted, "net", A, "image", [1, 1]) == [1]
    before = everything(predicted.folder)
    assert review.accept(predicted, "net", A, "image", [1]) == []
    assert everything(predicted.folder) == before
    assert review.accept(predicted, "net", A, "image", [1, 2]) == [2]


def test_a_corrected_label_still_counts_as_accepted(predicted):
    review.accept(predicted, "net", A, "image", [1])
    with open_labels(predicted, A, "image", H, W) as store:
        moved = replace(store.frame.objects[1], geometry=box(1, 1, 12, 12), source="corrected")
        store.edit("reshape", remove=[1], add=[moved])
    assert state(predicted).accepted == {1: 1}


def test_a_new_prediction_elsewhere_with_the_same_id_is_not_taken_for_the_accepted_one(predicted):
    review.accept(predicted, "net", A, "image", [1])
    path = predicted.prediction_path("net", A, "image")
    write_frame(path, FrameLabels.of(H, W, [square(1, 50, 40, score=0.2)]))
    assert state(predicted).pending == (1,)


def test_rejects_are_marked_in_the_prediction_and_can_be_taken_back(predicted):
    review.reject(predicted, "net", A, "image", [2])
    assert state(predicted).rejected == {2}
    assert state(predicted).pending == (3, 1)
    assert labels(predicted) == {}
    assert not predicted.labels_path(A, "image").parent.exists()
    review.unreject(predicted, "net", A, "image", [2])
    assert state(predicted).pending == (2, 3, 1)
    with FrameStore(predicted.prediction_path("net", A, "image"), H, W) as store:
        assert store.undo() == "take back the rejection of 1 object"
        assert store.undo() == "reject 1 object"


def test_rejecting_what_was_accepted_takes_the_label_away_unless_it_was_corrected(predicted):
    review.accept(predicted, "net", A, "image", [1, 2])
    with open_labels(predicted, A, "image", H, W) as store:
        store.edit("correct", remove=[2], add=[replace(store.frame.objects[2], source="corrected")])
    review.reject(predicted, "net", A, "image", [1, 2])
    assert [item.origin for item in labels(predicted).values()] == ["net#2"]
    assert state(predicted).rejected == {1}
    with open_labels(predicted, A, "image", H, W) as store:
        store.undo()
    assert state(predicted).accepted == {1: 1, 2: 2}


def test_open_stores_are_used_and_left_open(predicted):
    with (
        open_labels(predicted, A, "image", H, W) as mine,
        FrameStore(predicted.prediction_path("net", A, "image"), H, W) as theirs,
    ):
        review.accept(predicted, "net", A, "image", [1], labels=mine, predictions=theirs)
        review.reject(predicted, "net", A, "image", [2, 1], labels=mine, predictions=theirs)
        now = review.review_state(predicted, "net", A, "image", labels=mine, predictions=theirs)
        assert (now.accepted, now.rejected, now.pending) == ({}, {1, 2}, (3,))
        mine.undo()
        now = review.review_state(predicted, "net", A, "image", labels=mine, predictions=theirs)
        assert now.accepted == {1: 1}


@pytest.mark.parametrize(
    ("rule", "taken", "below"),
    [("all", [1, 2, 3], 0), ("score>=0.9", [1, 3], 1), ("score > 0.9", [1], 2), ("score>=1", [], 3)],
)
def test_accept_all_by_a_rule(predicted, rule, taken, below):
    report = review.accept_all(predicted, "net", rule, split="train")
    assert [item.origin for item in labels(predicted).values()] == [f"net#{number}" for number in taken]
    assert report.totals == {"accepted": len(taken), "already": 0, "rejected": 0, "below": below, "overlapping": 0}
    assert [(c.key, c.frame, c.accepted) for c in report.frames] == [(A, "image", len(taken))]


def test_accept_all_over_all_frames_is_one_undo_step_each_and_does_nothing_twice(predicted):
    first = review.accept_all(predicted, "net")
    assert first.totals["accepted"] == 4
    assert [(c.key, c.frame) for c in first.frames] == [(B, "t0001z0000"), (A, "image")]
    json.dumps(first.as_dict())
    before = everything(predicted.folder)
    again = review.accept_all(predicted, "net")
    assert (again.totals["accepted"], again.totals["already"]) == (0, 4)
    assert everything(predicted.folder) == before
    with open_labels(predicted, A, "image", H, W) as store:
        store.undo()
        assert store.frame.objects == {}


def test_accept_all_takes_no_rejected_one(predicted):
    review.reject(predicted, "net", A, "image", [1])
    report = review.accept_all(predicted, "net", split="train")
    assert [item.origin for item in labels(predicted).values()] == ["net#2", "net#3"]
    assert report.totals["rejected"] == 1


def test_accept_all_leaves_out_what_a_person_drew_already(predicted):
    with open_labels(predicted, A, "image", H, W) as store:
        # IoU with prediction 1: 60/100 > 0.5; with prediction 3: 50/100, which is not more than 0.5.
        drawn = [replace(square(1, 0), geometry=box(0, 0, 10, 6)), replace(square(2, 0), geometry=box(40, 0, 45, 10))]
        store.edit("draw", add=[replace(item, source="manual") for item in drawn])
    report = review.accept_all(predicted, "net", split="train")
    assert report.frames[0].overlapping == (1,)
    assert [item.origin for item in labels(predicted).values()] == [None, None, "net#2", "net#3"]
    # A person may still take it by hand.
    assert review.accept(predicted, "net", A, "image", [1]) == [5]


def test_accept_all_goes_on_past_a_frame_that_cannot_be_edited(predicted):
    with open_labels(predicted, A, "image", H, W):
        report = review.accept_all(predicted, "net")
    assert report.totals["accepted"] == 1
    assert len(report.problems) == 1
    assert report.problems[0].startswith("a.png image: ")
    assert "being edited" in report.problems[0]


@pytest.mark.parametrize("rule", ["", "every", "score>=", "score<0.5", "score>=1.5", "score>=-1", "score>=0.5 or all"])
def test_a_rule_that_is_none_is_refused(predicted, rule):
    with pytest.raises(MiaError, match="no rule"):
        review.accept_all(predicted, "net", rule)
    assert labels(predicted) == {}


def test_without_a_score_only_all_is_met(project):
    write_frame(
        project.prediction_path("net", A, "image"), FrameLabels.of(H, W, [square(1, 0), square(2, 20, score=0.1)])
    )
    assert state(project).pending == (1, 2)
    assert review.accept_all(project, "net", "score>=0").totals["accepted"] == 1
    assert review.accept_all(project, "net", "all").totals["accepted"] == 1


def test_wrong_names_are_named(predicted):
    with pytest.raises(MiaError, match="'other'"):
        review.accept_all(predicted, "other")
    with pytest.raises(MiaError, match="'test' images"):
        review.accept_all(predicted, "net", split="test")
    with pytest.raises(MiaError, match=r"no prediction of c\.png"):
        state(predicted, "c.png")
    with pytest.raises(MiaError, match="object 9"):
        review.accept(predicted, "net", A, "image", [1, 9])
    assert labels(predicted) == {}


def test_a_class_that_the_project_does_not_know_is_named(project):
    frame = FrameLabels.of(H, W, [replace(square(1, 0), label_class="nerve")])
    write_frame(project.prediction_path("net", A, "image"), frame)
    with pytest.raises(MiaError, match=r"'nerve'.*mia-tui classes"):
        review.accept(project, "net", A, "image", [1])
