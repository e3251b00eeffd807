"""What a person decided about links: some must be, some cannot be."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mia_tui.errors import MiaError
from mia_tui.tracking.detections import Detections, has_twice

Array = npt.NDArray[Any]


def _no_pairs() -> Array:
    return np.zeros((0, 2), np.int64)


@dataclass(frozen=True)
class Pins:
    """Pairs of rows of `Detections` (from, to), `from` on an earlier frame.

    Attributes
    ----------
    must : (n, 2) int64
        Links that are there, whatever they cost. Two from one row are a division, two to one row a merge.
    cannot : (n, 2) int64
        Links that are not there.
    """

    must: Array = field(default_factory=_no_pairs)
    cannot: Array = field(default_factory=_no_pairs)

    def checked(self, detections: Detections) -> "Pins":
        """Both as (n, 2) int64.

        Raises
        ------
        MiaError
            When a pair names a row that is not there, does not go forward in time, or is in both lists or twice in one.
        """
        must = np.asarray(self.must, np.int64).reshape(-1, 2)
        cannot = np.asarray(self.cannot, np.int64).reshape(-1, 2)
        both = np.concatenate([must, cannot])
        if len(both) and (both.min() < 0 or both.max() >= len(detections)):
            raise MiaError("a decision about a link names an object that is not there any more: take it back.")
        frames = detections.frame[both]
        backward = frames[:, 0] >= frames[:, 1]
        if backward.any():
            first, second = frames[backward.argmax()] + 1
            raise MiaError(f"a decision links frame {first} to frame {second}: links go forward in time; take it back.")
        cannot = np.unique(cannot, axis=0)
        both = np.concatenate([must, cannot])
        if has_twice(*both.T):
            pairs, counts = np.unique(both, axis=0, return_counts=True)
            first, second = pairs[counts.argmax()]
            raise MiaError(
                f"object {detections.object[first]} of frame {detections.frame[first] + 1} and object "
                f"{detections.object[second]} of frame {detections.frame[second] + 1} are decided on twice: take one "
                "of the decisions back."
            )
        return Pins(must, cannot)

    def forbids(self, sources: Array, targets: Array) -> Array:
        """(E,) bool: which of the links cannot be."""
        forbidden = np.zeros(len(sources), bool)
        near = np.isin(sources, self.cannot[:, 0]) if len(self.cannot) else forbidden
        if near.any():
            pairs = set(map(tuple, self.cannot.tolist()))
            for index in np.flatnonzero(near).tolist():
                forbidden[index] = (int(sources[index]), int(targets[index])) in pairs
        return forbidden
