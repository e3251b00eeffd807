"""Naming a process for good, and signalling only the process that was meant."""

import json
import os
import signal
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mia_tui.runfolder import Status, boot_id, process_start


@dataclass(frozen=True)
class Process:
    """A process, by what no other process shares: host, boot, pid and start time (clock ticks since boot).

    A pid alone names nobody: after the process has gone the kernel gives it to another one.
    """

    host: str
    boot_id: str
    pid: int
    start: int

    def is_here(self) -> bool:
        """Whether the process was started on this host, since it was last started."""
        return self.host == socket.gethostname() and self.boot_id == boot_id()

    def is_alive(self) -> bool:
        """Whether the process runs on this host. Always False for one of another host: nobody can tell from here."""
        return self.is_here() and process_start(self.pid) == self.start

    def send(self, number: int, *, group: bool = False) -> bool:
        """Send a signal to the process, or to the whole group that it leads. False when it is gone or not ours."""
        if not self.is_here():
            return False
        handle = _pidfd(self.pid)  # from here on the signal cannot reach a process that came later
        try:
            if process_start(self.pid) != self.start:
                return False
            if group and os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            elif handle is not None:
                signal.pidfd_send_signal(handle, number)
            else:
                os.kill(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        finally:
            if handle is not None:
                os.close(handle)
        return True


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:  # gone, or a kernel before 5.3
        return None


def this_process() -> Process:
    """The process that asks."""
    pid = os.getpid()
    return Process(socket.gethostname(), boot_id(), pid, process_start(pid) or 0)


def process_of(status: Status) -> Process | None:
    """The process that wrote the status: the worker, or its supervisor before the worker began."""
    if status.pid is None or status.pid_start is None:
        return None
    return Process(status.host, status.boot_id, status.pid, status.pid_start)


def sign_lock(handle: int, **more: str) -> None:
    """Write into a lock file who holds it, and `more` for people to read. The lock itself is what counts."""
    text = json.dumps({**asdict(this_process()), **more}) + "\n"
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)


def read_signature(path: Path) -> tuple[Process | None, dict[str, Any]]:
    """Who signed a lock file last, and all that it says; (None, {}) when it cannot be read."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        process = Process(str(values["host"]), str(values["boot_id"]), int(values["pid"]), int(values["start"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None, {}
    return process, values
