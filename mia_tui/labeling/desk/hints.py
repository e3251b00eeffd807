"""Hints: letters on what can be chosen, so that one or two keys reach it (as vimium and easymotion do)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

LETTERS = "fjdkslaghrueiwoqptyvncmxbz"
"""Home row first, the strongest fingers first of all."""
AT_ONCE = 60
"""More letters than this on the screen are not read any more; tab goes to the next ones."""


class Viewport(Protocol):
    """Which part of the image is in view, in cells of the terminal."""

    @property
    def rows(self) -> int: ...

    @property
    def columns(self) -> int: ...

    def to_cell(self, y: float, x: float) -> tuple[int, int]: ...

    def to_image(self, row: float, column: float) -> tuple[float, float]: ...


@dataclass(frozen=True)
class Target:
    """Something that can be chosen: `place` is (y, x), `box` (min x, min y, max x, max y).

    `what` is for the caller, and hashable: it tells targets apart that lie on each other.
    """

    what: object
    place: tuple[float, float]
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Hint:
    """A target with the letters that choose it, at the image point (y, x) where they stand."""

    target: Target
    letters: str
    place: tuple[float, float]


def codes(count: int, letters: str = LETTERS) -> list[str]:
    """`count` codes of one or two letters, none the beginning of another, the short and easy ones first.

    With n letters of which k begin a pair there are (n - k) + k n codes; k is the smallest that gives enough.
    """
    size = len(letters)
    if count > size * size:
        raise ValueError(f"{count} things cannot be told apart by two of {size} letters")
    pairs = next(k for k in range(size + 1) if (size - k) + k * size >= count)
    short = list(letters[: size - pairs])
    long = [first + second for first in letters[size - pairs :] for second in letters]
    return [*short, *long][:count]


def place_hints(targets: Sequence[Target], view: Viewport, cursor: tuple[float, float] | None = None) -> list[Hint]:
    """Letters for up to `AT_ONCE` of the targets in view, in their order; the first ones get the short codes.

    Every hint stands on cells of its own: where two would meet, the later one moves to a free place inside the box of
    its target, and is left out when there is none: for the next page. The cell of the cursor, (y, x), is left free: its
    sign would cover a letter.
    """
    seen = [target for target in targets if in_view(target.place, view)]
    names = codes(min(len(seen), AT_ONCE))
    taken: set[tuple[int, int]] = set() if cursor is None else {view.to_cell(*cursor)}
    hints: list[Hint] = []
    for target in seen:
        if len(hints) == len(names):
            break
        letters = names[len(hints)]
        cell = next((cell for cell in _cells(target, view) if _free(cell, letters, taken, view)), None)
        if cell is None:
            continue
        taken.update((cell[0], cell[1] + i) for i in range(len(letters)))
        hints.append(Hint(target, letters, view.to_image(cell[0] + 0.5, cell[1] + 0.5)))
    return hints


def in_view(place: tuple[float, float], view: Viewport) -> bool:
    """Whether an image point, (y, x), lies in a cell of the view."""
    row, column = view.to_cell(*place)
    return 0 <= row < view.rows and 0 <= column < view.columns


def _cells(target: Target, view: Viewport) -> Iterable[tuple[int, int]]:
    """The cell of the target's place, then those of its box from the nearest on."""
    middle = view.to_cell(*target.place)
    yield middle
    top, left = view.to_cell(target.box[1], target.box[0])
    bottom, right = view.to_cell(target.box[3], target.box[2])
    rows = range(max(top, middle[0] - 3), min(bottom, middle[0] + 3) + 1)
    columns = range(max(left, middle[1] - 6), min(right, middle[1] + 6) + 1)
    inside = [(row, column) for row in rows for column in columns]
    yield from sorted(inside, key=lambda cell: 2 * abs(cell[0] - middle[0]) + abs(cell[1] - middle[1]))
    yield from ((middle[0], middle[1] + step) for step in (1, -1, 2, -2))


def _free(cell: tuple[int, int], letters: str, taken: set[tuple[int, int]], view: Viewport) -> bool:
    row, column = cell
    if not (0 <= row < view.rows and column >= 0 and column + len(letters) <= view.columns):
        return False
    # One free cell on either side, so that "f" beside "jd" is not read as one code.
    return all((row, column + i) not in taken for i in range(-1, len(letters) + 1))
