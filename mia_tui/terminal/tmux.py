"""What tmux knows about itself and the terminal in front of it. Inside tmux the terminal itself cannot be asked."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

FIELDS = (
    "version", "client_termtype", "client_termname", "client_cell_width", "client_cell_height", "client_termfeatures",
    "sixel_support", "allow-passthrough", "escape-time", "focus-events",
)  # fmt: skip
TIMEOUT_S = 1.0


@dataclass(frozen=True)
class Tmux:
    """tmux around the program.

    Attributes
    ----------
    version : str
        E.g. "3.3a"; "" when tmux did not answer.
    terminal : str
        Name and version of the terminal in front, e.g. "kitty(0.35.2)"; "" when tmux does not know.
    cell : (int, int), optional
        Width and height of that terminal's cell in pixels.
    features : tuple of str
        What tmux uses of that terminal, e.g. "RGB".
    sixel : bool
        Whether tmux itself was built with sixel.
    passthrough : bool
        Whether a program may talk to the terminal in front.
    escape_ms : int, optional
        How long tmux holds back an escape key.
    focus_events : bool
        Whether tmux tells a program that it is seen again.
    """

    version: str = ""
    terminal: str = ""
    cell: tuple[int, int] | None = None
    features: tuple[str, ...] = ()
    sixel: bool = False
    passthrough: bool = False
    escape_ms: int | None = None
    focus_events: bool = False


def ask_tmux(environment: Mapping[str, str]) -> Tmux | None:
    """Ask the tmux this program runs in; None outside of tmux."""
    if not environment.get("TMUX"):
        return None
    pane = ["-t", environment["TMUX_PANE"]] if environment.get("TMUX_PANE") else []
    command = ["tmux", "display-message", "-p", *pane, "\n".join(f"{name}=#{{{name}}}" for name in FIELDS)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return Tmux()
    return read_tmux(done.stdout)


def read_tmux(text: str) -> Tmux:
    """`Tmux` from lines "field=value"."""
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    version = found.get("version", "")
    width, height = _number(found.get("client_cell_width")), _number(found.get("client_cell_height"))
    passthrough = found.get("allow-passthrough", "")
    return Tmux(
        version=version,
        terminal=found.get("client_termtype", "") or found.get("client_termname", ""),
        cell=(width, height) if width and height else None,
        features=tuple(filter(None, found.get("client_termfeatures", "").split(","))),
        sixel=found.get("sixel_support") == "1",
        # before 3.3 there was no such option, and everything was passed
        passthrough=passthrough in ("on", "all", "1", "2") or (not passthrough and _before_3_3(version)),
        escape_ms=_number(found.get("escape-time")),
        focus_events=found.get("focus-events") in ("on", "1"),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _before_3_3(version: str) -> bool:
    match = re.match(r"(\d+)\.(\d+)", version)
    return bool(match) and (int(match[1]), int(match[2])) < (3, 3)  # type: ignore[index]
