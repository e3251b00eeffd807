"""What the control groups of the kernel say about us: processes killed for want of memory, and our share of the CPU."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def oom_kills(root: Path = ROOT, membership: str | None = None) -> int | None:
    """How many processes of our control group the kernel has killed for want of memory, None when it does not say.

    Counts every kind of out-of-memory kill (kernel documentation, `memory.events` and `memory.oom_control`), also by
    the limit of a container or of the machine.
    """
    for folder in _folders("memory", root, _membership(membership)):
        for name in ("memory.events", "memory.oom_control"):
            if (value := _entry(folder / name, "oom_kill")) is not None:
                return value
    return None


def cpu_quota(root: Path = ROOT, membership: str | None = None) -> float | None:
    """CPUs that our control group may use at most (a container's limit), None when it has no limit."""
    limits = []
    for folder in _folders("cpu", root, _membership(membership)):
        words = _text(folder / "cpu.max").split()
        words = words or [*_text(folder / "cpu.cfs_quota_us").split(), *_text(folder / "cpu.cfs_period_us").split()]
        if len(words) == 2 and words[0].isdigit() and int(words[1]) > 0:
            limits.append(int(words[0]) / int(words[1]))
    return min(limits, default=None)


def _folders(controller: str, root: Path, membership: str) -> Iterator[Path]:
    """Our folder of a controller and those above it, up to the root. Version 1 before version 2."""
    places = {}
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            places[1] = (root / controllers if (root / controllers).is_dir() else root / controller, path)
        elif not controllers:
            places[2] = (root, path)
    for version in sorted(places):
        top, path = places[version]
        folder = top / path.lstrip("/")
        yield from (place for place in (folder, *folder.parents) if place.is_relative_to(top))


def _membership(text: str | None) -> str:
    return _text(Path("/proc/self/cgroup")) if text is None else text


def _entry(path: Path, name: str) -> int | None:
    pairs = (line.split() for line in _text(path).splitlines())
    return next((int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == name), None)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
