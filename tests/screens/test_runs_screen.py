"""The list of runs and the live view, driven by keys, on run folders and on a real supervised stand-in worker."""

import contextlib
import functools
import json
import os
import signal
import time

import pytest
from driving import screen_text, until
from standin import ROOT, WORKER, add_epoch, add_preview, make_project, make_run
from textual.widgets import Input, Log

from mia_tui.app import MiaApp
from mia_tui.errors import MiaError
from mia_tui.jobs import control
from mia_tui.jobs.liveness import current_status
from mia_tui.jobs.watch import RunHistory
from mia_tui.runfolder import ENDED, RunFolder, process_start
from mia_tui.screens.run_details import LogScreen, log_lines
from mia_tui.screens.run_view import RunScreen, epoch_lines, loss_series
from mia_tui.screens.runs import Lister, RunsScreen
from mia_tui.widgets.chart import LineChart
from mia_tui.widgets.form import ConfirmScreen, PromptScreen


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(control, "start", functools.partial(control.start, worker=WORKER))
    monkeypatch.setattr(control, "resume", functools.partial(control.resume, worker=WORKER))
    monkeypatch.setattr(control, "extend", functools.partial(control.extend, worker=WORKER))
    project = make_project(tmp_path)
    yield project
    for path in project.runs_folder.glob("*/status.json"):
        run = RunFolder(path.parent)
        with contextlib.suppress(MiaError):
            if current_status(run).state not in ENDED and run.status().pid != os.getpid():
                control.stop(run, wait_s=20)


async def open_runs(pilot) -> RunsScreen:
    pilot.app.go("runs")
    await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
    return pilot.app.screen


async def open_view(pilot) -> RunScreen:
    screen = await open_runs(pilot)
    await until(pilot, lambda: screen.rows)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and pilot.app.screen.status is not None)
    await pilot.pause()
    return pilot.app.screen


def line_of(app, word) -> str:
    return next((line for line in screen_text(app).splitlines() if word in line), "")


# ---- the list -------------------------------------------------------------------------------------------------------


async def test_without_runs_the_screen_says_how_to_train(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_runs(pilot)
        await until(pilot, lambda: "No runs yet" in screen_text(app))
        assert "g t" in line_of(app, "train a model")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_list_tells_states_by_word_and_sign(project, size) -> None:
    make_run(project, "done", state="finished", done=8, created=time.time() - 86_400 * 3)
    make_run(project, "broken", state="failed", message="the disk is full", created=time.time() - 7300)
    make_run(project, "gone", created=time.time() - 3700)
    make_run(project, "works", alive=True, created=time.time() - 130)
    app = MiaApp(project.folder)
    async with app.run_test(size=size) as pilot:
        screen = await open_runs(pilot)
        await until(pilot, lambda: len(screen.rows) == 4)
        await pilot.pause()
        for name, words in {
            "works": ("▶ running", "epoch 5/8", "1:15", "ap 0.410", "2 min"),
            "gone": ("? lost", "1 h"),
            "broken": ("✗ failed", "2 h"),
            "done": ("✓ finished", "epoch 8/8", "3 d"),
        }.items():
            line = line_of(app, name)
            assert all(word in line for word in words), line
            assert line.rstrip().endswith(words[-1].split()[-1]), line
        await pilot.press("down")
        await until(pilot, lambda: "its process was killed" in screen_text(app))
        await pilot.press("down")
        await until(pilot, lambda: "the disk is full" in screen_text(app))


async def test_a_list_row_follows_its_run(project) -> None:
    run = make_run(project, "works", alive=True)
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_runs(pilot)
        await until(pilot, lambda: "epoch 5/8" in line_of(app, "works"))
        add_epoch(run, 6, best=False)
        run.update_status(epoch=6, state="finished")
        await until(pilot, lambda: "epoch 6/8" in line_of(app, "works"))
        assert "✓ finished" in line_of(app, "works")
        assert "ap 0.410" in line_of(app, "works")


async def test_a_damaged_run_is_named_and_the_others_go_on(project) -> None:
    make_run(project, "fine", state="finished")
    (make_run(project, "odd").path / "status.json").write_text("{")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_runs(pilot)
        await until(pilot, lambda: "damaged" in line_of(app, "odd"))
        assert "✓ finished" in line_of(app, "fine")
        screen.table.move_cursor(row=1)
        await until(pilot, lambda: "status.json is damaged" in screen_text(app))


async def test_delete_asks_and_only_y_deletes(project) -> None:
    run = make_run(project, "old", state="finished")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_runs(pilot)
        await until(pilot, lambda: screen.rows)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "checkpoints" in screen_text(app)
        await pilot.press("enter", "n")
        await until(pilot, lambda: app.screen is screen)
        assert run.path.exists()
        await pilot.press("x", "y")
        await until(pilot, lambda: not run.path.exists())
        await until(pilot, lambda: "No runs yet" in screen_text(app))


async def test_keys_that_make_no_sense_now_say_why(project) -> None:
    make_run(project, "works", alive=True)
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_runs(pilot)
        await until(pilot, lambda: screen.rows)
        await pilot.press("x", "R", "p")
        await pilot.pause()
        said = " ".join(n.message for n in app._notifications)
        assert "Stop it first (s)" in said
        assert "cannot be resumed: it is running" in said
        assert "The training must end first" in said


def test_the_lister_reads_only_what_is_new(project, monkeypatch) -> None:
    run = make_run(project, "works", alive=True)
    make_run(project, "done", state="finished")
    lister = Lister(project.runs_folder)
    assert {row.run.id: row.best for row in lister.look()} == {"works": "ap 0.410", "done": "ap 0.410"}
    add_epoch(run, 6)
    read = []
    real = RunFolder.config
    monkeypatch.setattr(RunFolder, "config", lambda self: read.append(self.id) or real(self))
    assert {row.run.id: row.best for row in lister.look()} == {"works": "ap 0.469", "done": "ap 0.410"}
    assert read == []


# ---- the live view --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_the_view_shows_numbers_curves_preview_and_log(project, size) -> None:
    run = make_run(project, "works", alive=True)
    add_preview(run, 4, 90)
    add_preview(run, 5, 200)
    app = MiaApp(project.folder)
    async with app.run_test(size=size) as pilot:
        screen = await open_view(pilot)
        await until(pilot, lambda: screen.query_one("#preview")._lines)
        await pilot.pause()
        text = screen_text(app)
        for words in ("▶ running", "epoch 6 of 8", "step 50 of 80", "1:15 left", "21.5 samples/s", "640 MB"):
            assert words in text, text
        assert "9 images, 2 to validate" in text
        assert "● train" in text
        assert "■ validation" in text
        assert "● ap" in text
        assert "epoch 5 done" in text
        assert "Epoch 5  image5.png" in text
        assert text.splitlines()[-1].strip().endswith("? Help")
        for chart in screen.query(LineChart):
            rows = [chart.render_line(y).text for y in range(chart.size.height)]
            assert any(0x2800 < ord(c) < 0x2900 for row in rows for c in row)
            assert chart.size.width >= (size[0] - 6) // 2
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "Epoch 4  image4.png" in screen_text(app))


async def test_the_view_follows_events_and_survives_resizing(project) -> None:
    run = make_run(project, "works", alive=True)
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_view(pilot)
        add_epoch(run, 6)
        run.log.write_text("first\n\x1b[31mred\x1b[0m\nold\rnew\n")
        run.update_status(epoch=6, step=60)
        await until(pilot, lambda: "epoch 7 of 8" in screen_text(app))
        await until(pilot, lambda: "★ best 6" in screen_text(app))
        assert screen.history.val_losses[-1] == pytest.approx(1.1 / 6)
        assert [row for row in screen_text(app).splitlines() if row.rstrip().endswith("new")]
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "● train" in screen_text(app))
        before = screen.query_one("#loss", LineChart).render_line(2).text
        await pilot.press("y")
        await pilot.pause()
        assert screen.query_one("#loss", LineChart).log_scale
        assert screen.query_one("#loss", LineChart).render_line(2).text != before


async def test_a_lost_run_says_why_and_is_resumed_by_key(project) -> None:
    run = make_run(project, "gone", epochs=7)
    run.last_checkpoint.write_bytes(b"weights")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_view(pilot)
        text = screen_text(app)
        assert "? lost" in text
        assert "its process was killed; the last checkpoint can be resumed" in text
        await pilot.press("R")
        await until(pilot, lambda: screen.status.state == "finished")
        await until(pilot, lambda: "✓ finished" in screen_text(app))
        assert screen.history.epochs == [1, 2, 3, 4, 5, 6, 7]
        assert "resumed 1x" in screen_text(app)


async def test_a_finished_training_is_extended_to_more_epochs_by_key(project) -> None:
    run = make_run(project, "done", epochs=5, state="finished")
    run.last_checkpoint.write_bytes(b"weights")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_view(pilot)
        await pilot.press("R")
        await pilot.pause()
        assert any("Extend it" in n.message for n in app._notifications)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, PromptScreen))
        for text, problem in (("5", "must be more than the 5"), ("x", "whole number"), ("200000", "100000")):
            app.screen.query_one(Input).value = text
            await pilot.press("enter")
            await until(pilot, lambda problem=problem: problem in screen_text(app))
        app.screen.query_one(Input).value = "7"
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is screen and screen.status.epoch == 7)
        await until(pilot, lambda: screen.status.state == "finished")
        assert screen.history.epochs == [1, 2, 3, 4, 5, 6, 7]
    assert run.config()["train"]["epochs"] == 7


async def test_what_cannot_be_extended_says_why(project) -> None:
    make_run(project, "works", alive=True, created=3)
    make_run(project, "bare", state="stopped", created=2)
    predicting = make_run(project, "guess", state="finished", created=1)
    config = {**predicting.config(), "kind": "predict", "predict": {"model": "m"}}
    (predicting.path / "config.json").write_text(json.dumps(config))
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_runs(pilot)
        await until(pilot, lambda: len(screen.rows) == 3)
        await pilot.press("e", "down", "e", "down", "e")
        await pilot.pause()
        said = " ".join(n.message for n in app._notifications)
        for words in ("works cannot be resumed: it is running", "before its first checkpoint", "guess is no training"):
            assert words in said
        assert app.screen is screen


async def test_a_run_outlives_the_app_is_found_again_and_stopped_by_key(project) -> None:
    run = control.start(project, {"kind": "train", "device": "cpu", "train": {"epochs": 10_000}}, "long")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_view(pilot)
        await until(pilot, lambda: len(screen.history.epochs) >= 2)
        await pilot.press("q")
    seen = len(screen.history.epochs)
    pid = run.status().pid
    os.kill(pid, 0)
    again = MiaApp(project.folder)
    async with again.run_test(size=(80, 24)) as pilot:
        screen = await open_view(pilot)
        await until(pilot, lambda: len(screen.history.epochs) > seen)
        assert run.status().pid == pid
        assert "▶ running" in screen_text(again)
        await pilot.press("s")
        await until(pilot, lambda: screen.status.state == "stopped")
        await until(pilot, lambda: "■ stopped" in screen_text(again))
    assert run.last_checkpoint.exists()
    deadline = time.monotonic() + 20
    while process_start(pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_a_killed_worker_is_seen_in_the_open_view(project) -> None:
    run = control.start(project, {"kind": "train", "device": "cpu", "train": {"epochs": 10_000}}, "long")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_view(pilot)
        await until(pilot, lambda: screen.status.state == "running")
        os.kill(run.status().pid, signal.SIGKILL)
        await until(pilot, lambda: screen.status.state in ("lost", "failed"))
        await pilot.pause()
        assert "killed" in screen_text(app).lower()


async def test_predict_starts_a_run_and_shows_it(project, monkeypatch) -> None:
    make_run(project, "unet", state="finished", done=8)
    (project.models_folder / "unet").mkdir(parents=True)
    (project.models_folder / "unet" / "model.json").write_text("{}")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_view(pilot)
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_folder.id == "predict-unet")
        screen = app.screen
        assert screen.run_folder.config()["predict"] == {
            "model": "unet", "images": None, "tta": False, "probabilities": False
        }  # fmt: skip
        await until(pilot, lambda: screen.status is not None and screen.status.state == "finished")
        screen.run_folder.append_event("progress", done=3, total=12, key="well/a.tif")
        await until(pilot, lambda: "frame 3 of 12" in screen_text(app))
        assert "well/a.tif" in line_of(app, "━━━━━━━━━━─")
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, RunScreen)
        assert app.screen.run_folder.id == "unet"


async def test_the_full_log_is_followed(project) -> None:
    run = make_run(project, "works", alive=True)
    run.log.write_text("".join(f"line {n}\n" for n in range(500)))
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_view(pilot)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, LogScreen) and app.screen.query_one(Log).line_count >= 500)
        with run.log.open("a") as stream:
            stream.write("the last word\n")
        await until(pilot, lambda: "the last word" in screen_text(app))
        assert app.screen.query_one(Log).lines[:2] == ["line 0", "line 1"]
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))


async def test_without_colours_states_and_series_stay_apart(project, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    run = make_run(project, "works", alive=True)
    add_preview(run, 5, 200)
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_view(pilot)
        await until(pilot, lambda: screen.query_one("#preview")._lines)
        text = screen_text(app)
        assert "▶ running" in text
        assert "● train" in text
        assert "■ validation" in text
        assert any(shade in text for shade in "░▒▓█")
        colours = {s.style.color for strip in app.screen._compositor.render_strips() for s in strip if s.style}
        assert all(c is None or c.triplet is None or len(set(c.triplet)) == 1 for c in colours)


# ---- below the screen -----------------------------------------------------------------------------------------------


def test_the_loss_curve_ends_with_the_running_epoch(tmp_path) -> None:
    history = RunHistory(tmp_path)
    history.fold([{"event": "start", "epochs": 9, "steps_per_epoch": 10}])
    history.fold([{"event": "step", "step": s, "epoch": 1, "loss": 2.0 - s / 10} for s in (2, 5)])
    train, validation = loss_series(history)
    assert (list(train.xs), list(train.ys)) == ([0.2, 0.5], [1.8, 1.5])
    assert list(validation.xs) == []
    history.fold([{"event": "epoch", "epoch": 1, "train_loss": 1.2, "val_loss": 1.4, "metrics": {"ap": 0.5}}])
    history.fold([{"event": "step", "step": s, "epoch": 2, "loss": 1.1} for s in (12, 15)])
    train, validation = loss_series(history)
    assert (list(train.xs), list(train.ys)) == ([1.0, 1.5], [1.2, 1.1])
    assert list(validation.ys) == [1.4]


def test_a_silent_worker_is_told_by_its_epochs(tmp_path) -> None:
    history = RunHistory(tmp_path)
    for epoch in (1, 2, 3):
        event = {
            "event": "epoch",
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "val_loss": 0.7 if epoch == 3 else None,
            "metrics": {"ap": 0.5},
        }
        history.fold([{**event, "best": epoch == 2}])
    assert epoch_lines(history) == [
        "epoch   1  loss 1.000  ap 0.500",
        "epoch   2  loss 0.500  ap 0.500  ★",
        "epoch   3  loss 0.333  validation 0.700  ap 0.500",
    ]


def test_a_long_log_is_read_from_its_end(tmp_path) -> None:
    run = RunFolder(tmp_path)
    assert log_lines(run, 100) == []
    run.log.write_text("".join(f"line {n:04d}\n" for n in range(1000)))
    assert log_lines(run, 35) == ["line 0997", "line 0998", "line 0999"]
