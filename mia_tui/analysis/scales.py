"""Scales of plots: where a value lies, and which round values label an axis."""

import math
from dataclasses import dataclass

TINY = 1e-300
"""Numbers below this count as zero, so that no ratio of them overflows."""

# Dots of a braille cell from U+2800: bit of the dot at (row, column).
DOT_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True)
class Scale:
    """Linear or logarithmic map of values onto `dots` positions, 0 at `low`."""

    low: float
    high: float
    dots: int
    log: bool = False

    def fraction(self, value: float) -> float:
        """0 for `low`, 1 for `high`."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return (at - low) / (high - low)

    def position(self, value: float) -> int:
        """Nearest dot of `value`, which lies between `low` and `high`."""
        return round(self.fraction(value) * (self.dots - 1))


def spread(low: float, high: float, log: bool) -> tuple[float, float]:
    """A range that is never empty."""
    if high - low > max(1e-12 * max(abs(low), abs(high)), TINY):
        return low, high
    if log:
        return low / 1.5, high * 1.5
    margin = abs(high) * 0.1 or 1.0
    return low - margin, high + margin


def ticks(scale: Scale, most: int, least: float = 0.0) -> list[tuple[float, str]]:
    """(value, label) of at most about `most` round values on the scale, `least` or more apart."""
    if scale.log:
        values = _decades(scale.low, scale.high)
        if len(values) > most:
            values = [v for v in values if round(math.log10(v) % 1, 6) in (0.0, 1.0)] or values
        if len(values) >= 2:
            stride = math.ceil(len(values) / most)
            return [(value, f"{value:g}") for value in values[::stride]]
    span = scale.high - scale.low
    steps = [max(least, _nice_step(span, parts)) for parts in range(most, most + 4)]
    step = next((s for s in steps if math.floor(scale.high / s) - math.ceil(scale.low / s) >= 1), steps[-1])
    first = math.ceil(scale.low / step - 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    values = [k * step for k in range(first, math.floor(scale.high / step + 1e-9) + 1)]
    largest = max(abs(v) for v in values) if values else 0.0
    form = f".{decimals}f" if decimals <= 4 and largest < 1e6 else ".3g"
    return [(min(max(value, scale.low), scale.high), f"{value:{form}}") for value in values] or [(scale.low, "0")]


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between `low` and `high`."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [factor * 10.0**exponent for exponent in exponents for factor in (1, 2, 5)]
    return [value for value in values if low <= value <= high]


def _nice_step(span: float, most: int) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that cuts `span` into at most `most` - 1 parts."""
    raw = span / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
