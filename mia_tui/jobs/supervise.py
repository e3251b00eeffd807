"""The supervisor of one run: `python -m mia_tui.jobs.supervise RUN_DIR [options] -- WORKER...`.

A small process in a session of its own, free of torch. It holds the run's lock, waits for the device, starts the
worker, passes on requests to stop and writes down how the worker ended. The worker inherits both locks: when the
supervisor alone is killed, the run goes on and is still seen as alive.

Only one process writes the status at a time: the supervisor before the worker starts and after it has ended, the
worker in between.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mia_tui.errors import MiaError
from mia_tui.jobs import devices
from mia_tui.jobs.cgroup import oom_kills
from mia_tui.jobs.liveness import lost, resume_hint, resume_problem
from mia_tui.jobs.process import sign_lock, this_process
from mia_tui.runfolder import ENDED, RunFolder, Status

TICK_S = 0.2
"""Seconds between two looks at the device's lock and the `stop` file."""
BEAT_S = 15.0
"""Seconds between two heartbeats of a run that waits for its device."""
OOM_SCORE = 500
"""Added to the worker's badness, so that the kernel, short of memory, takes it and not the user's terminal."""
DEVICE_OOM = 42
"""Exit code of a worker whose device ran out of memory."""
NOISE = ("nanobind: ", " - leaked ")
"""Beginnings of lines that torch's triton prints at exit; they are never the reason of a failure."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Supervise one run to its end. Returns 0 when it was taken up, 1 when it could not be."""
    parser = argparse.ArgumentParser(prog="mia_tui.jobs.supervise")
    parser.add_argument("run")
    parser.add_argument("worker", nargs="+")
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--grace", type=float, required=True)
    parser.add_argument("--device")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--extends", action="store_true")
    options = parser.parse_args(arguments)
    run = RunFolder(Path(options.run))
    wake = Wake()
    try:
        lock = claim(run, resume=options.resume, extends=options.extends)
    except (MiaError, OSError) as error:
        _answer(options.ready_fd, {"error": str(error)})
        return 1
    _answer(options.ready_fd, {})
    try:
        _supervise(run, lock, wake, options)
    except MiaError as error:
        _finish(run, {"state": "failed", "message": str(error)})
    except BaseException as error:
        traceback.print_exc()
        _finish(run, {"state": "failed", "message": f"the supervisor failed ({error!r}); see {run.log}"})
        raise
    return 0


def _answer(handle: int, value: dict[str, str]) -> None:
    with contextlib.suppress(BrokenPipeError):  # whoever started us is gone; the run goes on
        os.write(handle, json.dumps(value).encode() + b"\n")
    os.close(handle)


class Wake:
    """Signals turned into data. SIGTERM and SIGINT ask to stop; the end of the worker only wakes us."""

    def __init__(self) -> None:
        self.stopping = False
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def wait(self, seconds: float) -> None:
        """Sleep until a signal comes, at most so long."""
        if select.select([self._reader], [], [], seconds)[0]:
            os.read(self._reader, 4096)


# ---- taking up the run ----------------------------------------------------------------------------------------------


def claim(run: RunFolder, *, resume: bool, extends: bool = False) -> int:
    """Take the run's lock and put the run into the queue: the lock's file descriptor.

    All is checked again under the lock: of several who start or resume the same run, one does.

    Raises
    ------
    MiaError
        When somebody holds the run, or it is not in a state to be started or resumed.
    """
    lock = run.acquire_lock()
    if lock is None:
        raise MiaError(f"run {run.id} is already being worked on")
    status = run.status()
    if resume:
        if status.state not in ENDED:  # we hold the lock, so nobody works on it
            status = lost(run, status, "it was left alone")
        problem = resume_problem(run, status, extends=extends)
        if problem:
            raise MiaError(problem)
        run.clear_stop()
        run.append_event("resume", state=status.state, epoch=status.epoch, step=status.step)
    elif status.state != "queued" or status.pid is not None:
        raise MiaError(f"run {run.id} was started before (it is {status.state}): resume it, or start a new run")
    us = this_process()
    sign_lock(lock)
    run.write_status(
        dataclasses.replace(
            status, state="queued", message="", eta_s=None, ended=None, exit_code=None, signal=None,
            heartbeat=time.time(), host=us.host, boot_id=us.boot_id, pid=us.pid, pid_start=us.start,
        )
    )  # fmt: skip
    return lock


def _supervise(run: RunFolder, lock: int, wake: Wake, options: argparse.Namespace) -> None:
    taken = _wait_for_device(run, wake, options.device or requested_device(run.config()))
    if taken is None:
        _finish(run, {"state": "stopped", "message": "stopped while it waited for its device"})
        return
    device, device_lock = taken
    sign_lock(device_lock, run=str(run.path))
    now = time.time()
    run.update_status(state="starting", device=device, message="", started=run.status().started or now, heartbeat=now)
    end = run_worker(run, options.worker, (lock, device_lock), wake, options.grace)
    status = run.status()
    _finish(run, conclusion(status, end, resume_hint(run, status)))


def requested_device(config: dict[str, Any]) -> str:
    """The device that a run's config asks for: its own entry, else that of its settings, else "auto"."""
    settings = config.get(str(config.get("kind")))
    nested = settings.get("device") if isinstance(settings, dict) else None
    return str(config.get("device") or nested or "auto")


def _wait_for_device(run: RunFolder, wake: Wake, wanted: str) -> tuple[str, int] | None:
    """Queue for the first free one of the devices wanted: (name, lock), None when asked to stop meanwhile."""
    places = [devices.enqueue(device, run.path) for device in devices.candidates(wanted)]
    said, beat = "", time.monotonic()
    try:
        while not (wake.stopping or run.stop_requested):
            for place in places:
                lock = devices.try_take(place)
                if lock is not None:
                    return place.device, lock
            message = devices.waits_for(places[0])
            if message != said or time.monotonic() - beat > BEAT_S:
                run.update_status(message=message, heartbeat=time.time())
                said, beat = message, time.monotonic()
            wake.wait(TICK_S)
    finally:
        for place in places:
            devices.leave(place)
    return None


# ---- the worker -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WorkerEnd:
    """How a worker ended. `code` as of `subprocess`: negative = killed by that signal."""

    code: int
    stop_asked: bool
    killed_by_us: bool
    out_of_memory: bool
    last_lines: tuple[str, ...]


def run_worker(run: RunFolder, command: Sequence[str], locks: tuple[int, ...], wake: Wake, grace_s: float) -> WorkerEnd:
    """Start the worker with the locks in its hands, wait for its end, and see to it that it stops when asked.

    It leads a process group of its own: what it leaves behind (loader processes) is killed with the group.

    Raises
    ------
    MiaError
        When it cannot be started.
    """
    kills = oom_kills()
    with open(run.log, "ab") as log:
        begin = log.seek(0, os.SEEK_END)
        try:
            worker = subprocess.Popen(
                [*command, str(run.path)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", pass_fds=locks, process_group=0,
            )  # fmt: skip
        except OSError as error:
            raise MiaError(f"the worker of run {run.id} could not be started: {error}") from None
    _offer_to_oom_killer(worker.pid)
    stop_asked, killed = _wait_for_worker(run, worker.pid, wake, grace_s)
    code = worker.wait()
    more = oom_kills()
    return WorkerEnd(
        code=code,
        stop_asked=stop_asked,
        killed_by_us=killed,
        out_of_memory=kills is not None and more is not None and more > kills,
        last_lines=tuple(last_lines(run, begin)),
    )


def _wait_for_worker(run: RunFolder, pid: int, wake: Wake, grace_s: float) -> tuple[bool, bool]:
    """Wait until the worker has ended, without reaping it. (a stop was asked for, it had to be killed)."""
    deadline, killed = None, False
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if deadline is None and (wake.stopping or run.stop_requested):
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + grace_s
        elif deadline is not None and not killed and time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            killed = True
        wake.wait(TICK_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)  # its children; as long as it is not reaped the group's number is its own
    return deadline is not None, killed


def _offer_to_oom_killer(pid: int) -> None:
    # It may have ended already, or the kernel does not let us: no reason to end the run.
    with contextlib.suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w") as stream:
        stream.write(str(OOM_SCORE))


def last_lines(run: RunFolder, begin: int = 0, count: int = 5) -> list[str]:
    """The last lines in the run's log that say something, from byte `begin` on."""
    with open(run.log, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(begin, size - 8192))
        text = stream.read().decode(errors="replace")
    lines = [line.rstrip() for line in text.splitlines()]
    return [line for line in lines if line.strip() and not line.startswith(NOISE)][-count:]


# ---- how it ended ---------------------------------------------------------------------------------------------------


def conclusion(status: Status, end: WorkerEnd, hint: str) -> dict[str, Any]:
    """The changes to the status that say how a run ended.

    Parameters
    ----------
    status : Status
        As the worker left it. What the worker wrote about its end counts, also when it crashed after that.
    hint : str
        What can be done with a run that broke off.
    """
    codes = {"exit_code": end.code} if end.code >= 0 else {"signal": -end.code}
    if status.state in ("stopped", "finished"):
        return {"state": status.state, **codes}
    if status.state == "failed" and status.message:
        return {"state": "failed", **codes}
    if end.code >= 0:
        return {"state": "failed", "message": _failure(end), **codes}
    name = _signal_name(-end.code)
    if end.killed_by_us:
        return {"state": "stopped", "message": f"did not stop in time and was killed; {hint}", **codes}
    if end.stop_asked:
        return {"state": "stopped", "message": f"stopped by {name} before it could save; {hint}", **codes}
    reason = "out of memory (host)" if end.out_of_memory else f"the worker was killed by {name}"
    return {"state": "lost", "message": f"{reason}; {hint}", **codes}


def _failure(end: WorkerEnd) -> str:
    if end.code == DEVICE_OOM:
        return "out of memory (device): use smaller patches or batches"
    if end.code == 0:
        return "the worker ended without a result"
    note = "; the kernel killed a process of the run: out of memory (host)" if end.out_of_memory else ""
    return (end.last_lines[-1] if end.last_lines else f"the worker ended with code {end.code}") + note


def _signal_name(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} ({number})"
    except ValueError:
        return f"signal {number}"


def _finish(run: RunFolder, changes: dict[str, Any]) -> None:
    """Write the end into the status and, unless the worker did, into the events."""
    status = run.update_status(**{"ended": time.time(), "heartbeat": time.time(), "eta_s": None, **changes})
    path = run.path / "events.jsonl"
    events, _ = run.events(max(0, path.stat().st_size - 4096)) if path.exists() else ([], 0)
    if not events or events[-1].get("event") != "end":
        run.append_event("end", state=status.state, message=status.message)


if __name__ == "__main__":
    sys.exit(main())
