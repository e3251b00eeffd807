"""Links between points of neighbouring frames: drift removed, squared distances, a gate that is learnt."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from mia_tui.tracking.candidates import Candidates, near, same_class
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.options import GATE, LinkOptions
from mia_tui.tracking.rates import Rates
from mia_tui.tracking.registration import points_shift

Array = npt.NDArray[Any]

_BEYOND = float(np.exp(-10.0))
"""Share of true steps that the gate gives up: in two dimensions it is at 22 sigma^2, a log likelihood of -11."""
_USUAL = 0.05
"""Share of true steps that are longer than the radius within which partners are looked for to find the drift."""
_CLASS = 5.0
"""What another class costs with the soft rule, in units of sigma^2 (60 px^2 where sigma is 3.5 px)."""
_PRIOR_STEPS, _MEMORY = 10.0, 10.0
"""How many steps the first guess of sigma^2 is worth, and over how many frames of steps it is remembered."""
LEAST = 0.05
"""Pixels: sigma is never below it."""


@dataclass
class Motion:
    """What was learnt of a sequence. Frames that are added, or solved again, use it as it is.

    Attributes
    ----------
    drift : (T, D) float64
        Shift of the picture from frame t - 1 to t.
    spread : (T + 1,) float64
        Variance of a step along one axis that the gate of frame t stands on; the last one is for a frame to come.
    steps : (T + 1,) float64
        How many steps that is worth.
    rates : Rates, optional
        What the second pass learnt.
    """

    drift: Array
    spread: Array
    steps: Array
    rates: Rates | None = None

    @classmethod
    def blank(cls, frames: int, axes: int) -> "Motion":
        first = GATE**2 / gate_factor(axes)
        return cls(np.zeros((frames, axes)), np.full(frames + 1, first), np.full(frames + 1, _PRIOR_STEPS))

    def longer(self, frames: int) -> "Motion":
        """The same with room for more frames, about which it knows what it knew last."""
        more = max(frames - len(self.drift), 0)
        return Motion(
            np.concatenate([self.drift, np.zeros((more, self.drift.shape[1]))]),
            np.concatenate([self.spread, np.repeat(self.spread[-1:], more)]),
            np.concatenate([self.steps, np.repeat(self.steps[-1:], more)]),
            self.rates,
        )

    def as_json(self) -> dict[str, Any]:
        arrays = {name: getattr(self, name).tolist() for name in ("drift", "spread", "steps")}
        return arrays | {"rates": self.rates and self.rates.as_json()}

    @classmethod
    def of_json(cls, written: Mapping[str, Any]) -> "Motion":
        drift, spread, steps = (np.asarray(written[name], np.float64) for name in ("drift", "spread", "steps"))
        return cls(drift, spread, steps, Rates.of_json(written["rates"]) if written["rates"] else None)


def gate_factor(axes: int) -> float:
    """The gate's squared distance in units of the variance of a step along one axis."""
    return float(chi2.isf(_BEYOND, axes))


class Points:
    """Squared distances of centres from where the drift takes them.

    With steps of a normal distribution, the sum of d^2 / (2 sigma^2) is the negative log likelihood of a set of links.
    """

    reach = 1
    divides = False

    def __init__(self, detections: Detections, places: Array, options: LinkOptions, motion: Motion, known: int) -> None:
        """`known`: frames before this one are in `motion` already and are not learnt again."""
        self._found, self._places, self._options, self.motion = detections, places, options, motion
        self._starts, self._known = detections.starts, known
        axes = places.shape[1]
        self._factor = gate_factor(axes)
        self._usual = float(chi2.isf(_USUAL, axes))
        self._middle = float(chi2.median(axes))

    def candidates(self, t: int, sources: Array, targets: Array) -> Candidates:
        """Links from `sources`, rows of frame t - 1, to `targets`, rows of frame `t`."""
        if t >= self._known:
            self._learn_drift(t)
        expected = self._places[sources] + self.motion.drift[t]
        source, target = near(sources, expected, targets, self._places[targets], self.gate(t))
        limit = self._factor * float(self.motion.spread[t])
        possible = Candidates(source, target, self.cost(source, target), limit)
        return same_class(possible, self._found) if self._options.class_rule == "hard" else possible

    def cost(self, source: Array, target: Array) -> Array:
        """Squared distances of centres after the drift, and what another class costs."""
        frame = self._found.frame[target]
        apart = self._places[target] - self._places[source] - self.motion.drift[frame]
        cost: Array = np.einsum("ij,ij->i", apart, apart)
        if self._options.class_rule == "soft":
            other = self._found.label[source] != self._found.label[target]
            cost += _CLASS * self.motion.spread[frame] * other
        return cost

    def gate(self, t: int) -> float:
        learnt = float(np.sqrt(self._factor * self.motion.spread[t]))
        return min(learnt, self._options.max_distance or learnt)

    def _learn_drift(self, t: int) -> None:
        before, now, after = self._starts[t - 1 : t + 2]
        radius = float(np.sqrt(self._usual * self.motion.spread[t]))
        self.motion.drift[t] = points_shift(
            self._places[before:now], self._places[now:after], self.motion.drift[t - 1], radius
        )

    def learn(self, t: int, source: Array, target: Array) -> None:
        """Bring the variance up to date with the links to frame `t`: a running mean of the frames' medians."""
        if t < self._known:
            return
        spread, steps = float(self.motion.spread[t]), float(self.motion.steps[t])
        if len(source):
            apart = self._places[target] - self._places[source] - self.motion.drift[t]
            here = float(np.median(np.sum(apart**2, axis=1))) / self._middle
            steps = min(steps, _MEMORY * len(source))
            spread = max((steps * spread + len(source) * here) / (steps + len(source)), LEAST**2)
            steps += len(source)
        self.motion.spread[t + 1], self.motion.steps[t + 1] = spread, steps
