"""What the next keys of the track desk mean: letters of hints, digits of a number, one letter of a menu."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mia_tui.labeling.desk.hints import Hint

if TYPE_CHECKING:
    from mia_tui.tracking.desk.desk import TrackDesk


@dataclass
class Choosing:
    """Letters stand on tracks or objects; typing them does something with the one that wears them.

    `act` is called with the desk and what the hint is for: a row, or a track.
    """

    text: str
    hints: list[Hint]
    act: Callable[["TrackDesk", int], None]
    typed: str = ""
    name: ClassVar[str] = "hints"

    def key(self, desk: "TrackDesk", key: str) -> bool:
        if len(key) != 1 or not key.isalpha():
            return False
        typed = self.typed + key.lower()
        fitting = [hint for hint in self.hints if hint.letters.startswith(typed)]
        if not fitting:
            self.typed = ""
            desk.warn(f"nothing has the letters {typed}.")
        elif fitting[0].letters == typed:
            desk.mode = None
            self.act(desk, int(str(fitting[0].target.what)))
        else:
            self.typed = typed
        return True

    @property
    def shown(self) -> list[Hint]:
        """The hints that can still be meant."""
        return [hint for hint in self.hints if hint.letters.startswith(self.typed)]


@dataclass
class Numbering:
    """Digits of a track's number, then enter."""

    act: Callable[["TrackDesk", int], None]
    digits: str = ""
    name: ClassVar[str] = "number"

    @property
    def text(self) -> str:
        return f"number {self.digits or '…'}   enter gives it, esc leaves"

    def key(self, desk: "TrackDesk", key: str) -> bool:
        if len(key) == 1 and key.isdigit():
            self.digits = (self.digits + key).lstrip("0")[:9]
        elif key == "backspace":
            self.digits = self.digits[:-1]
        elif key == "enter" and self.digits:
            desk.mode = None
            self.act(desk, int(self.digits))
        else:
            return False
        return True


@dataclass
class Menu:
    """One letter chooses: letter -> (what it says, what it does)."""

    options: dict[str, tuple[str, Callable[["TrackDesk"], None]]]
    name: ClassVar[str] = "menu"

    @property
    def text(self) -> str:
        return "   ".join(f"{letter} {text}" for letter, (text, _) in self.options.items()) + "   esc leaves"

    def key(self, desk: "TrackDesk", key: str) -> bool:
        if key not in self.options:
            return False
        desk.mode = None
        self.options[key][1](desk)
        return True


Mode = Choosing | Numbering | Menu
