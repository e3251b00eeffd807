"""Corrections proposed for a problem: each is one of `edits`, possible as the tracks are now, the likeliest first."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.tracking import edits
from mia_tui.tracking.book import TrackBook
from mia_tui.tracking.chains import View
from mia_tui.tracking.detections import Array
from mia_tui.tracking.doubts import Problem
from mia_tui.tracking.scales import GAP

MOST = 3
"""Candidates of one sort that are proposed."""

_DIVIDES = 3.0  # what a division costs beside its distances: they are rarer than tracks that go on
_CUTS = 4.5  # what it costs that a track ends or begins: as much as a step of 3 sigma


@dataclass(frozen=True)
class Fix:
    """A correction: `store.do(fix.edit, *fix.arguments)` makes it.

    Attributes
    ----------
    text : str
        What it does, for a line in a list.
    edit : callable
        Of `mia_tui.tracking.edits`.
    arguments : tuple
        What the edit gets after the book and the draft.
    cost : float
        How unlikely it is: minus the logarithm of its chance, up to a constant. Fixes are in its order.
    """

    text: str
    edit: Callable[..., str]
    arguments: tuple[Any, ...]
    cost: float


def fixes(view: View, problem: Problem) -> tuple[Fix, ...]:
    """What may be done about a problem.

    Parameters
    ----------
    view : View
        `ProblemList.view`, up to date.
    problem : Problem
        Of that list.
    """
    ways: dict[str, Callable[[View, Problem], Iterator[Fix]]] = {
        "starts": _starts, "ends": _ends, "short": _short, "jump": _jump, "size": _jump, "swap": _swap,
        "lone daughter": _lone, "far daughter": _far, "gap": _gap, "loose": _loose,
    }  # fmt: skip
    found = sorted(ways[problem.kind](view, problem), key=lambda fix: fix.cost)
    return tuple(fix for fix in found if _possible(view.book, fix))


def set_aside(problem: Problem) -> Fix:
    """That the problem is none: for good, as one step that can be undone."""
    return Fix("right as it is", edits.accept, (problem.kind, problem.rows), 0.0)


class _Back(Exception):
    """A trial is taken back."""


def _possible(book: TrackBook, fix: Fix) -> bool:
    """Tried out; leaves no trace."""
    number = book.next_number
    try:
        with book.drafting() as draft:
            fix.edit(book, draft, *fix.arguments)
            draft.check()
            raise _Back
    except _Back:
        return True
    except MiaError:
        return False
    finally:
        book.next_number = number


# ---- by kind ---------------------------------------------------------------------------------------------------------


def _starts(view: View, problem: Problem) -> Iterator[Fix]:
    row = problem.rows[-1]
    yield from _joins_before(view, row)
    yield from _extensions(view, row, before=True)
    yield from _mothers(view, row)
    for node, number, price in _taken(view, row, before=True):
        text = f"track {number} goes on as this one, {_far_off(view, node, row)}, and what it had is a new track"
        yield Fix(text, edits.reassign, (row, number), price + _CUTS)


def _ends(view: View, problem: Problem) -> Iterator[Fix]:
    row = int(view.book.rows(problem.track)[-1])
    yield from _joins_after(view, row)
    yield from _extensions(view, row, before=False)
    yield from _divisions(view, row)
    for node, number, price in _taken(view, row, before=False):
        frame = view.book.detections.frame[node] + 1
        text = f"goes on as what track {number} has from frame {frame} on, {_far_off(view, row, node)}"
        yield Fix(text, edits.reassign, (node, problem.track), price + _CUTS)


def _short(view: View, problem: Problem) -> Iterator[Fix]:
    yield from _starts(view, problem)
    yield from _ends(view, problem)
    yield Fix(f"delete track {problem.track}", edits.delete, (problem.track,), _CUTS)


def _jump(view: View, problem: Problem) -> Iterator[Fix]:
    """A step too long, or one that changes size: the other way round, to another track, from another one, or an end."""
    book, (before, after) = view.book, problem.rows
    frame, track = int(book.detections.frame[after]), problem.track
    now = float(view.cost(_one(before), _one(after))[0])
    for other, saved in _exchanges(view, before, after, frame):
        yield Fix(f"swap with track {other} from frame {frame + 1} on", edits.swap, (track, other, frame), now - saved)
    ends, cost = _free_before(view, after)
    for end, price in zip(ends.tolist(), cost.tolist(), strict=True):
        number = int(book.track[end])
        if number != track and price < now:
            text = f"from frame {frame + 1} on it is track {number}, which ended {_far_off(view, end, after)}"
            yield Fix(text, edits.reassign, (after, number), price + _CUTS)
    starts, cost = _free_after(view, before)
    for start, price in zip(starts.tolist(), cost.tolist(), strict=True):
        if int(book.track[start]) != track and price < now:
            text = f"goes on as track {book.track[start]}, which starts {_far_off(view, before, start)}"
            yield Fix(text, edits.reassign, (start, track), price + _CUTS)
    for second, price in _midway(view, before, after):
        text = f"divides here; track {book.track[second]} is the second daughter"
        yield Fix(text, edits.divide, (track, after, second), price)
    yield Fix(f"cut before frame {frame + 1}", edits.cut, (track, frame), 2 * _CUTS)


def _swap(view: View, problem: Problem) -> Iterator[Fix]:
    pair = problem.track, problem.other, problem.frame
    yield Fix(f"swap with track {problem.other} from frame {problem.frame + 1} on", edits.swap, pair, 0.0)


def _lone(view: View, problem: Problem) -> Iterator[Fix]:
    last, first = problem.rows
    for second, cost in _midway(view, last, first):
        text = f"second daughter: track {view.book.track[second]}, which starts {_far_off(view, last, second)}"
        yield Fix(text, edits.divide, (problem.track, first, second), cost - _DIVIDES)  # it divides already
    whole = float(view.cost(_one(last), _one(first))[0])
    text = f"no division: {problem.other} is {problem.track} going on"
    yield Fix(text, edits.join, (problem.track, problem.other), whole + _DIVIDES)
    yield Fix(f"{problem.other} came from nobody", edits.orphan, (problem.other,), 2 * _CUTS)


def _far(view: View, problem: Problem) -> Iterator[Fix]:
    book, (last, _) = view.book, problem.rows
    sisters = [daughter for daughter in book.daughters(problem.other) if daughter != problem.track]
    if len(sisters) == 1:
        first = int(book.rows(sisters[0])[0])
        for second, cost in _midway(view, last, first):
            text = f"track {book.track[second]} is the daughter, which starts {_far_off(view, last, second)}"
            yield Fix(text, edits.divide, (problem.other, first, second), cost)
    yield Fix(f"{problem.track} came from nobody", edits.orphan, (problem.track,), 2 * _CUTS)


def _gap(view: View, problem: Problem) -> Iterator[Fix]:
    before, after = problem.rows
    for row, cost in _on_the_way(view, before, after):
        frame = int(view.book.detections.frame[row])
        text = f"object {view.book.detections.object[row]} fills frame {frame + 1}"
        yield Fix(text, edits.fill, (problem.track, frame, row), cost)
    yield Fix("fill on the way", edits.fill, (problem.track, problem.frame), _CUTS)
    yield Fix(f"cut before frame {view.book.detections.frame[after] + 1}", edits.cut,
              (problem.track, int(view.book.detections.frame[after])), 3 * _CUTS)  # fmt: skip


def _loose(view: View, problem: Problem) -> Iterator[Fix]:
    book, row = view.book, problem.rows[-1]
    number = book.detections.object[row]
    if book.first(problem.track) < problem.frame < book.last(problem.track):
        arguments = (problem.track, problem.frame, row)
        yield Fix(f"object {number} fills track {problem.track}", edits.fill, arguments, 0.0)
    else:
        yield Fix(f"track {problem.track} extended to object {number}", edits.extend, (problem.track, row), 0.0)


# ---- candidates ------------------------------------------------------------------------------------------------------


def _joins_before(view: View, row: int) -> Iterator[Fix]:
    """The ends that a start may be the continuation of."""
    track = int(view.book.track[row])
    ends, cost = _free_before(view, row)
    for end, price in zip(ends.tolist(), cost.tolist(), strict=True):
        number = int(view.book.track[end])
        yield Fix(
            f"join with track {number}, which ended {_far_off(view, end, row)}", edits.join, (number, track), price
        )


def _joins_after(view: View, row: int) -> Iterator[Fix]:
    """The starts that may be an end's continuation."""
    track = int(view.book.track[row])
    starts, cost = _free_after(view, row)
    for start, price in zip(starts.tolist(), cost.tolist(), strict=True):
        number = int(view.book.track[start])
        text = f"join with track {number}, which starts {_far_off(view, row, start)}"
        yield Fix(text, edits.join, (track, number), price)


def _extensions(view: View, row: int, *, before: bool) -> Iterator[Fix]:
    """Objects in no track that may come before a start or after an end."""
    loose = view.loose(*_around(view, row, before=before))
    rows, cost = _ranked(view, loose, row) if before else _ranked(view, row, loose)
    for other, price in zip(rows.tolist(), cost.tolist(), strict=True):
        away = _far_off(view, *((other, row) if before else (row, other)))
        text = f"extend to object {view.book.detections.object[other]}, {away}"
        yield Fix(text, edits.extend, (int(view.book.track[row]), other), price + 1)


def _taken(view: View, row: int, *, before: bool) -> Iterator[tuple[int, int, float]]:
    """Rows on the other side of a start (or an end) that others took, though this one is likelier: row, track, cost."""
    book, frame = view.book, view.book.detections.frame
    here = np.arange(*_around(view, row, before=before))
    others = (view.next if before else view.previous)[here]
    # of a track only its last row before the start, or its first after the end
    across = frame[others] >= frame[row] if before else frame[others] <= frame[row]
    here = here[(book.track[here] > 0) & (others >= 0) & across]
    nodes, cost = _ranked(view, here, row) if before else _ranked(view, row, here)
    link = (nodes, view.next[nodes]) if before else (view.previous[nodes], nodes)
    for node, price, now, pair in zip(
        nodes.tolist(), cost.tolist(), view.cost(*link).tolist(), zip(*(side.tolist() for side in link), strict=True),
        strict=True,
    ):  # fmt: skip
        if price < now and not book.pins.get(pair):
            yield node, int(book.track[node]), price


def _mothers(view: View, row: int) -> Iterator[Fix]:
    """Tracks beside a start, which may be a daughter of theirs: as if they divided before it, or with one daughter."""
    yield from _lone_mothers(view, row)
    book, frame = view.book, view.book.detections.frame
    here = np.arange(*_around(view, row, before=True))
    after = view.next[here]
    # of a track only its last row before the start
    here = here[(book.track[here] > 0) & (after >= 0) & (frame[after] >= frame[row])]
    found = []
    for node in here[_apart(view, here, np.array([row])) <= view.scales.parting].tolist():
        found.append((_midpoint(view, node, int(view.next[node]), row), node))
    for cost, node in sorted(found)[:2]:
        if book.pins.get((node, row)) is not False and not book.pins.get((node, int(view.next[node]))):
            number = int(book.track[node])
            text = f"daughter of track {number}, which divides {_far_off(view, node, row)}"
            yield Fix(text, edits.divide, (number, int(view.next[node]), row), cost)


def _lone_mothers(view: View, row: int) -> Iterator[Fix]:
    book = view.book
    a, b = _around(view, row, before=True)
    last = np.arange(a, b)[(book.track[a:b] > 0) & (view.next[a:b] < 0)]
    for end in last[_apart(view, last, np.array([row])) <= view.scales.parting].tolist():
        daughters = book.daughters(int(book.track[end]))
        if len(daughters) == 1 and len(book.rows(daughters[0])) and book.pins.get((end, row)) is not False:
            first = int(book.rows(daughters[0])[0])
            text = f"second daughter of track {book.track[end]}, which ended {_far_off(view, end, row)}"
            cost = _midpoint(view, end, first, row) - _DIVIDES
            yield Fix(text, edits.divide, (int(book.track[end]), first, row), cost)


def _divisions(view: View, row: int) -> Iterator[Fix]:
    """Two starts near an end that may be its daughters."""
    a, b = _around(view, row, before=False)
    starts = view.starts(a, b)
    starts = starts[_apart(view, starts, np.array([row])) <= view.scales.parting][:8].tolist()
    found = []
    for i, first in enumerate(starts):
        for second in starts[i + 1 :]:
            found.append((_midpoint(view, row, first, second), first, second))
    track = int(view.book.track[row])
    for cost, first, second in sorted(found)[:2]:
        one, other = (int(view.book.track[start]) for start in (first, second))
        yield Fix(f"divides into {one} and {other}", edits.divide, (track, first, second), cost)


def _midway(view: View, last: int, first: int) -> list[tuple[int, float]]:
    """Starts that may be the sister of a daughter, with what that costs."""
    starts = view.starts(*_around(view, last, before=False))
    starts = starts[_apart(view, starts, np.array([last])) <= view.scales.parting]
    found = [(_midpoint(view, last, first, start), start) for start in starts.tolist()]
    return [(start, cost) for cost, start in sorted(found)[:MOST] if view.book.pins.get((last, start)) is not False]


def _exchanges(view: View, before: int, after: int, frame: int) -> list[tuple[int, float]]:
    """Tracks that pass the same frame, with which an exchange costs less: who, and how much less."""
    book, times = view.book, view.book.detections.frame
    a, b = view.window(frame - 1 - GAP, frame - 1)
    others = np.arange(a, b)
    after_them = view.next[others]
    others = others[(book.track[others] > 0) & (after_them >= 0) & (times[after_them] >= frame) & (others != before)]
    theirs = view.next[others]
    one, two = np.full(len(others), before), np.full(len(others), after)
    now = view.cost(one, two) + view.cost(others, theirs)
    saved = now - view.cost(one, theirs) - view.cost(others, two)
    best = [int(i) for i in np.argsort(-saved)[:2] if saved[i] > 0]
    pinned = [i for i in best if not book.pins.get((int(others[i]), int(theirs[i])))]
    return [(int(book.track[others[i]]), float(saved[i])) for i in pinned]


def _on_the_way(view: View, before: int, after: int) -> list[tuple[int, float]]:
    """Objects in no track where a link passes by, by distance."""
    frame = view.book.detections.frame
    first, last = int(frame[before]), int(frame[after])
    loose = view.loose(*view.window(first + 1, last - 1))
    share = ((frame[loose] - first) / (last - first))[:, None]
    place = view.place[before] + share * (view.place[after] - view.place[before])
    apart = np.linalg.norm(view.place[loose] - place, axis=1)
    near = [i for i in np.argsort(apart)[:MOST] if apart[i] <= view.scales.reach]
    return [(int(loose[i]), float((apart[i] / view.scales.sigma) ** 2 / 2)) for i in near]


def _free_before(view: View, row: int) -> tuple[Array, Array]:
    return _ranked(view, view.ends(*_around(view, row, before=True)), row)


def _free_after(view: View, row: int) -> tuple[Array, Array]:
    return _ranked(view, row, view.starts(*_around(view, row, before=False)))


def _ranked(view: View, before: Array | int, after: Array | int) -> tuple[Array, Array]:
    """The candidates on one side of a row, in reach and not pinned apart from it: the likeliest first, with costs."""
    one, other = np.broadcast_arrays(np.asarray(before, np.int64), np.asarray(after, np.int64))
    frame = view.book.detections.frame
    near = _apart(view, one, other) <= view.scales.reach * np.sqrt(frame[other] - frame[one])
    apart = [view.book.pins.get(pair) is False for pair in zip(one.tolist(), other.tolist(), strict=True)]
    near &= ~np.array(apart, bool)
    cost = view.cost(one[near], other[near])
    best = np.argsort(cost, kind="stable")[:MOST]
    rows = one if isinstance(after, int) else other
    return rows[near][best], cost[best]


def _around(view: View, row: int, *, before: bool) -> tuple[int, int]:
    """The rows of the frames in which a row's candidates are."""
    frame = int(view.book.detections.frame[row])
    return view.window(frame - GAP, frame - 1) if before else view.window(frame + 1, frame + GAP)


def _midpoint(view: View, mother: int, first: int, second: int) -> float:
    """What a division costs: the middle of two daughters is near their mother."""
    middle = (view.place[first] + view.place[second]) / 2 - view.place[mother]
    return float((middle**2).sum() / (2 * view.scales.sigma**2)) + _DIVIDES


def _apart(view: View, rows: Array, others: Array) -> Array:
    apart: Array = np.linalg.norm(view.place[rows] - view.place[others], axis=1)
    return apart


def _far_off(view: View, before: int, after: int) -> str:
    gap = int(view.book.detections.frame[after] - view.book.detections.frame[before])
    length = float(np.linalg.norm(view.place[after] - view.place[before]))
    return f"{length:.0f} px away" + (f" over {gap} frames" if gap > 1 else "")


def _one(row: int) -> Array:
    return np.array([row], np.int64)
