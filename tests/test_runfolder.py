"""The run folder: what is written can be read back, whoever died while writing; locks end with their owners."""

import dataclasses
import fcntl
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from mia_tui.errors import MiaError
from mia_tui.runfolder import (
    RunFolder,
    Status,
    is_lock_held,
    list_runs,
    new_run_name,
    process_start,
)


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "runs", "cells", {"kind": "train", "train": {"epochs": 3}})


def test_a_new_run_is_queued_and_keeps_its_request(run):
    assert run.id == "cells"
    assert run.status().state == "queued"
    assert run.config() == {"kind": "train", "train": {"epochs": 3}}
    assert run.last_checkpoint.parent.is_dir()


def test_runs_of_one_name_get_numbers(run):
    names = [RunFolder.create(run.path.parent, "cells", {}).id for _ in range(2)]
    assert names == ["cells-2", "cells-3"]


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden"])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path, name):
    with pytest.raises(MiaError, match="cannot name a run"):
        RunFolder.create(tmp_path, name, {})


def test_status_is_read_back_and_entries_of_a_newer_version_are_passed_over(run):
    changed = run.update_status(state="running", step=7, eta_s=1.5)
    assert run.status() == changed
    path = run.path / "status.json"
    path.write_text(json.dumps({**dataclasses.asdict(changed), "colour": "blue"}))
    assert run.status() == changed


@pytest.mark.parametrize("text", ["", "{", "[1]", "\udcff"])
def test_a_damaged_status_is_named(run, text):
    (run.path / "status.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(MiaError, match=r"status\.json is damaged"):
        run.status()


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(MiaError, match="is not a run"):
        RunFolder(tmp_path).status()
    with pytest.raises(MiaError, match="is not a run"):
        RunFolder(tmp_path).config()


def test_events_come_in_order_and_only_once(run):
    assert run.events() == ([], 0)
    run.append_event("step", step=1, loss=None)
    first, offset = run.events()
    assert [(event["event"], event["step"]) for event in first] == [("step", 1)]
    run.append_event("message", text="größer ✓")
    second, end = run.events(offset)
    assert [event["text"] for event in second] == ["größer ✓"]
    assert run.events(end) == ([], end)


def test_half_a_line_waits_and_a_torn_one_does_not_swallow_the_next(run):
    run.append_event("step", step=1)
    with open(run.path / "events.jsonl", "ab") as stream:
        stream.write(b'{"event": "step", "st')
    events, offset = run.events()
    assert len(events) == 1
    run.append_event("step", step=3)  # the writer was killed; the next one goes on
    assert [event["step"] for event in run.events(offset)[0]] == [3]
    assert [event["step"] for event in run.events()[0]] == [1, 3]


def test_several_writers_at_once_lose_no_event(run):
    def write(writer):
        for number in range(200):
            run.append_event("step", writer=writer, step=number)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {(event["writer"], event["step"]) for event in run.events()[0]}
    assert found == {(writer, step) for writer in range(4) for step in range(200)}


def test_a_value_that_json_does_not_know_is_refused(run):
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.append_event("step", loss=float("nan"))
    assert run.events() == ([], 0)


def test_stop_is_a_file(run):
    assert not run.stop_requested
    run.request_stop()
    assert run.stop_requested
    run.clear_stop()
    run.clear_stop()
    assert not run.stop_requested


def test_the_lock_has_one_holder(run):
    handle = run.acquire_lock()
    assert run.is_locked()
    assert run.acquire_lock() is None
    os.close(handle)
    assert not run.is_locked()
    again = run.acquire_lock()
    assert again is not None
    os.close(again)


def test_the_lock_lives_as_long_as_a_child_that_inherited_it(run):
    handle = run.acquire_lock()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(handle,))
    os.close(handle)
    assert run.is_locked()
    child.kill()
    child.wait()
    child.stdin.close()
    assert not run.is_locked()


def test_looking_at_the_lock_writes_nothing(run):
    assert not run.is_locked()
    assert not run.lock.exists()


def test_somebody_who_only_looks_does_not_keep_others_from_locking(run, monkeypatch):
    run.lock.touch()
    looker = os.open(run.lock, os.O_RDONLY)
    fcntl.flock(looker, fcntl.LOCK_SH)  # what `is_lock_held` does for some microseconds
    waits = []

    def looker_leaves(seconds):
        if not waits:
            os.close(looker)
        waits.append(seconds)

    monkeypatch.setattr("mia_tui.runfolder.time.sleep", looker_leaves)
    handle = run.acquire_lock()
    assert handle is not None
    assert waits
    os.close(handle)


def test_two_who_look_at_once_do_not_take_each_other_for_the_holder(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    looker = os.open(path, os.O_RDONLY)
    fcntl.flock(looker, fcntl.LOCK_SH)
    assert not is_lock_held(path)
    os.close(looker)


def test_runs_are_listed_newest_first_and_one_damaged_does_not_hide_the_others(run):
    older = RunFolder.create(run.path.parent, "older", {})
    older.write_status(Status(created=1.0))
    damaged = RunFolder.create(run.path.parent, "damaged", {})
    (damaged.path / "status.json").write_text("{")
    future = time.time() + 100
    os.utime(damaged.path / "status.json", (future, future))
    (run.path.parent / "no-run").mkdir()
    hidden = run.path.parent / ".removed-x"
    hidden.mkdir()
    (hidden / "status.json").write_text("{}")
    assert [found.id for found in list_runs(run.path.parent)] == ["damaged", "cells", "older"]


def test_no_runs_is_an_empty_list(tmp_path):
    assert list_runs(tmp_path / "runs") == []


def test_new_names_differ(tmp_path):
    names = {new_run_name("cells") for _ in range(20)}
    assert all(name.startswith("cells-") for name in names)
    assert len(names) > 1


def test_the_start_of_a_process_names_it_until_it_is_gone():
    child = subprocess.Popen(["sleep", "1000"])
    start = process_start(child.pid)
    assert start == process_start(child.pid) > 0
    assert process_start(os.getpid()) < start
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(child.pid) is None  # a zombie is nobody
    child.wait()
    assert process_start(child.pid) is None
