"""All tracks of a sequence while a person corrects them: small steps that can be taken back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.tracking.detections import Array, Detections
from mia_tui.tracking.tracks import Tracks

Name = tuple[int, int, int]
"""An object for good: its frame, its z plane, its id."""

Step = list[Any]
"""One change, as JSON: its kind, then what `TrackBook.take` says."""

NONE = np.zeros(0, np.int64)


class TrackBook:
    """Which object is in which track, who came from whom, and what a person decided.

    Made of the detections of a sequence (rows) and a number for each: its track, or 0 for an object in no track. A
    track may also pass frames without an object (`filled`). Reading is free; changes go through `drafting`.

    Attributes
    ----------
    detections : Detections
    track : (N,) int64
        Track of every row, 0 for none.
    gone : (N,) bool
        The object is no longer in its file; its track passes its place as if it were filled.
    filled : dict
        Track -> frame -> position, for frames without an object.
    mothers, merged : dict
        As in `Tracks`.
    next_number : int
        A number that no track of this book ever had.
    pins : dict
        (row, row) -> True: a person said that the first goes on as the second. False: that it does not. An object
        with itself is False: it is in no track.
    accepted : set
        (kind of problem, rows it is about ...): a person looked and said that it is right as it is.
    """

    def __init__(self, detections: Detections, track: Array, gone: Array | None = None) -> None:
        self.detections = detections
        self.track = track.astype(np.int64)
        self.gone = np.zeros(len(track), bool) if gone is None else gone
        self.filled: dict[int, dict[int, tuple[float, ...]]] = {}
        self.mothers: dict[int, int] = {}
        self.merged: dict[int, int] = {}
        self.pins: dict[tuple[int, int], bool] = {}
        self.accepted: set[tuple[Any, ...]] = set()
        self._starts = detections.starts
        self._rows = self._members()
        self.next_number = max(self._rows, default=0) + 1

    @classmethod
    def of(cls, detections: Detections, tracks: Tracks) -> "TrackBook":
        """A book of the detections of a sequence and the tracks that were found among them."""
        held = tracks.object > 0
        track = np.zeros(len(detections), np.int64)
        track[_rows_of(detections, tracks, held)] = tracks.track[held]
        book = cls(detections, track)
        for number, frame, position in zip(
            tracks.track[~held].tolist(), tracks.frame[~held].tolist(), tracks.position[~held].tolist(), strict=True
        ):
            book.filled.setdefault(number, {})[frame] = tuple(position)
        book.mothers, book.merged = dict(tracks.mothers), dict(tracks.merged)
        book.next_number = max([*book._rows, *book.filled], default=0) + 1
        return book

    def _members(self) -> dict[int, Array]:
        order = np.argsort(self.track, kind="stable")
        numbers, first = np.unique(self.track[order], return_index=True)
        parts = np.split(order, first[1:]) if len(numbers) else []
        return {int(number): part for number, part in zip(numbers, parts, strict=True) if number}

    # ---- reading ----------------------------------------------------------------------------------------------------

    @property
    def numbers(self) -> list[int]:
        """All tracks, ascending."""
        return sorted(self._rows.keys() | self.filled.keys())

    def exists(self, track: int) -> bool:
        return track in self._rows or track in self.filled

    def rows(self, track: int) -> Array:
        """The rows of a track by frame."""
        return self._rows.get(track, NONE)

    def frames(self, track: int) -> list[int]:
        """All frames of a track, the filled ones included, ascending."""
        return sorted({*self.detections.frame[self.rows(track)].tolist(), *self.filled.get(track, ())})

    def first(self, track: int) -> int:
        return self._end(track, 0, min)

    def last(self, track: int) -> int:
        return self._end(track, -1, max)

    def _end(self, track: int, index: int, of: Callable[..., int]) -> int:
        rows = self.rows(track)
        ends = [int(self.detections.frame[rows[index]])] if len(rows) else []
        return of([*ends, *self.filled.get(track, ())])

    def row(self, name: Name) -> int:
        """The row of an object.

        Raises
        ------
        LookupError
            When there is no such object.
        """
        frame, plane, number = name
        if 0 <= frame < self.detections.frames:
            a, b = self._starts[frame], self._starts[frame + 1]
            here = (self.detections.object[a:b] == number) & (self.detections.plane[a:b] == plane)
            if here.any():
                return int(a + here.argmax())
        raise LookupError(f"frame {frame + 1} has no object {number}")

    def name(self, row: int) -> Name:
        """The object of a row, for good."""
        found = self.detections
        return int(found.frame[row]), int(found.plane[row]), int(found.object[row])

    def at(self, frame: int) -> Array:
        """The rows of a frame."""
        return np.arange(self._starts[frame], self._starts[frame + 1])

    def row_at(self, track: int, frame: int) -> int | None:
        """The row of a track on a frame; None where it has no object."""
        rows = self.rows(track)
        index = int(np.searchsorted(self.detections.frame[rows], frame))
        return int(rows[index]) if index < len(rows) and self.detections.frame[rows[index]] == frame else None

    def position_at(self, track: int, frame: int) -> tuple[float, ...] | None:
        """Where a track is on a frame; None when it is not there."""
        row = self.row_at(track, frame)
        if row is not None:
            return tuple(self.detections.position[row].tolist())
        return self.filled.get(track, {}).get(frame)

    def daughters(self, track: int) -> list[int]:
        """The tracks that came from this one, ascending."""
        return sorted(daughter for daughter, mother in self.mothers.items() if mother == track)

    def tracks(self) -> Tracks:
        """Everything as columns. Objects in no track are left out; those that are gone count as filled."""
        found = self.detections
        rows = np.flatnonzero(self.track)
        filled = [(n, f, p) for n, places in self.filled.items() for f, p in places.items()]
        count, dims = len(filled), found.position.shape[1]
        number = np.concatenate([self.track[rows], np.array([n for n, _, _ in filled], np.int64)])
        frame = np.concatenate([found.frame[rows], np.array([f for _, f, _ in filled], np.int32)])
        order = np.lexsort((frame, number))

        def column(values: Array, otherwise: Any = 0) -> Array:
            return np.concatenate([values[rows], np.full(count, otherwise, values.dtype)])[order]

        position = np.concatenate([found.position[rows], np.array([p for *_, p in filled]).reshape(count, dims)])
        return Tracks(
            number[order], frame[order], position[order], column(np.where(self.gone, 0, found.object)),
            column(found.plane), column(found.label), column(found.score, 1), column(found.area), found.classes,
            found.frames, dict(self.mothers), dict(self.merged),
        )  # fmt: skip

    # ---- changing ---------------------------------------------------------------------------------------------------

    @contextmanager
    def drafting(self) -> Iterator["Draft"]:
        """Make one change out of several steps. When it ends in an error, nothing has changed."""
        draft = Draft(self)
        try:
            yield draft
            draft.check()
        except BaseException:
            self.take_all(draft.steps, forward=False)
            raise

    def take_all(self, steps: list[Step], *, forward: bool) -> None:
        """Do the steps of a change, or take them back.

        Raises
        ------
        LookupError
            When a step is about an object that is not there.
        """
        for step in steps if forward else reversed(steps):
            self.take(step, forward=forward)

    def take(self, step: Step, *, forward: bool) -> None:
        """Do one step, or take it back.

        Steps are `["move", before, after, [names]]` (objects change their track), `["mother", track, before, after]`,
        `["merged", track, before, after]`, `["fill", track, frame, before, after]` (positions or null),
        `["pin", name, name, before, after]` (true, false or null) and `["accept", kind, [names], before, after]` (true
        or false); 0 stands for no track.
        """
        kind, *what = step
        pair = what[:2] if kind == "move" else what[-2:]
        before, after = pair if forward else pair[::-1]
        if kind == "move":
            self._move(np.array([self.row(tuple(name)) for name in what[2]], np.int64), before, after)
        elif kind == "fill":
            places = self.filled.setdefault(what[0], {})
            if after is None:
                places.pop(what[1], None)
            else:
                places[what[1]] = tuple(after)
                self.next_number = max(self.next_number, what[0] + 1)
            if not places:
                del self.filled[what[0]]
        elif kind == "pin":
            _put(self.pins, (self.row(tuple(what[0])), self.row(tuple(what[1]))), after)
        elif kind == "accept":
            problem = (what[0], *(self.row(tuple(name)) for name in what[1]))
            (self.accepted.add if after else self.accepted.discard)(problem)
        elif kind in ("mother", "merged"):
            _put(self.mothers if kind == "mother" else self.merged, what[0], after or None)
        else:
            raise ValueError(f"unknown step {kind!r}")

    def _move(self, rows: Array, before: int, after: int) -> None:
        self.track[rows] = after
        if before:
            left = np.setdiff1d(self.rows(before), rows, assume_unique=True)
            _put(self._rows, before, left if len(left) else None)
        if after:
            self._rows[after] = np.sort(np.concatenate([self.rows(after), rows]))
            self.next_number = max(self.next_number, after + 1)


def _rows_of(detections: Detections, tracks: Tracks, held: Array) -> Array:
    """The rows of the detections that these rows of tracks are about.

    Raises
    ------
    LookupError
        When an object of the tracks is none of the detections.
    """
    names = ("frame", "plane", "object")
    ours = [getattr(detections, name).astype(np.int64) for name in names]
    theirs = [getattr(tracks, name)[held].astype(np.int64) for name in names]
    sizes = [max(int(a.max(initial=0)), int(b.max(initial=0))) + 1 for a, b in zip(ours, theirs, strict=True)]
    known, wanted = ((frame * sizes[1] + plane) * sizes[2] + number for frame, plane, number in (ours, theirs))
    order = np.argsort(known, kind="stable")
    place = np.minimum(np.searchsorted(known[order], wanted), max(len(known) - 1, 0))
    rows: Array = order[place] if len(known) else place
    if len(wanted) and (not len(known) or (known[rows] != wanted).any()):
        raise LookupError("an object of the tracks is not there")
    return rows


def _put(table: dict[Any, Any], key: Any, value: Any) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


class Draft:
    """The steps of a change in the making, already done in the book."""

    def __init__(self, book: TrackBook) -> None:
        self._book = book
        self.steps: list[Step] = []
        self._touched: set[int] = set()

    def _do(self, step: Step) -> None:
        self._book.take(step, forward=True)
        self.steps.append(step)

    def move(self, rows: Array, track: int) -> None:
        """Objects of one track (or of none) get another (0: none)."""
        if not len(rows):
            return
        before = int(self._book.track[rows[0]])
        if before == track:
            return
        self._touched |= {before, track}
        self._do(["move", before, track, [list(self._book.name(row)) for row in rows.tolist()]])
        for row in rows.tolist() if not before else ():
            if (row, row) in self._book.pins:  # a person had put it aside, and takes it now
                self._do(["pin", list(self._book.name(row)), list(self._book.name(row)), False, None])

    def discard(self, rows: Array) -> None:
        """Objects are in no track, and linking again leaves them out."""
        self.move(rows, 0)
        for row in rows.tolist():
            self._do(["pin", list(self._book.name(row)), list(self._book.name(row)), None, False])

    def mother(self, track: int, mother: int) -> None:
        """Who a track came from; 0 for nobody."""
        before = self._book.mothers.get(track, 0)
        if before != mother:
            self._touched |= {track, mother, before}
            self._do(["mother", track, before, mother])

    def merged(self, track: int, into: int) -> None:
        """What a track became part of; 0 for nothing."""
        before = self._book.merged.get(track, 0)
        if before != into:
            self._touched |= {track, into}
            self._do(["merged", track, before, into])

    def fill(self, track: int, frame: int, position: tuple[float, ...] | None) -> None:
        """Where a track is on a frame without an object; None takes that away."""
        before = self._book.filled.get(track, {}).get(frame)
        if before != position:
            self._touched.add(track)
            as_list = [None if place is None else list(place) for place in (before, position)]
            self._do(["fill", track, frame, *as_list])

    def pin(self, one: int | None, other: int | None, together: bool) -> None:
        """What a person decided about two rows; nothing where one of them is not there."""
        if one is None or other is None or one == other:
            return
        before = self._book.pins.get((one, other))
        if before is not together:
            self._do(["pin", list(self._book.name(one)), list(self._book.name(other)), before, together])

    def accept(self, kind: str, rows: tuple[int, ...]) -> None:
        """What a person said is right, though it looks like a problem of this kind about these rows."""
        if (kind, *rows) not in self._book.accepted:
            self._do(["accept", kind, [list(self._book.name(row)) for row in rows], False, True])

    def check(self) -> None:
        """That the tracks that changed can be.

        Raises
        ------
        MiaError
            Saying what cannot be.
        """
        book = self._book
        for track in self._touched - {0}:
            frames = [*book.detections.frame[book.rows(track)].tolist(), *book.filled.get(track, ())]
            if len(set(frames)) < len(frames):
                twice = next(frame for frame in sorted(frames) if frames.count(frame) > 1)
                raise MiaError(f"track {track} would have two objects on frame {twice + 1}.")
        for daughter, mother in book.mothers.items():
            if {daughter, mother} & self._touched:
                self._check_mother(daughter, mother)
        for part, whole in book.merged.items():
            if {part, whole} & self._touched and not (
                book.exists(part) and book.exists(whole) and book.last(part) < book.last(whole)
            ):
                raise MiaError(f"track {part} cannot merge into track {whole}, which is not there on a later frame.")

    def _check_mother(self, daughter: int, mother: int) -> None:
        book = self._book
        if not (book.exists(daughter) and book.exists(mother)):
            raise MiaError(f"track {daughter} would come from track {mother}, and one of them is not there.")
        if book.last(mother) >= book.first(daughter):
            raise MiaError(
                f"track {mother} lives to frame {book.last(mother) + 1}: it cannot be the mother of track {daughter}, "
                f"which starts on frame {book.first(daughter) + 1}."
            )
