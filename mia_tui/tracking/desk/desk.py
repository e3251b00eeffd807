"""The track desk: the tracks of a sequence, the frame looked at, the track in hand, and what keys do with it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.keymap import Action, KeyMap
from mia_tui.labeling.desk.hints import Target, Viewport, place_hints
from mia_tui.tracking import edits
from mia_tui.tracking.book import TrackBook
from mia_tui.tracking.desk.modes import Choosing, Mode
from mia_tui.tracking.desk.rows import ROWS, table
from mia_tui.tracking.detections import Array
from mia_tui.tracking.doubts import Problem
from mia_tui.tracking.fixes import Fix, fixes
from mia_tui.tracking.problems import ProblemList
from mia_tui.tracking.store import TrackStore

SCREEN = "tracking"
"""What the user's key map calls the desk's actions: `tracking.<id>`."""
CANDIDATES = 9
FAR = 3.0
"""What is further away than so many times the usual reach of a step is no candidate."""
LOOK_BACK = 3
"""Frames over which a track that has ended is still a candidate."""
BOX_PX = 8.0
"""Half the side of the box around a point."""


@dataclass(frozen=True)
class Candidate:
    """What a digit takes: a track whose number the object gets, or an object that the track takes.

    `place` is (y, x).
    """

    digit: int
    track: int
    row: int | None
    place: tuple[float, float]


class TrackDesk:
    """Keys in, corrections out. Every correction is on disk when `press` returns.

    Not for two threads at once. The screen sets `view` before a key and reads what is public after it.

    Attributes
    ----------
    frame, plane : int
        What is looked at, 0-based.
    track : int
        The track in hand, 0 for none.
    loose : int or None
        The row of an object in no track that was chosen instead.
    locked : bool
        The track is held: stepping proposes the object that goes on with it, and enter takes it.
    mode : Mode or None
        What letters and digits mean now.
    problems : ProblemList
        What is doubtful.
    problem : Problem or None
        The one that is looked at.
    fixes : tuple of Fix
        What would mend it, the likeliest first: the digits choose.
    reveal : (y, x) or None
        What the screen should bring into view; it clears it.
    message, warning : str, bool
        What the last key did, or why it did nothing.
    """

    def __init__(self, store: TrackStore, keymap: KeyMap | None = None, *, beside: Sequence[Action] = ()) -> None:
        rows = table()
        self.actions: tuple[Action, ...] = (keymap or KeyMap()).rows(SCREEN, (*rows, *beside))[: len(rows)]
        self._keys = {key: action.id for action in self.actions for key in action.key_names}
        self.store = store
        self.frame = self.plane = 0
        self.track = 0
        self.loose: int | None = None
        self.locked = False
        self.mode: Mode | None = None
        self.view: Viewport = cast(Viewport, None)
        self.reveal: tuple[float, float] | None = None
        self.message, self.warning = "", False
        sequence = store.sequence
        self.problems = ProblemList(store.book, sequence.height, sequence.width)
        self.problem: Problem | None = None
        self.fixes: tuple[Fix, ...] = ()

    @property
    def book(self) -> TrackBook:
        return self.store.book

    @property
    def frames(self) -> int:
        return self.book.detections.frames

    # ---- keys -------------------------------------------------------------------------------------------------------

    def knows(self, key: str) -> bool:
        """Whether a key means something here now."""
        return self.mode is not None or key in self._keys or key == "escape" or (len(key) == 1 and key in "123456789")

    def press(self, key: str) -> bool:
        """Do what a key means; False when it means nothing here."""
        self.message, self.warning = "", False
        try:
            return self._press(key)
        except MiaError as error:
            self.warn(str(error))
            return True

    def _press(self, key: str) -> bool:
        if self.mode is not None:
            if self.mode.key(self, key):
                return True
            if key == "escape":
                self.mode = None
                return True
            self.mode = None  # another key ends it and means what it always means
        if key in self._keys:
            self._perform(self._keys[key])
            return True
        if len(key) == 1 and key in "123456789":
            self.take(int(key))
            return True
        if key == "escape" and (self.problem or self.locked or self.track or self.loose is not None):
            self._let_go()
            return True
        return False

    def perform(self, action_id: str) -> None:
        """Do an action by its id (a click on the footer, the palette)."""
        self.message, self.warning = "", False
        try:
            self._perform(action_id)
        except MiaError as error:
            self.warn(str(error))

    def _perform(self, action_id: str) -> None:
        reason = self.reason(action_id)
        if reason is not None:
            raise MiaError(reason)
        ROWS[action_id][1](self)

    def reason(self, action_id: str) -> str | None:
        """Why an action cannot be done now; None when it can."""
        why = ROWS[action_id][2]
        return None if why is None else why(self)

    def _let_go(self) -> None:
        """One thing less: the problem, then the lock, then the track."""
        if self.problem is not None:
            self.problem = None
        elif self.locked:
            self.locked = False
        else:
            self.track, self.loose = 0, None

    def say(self, text: str) -> None:
        self.message, self.warning = text, False

    def warn(self, text: str) -> None:
        self.message, self.warning = text, True

    # ---- where ------------------------------------------------------------------------------------------------------

    def go(self, frame: int) -> None:
        """Look at another frame; the track in hand stays in view."""
        self.frame = min(max(frame, 0), self.frames - 1)
        self.loose = None
        if self.problem is not None and self.problem.frame != self.frame:
            self.problem = None
        self.show()

    def show(self) -> None:
        """Bring what is in hand into view, and its z plane."""
        row = self.row
        if row is not None:
            self.plane = int(self.book.detections.plane[row])
        self.reveal = self.place or self.reveal

    def hold(self, track: int, frame: int | None = None) -> None:
        """Take a track in hand, and look at it there."""
        self.track, self.loose = track, None
        if frame is None and track and self.book.position_at(track, self.frame) is None:
            frame = min(max(self.frame, self.book.first(track)), self.book.last(track))
        self.go(self.frame if frame is None else frame)

    def choose_row(self, row: int) -> None:
        """Take the track of an object in hand, or the object when it is in none."""
        if self.book.track[row]:
            self.hold(int(self.book.track[row]))
        else:
            self.track, self.loose = 0, row
            self.show()

    @property
    def row(self) -> int | None:
        """The object in hand on this frame."""
        return self.loose if not self.track else self.book.row_at(self.track, self.frame)

    @property
    def place(self) -> tuple[float, float] | None:
        """(y, x) of what is in hand: where it is, on its way through a gap, or where it was seen last or first."""
        if self.loose is not None:
            return self.at(self.loose)
        if not self.track or not self.book.exists(self.track):
            return None
        frames = self.book.frames(self.track)
        earlier = max((frame for frame in frames if frame <= self.frame), default=frames[0])
        later = min((frame for frame in frames if frame >= self.frame), default=frames[-1])
        one, other = (np.array(self.book.position_at(self.track, frame)) for frame in (earlier, later))
        share = (self.frame - earlier) / (later - earlier) if later > earlier else 0.0
        y, x = (one + share * (other - one))[-2:].tolist()
        return y, x

    def at(self, row: int) -> tuple[float, float]:
        """(y, x) of an object."""
        y, x = self.book.detections.position[row, -2:].tolist()
        return y, x

    def here(self, *, planes: bool = False) -> Array:
        """The rows of this frame whose objects are there: on the plane that is shown, or on all `planes`."""
        rows = self.book.at(self.frame)
        shown = self.book.detections.plane[rows] == self.plane
        there: Array = rows[~self.book.gone[rows] & (shown | planes)]
        return there

    def look_at(self, problem: Problem) -> None:
        """Go to a problem and take its track in hand; the digits choose a fix now."""
        self.hold(problem.track if self.book.exists(problem.track) else 0, problem.frame)
        self.problem, self.fixes = problem, fixes(self.problems.view, problem)
        self.reveal = (problem.position[-2], problem.position[-1])

    # ---- choosing ---------------------------------------------------------------------------------------------------

    def choose(self, text: str, targets: list[tuple[int, tuple[float, float]]], act: Callable[..., None]) -> None:
        """Put letters on what can be chosen: (a row or a track, its place (y, x))."""
        boxes = [Target(what, (y, x), (x - BOX_PX, y - BOX_PX, x + BOX_PX, y + BOX_PX)) for what, (y, x) in targets]
        hints = place_hints(boxes, self.view)
        if not hints:
            raise MiaError("There is nothing in view to choose. Pan, zoom out (-) or press f.")
        self.mode = Choosing(text, hints, act)

    def nearest(self, rows: Array, place: tuple[float, float]) -> list[int]:
        """Rows by their distance from a place (y, x)."""
        where = self.book.detections.position[rows, -2:]
        order = np.argsort(((where - np.array(place)) ** 2).sum(1), kind="stable")
        return [int(row) for row in rows[order]]

    def candidates(self) -> list[Candidate]:
        """What the digits take now: up to nine, the nearest first."""
        if self.problem is not None:
            return []
        row, place = self.row, self.place
        if place is None:
            return []
        if row is None:
            others = [r for r in self.nearest(self.here(planes=True), place) if self._is_near(self.at(r), place)]
            return [Candidate(n, self.track, r, self.at(r)) for n, r in enumerate(others[:CANDIDATES], 1)]
        return self._tracks_before(row, place)

    def _tracks_before(self, row: int, place: tuple[float, float]) -> list[Candidate]:
        """Tracks that were near on the frames before, the one of this object left out."""
        book, own = self.book, int(self.book.track[row])
        found: dict[int, tuple[float, float]] = {}
        for back in range(1, LOOK_BACK + 1):
            if self.frame - back < 0:
                break
            rows = book.at(self.frame - back)
            for other in self.nearest(rows[book.track[rows] > 0], place)[: CANDIDATES + 1]:
                found.setdefault(int(book.track[other]), self.at(other))
        found.pop(own, None)
        near = [(track, where) for track, where in found.items() if self._is_near(where, place)]
        nearest = sorted(near, key=lambda entry: math.dist(entry[1], place))
        return [Candidate(n, track, None, where) for n, (track, where) in enumerate(nearest[:CANDIDATES], 1)]

    def _is_near(self, where: tuple[float, float], place: tuple[float, float]) -> bool:
        return math.dist(where, place) <= FAR * self.problems.scales.reach

    def take(self, digit: int) -> None:
        """What a digit stands for: a fix of the problem, or a candidate."""
        if self.problem is not None:
            count = len(self.fixes)
            if digit > count:
                raise MiaError(f"{count} ways to mend this are proposed." if count else "Nothing is proposed for this.")
            self.edit(self.fixes[digit - 1].edit, *self.fixes[digit - 1].arguments)
            return
        candidate = next((c for c in self.candidates() if c.digit == digit), None)
        if candidate is None:
            raise MiaError("No candidate has this digit." if self.place else "Choose a track first: ' and its letters.")
        row = self.row if candidate.row is None else candidate.row
        self.edit(edits.reassign, row, candidate.track)
        self.hold(candidate.track)

    # ---- changing ---------------------------------------------------------------------------------------------------

    def edit(self, edit: Callable[..., str], *arguments: Any) -> None:
        """Make a correction, say what it was, and look for problems around it again."""
        self.say(self.store.do(edit, *arguments))
        self.follow()

    def follow(self) -> None:
        """After a change: problems anew, and nothing in hand that is no longer there."""
        self.problems.update()
        self.problem = None
        if self.track and not self.book.exists(self.track):
            self.track = 0
        self.locked = self.locked and bool(self.track)
