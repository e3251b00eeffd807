"""Help from networks, as the desk sees it: somebody who answers with ladders of outlines. The screen says who."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mia_tui.labeling.ladder import Ladder

Point = tuple[float, float]


@dataclass(frozen=True)
class Found:
    """One object that a network found. `label_class` is "" where it knows no classes."""

    ladder: Ladder
    label_class: str = ""
    score: float | None = None


@dataclass(frozen=True)
class Network:
    """A network that can be asked: `prompts` are those of "points", "extremes" that it needs; none for a whole view."""

    name: str
    prompts: tuple[str, ...]
    gives_edges: bool = False


class Assistant(Protocol):
    """Answers about the frame on the desk; waits for the answer. All may raise a `MiaError` that says what is wrong."""

    def objects(
        self,
        network: Network,
        view: tuple[int, int, int, int],
        inside: Sequence[Point] = (),
        outside: Sequence[Point] = (),
        extremes: Sequence[Point] = (),
    ) -> list[Found]:
        """The objects in a view (top, left, bottom, right); with points (y, x) the one that they mean."""

    def edges(self, network: Network, view: tuple[int, int, int, int]) -> tuple[NDArray[np.float32], tuple[int, int]]:
        """Strength of edges (Y, X), 0 to 1, and the (y, x) of its first pixel."""
