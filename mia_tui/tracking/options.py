"""How objects are to be linked."""

from dataclasses import dataclass
from typing import Literal, get_args

from mia_tui.errors import MiaError

Method = Literal["auto", "hungarian", "points", "masks"]
ClassRule = Literal["soft", "hard", "ignore"]

GATE = 35.0
"""Pixels: the gate of the paper, and where a gate that is learnt begins."""


@dataclass(frozen=True)
class LinkOptions:
    """Settings of `link`.

    Attributes
    ----------
    method : str
        "points": two passes over centres, with drift, gate and costs learnt from the sequence. "masks": by overlap of
        the objects after registration. "hungarian": the paper's rule, nearest centres within a fixed gate. "auto":
        masks where label images are given, else points.
    max_distance : float, optional
        Farthest step in pixels from one frame to the next. None: learnt (points), 35 (hungarian), no limit but that
        the moved object meets the other (masks).
    max_gap : int, optional
        Frames without the object that a link may pass. None: 1 for hungarian, else 2.
    divisions : bool
        Whether a track may divide. Hungarian links never do.
    merges : bool
        Whether two tracks may become one (points only).
    class_rule : str
        "soft": one run in which another class costs; "hard": one run per class; "ignore".
    low_score : float
        Detections with a lower score only extend or bridge tracks and never start one; 0: all are equal.
    z_ratio : float
        Distance of two planes in units of a pixel, for positions with three coordinates.

    Raises
    ------
    MiaError
        For a value out of its range.
    """

    method: Method = "auto"
    max_distance: float | None = None
    max_gap: int | None = None
    divisions: bool = True
    merges: bool = False
    class_rule: ClassRule = "soft"
    low_score: float = 0.0
    z_ratio: float = 1.0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("method", self.method, get_args(Method)),
            ("class rule", self.class_rule, get_args(ClassRule)),
        ):
            if value not in known:
                raise MiaError(f"unknown {name} of linking {value!r}: choose one of {', '.join(known)}.")
        if self.max_distance is not None and not 0 < self.max_distance < float("inf"):
            raise MiaError(f"the farthest step of an object is {self.max_distance:g} px: give a number above 0.")
        if self.max_gap is not None and not 0 <= self.max_gap <= 100:
            raise MiaError(f"links cannot pass {self.max_gap} missed frames: give 0 to 100.")
        if not 0 <= self.low_score <= 1:
            raise MiaError(f"the score below which tracks are only extended is {self.low_score:g}: give 0 to 1.")
        if not 0 < self.z_ratio < float("inf"):
            raise MiaError(f"two planes are {self.z_ratio:g} pixels apart: give a number above 0.")

    def gap(self, method: Method) -> int:
        """Missed frames that a link may pass."""
        return self.max_gap if self.max_gap is not None else 1 if method == "hungarian" else 2
