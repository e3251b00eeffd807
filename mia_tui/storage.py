"""Writing files so that a kill, a crash or a full disk never leaves half of one."""

import itertools
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_serial = itertools.count()


def fsync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`; on a clean exit it replaces `path` in one step (fsync, then rename).

    On an exception `path` stays as it was and the temporary file is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:80]}.{os.getpid()}.{next(_serial)}.tmp")
    try:
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


@contextmanager
def atomic_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Fill a hidden folder beside `path`; on a clean exit it becomes `path` in one step.

    `path` must not exist or be an empty folder (`OSError`), unless `replace`: then what was there is put aside first
    and removed afterwards. On an exception `path` stays as it was and the hidden folder is removed. For what can be
    made again: the files are not forced onto the disk one by one, which for a thousand of them takes longer than
    writing them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, aside = (path.with_name(f".{path.name[:80]}.{os.getpid()}.{next(_serial)}.tmp") for _ in range(2))
    temporary.mkdir()
    try:
        yield temporary
        if replace and path.exists():
            os.replace(path, aside)
        os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if aside.exists() and not path.exists():
            os.replace(aside, path)
        raise
    shutil.rmtree(aside, ignore_errors=True)
    fsync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` with `data` atomically."""
    with atomic_writer(path) as stream:
        stream.write(data)


def write_json(path: Path, value: Any) -> None:
    """Replace `path` with `value` as indented JSON atomically."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())
