"""Lineage trees: lives as horizontal lines over time, divisions as vertical ones; on a page and in characters."""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from mia_tui.analysis.figure import Axis, Curve, Figure, Label
from mia_tui.analysis.figure_text import AXIS, TEXT, Cell, Grid
from mia_tui.analysis.motion_plots import Shown, class_groups, counted
from mia_tui.analysis.motion_results import Motion
from mia_tui.analysis.scales import Scale, ticks
from mia_tui.tracking.lineage import LOST, Life, families

MOST_ROWS = 150
"""Lines of a tree on a page; of more, the largest families are drawn."""
_ROW = 13
"""Height of a line on the page."""


def lineage(motion: Motion, shown: Shown) -> Figure:
    """The families of a sequence, largest first; a dot ends a track that was lost."""
    lives, chosen, notes = _fitting(motion.lives, MOST_ROWS, leaves=True)
    heights, rows = _heights(lives, chosen)
    interval = motion.units.interval

    def time(frame: int) -> float:
        return float(shown.times(frame * interval))

    lines: dict[str, list[tuple[float, float]]] = {group.name: [] for group in class_groups(motion)}
    labels = []
    for track, height in heights.items():
        life = lives[track]
        begin = life.first if life.birth is None else life.birth
        end = life.last if life.division is None else life.division
        own = lines[motion.classes[track]]
        own += [(time(begin), height), (time(end), height), (np.nan, np.nan)]
        below = [heights[daughter] for daughter in life.daughters]
        if below:
            own += [(time(end), min(below)), (time(end), max(below)), (np.nan, np.nan)]
            labels.append(Label(time(begin), height, str(track), shift=(3, -2)))
        else:
            labels.append(Label(time(end), height, str(track), shift=(5, 3.5)))
    lost = [t for t in heights if lives[t].fate == LOST]
    drawn = {name: np.array(points) for name, points in lines.items() if points}
    curves = [Curve(points[:, 0], points[:, 1], shown.colors[name], name) for name, points in drawn.items()]
    dots = np.array([(time(lives[t].last), heights[t]) for t in lost]).reshape(-1, 2)
    ends = (Curve(dots[:, 0], dots[:, 1], "#444444", "lost", "dots"),) if lost else ()
    last = max(motion.tracks.frames - 1, 1)
    return Figure(
        "Lineage",
        Axis(f"time ({shown.time})", limits=(time(0), time(last) * 1.06)),
        Axis("", down=True, shown=False, limits=(-0.8, max(rows - 0.2, 0.2))),
        (*curves, *ends),
        tuple(labels),
        notes=notes,
        size=(640, 130 + _ROW * max(rows, 2) + 16 * len(notes)),
    )


Lives = dict[int, Life]


def _fitting(found: Lives, most: int, *, leaves: bool) -> tuple[Lives, list[list[int]], tuple[str, ...]]:
    """What of the families fits into `most` lines (of tracks, or of `leaves`): lives, families, and what is left out.

    Large families come first. When already the first is too large, only its first generations are drawn.
    """
    listed = families(found)
    if not listed:
        return found, [], ()
    generations = max(found[track].generation for track in listed[0])
    drawn = next((g for g in range(generations, -1, -1) if len(_lines(found, listed[0], leaves, g)) <= most), 0)
    notes = []
    if drawn < generations:
        notes = [f"drawn: generations 0 to {drawn} of {generations} of the largest family"]
        found = found | {t: replace(found[t], daughters=()) for t in listed[0] if found[t].generation == drawn}
        listed[0] = [track for track in listed[0] if found[track].generation <= drawn]
    chosen: list[list[int]] = []
    used = 0
    for family in listed:
        lines = len(_lines(found, family, leaves))
        if not chosen or used + lines <= most:
            chosen.append(family)
            used += lines
    left = len(listed) - len(chosen)
    if left:
        tracks = sum(map(len, listed)) - sum(map(len, chosen))
        notes.append(f"not drawn: {left} more of {len(listed)} families, with {counted(tracks, 'track')}")
    return found, chosen, tuple(notes)


def _lines(found: Lives, family: list[int], leaves: bool, last: int | None = None) -> list[int]:
    """The tracks of a family up to a generation that have a line of their own."""
    kept = family if last is None else [track for track in family if found[track].generation <= last]
    return [t for t in kept if not (leaves and found[t].daughters and found[t].generation != last)]


def _heights(lives: Lives, chosen: Iterable[list[int]]) -> tuple[dict[int, float], int]:
    """Where every track lies, from above: those without daughters one below the other, mothers amidst daughters."""
    heights: dict[int, float] = {}
    rows = 0
    for family in chosen:
        for track in family:
            if not lives[track].daughters:
                heights[track] = float(rows)
                rows += 1
        for track in sorted(family, key=lambda t: -lives[t].generation):
            if lives[track].daughters:
                below = [heights[daughter] for daughter in lives[track].daughters]
                heights[track] = sum(below) / len(below)
    return heights, rows


# ---- in characters --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Columns:
    """Where frames lie in a row of characters."""

    first: int
    scale: Scale

    def of(self, frame: int) -> int:
        return self.first + self.scale.position(min(max(frame, self.scale.low), self.scale.high))


def draw_lineage(motion: Motion, shown: Shown, width: int, height: int) -> Grid:
    """The families as lines of characters, a track on each; `x` ends one that was lost.

    Returns
    -------
    list of list of (str, int)
        `height` rows of exactly `width` cells; a role of 0 or more is the number of a class.
    """
    grid: Grid = [[(" ", TEXT)] * width for _ in range(height)]
    most = height - 5
    if most < 1 or width < 24:
        return grid
    lives, chosen, notes = _fitting(motion.lives, most, leaves=False)
    rows = {track: row for row, track in enumerate(track for family in chosen for track in family)}
    gutter = max((len(str(track)) for track in rows), default=1) + 2
    last = max(motion.tracks.frames - 1, 1)
    columns = _Columns(gutter, Scale(0, last, width - gutter - 1))
    _put(grid[0], 0, "Lineage", TEXT)
    names = list(motion.tracks.classes)
    at = 9
    for group in class_groups(motion):
        _put(grid[0], at, "── ", names.index(group.name))
        _put(grid[0], at + 3, group.name, TEXT)
        at += 6 + len(group.name)
    for track, row in rows.items():
        _put(grid[1 + row], 0, str(track).rjust(gutter - 2), AXIS)
        _life(grid, lives[track], rows, columns, names.index(motion.classes[track]))
    _time_axis(grid, 1 + len(rows), motion, shown, columns)
    said = textwrap.wrap("; ".join(notes), width)[:2]
    for line, text in zip(grid[height - len(said) :], said, strict=True):
        _put(line, 0, text, TEXT)
    return grid


def _life(grid: Grid, life: Life, rows: dict[int, int], columns: _Columns, role: int) -> None:
    row = grid[1 + rows[life.track]]
    start = columns.of(life.first if life.birth is None else life.birth)
    end = columns.of(life.last if life.division is None else life.division)
    _put(row, start + (life.birth is not None), "─" * (end - start + (life.birth is None)), role)
    if life.fate == LOST:
        row[end] = ("x", role)
    below = [rows[daughter] for daughter in life.daughters]
    if not below:
        return
    lines = [*below, rows[life.track]]
    for line in range(min(lines), max(lines) + 1):
        mother = line == rows[life.track]
        grid[1 + line][end] = (_JOINTS[line > min(lines), line < max(lines), mother, line in below], role)


# (up, down, left, right): a line that comes from there
_JOINTS = {
    (True, True, False, False): "│", (True, True, True, False): "┤", (True, True, False, True): "├",
    (False, True, False, True): "┌", (True, False, False, True): "└", (False, True, True, False): "┐",
    (True, False, True, False): "┘",
}  # fmt: skip


def _time_axis(grid: Grid, at: int, motion: Motion, shown: Shown, columns: _Columns) -> None:
    interval = motion.units.interval
    last = columns.scale.high
    width = len(grid[0])
    _put(grid[at], columns.first, "─" * (width - columns.first), AXIS)
    label = f"time ({shown.time})"
    end, free = width - len(label), columns.first
    scale = Scale(0.0, float(shown.times(last * interval)), columns.scale.dots)
    for value, text in ticks(scale, max(2, (width - columns.first) // 10)):
        column = columns.first + scale.position(value)
        start = max(column - len(text) // 2, columns.first)
        if start >= free and start + len(text) < end:
            grid[at][column] = ("┴", AXIS)
            _put(grid[at + 1], start, text, AXIS)
            free = start + len(text) + 1
    _put(grid[at + 1], end, label, TEXT)


def _put(row: list[Cell], at: int, text: str, role: int) -> None:
    for column, char in enumerate(text, at):
        if 0 <= column < len(row):
            row[column] = (char, role)
