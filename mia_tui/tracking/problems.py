"""The problems of tracks, kept up with corrections: `doubts` says what they are, `fixes` what can be done."""

from bisect import bisect_left, insort

import numpy as np

from mia_tui.tracking.book import TrackBook
from mia_tui.tracking.chains import Chains, View, pairs
from mia_tui.tracking.detections import Array
from mia_tui.tracking.doubts import LONG, Problem, holes_of, order, search
from mia_tui.tracking.scales import Scales, measure


def find_problems(book: TrackBook, height: int, width: int, reach: float | None = None) -> list[Problem]:
    """All problems of the tracks, by frame, then track.

    Parameters
    ----------
    height, width : int
        Of a frame, in pixels: who comes or goes near the border is no problem. (The first and last z plane are none.)
    reach : float, optional
        Pixels that an object may be away one frame later; from the steps and the sizes when not given.
    """
    return ProblemList(book, height, width, reach).problems


def scales_of(book: TrackBook, height: int, width: int, reach: float | None = None) -> Scales:
    """What is usual in the tracks of a book."""
    before, after = Chains.of(book).links
    by_frame = np.argsort(before)
    partings = [(book.rows(mother), book.rows(daughter)) for daughter, mother in book.mothers.items()]
    ends = np.array([(m[-1], d[0]) for m, d in partings if len(m) and len(d)], np.int64).reshape(-1, 2)
    return measure(book.detections, before[by_frame], after[by_frame], ends, height, width, reach)


class ProblemList:
    """The problems of a book while it is corrected: after each correction only what it touched is looked at again.

    What is usual is measured once, when the list is made, so that a correction does not move every bound.

    Attributes
    ----------
    problems : list of Problem
        By frame, then track. As of the last `update`.
    """

    def __init__(
        self, book: TrackBook, height: int, width: int, reach: float | None = None, *, scales: Scales | None = None
    ) -> None:
        self.book = book
        self.scales = scales or scales_of(book, height, width, reach)
        self.view = View.of(book, self.scales)
        chains = Chains.of(book)
        self.view.relink(chains)
        self.problems = sorted(search(self.view, chains, everything=True), key=order)
        self._of: dict[int, list[Problem]] = {}
        for problem in self.problems:
            self._note(problem)
        self._track = book.track.copy()
        self._filled = {track: frozenset(places) for track, places in book.filled.items()}
        self._remember()

    def update(self) -> bool:
        """Look again at what changed in the book since; whether something had changed."""
        touched, rows = self._changes()
        if not touched and not len(rows):
            return False
        moved = self._relink(touched, rows)
        again = touched | _beside(self.view, moved) | _relatives(self.book, touched)
        for track in again:
            for problem in self._of.pop(track, ()):
                del self.problems[bisect_left(self.problems, order(problem), key=order)]
                for other in set(problem.owners) & self._of.keys():
                    self._of[other].remove(problem)
        for problem in search(self.view, Chains.of(self.book, again)):
            insort(self.problems, problem, key=order)
            self._note(problem)
        self._remember()
        return True

    def _note(self, problem: Problem) -> None:
        for track in problem.owners:
            self._of.setdefault(track, []).append(problem)

    def _remember(self) -> None:
        book = self.book
        self._mothers, self._merged, self._pins = dict(book.mothers), dict(book.merged), dict(book.pins)
        self._accepted = set(book.accepted)

    def _changes(self) -> tuple[set[int], Array]:
        """The tracks that changed or of which something was decided; the rows that came into a track or out of one."""
        book = self.book
        rows = np.flatnonzero(book.track != self._track)
        touched = set(np.unique(np.concatenate([book.track[rows], self._track[rows]])).tolist())
        for now, then in ((book.mothers, self._mothers), (book.merged, self._merged)):
            for one, other in now.items() ^ then.items():
                touched |= {one, other}
        for track in book.filled.keys() | self._filled.keys():
            if self._filled.get(track, frozenset()) != book.filled.get(track, {}).keys():
                touched.add(track)
                self._filled[track] = frozenset(book.filled.get(track, ()))
        said = [row for pair, _ in book.pins.items() ^ self._pins.items() for row in pair]
        said += [row for _, *about in book.accepted ^ self._accepted for row in about]
        named = np.array(said, np.int64)
        touched |= set(book.track[named].tolist())
        loose = rows[(book.track[rows] == 0) | (self._track[rows] == 0)]
        self._track[rows] = book.track[rows]
        return touched - {0}, loose

    def _relink(self, touched: set[int], rows: Array) -> Array:
        """Bring the links up to date; the rows where something is different now."""
        view = self.view
        chains = Chains.of(self.book, touched)
        mine = np.union1d(chains.rows, rows)
        next_, previous = view.next[mine], view.previous[mine]
        view.next[mine] = view.previous[mine] = -1
        view.relink(chains)
        differs = (view.next[mine] != next_) | (view.previous[mine] != previous)
        # who has a mother, daughters or a merge is no free end: the ends of all touched tracks count as different
        return np.unique(np.concatenate([mine[differs], rows, chains.rows[chains.head | chains.tail]]))


def _relatives(book: TrackBook, touched: set[int]) -> set[int]:
    found: set[int] = set()
    for daughter, mother in book.mothers.items():
        if daughter in touched or mother in touched:
            found |= {daughter, mother}
    return found


def _beside(view: View, rows: Array) -> set[int]:
    """The tracks with a free end or a gap near one of these rows: what they are told to be may depend on it."""
    if not len(rows):
        return set()
    book, frame = view.book, view.book.detections.frame
    rows = np.sort(rows)
    a, b = view.window(int(frame[rows[0]]) - LONG, int(frame[rows[-1]]) + LONG)
    here = np.arange(a, b)
    starts, ends = here[view.previous[a:b] < 0], here[view.next[a:b] < 0]
    near = [np.zeros(0, np.int64)]
    for one, other in ((ends, rows), (rows, starts)):
        before, after, _ = view.meet(one, other)
        near += [book.track[before], book.track[after]]
    holes, at, place = holes_of(view, here[(view.next[a:b] >= 0)])
    which, _, _ = pairs(at, place, frame[rows], view.place[rows], view.scales.reach)
    near.append(book.track[holes[which]])
    return set(np.unique(np.concatenate(near)).tolist()) - {0}
