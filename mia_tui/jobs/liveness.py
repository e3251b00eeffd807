"""Is a run still alive? Decided from what the kernel knows, never from a bare pid.

In this order: somebody holds the run's lock (alive); on this host, the process that wrote the status still exists
(boot id, pid and start time; alive) or not (lost); on another host, the age of the heartbeat. Reading writes nothing.
"""

import dataclasses
import socket
import time

from mia_tui.errors import MiaError
from mia_tui.jobs.process import process_of
from mia_tui.runfolder import ENDED, STALE_S, RunFolder, Status, boot_id

LAUNCH_S = 10.0
"""A queued run that nobody holds is young, not lost, for this many seconds after it was made: its supervisor starts."""


def current_status(run: RunFolder) -> Status:
    """The status of a run as it is now.

    Other than what the last writer wrote, the state is "lost", with the reason in `message`, when nobody works on the
    run any more, and "stopping" when a live worker has been asked to stop.

    Raises
    ------
    MiaError
        When the folder holds no run or its `status.json` is damaged.
    """
    status = run.status()
    while status.state not in ENDED:
        reason = _loss(run, status)
        latest = run.status()
        if latest == status:  # else it moved while we looked: look again
            if reason is not None:
                return lost(run, status, reason)
            asked = status.state in ("starting", "running") and run.stop_requested
            return dataclasses.replace(status, state="stopping") if asked else status
        status = latest
    return status


def lost(run: RunFolder, status: Status, reason: str) -> Status:
    """The status of a run that ended without anybody writing it down."""
    message = f"{reason}; {resume_hint(run, status)}"
    return dataclasses.replace(status, state="lost", message=message, eta_s=None, ended=status.heartbeat or None)


def resume_hint(run: RunFolder, status: Status) -> str:
    """What can be done with a run that broke off, for the end of a message."""
    if run.last_checkpoint.exists():
        return "the last checkpoint can be resumed"
    if status.started is None:
        return "it had not begun: resume starts it"
    return "it had no checkpoint yet: start a new run"


def _loss(run: RunFolder, status: Status) -> str | None:
    """Why the run counts as lost, None when it is alive (or about to be)."""
    try:
        if run.is_locked():
            return None
    except MiaError:  # no locks on this file system: the process and the heartbeat decide
        pass
    process = process_of(status)
    age = time.time() - status.heartbeat
    if status.host != socket.gethostname():
        return f"no sign of life from {status.host} for {age:.0f} s" if age > STALE_S else None
    if process is None:  # nobody ever took it up
        return "it was never started" if time.time() - status.created > LAUNCH_S else None
    if process.boot_id != boot_id():
        return "the machine was restarted"
    return None if process.is_alive() else "its process was killed"


def resume_problem(run: RunFolder, status: Status, *, extends: bool = False) -> str | None:
    """Why a run with this (current) status cannot be resumed, None when it can.

    A run that never began (stopped or lost in the queue) needs no checkpoint: it is simply started. With `extends` it
    goes on for more epochs than it was asked for, which a finished one can.
    """
    if status.state not in ENDED:
        return f"run {run.id} cannot be resumed: it is {status.state}. Stop it first."
    if status.state == "finished" and not extends:
        return f"run {run.id} cannot be resumed: it has finished. Extend it (more epochs) or start a new run."
    if status.started is not None and not run.last_checkpoint.exists():
        return (
            f"run {run.id} cannot be resumed: it was {status.state} before its first checkpoint "
            f"({run.last_checkpoint} is missing). Start a new run with the same settings."
        )
    return None
