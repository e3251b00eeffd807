"""Tracks as chains of rows, beside the book: who goes on as whom, which ends are free, what lies near what."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from mia_tui.tracking.book import TrackBook
from mia_tui.tracking.detections import Array
from mia_tui.tracking.scales import GAP, Scales

NONE = np.zeros(0, np.int64)
_BLOCK = 2_000_000  # pairs looked at in one go


@dataclass(frozen=True)
class Chains:
    """Some tracks, one after the other.

    Attributes
    ----------
    rows, track : (M,) int64
        Their rows by track, then frame.
    head, tail : (M,) bool
        The first and the last row of a track.
    """

    rows: Array
    track: Array
    head: Array
    tail: Array

    @classmethod
    def of(cls, book: TrackBook, tracks: Iterable[int] | None = None) -> "Chains":
        """Those of these tracks, or of all, that have an object."""
        if tracks is None:
            order = np.argsort(book.track, kind="stable")
            rows = order[np.searchsorted(book.track[order], 1) :]
        else:
            rows = np.concatenate([NONE, *(book.rows(track) for track in sorted(tracks))])
        track = book.track[rows]
        differs = track[1:] != track[:-1]
        edge = np.ones(min(len(rows), 1), bool)
        return cls(rows, track, np.concatenate([edge, differs]), np.concatenate([differs, edge]))

    @property
    def links(self) -> tuple[Array, Array]:
        """Rows (before, after) that follow each other in a track."""
        inner = ~self.tail
        return self.rows[inner], self.rows[np.roll(inner, 1)]

    @property
    def index(self) -> Array:
        """(M,) int64: which chain a row is in, 0-based."""
        return np.cumsum(self.head) - 1


@dataclass(frozen=True)
class View:
    """A book with what a search needs: links both ways, places without drift, logarithms of areas, neighbours.

    Attributes
    ----------
    place : (N, D) float64
        `Scales.places`.
    size : (N,) float32
        Natural logarithm of the area; NaN for points and for objects that are gone.
    next, previous : (N,) int64
        The row that a row goes on as, and the one it came from; -1 for none. Kept up with the book by `relink`.
    close : (N + 1,) and (P,) int64
        `close[1][close[0][i]:close[0][i + 1]]` are the rows of the same frame within 4 sigma of row i.
    """

    book: TrackBook
    scales: Scales
    place: Array
    size: Array
    next: Array
    previous: Array
    close: tuple[Array, Array]

    @classmethod
    def of(cls, book: TrackBook, scales: Scales) -> "View":
        found = book.detections
        size = np.full(len(found), np.nan, np.float32)
        sized = (found.area > 0) & ~book.gone
        size[sized] = np.log(found.area[sized])
        place = scales.places(found)
        empty = np.full(len(found), -1, np.int64)
        return cls(book, scales, place, size, empty, empty.copy(), _close(place, found.starts, 4 * scales.sigma))

    def relink(self, chains: Chains) -> None:
        """Write down the links of some tracks, whose rows had none so far."""
        before, after = chains.links
        self.next[before], self.previous[after] = after, before

    def starts(self, a: int = 0, b: int | None = None) -> Array:
        """The rows, of row a up to row b, with which a track begins that has no mother."""
        track = self.book.track[a:b]
        rows = np.flatnonzero((track > 0) & (self.previous[a:b] < 0)) + a
        return rows[~np.isin(self.book.track[rows], _keys(self.book.mothers))]

    def ends(self, a: int = 0, b: int | None = None) -> Array:
        """The rows, of row a up to row b, with which a track ends that neither divides nor merges."""
        track = self.book.track[a:b]
        rows = np.flatnonzero((track > 0) & (self.next[a:b] < 0)) + a
        bound = [*self.book.mothers.values(), *self.book.merged]
        return rows[~np.isin(self.book.track[rows], np.fromiter(bound, np.int64, len(bound)))]

    def loose(self, a: int = 0, b: int | None = None) -> Array:
        """The rows, of row a up to row b, that are in no track and not gone."""
        return np.flatnonzero((self.book.track[a:b] == 0) & ~self.book.gone[a:b]) + a

    def window(self, frame: int, last: int) -> tuple[int, int]:
        """The rows of these frames: from the first up to the second number."""
        frames = self.book.detections.frames
        starts = self.book.detections.frame
        a, b = np.searchsorted(starts, [max(frame, 0), min(last, frames) + 1])
        return int(a), int(b)

    def meet(self, ends: Array, starts: Array) -> tuple[Array, Array, Array]:
        """Ends and the starts that may be their continuation: rows (end, start) and how many sigma they are apart."""
        frame = self.book.detections.frame
        parts = []
        for gap in range(1, GAP + 1):
            reach = self.scales.reach * gap**0.5
            one, other, apart = pairs(
                frame[ends] + gap, self.place[ends], frame[starts], self.place[starts], reach
            )  # fmt: skip
            parts.append((ends[one], starts[other], apart / (self.scales.sigma * gap**0.5)))
        one, other, apart = (np.concatenate(part) for part in zip(*parts, strict=True))
        return one, other, apart

    def cost(self, before: Array, after: Array) -> Array:
        """How unlikely it is that a row goes on as another: minus the logarithm of the chance, up to a constant."""
        # a size counts 8 at most: masks that touch are often wrong
        found = self.book.detections
        gap = np.maximum(found.frame[after] - found.frame[before], 1)
        step = ((self.place[after] - self.place[before]) ** 2).sum(1) / (2 * self.scales.sigma**2 * gap)
        growth = (self.size[after] - self.size[before]) ** 2 / (2 * self.scales.growth**2 * gap)
        size = np.where(np.isnan(growth), 0, np.minimum(growth, 8))
        total: Array = (
            step + self.place.shape[1] / 2 * np.log(gap) + size + 2.0 * (found.label[before] != found.label[after])
        )
        return total


def pairs(frame: Array, place: Array, frames: Array, places: Array, reach: float) -> tuple[Array, Array, Array]:
    """Points of two sets on the same frame within reach: indices into both and their distance.

    Parameters
    ----------
    frame, place : (A,), (A, D)
        The one set, in any order.
    frames, places : (B,), (B, D)
        The other, frames ascending.
    """
    low, high = np.searchsorted(frames, frame, "left"), np.searchsorted(frames, frame, "right")
    found = [(NONE, NONE, np.zeros(0))]
    for block in _blocks(high - low):
        one, other = _runs(low[block], high[block])
        one = one + block.start
        apart = np.linalg.norm(place[one] - places[other], axis=1)
        here = apart <= reach
        found.append((one[here], other[here], apart[here]))
    one, other, apart = (np.concatenate(part) for part in zip(*found, strict=True))
    return one, other, apart


def _blocks(counts: Array) -> Iterator[slice]:
    total = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, done + _BLOCK, "right")))
        yield slice(start, stop)
        start = stop


def _runs(low: Array, high: Array) -> tuple[Array, Array]:
    """Every number from low[i] up to high[i], with its i."""
    counts = high - low
    which = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    return which, np.arange(len(which)) - first[which] + low[which]


def neighbours(view: View, rows: Array) -> tuple[Array, Array]:
    """Rows and the rows close to them, as `View.close` says."""
    first, listed = view.close
    which, at = _runs(first[rows], first[rows + 1])
    return rows[which], listed[at]


def _close(place: Array, starts: Array, radius: float) -> tuple[Array, Array]:
    found = [np.zeros((0, 2), np.int64)]
    for a, b in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if b - a > 1:
            found.append(cKDTree(place[a:b], balanced_tree=False).query_pairs(radius, output_type="ndarray") + a)
    one, other = np.concatenate(found).T
    both, listed = np.concatenate([one, other]), np.concatenate([other, one])
    order = np.argsort(both, kind="stable")
    return np.concatenate([[0], np.cumsum(np.bincount(both, minlength=len(place)))]).astype(np.int64), listed[order]


def _keys(table: dict[int, int]) -> Array:
    return np.fromiter(table, np.int64, len(table))
