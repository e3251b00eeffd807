"""The first pass: links from frame to frame, each of them solved for itself; what changed is solved again."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mia_tui.tracking.assign import assign, components
from mia_tui.tracking.candidates import Candidates
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.options import LinkOptions
from mia_tui.tracking.pins import Pins

Array = npt.NDArray[Any]

NEVER = np.iinfo(np.int32).max


class Linker(Protocol):
    """What tells the methods apart: which links to a frame may be, and what they cost."""

    reach: int
    """How many frames back the sources of links may lie."""
    divides: bool
    """Whether a source may have two links in the first pass."""

    def candidates(self, t: int, sources: Array, targets: Array) -> Candidates:
        """Links from `sources`, rows that wait for their next object, to `targets`, the rows of frame `t`."""
        ...

    def learn(self, t: int, source: Array, target: Array) -> None:
        """See which links to frame `t` were chosen."""
        ...

    def cost(self, source: Array, target: Array) -> Array:
        """What links cost."""
        ...


@dataclass
class Book:
    """Who is linked to whom so far.

    Attributes
    ----------
    into : (N,) int64
        The row that each row was linked from in the first pass, or -1.
    leaves : (N,) int32
        The frame of a row's first link forward in the first pass, or `NEVER`.
    low : (N,) bool
        Detections that never start a track.
    given, taken : (N,) int8
        How many links that must be lead from a row and to it.
    """

    starts: Array
    frame: Array
    pins: Pins
    into: Array
    leaves: Array
    low: Array
    given: Array
    taken: Array

    @classmethod
    def blank(cls, detections: Detections, options: LinkOptions, pins: Pins) -> "Book":
        count = len(detections)
        given, taken = (np.bincount(ends, minlength=count).astype(np.int8) for ends in pins.must.T)
        return cls(
            detections.starts, detections.frame, pins, np.full(count, -1, np.int64), np.full(count, NEVER, np.int32),
            detections.score < options.low_score, given, taken,
        )  # fmt: skip

    def enter(self, source: Array, target: Array) -> None:
        """Note links of the first pass, sorted by target or all to one frame."""
        self.into[target] = source
        self.leaves[source[::-1]] = self.frame[target[::-1]]  # of two from one source the earlier one is written last

    def edges(self) -> Array:
        """(E, 2) int64: the links of the first pass and those that must be."""
        target = np.flatnonzero(self.into >= 0)
        return np.concatenate([np.stack([self.into[target], target], 1), self.pins.must])

    def waiting(self, t: int, reach: int) -> Array:
        """Rows of the `reach` frames before `t` that have no link to a frame before it and are in a track."""
        begin, end = self.starts[max(t - reach, 0)], self.starts[t]
        part = slice(begin, end)
        waits = self.leaves[part] >= t
        low = self.low[part]
        if low.any():
            waits &= ~low | (self.into[part] >= 0) | (self.taken[part] > 0)
        rows: Array = begin + np.flatnonzero(waits)
        return rows


def link_frame(t: int, linker: Linker, book: Book) -> None:
    """Link the objects of frame `t`."""
    targets = np.arange(book.starts[t], book.starts[t + 1])
    possible = linker.candidates(t, book.waiting(t, linker.reach), targets)
    source, target = choose(t, possible, book)
    book.enter(source, target)
    linker.learn(t, source, target)


def choose(t: int, possible: Candidates, book: Book) -> tuple[Array, Array]:
    """(sources, targets) of the links chosen; those with high scores first, then those with low ones (ByteTrack)."""
    possible, halved = _allowed(t, possible, book)
    low = book.low[possible.target]
    if not low.any():
        return _cheapest(possible, halved)
    source, target = _cheapest(possible.only(~low), halved)
    rest = possible.only(low & ~np.isin(possible.source, source))
    more_source, more_target = _cheapest(rest, halved)
    return np.concatenate([source, more_source]), np.concatenate([target, more_target])


def _allowed(t: int, possible: Candidates, book: Book) -> tuple[Candidates, Array]:
    """What the pins leave, and the sources of which one of two daughters is given."""
    pins = book.pins
    if not len(pins.must) and not len(pins.cannot):
        return possible, np.zeros(0, np.int64)
    halved = np.zeros(0, np.int64)
    if possible.second is not None:
        here = pins.must[book.frame[pins.must[:, 1]] == t, 0]
        halved = here[book.given[here] == 1]
    free = (book.taken[possible.target] == 0) & ((book.given[possible.source] == 0) | np.isin(possible.source, halved))
    return possible.only(free & ~pins.forbids(possible.source, possible.target)), halved


def _cheapest(possible: Candidates, halved: Array) -> tuple[Array, Array]:
    source, target, cost = possible.source, possible.target, possible.cost
    if possible.second is None:
        chosen = assign(source, target, cost, possible.limit)
        return source[chosen], target[chosen]
    first = ~np.isin(source, halved)
    slots = np.concatenate([2 * source[first], 2 * source + 1])
    ends = np.concatenate([target[first], target])
    costs = np.concatenate([cost[first], cost + possible.second])
    chosen = assign(ends, slots, costs, possible.limit)
    sources: Array = slots[chosen] // 2
    return sources, ends[chosen]


def solve_again(linker: Linker, book: Book, rows: Array) -> Array:
    """Solve the components of `rows` on their frames again, and those that change because of it.

    Returns
    -------
    (n,) int64
        The rows whose links of the first pass were solved again.
    """
    touched = np.zeros(len(book.into), bool)
    touched[rows] = True
    solved = [np.asarray(rows, np.int64)]
    frames = len(book.starts) - 1
    t = max(int(book.frame[rows].min()), 1) if len(rows) else frames
    last = int(book.frame[rows].max()) if len(rows) else 0
    while t < min(last + linker.reach + 1, frames):
        if touched[book.starts[max(t - linker.reach, 0)] : book.starts[t + 1]].any():
            part, changed = _solve_frame(t, linker, book, touched)
            solved.append(part)
            spreads = changed[book.low[changed] | (linker.reach > 1)]
            touched[spreads] = True
            last = max([last, *book.frame[spreads].tolist()])
        t += 1
    again: Array = np.unique(np.concatenate(solved))
    return again


def _solve_frame(t: int, linker: Linker, book: Book, touched: Array) -> tuple[Array, Array]:
    """(rows solved again, rows whose links changed) of the links to frame `t`."""
    targets = np.arange(book.starts[t], book.starts[t + 1])
    possible = linker.candidates(t, book.waiting(t, linker.reach), targets)
    linked = targets[book.into[targets] >= 0]
    source, target = np.append(possible.source, book.into[linked]), np.append(possible.target, linked)
    part = components(source, target)
    again = np.isin(part, np.unique(part[touched[source] | touched[target]]))
    rows = np.unique(np.concatenate([source[again], target[again]]))
    mine = rows[rows >= book.starts[t]]
    old = book.into[mine]
    chosen_source, chosen_target = choose(t, possible.only(again[: len(possible.source)]), book)
    later = _let_go(t, book, mine, chosen_source)
    book.enter(chosen_source, chosen_target)
    changed = mine[book.into[mine] != old]
    sources = np.concatenate([old[book.into[mine] != old], book.into[changed]])
    return rows, np.concatenate([changed, sources[sources >= 0], later])


def _let_go(t: int, book: Book, targets: Array, sources: Array) -> Array:
    """Take the links of `targets` back, and those of `sources` to later frames; the latter's targets."""
    former = book.into[targets]
    book.into[targets] = -1
    book.leaves[former[former >= 0]] = NEVER
    waits: Array = sources[(book.leaves[sources] > t) & (book.leaves[sources] != NEVER)]
    if not len(waits):
        return waits
    begin, end = book.starts[t + 1], book.starts[min(int(book.leaves[waits].max()) + 1, len(book.starts) - 1)]
    later: Array = begin + np.flatnonzero(np.isin(book.into[begin:end], waits))
    book.into[later] = -1
    book.leaves[waits] = NEVER
    return later
