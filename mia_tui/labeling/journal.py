"""The append-only journal beside a label file: one line of JSON per change, never rewritten.

```
{"rev": 0, "op": "journal", "height": 512, "width": 512}      the file's revision when the journal was begun
{"rev": 1, "op": "edit", "text": "add cell", "add": [feature], "remove": [feature], ...}
{"rev": 2, "op": "undo"}
{"rev": 3, "op": "redo"}
```
A line is written and fsynced in one piece before an edit counts as done. A kill can only leave an unfinished last line,
which never counted and is cut off before the next one is appended.
"""

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mia_tui.errors import MiaError
from mia_tui.labeling.geojson import area_of, object_of
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.storage import fsync_folder

_HEAD = re.compile(rb'\{"rev": (\d+), "op": "(\w+)"')


@dataclass(frozen=True)
class Line:
    """One line of a journal, parsed only as far as its revision and kind."""

    revision: int
    op: str
    raw: bytes

    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self.raw)
        return record


@dataclass(frozen=True)
class Journal:
    """The whole lines of a journal (the first is its head) and the number of bytes they take."""

    lines: tuple[Line, ...] = ()
    length: int = 0

    @property
    def revision(self) -> int:
        return self.lines[-1].revision if self.lines else 0


def read_journal(path: Path) -> Journal:
    """Read a journal; an unfinished last line is left out.

    Raises
    ------
    MiaError
        When a line before the last is damaged.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Journal()
    except OSError as error:
        raise MiaError(f"{path} cannot be read: {error.strerror}") from None
    raw = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
    if raw and not _is_whole(raw[-1]):
        raw.pop()
    lines: list[Line] = []
    for number, line in enumerate(raw):
        match = _HEAD.match(line)
        expected = lines[-1].revision + 1 if lines else None
        if match is None or expected not in (None, int(match[1])) or (match[2] == b"journal") != (not lines):
            raise _damaged(path, f"line {number + 1} is not what was written there")
        lines.append(Line(int(match[1]), match[2].decode(), line))
    return Journal(tuple(lines), sum(map(len, raw)))


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _damaged(path: Path, reason: str) -> MiaError:
    return MiaError(
        f"{path} is damaged: {reason}. Nothing was changed. Restore it from a backup, or move it away to go on with "
        "the file beside it as it stands, without the edits and the undo history in the journal."
    )


def replay(path: Path, journal: Journal, frame: FrameLabels, revision: int) -> FrameLabels:
    """The frame after all lines newer than `revision`.

    Raises
    ------
    MiaError
        When the journal does not fit the label file.
    """
    if not journal.lines or journal.revision <= revision:
        return frame
    if journal.lines[0].revision > revision:
        raise _damaged(path, f"it begins at revision {journal.lines[0].revision}, the label file is at {revision}")
    history = History()
    try:
        for line in journal.lines[1:]:
            edit, forward = history.take(line)
            if line.revision > revision:
                frame = apply(frame, edit.record(), forward=forward)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, f"it does not fit the label file ({error})") from None
    return frame


class History:
    """Which edits are done and which are undone: two stacks of journal lines."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.done: list[Line] = []
        self.undone: list[Line] = []
        for line in journal.lines[1:] if journal else ():
            self.take(line)

    def take(self, line: Line) -> tuple[Line, bool]:
        """Follow one line; the edit it is about, and whether it does it (True) or undoes it (False)."""
        if line.op == "edit":
            self.done.append(line)
            self.undone.clear()
        elif line.op == "undo":
            self.undone.append(self.done.pop())
            return self.undone[-1], False
        elif line.op == "redo":
            self.done.append(self.undone.pop())
        else:
            raise ValueError(f"unknown kind of line {line.op!r}")
        return self.done[-1], True


def apply(frame: FrameLabels, record: dict[str, Any], *, forward: bool) -> FrameLabels:
    """The frame after an edit is done (`forward`) or undone.

    Raises
    ------
    ValueError
        When the edit does not fit the frame: removes what is not there, adds what is there already.
    """
    objects = dict(frame.objects)
    added, removed = record.get("add", []), record.get("remove", [])
    for feature in removed if forward else added:
        if objects.pop(feature["properties"]["id"], None) is None:
            raise ValueError(f"object {feature['properties']['id']} is to be removed and is not there")
    next_id = frame.next_id
    for item in map(object_of, added if forward else removed):
        if item.id in objects:
            raise ValueError(f"object {item.id} is to be added and is there already")
        objects[item.id] = item
        next_id = max(next_id, item.id + 1)
    taken, given = frozenset(record.get("unreject", ())), frozenset(record.get("reject", ()))
    rejected = (frame.rejected - taken) | given if forward else (frame.rejected - given) | taken
    frame = replace(frame, objects=dict(sorted(objects.items())), rejected=rejected, next_id=next_id)
    if "areas" in record:
        found = [area_of(feature) for feature in record["areas" if forward else "areas_before"]]
        extra = {**frame.foreign.areas, **{area.wkb: more for area, more in found}}
        foreign = replace(frame.foreign, areas=extra)
        frame = replace(frame, areas=tuple(area for area, _ in found), foreign=foreign)
    return frame


def objects_in(record: dict[str, Any], name: str) -> tuple[LabelObject, ...]:
    """The objects an edit adds or removes."""
    return tuple(object_of(feature) for feature in record.get(name, ()))


class JournalWriter:
    """Appends lines to a journal. Open it under the frame's lock only.

    Each `append` is one write and one fsync. When it fails the journal is cut back to what it was.
    """

    def __init__(self, path: Path, journal: Journal) -> None:
        self._path = path
        self._length = journal.length
        self._handle: int | None = None

    def append(self, data: bytes) -> None:
        """Put whole lines on the disk.

        Raises
        ------
        MiaError
            When that fails (disk full, no permission, the file is gone); then nothing was added.
        """
        try:
            handle = self._open()
        except OSError as error:
            raise self._failed(error) from None
        if not self._is_there(handle):
            self.close()
            raise MiaError(
                f"{self._path} was removed or replaced by another program while it was open here. The edit was not "
                "made. Put it back, or leave the image: what is here is written then, without the undo history."
            )
        try:
            if os.write(handle, data) != len(data):
                raise OSError(28, "the disk is full")
            os.fsync(handle)
        except OSError as error:
            # Cut back what got through, now if that works, else when the journal is opened for the next line.
            with suppress(OSError):
                os.ftruncate(handle, self._length)
            self.close()
            raise self._failed(error) from None
        self._length += len(data)

    def _open(self) -> int:
        if self._handle is None:
            new = not self._path.exists()
            if new and self._length:
                raise FileNotFoundError(2, "it was removed by another program while it was open here")
            self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            os.ftruncate(self._handle, self._length)
            if new:
                fsync_folder(self._path.parent)
        return self._handle

    def _is_there(self, handle: int) -> bool:
        """Whether the open file is still the one that others find."""
        try:
            return os.path.samestat(os.fstat(handle), self._path.stat())
        except OSError:
            return False

    def _failed(self, error: OSError) -> MiaError:
        return MiaError(f"{self._path} cannot be written: {error.strerror}. The edit was not made.")

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
