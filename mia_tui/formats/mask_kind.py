"""What the values of masks mean: one foreground, classes, or objects."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mia_tui.errors import MiaError

KINDS = ("auto", "binary", "class", "instance")
MAX_CLASSES = 32
"""Masks with more different values are not taken for class masks."""


@dataclass
class MaskStats:
    """What a set of masks holds, gathered plane by plane.

    `pixels` counts the pixels of each value; `pieces` the 8-connected pieces of all values but 0, and `values` the
    different values but 0, both summed over planes.
    """

    pixels: Counter[int] = field(default_factory=Counter)
    pieces: int = 0
    values: int = 0

    def add(self, plane: NDArray[np.integer]) -> None:
        """Count one (Y, X) plane."""
        from skimage.measure import label

        values, counts = np.unique(plane, return_counts=True)
        self.pixels.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        self.values += int(np.count_nonzero(values))
        self.pieces += int(label(plane, connectivity=2, return_num=True)[1])

    def merge(self, other: "MaskStats") -> None:
        """Add what another set holds."""
        self.pixels.update(other.pixels)
        self.pieces += other.pieces
        self.values += other.values

    @property
    def objects(self) -> list[int]:
        """The different values but 0, ascending."""
        return sorted(value for value in self.pixels if value)


@dataclass(frozen=True)
class Guess:
    """How masks are read. `background` is the value of background, 255 in masks that the original MIA wrote."""

    kind: str
    reason: str
    background: int = 0


def guess_kind(stats: MaskStats, classes: int, forced: str = "auto") -> Guess:
    """Decide what the values mean.

    Parameters
    ----------
    stats : MaskStats
        Of the whole set: one decision holds for all its files.
    classes : int
        Number of classes of the project.
    forced : str
        One of `KINDS`; other than "auto" it decides.

    Raises
    ------
    MiaError
        When the values have no sound meaning of that kind.
    """
    values = stats.objects
    mia = _mia_background(stats, sure=forced == "auto")
    if forced == "auto":
        guess = Guess("class", mia, 255) if mia else _guess_plain(stats, classes)
    elif forced == "class" and mia:
        guess = Guess("class", f"asked for; {mia}", 255)
    else:
        guess = Guess(forced, "asked for")
    highest = max((value for value in values if value != guess.background), default=0)
    if guess.kind == "class" and highest > MAX_CLASSES:
        raise MiaError(
            f"the masks hold the value {highest}, and class masks go up to {MAX_CLASSES}. If each value is one object, "
            "import them as instance masks; else number the classes 1, 2, 3 ..."
        )
    return guess


def check_kind(kind: str) -> None:
    """Raise `MiaError` for a kind that is none."""
    if kind not in KINDS:
        raise MiaError(f"unknown kind of mask {kind!r}: choose one of {', '.join(KINDS)}")


def _guess_plain(stats: MaskStats, classes: int) -> Guess:
    """The guess where 0 is background."""
    values = stats.objects
    if not values:
        return Guess("instance", "all masks are empty")
    per_value = stats.pieces / stats.values
    counted = (
        f"{len(values)} different values, {stats.pieces} separate pieces, {per_value:.1f} pieces per value and plane"
    )
    if values == [255] and 0 not in stats.pixels:
        raise MiaError(
            "all masks are 255 everywhere: say what that means by giving the kind (binary, class or instance)"
        )
    if len(values) == 1 and (values[0] > classes or values[0] == 1):
        return Guess("binary", f"only 0 and {values[0]}: each separate piece is an object")
    if values[-1] <= MAX_CLASSES and (per_value >= 3 or (values[-1] <= classes and per_value >= 1.5)):
        return Guess("class", f"{counted}: a value is a class, each separate piece an object")
    if per_value >= 3:
        raise MiaError(
            f"the masks hold {counted} (values {', '.join(map(str, values[:5]))} ...): too few for objects, too high "
            "for class numbers. Say what they mean by giving the kind (binary, class or instance)."
        )
    if len(values) == 1:
        return Guess("class", f"only 0 and {values[0]}, the number of a class")
    return Guess("instance", f"{counted}: a value is an object")


def _mia_background(stats: MaskStats, *, sure: bool) -> str:
    """Why 255 is background and 0 "not annotated", as in the original MIA's rasters; "" when it is not."""
    others = [value for value in stats.objects if value != 255]
    if not stats.pixels[255] or not others or others[-1] > MAX_CLASSES:
        return ""
    inside = sum(stats.pixels[value] for value in others)
    if not stats.pixels[0]:
        return "255 is background (no pixel is 0), as the original MIA writes it"
    if stats.pixels[255] > (inside + stats.pixels[0] if sure else inside):
        return "255 is background and 0 is not annotated, as the original MIA writes it"
    if sure:
        raise MiaError(
            f"the masks hold 0, {', '.join(map(str, others[:5]))} and 255: 255 may be background (0 not annotated) or "
            "an object. Say so by giving the kind: class or instance (or binary)."
        )
    return ""
