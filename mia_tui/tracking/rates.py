"""What the second pass knows of a sequence: how far things move, how often they are missed, appear, end and divide.

Each possible link is weighed as -log of how likely it is, against -log of how likely its objects are without it: a
start that is new, an end that is one. The rates are learnt by expectation maximisation from the possible links.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LIFE = 3
"""Frames after which a track is taken for one; false detections rarely make it so far."""
LIVES = np.array([0.06, 0.06, 0.88, 1.0, 0.94])
"""How likely a true track is seen 1, 2, or at least 3 frames long before it is broken; and at least 1, at least 2."""
_CENSORED = {3: slice(0, 3), 4: slice(1, 3)}
"""Tracks at the sequence's border, 1 and 2 frames long: their length may be any of these."""
_CLASS = 2.5
"""-log of how likely an object is given another class, with the soft rule."""
_DAUGHTERS = 0.6
"""Variance of the middle of two daughters around their mother, in units of that of a step: half, and the noise."""
_THIRD = float(np.log(2))
"""Divisions and merges are taken from a probability of one third on, where F1 is best, not of one half."""
_ROUNDS = 20
_WEIGHT = 10.0
"""Divisions that the first guess of the daughters' distance is worth."""


@dataclass(frozen=True)
class Rates:
    """Numbers of one sequence. Lengths in pixels; kinds are those of `Evidence`.

    Attributes
    ----------
    view : (2, D)
        Lowest and highest coordinates.
    lags : (G + 1,)
        Variance along one axis of what an object moves in 1, 2, ... frames.
    new, gone : (10,)
        -log of new tracks per volume and frame, and of the share of objects that are the last of a track, by kind.
    room : float
        -log of objects per volume and frame.
    missed : float
        Share of objects that are not detected.
    division, merge : (3,)
        How many per object and frame; mean and standard deviation of the distance of the two.
    """

    view: Array
    lags: Array
    new: Array
    gone: Array
    room: float
    missed: float
    division: Array
    merge: Array

    def as_json(self) -> dict[str, Any]:
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}

    @classmethod
    def of_json(cls, written: Mapping[str, Any]) -> "Rates":
        values: dict[str, Any] = {name: np.asarray(value, np.float64) for name, value in written.items()}
        return cls(**values | {name: float(written[name]) for name in ("room", "missed")})


@dataclass(frozen=True)
class Evidence:
    """What tells for the possible links. A kind is 2 x length of the track (0, 1, 2: 1, 2, at least 3 frames; 3, 4: at
    least 1, at least 2, cut by the sequence's border), plus 1 beside the border of the view.

    Attributes
    ----------
    square, missed : (n,)
        Squared distance and missed frames of links over a gap.
    end, start : (n,) int
        Kinds of their objects.
    differs : (n,) bool
        Whether their classes do.
    middle, step : (m,)
        Of divisions: squared distances from the mother of the daughters' middle, and of the daughter she is linked to.
        Of merges the same with time reversed.
    apart : (m,)
        Distance of both daughters.
    limb, other, stem : (m,) int
        Kinds.
    unlike : (m,) bool
        Whether the start's class is another than the mother's.
    pair, merge : (m,) bool
        Whether the mother is linked to none of both; whether it is a merge.
    """

    square: Array
    missed: Array
    end: Array
    start: Array
    differs: Array
    middle: Array
    step: Array
    apart: Array
    limb: Array
    other: Array
    stem: Array
    unlike: Array
    pair: Array
    merge: Array

    def only(self, gaps: Array, forks: Array) -> "Evidence":
        of_gaps = ("square", "missed", "end", "start", "differs")
        return Evidence(**{name: value[gaps if name in of_gaps else forks] for name, value in vars(self).items()})


@dataclass(frozen=True)
class Census:
    """How many objects of each kind there are.

    Attributes
    ----------
    starts, ends : (10,)
        Those that the first pass left without a link, by kind.
    volume : (10,)
        Volume x frames in which starts of the kind are looked for.
    objects : (10,)
        All objects, by the kind they would have as ends.
    links : float
        Links of the first pass.
    """

    starts: Array
    ends: Array
    volume: Array
    objects: Array
    links: float


def first_guess(view: Array, lags: Array, reach: float, census: Census) -> Rates:
    """Rates as if no possible link were one. `reach`: how far from the mother daughters are looked for, in pixels."""
    fork = np.array([0.004, reach / 2, reach / 2])
    room = float(np.log(census.volume[:2].sum() / (census.objects.sum() + 1)))
    blank = Rates(view, lags, np.zeros(10), np.zeros(10), room, 0.05, fork, fork)
    return _counted(blank, census, census.starts, census.ends)


def _counted(rates: Rates, census: Census, starts: Array, ends: Array) -> Rates:
    """With the costs of starts and ends of which so many have no other explanation."""
    density = _pooled(np.maximum(starts, 0) + 0.5) / census.volume
    share = _pooled(np.maximum(ends, 0) + 0.5) / (_pooled(census.objects) + 1)
    return replace(rates, new=-np.log(density), gone=-np.log(np.minimum(share, 0.5)))


def _pooled(counts: Array) -> Array:
    """Where a track is cut by the sequence's border, those of all lengths that it may have."""
    table = counts.reshape(5, 2).copy()
    for row, lengths in _CENSORED.items():
        table[row] = table[lengths].sum(0)
    flat: Array = table.reshape(10)
    return flat


def gap_costs(evidence: Evidence, rates: Rates, soft: bool) -> Array:
    """(n,) float64: of links over missed frames; below 0 where they are likelier than no link."""
    variance = rates.lags[evidence.missed]
    cost: Array = _normal(evidence.square, variance, rates.view.shape[1]) - evidence.missed * np.log(rates.missed)
    cost -= np.log(LIVES[evidence.start // 2]) + np.log(LIVES[evidence.end // 2])
    cost -= rates.new[evidence.start] + rates.gone[evidence.end]
    cost += _CLASS * soft * evidence.differs
    return cost


def fork_costs(evidence: Evidence, rates: Rates, soft: bool) -> Array:
    """(m,) float64: of divisions and merges; below 0 where they are likelier than no second link."""
    axes, one = rates.view.shape[1], float(rates.lags[0])
    rate, mean, deviation = np.where(evidence.merge[:, None], rates.merge, rates.division).T
    shell = np.log((2 if axes == 2 else 4) * np.pi) + (axes - 1) * np.log(np.maximum(evidence.apart, 1.0))
    cost: Array = _normal(evidence.middle, np.array(_DAUGHTERS * one), axes) + shell
    cost += ((evidence.apart - mean) / deviation) ** 2 / 2 + np.log(np.sqrt(2 * np.pi) * deviation) - np.log(rate)
    cost -= np.log(LIVES[evidence.limb // 2]) + np.log(LIVES[evidence.other // 2])
    alone, partner = rates.new, rates.gone
    cost -= np.where(evidence.merge, partner[evidence.limb] + rates.room, alone[evidence.limb])
    linked = _normal(evidence.step, np.array(one), axes)
    cost -= np.where(evidence.pair, alone[evidence.other] + partner[evidence.stem], linked)
    cost += _CLASS * soft * evidence.unlike
    return cost


def decision_costs(evidence: Evidence, rates: Rates, soft: bool) -> tuple[Array, Array]:
    """Costs of gaps and of forks as the assignment gets them."""
    return gap_costs(evidence, rates, soft), fork_costs(evidence, rates, soft) - _THIRD


def _normal(square: Array, variance: Array, axes: int) -> Array:
    """-log density of a normal distribution at a squared distance from its middle."""
    cost: Array = square / (2 * variance) + axes / 2 * np.log(2 * np.pi * variance)
    return cost


def learn(rates: Rates, evidence: Evidence, census: Census, gap_of: Array, fork_of: Array, soft: bool) -> Rates:
    """Expectation maximisation: how likely each link is, given the rates; the rates, given that.

    Parameters
    ----------
    gap_of, fork_of : (n,), (m,) int
        Numbers of what they would explain, from 0: of starts; of ends for merges.
    """
    reach = float(rates.division[1] * 2)
    who = np.concatenate([gap_of, fork_of])
    for _ in range(_ROUNDS):
        cost = np.concatenate([gap_costs(evidence, rates, soft), fork_costs(evidence, rates, soft)])
        weight = np.exp(-np.clip(cost, -30, 30))
        weight /= 1 + np.bincount(who, weight)[who] if len(who) else 1
        gap, fork = weight[: len(gap_of)], weight[len(gap_of) :]
        divided, paired = fork * ~evidence.merge, fork * evidence.pair
        merged = fork * evidence.merge
        starts = _left(census.starts, (evidence.start, gap), (evidence.limb, divided), (evidence.other, paired))
        ends = _left(census.ends, (evidence.end, gap), (evidence.limb, merged), (evidence.stem, paired))
        rates = replace(
            _counted(rates, census, starts, ends),
            missed=float((gap.sum() + 5) / (census.links + 100)),
            division=_fork_rate(divided, evidence.apart, rates, reach, census),
            merge=_fork_rate(merged, evidence.apart, rates, reach, census),
        )
    return rates


def _left(counts: Array, *explained: tuple[Array, Array]) -> Array:
    """Counts by kind, less the weights of what explains some of them."""
    for kinds, weights in explained:
        counts = counts - np.bincount(kinds, weights, minlength=10)
    return counts


def _fork_rate(weight: Array, apart: Array, rates: Rates, reach: float, census: Census) -> Array:
    total = weight.sum() + _WEIGHT
    mean = (weight @ apart + _WEIGHT * reach / 2) / total
    variance = (weight @ (apart - mean) ** 2 + _WEIGHT * (reach / 4) ** 2) / total
    rate = (weight.sum() + 2) / (census.objects.sum() + 500)
    return np.array([rate, mean, np.sqrt(max(variance, float(rates.lags[0]) / 4))])
