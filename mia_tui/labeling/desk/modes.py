"""Modes of the desk: choosing by hints, pointing by a grid, menus, counts. A tool is a mode that stays."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from mia_tui.keymap import Action
from mia_tui.labeling.desk.hints import Hint, Target, in_view, place_hints

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

GRID = 5
GRID_LETTERS = "abcdefghijklmnopqrstuvwxy"
SMALLEST_CELL = 5.0
"""Pixels; a grid cell of this size is not divided any more."""
SPOTS = 300
"""So many of the places to snap to are shown."""


@dataclass(frozen=True)
class Stroke:
    """A polyline of a tool in progress: (N, 2) of (x, y) in image pixels."""

    points: NDArray[np.float64]
    dashed: bool = False


@dataclass(frozen=True)
class Handle:
    """A point of a tool in progress that can be seen, (y, x), with a sign or letters."""

    place: tuple[float, float]
    text: str


@dataclass(frozen=True)
class Sketch:
    """What a mode draws over the image: lines, handles, hints to type, and a grid box (min x, min y, max x, max y)."""

    strokes: tuple[Stroke, ...] = ()
    handles: tuple[Handle, ...] = ()
    hints: tuple[Hint, ...] = ()
    grid: tuple[float, float, float, float] | None = None


class Mode:
    """A state of the desk in which keys mean something of their own.

    Attributes
    ----------
    name : str
        Context of its rows in the table.
    text : str
        What the status line says of it.
    passes : bool
        Whether keys it does not know mean what they always mean.
    takes_letters : bool
        Whether letters and digits are its own (hints, grid, count).
    stays : bool
        Whether it is still there after a key of the desk's own table was pressed in it.
    follows : bool
        Whether what it draws goes with the cursor.
    """

    name: ClassVar[str] = ""
    text: str
    passes: ClassVar[bool] = True
    takes_letters: ClassVar[bool] = False
    stays: ClassVar[bool] = False
    follows: ClassVar[bool] = False

    def key(self, desk: "Desk", key: str) -> bool:
        """Take a key; False when it is not one of the mode's own (letters of hints, digits of a count)."""
        return False

    def point(self, desk: "Desk", y: float, x: float) -> bool:
        """Something was pointed at, by mouse, cursor or grid; False when the mode does not care."""
        return False

    def sketch(self, desk: "Desk") -> Sketch:
        return Sketch()

    def entered(self, desk: "Desk") -> None:
        """It has become the mode on top."""

    def left(self, desk: "Desk") -> None:
        """It was left (escape, another tool, another image)."""


@dataclass
class HintMode(Mode):
    """Letters on targets; typing them does something with the target.

    Attributes
    ----------
    targets : function
        What can be chosen now, in the order in which letters are given.
    act : function
        Called with the desk and the chosen target.
    sticky : bool
        Whether it stays for the next one. The letters of the others keep still then.
    """

    text: str
    targets: Callable[["Desk"], Iterable[Target]]
    act: Callable[["Desk", Target], None]
    sticky: bool = False
    typed: str = ""
    hints: list[Hint] = field(default_factory=list)
    name: ClassVar[str] = "hints"
    takes_letters: ClassVar[bool] = True
    has_more: bool = False
    """Whether some targets in view wear no letters."""
    _shown: set[Target] = field(default_factory=set)

    def entered(self, desk: "Desk") -> None:
        self._next_page(desk)
        if not self.hints:
            desk.leave()
            desk.say("There is nothing in view to choose. Pan, zoom out (-) or press f.")

    def _next_page(self, desk: "Desk") -> None:
        """Letters for those that had none yet; when all had some, for the first ones again."""
        self.typed = ""
        targets, cursor = list(self.targets(desk)), (desk.cursor[0] + 0.5, desk.cursor[1] + 0.5)
        self.hints = place_hints([target for target in targets if target not in self._shown], desk.view, cursor)
        if not self.hints and self._shown:
            self._shown = set()
            self.hints = place_hints(targets, desk.view, cursor)
        self._shown |= {hint.target for hint in self.hints}
        self.has_more = sum(in_view(target.place, desk.view) for target in targets) > len(self.hints)

    def key(self, desk: "Desk", key: str) -> bool:
        if len(key) == 1 and key.isdigit():
            desk.hold_class(key)
            return True
        if len(key) != 1 or not key.isalpha():
            return False
        self._type(desk, key.lower())
        return True

    def further(self, desk: "Desk") -> None:
        """Letters for the targets that have none yet; after the last ones the first again."""
        self._next_page(desk)

    def _type(self, desk: "Desk", letter: str) -> None:
        typed = self.typed + letter
        fitting = [hint for hint in self.hints if hint.letters.startswith(typed)]
        if not fitting:
            self.typed = ""
            desk.say(f"no object has the letters {typed}.")
            return
        self.typed = typed
        if fitting[0].letters != typed:
            return
        self.typed = ""
        self.hints.remove(fitting[0])
        if not self.sticky:
            desk.leave()
        self.act(desk, fitting[0].target)
        if self.sticky and not self.hints and not desk.message:
            desk.say("that was the last one, esc ends")

    def sketch(self, desk: "Desk") -> Sketch:
        return Sketch(hints=tuple(hint for hint in self.hints if hint.letters.startswith(self.typed)))


@dataclass
class GridMode(Mode):
    """A grid of 5 x 5 letters over the view, again inside the chosen cell, until one place is left.

    A letter in upper case does not snap: the place is the middle of the cell, not the nearest target in it. After a
    letter, a digit takes the class with it, and enter the place as it is. After a place the grid starts again, until
    escape.
    """

    text: str
    act: Callable[["Desk", float, float], None]
    snaps: Callable[["Desk"], NDArray[np.float64]]
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    name: ClassVar[str] = "grid"
    takes_letters: ClassVar[bool] = True
    _depth: int = 0
    _snap: bool = True

    def entered(self, desk: "Desk") -> None:
        self.restart(desk)

    def restart(self, desk: "Desk") -> None:
        """The grid over the whole view again."""
        self.box, self._depth, self._snap = desk.view_box, 0, True

    def key(self, desk: "Desk", key: str) -> bool:
        if not self._depth:
            self.box = desk.view_box  # the view may have moved since
        if len(key) == 1 and key.isdigit():
            if desk.hold_class(key) and self._depth:
                self.take(desk)
        elif len(key) == 1 and key.lower() in GRID_LETTERS:
            self._choose(desk, GRID_LETTERS.index(key.lower()), snap=key.islower())
        else:
            return False
        return True

    def _choose(self, desk: "Desk", index: int, *, snap: bool) -> None:
        left, top, right, bottom = self.box
        width, height = (right - left) / GRID, (bottom - top) / GRID
        row, column = divmod(index, GRID)
        left, top = left + column * width, top + row * height
        self.box = (left, top, left + width, top + height)
        self._depth += 1
        self._snap = self._snap and snap
        if max(width, height) <= SMALLEST_CELL or (self._snap and len(self._inside(desk)) == 1):
            self.take(desk)

    def _inside(self, desk: "Desk") -> NDArray[np.float64]:
        """(N, 2) of (y, x): what the present cell holds to snap to."""
        left, top, right, bottom = self.box
        places = self.snaps(desk)
        inside = (places[:, 0] >= top) & (places[:, 0] < bottom) & (places[:, 1] >= left) & (places[:, 1] < right)
        return places[inside]

    def take(self, desk: "Desk") -> None:
        """Use the place that the present cell stands for."""
        if not self._depth:
            desk.say("Nothing is pointed at yet: type the letter of a cell.")
            return
        left, top, right, bottom = self.box
        y, x = (top + bottom) / 2, (left + right) / 2
        found = self._inside(desk) if self._snap else np.zeros((0, 2))
        if len(found):
            y, x = found[np.argmin(np.hypot(found[:, 0] - y, found[:, 1] - x))].tolist()
        self.restart(desk)
        self.act(desk, y, x)

    def sketch(self, desk: "Desk") -> Sketch:
        return Sketch(grid=self.box, handles=tuple(Handle((y, x), "·") for y, x in self._inside(desk)[:SPOTS].tolist()))


@dataclass
class MenuMode(Mode):
    """One more key chooses from a list that the screen shows."""

    text: str
    context: str
    passes: ClassVar[bool] = False

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.context

    def actions(self, desk: "Desk") -> list[Action]:
        """What the menu offers."""
        return [action for action in desk.actions if action.context == self.context]


@dataclass
class CountMode(Mode):
    """Digits of a count; the next key that is none is done so many times."""

    digits: str = ""
    name: ClassVar[str] = "count"
    takes_letters: ClassVar[bool] = True

    @property
    def text(self) -> str:  # type: ignore[override]
        return f"{self.digits or 'how many'} times …"

    def key(self, desk: "Desk", key: str) -> bool:
        if len(key) == 1 and key.isdigit():
            self.digits = (self.digits + key)[:4]
            desk.count = int(self.digits)
            return True
        if key == "backspace":
            self.back(desk)
            return True
        desk.leave(keep_count=True)
        return False

    def back(self, desk: "Desk") -> None:
        """Take the last digit back."""
        self.digits = self.digits[:-1]
        desk.count = int(self.digits or 0)
