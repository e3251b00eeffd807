"""Renaming and removing a class in every file that names it, so that a kill at any moment leaves a whole project.

The locks of all frames are taken before anything is written. Then `class-change.json` says what is meant to happen, the
files are changed one by one (each in one step, each only if it still names the old class), `project.toml` follows, and
`class-change.json` goes away last. Whoever finds that file does the rest. Until then both names, the one in
`project.toml` and the one in files already done, stand for one class, and nothing is lost or counted twice.

A rename rewrites the journals too: undoing an older edit brings objects back under the new name. A removal is an edit
of each frame, one undo step there; undoing it brings objects of a class back that the project no longer has.
"""

import json
import re
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mia_tui.errors import MiaError
from mia_tui.labeling.geojson import class_name, dump, is_area
from mia_tui.labeling.lock import LockedError, is_locked, release_lock, take_lock
from mia_tui.labeling.opening import CHANGE_FILE
from mia_tui.labeling.store import FrameStore, class_colors, read_frame
from mia_tui.project import Project
from mia_tui.storage import fsync_folder, write_bytes, write_json

FORMAT = 1
WRITERS = 8
KINDS = ("rename", "remove")

OWN_HEADS = (b'{"type": "FeatureCollection", "mia_tui": {', b'{"rev": ')
"""How label files and journals begin that this program wrote."""

Report = Callable[[int, int, str], None]
"""Called with (files done, files in all, file)."""


@dataclass(frozen=True)
class Change:
    """What becomes of a class: "rename" it to `to`, or "remove" it and give its labels to `to` (None: delete them)."""

    kind: str
    name: str
    to: str | None

    @property
    def text(self) -> str:
        if self.kind == "rename":
            return f"class {self.name} becomes {self.to}"
        return f"class {self.name} removed" + (f", its labels go to {self.to}" if self.to else " with its labels")


# ---- doing and finishing ---------------------------------------------------------------------------------------------


@contextmanager
def changing(project: Project) -> Iterator[Project]:
    """The project as it is on disk now, while nobody else changes its classes; a change left half done is finished.

    Raises
    ------
    MiaError
        When another process is changing the classes, or what is left half done cannot be finished.
    """
    path = project.folder / CHANGE_FILE
    try:
        lock = take_lock(path)
    except LockedError:
        raise MiaError(
            f"The classes of project {project.name} are being changed by another window or program. Try again."
        ) from None
    try:
        current = Project.load(project.folder)
        if path.exists():
            current = _do(current, _read_change(path), None)
        yield current
    finally:
        release_lock(path, lock)


def carry_out(project: Project, change: Change, report: Report | None = None) -> Project:
    """Do a change that was checked, inside `changing`; the project without or with the renamed class."""
    return _do(project, change, report)


def finish_change(project: Project) -> Project:
    """Finish the change of a class that was cut off; the project afterwards.

    Raises
    ------
    MiaError
        When it cannot be finished now. Nothing is lost then; the next try goes on.
    """
    with changing(project) as current:
        return current


def _do(project: Project, change: Change, report: Report | None) -> Project:
    path = project.folder / CHANGE_FILE
    with ExitStack() as stack:
        frames = stack.enter_context(_locked_frames(project, change))
        cards = _cards_with(project, change)
        try:
            if not path.exists():
                write_json(path, {"format": FORMAT, **asdict(change)})
            _apply_to_frames(project, change, frames, report)
            for card in cards:
                _rename_in_card(card, change)
            project = _changed_project(project, change)
            project.save()
            path.unlink()
            fsync_folder(path.parent)
        except (MiaError, OSError) as error:
            reason = (
                str(error) if isinstance(error, MiaError) else f"{path.parent} cannot be written: {error.strerror}."
            )
            if not path.exists():
                raise MiaError(f"{reason} Classes were not changed.") from None
            raise MiaError(
                f"{reason} The change ({change.text}) is half done. It goes on when the project is opened again, "
                f"or with: mia-tui classes {project.folder}"
            ) from None
    return project


def _read_change(path: Path) -> Change:
    try:
        data = json.loads(path.read_bytes())
        if data["format"] != FORMAT or data["kind"] not in KINDS:
            raise ValueError("it is of a newer version")
        return Change(str(data["kind"]), str(data["name"]), None if data["to"] is None else str(data["to"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MiaError(
            f"{path} says which change of a class was cut off, and cannot be read ({error}). Move it away to go on; "
            "labels that still carry the old name are then shown as of an unknown class."
        ) from None


def _changed_project(project: Project, change: Change) -> Project:
    if change.kind == "remove":
        return replace(project, classes=tuple(c for c in project.classes if c.name != change.name))
    if change.to is None or any(c.name == change.to for c in project.classes):
        return project
    renamed = [replace(c, name=change.to) if c.name == change.name else c for c in project.classes]
    return replace(project, classes=tuple(renamed))


# ---- which files -----------------------------------------------------------------------------------------------------


def files_of(project: Project, change: Change) -> list[Path]:
    """All label files that a change may concern: labels, for a rename those of predictions too. Sorted."""
    sources = ["labels"]
    if change.kind == "rename":
        sources += [f"predictions:{path.name}" for path in (project.folder / "predictions").glob("*") if path.is_dir()]
    return [
        project.source_folder(source) / key / f"{frame}.geojson"
        for source in sources
        for key, frame in project.frames_under(source)
    ]


@contextmanager
def _locked_frames(project: Project, change: Change) -> Iterator[dict[Path, int]]:
    """Label file -> lock of each frame that names the class; while none is edited elsewhere."""
    _check_nobody_edits(project)
    files = files_of(project, change)
    held: dict[Path, int] = {}
    with _many_files(len(files)):
        try:
            for path in files:
                held[path] = take_lock(path)
            concerned = {path for path in files if _names(path, change)}
            for path in files:
                if path not in concerned:
                    release_lock(path, held.pop(path))
            yield held
        except LockedError as error:
            raise MiaError(f"{error} Classes were not changed.") from None
        finally:
            for path, lock in held.items():
                release_lock(path, lock)


def _check_nobody_edits(project: Project) -> None:
    """A frame that is open elsewhere may have no file yet but its lock."""
    for base in ("labels", "predictions"):
        for lock in (project.folder / base).rglob("*.lock"):
            if is_locked(lock):
                raise LockedError(
                    f"{lock.with_suffix('.geojson')} is being edited by another window or program. Close it there "
                    "first. Classes were not changed."
                )


@contextmanager
def _many_files(count: int) -> Iterator[None]:
    """Let this process hold that many locks at once, each of which is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + 256
    unlimited = soft == resource.RLIM_INFINITY
    if not unlimited and hard != resource.RLIM_INFINITY and needed > hard:
        raise MiaError(
            f"A change of classes locks all {count} label files at once, and this account may open {hard} files. "
            "Raise the limit (ulimit -Hn) or ask your administrator. Classes were not changed."
        )
    if not unlimited and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _names(path: Path, change: Change) -> bool:
    """Whether a frame names the class: anywhere for a rename, by an object that is there now for a removal."""
    parts = (path, path.with_suffix(".journal"))
    if change.kind == "rename":
        return any(_renamed(part, _bytes(part), change) != _bytes(part) for part in parts)
    if not any(_may_name(_bytes(part), change.name) for part in parts):
        return False
    frame = read_frame(path)
    return frame is not None and any(item.label_class == change.name for item in frame.objects.values())


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise MiaError(f"{path} cannot be read: {error.strerror}") from None


def _may_name(data: bytes, name: str) -> bool:
    """A quick look at the bytes; where they do not tell (no class, other programs' escapes) the answer is yes."""
    head = name.split(": ")[0]  # QuPath writes derived classes as a list of their parts
    needles = {json.dumps(text, ensure_ascii=ascii).encode() for text in (name, head) for ascii in (True, False)}
    escapes = not data.startswith(OWN_HEADS) and b"\\" in data
    return bool(data) and (not name or escapes or any(needle in data for needle in needles))


# ---- one frame -------------------------------------------------------------------------------------------------------


def _apply_to_frames(project: Project, change: Change, held: dict[Path, int], report: Report | None) -> None:
    """In threads: most of the time is waiting for the disk, which takes several writers as fast as one."""
    paths = [*held]

    def apply(path: Path) -> Path:
        _apply_to_frame(project, change, path, held)
        return path

    with ThreadPoolExecutor(WRITERS) as pool:
        for number, path in enumerate(pool.map(apply, paths), 1):
            if report is not None:
                report(number, len(paths), str(path))


def _apply_to_frame(project: Project, change: Change, path: Path, held: dict[Path, int]) -> None:
    if change.kind == "rename":
        for part in (path.with_suffix(".journal"), path):
            _remove_unfinished(part)
            data = _bytes(part)
            renamed = _renamed(part, data, change)
            if renamed != data:
                write_bytes(part, renamed)
        return
    frame = read_frame(path)
    assert frame is not None
    gone = [item for item in frame.objects.values() if item.label_class == change.name]
    to = change.to
    new = [] if to is None else [replace(item, label_class=to) for item in gone]
    text = f"class {change.name} removed: {len(gone)} labels " + (f"become {to}" if to else "deleted")
    lock = held.pop(path)  # the store gives it back
    with FrameStore(path, frame.height, frame.width, colors=class_colors(project), lock=lock) as store:
        store.edit(text, remove=[item.id for item in gone], add=new)


def _renamed(path: Path, data: bytes, change: Change) -> bytes:
    """A label file or journal with the class renamed; all else stays as it is.

    Where this program wrote a class it stands in one form, which cannot be the inside of a longer text: quotes are
    escaped there. Whatever else may name the class is looked at feature by feature.
    """
    if not _may_name(data, change.name):
        return data
    if data.startswith(OWN_HEADS):
        ours = b'"classification": {"name": '
        renamed = data.replace(ours + dump(change.name), ours + dump(change.to))
        if path.suffix == ".journal" or not _may_name(renamed, change.name):
            return renamed
    document = _document(path, data)
    features = document.pop("features", [])
    found = [_rename(feature, change) for feature in features]
    if not any(found):
        return data
    head = dump(document)[:-1] + (b", " if document else b"") + b'"features": [\n'
    return head + b",\n".join(dump(feature) for feature in features) + b"\n]}\n"


def _document(path: Path, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data, parse_constant=_refuse)
        if not isinstance(document, dict) or not all(isinstance(f, dict) for f in document.get("features", ())):
            raise ValueError("it is no GeoJSON FeatureCollection")
    except (ValueError, TypeError) as error:
        raise MiaError(f"{path} is no label file this program can read: {error}. Mend it or move it away.") from None
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"it holds {constant}, which is no number of JSON")


def _is_of(feature: dict[str, Any], name: str) -> bool:
    properties = feature.get("properties")
    return isinstance(properties, dict) and not is_area(feature) and class_name(properties) == name


def _rename(feature: dict[str, Any], change: Change) -> bool:
    """Rename the class of a feature, in place; whether it was of that class."""
    if not _is_of(feature, change.name):
        return False
    properties = feature["properties"]
    classification = properties.get("classification") or {}
    if isinstance(classification, str):
        properties["classification"] = change.to
    else:
        kept = {key: value for key, value in classification.items() if key not in ("name", "names")}
        properties["classification"] = {"name": change.to, **kept}
    return True


def _cards_with(project: Project, change: Change) -> list[Path]:
    """The models that know the class and must know its new name, so that what they predict can be reviewed."""
    if change.kind != "rename":
        return []
    found = []
    for path in sorted(project.models_folder.glob("*/model.json")):
        names = [entry.get("name") for entry in _card(path).get("classes", ())]
        if change.name in names and change.to not in names:
            found.append(path)
    return found


def _card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_bytes())
        return card if isinstance(card, dict) else {}
    except (OSError, ValueError):
        return {}  # a damaged model says so where it is used


def _rename_in_card(path: Path, change: Change) -> None:
    card = _card(path)
    for entry in card["classes"]:
        if entry.get("name") == change.name:
            entry["name"] = change.to
    write_json(path, card)


def _remove_unfinished(path: Path) -> None:
    """Take away the temporary files of a change that was killed. Only under the frame's lock."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.\d+\.\d+\.tmp")
    for temporary in path.parent.iterdir():
        if pattern.fullmatch(temporary.name):
            temporary.unlink(missing_ok=True)
