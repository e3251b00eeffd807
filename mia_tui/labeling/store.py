"""One frame's label file: read, edit with unlimited undo, and never lose an acknowledged edit.

`<frame>.geojson` is a snapshot with a revision, `<frame>.journal` the edits. An edit is on disk, as one fsynced line of
the journal, when the call returns; the snapshot follows now and then and when the store is closed. Whoever reads a
frame reads the snapshot and replays the newer lines. One process edits at a time (`<frame>.lock`, held with flock).
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from shapely.geometry.base import BaseGeometry

from mia_tui.errors import MiaError
from mia_tui.labeling.geojson import Parsed, area_features, collection_lines, dump, feature_of, parse_collection
from mia_tui.labeling.journal import History, Journal, JournalWriter, Line, apply, objects_in, read_journal, replay
from mia_tui.labeling.lock import release_lock, take_lock
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.project import Project
from mia_tui.storage import atomic_writer

SNAPSHOT_EVERY = 1000
"""Edits after which the label file is written again while it is open, which bounds the work of the next reader."""

GEOMETRIES = ("Point", "Polygon", "MultiPolygon")


@dataclass(frozen=True)
class Edit:
    """One undo step, as it was made."""

    revision: int
    text: str
    removed: tuple[LabelObject, ...]
    added: tuple[LabelObject, ...]


# ---- reading and writing whole frames --------------------------------------------------------------------------------


def read_frame(path: Path) -> FrameLabels | None:
    """The frame behind a label file, with the newer edits of its journal. Never writes.

    Parameters
    ----------
    path : Path
        The `.geojson`.

    Returns
    -------
    FrameLabels or None
        None when there is neither a label file nor a journal.

    Raises
    ------
    MiaError
        For a damaged label file or journal.
    """
    loaded = _load(path, None)
    return None if loaded is None else loaded.frame


def write_frame(path: Path, frame: FrameLabels, colors: Mapping[str, str] | None = None) -> None:
    """Replace a whole frame in one step: predictions, or labels where none were.

    The undo history starts anew. Ids handed out before stay used up; an object that a person had rejected stays
    rejected when it comes back with the same outline.

    Raises
    ------
    MiaError
        When somebody is editing the frame, or what is there is damaged (it is not overwritten).
    """
    _check_objects(frame.objects.values())
    _checked_areas(frame.areas)
    lock = take_lock(path)
    try:
        old = _load(path, None)
        revision = 1
        if old is not None:
            revision = max(old.revision, old.journal.revision) + 1
            again = {old.frame.objects[number].geometry for number in old.frame.rejected if number in old.frame.objects}
            rejected = frozenset(item.id for item in frame.objects.values() if item.geometry in again)
            next_id = max(frame.next_id, old.frame.next_id)
            frame = replace(frame, rejected=frame.rejected | rejected, next_id=next_id)
        frame = replace(frame, next_id=max(frame.next_id, max(frame.objects, default=0) + 1))
        _write_snapshot(path, frame, revision, colors or {})
        _journal_path(path).unlink(missing_ok=True)
    finally:
        release_lock(path, lock)


def open_labels(project: Project, key: str, frame: str, height: int, width: int) -> "FrameStore":
    """The labels of one frame of a project, open for editing."""
    return FrameStore(project.labels_path(key, frame), height, width, colors=class_colors(project))


def class_colors(project: Project) -> dict[str, str]:
    """`#RRGGBB` by class name, as label files carry them."""
    return {entry.name: entry.color for entry in project.classes}


@dataclass(frozen=True)
class _Loaded:
    """A frame with its journal; `revision` is the label file's (None: there is none, or another program wrote it)."""

    frame: FrameLabels
    journal: Journal
    snapshot: int | None
    stamp: tuple[int, ...]

    @property
    def revision(self) -> int:
        return max(self.snapshot or 0, self.journal.revision)


def _load(path: Path, size: tuple[int, int] | None) -> _Loaded | None:
    journal_path = _journal_path(path)
    for _ in range(10):
        stamp = _stamp(path)
        parsed = _read_snapshot(path, size)
        journal = read_journal(journal_path)
        # A whole frame written in between takes the journal away: what was read does not belong together.
        if _stamp(path) == stamp:
            break
    if parsed is None and not journal.lines:
        return None
    if parsed is None:
        parsed = Parsed(_begun(journal_path, journal.lines[0], size), 0)
        return _Loaded(replay(journal_path, journal, parsed.frame, 0), journal, None, stamp)
    if parsed.revision is None and journal.lines:
        raise MiaError(
            f"{path} was replaced by another program and {journal_path.name} still holds edits of the file before it. "
            f"Nothing was changed. Move {journal_path.name} away to go on with the new file, or put the old one back."
        )
    if parsed.revision is None and size is None:
        raise MiaError(
            f"{path} was written by another program and does not say how large its image is. Move it out of the labels "
            "and import it with: mia-tui import PROJECT FILE --format geojson"
        )
    frame = replay(journal_path, journal, parsed.frame, parsed.revision or 0)
    return _Loaded(frame, journal, parsed.revision, stamp)


def _read_snapshot(path: Path, size: tuple[int, int] | None) -> Parsed | None:
    try:
        return parse_collection(json.loads(path.read_bytes()), size)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MiaError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise MiaError(
            f"{path} is no label file this program can read: {error}. It was not changed. Restore it from a backup, "
            f"mend it, or move it away and import it with: mia-tui import PROJECT FILE --format geojson"
        ) from None


def _begun(path: Path, head: Line, size: tuple[int, int] | None) -> FrameLabels:
    """The empty frame that a journal without a label file begins with."""
    record = head.record()
    if head.revision:
        raise MiaError(
            f"{path} holds edits of {path.with_suffix('.geojson').name}, which is missing. Restore that file, or move "
            f"the journal away to start with an empty frame."
        )
    found = int(record.get("height", 0)), int(record.get("width", 0))
    if size is not None and found != size:
        raise MiaError(
            f"{path} belongs to an image of {found[0]} x {found[1]}, not {size[0]} x {size[1]} pixels (y, x)."
        )
    return FrameLabels(*found)


def _write_snapshot(path: Path, frame: FrameLabels, revision: int, colors: Mapping[str, str]) -> None:
    try:
        with atomic_writer(path) as stream:
            stream.write(b"".join(collection_lines(frame, revision, colors)))
    except OSError as error:
        raise MiaError(f"{path} cannot be written: {error.strerror}. Free space or rights and try again.") from None


def _journal_path(path: Path) -> Path:
    return path.with_suffix(".journal")


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes when another program replaces or rewrites the file."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


# ---- editing ---------------------------------------------------------------------------------------------------------


class FrameStore:
    """The labels (or predictions) of one frame, open for editing or, `read_only`, for viewing.

    Every method that changes something is on disk when it returns; each is one undo step. Close the store, or use it
    as a context manager; a store that is killed instead loses nothing but the time its next reader needs.

    Parameters
    ----------
    path : Path
        The `.geojson`; neither it nor its folder need exist.
    height, width : int
        Size of the image in pixels; a label file of another size is refused.
    read_only : bool
        Take no lock, create and write nothing.
    colors : mapping, optional
        `#RRGGBB` by class name, written into the features for other programs.
    clock : function
        Seconds since the epoch, kept with each edit (`undo_time`).
    lock : int, optional
        The frame's lock, where the caller holds it already; the store gives it back.

    Raises
    ------
    MiaError
        When another store has the frame open for editing, or its files are damaged.
    """

    def __init__(
        self,
        path: Path,
        height: int,
        width: int,
        *,
        read_only: bool = False,
        colors: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
        lock: int | None = None,
    ) -> None:
        self._clock = clock
        self.path = path
        self.read_only = read_only
        self._colors = dict(colors or {})
        self._lock: int | None = None if read_only else take_lock(path) if lock is None else lock
        try:
            loaded = _load(path, (height, width))
        except BaseException:
            self._release()
            raise
        journal = Journal()
        self._snapshot: int | None = None
        self._stamp: tuple[int, ...] = ()
        self._frame = FrameLabels(height, width)
        if loaded is not None:
            journal, self._snapshot, self._stamp = loaded.journal, loaded.snapshot, loaded.stamp
            self._frame = loaded.frame
        self._foreign_file = loaded is not None and loaded.snapshot is None and bool(loaded.stamp)
        self._revision = 0 if loaded is None else loaded.revision
        self._new_journal = journal.revision < self._revision or not journal.lines
        self._history = History(None if self._new_journal else journal)
        self._writer = JournalWriter(_journal_path(path), Journal() if self._new_journal else journal)
        self._next_id = self._frame.next_id

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def frame(self) -> FrameLabels:
        """The frame as it is now. Do not change it in place."""
        return self._frame

    @property
    def undo_text(self) -> str | None:
        """What `undo` would take back; None when there is nothing."""
        return _text(self._history.done)

    @property
    def redo_text(self) -> str | None:
        """What `redo` would do again; None when there is nothing."""
        return _text(self._history.undone)

    @property
    def undo_time(self) -> float:
        """When the edit that `undo` would take back was made (seconds since the epoch); 0 when there is nothing."""
        return _time(self._history.done)

    @property
    def redo_time(self) -> float:
        """When the edit that `redo` would do again was made; 0 when there is nothing."""
        return _time(self._history.undone)

    def new_id(self) -> int:
        """An id that no object of this frame ever had."""
        self._next_id = max(self._next_id, self._frame.next_id)
        self._next_id += 1
        return self._next_id - 1

    # ---- changes ----------------------------------------------------------------------------------------------------

    def edit(self, text: str, *, add: Iterable[LabelObject] = (), remove: Iterable[int] = ()) -> Edit:
        """Remove and add objects as one undo step. A correction removes an object and adds it again with its id.

        Parameters
        ----------
        text : str
            What a person did, for the undo message.
        add : objects
            Their ids must not be in use (after `remove`).
        remove : ids
            Must be there.

        Raises
        ------
        ValueError
            When the ids or geometries are not as they must be; nothing was changed then.
        MiaError
            When it cannot be written; nothing was changed then.
        """
        adding = list(add)
        _check_objects(adding)
        gone = [self._frame.objects.get(number) or _missing(number) for number in dict.fromkeys(remove)]
        record = {
            "remove": [feature_of(item, self._colors) for item in gone],
            "add": [feature_of(item, self._colors) for item in adding],
        }
        return self._edit(text, record)

    def replace_all(self, text: str, objects: Iterable[LabelObject], areas: Iterable[BaseGeometry]) -> Edit:
        """Put other objects and annotated areas in the place of all that are there, as one undo step."""
        adding = list(objects)
        _check_objects(adding)
        new = replace(self._frame, areas=_checked_areas(areas))
        record = {
            "remove": [feature_of(item, self._colors) for item in self._frame.objects.values()],
            "add": [feature_of(item, self._colors) for item in adding],
            "areas_before": area_features(self._frame),
            "areas": area_features(new),
        }
        return self._edit(text, record)

    def reject(self, ids: Iterable[int]) -> Edit | None:
        """Mark predicted objects as rejected, as one undo step; None when all of them were already."""
        new = sorted(set(self._known(ids)) - self._frame.rejected)
        return None if not new else self._edit(f"reject {_count(len(new))}", {"reject": new})

    def unreject(self, ids: Iterable[int]) -> Edit | None:
        """Take the rejection of predicted objects back, as one undo step; None when none of them was rejected."""
        old = sorted(set(self._known(ids)) & self._frame.rejected)
        return None if not old else self._edit(f"take back the rejection of {_count(len(old))}", {"unreject": old})

    def set_areas(self, areas: Iterable[BaseGeometry], text: str = "annotated areas") -> Edit:
        """Say where the frame is annotated (outlines; none = everywhere), as one undo step."""
        new = replace(self._frame, areas=_checked_areas(areas))
        return self._edit(text, {"areas_before": area_features(self._frame), "areas": area_features(new)})

    def undo(self) -> str | None:
        """Take back the last edit that is not undone; its text, or None when there is nothing to take back."""
        return self._step("undo", self._history.done)

    def redo(self) -> str | None:
        """Do the last undone edit again; its text, or None when there is nothing."""
        return self._step("redo", self._history.undone)

    def close(self) -> None:
        """Write the label file if edits were made, and let others edit the frame."""
        if self._lock is None:
            return
        try:
            if self._revision != (self._snapshot or 0):
                self._write()
        finally:
            self._writer.close()
            self._release()

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _known(self, ids: Iterable[int]) -> list[int]:
        return [number if number in self._frame.objects else _missing(number).id for number in ids]

    def _edit(self, text: str, record: dict[str, Any]) -> Edit:
        kept = {key: value for key, value in record.items() if value or key.startswith("areas")}
        line = self._append("edit", {"text": text, "time": round(self._clock(), 6), **kept})
        done = line.record()
        return Edit(line.revision, text, objects_in(done, "remove"), objects_in(done, "add"))

    def _step(self, op: str, stack: list[Line]) -> str | None:
        if not stack:
            return None
        text = _text(stack)
        self._append(op, {})
        return text

    def _append(self, op: str, record: dict[str, Any]) -> Line:
        """Work out the frame after a change, put the change on disk, and only then take the frame over."""
        if self._lock is None:
            raise MiaError(f"{self.path} is open for viewing only, or closed: it cannot be edited here.")
        raw = dump({"rev": self._revision + 1, "op": op, **record}) + b"\n"
        line = Line(self._revision + 1, op, raw)
        target = {"edit": [line], "undo": self._history.done, "redo": self._history.undone}[op][-1]
        frame = apply(self._frame, target.record(), forward=op != "undo")
        if self._foreign_file:
            # From here on the journal's lines count from this file's revision, so it must carry one.
            self._write()
            self._foreign_file = False
        self._writer.append(self._head() + raw)
        self._new_journal = False
        self._history.take(line)
        self._frame, self._revision = frame, line.revision
        if self._revision - (self._snapshot or 0) >= SNAPSHOT_EVERY:
            self._write()
        return line

    def _head(self) -> bytes:
        if not self._new_journal:
            return b""
        size = {"height": self._frame.height, "width": self._frame.width}
        return dump({"rev": self._revision, "op": "journal", **size}) + b"\n"

    def _write(self) -> None:
        # A file that was removed meanwhile is written again: nothing is overwritten by it, and all edits are kept.
        if _stamp(self.path) not in ((), self._stamp):
            raise MiaError(
                f"{self.path} was changed by another program while it was open here, and was not overwritten. Your "
                f"edits are safe in {_journal_path(self.path).name}. Move the changed file away to get them back."
            )
        _write_snapshot(self.path, self._frame, self._revision, self._colors)
        self._snapshot, self._stamp = self._revision, _stamp(self.path)

    def _release(self) -> None:
        if self._lock is not None:
            release_lock(self.path, self._lock)
            self._lock = None


def _text(stack: list[Line]) -> str | None:
    return str(stack[-1].record().get("text", "")) if stack else None


def _time(stack: list[Line]) -> float:
    return float(stack[-1].record().get("time", 0.0)) if stack else 0.0


def _count(number: int) -> str:
    return f"{number} object" if number == 1 else f"{number} objects"


def _missing(number: int) -> LabelObject:
    raise ValueError(f"the frame has no object {number}")


def _checked_areas(areas: Iterable[BaseGeometry]) -> tuple[BaseGeometry, ...]:
    checked = tuple(areas)
    if any(area.geom_type not in GEOMETRIES or area.geom_type == "Point" or area.is_empty for area in checked):
        raise ValueError("an annotated area must be an outline")
    return checked


def _check_objects(objects: Iterable[LabelObject]) -> None:
    for item in objects:
        if item.id < 1:
            raise ValueError(f"an object's id is at least 1, not {item.id}")
        if item.geometry.geom_type not in GEOMETRIES or item.geometry.is_empty:
            raise ValueError(f"object {item.id} is a {item.geometry.geom_type}, neither an outline nor a point")
