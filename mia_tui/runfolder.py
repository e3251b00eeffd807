"""The run folder: one training or prediction as plain files that any process, on any machine, can read.

```
runs/<run id>/config.json    the validated request
              status.json    where it stands now, replaced atomically
              events.jsonl   one line per metric or message, appended by one writer
              log.txt        what the worker printed
              lock           held with flock by the supervisor and the worker; free = nobody is alive
              stop           exists: please checkpoint and end
              checkpoints/   last.pt, best.pt
              preview/       epoch_0001.png ...
```
"""

import dataclasses
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mia_tui.errors import MiaError
from mia_tui.storage import write_json

STATES = ("queued", "starting", "running", "stopping", "stopped", "finished", "failed", "lost")
ENDED = frozenset({"stopped", "finished", "failed", "lost"})
HEARTBEAT_S = 2.0
"""Seconds between two heartbeats of a live worker."""
STALE_S = 60.0
"""A run on another host whose heartbeat is older than this counts as lost."""


@dataclass(frozen=True)
class Status:
    """What `status.json` says. Times are seconds since the epoch; `eta_s` is seconds left."""

    state: str = "queued"
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    heartbeat: float = 0.0
    host: str = ""
    boot_id: str = ""
    pid: int | None = None
    pid_start: int | None = None
    device: str = ""
    epoch: int = 0
    epochs: int | None = None
    step: int = 0
    steps: int | None = None
    eta_s: float | None = None
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None


@dataclass(frozen=True)
class RunFolder:
    """One run's folder. The methods read or write its files; nothing is cached."""

    path: Path

    @classmethod
    def create(cls, runs_folder: Path, name: str, config: dict[str, Any]) -> "RunFolder":
        """Make `runs_folder/<name>` (with a number behind it when taken), state queued."""
        if not name or name != Path(name).name or name.startswith("."):
            raise MiaError(f"{name!r} cannot name a run: use letters, digits, - and _")
        runs_folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, 10_000):
            path = runs_folder / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()
                break
            except FileExistsError:
                continue
        run = cls(path)
        (path / "checkpoints").mkdir()
        (path / "preview").mkdir()
        write_json(path / "config.json", config)
        run.write_status(Status(created=time.time(), heartbeat=time.time(), host=socket.gethostname()))
        return run

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def last_checkpoint(self) -> Path:
        return self.path / "checkpoints" / "last.pt"

    @property
    def best_checkpoint(self) -> Path:
        return self.path / "checkpoints" / "best.pt"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    # ---- request and status -----------------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """The request, as written by `create`."""
        value: dict[str, Any] = json.loads((self.path / "config.json").read_text())
        return value

    def status(self) -> Status:
        """The last status written. It says what the writer knew; `jobs.liveness` tells whether it is still true."""
        try:
            values = json.loads((self.path / "status.json").read_text())
        except FileNotFoundError:
            raise MiaError(f"{self.path} is not a run: it has no status.json") from None
        except json.JSONDecodeError as error:
            raise MiaError(f"{self.path / 'status.json'} is damaged: {error}") from None
        known = {f.name for f in dataclasses.fields(Status)}
        return Status(**{key: value for key, value in values.items() if key in known})

    def write_status(self, status: Status) -> None:
        write_json(self.path / "status.json", dataclasses.asdict(status))

    def update_status(self, **changes: Any) -> Status:
        """Change some fields of the status and write it. Only the run's one writer may call this."""
        status = dataclasses.replace(self.status(), **changes)
        self.write_status(status)
        return status

    # ---- events -----------------------------------------------------------------------------------------------------

    def append_event(self, kind: str, **values: Any) -> None:
        """Append one line to `events.jsonl`: `{"event": kind, "time": ..., **values}`, in one write."""
        line = json.dumps({"event": kind, "time": round(time.time(), 3), **values}, allow_nan=False) + "\n"
        handle = os.open(self.path / "events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def events(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Events from byte `offset` on, and the offset behind the last whole line. Damaged lines are skipped."""
        try:
            with open(self.path / "events.jsonl", "rb") as stream:
                stream.seek(offset)
                data = stream.read()
        except FileNotFoundError:
            return [], offset
        whole = data.rfind(b"\n") + 1
        return list(_parse_lines(data[:whole])), offset + whole

    # ---- stop and lock ----------------------------------------------------------------------------------------------

    def request_stop(self) -> None:
        (self.path / "stop").touch()

    def clear_stop(self) -> None:
        (self.path / "stop").unlink(missing_ok=True)

    @property
    def stop_requested(self) -> bool:
        return (self.path / "stop").exists()

    def acquire_lock(self) -> int | None:
        """Take the run's lock; a file descriptor (inheritable, keep it open), or None when somebody holds it."""
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        os.set_inheritable(handle, True)
        return handle

    def is_locked(self) -> bool:
        """Whether a supervisor or worker of this run is alive on this host."""
        handle = self.acquire_lock()
        if handle is None:
            return True
        os.close(handle)
        return False


def _parse_lines(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def list_runs(runs_folder: Path) -> list[RunFolder]:
    """All runs of a project, newest first."""
    runs = [RunFolder(path.parent) for path in runs_folder.glob("*/status.json")]
    return sorted(runs, key=lambda run: run.status().created, reverse=True)


def new_run_name(stem: str) -> str:
    """A fresh name for a run or model: `<stem>-<month><day>-<hour><minute>-<3 letters>`."""
    return f"{stem}-{time.strftime('%m%d-%H%M')}-{secrets.token_hex(2)[:3]}"


def boot_id() -> str:
    """The kernel's id of this boot, "" where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def process_start(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot (`/proc/<pid>/stat` field 22), None when it is gone.

    Together with the boot id it names a process for good: pids are used again, this pair is not.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])
