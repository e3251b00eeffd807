"""Where tracks look wrong: what a person who corrects them looks at next.

A problem is a deviation from what is usual in the sequence (`Scales`), at one place of one track. What a person decided
is none: a link that was pinned together does not jump, an end whose possible continuations are all pinned apart is one,
and what was set aside (`edits.accept`) stays so.

Kinds
-----
starts, ends : away from the border, not on the first or last frame, no division.
short : both, within 3 frames.
jump : a step so long that its chance is less than that of 3 sigma in one dimension, also for this track; and longer
    than the object's radius, since masks do not overlap.
size : the area changes by more than a half or its inverse and more than 4 sigma, away from divisions and the border.
swap : two tracks close to each other that would cost hardly more the other way round, by step, size and class.
lone daughter : a division with one daughter.
far daughter : a daughter that starts further from her mother than daughters do.
gap : frames passed without an object and not filled.
loose : an object in no track near a filled gap, or near a free end at the border.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from mia_tui.tracking.chains import Chains, View, neighbours, pairs
from mia_tui.tracking.detections import Array
from mia_tui.tracking.scales import GAP

LONG = 10
"""Frames of a filled gap in which objects in no track are looked for, at most."""

SHORT = 3
"""Frames of a track that is short."""

LIKELY = 1.0
"""Natural logarithm of the odds up to which the other way round costs "hardly more"."""

_PRIOR = 4  # steps of sigma that count along with a track's own


@dataclass(frozen=True)
class Problem:
    """A place to look at.

    Attributes
    ----------
    kind : str
    track, other : int
        The track, and the second one where there is one (a swap's, a daughter or a mother), else 0.
    frame : int
        Where to look, 0-based.
    position : tuple of float
        (y, x) or (z, y, x), as in `Detections`.
    text : str
        A line that says what and why.
    doubt : float
        How many sigma from the usual: measured for a jump, a size and a far daughter; for others on that scale by
        convention (an end 3, one with a continuation near up to 6; a swap 3 less the logarithm of its odds).
    rows : tuple of int
        What it is about: `edits.accept(kind, rows)` sets it aside.
    """

    kind: str
    track: int
    other: int
    frame: int
    position: tuple[float, ...]
    text: str
    doubt: float
    rows: tuple[int, ...]

    @property
    def owners(self) -> tuple[int, ...]:
        """The tracks whose change may change this problem itself, not only what it hangs on."""
        return (self.track, self.other) if self.kind == "swap" else (self.track,)


def order(problem: Problem) -> tuple[int, int, str, tuple[int, ...]]:
    """By frame, then track; no two problems are alike in it."""
    return problem.frame, problem.track, problem.kind, problem.rows


def search(view: View, chains: Chains, *, everything: bool = False) -> Iterator[Problem]:
    """The problems of some tracks."""
    speed, own = _speeds(view, chains)
    inner = _inner_ends(view, chains, own)
    yield from _free_ends(view, chains, inner, everything=everything)
    yield from _jumps(view, chains, speed)
    yield from _sizes(view, chains)
    yield from _swaps(view, chains, everything=everything)
    yield from _daughters(view, set(chains.track[chains.head].tolist()))
    yield from _gaps(view, chains)
    yield from _loose(view, chains, inner)


def _problem(
    view: View, kind: str, row: int, text: str, doubt: float, rows: Iterable[int], *, track: int | None = None,
    other: int = 0, frame: int | None = None,
) -> Problem:  # fmt: skip
    found = view.book.detections
    number = int(view.book.track[row]) if track is None else track
    position = tuple(found.position[row].tolist())
    return Problem(
        kind, number, other, int(found.frame[row]) if frame is None else frame, position, f"track {number} {text}",
        round(float(doubt), 2), tuple(int(r) for r in rows),
    )  # fmt: skip


def _speeds(view: View, chains: Chains) -> tuple[Array, Array]:
    """How long steps are in pixels per root of a frame: sigma of the other steps of each link's track; and of each row.

    A track's own steps count from 4.5 sigma of all downwards, with a few of the usual ones, and never make it slower.
    """
    before, after = chains.links
    scales, found = view.scales, view.book.detections
    gap = found.frame[after] - found.frame[before]
    dims = view.place.shape[1]
    square = ((view.place[after] - view.place[before]) ** 2).sum(1) / gap
    capped = np.minimum(square, (4.5 * scales.sigma) ** 2) / dims
    index = chains.index
    which = index[~chains.tail]
    count = int(index[-1]) + 1 if len(index) else 0
    total, steps = np.bincount(which, capped, count), np.bincount(which, minlength=count)
    usual = scales.sigma**2
    others = (_PRIOR * usual + total[which] - capped) / (_PRIOR + steps[which] - 1)
    own = (_PRIOR * usual + total) / (_PRIOR + steps)
    return np.sqrt(np.maximum(others, usual)), np.sqrt(np.maximum(own, usual))[index]


def _jumps(view: View, chains: Chains, speed: Array) -> Iterator[Problem]:
    before, after = chains.links
    book, frame = view.book, view.book.detections.frame
    length = np.linalg.norm(view.place[after] - view.place[before], axis=1)
    gap = frame[after] - frame[before]
    sigmas = 3 / view.scales.bound * length / (speed * np.sqrt(gap))
    for i in np.flatnonzero((sigmas > 3) & (length > _radius(view, before))).tolist():
        one, other = int(before[i]), int(after[i])
        if not book.pins.get((one, other)) and ("jump", one, other) not in book.accepted:
            over = f" over {gap[i]} frames" if gap[i] > 1 else ""
            text = f"jumps {length[i]:.0f} px{over}, {sigmas[i]:.1f} sigma"
            yield _problem(view, "jump", other, text, sigmas[i], (one, other))


def _sizes(view: View, chains: Chains) -> Iterator[Problem]:
    before, after = chains.links
    book, found = view.book, view.book.detections
    growth = view.size[after] - view.size[before]
    sigmas = np.abs(growth) / (view.scales.growth * np.sqrt(found.frame[after] - found.frame[before]))
    odd = np.flatnonzero((np.abs(growth) > np.log(1.5)) & (sigmas > 4))
    inside = _margin(view, before[odd]) > _radius(view, before[odd]) + 1
    inside &= _margin(view, after[odd]) > _radius(view, after[odd]) + 1
    dividing = set(book.mothers.values())
    for i in odd[inside].tolist():
        one, other, track = int(before[i]), int(after[i]), int(book.track[after[i]])
        if track in dividing and book.last(track) - found.frame[other] < SHORT:
            continue
        if track in book.mothers and found.frame[one] - book.first(track) < SHORT:
            continue
        if not book.pins.get((one, other)) and ("size", one, other) not in book.accepted:
            text = f"changes size from {found.area[one]:.0f} to {found.area[other]:.0f} px, {sigmas[i]:.1f} sigma"
            yield _problem(view, "size", other, text, sigmas[i], (one, other))


def _margin(view: View, rows: Array, ahead: int = 0) -> Array:
    """Pixels from the border, also when the drift of the next (1) or the last (-1) frame goes on."""
    scales, found = view.scales, view.book.detections
    position = found.position[rows, -2:]
    where = [position]
    if ahead:
        frame = found.frame[rows]
        then = np.clip(frame + ahead, 0, found.frames - 1)
        where.append(position + (scales.drift[then] - scales.drift[frame])[:, -2:])
    size = np.array([scales.height, scales.width])
    margins: Array = np.min([np.minimum(p, size - p).min(1) for p in where], axis=0)
    return margins


def _radius(view: View, rows: Array) -> Array:
    radius: Array = np.sqrt(view.book.detections.area[rows] / np.pi)
    return radius


def _inner_ends(view: View, chains: Chains, own: Array) -> dict[str, dict[int, float]]:
    """Free starts and ends away from the first and last frame and from the border: row -> pixels to the border."""
    book, found = view.book, view.book.detections
    born = _listed(book.mothers)
    bound = _listed([*book.mothers.values(), *book.merged])
    inner = {}
    for kind, side, taken, ahead, edge in (
        ("starts", chains.head, born, -1, 0), ("ends", chains.tail, bound, 1, found.frames - 1),
    ):  # fmt: skip
        rows = chains.rows[side]
        away = _margin(view, rows, ahead)
        far = (found.frame[rows] != edge) & ~np.isin(book.track[rows], taken)
        far &= away > view.scales.bound * own[side] + _radius(view, rows)
        inner[kind] = dict(zip(rows[far].tolist(), away[far].tolist(), strict=True))
    return inner


def _free_ends(
    view: View, chains: Chains, inner: dict[str, dict[int, float]], *, everything: bool
) -> Iterator[Problem]:
    """Tracks that start, end, or do both soon, away from the border."""
    book, frame = view.book, view.book.detections.frame
    a, b = 0, None
    if not everything and len(chains.rows):
        a, b = view.window(int(frame[chains.rows].min()) - GAP, int(frame[chains.rows].max()) + GAP)
    starts, ends = (np.array(sorted(inner[kind]), np.int64) for kind in ("starts", "ends"))
    near = {
        "starts": _nearest(view, *view.meet(view.ends(a, b), starts), at=1),
        "ends": _nearest(view, *view.meet(ends, view.starts(a, b)), at=0),
    }
    wholes = set(book.merged.values())
    for head, tail in zip(chains.rows[chains.head].tolist(), chains.rows[chains.tail].tolist(), strict=True):
        open_ = [
            (kind, row, near[kind].get(row, np.inf))
            for kind, row in (("starts", head), ("ends", tail))
            if row in inner[kind] and near[kind].get(row, np.inf) is not None and (kind, row) not in book.accepted
        ]
        length = int(frame[tail] - frame[head]) + 1
        if len(open_) == 2 and length <= SHORT and book.track[head] not in wholes:
            if ("short", head) not in book.accepted:
                text = f"is there for {length} frame{'s' * (length > 1)} only"
                yield _problem(view, "short", head, text, 5 - 0.5 * length, (head,))
            continue
        for kind, row, sigmas in open_:
            text = f"{kind} {inner[kind][row]:.0f} px from the border"
            if sigmas is not None and sigmas < np.inf:
                text += f"; {sigmas:.1f} sigma away another {'ended' if kind == 'starts' else 'starts'}"
            yield _problem(view, kind, row, text, 3 + max(0.0, 3 - (sigmas or 0)), (row,))


def _nearest(view: View, ends: Array, starts: Array, sigmas: Array, *, at: int) -> dict[int, float | None]:
    """Row -> how many sigma away its nearest counterpart is; None: a person said that it is not to have any."""
    book = view.book
    apart = {pair for pair, together in book.pins.items() if not together}
    decided = {pair[at] for pair in apart}
    found: dict[int, float | None] = dict.fromkeys(decided)
    for end, start, distance in zip(ends.tolist(), starts.tolist(), sigmas.tolist(), strict=True):
        row = start if at else end
        if row in decided and (end, start) in apart:
            continue
        best = found.get(row)
        found[row] = distance if best is None else min(best, distance)
    return found


def _swaps(view: View, chains: Chains, *, everything: bool) -> Iterator[Problem]:
    book, found = view.book, view.book.detections
    a, b = neighbours(view, chains.rows)
    one, other = book.track[a], book.track[b]
    if everything:
        wanted = one < other
    else:
        mine = np.zeros(len(found), bool)
        mine[chains.rows] = True
        wanted = (other > 0) & ((one < other) | ~mine[b])
    wanted &= (one > 0) & (view.next[a] >= 0) & (view.next[b] >= 0)
    turned = one > other
    a, b = np.where(turned, b, a)[wanted], np.where(turned, a, b)[wanted]
    a2, b2 = view.next[a], view.next[b]
    odds = view.cost(a, b2) + view.cost(b, a2) - view.cost(a, a2) - view.cost(b, b2)
    likely = odds <= LIKELY
    a, b, odds = a[likely], b[likely], odds[likely]
    order = np.lexsort((found.frame[a], book.track[b], book.track[a]))
    a, b, odds = a[order], b[order], odds[order]
    one, other, frame = book.track[a], book.track[b], found.frame[a]
    breaks = (np.diff(one) != 0) | (np.diff(other) != 0) | (np.diff(frame) > GAP)
    for run in np.split(np.arange(len(a)), np.flatnonzero(breaks) + 1) if len(a) else []:
        yield from _swap(view, a[run], b[run], odds[run])


def _swap(view: View, a: Array, b: Array, odds: Array) -> Iterator[Problem]:
    """The likeliest place of two tracks' meeting to be the other way round, when nobody decided about it."""
    book, found = view.book, view.book.detections
    one, other = int(book.track[a[0]]), int(book.track[b[0]])
    mother = book.mothers.get(one)
    if mother and mother == book.mothers.get(other) and found.frame[a[0]] - book.first(one) <= GAP:
        return  # sisters that just parted: which is which says nothing
    for row in [*a.tolist(), *b.tolist()]:
        if book.pins.get((row, int(view.next[row]))):
            return
    if any(("swap", *pair) in book.accepted for pair in zip(a.tolist(), b.tolist(), strict=True)):
        return
    i = int(odds.argmin())
    first, second = int(a[i]), int(b[i])
    chance = 100 / (1 + np.exp(min(odds[i], 50.0)))
    text = f"and {other} may be swapped: {chance:.0f} % that they are, by their steps"
    rows = (first, second)
    frame = int(found.frame[first]) + 1
    yield _problem(view, "swap", int(view.next[first]), text, 3 - max(odds[i], -7), rows, other=other, frame=frame)


def _daughters(view: View, tracks: set[int]) -> Iterator[Problem]:
    book, found = view.book, view.book.detections
    counts = Counter(book.mothers.values())
    for daughter, mother in book.mothers.items():
        before, after = book.rows(mother), book.rows(daughter)
        if not (len(before) and len(after)):
            continue
        last, first = int(before[-1]), int(after[0])
        if mother in tracks and counts[mother] == 1 and ("lone daughter", last, first) not in book.accepted:
            text = f"divides into one daughter only, {daughter}"
            yield _problem(
                view, "lone daughter", first, text, 4, (last, first), track=mother, other=daughter
            )  # fmt: skip
        if daughter in tracks:
            gap = max(int(found.frame[first] - found.frame[last]), 1)
            length = float(np.linalg.norm(view.place[first] - view.place[last]))
            usual = view.scales.parting * gap**0.5
            known = book.pins.get((last, first)) or ("far daughter", last, first) in book.accepted
            if length > usual and not known:
                text = f"starts {length:.0f} px from where its mother {mother} ended, {usual:.0f} px would be much"
                yield _problem(view, "far daughter", first, text, 3 * length / usual, (last, first), other=mother)


def _gaps(view: View, chains: Chains) -> Iterator[Problem]:
    before, after = chains.links
    book, frame = view.book, view.book.detections.frame
    for i in np.flatnonzero(frame[after] - frame[before] > 1).tolist():
        one, other = int(before[i]), int(after[i])
        places = book.filled.get(int(book.track[one]), {})
        missing = [f for f in range(int(frame[one]) + 1, int(frame[other])) if f not in places]
        if missing and ("gap", one, other) not in book.accepted:
            text = f"has no object on {len(missing)} frame{'s' * (len(missing) > 1)}"
            yield _problem(view, "gap", one, text, 1 + 0.5 * len(missing), (one, other), frame=missing[0])


def holes_of(view: View, before: Array) -> tuple[Array, Array, Array]:
    """The frames that links pass: the row before, the frame and the place on the way."""
    frame = view.book.detections.frame
    gap = frame[view.next[before]] - frame[before]
    before, gap = before[(gap > 1) & (gap <= LONG)], gap[(gap > 1) & (gap <= LONG)]
    which = np.repeat(np.arange(len(before)), gap - 1)
    step = np.arange(len(which)) - np.repeat(np.cumsum(gap - 1) - (gap - 1), gap - 1) + 1
    rows = before[which]
    share = (step / gap[which])[:, None]
    place = view.place[rows] + share * (view.place[view.next[rows]] - view.place[rows])
    return rows, frame[rows] + step, place


def _loose(view: View, chains: Chains, inner: dict[str, dict[int, float]]) -> Iterator[Problem]:
    """Objects in no track where a track is filled, or where it ends at the border; else the end's fixes have them."""
    loose = view.loose()
    if not len(loose):
        return
    book, found = view.book, view.book.detections
    holes, at, place = holes_of(view, chains.links[0])
    which, other, apart = pairs(at, place, found.frame[loose], view.place[loose], view.scales.reach)
    near = [
        (apart_, anchor, row, f"is filled on frame {found.frame[row] + 1}")
        for apart_, anchor, row in zip(apart.tolist(), holes[which].tolist(), loose[other].tolist(), strict=True)
        if found.frame[row] in book.filled.get(int(book.track[anchor]), {})
    ]
    heads = np.setdiff1d(np.intersect1d(chains.rows[chains.head], view.starts()), _listed(inner["starts"]))
    tails = np.setdiff1d(np.intersect1d(chains.rows[chains.tail], view.ends()), _listed(inner["ends"]))
    for what, anchors, rows, sigmas in (
        ("ends", *view.meet(tails, loose)), ("starts", *_turned(view.meet(loose, heads))),
    ):  # fmt: skip
        apart = sigmas * view.scales.sigma
        near += [(*n, what) for n in zip(apart.tolist(), anchors.tolist(), rows.tolist(), strict=True)]
    best: dict[tuple[int, int], tuple[float, int, str]] = {}
    for distance, anchor, row, what in near:
        if not ({(anchor, row), (row, anchor)} & book.pins.keys() or ("loose", anchor, row) in book.accepted):
            key = anchor, int(found.frame[row])
            best[key] = min(best.get(key, (np.inf, 0, "")), (distance, row, what))
    for (anchor, _), (distance, row, what) in best.items():
        text = f"{what}, {distance:.0f} px from object {found.object[row]}, which is in no track"
        yield _problem(view, "loose", row, text, 2, (anchor, row), track=int(book.track[anchor]))


def _turned(met: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    return met[1], met[0], met[2]


def _listed(rows: Iterable[int]) -> Array:
    return np.array(list(rows), np.int64)
