"""Events folded into series, also of a run that went back to its checkpoint."""

import math
from pathlib import Path

import pytest

from mia_tui.jobs.watch import EventTail, RunHistory, headline_first, metrics_text
from mia_tui.runfolder import RunFolder, Status
from mia_tui.screens.run_view import facts, score_series


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path, "run", {})


def steps(run, numbers, loss=1.0):
    for number in numbers:
        run.append_event("step", step=number, epoch=number // 10, loss=loss, lr=0.1, samples_per_s=8.0, memory_mb=512)


def test_the_tail_gives_each_event_once(run):
    tail = EventTail(run)
    assert tail.read() == []
    steps(run, [1, 2])
    assert [event["step"] for event in tail.read()] == [1, 2]
    assert tail.read() == []
    steps(run, [3])
    assert [event["step"] for event in tail.read()] == [3]


def test_series_of_a_training(run):
    run.append_event("start", epochs=2, steps_per_epoch=10, device="cpu", images=5, validation_images=1)
    steps(run, [5, 10])
    run.append_event("epoch", epoch=1, train_loss=0.9, val_loss=0.8, metrics={"ap50": 0.5}, best=True, eta_s=60.0)
    run.append_event("preview", epoch=1, file="preview/epoch_0001.png", image="a.png")
    run.append_event("epoch", epoch=2, train_loss=None, val_loss=0.9, metrics={"ap50": 0.4, "f1": 0.7}, best=False)
    run.append_event("message", text="learning rate halved")
    run.append_event("end", state="finished", model="cells")
    history = RunHistory.load(run)
    assert history.start["steps_per_epoch"] == 10
    assert (history.steps, history.losses, history.rates) == ([5, 10], [1.0, 1.0], [0.1, 0.1])
    assert history.epochs == [1, 2]
    assert history.train_losses[0] == 0.9
    assert math.isnan(history.train_losses[1])
    assert history.val_losses == [0.8, 0.9]
    assert history.metrics["ap50"] == [0.5, 0.4]
    assert math.isnan(history.metrics["f1"][0])
    assert history.metrics["f1"][1] == 0.7
    assert history.best_epoch == 1
    assert (history.samples_per_s, history.memory_mb, history.eta_s) == (8.0, 512, 60.0)
    assert history.preview == run.path / "preview" / "epoch_0001.png"
    assert history.message == "learning rate halved"
    assert history.end == {"state": "finished", "model": "cells"}


def test_folding_in_pieces_is_folding_at_once(run):
    pieces, tail = RunHistory(run.path), EventTail(run)
    for first in range(0, 30, 3):
        steps(run, range(first, first + 3), loss=first)
        run.append_event("epoch", epoch=first, train_loss=1.0, val_loss=1.0, metrics={"f1": 0.1 * first})
        pieces.fold(tail.read())
    assert pieces == RunHistory.load(run)
    assert len(pieces.steps) == 30


def test_steps_repeated_after_a_resume_replace_the_old_ones(run):
    steps(run, [1, 2, 3, 4, 5], loss=9.0)
    for epoch in (1, 2, 3):
        run.append_event("epoch", epoch=epoch, train_loss=9.0, val_loss=9.0, metrics={"f1": 0.9}, best=epoch == 3)
        run.append_event("preview", epoch=epoch, file=f"preview/{epoch}.png", image="old")
    run.append_event("end", state="lost")
    run.append_event("resume", state="lost", epoch=1, step=2)
    run.append_event("start", epochs=5)
    steps(run, [3, 4], loss=1.0)
    run.append_event("epoch", epoch=2, train_loss=1.0, val_loss=1.0, metrics={"f1": 0.1}, best=False)
    run.append_event("preview", epoch=2, file="preview/2.png", image="new")
    history = RunHistory.load(run)
    assert history.steps == [1, 2, 3, 4]
    assert history.losses == [9.0, 9.0, 1.0, 1.0]
    assert len(history.rates) == 4
    assert history.epochs == [1, 2]
    assert history.val_losses == [9.0, 1.0]
    assert history.metrics == {"f1": [0.9, 0.1]}
    assert history.best_epoch is None  # epoch 3 was the best of a future that did not happen
    assert [(epoch, key) for epoch, _, key in history.previews] == [(1, "old"), (2, "new")]
    assert history.end == {}
    assert history.resumed == 1


def test_progress_of_a_prediction(run):
    run.append_event("progress", done=3, total=9, key="b/c.tif")
    history = RunHistory.load(run)
    assert (history.done, history.total, history.key) == (3, 9, "b/c.tif")


def test_events_that_make_no_sense_are_passed_over(run):
    run.append_event("step")
    run.append_event("step", step="many")
    run.append_event("epoch", epoch=None)
    run.append_event("unheard-of", x=1)
    run.append_event("message")
    steps(run, [7])
    assert RunHistory.load(run).steps == [7]


def test_the_headline_stands_first_and_each_metric_has_its_unit() -> None:
    event = {
        "event": "epoch", "epoch": 1, "train_loss": 0.1, "val_loss": None, "best": True, "value": 0.5,
        "value_name": "f1",
        "metrics": {"precision": 0.25, "localization": 1.234, "f1": 0.5, "count_mae": 12.5, "recall": None},
    }  # fmt: skip
    history = RunHistory(Path("nowhere"))
    history.fold([event])
    assert metrics_text(headline_first(event)) == (
        "f1 0.500  precision 0.250  localization 1.23 px  count_mae 12.500  recall –"
    )
    assert history.headline == "f1"
    assert next(iter(history.metrics_at(0).items())) == ("f1", 0.5)
    assert history.metrics_at(0)["recall"] is None
    assert [s.name for s in score_series(history)] == ["f1", "precision", "recall"]
    seen = facts("train", Status(state="running"), history, 0.0).plain
    assert "f1 0.500  precision 0.250  localization 1.23 px  count_mae 12.500  recall –   ★ epoch 1" in seen


def test_a_worker_that_names_no_headline_is_known_by_its_first_metric() -> None:
    history = RunHistory(Path("nowhere"))
    for epoch in (1, 2):
        history.fold([{"event": "epoch", "epoch": epoch, "metrics": {"loss_px": 3.0, "auc": 0.5}}])
    assert history.headline == "loss_px"
    assert [s.name for s in score_series(history)] == ["loss_px"], "a length is not drawn beside shares"
    assert metrics_text(history.metrics_at(1)) == "loss_px 3.00 px  auc 0.500"
