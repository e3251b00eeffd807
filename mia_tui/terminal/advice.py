"""What was found out about the terminal, in words, with what a person can do about it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mia_tui.terminal.record import Capabilities
from mia_tui.terminal.tmux import Tmux

Line = tuple[str, str]
"""A heading ("" for more of the one before) and a sentence."""
SLOW_S = 0.05


def describe(record: Capabilities, window: tuple[int, int, int, int] = (0, 0, 0, 0)) -> list[Line]:
    """The record as lines for a person; `window` is columns, rows and pixels of the terminal."""
    lines = [("terminal", _terminal(record, window)), ("pictures", f"{record.painter}: {record.why}")]
    lines += [("", f"not {painter}: {reason}") for painter, reason in record.others]
    colors = {"truecolor": "16 million", "256": "256", "16": "16", "none": "none"}[record.colors]
    lines.append(("colours", colors))
    lines.append(("characters", f"blocks up to {record.glyphs}" if record.glyphs != "ascii" else "ASCII only"))
    if record.asked:
        lines.append(("updates", "shown as a whole" if record.synchronized else "may be seen half drawn"))
        lines.append(("mouse", "to the pixel" if record.pixel_mouse else "to the cell"))
    return lines


def _terminal(record: Capabilities, window: tuple[int, int, int, int]) -> str:
    parts = [record.program or "unknown"]
    if record.tmux is not None:
        parts.append(f"behind tmux {record.tmux.version}".rstrip())
    if window[0]:
        parts.append(f"{window[0]} x {window[1]} cells")
    if record.cell_known:
        parts.append(f"{record.cell[0]} x {record.cell[1]} pixels each")
    if record.ssh:
        parts.append("over SSH")
    if record.round_trip_s is not None:
        parts.append(f"answered in {1000 * record.round_trip_s:.0f} ms")
    elif record.asked:
        parts.append("did not answer")
    return ", ".join(parts)


def hints(record: Capabilities) -> list[str]:
    """What would make things better."""
    found = []
    slow = record.round_trip_s is not None and record.round_trip_s > SLOW_S
    if record.ssh and record.painter in ("cells", "ascii"):
        found.append("over a slow line connect with ssh -C: pictures in cells become 9 to 18 times smaller")
    elif record.ssh and slow:
        found.append("the line is slow; --graphics cells with ssh -C needs the fewest bytes per picture")
    if record.asked and record.round_trip_s is None:
        found.append("the terminal is silent: --graphics cells starts without waiting for it")
    if record.colors == "256":
        found.append("for 16 million colours set COLORTERM=truecolor if the terminal has them")
    if record.tmux is not None and (settings := tmux_settings(record.tmux)):
        found.append(f"in tmux {len(settings)} settings would help: put the lines below into ~/.tmux.conf")
    return found


def tmux_settings(tmux: Tmux) -> list[str]:
    """Lines for `~/.tmux.conf` that are missing."""
    lines = []
    graphics = tmux.terminal.lower().startswith(("kitty", "ghostty", "xterm-kitty", "xterm-ghostty"))
    if graphics and not tmux.passthrough:
        lines.append("set -g allow-passthrough on            # lets pictures through to the terminal")
    if "RGB" not in tmux.features:
        lines.append("set -as terminal-features ',*:RGB'     # 16 million colours")
    if tmux.escape_ms is None or tmux.escape_ms > 50:
        lines.append("set -sg escape-time 10                 # the escape key works at once")
    if not tmux.focus_events:
        lines.append("set -g focus-events on                 # pictures come back after another window")
    return lines


def as_dict(record: Capabilities) -> dict[str, Any]:
    """The record for programs."""
    found = asdict(record)
    found["others"] = dict(record.others)
    found["hints"] = hints(record)
    found["tmux_conf"] = tmux_settings(record.tmux) if record.tmux is not None else []
    return found


def table(lines: Sequence[Line]) -> str:
    """Lines with their headings in a column."""
    return "\n".join(f"{heading:12}{text}".rstrip() for heading, text in lines)
