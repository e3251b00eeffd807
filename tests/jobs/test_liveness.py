"""Which state a reader sees, by lock, process and heartbeat; and what may be resumed."""

import dataclasses
import os
import time

import pytest

from mia_tui.jobs.liveness import current_status, resume_problem
from mia_tui.jobs.process import this_process
from mia_tui.runfolder import RunFolder, Status


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path, "run", {})


def here(**changes):
    us = this_process()
    values = {
        "state": "running", "created": time.time() - 100, "started": time.time() - 99, "heartbeat": time.time(),
        "host": us.host, "boot_id": us.boot_id, "pid": us.pid, "pid_start": us.start, **changes,
    }  # fmt: skip
    return Status(**values)


def test_a_run_just_made_is_young_and_later_lost(run):
    assert current_status(run).state == "queued"
    run.update_status(created=time.time() - 60)
    status = current_status(run)
    assert status.state == "lost"
    assert "never started" in status.message
    assert resume_problem(run, status) is None  # it can still be started


def test_a_live_process_counts_without_the_lock(run):
    run.write_status(here())
    assert current_status(run).state == "running"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pid_start": 1}, "killed"),
        ({"pid": 2**22 - 1}, "killed"),
        ({"boot_id": "another-boot"}, "restarted"),
        ({"pid": None}, "never started"),
        ({"host": "elsewhere", "heartbeat": time.time() - 600}, "elsewhere"),
    ],
)
def test_lost_for_each_reason(run, changes, reason):
    run.write_status(here(**changes))
    status = current_status(run)
    assert status.state == "lost"
    assert reason in status.message
    assert status.ended == run.status().heartbeat


def test_the_held_lock_means_alive_whatever_the_status_says(run):
    run.write_status(here(pid_start=1, boot_id="another-boot"))
    handle = run.acquire_lock()
    assert current_status(run).state == "running"
    os.close(handle)
    assert current_status(run).state == "lost"


@pytest.mark.parametrize("state", ["stopped", "finished", "failed"])
def test_an_ended_run_stays_what_it_is(run, state):
    run.write_status(here(state=state, pid_start=1))
    assert current_status(run) == run.status()


def test_an_end_written_while_we_look_is_not_called_lost(run, monkeypatch):
    """The worker ends between our reading of the status and of the lock."""
    running = here(pid_start=1)
    run.write_status(running)

    def ends_now(self):
        run.write_status(dataclasses.replace(running, state="finished"))
        return False

    monkeypatch.setattr(RunFolder, "is_locked", ends_now)
    assert current_status(run).state == "finished"


@pytest.mark.parametrize(
    ("state", "checkpoint", "problem"),
    [
        ("stopped", True, None),
        ("lost", True, None),
        ("failed", True, None),
        ("lost", False, "before its first checkpoint"),
        ("finished", True, "has finished"),
        ("running", True, "Stop it first"),
        ("queued", False, "Stop it first"),
    ],
)
def test_what_can_be_resumed(run, state, checkpoint, problem):
    if checkpoint:
        run.last_checkpoint.write_bytes(b"weights")
    found = resume_problem(run, here(state=state))
    assert found is None if problem is None else problem in found
