"""The second pass for points: what starts takes an end over missed frames, divides off another track, or is new.

All of it is one sparse assignment: on one side the starts of tracks; on the other their ends, and a second place in
each track that goes on (a division). Merges are the same with time reversed. Costs are negative log likelihoods
(`rates`).
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from mia_tui.tracking import rates as likelihood
from mia_tui.tracking.assign import assign, components
from mia_tui.tracking.candidates import near
from mia_tui.tracking.options import GATE, LinkOptions
from mia_tui.tracking.points import LEAST, gate_factor
from mia_tui.tracking.rates import Census, Evidence, Rates
from mia_tui.tracking.scene import Scene

Array = npt.NDArray[Any]

_FIELD = 4.0
"""Gates that the field of view is wide at least."""
_SAMPLE = 50_000
"""Objects that are enough to learn how far things move."""
_STARTS = 10_000
"""Starts that are enough to learn the rates."""


@dataclass(frozen=True)
class Possible:
    """What the second pass chooses from; all are rows of `Detections`.

    Attributes
    ----------
    end, start : (n,) int64
        Links over missed frames.
    stem, limb, other : (m,) int64
        A division: the mother, the start that may be a daughter, and the daughter that the mother is linked to (with
        `pair`: another start). A merge: the object that two become, the end that may be one of them, and the other.
    pair, merge : (m,) bool
    """

    end: Array
    start: Array
    stem: Array
    limb: Array
    other: Array
    pair: Array
    merge: Array

    def only(self, gaps: Array, forks: Array) -> "Possible":
        names = [field.name for field in fields(self)]
        return Possible(*(getattr(self, name)[gaps if name in ("end", "start") else forks] for name in names))


def find(scene: Scene, lags: Array, frames: range) -> Possible:
    """What the starts of some frames may come from, and what the ends before them may have become part of."""
    options, longest = scene.options, scene.options.gap("points")
    starts, ends = scene.starts(frames), scene.ends(range(frames.start - 1 - longest, frames.stop))
    gates = _gap_gates(lags, options, scene.axes)
    gaps: list[tuple[Array, Array]] = []
    forks: list[tuple[Array, Array, Array]] = []
    sorts: list[tuple[bool, bool, int]] = []
    for t in frames:
        start, end = scene.of_frame(starts, t), scene.of_frame(ends, t - 1)
        for missed in range(1, longest + 1 if len(start) else 0):
            before = scene.of_frame(ends, t - 1 - missed)
            gaps.append(near(before, scene.at(before), start, scene.at(start), gates[missed]))
        if options.divisions and len(start):
            mother = scene.may_divide(t)
            stem, limb = near(mother, scene.at(mother), start, scene.at(start), scene.fork_gate)
            forks.append((stem, limb, scene.out[stem]))
            forks.append(_pairs(scene, end, start))
            sorts += [(False, False, len(stem)), (True, False, len(forks[-1][0]))]
        if options.merges and len(end):
            whole = scene.may_take(t)
            stem, limb = near(whole, scene.at(whole), end, scene.at(end), scene.fork_gate)
            forks.append((stem, limb, scene.into[stem]))
            sorts.append((False, True, len(stem)))
    nothing = np.zeros(0, np.int64)
    end, start = (np.concatenate(column) for column in zip((nothing, nothing), *gaps, strict=True))
    stem, limb, other = (np.concatenate(column) for column in zip((nothing,) * 3, *forks, strict=True))
    counts = [count for *_, count in sorts]
    pair, merge = (np.repeat(np.array([sort[i] for sort in sorts], bool), counts) for i in (0, 1))
    return _allowed(scene, Possible(end, start, stem, limb, other, pair, merge))


def _gap_gates(lags: Array, options: LinkOptions, axes: int) -> Array:
    """(G + 1,) pixels: the farthest that an object moves in so many frames."""
    gates: Array = np.sqrt(gate_factor(axes) * lags)
    if options.max_distance is not None:
        gates = np.minimum(gates, options.max_distance * (1 + np.arange(len(lags))))
    return gates


def _pairs(scene: Scene, ends: Array, starts: Array) -> tuple[Array, Array, Array]:
    """(stem, limb, other): for each end the two starts near it whose middle is nearest to it, if it has two."""
    end, start = near(ends, scene.at(ends), starts, scene.at(starts), scene.fork_gate)
    first, second = _two_of_each(end)
    middle = (scene.at(start[first]) + scene.at(start[second])) / 2 - scene.at(end[first])
    square = np.einsum("ij,ij->i", middle, middle)
    order = np.lexsort((square, end[first]))
    best = order[np.diff(end[first][order], prepend=-1) != 0]
    return end[first][best], start[first][best], start[second][best]


def _two_of_each(sorted_values: Array) -> tuple[Array, Array]:
    """Indices of all pairs of equal values."""
    counts = np.unique(sorted_values, return_counts=True)[1]
    left = np.repeat(counts.cumsum(), counts) - np.arange(len(sorted_values)) - 1  # equal ones after each
    first = np.repeat(np.arange(len(sorted_values)), left)
    second = first + 1 + np.arange(len(first)) - np.repeat(left.cumsum() - left, left)
    return first, second


def _allowed(scene: Scene, possible: Possible) -> Possible:
    """Without what pins forbid, and with the hard rule without links between classes."""
    pins, merge = scene.book.pins, possible.merge
    gaps = ~pins.forbids(possible.end, possible.start)
    source = np.where(merge, possible.limb, possible.stem)
    target = np.where(merge, possible.stem, possible.limb)
    forks = ~pins.forbids(source, target) & ~(possible.pair & pins.forbids(possible.stem, possible.other))
    if scene.options.class_rule == "hard":
        gaps &= scene.label[possible.end] == scene.label[possible.start]
        forks &= scene.label[possible.stem] == scene.label[possible.limb]
        forks &= ~possible.pair | (scene.label[possible.stem] == scene.label[possible.other])
    return possible.only(gaps, forks)


def evidence_of(scene: Scene, possible: Possible, view: Array) -> Evidence:
    """What tells for the possible links and against them."""
    stem, limb, other, merge = possible.stem, possible.limb, possible.other, possible.merge
    at_stem, at_limb, at_other = scene.at(stem), scene.at(limb), scene.at(other)

    def kinds(rows: Array, as_end: Array) -> Array:
        return np.where(as_end, scene.end_kinds(rows, view), scene.start_kinds(rows, view))

    return Evidence(
        square=_square(scene.at(possible.start) - scene.at(possible.end)),
        missed=scene.frame[possible.start] - scene.frame[possible.end] - 1,
        end=scene.end_kinds(possible.end, view),
        start=scene.start_kinds(possible.start, view),
        differs=scene.label[possible.end] != scene.label[possible.start],
        middle=_square((at_limb + at_other) / 2 - at_stem),
        step=_square(at_other - at_stem),
        apart=np.sqrt(_square(at_limb - at_other)),
        limb=kinds(limb, merge),
        other=kinds(other, merge),
        stem=kinds(stem, ~merge),
        unlike=scene.label[limb] != scene.label[stem],
        pair=possible.pair,
        merge=merge,
    )


def _square(vectors: Array) -> Array:
    squares: Array = np.einsum("ij,ij->i", vectors, vectors)
    return squares


def learn_and_close(scene: Scene) -> tuple[Array, Rates]:
    """(k, 2) links over gaps and second links of divisions and merges in the whole sequence, and what was learnt."""
    view = _view(scene)
    lags = _lags(scene)
    possible = find(scene, lags, range(1, scene.last + 1))
    evidence = evidence_of(scene, possible, view)
    stride = 1 + len(scene.starts(range(scene.last + 1))) // _STARTS
    rates = likelihood.first_guess(view, lags, scene.fork_gate, _census(scene, view, stride))
    of = np.concatenate([possible.start, np.where(possible.merge, len(scene.frame) + possible.limb, possible.limb)])
    number = np.unique(of, return_inverse=True)[1]
    seen = number % stride == 0
    gaps = len(possible.start)
    some = evidence.only(seen[:gaps], seen[gaps:])
    gap_of, fork_of = (number[part][seen[part]] // stride for part in (slice(gaps), slice(gaps, None)))
    rates = likelihood.learn(rates, some, _census(scene, view, stride), gap_of, fork_of, scene.soft)
    return choose(scene, possible, evidence, rates), rates


def _view(scene: Scene) -> Array:
    """(2, D): lowest and highest coordinates, apart by some gates at least, as a few objects do not show the field."""
    low, high = scene.places.min(0), scene.places.max(0)
    more = np.maximum(_FIELD * GATE - (high - low), 0) / 2
    return np.stack([low - more, high + more])


def _sample(scene: Scene) -> tuple[Array, int]:
    """Rows evenly from the whole sequence, and every how many-th it is."""
    stride = 1 + len(scene.frame) // _SAMPLE
    return np.arange(0, len(scene.frame), stride), stride


def _lags(scene: Scene) -> Array:
    """(G + 1,): variance along one axis of what an object moves in 1, 2, ... frames, by the first pass's links."""
    rows = _sample(scene)[0]
    at, variances = rows, [float(np.median(scene.motion.spread))]
    for apart in range(1, scene.options.gap("points") + 2):
        at = scene.out[at]
        rows, at = rows[at >= 0], at[at >= 0]
        near_in_time = scene.frame[at] - scene.frame[rows] == apart
        rows, at = rows[near_in_time], at[near_in_time]
        found = float(np.median(_square(scene.at(at) - scene.at(rows)))) / chi2.median(scene.axes) if len(at) else 0.0
        weight = len(at) / (len(at) + 10)
        variances.append(max(weight * found + (1 - weight) * variances[0] * apart, LEAST**2))
    return np.array(variances[1:])


def _census(scene: Scene, view: Array, stride: int) -> Census:
    """Numbers of objects by kind, divided by `stride`."""
    everything = range(scene.last + 1)
    starts, ends = scene.starts(everything), scene.ends(everything)
    rows, every = _sample(scene)
    beside = scene.start_kinds(rows, view) % 2
    share = np.bincount(beside, minlength=2) / max(len(rows), 1)
    volume = np.maximum(float(np.prod(view[1] - view[0])) * (scene.last + 1) * share, 1.0)
    return Census(
        starts=np.bincount(scene.start_kinds(starts, view), minlength=10) / stride,
        ends=np.bincount(scene.end_kinds(ends, view), minlength=10) / stride,
        volume=np.tile(volume, 5) / stride,
        objects=np.bincount(scene.end_kinds(rows, view), minlength=10) * every / stride,
        links=float(np.count_nonzero(scene.into >= 0)) / stride,
    )


def choose(scene: Scene, possible: Possible, evidence: Evidence, rates: Rates) -> Array:
    """(k, 2): the links that are likelier together than any others or none."""
    gap_cost, fork_cost = likelihood.decision_costs(evidence, rates, scene.soft)
    row, column, fork = _places_of(possible, len(scene.frame))
    cost = np.concatenate([gap_cost, fork_cost[fork] / np.where(possible.pair[fork], 2, 1)])
    lowest = min(float(cost.min(initial=0)), 0.0)
    chosen = assign(row, column, cost - lowest, -lowest)
    gaps, parts = chosen[: len(gap_cost)], fork[chosen[len(gap_cost) :]]
    whole = np.bincount(parts, minlength=len(fork_cost)) == 1 + possible.pair  # both daughters of a pair or none
    pair, merge = possible.pair & whole, possible.merge & whole
    plain = whole & ~merge
    links = [
        (possible.end[gaps], possible.start[gaps]), (possible.stem[plain], possible.limb[plain]),
        (possible.stem[pair], possible.other[pair]), (possible.limb[merge], possible.stem[merge]),
    ]  # fmt: skip
    return np.concatenate([np.stack(link, 1) for link in links])


def _places_of(possible: Possible, count: int) -> tuple[Array, Array, Array]:
    """(rows, columns, forks) of the assignment: gaps, then forks, then the first places of pairs; which fork they are.

    Rows are starts, and from `count` on second places of objects that two become; columns ends, and second places of
    mothers.
    """
    merge, forks = possible.merge, np.arange(len(possible.stem))
    pair = possible.pair
    row = np.concatenate([possible.start, np.where(merge, count + possible.stem, possible.limb), possible.other[pair]])
    second = np.where(merge, possible.limb, count + possible.stem)
    column = np.concatenate([possible.end, second, possible.stem[pair]])
    return row, column, np.concatenate([forks, forks[pair]])


def close_again(
    scene: Scene, rates: Rates, frames: range, kept: Array, changed: Array | None = None
) -> tuple[Array, Array]:
    """Solve the links of the second pass to `frames` again where `changed` rows have to do with them.

    Parameters
    ----------
    kept : (k, 2) int64
        Links of the second pass so far.
    changed : (n,) int64, optional
        Rows whose components are solved again; None: what is possible beside `kept`, which stays.

    Returns
    -------
    (kept, new) : (k, 2), (n, 2) int64
    """
    possible = find(scene, rates.lags, frames)
    if changed is not None:
        possible, kept = _touched(scene, possible, frames, kept, changed)
    given, taken = np.zeros((2, len(scene.frame)), bool)
    given[kept[:, 0]] = taken[kept[:, 1]] = True
    merge, pair = possible.merge, possible.pair
    gaps = ~given[possible.end] & ~taken[possible.start]
    forks = ~np.where(merge, taken[possible.stem], given[possible.stem])
    forks &= ~np.where(merge, given[possible.limb], taken[possible.limb])
    forks &= ~(pair & taken[possible.other])
    possible = possible.only(gaps, forks)
    return kept, choose(scene, possible, evidence_of(scene, possible, rates.view), rates)


def _touched(scene: Scene, possible: Possible, frames: range, kept: Array, changed: Array) -> tuple[Possible, Array]:
    """What is possible in the components of the changed rows, and the links outside of them."""
    count = len(scene.frame)
    row, column, fork = _places_of(possible, count)
    late = scene.frame[kept[:, 1]]
    here = (late >= frames.start) & (late < frames.stop)  # those to other frames could not be found again
    source, target = kept[here].T
    rows = np.concatenate([row, target, target, count + target])
    columns = np.concatenate([column, source, count + source, source])
    part = components(rows, columns)
    is_changed = np.zeros(count, bool)
    is_changed[changed] = True
    again = np.isin(part, np.unique(part[is_changed[rows % count] | is_changed[columns % count]]))
    gaps, links = len(possible.start), len(row)
    forks = np.zeros(len(possible.stem), bool)
    forks[fork[again[gaps:links]]] = True
    stays = ~here
    stays[here] = ~again[links : links + len(source)]
    return possible.only(again[:gaps], forks), kept[stays]
