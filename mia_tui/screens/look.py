"""How a person last looked at the images of a project: contrast, gamma, inversion, channels. Kept in `state.json`.

The file is a convenience: when it is missing, damaged or cannot be written, nothing is lost but the look.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mia_tui.storage import write_json

STATE_NAME = "state.json"
MANUAL = "manual"
STEP = 0.04
"""Share of the range from black to white that one key moves an end of it."""

Limits = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class RememberedLook:
    """What is kept per project.

    Attributes
    ----------
    gamma, invert, contrast : float, bool, str
        As the keys change them.
    hidden : dict
        Number of channels of an image -> channels (0-based) that are switched off in such images.
    limits : tuple
        Manual black and white of each channel, empty when they were never set by hand.
    """

    gamma: float = 1.0
    invert: bool = False
    contrast: str = "frame"
    hidden: dict[int, frozenset[int]] = field(default_factory=dict)
    limits: Limits = ()

    def with_hidden(self, channels: int, hidden: frozenset[int]) -> "RememberedLook":
        return replace(self, hidden={**self.hidden, channels: hidden})


def read_look(folder: Path, gammas: Sequence[float], contrasts: Sequence[str]) -> RememberedLook:
    """The look kept in a project folder; what is missing or makes no sense is as it is at first."""
    try:
        data: Any = json.loads((folder / STATE_NAME).read_text(encoding="utf-8"))["look"]
        limits = tuple((float(black), float(white)) for black, white in data.get("limits", ()))
        look = RememberedLook(
            gamma=float(data["gamma"]),
            invert=bool(data["invert"]),
            contrast=str(data["contrast"]),
            hidden={int(n): frozenset(int(c) for c in found) for n, found in data.get("hidden", {}).items()},
            limits=limits if all(black < white for black, white in limits) else (),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return RememberedLook()
    known = look.gamma in gammas and look.contrast in (*contrasts, MANUAL)
    return look if known and (look.contrast != MANUAL or look.limits) else RememberedLook()


def write_look(folder: Path, look: RememberedLook) -> None:
    """Keep a look; other entries of the file stay. A folder that cannot be written to is left as it is."""
    path = folder / STATE_NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        data = {}
    hidden = {str(n): sorted(channels) for n, channels in look.hidden.items() if channels}
    entry = {"gamma": look.gamma, "invert": look.invert, "contrast": look.contrast, "hidden": hidden}
    entry["limits"] = [list(limit) for limit in look.limits]
    try:
        write_json(path, {**(data if isinstance(data, dict) else {}), "look": entry})
    except OSError:
        return


def moved_limits(limits: Sequence[tuple[float, float]], channels: Sequence[int], end: str, step: int) -> Limits:
    """Limits of which one end ("black" or "white") was moved in `channels` by `step` small shares of the range."""
    found = list(limits)
    for channel in channels:
        black, white = found[channel]
        way = step * STEP * (white - black)
        found[channel] = (black + way, white) if end == "black" else (black, white + way)
    return tuple(found)
