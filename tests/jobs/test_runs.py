"""Runs with real processes: how they end, what survives a kill, who may start, stop and resume them."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mia_tui.errors import MiaError
from mia_tui.jobs import control
from mia_tui.jobs.launch import launch
from mia_tui.jobs.liveness import current_status
from mia_tui.jobs.process import process_of
from mia_tui.jobs.watch import follow
from mia_tui.runfolder import ENDED, RunFolder


def ended(jobs, run):
    return jobs.wait_until(lambda: (s := current_status(run)).state in ENDED and not run.is_locked() and s)


def test_a_run_finishes_and_its_log_and_events_are_kept(jobs):
    run = jobs.start("finish")
    jobs.go(run)
    status = ended(jobs, run)
    assert (status.state, status.exit_code, status.device) == ("finished", 0, "cpu")
    assert status.created <= status.started <= status.ended
    assert "working" in run.log.read_text()
    kinds = [event["event"] for event in run.events()[0]]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    assert kinds.count("end") == 1


def test_worker_and_supervisor_are_off_the_terminal_and_in_sessions_of_their_own(jobs):
    run = jobs.running()
    for pid in (jobs.supervisor(run).pid, run.status().pid):
        assert os.getsid(pid) == jobs.supervisor(run).pid != os.getsid(0)
        streams = [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]
        assert streams == ["/dev/null", str(run.log), str(run.log)]
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
    environment = Path(f"/proc/{run.status().pid}/environ").read_bytes().split(b"\0")
    assert {b"HF_HUB_OFFLINE=1", b"NO_ALBUMENTATIONS_UPDATE=1", b"PYTHONUNBUFFERED=1"} <= set(environment)
    assert Path(f"/proc/{run.status().pid}/oom_score_adj").read_text().strip() == "500"
    assert os.getpgid(run.status().pid) == run.status().pid


@pytest.mark.parametrize(
    ("mode", "message", "code"),
    [
        ("fail", "class 'cell' has no objects", 1),
        ("raise", "RuntimeError: the numbers went wrong", 1),
        ("device-oom", "out of memory (device)", 42),
        ("silent", "ended without a result", 0),
    ],
)
def test_a_failed_run_says_why(jobs, mode, message, code):
    run = jobs.start(mode)
    jobs.go(run)
    status = ended(jobs, run)
    assert (status.state, status.exit_code) == ("failed", code)
    assert message in status.message
    assert run.events()[0][-1]["event"] == "end"
    assert run.events()[0][-1]["state"] == "failed"


def test_a_crash_after_the_result_was_saved_keeps_the_run_finished(jobs):
    run = jobs.start("crash-at-exit")
    jobs.go(run)
    status = ended(jobs, run)
    assert (status.state, status.signal) == ("finished", signal.SIGSEGV)


def test_a_crash_is_lost_and_names_the_signal(jobs):
    run = jobs.start("segfault")
    jobs.go(run)
    status = ended(jobs, run)
    assert (status.state, status.signal) == ("lost", 11)
    assert "SIGSEGV" in status.message


def test_a_worker_that_cannot_be_started_fails_the_run(jobs):
    run = control.start(jobs.project, {"kind": "train", "train": {}}, "run", worker=("/no/such/program",))
    status = ended(jobs, run)
    assert status.state == "failed"
    assert "/no/such/program" in status.message


def test_a_killed_worker_is_lost_and_resumes_with_its_history(jobs):
    run = jobs.running()
    before = run.events()[0]
    jobs.kill_worker(run)
    status = ended(jobs, run)
    assert (status.state, status.signal) == ("lost", 9)
    assert "SIGKILL" in status.message
    assert "the last checkpoint can be resumed" in status.message
    step = int(run.last_checkpoint.read_text())

    jobs.go(run)
    control.resume(run, worker=jobs.worker("finish"))
    status = ended(jobs, run)
    assert (status.state, status.step, status.message, status.signal) == ("finished", step + 1, "", None)
    events = run.events()[0]
    assert events[: len(before)] == before
    resumes = [event for event in events if event["event"] == "resume"]
    assert len(resumes) == 1
    assert resumes[0]["state"] == "lost"


def test_without_a_checkpoint_a_lost_run_cannot_be_resumed(jobs):
    run = jobs.running("bare")
    jobs.kill_worker(run)
    assert "no checkpoint" in ended(jobs, run).message
    with pytest.raises(MiaError, match=r"last\.pt is missing.*new run"):
        control.resume(run, worker=jobs.worker("finish"))


def test_what_a_killed_worker_leaves_behind_is_killed_too(jobs):
    run = jobs.running("child")
    child = int((run.path / "child").read_text())
    jobs.kill_worker(run)
    ended(jobs, run)
    jobs.wait_until(
        lambda: not Path(f"/proc/{child}/stat").exists() or " Z " in Path(f"/proc/{child}/stat").read_text()
    )


def test_when_only_the_supervisor_is_killed_the_run_goes_on_and_is_seen(jobs):
    run = jobs.running()
    jobs.kill_supervisor(run)
    step = run.status().step
    jobs.wait_until(lambda: run.status().step > step + 2)
    assert current_status(run).state == "running"
    with pytest.raises(MiaError, match="is running"):
        control.resume(run, worker=jobs.worker("finish"))
    second = jobs.start(name="second")
    jobs.wait_until(lambda: "waits for cpu" in second.status().message)  # the device stays taken
    jobs.go(run)
    assert ended(jobs, run).state == "finished"
    jobs.go(second)
    assert ended(jobs, second).state == "finished"


def test_a_run_without_supervisor_can_be_stopped(jobs):
    run = jobs.running()
    jobs.kill_supervisor(run)
    assert control.stop(run, wait_s=20).state == "stopped"


def test_a_deaf_worker_without_supervisor_is_killed_when_we_wait(jobs):
    run = jobs.running("deaf")
    jobs.kill_supervisor(run)
    assert control.stop(run, wait_s=0.3).state == "lost"
    assert process_of(run.status()).is_alive() is False


def test_both_killed_is_lost_though_nobody_wrote_it_down(jobs):
    run = jobs.running()
    jobs.kill_supervisor(run)
    jobs.kill_worker(run)
    assert run.status().state == "running"
    files = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    status = current_status(run)
    assert status.state == "lost"
    assert "the last checkpoint can be resumed" in status.message
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == files  # looking writes nothing
    jobs.go(run)
    control.resume(run, worker=jobs.worker("finish"))
    assert ended(jobs, run).state == "finished"


def test_stop_lets_the_worker_save_and_resume_goes_on(jobs):
    run = jobs.running()
    status = control.stop(run, wait_s=20)
    assert (status.state, status.message) == ("stopped", "")
    step = int(run.last_checkpoint.read_text())
    with pytest.raises(MiaError, match="cannot be stopped: it is stopped"):
        control.stop(run)
    control.resume(run, worker=jobs.worker("finish"))
    jobs.wait_until(lambda: run.status().step > step)
    assert not run.stop_requested
    assert run.status().started == status.started
    jobs.go(run)
    assert ended(jobs, run).state == "finished"
    with pytest.raises(MiaError, match="has finished"):
        control.resume(run, worker=jobs.worker("finish"))


def test_a_finished_training_is_extended_and_nothing_else_of_it_changes(jobs):
    run = jobs.start("finish")
    jobs.go(run)
    ended(jobs, run)
    with pytest.raises(MiaError, match="has finished"):
        control.resume(run)
    with pytest.raises(MiaError, match="only epochs, max_minutes, stop_after can change, not batch_size"):
        control.extend(run, {"batch_size": 3})
    before = run.config()
    control.extend(run, {"epochs": 99}, worker=jobs.worker("finish"))
    ended(jobs, run)
    assert len((run.path / "starts").read_text().splitlines()) == 2
    assert run.config() == {**before, "train": {**before["train"], "epochs": 99}}


def test_the_stop_file_alone_is_enough(jobs):
    run = jobs.running()
    run.request_stop()
    assert ended(jobs, run).state == "stopped"


def test_a_worker_that_does_not_stop_is_killed_after_its_grace(jobs):
    run = jobs.running("deaf", grace_s=0.5)
    assert control.stop(run).state == "stopping"
    status = ended(jobs, run)
    assert (status.state, status.signal) == ("stopped", 9)
    assert "killed" in status.message
    assert "can be resumed" in status.message


def test_runs_on_one_device_follow_each_other_in_order(jobs):
    runs = [jobs.start(name=f"run{number}") for number in range(3)]
    jobs.wait_until(lambda: runs[0].status().step)
    for run in runs[1:]:
        jobs.wait_until(lambda run=run: "waits for cpu: run run0 of project is on it" in run.status().message)
    assert "1 more in front" in jobs.wait_until(lambda: (m := runs[2].status().message) and "front" in m and m)
    assert [current_status(run).state for run in runs] == ["running", "queued", "queued"]
    for run in runs:
        jobs.go(run)
    ends = [ended(jobs, run) for run in runs]
    begins = [float(jobs.starts(run)[0].split()[0]) for run in runs]
    assert [status.state for status in ends] == ["finished"] * 3
    assert ends[0].ended <= begins[1]
    assert ends[1].ended <= begins[2]


def test_a_queued_run_is_stopped_at_once_and_can_be_started_later(jobs):
    first, second = jobs.running(name="first"), jobs.start(name="second")
    status = control.stop(second, wait_s=20)
    assert status.state == "stopped"
    assert jobs.starts(second) == []
    jobs.go(first)
    jobs.go(second)
    assert ended(jobs, first).state == "finished"
    control.resume(second, worker=jobs.worker("finish"))
    assert ended(jobs, second).state == "finished"


def test_a_queued_run_whose_supervisor_is_killed_is_lost_and_does_not_block_the_queue(jobs):
    first, second, third = (jobs.start(name=name) for name in ("first", "second", "third"))
    jobs.wait_until(lambda: first.status().step and "waits" in second.status().message)
    jobs.kill_supervisor(second)
    assert current_status(second).state == "lost"
    jobs.go(first)
    jobs.go(third)
    assert ended(jobs, third).state == "finished"
    assert jobs.starts(second) == []


def race(count, action):
    """Call `action` in threads at once: how many came through, and the messages of the others."""
    barrier, won, lost = threading.Barrier(count), [], []

    def attempt():
        barrier.wait()
        try:
            action()
            won.append(1)
        except MiaError as error:
            lost.append(str(error))

    threads = [threading.Thread(target=attempt) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(won), lost


def test_five_launches_of_one_run_have_one_winner(jobs):
    run = RunFolder.create(jobs.project.runs_folder, "run", {"kind": "train", "train": {}, "device": "cpu"})
    won, messages = race(5, lambda: launch(run, worker=jobs.worker("finish")))
    assert won == 1
    assert all("being worked on" in message or "started before" in message for message in messages)
    jobs.go(run)
    assert ended(jobs, run).state == "finished"
    assert len(jobs.starts(run)) == 1


def test_racing_resumes_have_one_winner(jobs):
    run = jobs.running()
    jobs.kill_worker(run)
    ended(jobs, run)
    jobs.go(run)  # the winner ends within milliseconds: a late loser must not start it again
    won, messages = race(4, lambda: control.resume(run, worker=jobs.worker("finish")))
    assert won == 1
    assert len(messages) == 3
    assert ended(jobs, run).state == "finished"
    assert len(jobs.starts(run)) == 2
    assert [event["event"] for event in run.events()[0]].count("resume") == 1


def test_a_loser_that_comes_late_does_not_start_a_finished_run_again(jobs):
    """Both checked the run before either took its lock; under the lock it is checked once more."""
    run = jobs.start()
    jobs.go(run)
    ended(jobs, run)
    for resume, reason in ((True, "has finished"), (False, "started before")):
        with pytest.raises(MiaError, match=reason):
            launch(run, resume=resume, worker=jobs.worker("finish"))
    assert len(jobs.starts(run)) == 1
    assert run.status().state == "finished"


def test_a_run_survives_the_death_of_its_terminal(jobs):
    import pexpect

    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from mia_tui.jobs import control\n"
        "from mia_tui.project import Project\n"
        f"run = control.start(Project.load(Path({str(jobs.project.folder)!r})),"
        " {'kind': 'train', 'train': {}, 'device': 'cpu'}, 'run',"
        f" worker={jobs.worker('finish')!r})\n"
        "print('STARTED', flush=True)\n"
        "time.sleep(1000)\n"
    )
    terminal = pexpect.spawn(sys.executable, ["-c", program], timeout=30, env=dict(os.environ))
    terminal.expect("STARTED")
    run = RunFolder(jobs.project.runs_folder / "run")
    jobs.wait_until(lambda: run.status().step >= 3)
    os.close(terminal.child_fd)  # hangs up: SIGHUP to the session on the terminal
    jobs.wait_until(lambda: os.waitpid(terminal.pid, os.WNOHANG)[0] == terminal.pid)
    step = run.status().step
    jobs.wait_until(lambda: run.status().step > step + 3)
    assert current_status(run).state == "running"
    jobs.go(run)
    assert ended(jobs, run).state == "finished"


def test_a_pid_that_was_given_to_another_process_is_not_believed_and_not_killed(jobs):
    run = jobs.running()
    jobs.kill_supervisor(run)
    jobs.kill_worker(run)
    bystander = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        run.update_status(pid=bystander.pid, heartbeat=time.time())
        assert current_status(run).state == "lost"
        assert not process_of(run.status()).send(signal.SIGKILL, group=True)
        with pytest.raises(MiaError, match="lost"):
            control.stop(run)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_remove_refuses_a_live_run_and_deletes_an_ended_one(jobs):
    run = jobs.running()
    with pytest.raises(MiaError, match=r"is running.*Stop it first"):
        control.remove(run)
    control.stop(run, wait_s=20)
    control.remove(run)
    assert list(jobs.project.runs_folder.iterdir()) == []


def test_a_supervisor_that_does_not_begin_is_an_error_and_the_run_says_so(jobs, monkeypatch):
    monkeypatch.setattr("mia_tui.jobs.launch.sys.executable", "/bin/false")
    with pytest.raises(MiaError, match="did not start"):
        jobs.start()
    status = current_status(RunFolder(jobs.project.runs_folder / "run"))
    assert status.state == "failed"
    assert "did not start" in status.message


def test_an_unknown_device_fails_the_run_with_the_choices(jobs):
    run = jobs.start(device="tpu")
    status = ended(jobs, run)
    assert status.state == "failed"
    assert "auto, cpu, cuda" in status.message


@pytest.mark.parametrize("config", [{}, {"kind": "dance", "dance": {}}, {"kind": "train"}])
def test_a_config_that_is_no_request_is_refused(jobs, config):
    with pytest.raises(MiaError, match="kind"):
        control.start(jobs.project, config, "run")
    assert not jobs.project.runs_folder.exists()


def test_the_config_of_a_run_is_complete_and_two_of_one_name_differ(jobs):
    runs = [jobs.start(name="same") for _ in range(2)]
    assert [run.config()["name"] for run in runs] == ["same", "same-2"]
    assert runs[0].config()["project"] == str(jobs.project.folder)
    for run in runs:
        control.stop(run, wait_s=20)


def test_follow_hands_over_every_event_and_the_way_through_the_queue(jobs):
    first, second = jobs.running(name="first"), jobs.start(name="second")
    jobs.wait_until(lambda: "waits" in second.status().message)
    events, states = [], []
    jobs.go(second)

    def on_status(status):
        states.append((status.state, status.message))
        if status.state == "queued":
            jobs.go(first)

    final = follow(second, events.append, on_status=on_status, period_s=0.01)
    assert final.state == "finished"
    assert events == second.events()[0]
    assert events[-1]["event"] == "end"
    assert states[0] == ("queued", "waits for cpu: run first of project is on it")
    assert states[-1] == ("finished", "")


def test_the_supervisor_stays_small(jobs):
    run = jobs.running()
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{jobs.supervisor(run).pid}/status").read_text().splitlines()
    )
    assert int(fields["VmRSS"].split()[0]) < 30_000
    assert fields["Threads"].strip() == "1"


def test_a_queued_run_on_another_host_is_judged_by_its_heartbeat(jobs):
    run = jobs.running()
    jobs.kill_supervisor(run)
    jobs.kill_worker(run)
    there = dataclasses.replace(run.status(), host="elsewhere", heartbeat=time.time() - 30)
    run.write_status(there)
    assert current_status(run).state == "running"
    run.write_status(dataclasses.replace(there, heartbeat=time.time() - 90))
    status = current_status(run)
    assert status.state == "lost"
    assert "elsewhere" in status.message
