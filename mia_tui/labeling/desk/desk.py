"""The desk: one open frame, what is proposed on it, the class and tool in hand, and the mode that keys go to."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.errors import MiaError
from mia_tui.keymap import Action, KeyMap
from mia_tui.labeling.desk.assistant import Assistant
from mia_tui.labeling.desk.candidates import Candidate, Candidates, History, Predicted
from mia_tui.labeling.desk.hints import Target, Viewport
from mia_tui.labeling.desk.modes import CountMode, MenuMode, Mode, Sketch
from mia_tui.labeling.desk.refs import Ref, candidate, label
from mia_tui.labeling.desk.rows import ROWS, table
from mia_tui.labeling.desk.tally import Tally
from mia_tui.labeling.ladder import Ladder, Shapes
from mia_tui.labeling.lock import LockedError, UnlockableError
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import FrameStore, class_colors
from mia_tui.project import Project

SCREEN = "label"
"""What the user's key map calls the desk's actions: `label.<id>`."""
FEW = 4
"""So many objects have to be labelled before their size tells something about the next one."""
TOUCH_PX = 3.0
"""A point within this distance of the place pointed at is meant."""


@dataclass(frozen=True)
class OpenFrame:
    """The frame on the desk: its image (C, Y, X) as stored in the file, its label store, all frames of its image."""

    key: str
    name: str
    plane: NDArray[Any]
    rgb: bool
    store: FrameStore
    frames: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.plane.shape[-2]), int(self.plane.shape[-1])


class Desk:
    """Keys in, edits out. Every edit is on disk when `press` returns.

    Not for two threads at once. The screen sets `view` and `cursor` before a key and reads what is public after it.

    Parameters
    ----------
    project : Project
    keymap : KeyMap
        The user's keys.
    beside : sequence of Action
        Rows of the screen around the desk: a key that the user gives to one of them is no key of the desk any more.
    clock : function
        Seconds of a monotonic clock, for the count of seconds per object.

    Attributes
    ----------
    view : Viewport
        What is in view.
    cursor : (y, x)
        The image pixel under the cursor.
    assistant : Assistant or None
        Whom tools and proposals ask that need a network.
    reveal : box or None
        (min x, min y, max x, max y) that the screen should bring into view; it clears it.
    travel : int
        1 or -1 when the next or the previous frame with something pending is asked for; the screen clears it.
    message, warning : str, bool
        What the last key did, or why it did nothing.
    """

    def __init__(
        self,
        project: Project,
        keymap: KeyMap | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        beside: Sequence[Action] = (),
    ) -> None:
        self.project = project
        self.clock = clock
        rows = table(project.task)
        self.actions: tuple[Action, ...] = (keymap or KeyMap()).rows(SCREEN, (*rows, *beside))[: len(rows)]
        self._keys = {(action.context, key): action.id for action in self.actions for key in action.key_names}
        self.class_name = project.classes[0].name
        self.frame: OpenFrame | None = None
        self.candidates: Candidates | None = None
        self.read_only = ""
        self.current: Ref | None = None
        self.modes: list[Mode] = []
        self.ladders: dict[Ref, Ladder] = {}
        self.shapes: dict[Ref, Shapes] = {}
        self._without_ladder: set[Ref] = set()
        self._outlines: dict[Ref, BaseGeometry] = {}
        """What objects looked like when they stood on their rungs."""
        self._predicted: Predicted | None = None
        self.scratch: dict[Any, Any] = {}
        """What proposals and tools keep as long as the frame is open."""
        self.count: int | None = None
        self.asked: int | None = None
        """The count that was typed before the action that is being done."""
        self.last: str | None = None
        self.view: Viewport = cast(Viewport, None)
        self.cursor = (0, 0)
        self.assistant: Assistant | None = None
        self.reveal: tuple[float, float, float, float] | None = None
        self.travel = 0
        self.message, self.warning = "", False
        self.tally = Tally()
        self.memory: dict[Any, Any] = {}
        """What tools and proposals remember over images: radius of the brush, threshold, size."""
        self._pressed = 0.0
        self._overtaken: set[float] = set()
        self._pending: tuple[FrameLabels, object, list[Candidate]] | None = None

    # ---- the frame --------------------------------------------------------------------------------------------------

    def open(
        self,
        key: str,
        name: str,
        plane: NDArray[Any],
        *,
        rgb: bool = False,
        model: str | None = None,
        frames: Sequence[str] = (),
    ) -> None:
        """Put a frame on the desk, and the predictions of `model` on it as candidates.

        `frames` are the names of all frames of the image, in their order.

        When another window edits it, or nothing may be written there, it is opened for viewing and `read_only` says so.

        Raises
        ------
        MiaError
            When its label file is damaged; no frame is open then.
        """
        self.close()
        self.message, self.warning = "", False
        path, size = self.project.labels_path(key, name), (plane.shape[-2], plane.shape[-1])
        colors = class_colors(self.project)
        try:
            store = FrameStore(path, *size, colors=colors, clock=self.time)
        except (LockedError, UnlockableError) as error:
            store = FrameStore(path, *size, colors=colors, read_only=True)
            self.read_only = str(error)
        self.frame = OpenFrame(key, name, plane, rgb, store, tuple(frames) or (name,))
        if model is not None:
            self.candidates = self._predicted = Predicted(self.project, model, key, name, size, self.time)
        # What follows is later than all that was done here, even where a clock was set back.
        times = [time for history in self._histories() for time in (history.undo_time, history.redo_time)]
        self._pressed, self._overtaken = max(self._pressed, *times), set()

    def time(self) -> float:
        """Seconds since the epoch at which the key came: all edits that it makes are one step for `undo`."""
        return self._pressed

    def close(self) -> None:
        """Take the frame off the desk: its label file is written and others may edit it."""
        while self.modes:
            self.leave()
        frame, sources = self.frame, self._sources()
        self.frame = self.candidates = self._predicted = self.current = self._pending = None
        self.read_only = ""
        self.ladders, self.shapes, self.scratch = {}, {}, {}
        self._without_ladder, self._outlines = set(), {}
        self.__dict__.pop("image", None)
        try:
            for source in sources:
                source.close()
        finally:
            if frame is not None:
                frame.store.close()
                _remove_empty(frame.store, self.project.source_folder("labels"))

    @property
    def opened(self) -> OpenFrame:
        """The frame on the desk."""
        if self.frame is None:
            raise MiaError("No image is open.")
        return self.frame

    @property
    def store(self) -> FrameStore:
        return self.opened.store

    @property
    def labels(self) -> FrameLabels:
        """All labels of the frame."""
        return self.opened.store.frame

    @property
    def pending(self) -> list[Candidate]:
        """Candidates without a decision, the most doubtful first."""
        if self.frame is None or self.candidates is None:
            return []
        key = self.labels, self.candidates, self.candidates.rejected
        if self._pending is None or self._pending[0] is not key[0] or self._pending[1] != key[1:]:
            self._pending = key[0], key[1:], self.candidates.pending(self.labels)
        return self._pending[2]

    @cached_property
    def image(self) -> NDArray[Any]:
        """The image as tools see it: (Y, X), or (Y, X, C) of several channels, in the numbers of its file."""
        plane = self.opened.plane
        return plane[0] if len(plane) == 1 else np.moveaxis(plane, 0, -1)

    @property
    def diameter(self) -> float | None:
        """What the labelled objects of the class in hand measure, in pixels; None as long as there are few."""
        outlines = [
            item.geometry.area
            for item in self.labels.objects.values()
            if item.label_class == self.class_name and item.geometry.area > 0
        ]
        if len(outlines) >= FEW:
            self.memory["diameter", self.class_name] = float(np.sqrt(np.median(outlines) * 4 / np.pi))
        found: float | None = self.memory.get(("diameter", self.class_name))
        return found

    # ---- keys -------------------------------------------------------------------------------------------------------

    @property
    def mode(self) -> Mode | None:
        """The mode on top."""
        return self.modes[-1] if self.modes else None

    def knows(self, key: str) -> bool:
        """Whether `press` would take this key in the present mode."""
        if key == "escape":
            return bool(self.modes or self.current is not None)
        mode = self.mode
        if mode is not None and (not mode.passes or (len(key) == 1 and key.isalnum() and mode.takes_letters)):
            return True
        names = [*(mode.name for mode in self.modes), ""]
        return any((name, key) in self._keys for name in names)

    def _begin(self) -> None:
        """A key or a click has come."""
        self.tally.key(self.clock())
        self.message, self.warning = "", False
        self._pressed = round(max(time.time(), self._pressed + 1e-5), 6)

    @contextmanager
    def _doing(self) -> Iterator[None]:
        """Something that a key, a click or a row of the help asks for: what goes wrong with it is in `message`."""
        self._begin()
        try:
            yield
        except MiaError as error:
            self.warn(str(error))
        except shapely.errors.GEOSException as error:
            self.warn(f"The outlines there cannot be worked with: {error}")
        finally:
            self._end()

    def press(self, key: str) -> bool:
        """Take one key; False when it means nothing here. What went wrong is in `message`."""
        with self._doing():
            return self._press(key)
        return True  # it went wrong

    def _press(self, key: str) -> bool:
        if key == "escape":
            return self._escape()
        for mode in reversed(tuple(self.modes)):
            if mode.key(self, key):
                return True
            name = self._keys.get((mode.name, key))
            if isinstance(mode, MenuMode):  # one key, whatever it is, closes a menu
                self.leave(keep_count=True)
                if name is None:
                    self.say("That is not in the menu.")
            if name is not None:
                self.do(name)
            if name is not None or isinstance(mode, MenuMode):
                return True
        name = self._keys.get(("", key))
        if name is not None:
            while self.mode is not None and not self.mode.stays:
                self.leave(keep_count=True)
            self.do(name)
        return name is not None

    def _escape(self) -> bool:
        if self.modes:
            self.leave()
            return True
        had, self.current = self.current, None
        return had is not None

    def do(self, name: str) -> None:
        """Do an action of the table, as often as the count says, or say why not."""
        entry = ROWS[name]
        reason = self.reason(name)
        if reason is not None:
            self.count = None
            self.warn(reason)
            return
        self.asked = self.count
        for left in reversed(range(self.take_count() if entry.repeats else 1)):
            entry.do(self, *entry.action.args)
            if self.warning or (left and self.reason(name) is not None):
                break
        if entry.repeats:
            self.last = name
        if not isinstance(self.mode, MenuMode):  # a menu hands the count on to what is chosen in it
            self.count = None

    def perform(self, name: str) -> None:
        """As `do`, for a click or the palette: what goes wrong is in `message`."""
        with self._doing():
            if ROWS[name].action.context == "":
                while self.modes:
                    self.leave()
            self.do(name)

    def reason(self, name: str) -> str | None:
        """Why an action cannot be done now; None when it can."""

        if self.frame is None:
            return "No image is open."
        entry = ROWS[name]
        if entry.edits and self.read_only:
            return f"Open for viewing only: {self.read_only}"
        if entry.mode and all(mode.name != entry.action.context for mode in self.modes):
            return f"Only in use: {entry.action.group.lower()}."
        return entry.why(self) if entry.why is not None else None

    def take_count(self) -> int:
        """The count that was typed, 1 without one; it is used up."""
        count, self.count = self.count, None
        if isinstance(self.mode, CountMode):
            self.leave()
        return max(1, count or 1)

    def say(self, text: str) -> None:
        self.message = text

    def warn(self, text: str) -> None:
        self.message, self.warning = text, True

    def enter(self, mode: Mode) -> None:
        """Put a mode on top."""
        self.modes.append(mode)
        mode.entered(self)

    def enter_menu(self, title: str, context: str) -> None:
        """Offer the actions of a context; one more key chooses."""
        self.modes.append(MenuMode(title, context))

    def leave(self, *, keep_count: bool = False) -> None:
        """Take the mode on top away."""
        if not keep_count:
            self.count = None
        if self.modes:
            self.modes.pop().left(self)

    def click(self, y: float, x: float, *, exact: bool = False) -> None:
        """A click: chooses the object that is there; elsewhere it is a place for the mode or the tool in hand.

        `exact` (shift) does not snap where the tool would.
        """
        from mia_tui.labeling.desk.tools import tool_in_hand

        with self._doing():
            there = self.at(y, x) if not self.modes else None
            if there is not None:
                self.current = there
            elif self.read_only:
                self.warn(f"Open for viewing only: {self.read_only}")
            else:
                tool = tool_in_hand(self)
                self.put(*(tool.snapped(self, y, x) if tool.snaps_clicks and not (exact or self.modes) else (y, x)))

    def drag(self, path: list[tuple[float, float]], *, shift: bool = False, ctrl: bool = False) -> None:
        """The mouse was drawn along (y, x) with its button pressed."""
        from mia_tui.labeling.desk.tools.freehand import drag

        with self._doing():
            if self.read_only:
                self.warn(f"Open for viewing only: {self.read_only}")
            else:
                drag(self, path, shift=shift, ctrl=ctrl)

    def put(self, y: float, x: float) -> None:
        """A place, (y, x) in image pixels, for the mode on top that takes one, else for the tool in hand."""
        from mia_tui.labeling.desk.tools import tool_in_hand

        if not any(mode.point(self, y, x) for mode in reversed(tuple(self.modes))):
            tool_in_hand(self).put(self, y, x)

    def sketch(self) -> Sketch:
        """What the modes draw, the one on top first."""
        parts = [mode.sketch(self) for mode in reversed(self.modes)]
        return Sketch(
            tuple(stroke for part in parts for stroke in part.strokes),
            tuple(handle for part in parts for handle in part.handles),
            parts[0].hints if parts else (),
            parts[0].grid if parts else None,
        )

    # ---- what is there ----------------------------------------------------------------------------------------------

    @property
    def view_box(self) -> tuple[float, float, float, float]:
        """(min x, min y, max x, max y) of the part of the image that is in view."""
        height, width = self.opened.size
        top, left = self.view.to_image(0, 0)
        bottom, right = self.view.to_image(self.view.rows, self.view.columns)
        return max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)

    def find(self, ref: Ref | None) -> LabelObject | Candidate | None:
        """The object itself; None when it is no more there."""
        if ref is None or self.frame is None:
            return None
        if ref.kind == "label":
            return self.labels.objects.get(ref.number)
        return next((item for item in self.pending if item.number == ref.number), None)

    def targets(self, *, labels: bool = True, candidates: bool = True) -> list[Target]:
        """What is in view and can be chosen by hint: candidates first, the most doubtful first of all."""
        found: list[tuple[Ref, BaseGeometry]] = []
        if candidates:
            found += [(candidate(item.number), item.geometry) for item in self.pending]
        if labels:
            listed = sorted(self.labels.objects.values(), key=lambda item: 1.0 if item.score is None else item.score)
            found += [(label(item.id), item.geometry) for item in listed]
        if not found:
            return []
        geometries = np.array([geometry for _, geometry in found], dtype=object)
        middles = shapely.get_coordinates(shapely.centroid(geometries))
        boxes = shapely.bounds(geometries)
        # Of an object whose middle is out of view, the middle of what is in view wears the hint.
        left, top, right, bottom = self.view_box
        seen = np.clip(boxes, [left, top, left, top], [right, bottom, right, bottom])
        outside = (middles != np.clip(middles, [left, top], [right, bottom])).any(axis=1)
        places = np.where(outside[:, None], (seen[:, :2] + seen[:, 2:]) / 2, middles)
        in_view = np.all(np.hstack([boxes[:, :2], -boxes[:, 2:]]) <= [right, bottom, -left, -top], axis=1)
        return [
            Target(ref, (float(y), float(x)), tuple(box))
            for (ref, _), (x, y), box, shown in zip(found, places.tolist(), boxes.tolist(), in_view, strict=True)
            if shown
        ]

    def in_view(self, items: Iterable[Candidate]) -> list[Candidate]:
        """Those whose middle is in view."""
        listed = list(items)
        left, top, right, bottom = self.view_box
        if not listed:
            return []
        middles = shapely.get_coordinates(shapely.centroid(np.array([c.geometry for c in listed], dtype=object)))
        return [c for c, (x, y) in zip(listed, middles, strict=True) if left <= x <= right and top <= y <= bottom]

    def at(self, y: float, x: float) -> Ref | None:
        """The object at a place: labels before candidates, later ones before earlier ones; points by nearness."""
        point = shapely.Point(x, y)
        reach = max(TOUCH_PX, self.view.to_image(1, 0)[0] - self.view.to_image(0, 0)[0])
        for refs, geometries in (
            ([label(n) for n in self.labels.objects], [item.geometry for item in self.labels.objects.values()]),
            ([candidate(c.number) for c in self.pending], [c.geometry for c in self.pending]),
        ):
            if not refs:
                continue
            distances = shapely.distance(np.array(geometries, dtype=object), point)
            points = np.array([geometry.geom_type == "Point" for geometry in geometries])
            near = np.flatnonzero(distances <= np.where(points, reach, 0.0))
            if len(near):
                return refs[int(min(near, key=lambda i: (distances[i], -i)))]
        return None

    def overlapping(self, geometry: BaseGeometry, but: Sequence[int] = ()) -> list[LabelObject]:
        """The labels whose boxes meet the box of a geometry, without points and those of the ids `but`."""
        others = [item for item in self.labels.objects.values() if item.id not in but]
        if not others or geometry.is_empty:
            return []
        left, top, right, bottom = geometry.bounds
        boxes = shapely.bounds(np.array([item.geometry for item in others], dtype=object))
        meets = (boxes[:, 0] < right) & (boxes[:, 2] > left) & (boxes[:, 1] < bottom) & (boxes[:, 3] > top)
        return [others[i] for i in np.flatnonzero(meets) if others[i].geometry.geom_type != "Point"]

    # ---- changes ----------------------------------------------------------------------------------------------------

    def choose(self, ref: Ref | None, *, reveal: bool = True) -> None:
        """Make an object the current one."""
        self.current = ref
        item = self.find(ref)
        if item is not None and reveal:
            self.reveal = item.geometry.bounds

    def hold_class(self, key: str) -> bool:
        """Take the class with this key in hand."""
        for entry in self.project.classes:
            if entry.key == key:
                self.class_name = entry.name
                return True
        self.warn(f"No class has the key {key}.")
        return False

    def ladder_of(self, ref: Ref) -> Ladder | None:
        """The nested outlines of an object, when it has some and still has one of them."""
        item = self.find(ref)
        if item is None or ref in self._without_ladder:
            return None
        ladder = self.ladders.get(ref, item.ladder if isinstance(item, Candidate) else None)
        if ladder is None:
            shapes = self.shapes_of(ref)
            ladder = None if shapes is None else shapes.first
        if ladder is not None and self._outlines.get(ref, item.geometry) != item.geometry:  # after undo
            ladder = ladder.nearest(item.geometry)
        return ladder

    def shapes_of(self, ref: Ref) -> Shapes | None:
        """The outlines that a proposal can have, whatever has become of it, or an object that a tool found."""
        item = self.find(ref)
        if ref not in self.shapes and item is not None and self.candidates is not None:
            number = ref.number if isinstance(item, Candidate) else self.candidates.number_of(item)
            if number is not None:
                own = None if isinstance(item, Candidate) else item.id
                self.shapes[ref] = Shapes(partial(self.candidates.ladders, number, own))
        return self.shapes.get(ref)

    def label_from(self, number: int) -> int | None:
        """The label that came from a candidate."""
        if self.candidates is None:
            return None
        numbers = ((item.id, self.candidates.number_of(item)) for item in self.labels.objects.values())
        return next((label_id for label_id, found in numbers if found == number), None)

    def take_candidates(self, candidates: Candidates | None) -> None:
        """Put other candidates on the desk; None brings back the model's predictions, if there are any."""
        if self.candidates is not None and self.candidates is not self._predicted:
            self.candidates.close()
        self.candidates = candidates or self._predicted
        self._pending = None
        self._without_ladder = {ref for ref in self._without_ladder if ref.kind == "label"}
        self.ladders = {ref: ladder for ref, ladder in self.ladders.items() if ref.kind == "label"}
        self.shapes = {ref: shapes for ref, shapes in self.shapes.items() if ref.kind == "label"}
        self.forget_gone()

    def stand_on(self, ref: Ref, ladder: Ladder) -> None:
        """An object has taken the outline that is its ladder's best; labels may have cut some of it off."""
        item = self.find(ref)
        self.ladders[ref] = ladder
        self._without_ladder.discard(ref)
        if item is not None:
            self._outlines[ref] = item.geometry

    def forget_ladder(self, ref: Ref) -> None:
        """The outline of an object has become another than those of its ladder."""
        self.ladders.pop(ref, None)
        self._without_ladder.add(ref)

    # ---- undo -------------------------------------------------------------------------------------------------------

    def _histories(self) -> list[History]:
        """Those of candidates first: when their file cannot be edited, nothing else is taken back either."""
        return [*(history for source in self._sources() for history in source.histories()), self.store]

    def _sources(self) -> list[Candidates]:
        """The candidates, and the predictions that they have taken the place of."""
        behind = self._predicted if self._predicted is not self.candidates else None
        return [source for source in (self.candidates, behind) if source is not None]

    def undo(self) -> str | None:
        """Take back all that the latest key has done, whichever files it stands in; its text."""
        steps = [history for history in self._histories() if history.undo_text is not None]
        latest = max((history.undo_time for history in steps), default=0.0)
        texts: list[str | None] = []
        for history in steps:
            while history.undo_text is not None and history.undo_time == latest and (latest or not texts):
                texts.append(history.undo())
        self.forget_gone()
        return _told(texts)

    def redo(self) -> str | None:
        """Do all again that was taken back last; its text."""
        steps = [history for history in self._histories() if self._can_redo(history)]
        first = min((history.redo_time for history in steps), default=0.0)
        texts: list[str | None] = []
        for history in steps:
            while history.redo_text is not None and history.redo_time == first and (first or not texts):
                texts.append(history.redo())
        self.forget_gone()
        return _told(texts)

    def _can_redo(self, history: History) -> bool:
        return history.redo_text is not None and history.redo_time not in self._overtaken

    def _end(self) -> None:
        """A key was dealt with. After an edit nothing that was undone before can come back, in none of the files."""
        if self.frame is None:
            return
        histories = self._histories()
        if any(history.undo_text is not None and history.undo_time == self._pressed for history in histories):
            self._overtaken |= {history.redo_time for history in histories if history.redo_text is not None}

    def forget_gone(self) -> None:
        """Let go of the chosen object when it is no more there."""
        if self.find(self.current) is None:
            self.current = None


def _told(texts: Iterable[str | None]) -> str | None:
    """What steps were about, each once; None without any."""
    counts = Counter(text for text in texts if text is not None)
    return ", ".join(text if n == 1 else f"{text}, {n} times" for text, n in counts.items()) or None


def _remove_empty(store: FrameStore, labels: Path) -> None:
    """Take away the folders that opening for labelling made, when nothing was labelled."""
    with suppress(OSError):
        for folder in store.path.relative_to(labels).parents:
            (labels / folder).rmdir()
