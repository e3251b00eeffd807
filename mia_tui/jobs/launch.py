"""Starting a run so that it outlives whoever started it: the terminal, the SSH connection, this process."""

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from mia_tui.errors import MiaError
from mia_tui.jobs.cgroup import cpu_quota
from mia_tui.runfolder import RunFolder

WORKER = (sys.executable, "-P", "-m", "mia_tui.engine.worker")
"""The command that works on a run; the run's folder is put behind it."""
GRACE_S = 30.0
"""How long a worker that was asked to stop may take to write its checkpoint before it is killed."""
DEADLINE_S = 30.0
"""How long a supervisor may take to begin."""


def launch(
    run: RunFolder,
    *,
    device: str | None = None,
    resume: bool = False,
    extends: bool = False,
    worker: Sequence[str] = WORKER,
    grace_s: float = GRACE_S,
    deadline_s: float = DEADLINE_S,
) -> None:
    """Start the supervisor of a run, in a session of its own and with no stream on the terminal.

    Returns once it holds the run's lock; from then on the run is queued or works, whatever happens to this process.

    Parameters
    ----------
    device : str, optional
        "auto", "cpu", "cuda" or "cuda:N"; by default what the run's `config.json` says, else "auto".
    resume : bool
        Go on with a run that ended before its time. False: only a run that was never started.
    extends : bool
        With `resume`: also with one that has finished, because it was given a later end.
    worker : sequence of str
        The command that does the work.
    grace_s : float
        Seconds a worker may take to stop before it is killed.

    Raises
    ------
    MiaError
        When another process works on the run, it cannot be resumed, or the supervisor did not begin in time.
    """
    reader, writer = os.pipe()
    command = [sys.executable, "-P", "-m", "mia_tui.jobs.supervise", str(run.path.resolve())]
    command += ["--ready-fd", str(writer), "--grace", str(grace_s)]
    command += ["--device", device] if device else []
    command += ["--resume"] if resume else []
    command += ["--extends"] if extends else []
    try:
        with open(run.log, "ab") as log:
            supervisor = subprocess.Popen(
                [*command, "--", *worker],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd="/", env=environment(), start_new_session=True, pass_fds=(writer,),
            )  # fmt: skip
    except OSError as error:
        os.close(reader)
        raise MiaError(f"run {run.id} could not be started: {error}") from None
    finally:
        os.close(writer)
    try:
        _await_ready(run, supervisor, reader, deadline_s)
    finally:
        os.close(reader)
        # Waited for in the background, so that it leaves no zombie while this process lives.
        threading.Thread(target=supervisor.wait, daemon=True, name=f"reaper of {run.id}").start()


def _await_ready(run: RunFolder, supervisor: subprocess.Popen[bytes], reader: int, deadline_s: float) -> None:
    """Wait for the supervisor's one line: {} when it holds the lock, else {"error": why}."""
    deadline = time.monotonic() + deadline_s
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        part = os.read(reader, 65536) if ready else b""
        if not part:
            supervisor.kill()
            supervisor.wait()
            reason = "it ended at once" if ready else f"it did not begin within {deadline_s:.0f} s"
            raise MiaError(f"the supervisor of run {run.id} did not start: {reason}. See {run.log}")
        text += part
    error = json.loads(text).get("error")
    if error:
        raise MiaError(error)


def environment() -> dict[str, str]:
    """The environment of supervisor and worker: ours, made fit for a process without a terminal or a network.

    Variables that the user has set are left as they are.
    """
    values = dict(os.environ)
    values.setdefault("HF_HUB_OFFLINE", "1")  # else a look-up of weights hangs 24 s without a network
    values.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks the network at import
    values.setdefault("PYTHONUNBUFFERED", "1")
    quota = cpu_quota()
    cores = len(os.sched_getaffinity(0))
    if quota is not None and quota < cores:  # OpenMP sees the machine's cores, not the container's share
        values.setdefault("OMP_NUM_THREADS", str(max(1, int(quota))))
    if "PYTHONPATH" in values:  # relative entries would mean another folder: we work in /
        values["PYTHONPATH"] = os.pathsep.join(
            os.path.abspath(part) for part in values["PYTHONPATH"].split(os.pathsep) if part
        )
    return values
