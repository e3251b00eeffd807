"""Learning rates over a training, and when to end it: pure functions, so that a resumed run goes on exactly.

Progress is the share of the training that is done, 0..1. Knows no torch.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

SCHEDULES = ("cosine", "constant", "step", "plateau", "one_cycle")

FIRST_WARMUP = 0.02
"""Share of the rate at the very start of a warm-up: a step with rate 0 would be lost."""

RISE = 0.3
START = 1 / 25
"""One-cycle: share of the training in which the rate rises, and where it starts, as a share of the highest rate."""


def learning_rate(
    kind: str,
    base: float,
    done: float,
    *,
    warmup: float = 0.0,
    floor: float = 0.01,
    step_every: float = 0.25,
    step_factor: float = 0.5,
) -> float:
    """Learning rate when the share `done` of the training lies behind.

    Parameters
    ----------
    kind : str
        constant; step: times `step_factor` after each `step_every`; cosine: falls along a half cosine from the end of
        the warm-up (Loshchilov & Hutter 2017); one_cycle: rises from base / 25 to `base` over 30 % and falls, both
        along half cosines (Smith & Topin 2018), `warmup` unused; plateau: constant here, to be multiplied by
        `Plateau.multiplier`.
    base : float
        Highest rate.
    done : float
        0..1; more counts as 1.
    warmup : float
        Share of the training with a linear rise, 0 for none. Steps count from the start of the training.
    floor : float
        Lowest rate of step, cosine and one_cycle, as a share of `base`.

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    done = min(done, 1.0)
    if kind == "one_cycle":
        if done < RISE:
            return base * _half_cosine(START, 1.0, done / RISE)
        return base * _half_cosine(1.0, floor, (done - RISE) / (1 - RISE))
    if kind not in SCHEDULES:
        raise ValueError(f"unknown schedule {kind!r}: choose from {', '.join(SCHEDULES)}")
    if done < warmup:
        return base * max(done / warmup, FIRST_WARMUP)
    if kind == "cosine":
        return base * _half_cosine(1.0, floor, (done - warmup) / (1 - warmup) if warmup < 1 else 1.0)
    if kind == "step":
        # 0.3 / 0.1 is a little less than 3
        return base * max(step_factor ** math.floor(done / step_every + 1e-9), floor)
    return base


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class Plateau:
    """Lowers the learning rate when the validation metric (higher is better) no longer rises.

    `update` after each epoch gives the next state; `multiplier` is the factor of the learning rate. After more than
    `patience` epochs in a row without a new best it is multiplied by `factor`, down to `floor`.
    """

    factor: float = 0.2
    patience: int = 5
    floor: float = 0.01
    multiplier: float = 1.0
    best: float | None = None
    waited: int = 0

    def update(self, metric: float) -> "Plateau":
        """The state after an epoch with this validation metric; NaN is no improvement."""
        if _improves(metric, self.best):
            return replace(self, best=metric, waited=0)
        if self.waited < self.patience:
            return replace(self, waited=self.waited + 1)
        return replace(self, multiplier=max(self.multiplier * self.factor, self.floor), waited=0)

    def to_json(self) -> dict[str, Any]:
        """The state as plain values; `Plateau(**values)` is the same again."""
        return asdict(self)


@dataclass(frozen=True)
class EarlyStopping:
    """Ends a training after `patience` epochs in a row without a new best validation metric; 0 never ends it."""

    patience: int = 0
    best: float | None = None
    waited: int = 0

    def update(self, metric: float) -> "EarlyStopping":
        """The state after an epoch with this validation metric (higher is better); NaN is no improvement."""
        if _improves(metric, self.best):
            return replace(self, best=metric, waited=0)
        return replace(self, waited=self.waited + 1)

    @property
    def over(self) -> bool:
        return 0 < self.patience <= self.waited

    def to_json(self) -> dict[str, Any]:
        """The state as plain values; `EarlyStopping(**values)` is the same again."""
        return asdict(self)


def _improves(metric: float, best: float | None) -> bool:
    return not math.isnan(metric) and (best is None or metric > best)
