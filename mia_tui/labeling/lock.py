"""One process edits a frame at a time: flock on `<frame>.lock`; the owner removes it, the kernel frees it at death."""

import fcntl
import glob
import os
from pathlib import Path

from mia_tui.errors import MiaError


class LockedError(MiaError):
    """Somebody else is editing the frame."""


class UnlockableError(MiaError):
    """Nothing may be written there, or the file system has no locks: the frame can only be viewed."""


def take_lock(path: Path) -> int:
    """Take the lock of a frame, given the path of its label file; a handle for `release_lock`.

    Raises
    ------
    LockedError
        When somebody holds it.
    UnlockableError
        When the file system has no locks, or nothing may be written there.
    """
    lock = path.with_suffix(".lock")
    try:
        attempts = 0
        while True:
            lock.parent.mkdir(parents=True, exist_ok=True)
            left_behind = lock.exists()
            try:
                handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # another window has just taken the empty folder away
                attempts += 1
                if attempts == 100:
                    raise
                continue
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same_file(handle, lock):
                    if left_behind:
                        _remove_unfinished(path)
                    return handle
            except OSError:
                os.close(handle)
                raise
            os.close(handle)
    except BlockingIOError:
        raise LockedError(
            f"{path} is being edited by another window or program. Close it there, or open the frame for viewing."
        ) from None
    except OSError as error:
        raise UnlockableError(
            f"{lock} cannot be locked: {error.strerror}. Editing needs write access and a file system with flock."
        ) from None


def _same_file(handle: int, path: Path) -> bool:
    """Whether the file behind an open handle is still the one at `path` (its last owner removes it)."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _remove_unfinished(path: Path) -> None:
    """Take away the temporary files of a writer that was killed. Only under the lock."""
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        temporary.unlink(missing_ok=True)


def release_lock(path: Path, handle: int) -> None:
    """Give the lock back and take its file away."""
    path.with_suffix(".lock").unlink(missing_ok=True)
    os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether somebody is editing the frame of this label file (or had its lock when asked). Creates nothing."""
    try:
        handle = os.open(path.with_suffix(".lock"), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
