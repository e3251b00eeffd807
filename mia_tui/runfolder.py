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
import errno
import fcntl
import json
import os
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
        return _read_object(self.path / "config.json")

    def status(self) -> Status:
        """The last status written. It says what the writer knew; `jobs.liveness` tells whether it is still true."""
        values = _read_object(self.path / "status.json")
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
        """Append one line to `events.jsonl`: `{"event": kind, "time": ..., **values}`, in one write.

        A line that a killed writer left unfinished is closed first, so that it cannot swallow this one.
        """
        line = json.dumps({"event": kind, "time": round(time.time(), 3), **values}, allow_nan=False) + "\n"
        handle = os.open(self.path / "events.jsonl", os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            os.write(handle, ("\n" + line if torn else line).encode())
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

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    def acquire_lock(self) -> int | None:
        """Take the run's lock; a file descriptor (inheritable, keep it open), or None when somebody holds it."""
        handle = lock_file(self.lock)
        if handle is not None:
            os.set_inheritable(handle, True)
        return handle

    def is_locked(self) -> bool:
        """Whether a supervisor or worker of this run is alive on this host. Writes nothing."""
        return is_lock_held(self.lock)


# ---- locks ----------------------------------------------------------------------------------------------------------

LOCK_PATIENCE_S = 0.5
"""How long `lock_file` insists: somebody who only looks (`is_lock_held`) holds the lock for some microseconds."""


def lock_file(path: Path, patience_s: float = LOCK_PATIENCE_S) -> int | None:
    """Lock `path` with flock (it is made when missing): a file descriptor to keep open, None when somebody holds it.

    The kernel frees the lock when the last copy of the descriptor closes, however its owners died.

    Raises
    ------
    MiaError
        When the file system cannot lock files.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    deadline = time.monotonic() + patience_s
    locked = False
    try:
        while not (locked := _flock(handle, fcntl.LOCK_EX, path)) and time.monotonic() < deadline:
            time.sleep(0.002)
    finally:
        if not locked:
            os.close(handle)
    return handle if locked else None


def is_lock_held(path: Path) -> bool:
    """Whether somebody holds the lock of `path`. Writes nothing; a file that is missing is not locked.

    Raises
    ------
    MiaError
        When the file system cannot lock files.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _flock(handle, fcntl.LOCK_SH, path)  # shared: two who look at once do not see each other
    finally:
        os.close(handle)


def _flock(handle: int, operation: int, path: Path) -> bool:
    try:
        fcntl.flock(handle, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        raise MiaError(
            f"{path} cannot be locked: its file system has no file locks ({error.strerror}). "
            "Mount it with flock, or use a folder on another disk."
        ) from None
    return True


# ---- reading --------------------------------------------------------------------------------------------------------


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MiaError(f"{path.parent} is not a run: it has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise MiaError(f"{path} is damaged: {error}") from None
    if not isinstance(value, dict):
        raise MiaError(f"{path} is damaged: it holds no object")
    return value


def _parse_lines(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def list_runs(runs_folder: Path) -> list[RunFolder]:
    """All runs of a project, newest first. One with a damaged `status.json` stands at its file's time."""
    found = []
    for path in runs_folder.glob("*/status.json"):
        if path.parent.name.startswith("."):  # being removed
            continue
        try:
            found.append((_created(path), RunFolder(path.parent)))
        except FileNotFoundError:  # removed since
            continue
    return [run for _, run in sorted(found, key=lambda pair: pair[0], reverse=True)]


def _created(path: Path) -> float:
    try:
        return float(_read_object(path)["created"])
    except (MiaError, KeyError, TypeError, ValueError):
        return path.stat().st_mtime


def new_run_name(stem: str) -> str:
    """A fresh name for a run or model: `<stem>-<month><day>-<hour><minute>-<3 hex digits>`."""
    return f"{stem}-{time.strftime('%m%d-%H%M')}-{os.urandom(2).hex()[:3]}"


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
