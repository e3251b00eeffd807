"""Finding problems of tracks: how much of what is wrong is found, how much else is shown, how long it takes.

    python bench/track_problems.py [--frames 1000] [--objects 1000]

Movies with known tracks are damaged: links cut, tracks swapped where they are near each other, ends joined with starts
of others, objects taken out of their tracks, daughters taken from their mothers, divisions hidden (a daughter is her
mother going on). A damage counts as found when a problem lies within one frame and within a step's reach of an object
in it; a problem near no damage is a false alarm (points also die inside the picture: those ends are there to be looked
at). A fix is right when it leaves fewer wrong links. Then a movie of FRAMES x OBJECTS with errors is searched whole
and again after single corrections. Prints tables and writes bench/results/track_problems.json.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from _output import show

from mia_tui.errors import MiaError
from mia_tui.simulate import simulate
from mia_tui.tracking import edits
from mia_tui.tracking.book import TrackBook
from mia_tui.tracking.chains import Chains
from mia_tui.tracking.detections import Array, Detections
from mia_tui.tracking.doubts import Problem
from mia_tui.tracking.fixes import Fix, fixes
from mia_tui.tracking.problems import ProblemList

EACH = 15
"""Damages of a kind in a movie."""

Damage = tuple[str, list[int]]
"""Kind, and the objects (rows) that are in the wrong track from there on, or in none."""


# ---- movies ----------------------------------------------------------------------------------------------------------


def nuclei(seed: int, density: str) -> tuple[TrackBook, int]:
    """Simulated nuclei with sizes: 48 frames of 400 x 400."""
    side = 400
    made = simulate(48, side, side, seed=seed, density=density)
    frames, places, areas, numbers = [], [], [], []
    for t, mask in enumerate(made.masks):
        area = np.bincount(mask.ravel())
        y, x = (np.bincount(mask.ravel(), where.ravel() + 0.5) for where in np.indices(mask.shape))
        for number in np.flatnonzero(area)[1:].tolist():
            frames.append(t)
            places.append((y[number] / area[number], x[number] / area[number]))
            areas.append(area[number])
            numbers.append(number)
    book = TrackBook(Detections.of(frames, places, area=areas, frames=48), np.array(numbers))
    book.mothers.update({track: mother for track, _, _, mother in made.tracks if mother})
    return book, side


def points(seed: int, sigma: float, frames: int = 60, count: int = 200) -> tuple[TrackBook, int]:
    """Points that diffuse with drift in a view smaller than their world, about 35 px from each other, and divide."""
    rng = np.random.default_rng(seed)
    side = int(70 * count**0.5)
    world = side + 80
    place, number = rng.uniform(-80, world, (count, 2)), np.arange(1, count + 1)
    mothers: dict[int, int] = {}
    found: list[tuple[int, float, float, int]] = []
    for t in range(frames):
        inside = ((place > 0) & (place < side)).all(1)
        seen = place[inside] + rng.normal(0, 0.7, (int(inside.sum()), 2))
        found += [(t, y, x, n) for (y, x), n in zip(seen.tolist(), number[inside].tolist(), strict=True)]
        divides = rng.random(len(place)) < 0.004
        side_step = rng.normal(0, 1, (int(divides.sum()), 2))
        side_step *= 8 / np.linalg.norm(side_step, axis=1, keepdims=True)
        fresh = int(number.max()) + 1 + np.arange(2 * int(divides.sum()))
        mothers |= dict(zip(fresh.tolist(), np.repeat(number[divides], 2).tolist(), strict=True))
        born = np.concatenate([place[divides] + side_step, place[divides] - side_step])
        order = np.concatenate([fresh[::2], fresh[1::2]])
        place, number = np.concatenate([place[~divides], born]), np.concatenate([number[~divides], order])
        stays = rng.random(len(place)) > 0.004
        place, number = place[stays], number[stays]
        place = place + rng.normal(0, sigma, place.shape) + (1.5, -0.7)
        place = np.where(place > world, place - world - 80, np.where(place < -80, place + world + 80, place))
    table = np.array(found)
    # who leaves the view and comes back is a new track
    track, fresh_number = table[:, 3].astype(np.int64), int(table[:, 3].max()) + 1
    for n in np.unique(track):
        own = np.flatnonzero(track == n)
        for back in np.flatnonzero(np.diff(table[own, 0]) > 1):
            track[own[back + 1 :]] = fresh_number
            fresh_number += 1
    book = TrackBook(Detections.of(table[:, 0], table[:, 1:3], frames=frames), track)
    for daughter, mother in mothers.items():
        if book.exists(daughter) and book.exists(mother) and book.last(mother) + 1 == book.first(daughter):
            book.mothers[daughter] = mother
    for mother, daughters in Counter(book.mothers.values()).items():
        if daughters == 1:  # the sister was born outside
            book.mothers = {d: m for d, m in book.mothers.items() if m != mother}
    return book, side


# ---- damages ---------------------------------------------------------------------------------------------------------


def damage(book: TrackBook, seed: int, reach: float) -> list[Damage]:
    """Damage a book; what was done."""
    rng = np.random.default_rng(seed)
    kinds = {"cut": _cut, "swapped": _swap, "joined": _join, "taken out": _drop, "orphan": _orphan, "hidden": _hide}
    done: list[Damage] = []
    for kind, one in kinds.items():
        for _ in range(40 * EACH):
            with suppress(MiaError):
                rows = one(book, rng, reach)
                done += [(kind, rows)] if rows else []
            if sum(k == kind for k, _ in done) == EACH:
                break
    book.pins.clear()
    return done


def _edit(book: TrackBook, edit: Callable[..., str], *arguments: object) -> None:
    with book.drafting() as draft:
        edit(book, draft, *arguments)


def _inner(book: TrackBook, rng: np.random.Generator) -> tuple[int, int, int]:
    """An object (row) in the middle of a track, three frames from its ends; its track and frame."""
    while True:
        row = int(rng.integers(len(book.detections)))
        track, frame = int(book.track[row]), int(book.detections.frame[row])
        if track and book.first(track) + 3 <= frame <= book.last(track) - 3:
            return row, track, frame


def _neighbour(book: TrackBook, rng: np.random.Generator, row: int, track: int, frame: int, reach: float) -> int | None:
    here = book.at(frame)
    apart = np.linalg.norm(book.detections.position[here] - book.detections.position[row], axis=1)
    near = here[(apart < reach) & (book.track[here] > 0) & (book.track[here] != track)]
    return int(rng.choice(near)) if len(near) else None


def _cut(book: TrackBook, rng: np.random.Generator, reach: float) -> list[int]:
    row, track, frame = _inner(book, rng)
    _edit(book, edits.cut, track, frame)
    return [row]


def _swap(book: TrackBook, rng: np.random.Generator, reach: float) -> list[int]:
    row, track, frame = _inner(book, rng)
    other = _neighbour(book, rng, row, track, frame, reach)
    if other is None:
        return []
    _edit(book, edits.swap, track, int(book.track[other]), frame)
    return [row, other]


def _join(book: TrackBook, rng: np.random.Generator, reach: float) -> list[int]:
    """A track goes on as its neighbour does; what it had is a new track, and the neighbour ends."""
    row, track, frame = _inner(book, rng)
    other = _neighbour(book, rng, row, track, frame, reach)
    if other is None:
        return []
    _edit(book, edits.reassign, other, track)
    return [row, other]


def _drop(book: TrackBook, rng: np.random.Generator, reach: float) -> list[int]:
    row, track, frame = _inner(book, rng)
    _edit(book, edits.drop, row)
    _edit(book, edits.fill, track, frame)
    return [row]


def _divided(book: TrackBook, rng: np.random.Generator) -> list[int]:
    """A mother and her two daughters, in any order."""
    mothers = [mother for mother, count in Counter(book.mothers.values()).items() if count == 2]
    if not mothers:
        return []
    mother = int(rng.choice(mothers))
    return [mother, *rng.permutation(book.daughters(mother)).tolist()]


def _orphan(book: TrackBook, rng: np.random.Generator, reach: float) -> list[int]:
    family = _divided(book, rng)
    if family:
        _edit(book, edits.orphan, family[1])
    return [int(book.rows(daughter)[0]) for daughter in family[1:]]


def _hide(book: TrackBook, rng: np.random.Generator, reach: float) -> list[int]:
    family = _divided(book, rng)
    rows = [int(book.rows(daughter)[0]) for daughter in family[1:]]
    if family:
        _edit(book, edits.join, family[0], family[1])
    return rows


# ---- measuring -------------------------------------------------------------------------------------------------------


def links(book: TrackBook) -> Array:
    """Links and divisions as one number each, ascending."""
    before, after = Chains.of(book).links
    ends = [(book.rows(mother)[-1], book.rows(daughter)[0]) for daughter, mother in book.mothers.items()]
    return np.sort(np.concatenate([before * len(book.track) + after, [m * len(book.track) + d for m, d in ends]]))


def right(book: TrackBook, fix: Fix, truth: Array, wrong: int) -> bool:
    """Whether a fix leaves fewer wrong links; it is taken back."""
    with book.drafting() as draft:
        fix.edit(book, draft, *fix.arguments)
    better = len(np.setxor1d(links(book), truth)) < wrong
    book.take_all(draft.steps, forward=False)
    return better


def near(problem: Problem, one: Damage, found: Detections, reach: float) -> bool:
    """Whether a problem is one frame at most and within reach from an object of a damage."""
    where = np.array(problem.position)
    return any(
        abs(problem.frame - found.frame[row]) <= 1 and np.linalg.norm(where - found.position[row]) <= reach
        for row in one[1]
    )


def measure(name: str, make: Callable[[int], tuple[TrackBook, int]], seeds: range) -> dict[str, float]:
    made, hit, alarms, true, first, some = (Counter[str]() for _ in range(6))
    quiet = 0
    for seed in seeds:
        book, side = make(seed)
        before = ProblemList(book, side, side)
        quiet += len(before.problems)
        truth, scales = links(book), before.scales
        done = damage(book, seed, 3 * max(scales.reach, scales.radius))
        listed = ProblemList(book, side, side)
        reach = max(scales.reach, 1.5 * scales.radius)
        made.update(kind for kind, _ in done)
        hit.update(one[0] for one in done if any(near(p, one, book.detections, reach) for p in listed.problems))
        wrong = len(np.setxor1d(links(book), truth))
        for problem in listed.problems:
            if not any(near(problem, one, book.detections, reach) for one in done):
                alarms[problem.kind] += 1
                continue
            true[problem.kind] += 1
            good = [right(book, fix, truth, wrong) for fix in fixes(listed.view, problem)]
            first[problem.kind] += good[:1] == [True]
            some[problem.kind] += any(good)
    total = sum(true.values())
    print(f"{name}: before any damage {quiet / len(seeds):.1f} problems a movie of {len(book.detections)} objects")
    print("  found", {kind: f"{hit[kind]}/{made[kind]}" for kind in made})
    for kind in sorted(true | alarms):
        print(
            f"  {kind:14} true {true[kind]:4} false {alarms[kind]:4}  right: first {first[kind]:4} any {some[kind]:4}"
        )
    return {
        f"{name}: recall": sum(hit.values()) / sum(made.values()),
        f"{name}: false per true": sum(alarms.values()) / total,
        f"{name}: first fix right": sum(first.values()) / total,
        f"{name}: a fix right": sum(some.values()) / total,
    }


def speed(frames: int, objects: int) -> dict[str, float]:
    """A movie whose tracks are cut at 0.2 % and swapped in places: searched whole, and after single corrections."""
    rng = np.random.default_rng(0)
    side = int(70 * objects**0.5)
    place = rng.uniform(0, side, (objects, 2)) + np.cumsum(rng.normal(0, 3, (frames, objects, 2)), axis=0)
    place = np.abs(place)
    place = side - np.abs(side - place)
    frame, who = np.divmod(np.arange(frames * objects), objects)
    found = Detections.of(frame, place.reshape(-1, 2), frames=frames)
    cuts = np.cumsum(rng.random((frames, objects)) < 0.002, axis=0)
    track = 1 + who + objects * cuts.reshape(-1)
    book = TrackBook(found, np.unique(track, return_inverse=True)[1] + 1)
    clock = time.process_time()
    listed = ProblemList(book, side, side)
    whole = time.process_time() - clock
    figures = {"rows": float(len(found)), "problems": float(len(listed.problems)), "search, CPU s": whole}
    swap = next(p for p in listed.problems if p.kind == "swap")
    long = max(book.numbers, key=lambda n: len(book.rows(n)))
    some: list[tuple[str, Callable[..., str], tuple[int, ...]]] = [
        ("cut", edits.cut, (long, book.first(long) + 200 if frames > 400 else book.first(long) + 2)),
        ("swap", edits.swap, (swap.track, swap.other, swap.frame)),
        ("delete a track", edits.delete, (long,)),
    ]
    for name, edit, arguments in some:
        _edit(book, edit, *arguments)
        clock = time.process_time()
        listed.update()
        figures[f"again after {name}, CPU ms"] = 1000 * (time.process_time() - clock)
    clock = time.process_time()
    looked = listed.problems[:: max(len(listed.problems) // 200, 1)]
    for problem in looked:
        fixes(listed.view, problem)
    figures["fixes of a problem, CPU ms"] = 1000 * (time.process_time() - clock) / len(looked)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--objects", type=int, default=1000)
    options = parser.parse_args()
    figures = measure("nuclei, medium", lambda seed: nuclei(seed, "medium"), range(3))
    figures |= measure("nuclei, touching", lambda seed: nuclei(seed, "touching"), range(3))
    figures |= measure("points, sigma 3", lambda seed: points(seed, 3.0), range(3))
    figures |= measure("points, sigma 6", lambda seed: points(seed, 6.0), range(3))
    figures |= speed(options.frames, options.objects)
    show("track_problems", figures, "1 s for 1 M rows, 50 ms after a correction")


if __name__ == "__main__":
    main()
