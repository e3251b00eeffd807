"""Digits: the class in hand, or the class of the chosen object."""

from typing import TYPE_CHECKING

from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.rows import row

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

GROUP = "Classes"


def set_class(desk: "Desk", key: str) -> None:
    """Take a class in hand; the chosen object gets it, too."""
    if not desk.hold_class(key):
        return
    if desk.find(desk.current) is not None and desk.current is not None and not desk.read_only:
        edits.set_class(desk, desk.current, desk.class_name)


for _digit in "1234567890":
    row(f"class_{_digit}", _digit, f"Class {_digit}", GROUP, args=(_digit,),
        more=f"Class {_digit} in hand; the chosen object gets it", repeats=True)(set_class)  # fmt: skip
