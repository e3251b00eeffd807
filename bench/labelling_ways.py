"""How a person points with keys: by hints, page by page, and by the grid, in as few letters as reach a place."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from labelling_hand import KNOWN_S, LETTER_S, Hand

from mia_tui.labeling.desk.acts.pointing import places_to_add
from mia_tui.labeling.desk.hints import Hint
from mia_tui.labeling.desk.modes import GRID, GRID_LETTERS, GridMode, HintMode
from mia_tui.labeling.desk.refs import Ref

DEEPEST = 5
"""Letters of the longest way by the grid."""


def by_hints(hand: Hand, key: str, chosen: Iterable[Ref], after: Callable[[Ref], None] | None = None) -> None:
    """Enter a mode of hints that stays, type the hints of all that are chosen, page by page, and leave it."""
    left = list(chosen)
    if not left:
        return
    hand.press(key)
    while left:
        mode = hand.desk.mode
        if not isinstance(mode, HintMode):  # it ends by itself after the last hint
            hand.press(key)
            continue
        hints = {hint.target.what: hint for hint in mode.hints}
        here = [ref for ref in left if ref in hints]
        for ref in here:
            hand.type(hints[ref].letters)
            left.remove(ref)
            if after is not None:
                after(ref)
        if left and isinstance(hand.desk.mode, HintMode):
            hand.press("tab")
    if isinstance(hand.desk.mode, HintMode):
        hand.press("escape")


def hint_of(hand: Hand, ref: Ref) -> Hint:
    """The hint of an object in the mode on top; pages are turned until it has one."""
    for _ in range(100):
        mode = hand.desk.mode
        assert isinstance(mode, HintMode)
        found = next((hint for hint in mode.hints if hint.target.what == ref), None)
        if found is not None:
            return found
        hand.press("tab")
    raise ValueError(f"no page has a hint for {ref}")


@dataclass(frozen=True)
class Way:
    """Keys that lead from the grid over the whole view to a place (y, x)."""

    keys: tuple[str, ...]
    place: tuple[float, float]

    @property
    def seconds(self) -> float:
        return sum(LETTER_S if len(key) == 1 else KNOWN_S for key in self.keys)


def grid_ways(hand: Hand, aims: Sequence[tuple[float, float]]) -> list[Way]:
    """Ways by the grid towards some points of an object, the quickest first.

    At each level the cell that holds the aim is chosen: in lower case, so that it snaps to what may be an object, or in
    upper case; and enter takes the place early.
    """
    hand.desk.view = hand.eyes.view
    found: dict[tuple[str, ...], Way] = {}
    for aim in aims:
        for way in _ways_to(hand, aim):
            found.setdefault(way.keys, way)
    return sorted(found.values(), key=lambda way: way.seconds)


def _ways_to(hand: Hand, aim: tuple[float, float]) -> Iterator[Way]:
    desk = hand.desk
    places = places_to_add(desk)
    for snaps in (True, False):
        taken: list[tuple[float, float]] = []
        mode = GridMode("", lambda _, y, x, taken=taken: taken.append((y, x)), lambda _: places)
        mode.restart(desk)
        keys: list[str] = []
        while not taken and len(keys) < DEEPEST:
            left, top, right, bottom = mode.box
            row = int((aim[0] - top) / (bottom - top) * GRID)
            column = int((aim[1] - left) / (right - left) * GRID)
            letter = GRID_LETTERS[min(max(row, 0), GRID - 1) * GRID + min(max(column, 0), GRID - 1)]
            keys.append(letter if snaps else letter.upper())
            mode.key(desk, keys[-1])
            if not taken:
                early = replace(mode)
                early._depth, early._snap = mode._depth, mode._snap
                early.take(desk)
                yield Way((*keys, "enter"), taken.pop())
        if taken:
            yield Way(tuple(keys), taken[0])
