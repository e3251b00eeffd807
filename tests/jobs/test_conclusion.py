"""How the end of a worker is told: by what it wrote, its exit code, its signal and the kernel's counters."""

import signal
import sys
from pathlib import Path

import pytest

from mia_tui.jobs import supervise
from mia_tui.jobs.cgroup import cpu_quota, oom_kills
from mia_tui.jobs.supervise import WorkerEnd, conclusion, last_lines, requested_device
from mia_tui.runfolder import RunFolder, Status


def end(code, **changes):
    values = {"stop_asked": False, "killed_by_us": False, "out_of_memory": False, "last_lines": (), **changes}
    return WorkerEnd(code=code, **values)


def test_an_oom_kill_is_named_and_points_to_the_checkpoint():
    changes = conclusion(Status(state="running"), end(-9, out_of_memory=True), "the last checkpoint can be resumed")
    assert changes["state"] == "lost"
    assert changes["signal"] == 9
    assert changes["message"] == "out of memory (host); the last checkpoint can be resumed"


def test_a_failure_next_to_an_oom_kill_mentions_it():
    lines = ("RuntimeError: DataLoader worker (pid 7) is killed by signal: Killed.",)
    changes = conclusion(Status(state="running"), end(1, out_of_memory=True, last_lines=lines), "")
    assert changes["message"].startswith(lines[0])
    assert "out of memory (host)" in changes["message"]


def test_a_worker_that_dies_of_the_stop_signal_is_stopped_not_lost():
    changes = conclusion(Status(state="starting"), end(-15, stop_asked=True), "it had no checkpoint yet")
    assert changes["state"] == "stopped"
    assert "SIGTERM" in changes["message"]


def test_what_the_worker_wrote_counts():
    assert conclusion(Status(state="failed", message="no images"), end(1, last_lines=("noise",)), "") == {
        "state": "failed", "exit_code": 1
    }  # fmt: skip


def test_the_last_lines_leave_out_the_noise_of_triton_and_earlier_attempts(tmp_path):
    run = RunFolder.create(tmp_path, "run", {})
    run.log.write_bytes(b"ValueError: an earlier attempt\n")
    begin = run.log.stat().st_size
    with open(run.log, "ab") as stream:
        stream.write(b'Traceback\nValueError: bad \xff image\n\nnanobind: leaked 2 types!\n - leaked type "x"\n')
    assert last_lines(run, begin) == ["Traceback", "ValueError: bad � image"]


def test_the_out_of_memory_counter_is_compared_before_and_after(tmp_path, monkeypatch):
    counts = iter([3, 4])
    monkeypatch.setattr(supervise, "oom_kills", lambda: next(counts))
    run = RunFolder.create(tmp_path, "run", {})
    program = tmp_path / "dies.py"
    program.write_text(f"import os\nos.kill(os.getpid(), {signal.SIGKILL.value})\n")
    handlers = {number: signal.getsignal(number) for number in (1, 2, 15, 17)}
    try:
        found = supervise.run_worker(run, [sys.executable, str(program)], (), supervise.Wake(), 1.0)
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert (found.code, found.out_of_memory, found.stop_asked) == (-9, True, False)


def tree(root: Path, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_kernel_counters_of_both_versions_of_cgroups(tmp_path):
    two = tree(tmp_path / "v2", {
        "user/job/memory.events": "low 0\nhigh 0\nmax 12\noom 2\noom_kill 2\noom_group_kill 0\n",
        "user/job/cpu.max": "max 100000\n",
        "user/cpu.max": "150000 100000\n",
    })  # fmt: skip
    assert oom_kills(two, "0::/user/job\n") == 2
    assert cpu_quota(two, "0::/user/job\n") == 1.5
    one = tree(tmp_path / "v1", {
        "memory/a/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
        "cpu,cpuacct/a/cpu.cfs_quota_us": "200000\n",
        "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
    })  # fmt: skip
    membership = "5:memory:/a\n4:cpu,cpuacct:/a\n0::/\n"
    assert oom_kills(one, membership) == 5
    assert cpu_quota(one, membership) == 2.0
    hidden = tree(tmp_path / "namespace", {"memory.events": "oom_kill 1\n"})  # a container that sees only its own top
    assert oom_kills(hidden, "0::/machine/elsewhere\n") == 1


def test_no_counters_is_no_answer(tmp_path):
    assert oom_kills(tmp_path, "0::/x\n") is None
    assert cpu_quota(tmp_path, "") is None


@pytest.mark.parametrize(
    ("config", "device"),
    [
        ({"kind": "train", "device": "cpu", "train": {"device": "cuda"}}, "cpu"),
        ({"kind": "train", "train": {"device": "cuda:1"}}, "cuda:1"),
        ({"kind": "predict", "predict": {}}, "auto"),
    ],
)
def test_the_device_asked_for(config, device):
    assert requested_device(config) == device
