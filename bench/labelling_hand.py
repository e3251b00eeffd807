"""Keys pressed on the real desk, with the eyes of a person before a terminal of 120 x 40; what they cost is counted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil, floor, log2

from mia_tui.labeling.desk.acts.proposing import proposer_of
from mia_tui.labeling.desk.desk import Desk
from mia_tui.labeling.desk.modes import GridMode, HintMode
from mia_tui.labeling.desk.rows import load
from mia_tui.labeling.ladder import Shapes
from mia_tui.widgets.canvas.view import View, fit_scale, place

load()  # before single modules of actions are imported: the order in which they are is that of the help

ROWS, COLUMNS = 34, 120
"""Cells of the canvas in such a terminal."""
KNOWN_S, LETTER_S = 0.28, 0.5
"""A key that is known before it is needed, and a letter that has to be read first."""
QUICK_S = 0.2
"""The known key of a person who has practised."""
MAX_SCALE = 32.0


@dataclass
class Eyes:
    """What the canvas widget shows: zoom, place and cursor, moved by the same keys."""

    size: tuple[int, int]
    scale: float = 0.0
    centre: tuple[float, float] = (0.0, 0.0)
    cursor: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        height, width = self.size
        self.scale = self.fit
        self.centre = height / 2, width / 2
        self.cursor = height // 2, width // 2

    @property
    def fit(self) -> float:
        return min(MAX_SCALE, fit_scale(*self.size, ROWS, COLUMNS))

    @property
    def view(self) -> View:
        return place(*self.size, ROWS, COLUMNS, self.scale, *self.centre)

    def reveal(self, box: tuple[float, float, float, float]) -> None:
        """As `ImageCanvas.reveal`."""
        middle = (box[1] + box[3]) / 2, (box[0] + box[2]) / 2
        self.move_to(*middle)
        view = self.view
        rows, columns = zip(view.to_cell(box[1], box[0]), view.to_cell(box[3], box[2]), strict=True)
        if min(rows) < 1 or min(columns) < 1 or max(rows) > view.rows - 2 or max(columns) > view.columns - 2:
            self.centre = middle

    def move_to(self, y: float, x: float) -> None:
        height, width = self.size
        self.cursor = min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)
        view = self.view
        if not view.holds(*view.to_cell(self.cursor[0] + 0.5, self.cursor[1] + 0.5)):
            self.centre = self.cursor[0] + 0.5, self.cursor[1] + 0.5

    def key(self, key: str) -> bool:
        """Zoom in and out around the cursor, the whole image, half a view in four directions."""
        if key == "plus":
            self.scale = min(MAX_SCALE, 2.0 ** floor(log2(self.scale) + 1 + 1e-6))
            self.centre = self.cursor[0] + 0.5, self.cursor[1] + 0.5
        elif key == "minus":
            self.scale = 2.0 ** ceil(log2(self.scale) - 1 - 1e-6)
            self.centre = self.cursor[0] + 0.5, self.cursor[1] + 0.5
        elif key == "f":
            self.scale = self.fit
        elif key in ("H", "J", "K", "L"):
            view = self.view
            y, x = {"H": (0, -0.5), "J": (0.5, 0), "K": (-0.5, 0), "L": (0, 0.5)}[key]
            dy, dx = y * view.height, x * view.width
            cursor = self.cursor[0] + round(dy), self.cursor[1] + round(dx)
            self.centre = view.top + view.height / 2 + dy, view.left + view.width / 2 + dx
            self.cursor = min(max(cursor[0], 0), self.size[0] - 1), min(max(cursor[1], 0), self.size[1] - 1)
        else:
            return False
        return True


@dataclass
class Cost:
    """Keys that were known and letters that had to be read."""

    known: int = 0
    letters: int = 0

    @property
    def keys(self) -> int:
        return self.known + self.letters

    def seconds(self, known: float = KNOWN_S) -> float:
        return known * self.known + LETTER_S * self.letters

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.known + other.known, self.letters + other.letters)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.known - other.known, self.letters - other.letters)


@dataclass
class Hand:
    """Presses keys. `pressed` has all of them in their order, `costs` what they cost by what they were for."""

    desk: Desk
    eyes: Eyes
    costs: dict[str, Cost] = field(default_factory=dict)
    pressed: list[str] = field(default_factory=list)
    purpose: str = "propose"
    _trying: int = 0

    def press(self, *keys: str) -> None:
        for key in keys:
            self._press(key)

    def type(self, letters: str) -> None:
        self.press(*letters)

    def _press(self, key: str) -> None:
        desk, mode = self.desk, self.desk.mode
        desk.view, desk.cursor = self.eyes.view, self.eyes.cursor
        letter = isinstance(mode, HintMode | GridMode) and len(key) == 1 and key.isalpha()
        if not self._trying:
            cost = self.costs.setdefault(self.purpose, Cost())
            cost.letters += letter
            cost.known += not letter
            self.pressed.append(key)
        if not (desk.knows(key) and desk.press(key)) and not self.eyes.key(key):
            raise ValueError(f"{key} means nothing here: {desk.message}")
        if desk.reveal is not None:
            self.eyes.reveal(desk.reveal)
            desk.reveal = None

    @property
    def cost(self) -> Cost:
        return sum(self.costs.values(), Cost())

    @contextmanager
    def trial(self) -> Iterator["Trial"]:
        """Keys inside cost nothing, begin in no mode, and all that they did is taken back at the end."""
        desk, eyes = self.desk, self.eyes
        kept = desk.current, desk.last, desk.tally.__dict__.copy(), dict(desk.ladders), set(desk._without_ladder)
        shapes, outlines = desk.shapes, dict(desk._outlines)
        desk.shapes = {ref: Shapes(found.ladders, list(found.known), found.at) for ref, found in shapes.items()}
        memory, look, modes = dict(desk.memory), (eyes.scale, eyes.centre, eyes.cursor), desk.modes
        candidates, rejected = desk.candidates, list(proposer_of(desk).rejected)
        desk.modes = []
        self._trying += 1
        trial = Trial(self)
        try:
            yield trial
        finally:
            trial.back()
            while desk.modes:
                desk.leave()
            desk.modes = modes
            if desk.candidates is not candidates:
                desk.take_candidates(candidates)
            proposer_of(desk).rejected = rejected
            desk.current, desk.last, tally, desk.ladders, desk._without_ladder = kept
            desk.tally.__dict__.update(tally)
            desk.shapes, desk._outlines = shapes, outlines
            desk.memory = memory
            eyes.scale, eyes.centre, eyes.cursor = look
            self._trying -= 1


def _rejected(desk: Desk) -> frozenset[int]:
    return frozenset() if desk.candidates is None else desk.candidates.rejected


@dataclass
class Trial:
    """Keys that are only tried."""

    hand: Hand
    steps: int = 0

    def press(self, *keys: str) -> bool:
        """Whether the last key changed something."""
        desk, changed = self.hand.desk, False
        for key in keys:
            labels, rejected = desk.labels, _rejected(desk)
            self.hand.press(key)
            changed = desk.labels is not labels or _rejected(desk) != rejected
            self.steps += changed
        return changed

    def do(self, act: Callable[[], object]) -> None:
        """Do something that a key would do."""
        desk = self.hand.desk
        desk._begin()
        labels = desk.labels
        act()
        self.steps += desk.labels is not labels

    def back(self) -> None:
        """Take back what was tried so far."""
        for _ in range(self.steps):
            self.hand.desk.undo()
        self.steps = 0
