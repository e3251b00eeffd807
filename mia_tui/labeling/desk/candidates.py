"""What is proposed on a frame and waits for a decision: classical proposals, or the predictions of a model.

Both are pending until a person accepts them (they become labels), corrects them (labels too) or rejects them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shapely.geometry.base import BaseGeometry

from mia_tui.errors import MiaError
from mia_tui.labeling import review
from mia_tui.labeling.ladder import Ladder
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import FrameStore, class_colors
from mia_tui.project import Project


@dataclass(frozen=True)
class Candidate:
    """One proposed object. `score` is 0 (doubtful) to 1; `label_class` "" takes the class in hand when accepted."""

    number: int
    geometry: BaseGeometry
    label_class: str = ""
    score: float | None = None
    ladder: Ladder | None = None


class History(Protocol):
    """Something with undo steps of its own: a label file, a prediction file, the rejected proposals."""

    @property
    def undo_text(self) -> str | None: ...

    @property
    def redo_text(self) -> str | None: ...

    @property
    def undo_time(self) -> float: ...

    @property
    def redo_time(self) -> float: ...

    def undo(self) -> str | None: ...

    def redo(self) -> str | None: ...


class Candidates(Protocol):
    """What the desk needs of proposals and predictions alike."""

    origin: str
    """Where they come from, for people."""
    travels: bool
    """Whether other frames may have some, too."""

    @property
    def rejected(self) -> frozenset[int]:
        """Numbers of those that a person rejected."""

    def pending(self, labels: FrameLabels) -> list[Candidate]:
        """Those without a decision, the most doubtful first."""

    def take(self, store: FrameStore, chosen: Sequence[Candidate], text: str, source: str, name: str) -> list[int]:
        """Put candidates into the labels as one undo step: `source` says accepted or corrected, `name` is the class of
        those that have none. Returns the ids of the labels."""

    def reject(self, numbers: Iterable[int], labels: FrameLabels) -> None:
        """Mark candidates as rejected, as one undo step."""

    def number_of(self, item: LabelObject) -> int | None:
        """The candidate that a label came from."""

    def ladders(self, number: int, own: int | None) -> Iterator[Ladder]:
        """Other outlines of a candidate, none of them over labels but the one with the id `own`, made from it.

        The first ladder holds smaller and larger ones, the others, which may take a moment, are of other shapes.
        """

    def histories(self) -> list[History]:
        """Undo steps beside those of the labels."""

    def close(self) -> None: ...


# ---- classical proposals ---------------------------------------------------------------------------------------------


@dataclass
class Rejections:
    """Rejected proposals of this session, with undo. They are not kept: proposals are made anew when asked for."""

    done: list[tuple[float, frozenset[int]]] = field(default_factory=list)
    undone: list[tuple[float, frozenset[int]]] = field(default_factory=list)

    @property
    def numbers(self) -> frozenset[int]:
        return frozenset().union(*(numbers for _, numbers in self.done))

    @property
    def undo_text(self) -> str | None:
        return _rejected(self.done)

    @property
    def redo_text(self) -> str | None:
        return _rejected(self.undone)

    @property
    def undo_time(self) -> float:
        return self.done[-1][0] if self.done else 0.0

    @property
    def redo_time(self) -> float:
        return self.undone[-1][0] if self.undone else 0.0

    def undo(self) -> str | None:
        text = self.undo_text
        if self.done:
            self.undone.append(self.done.pop())
        return text

    def redo(self) -> str | None:
        text = self.redo_text
        if self.undone:
            self.done.append(self.undone.pop())
        return text


def _rejected(steps: list[tuple[float, frozenset[int]]]) -> str | None:
    if not steps:
        return None
    count = len(steps[-1][1])
    return f"reject {count} proposal{'s' if count != 1 else ''}"


class Proposed:
    """Proposals made from the image itself. They live in memory until they are accepted."""

    travels = False

    def __init__(
        self,
        candidates: Iterable[Candidate],
        origin: str,
        clock: Callable[[], float],
        ladders: Callable[[int, int | None], Iterator[Ladder]] | None = None,
    ) -> None:
        self._clock = clock
        self._ladders = ladders
        self.candidates = {candidate.number: candidate for candidate in candidates}
        self.origin = origin
        self.rejections = Rejections()
        self._taken: dict[int, int] = {}

    @property
    def rejected(self) -> frozenset[int]:
        return self.rejections.numbers

    def pending(self, labels: FrameLabels) -> list[Candidate]:
        gone = self.rejections.numbers
        gone |= {number for number, label in self._taken.items() if label in labels.objects}
        left = [candidate for number, candidate in self.candidates.items() if number not in gone]
        return sorted(left, key=_doubt)

    def take(self, store: FrameStore, chosen: Sequence[Candidate], text: str, source: str, name: str) -> list[int]:
        new = [
            LabelObject(store.new_id(), item.geometry, item.label_class or name, source, item.score) for item in chosen
        ]
        store.edit(text, add=new)
        self._taken.update({item.number: label.id for item, label in zip(chosen, new, strict=True)})
        return [label.id for label in new]

    def reject(self, numbers: Iterable[int], labels: FrameLabels) -> None:
        self.rejections.done.append((self._clock(), frozenset(numbers)))
        self.rejections.undone.clear()

    def ladders(self, number: int, own: int | None) -> Iterator[Ladder]:
        return iter(()) if self._ladders is None else self._ladders(number, own)

    def number_of(self, item: LabelObject) -> int | None:
        return next((number for number, taken in self._taken.items() if taken == item.id), None)

    def histories(self) -> list[History]:
        return [self.rejections]

    def close(self) -> None:
        """Nothing is open."""


def _doubt(candidate: Candidate) -> tuple[float, int]:
    return (-1.0 if candidate.score is None else candidate.score, candidate.number)


# ---- predictions -----------------------------------------------------------------------------------------------------


class Predicted:
    """Predictions of a model on one frame. Accepted ones carry their origin; rejected ones are marked in their file."""

    travels = True

    def __init__(
        self, project: Project, model: str, key: str, frame: str, size: tuple[int, int], clock: Callable[[], float]
    ) -> None:
        self._clock = clock
        self._model = model
        self._size = size
        self._colors = class_colors(project)
        self._path = project.prediction_path(model, key, frame)
        if not self._path.exists():
            raise MiaError(f"model {model} has no prediction of {key} ({frame})")
        self._store = FrameStore(self._path, *size, read_only=True)
        self.origin = model

    @property
    def rejected(self) -> frozenset[int]:
        return self._frame.rejected

    @property
    def _frame(self) -> FrameLabels:
        return self._store.frame

    def pending(self, labels: FrameLabels) -> list[Candidate]:
        state = review.state_of(self._model, self._frame, labels)
        found = (self._frame.objects[number] for number in state.pending)
        return [Candidate(item.id, item.geometry, item.label_class, item.score) for item in found]

    def take(self, store: FrameStore, chosen: Sequence[Candidate], text: str, source: str, name: str) -> list[int]:
        new = [
            LabelObject(
                store.new_id(), item.geometry, item.label_class or name, source, item.score,
                origin=f"{self._model}#{item.number}",
            )
            for item in chosen
        ]  # fmt: skip
        store.edit(text, add=new)
        return [label.id for label in new]

    def reject(self, numbers: Iterable[int], labels: FrameLabels) -> None:
        meant = [self._frame.objects[number] for number in numbers]
        store = self.open_for_marks()
        if any(store.frame.objects.get(item.id) != item for item in meant):
            raise MiaError(f"{self._path} has changed since the image was opened. Open the image again to go on.")
        store.reject([item.id for item in meant])

    def ladders(self, number: int, own: int | None) -> Iterator[Ladder]:
        return iter(())

    def number_of(self, item: LabelObject) -> int | None:
        model, _, number = (item.origin or "").rpartition("#")
        return int(number) if model == self._model and number.isdigit() and int(number) in self._frame.objects else None

    def open_for_marks(self) -> FrameStore:
        """The prediction's file, open for marks; looking alone does not lock it."""
        if self._store.read_only:
            self._store = FrameStore(self._path, *self._size, colors=self._colors, clock=self._clock)
        return self._store

    @property
    def store(self) -> FrameStore:
        """The prediction's file, as it is open now."""
        return self._store

    def histories(self) -> list[History]:
        return [_Marks(self)]

    def close(self) -> None:
        self._store.close()


@dataclass(frozen=True)
class _Marks:
    """The undo steps of a prediction's file, which is opened for editing when one of them is taken."""

    of: Predicted

    @property
    def undo_text(self) -> str | None:
        return self.of.store.undo_text

    @property
    def redo_text(self) -> str | None:
        return self.of.store.redo_text

    @property
    def undo_time(self) -> float:
        return self.of.store.undo_time

    @property
    def redo_time(self) -> float:
        return self.of.store.redo_time

    def undo(self) -> str | None:
        return self.of.open_for_marks().undo()

    def redo(self) -> str | None:
        return self.of.open_for_marks().redo()
