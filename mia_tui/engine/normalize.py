"""Bringing pixel values to what a network expects; fixed in the model file."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia_tui.errors import MiaError

SAMPLES = 2**20
"""Percentiles of a frame come from at most about this many pixels, evenly spread."""


@dataclass(frozen=True)
class Normalization:
    """Percentile stretch per frame and channel: `low` and `high` percentile go to 0 and 1, clipped.

    The whole frame decides, never a patch, so that training and prediction see the same values
    (CSBDeep and StarDist do the same with 1 and 99.8).
    """

    low: float = 1.0
    high: float = 99.8

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def limits(self, plane: NDArray[Any]) -> NDArray[np.float32]:
        """(C, 2) values that become 0 and 1 for a (C, Y, X) plane. NaN and infinities do not count."""
        step = max(1, int(np.sqrt(plane.shape[1] * plane.shape[2] / SAMPLES)))
        limits = np.empty((len(plane), 2), np.float32)
        for index, channel in enumerate(plane):
            values = channel[::step, ::step]
            values = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
            limits[index] = np.percentile(values, [self.low, self.high]) if values.size else (0, 1)
        flat = limits[:, 1] <= limits[:, 0]
        limits[flat, 1] = limits[flat, 0] + 1
        return limits


def apply_limits(plane: NDArray[Any], limits: NDArray[np.float32]) -> NDArray[np.float32]:
    """(C, Y, X) values of any dtype -> float32 in 0..1; NaN becomes 0."""
    low, high = limits[:, :1, None], limits[:, 1:, None]
    out = (plane.astype(np.float32) - low) / (high - low)
    clipped: NDArray[np.float32] = np.clip(np.nan_to_num(out, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    return clipped


def match_channels(plane: NDArray[Any], wanted: int, rgb: bool, name: str) -> NDArray[Any]:
    """A plane with the channels of the model: grey is repeated for a colour model, colour averaged for a grey one.

    Raises
    ------
    MiaError
        When the channels mean something else and cannot be matched.
    """
    if len(plane) == wanted:
        return plane
    if len(plane) == 1 and wanted == 3:
        return np.repeat(plane, 3, axis=0)
    if rgb and len(plane) == 3 and wanted == 1:
        grey: NDArray[Any] = plane.mean(axis=0, keepdims=True, dtype=np.float32)
        return grey
    raise MiaError(
        f"{name} has {len(plane)} channels, the model works on {wanted}. Choose channels with --set channels=0,1,..."
    )
