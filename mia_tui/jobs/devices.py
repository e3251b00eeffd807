"""The queue of a device: one run at a time, first come first served, without a server.

```
<state folder>/devices/<host>/<device>/lock            held by the run on the device (flock; its text says which run)
                                       <time>-<pid>.wait   one per waiting run, held by its supervisor while it waits
```

Everything rests on locks that the kernel frees when their owner dies; a file that nobody holds counts for nothing.
"""

import functools
import importlib.util
import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from mia_tui.errors import MiaError
from mia_tui.jobs.process import read_signature, sign_lock
from mia_tui.runfolder import is_lock_held, lock_file
from mia_tui.settings import state_folder


@dataclass(frozen=True)
class Place:
    """A run's place in the queue of one device. `handle` is the lock of its ticket."""

    device: str
    folder: Path
    ticket: Path
    handle: int


def enqueue(device: str, run: Path) -> Place:
    """Take a place at the end of the queue of `device`.

    Raises
    ------
    MiaError
        When the state folder cannot be written or has no file locks.
    """
    folder = state_folder() / "devices" / socket.gethostname() / device.replace(":", "_")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            ticket = folder / f"{time.time_ns():020d}-{os.getpid()}.wait"
            handle = lock_file(ticket)
            if handle is not None and ticket.exists():  # else somebody took it for a dead one before it was locked
                break
            if handle is not None:
                os.close(handle)
        sign_lock(handle, run=str(run))
    except OSError as error:
        raise MiaError(
            f"the queue of device {device} cannot be kept in {folder}: {error}. "
            "Set MIA_TUI_STATE to a folder that can be written."
        ) from None
    return Place(device, folder, ticket, handle)


def try_take(place: Place) -> int | None:
    """The device's lock (keep the descriptor open) when it is free and nobody waits in front of us, else None."""
    if waiting_before(place):
        return None
    return lock_file(place.folder / "lock", patience_s=0)


def waiting_before(place: Place) -> int:
    """How many runs wait in front of this place. Tickets of dead ones are cleared away."""
    count = 0
    for ticket in place.folder.glob("*.wait"):
        if ticket.name >= place.ticket.name:
            continue
        if is_lock_held(ticket):
            count += 1
        else:
            ticket.unlink(missing_ok=True)
    return count


def leave(place: Place) -> None:
    """Give up the place; the next one moves up."""
    place.ticket.unlink(missing_ok=True)
    os.close(place.handle)


def waits_for(place: Place) -> str:
    """Why the place is not served yet, for people: the run on the device and how many wait in front."""
    _, signature = read_signature(place.folder / "lock")
    run = Path(str(signature.get("run", "")))
    holder = f"run {run.name} of {run.parent.parent.name} is on it" if run.name else "it is taken"
    before = waiting_before(place)
    return f"waits for {place.device}: {holder}" + (f", {before} more in front" if before else "")


# ---- which device ---------------------------------------------------------------------------------------------------


def candidates(device: str) -> list[str]:
    """The devices that a request means: "auto" is every GPU, or the CPU where there is none; "cuda" is "cuda:0".

    Raises
    ------
    MiaError
        For a name that is no device, or a GPU that is not there.
    """
    if device == "cpu":
        return ["cpu"]
    if device == "auto":
        return [f"cuda:{number}" for number in range(visible_gpus())] or ["cpu"]
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if match is None:
        raise MiaError(f"unknown device {device!r}: give auto, cpu, cuda or cuda:N")
    number, count = int(match[1] or 0), visible_gpus()
    if number >= count:
        raise MiaError(f"device {device} is not there: this machine offers {count} CUDA GPUs to us. Use cpu or auto.")
    return [f"cuda:{number}"]


@functools.cache
def visible_gpus() -> int:
    """How many CUDA GPUs a worker would see, found without torch: the driver's list, cut by CUDA_VISIBLE_DEVICES.

    0 when the installed torch was built without CUDA.
    """
    if not torch_has_cuda():
        return 0
    count = _driver_gpus()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return count
    names = [name.strip() for name in chosen.split(",")]
    usable = 0
    for name in names:  # CUDA stops at the first name it cannot use
        if not name or (name.lstrip("-").isdigit() and not 0 <= int(name) < count):
            break
        usable += 1
    return min(usable, count) if not any(name.startswith("MIG-") for name in names) else usable


def _driver_gpus() -> int:
    try:
        text = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL, check=True
        ).stdout
        return len(re.findall(r"^GPU \d+:", text, re.MULTILINE))
    except (OSError, subprocess.SubprocessError):
        return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def torch_has_cuda() -> bool:
    """Whether the installed torch was built for CUDA, read from its `version.py` (importing it takes seconds)."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    try:
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return False
    return re.search(r"^cuda\b[^=\n]*=\s*['\"]", text, re.MULTILINE) is not None
