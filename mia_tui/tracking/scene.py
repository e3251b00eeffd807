"""A sequence after its first pass, as the second one sees it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from mia_tui.tracking.detections import Detections
from mia_tui.tracking.first_pass import Book
from mia_tui.tracking.options import GATE, LinkOptions
from mia_tui.tracking.points import Motion
from mia_tui.tracking.rates import LIFE

Array = npt.NDArray[Any]

_STRIP = 2.5
"""Width of the view's border in standard deviations of a step: what starts or ends there came from or went outside."""


class Scene:
    """A sequence after its first pass, with the questions that the second one asks about rows of `Detections`."""

    def __init__(self, detections: Detections, places: Array, options: LinkOptions, motion: Motion, book: Book) -> None:
        self.options, self.motion, self.book = options, motion, book
        self.soft = options.class_rule == "soft"
        self.fork_gate = options.max_distance or GATE
        self.frame, self.label, self.last = detections.frame, detections.label, detections.frames - 1
        self.axes = places.shape[1]
        self.places = places
        self._path = np.cumsum(motion.drift, axis=0)
        must, count = book.pins.must, len(detections)
        self.into = book.into.copy()
        self.into[must[:, 1]] = must[:, 0]
        self.out = np.full(count, -1, np.int64)
        linked = np.flatnonzero(self.into >= 0)[::-1]
        self.out[self.into[linked]] = linked
        self.out[must[:, 0]] = must[:, 1]

    def rows(self, t: int) -> Array:
        """Those of frame t."""
        return np.arange(self.book.starts[t], self.book.starts[t + 1])

    def starts(self, frames: range) -> Array:
        """Rows of the frames, sorted, that may start a track and have no link to them; frame 0 has none."""
        rows = np.arange(self.book.starts[max(frames.start, 1)], self.book.starts[frames.stop])
        return rows[(self.into[rows] < 0) & ~self.book.low[rows]]

    def ends(self, frames: range) -> Array:
        """Rows of the frames, sorted, that are in a track and have no link from them; the last frame has none."""
        rows = np.arange(self.book.starts[max(frames.start, 0)], self.book.starts[min(frames.stop, self.last)])
        return rows[(self.out[rows] < 0) & (~self.book.low[rows] | (self.into[rows] >= 0))]

    def of_frame(self, rows: Array, t: int) -> Array:
        """The part of sorted rows that lies on frame t."""
        if not 0 <= t <= self.last:
            return rows[:0]
        first, after = np.searchsorted(rows, self.book.starts[[t, t + 1]])
        return rows[first:after]

    def at(self, rows: Array) -> Array:
        """Where they are when the drift is taken back."""
        places: Array = self.places[rows] - self._path[self.frame[rows]]
        return places

    def ahead(self, rows: Array) -> Array:
        """How long their tracks go on, in the lengths of `Evidence`."""
        return self._length(rows, self.out, self.last)

    def behind(self, rows: Array) -> Array:
        """How long their tracks have been, in the lengths of `Evidence`."""
        return self._length(rows, self.into, 0)

    def _length(self, rows: Array, link: Array, border: int) -> Array:
        at, length = rows, np.zeros(len(rows), np.int64)
        for _ in range(LIFE - 1):
            further = link[at]
            length += further >= 0
            at = np.where(further >= 0, further, at)
        cut = (length < LIFE - 1) & (self.frame[at] == border)
        return np.where(cut, LIFE + length, length)

    def around(self, rows: Array) -> Array:
        """The rows and those of their tracks so near that the lengths of `Evidence` change with them."""
        found = [rows]
        for link in (self.into, self.out):
            at = rows
            for _ in range(LIFE):
                at = link[at]
                at = at[at >= 0]
                found.append(at)
        near_rows: Array = np.unique(np.concatenate(found))
        return near_rows

    def start_kinds(self, rows: Array, view: Array) -> Array:
        """Kinds of what starts: beside the border when the drift takes it in from there."""
        came = self.places[rows] - self.motion.drift[self.frame[rows]]
        return 2 * self.ahead(rows) + self._outside(came, view)

    def end_kinds(self, rows: Array, view: Array) -> Array:
        """Kinds of what ends: beside the border when the drift takes it out there."""
        goes = self.places[rows] + self.motion.drift[np.minimum(self.frame[rows] + 1, self.last)]
        return 2 * self.behind(rows) + self._outside(goes, view)

    def _outside(self, places: Array, view: Array) -> Array:
        strip = _STRIP * float(np.sqrt(np.median(self.motion.spread)))
        outside: Array = ((places < view[0] + strip) | (places > view[1] - strip)).any(1)
        return outside

    def may_divide(self, t: int) -> Array:
        """Rows of frame t - 1 that are linked to one object of frame t."""
        rows = self.rows(t - 1)
        divides: Array = rows[(self.out[rows] >= 0) & (self.frame[self.out[rows]] == t) & (self.book.given[rows] < 2)]
        return divides

    def may_take(self, t: int) -> Array:
        """Rows of frame t that are linked to one object of frame t - 1."""
        rows = self.rows(t)
        takes: Array = rows[
            (self.into[rows] >= 0) & (self.frame[self.into[rows]] == t - 1) & (self.book.taken[rows] < 2)
        ]
        return takes
