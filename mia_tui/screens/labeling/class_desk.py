"""The decisions of a person who labels whole images: what is written, and how it is taken back. Runs in threads."""

import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from mia_tui.errors import MiaError
from mia_tui.labeling.image_class import (
    clear_image_class,
    frame_size,
    frames_of,
    image_class,
    image_label,
    set_image_class,
)
from mia_tui.labeling.journal import History, read_journal
from mia_tui.labeling.lock import LockedError, is_locked
from mia_tui.labeling.objects import LabelObject
from mia_tui.labeling.store import Edit, FrameStore, open_labels, read_frame
from mia_tui.project import FILE_NAME, Project, parse_frame

WRITERS = 8
BATCH = re.compile(r"\(\d+ images, [\d:.]+\)$")
"""How the undo texts of decisions about many images end. It makes them one decision again after a restart."""


@dataclass(frozen=True)
class Place:
    """One frame: image key and name of the frame."""

    key: str
    frame: str

    @property
    def plane(self) -> tuple[int, int]:
        """(t, z), 0-based."""
        return parse_frame(self.frame)

    @property
    def folder(self) -> str:
        return self.key.rpartition("/")[0]

    def __str__(self) -> str:
        return self.key if self.frame == "image" else f"{self.key} {self.frame}"


@dataclass(frozen=True)
class Decision:
    """One step that undo takes back: its text, and each frame with the time of the edit there."""

    text: str
    edits: tuple[tuple[Place, float], ...]


@dataclass(frozen=True)
class Outcome:
    """What the disk holds after a decision: the class of each frame that was touched, and what went wrong."""

    classes: dict[Place, str | None]
    problems: tuple[str, ...] = ()
    decision: Decision | None = None


@dataclass(frozen=True)
class _Result:
    """One frame: its class then, the time of the edit (None: there was none), and why not."""

    place: Place
    name: str | None
    made: float | None
    problem: str = ""
    locked: bool = False


@dataclass(frozen=True)
class Listing:
    """All frames of the project, their classes, and what the model predicts for them."""

    places: tuple[Place, ...]
    classes: dict[Place, str | None]
    predictions: dict[Place, LabelObject]
    problems: tuple[str, ...] = ()


class ClassDesk:
    """Classifies frames of a project, one call at a time. No lock is held between two calls.

    Undo goes back over all images, in the order in which edits were made, also those of earlier sessions.
    """

    def __init__(self, project: Project, model: str | None = None) -> None:
        self.project = project
        self.model = model
        self._lock = threading.Lock()
        self._sizes: dict[str, tuple[int, int]] = {}
        self._stamp = self._project_stamp()
        self._done: list[Decision] = []
        self._undone: list[Decision] = []

    # ---- reading ----------------------------------------------------------------------------------------------------

    def read(self, report: Callable[[int], None] | None = None) -> Listing:
        """Look through all images, labels, predictions and the history of edits."""
        with self._lock:
            refs = self.project.images()
            places = tuple(Place(*frame) for frame in frames_of(self.project, refs, report))
            classes: dict[Place, str | None] = dict.fromkeys(places)
            problems: list[str] = []
            done: list[tuple[float, str, Place]] = []
            undone: list[tuple[float, str, Place]] = []
            for key, frame in self.project.frames_under("labels"):
                place = Place(key, frame)
                try:
                    path = self.project.labels_path(key, frame)
                    classes |= {place: image_class(read_frame(path))} if place in classes else {}
                    history = History(read_journal(path.with_suffix(".journal")))
                except MiaError as error:
                    problems.append(str(error))
                    continue
                done += [(*_time_and_text(line.record()), place) for line in history.done]
                undone += [(*_time_and_text(line.record()), place) for line in history.undone]
            self._done = _decisions(sorted(done, key=lambda entry: entry[0]))
            self._undone = _decisions(sorted(undone, key=lambda entry: entry[0]))[::-1]
            return Listing(places, classes, self._read_predictions(places, problems), tuple(problems))

    def _read_predictions(self, places: Iterable[Place], problems: list[str]) -> dict[Place, LabelObject]:
        found: dict[Place, LabelObject] = {}
        if self.model is None:
            return found
        wanted = set(places)
        for key, frame in self.project.frames_under(f"predictions:{self.model}"):
            try:
                item = image_label(read_frame(self.project.prediction_path(self.model, key, frame)))
            except MiaError as error:
                problems.append(str(error))
                continue
            if item is not None and Place(key, frame) in wanted:
                found[Place(key, frame)] = item
        return found

    def is_locked(self, place: Place) -> bool:
        """Whether another window is editing the frame."""
        with self._lock:
            return is_locked(self.project.labels_path(place.key, place.frame))

    # ---- deciding ---------------------------------------------------------------------------------------------------

    def classify(
        self, places: Sequence[Place], name: str, predictions: dict[Place, LabelObject] | None = None, text: str = ""
    ) -> Outcome:
        """Give frames a class; one undo step each, one decision for all.

        `predictions` are those that a person has seen and accepts or corrects with it.
        """
        known = predictions or {}
        words = self._text(text or f"class {name}", places)

        def act(store: FrameStore, place: Place) -> Edit | None:
            return set_image_class(store, name, words, predicted=known.get(place), model=self.model or "")

        return self._decide(places, words, act, name)

    def clear(self, places: Sequence[Place]) -> Outcome:
        """Take the class of frames away."""
        words = self._text("no class", places)
        return self._decide(places, words, lambda store, _: clear_image_class(store, words))

    def undo(self) -> Outcome | None:
        """Take back the last decision, wherever it was; None when there is nothing.

        A frame that was edited elsewhere since, or is being edited, is left as it is and named.
        """
        return self._step("undo", self._done, self._undone)

    def redo(self) -> Outcome | None:
        """Do the last undone decision again."""
        return self._step("redo", self._undone, self._done)

    # ---- inside -----------------------------------------------------------------------------------------------------

    @staticmethod
    def _text(text: str, places: Sequence[Place]) -> str:
        return text if len(places) == 1 else f"{text} ({len(places)} images, {time.strftime('%H:%M:%S')})"

    def _decide(
        self,
        places: Sequence[Place],
        text: str,
        act: Callable[[FrameStore, Place], Edit | None],
        name: str | None = None,
    ) -> Outcome:
        with self._lock:
            self._check_class(name)

            def one(place: Place) -> _Result:
                with self._store(place) as store:
                    made = None if act(store, place) is None else store.undo_time
                    return _Result(place, image_class(store.frame), made)

            results = self._for_each(places, one)
            edits = tuple((result.place, result.made) for result in results if result.made is not None)
            decision = Decision(text, edits) if edits else None
            if decision is not None:
                self._done.append(decision)
                self._undone = []
            return _outcome(results, decision)

    def _step(self, way: str, source: list[Decision], target: list[Decision]) -> Outcome | None:
        with self._lock:
            if not source:
                return None
            decision = source.pop()
            times = dict(decision.edits)

            def one(place: Place) -> _Result:
                with self._store(place) as store:
                    if (store.undo_time if way == "undo" else store.redo_time) != times[place]:
                        raise MiaError(f"edited elsewhere since; {way} leaves that edit alone")
                    (store.undo if way == "undo" else store.redo)()
                    return _Result(place, image_class(store.frame), times[place])

            results = self._for_each([place for place, _ in decision.edits], one)
            stepped = tuple((r.place, r.made) for r in results if r.made is not None)
            waiting = tuple((r.place, times[r.place]) for r in results if r.locked)
            source += [replace(decision, edits=waiting)] if waiting else []
            target += [replace(decision, edits=stepped)] if stepped else []
            return _outcome(results, replace(decision, edits=stepped))

    def _for_each(self, places: Sequence[Place], one: "Callable[[Place], _Result]") -> "list[_Result]":
        """Several at once: most of the time is waiting for the disk. What fails is named and left as it is."""

        def safe(place: Place) -> _Result:
            try:
                return one(place)
            except MiaError as error:
                locked = isinstance(error, LockedError)
                return _Result(place, self._class_on_disk(place), None, f"{place}: {error}", locked)

        if len(places) == 1:
            return [safe(places[0])]
        with ThreadPoolExecutor(WRITERS) as pool:
            return list(pool.map(safe, places))

    def _store(self, place: Place) -> FrameStore:
        if place.key not in self._sizes:
            self._sizes[place.key] = frame_size(self.project, place.key)
        return open_labels(self.project, place.key, place.frame, *self._sizes[place.key])

    def _class_on_disk(self, place: Place) -> str | None:
        try:
            return image_class(read_frame(self.project.labels_path(place.key, place.frame)))
        except MiaError:
            return None

    def _check_class(self, name: str | None) -> None:
        """Another window may have renamed or removed the class since this one read the project."""
        stamp = self._project_stamp()
        if name is None or stamp == self._stamp:
            return
        if all(c.name != name for c in Project.load(self.project.folder).classes):
            raise MiaError(f"The class {name} was renamed or removed in another window. R reads the project again.")
        self._stamp = stamp

    def _project_stamp(self) -> tuple[int, ...]:
        try:
            stat = (self.project.folder / FILE_NAME).stat()
        except OSError:
            return ()
        return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _outcome(results: Sequence[_Result], decision: Decision | None) -> Outcome:
    problems = tuple(result.problem for result in results if result.problem)
    return Outcome({result.place: result.name for result in results}, problems, decision)


def _time_and_text(record: dict[str, object]) -> tuple[float, str]:
    return float(str(record.get("time", 0.0))), str(record.get("text", ""))


def _decisions(edits: Iterable[tuple[float, str, Place]]) -> list[Decision]:
    """Edits in the order of time as decisions: those of one batch together."""
    found: list[Decision] = []
    for made, text, place in edits:
        if found and found[-1].text == text and BATCH.search(text):
            found[-1] = Decision(text, (*found[-1].edits, (place, made)))
        else:
            found.append(Decision(text, ((place, made),)))
    return found
