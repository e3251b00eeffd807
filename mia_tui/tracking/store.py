"""The tracks of a sequence on disk: corrected with unlimited undo, and never losing a correction that was acknowledged.

Under `tracks/labels/` or `tracks/predictions/<model>/` stand for every sequence

- `<sequence>.csv`, `<sequence>.lineage.csv`: all tracks, see `table`;
- `<sequence>.json`: the frames, how they were linked, and what the label files looked like then;
- `<sequence>.journal`: the corrections, one fsynced line each, as for labels.

A correction is on disk when the call returns; the CSV follows when the store is closed. The journal says of which
content of the CSV (by its digest) it goes on, so a kill between two writes loses nothing. Labels may be edited
meanwhile: whoever opens the tracks finds new objects in no track, and objects that are gone marked so.
"""

import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mia_tui.errors import MiaError
from mia_tui.labeling.journal import History, Journal, JournalWriter, Line, read_journal
from mia_tui.labeling.lock import release_lock, take_lock
from mia_tui.project import Project
from mia_tui.storage import write_bytes, write_json
from mia_tui.tracking.book import Name, Step, TrackBook
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.labels_now import with_labels
from mia_tui.tracking.sequence import Moment, Sequence, find_sequences, label_path
from mia_tui.tracking.table import Frames, digest, dump, parse, write_lineage
from mia_tui.tracking.tracks import Tracks

VERSION = 1

Pin = tuple[Name, Name, bool]
"""Two objects, and whether a person said that the first goes on as the second (see `TrackBook.pins`)."""


def tracks_path(project: Project, sequence: str, source: str) -> Path:
    """The CSV of a sequence's tracks. `source` is "labels" or "predictions:MODEL"."""
    kind, _, model = source.partition(":")
    return project.folder / "tracks" / kind / model / f"{sequence}.csv"


@dataclass(frozen=True)
class Link:
    """How tracks were made: the options of the linker and what it learnt, both as JSON."""

    options: dict[str, Any]
    state: dict[str, Any]


@dataclass(frozen=True)
class _About:
    """The `<sequence>.json`."""

    moments: tuple[Moment | None, ...]
    stamps: dict[str, list[int]]
    classes: tuple[str, ...]
    depth: bool
    link: Link
    pins: tuple[Pin, ...] = ()

    @property
    def frames(self) -> Frames:
        return Frames(tuple(m.key if m else None for m in self.moments), self.classes, self.depth)


# ---- whole files -----------------------------------------------------------------------------------------------------


def create(
    project: Project, sequence: Sequence, source: str, detections: Detections, tracks: Tracks, link: Link,
    *, replace: bool = False, pins: Iterable[Pin] = (),
) -> Path:  # fmt: skip
    """Write the tracks of a sequence that were just found.

    Corrections that are there are not overwritten unless `replace`; then they are kept beside, as
    `<sequence>.before-<time>.csv` and `.journal`. `pins` are the decisions that the links already follow.

    Raises
    ------
    MiaError
        When there are corrections, or somebody is making some.
    """
    path = tracks_path(project, sequence.name, source)
    book = TrackBook.of(detections, tracks)
    lock = take_lock(path)
    try:
        made = corrections(path)
        if made and not replace:
            raise MiaError(
                f"{path} holds {made} corrections. Link again with --replace to start anew (they are kept beside it), "
                "or with --keep to link around them."
            )
        if made:
            stamp = time.strftime("%Y%m%d-%H%M%S")
            for old in (path, path.with_suffix(".journal")):
                os.replace(old, old.with_name(f"{path.stem}.before-{stamp}{old.suffix}"))
        path.with_suffix(".journal").unlink(missing_ok=True)
        about = _About(sequence.moments, stamps(project, sequence, source), detections.classes,
                       sequence.planes > 1, link, tuple(pins))  # fmt: skip
        _write_about(path, about, sequence, source)
        write_bytes(path, dump(book, about.frames.images))
        write_lineage(path.with_suffix(".lineage.csv"), tracks)
    finally:
        release_lock(path, lock)
    return path


def tracked_sequences(project: Project, source: str) -> list[Sequence]:
    """The sequences that have tracks."""
    if not any(tracks_path(project, "x", source).parent.rglob("*.csv")):
        return []  # without looking into every image
    return [one for one in find_sequences(project) if tracks_path(project, one.name, source).exists()]


def no_tracks(project: Project, what: str, source: str) -> MiaError:
    """That there are no tracks, and how to make them; `what` says so: "a.tif has no tracks"."""
    return MiaError(f"{what} from {source}. Make them: mia-tui track {project.folder} --from {source}")


def corrections(path: Path) -> int:
    """How many corrections of the tracks in this CSV are done and not undone."""
    return len(_history(read_journal(path.with_suffix(".journal"))).done)


def read_tracks(project: Project, sequence: Sequence, source: str) -> Tracks:
    """The tracks of a sequence as they are now. Never writes.

    Raises
    ------
    MiaError
        When the sequence was not tracked, or its files are damaged.
    """
    with TrackStore(project, sequence, source, read_only=True) as store:
        return store.book.tracks()


def stamps(project: Project, sequence: Sequence, source: str) -> dict[str, list[int]]:
    """Size and time of change of the label files of a sequence, by frame index and plane: `3/0`."""
    found: dict[str, list[int]] = {}
    for index, moment in enumerate(sequence.moments):
        for z in range(sequence.planes) if moment else ():
            path = label_path(project, sequence, source, index, z)
            stamp = [_stamp(path.with_suffix(suffix)) for suffix in (".geojson", ".journal")]
            if any(stamp):
                found[f"{index}/{z}"] = [number for pair in stamp for number in pair]
    return found


def _stamp(path: Path) -> list[int]:
    try:
        status = os.stat(path)
    except OSError:
        return []
    return [status.st_mtime_ns, status.st_size]


def _write_about(path: Path, about: _About, sequence: Sequence, source: str) -> None:
    write_json(
        path.with_suffix(".json"),
        {
            "version": VERSION,
            "sequence": sequence.name,
            "source": source,
            "frames": [[moment.key, moment.t] if moment else None for moment in about.moments],
            "classes": list(about.classes),
            "depth": about.depth,
            "options": about.link.options,
            "learnt": about.link.state,
            "pins": [[one, other, together] for one, other, together in about.pins],
            "labels": about.stamps,
        },
    )


def _read_about(path: Path) -> _About:
    file = path.with_suffix(".json")
    try:
        data = json.loads(file.read_bytes())
        if data["version"] != VERSION:
            raise ValueError(f"it has version {data['version']}, this program reads {VERSION}")
        moments = tuple(Moment(str(frame[0]), int(frame[1])) if frame else None for frame in data["frames"])
        link = Link(dict(data["options"]), dict(data["learnt"]))
        pins = tuple((_name(one), _name(other), bool(together)) for one, other, together in data["pins"])
        return _About(moments, dict(data["labels"]), tuple(data["classes"]), bool(data["depth"]), link, pins)
    except OSError as error:
        raise MiaError(f"{file} cannot be read: {error.strerror}. Link the sequence again.") from None
    except (ValueError, LookupError, TypeError) as error:
        raise MiaError(f"{file} is damaged ({error}). Restore it from a backup, or link again.") from None


def _name(value: Any) -> Name:
    frame, plane, number = map(int, value)
    return frame, plane, number


def _history(journal: Journal) -> History:
    """The corrections of a journal; lines about the CSV are no part of it."""
    return History(Journal(tuple(line for line in journal.lines if line.op != "written"), journal.length))


# ---- open ------------------------------------------------------------------------------------------------------------


class TrackStore:
    """The tracks of a sequence, open for correction. One process at a time; use it in a `with`.

    Parameters
    ----------
    project, sequence, source
        What was tracked.
    read_only : bool
        Only look; another process may be correcting.

    Raises
    ------
    MiaError
        When the sequence was not tracked, its frames are no longer those that were linked, its files are damaged, or
        somebody else is correcting it.
    """

    def __init__(
        self, project: Project, sequence: Sequence, source: str, *, read_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.path = tracks_path(project, sequence.name, source)
        self.sequence, self.source = sequence, source
        self.project, self._clock = project, clock
        if not self.path.exists():
            raise no_tracks(project, f"{sequence.name} has no tracks", source)
        self._lock: int | None = None if read_only else take_lock(self.path)
        try:
            self._load()
        except BaseException:
            self._release()
            raise

    def _load(self) -> None:
        about = _read_about(self.path)
        if self.sequence.moments[: len(about.moments)] != about.moments:
            raise MiaError(
                f"the frames of {self.sequence.name} are no longer those that were linked. Put back what is missing, "
                "or link again: mia-tui track --replace"
            )
        data = self.path.read_bytes()
        journal = read_journal(self.path.with_suffix(".journal"))
        revision = self._revision_of(journal, digest(data))
        book = parse(self.path, data, replace(about, moments=self.sequence.moments).frames)
        self._seen = stamps(self.project, self.sequence, self.source)
        changed = {
            key for key in self._seen.keys() | about.stamps.keys() if self._seen.get(key) != about.stamps.get(key)
        }
        self.book = with_labels(book, self.project, self.sequence, self.source, changed) if changed else book
        self.link, self._pins = about.link, about.pins
        self._take_pins(about.pins)
        self._stamp = _stamp(self.path)
        self._replay(journal, revision)
        self._writer = JournalWriter(self.path.with_suffix(".journal"), journal)
        self._begun = bool(journal.lines)
        self._revision = journal.revision
        self._dirty = bool(changed) or self._revision > revision

    def _revision_of(self, journal: Journal, content: str) -> int:
        """The revision of the CSV: the journal's lines tell contents and revisions."""
        if not journal.lines:
            return 0
        for line in reversed(journal.lines):
            if line.op in ("journal", "written") and line.record()["content"] == content:
                return line.revision
        raise MiaError(
            f"{self.path} was changed by another program: its corrections in {self.path.stem}.journal do not fit. Put "
            "the file back, or move the journal away to go on with the file as it stands, without undo."
        )

    def _take_pins(self, pins: tuple[Pin, ...]) -> None:
        """The decisions that were made before the links; those about objects that are not there are left out."""
        for one, other, together in pins:
            with suppress(LookupError):
                self.book.pins[self.book.row(one), self.book.row(other)] = together

    def _replay(self, journal: Journal, revision: int) -> None:
        self._history = History()
        try:
            for line in journal.lines[1:]:
                if line.op == "written":
                    continue
                made, forward = self._history.take(line)
                steps = made.record()["steps"]
                new = line.revision > revision  # older ones are in the table, but for what a person decided
                self.book.take_all([step for step in steps if new or step[0] in ("pin", "accept")], forward=forward)
        except (LookupError, ValueError, TypeError) as error:
            raise MiaError(
                f"{self.path.with_suffix('.journal')} does not fit the tracks ({error}). Nothing was changed. Restore "
                "it from a backup, or move it away to go on without the corrections in it."
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def read_only(self) -> bool:
        """Whether it can only be looked at."""
        return self._lock is None

    @property
    def decisions(self) -> list[Pin]:
        """All that a person decided, by the names of the objects."""
        name = self.book.name
        return [(name(one), name(other), together) for (one, other), together in self.book.pins.items()]

    @property
    def undo_text(self) -> str | None:
        """What `undo` would take back; None when there is nothing."""
        return str(self._history.done[-1].record()["text"]) if self._history.done else None

    @property
    def redo_text(self) -> str | None:
        """What `redo` would do again; None when there is nothing."""
        return str(self._history.undone[-1].record()["text"]) if self._history.undone else None

    @property
    def made(self) -> int:
        """Corrections that are done and not undone."""
        return len(self._history.done)

    def do(self, edit: Callable[..., str], *arguments: Any) -> str:
        """Make a correction of `edits` (or one like them) and put it on disk; what was done, in words.

        Raises
        ------
        MiaError
            When it cannot be done or written; then nothing has changed.
        """
        with self.book.drafting() as draft:
            text = edit(self.book, draft, *arguments)
            draft.check()
            if draft.steps:
                self._append("edit", {"text": text, "time": round(self._clock(), 6), "steps": draft.steps})
        return text

    def undo(self) -> str | None:
        """Take back the last correction; what it was, or None when there is none."""
        return self._step("undo", self.undo_text, self._history.done)

    def redo(self) -> str | None:
        """Make the last correction that was taken back again; what it is, or None when there is none."""
        return self._step("redo", self.redo_text, self._history.undone)

    def _step(self, op: str, text: str | None, stack: list[Line]) -> str | None:
        if not stack:
            return None
        steps: list[Step] = stack[-1].record()["steps"]
        self.book.take_all(steps, forward=op == "redo")
        try:
            self._append(op, {})
        except BaseException:
            self.book.take_all(steps, forward=op != "redo")
            raise
        return text

    def _append(self, op: str, record: dict[str, Any]) -> None:
        if self._lock is None:
            raise MiaError(f"{self.path} is open for viewing only, or closed: it cannot be corrected here.")
        head = b"" if self._begun else _line(0, "journal", {"content": digest(self.path.read_bytes())})
        raw = _line(self._revision + 1, op, record)
        self._writer.append(head + raw)
        self._begun = True
        self._history.take(Line(self._revision + 1, op, raw))
        self._revision += 1
        self._dirty = True

    def close(self) -> None:
        """Write the CSV if something changed, and let others correct the tracks."""
        if self._lock is None:
            return
        try:
            if self._dirty:
                self._write()
        finally:
            self._writer.close()
            self._release()

    def _write(self) -> None:
        if _stamp(self.path) != self._stamp:
            raise MiaError(
                f"{self.path} was changed by another program while it was open here, and was not overwritten. The "
                f"corrections are safe in {self.path.stem}.journal. Put the file back to get them."
            )
        about = _About(self.sequence.moments, self._seen, self.book.detections.classes, self.sequence.planes > 1,
                       self.link, self._pins)  # fmt: skip
        data = dump(self.book, about.frames.images)
        if self._revision:
            self._writer.append(_line(self._revision + 1, "written", {"content": digest(data)}))
            self._revision += 1
        write_bytes(self.path, data)
        self._stamp = _stamp(self.path)
        _write_about(self.path, about, self.sequence, self.source)
        write_lineage(self.path.with_suffix(".lineage.csv"), self.book.tracks())
        self._dirty = False

    def _release(self) -> None:
        if self._lock is not None:
            release_lock(self.path, self._lock)
            self._lock = None


def _line(revision: int, op: str, record: dict[str, Any]) -> bytes:
    return json.dumps({"rev": revision, "op": op, **record}, separators=(", ", ": ")).encode() + b"\n"
