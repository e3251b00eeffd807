"""Bringing pixel values to what a network expects; fixed in the model file."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES = 2**20
"""Percentiles of a frame come from at most about this many pixels, evenly spread."""


@dataclass(frozen=True)
class Normalization:
    """How values become those that a network sees.

    Every kind is a pair of limits per channel, (value - lower) / (upper - lower), and what may follow:

    percentile
        The `low` and `high` percentile of the whole frame go to 0 and 1, clipped (CSBDeep and StarDist: 1 and 99.8).
    dataset
        The same with the percentiles of all training frames, kept in `fixed`: brightness itself means something.
    zscore
        Mean and standard deviation of the frame go to 0 and 1, nothing is clipped.
    imagenet
        8-bit values by 255, others as percentile; then (x - `mean`) / `std`, the statistics of the pre-training.

    The whole frame decides, never a patch, so that training and prediction see the same values.
    """

    low: float = 1.0
    high: float = 99.8
    kind: str = "percentile"
    fixed: tuple[tuple[float, float], ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Normalization":
        fixed = values.get("fixed")
        pairs = {name: tuple(values[name]) for name in ("mean", "std") if values.get(name) is not None}
        return cls(**{**values, **pairs, "fixed": None if fixed is None else tuple((a, b) for a, b in fixed)})

    @property
    def unit(self) -> bool:
        """Whether values lie in 0..1 before `finish`."""
        return self.kind != "zscore"

    def limits(self, plane: NDArray[Any]) -> NDArray[np.float32]:
        """(C, 2) values that become 0 and 1 for a (C, Y, X) plane. NaN and infinities do not count."""
        if self.kind == "dataset" and self.fixed is not None:
            # planes above and below follow each other with the same channels
            return _ordered(np.tile(np.array(self.fixed, np.float32), (len(plane) // len(self.fixed), 1)))
        if self.kind == "imagenet" and plane.dtype == np.uint8:
            return np.tile(np.array([0, 255], np.float32), (len(plane), 1))
        limits = np.empty((len(plane), 2), np.float32)
        for index, channel in enumerate(plane):
            values = sample(channel)
            if values.size == 0:
                limits[index] = (0, 1)
            elif self.kind == "zscore":
                mean = values.mean(dtype=np.float64)
                limits[index] = (mean, mean + values.std(dtype=np.float64))
            else:
                limits[index] = np.percentile(values, [self.low, self.high])
        return _ordered(limits)

    def apply(self, plane: NDArray[Any], limits: NDArray[np.float32]) -> NDArray[np.float32]:
        """(C, Y, X) values of any dtype -> float32, 0..1 unless zscore; NaN becomes 0."""
        return apply_limits(plane, limits, clip=self.unit)

    def finish(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The last step, on (C, Y, X) after augmentation: ImageNet's statistics with imagenet, else nothing."""
        if self.mean is None or self.std is None:
            return image
        repeats = len(image) // len(self.mean)
        mean, std = (np.tile(np.array(v, np.float32), repeats)[:, None, None] for v in (self.mean, self.std))
        finished: NDArray[np.float32] = (image - mean) / std
        return finished


def sample(channel: NDArray[Any], most: float = SAMPLES) -> NDArray[Any]:
    """About `most` finite values of a (Y, X) channel, evenly spread."""
    step = max(1, int(np.sqrt(channel.size / most)))
    values = channel[::step, ::step]
    if values.dtype == np.bool_:
        values = values.view(np.uint8)  # NumPy has no percentiles of truth values
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()


def _ordered(limits: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = limits[:, 1] <= limits[:, 0]
    limits[flat, 1] = limits[flat, 0] + 1
    return limits


def apply_limits(plane: NDArray[Any], limits: NDArray[np.float32], *, clip: bool = True) -> NDArray[np.float32]:
    """(C, Y, X) values of any dtype -> float32 with the limits at 0 and 1, clipped there; NaN becomes 0."""
    low, high = limits[:, :1, None], limits[:, 1:, None]
    out = plane.astype(np.float32)
    out -= low
    out /= high - low
    if plane.dtype.kind == "f":
        np.nan_to_num(out, copy=False, nan=0.0, posinf=1.0, neginf=0.0)
    return np.clip(out, 0, 1, out=out) if clip else out
