"""How times, numbers, paths and run states are written, the same on every screen."""

from pathlib import Path

STATE_MARKS = {
    "queued": ("…", "text-muted"),
    "starting": ("…", "text-primary"),
    "running": ("▶", "text-primary"),
    "stopping": ("■", "text-warning"),
    "stopped": ("■", "text-warning"),
    "finished": ("✓", "text-success"),
    "failed": ("✗", "text-error"),
    "lost": ("?", "text-error"),
}
"""Run state -> (glyph, theme colour); the word always stands beside the glyph."""


def age(seconds: float) -> str:
    """How long ago, in the largest unit that fits: "now", "5 min", "3 h", "2 d"."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "now"


def duration(seconds: float | None) -> str:
    """A span as `0:42`, `12:05` or `3:07:00` (hours:minutes:seconds); "–" for None."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def counted(number: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def short_path(path: Path) -> str:
    """`path` with the home folder written as `~`."""
    home, text = str(Path.home()), str(path)
    return "~" + text[len(home) :] if text == home or text.startswith(home + "/") else text
