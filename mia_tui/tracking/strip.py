"""The lineage as lines of text: who lives when, and who divides into whom. Time runs to the right."""

from dataclasses import dataclass

import numpy as np

from mia_tui.tracking.book import TrackBook
from mia_tui.tracking.lineage import in_order

LABEL = 8
BARS = " ▁▂▃▄▅▆▇█"
WIDEST = 4
"""Columns of one frame at most."""


@dataclass(frozen=True)
class StripLine:
    """One line: what stands before it, its characters, and the track that each belongs to (0 for none)."""

    label: str
    text: str
    owners: tuple[int, ...]


def columns(frames: int, width: int) -> int:
    """How many columns a strip uses of those it has: a whole number for each frame, or all of them."""
    room = max(1, width - LABEL)
    return frames * min(room // frames, WIDEST) if frames <= room else room


def column_of(frame: int, frames: int, width: int) -> int:
    """The first column of a frame, counted behind the labels."""
    return frame * columns(frames, width) // frames


def daughters_of(book: TrackBook) -> dict[int, list[int]]:
    """Mother -> her daughters, ascending."""
    found: dict[int, list[int]] = {}
    for daughter in sorted(book.mothers):
        found.setdefault(book.mothers[daughter], []).append(daughter)
    return found


def family(book: TrackBook, track: int, daughters: dict[int, list[int]] | None = None) -> list[int]:
    """The first known ancestor of a track and all that came from it, every mother between her daughters."""
    root = track
    while root in book.mothers:  # a mother ends before her daughters start: there are no circles
        root = book.mothers[root]
    return in_order(daughters_of(book) if daughters is None else daughters, root)


def lineage_strip(book: TrackBook, track: int, width: int, height: int) -> list[StripLine]:
    """The family of a track, the lines around it where there are more than fit.

    `━` an object, `┄` a frame without one. Daughters hang on their mother by `╭` and `╰`.
    """
    frames = book.detections.frames
    daughters = daughters_of(book)
    order = family(book, track, daughters)
    lines = {number: index for index, number in enumerate(order)}
    size = columns(frames, width)
    signs = np.full((len(order), size), " ")
    owners = np.zeros((len(order), size), np.int64)
    for number, line in lines.items():
        _draw_life(book, number, signs[line], owners[line], width)
    for number, line in lines.items():
        for daughter in daughters.get(number, ()):
            _draw_branch(signs, owners, line, lines[daughter], column_of(book.first(daughter), frames, width), daughter)
    top = min(max(0, lines[track] - height // 2), max(0, len(order) - height))
    return [
        StripLine(f"{'▸' if number == track else ' '}{number}"[:LABEL].ljust(LABEL), "".join(signs[line]),
                  tuple(owners[line].tolist()))
        for number, line in lines.items() if top <= line < top + height
    ]  # fmt: skip


def _draw_life(book: TrackBook, number: int, signs: np.ndarray, owners: np.ndarray, width: int) -> None:
    frames = book.detections.frames
    first, last = book.first(number), book.last(number)
    begin, end = (
        column_of(first, frames, width),
        max(column_of(first, frames, width) + 1, column_of(last + 1, frames, width)),
    )
    signs[begin:end], owners[begin:end] = "┄", number
    for frame in book.detections.frame[book.rows(number)].tolist():
        at = column_of(frame, frames, width)
        signs[at : max(at + 1, column_of(frame + 1, frames, width))] = "━"


def _draw_branch(signs: np.ndarray, owners: np.ndarray, mother: int, daughter: int, column: int, number: int) -> None:
    """From the mother's line to the daughter's, in the column of the daughter's first frame."""
    above = daughter < mother
    for line in range(min(mother, daughter) + 1, max(mother, daughter)):
        signs[line, column], owners[line, column] = "│", number
    signs[daughter, column] = "╭" if above else "╰"
    there = signs[mother, column]
    bend = "╯" if above else "╮"
    signs[mother, column] = "┤" if there in "╯╮┤" and there != bend else bend
    owners[mother, column] = number


def overview(book: TrackBook, doubtful: list[int], width: int) -> list[StripLine]:
    """Of all tracks: how many are there, where some divide, and where something is doubtful (frames of problems)."""
    frames = book.detections.frames
    size = columns(frames, width)
    held = book.track > 0
    alive = np.bincount(book.detections.frame[held], minlength=frames)
    births = [book.first(daughter) for daughter in book.mothers]
    at = np.array([column_of(frame, frames, width) for frame in range(frames)] + [size])
    bars = [alive[(at[:-1] <= c) & (c < np.maximum(at[1:], at[:-1] + 1))].max(initial=0) for c in range(size)]
    most = max(bars, default=0) or 1
    none = (0,) * size
    rows = [StripLine(f" {most:>5}  "[:LABEL], "".join(BARS[round(8 * bar / most)] for bar in bars), none)]
    for name, listed in (("divide", births), ("doubt", doubtful)):
        places = np.zeros(size, np.int64)
        np.add.at(places, [column_of(frame, frames, width) for frame in listed], 1)
        rows.append(StripLine(f" {name}".ljust(LABEL), "".join("│" if n else " " for n in places), none))
    return rows
