import math
from dataclasses import dataclass, replace


def learning_rate(kind, base, done, *, warmup, floor=0.01, step_every=1.0, step_factor=0.5):
    if done < warmup:
        return base * max(done / warmup, 0.02)
    if kind == "constant":
        return base
    if kind == "step":
        return base * step_factor ** int(done / step_every)
    fall = (min(done, 1.0) - warmup) / (1 - warmup)
    return base * (floor + (1 - floor) * (1 + math.cos(math.pi * fall)) / 2)


@dataclass(frozen=True)
class Plateau:
    best: float = -math.inf
    bad: int = 0
    multiplier: float = 1.0

    def update(self, value, *, factor, patience):
        if value > self.best:
            return replace(self, best=value, bad=0)
        if self.bad + 1 > patience:
            return replace(self, bad=0, multiplier=self.multiplier * factor)
        return replace(self, bad=self.bad + 1)


@dataclass(frozen=True)
class EarlyStopping:
    best: float = -math.inf
    bad: int = 0

    def update(self, value):
        return replace(self, best=value, bad=0) if value > self.best else replace(self, bad=self.bad + 1)

    def over(self, patience):
        return bool(patience) and self.bad >= patience
