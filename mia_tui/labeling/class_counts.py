"""How many labels each class has, in an image and in the whole project. What was counted is kept in memory."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mia_tui.errors import MiaError
from mia_tui.labeling.geojson import MEMBER, class_name, is_area
from mia_tui.labeling.journal import read_journal
from mia_tui.labeling.store import GEOMETRIES, read_frame
from mia_tui.project import Project

Stamp = tuple[int, ...]

_cache: dict[Path, tuple[tuple[Stamp, Stamp], Counter[str]]] = {}


@dataclass(frozen=True)
class ClassCounts:
    """Labels by class. Classes that the project does not have are counted too.

    Attributes
    ----------
    objects : dict
        Class name -> number of labels.
    frames : dict
        Class name -> number of frames with at least one.
    problems : tuple of str
        Label files that could not be read, and why; they are not counted.
    """

    objects: dict[str, int] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def class_counts(project: Project, key: str | None = None) -> ClassCounts:
    """Count the labels of a project, or of all frames of one image, as they are on disk.

    What was counted is kept by the stamps of the files, so that the next call reads only what changed.
    """
    objects: Counter[str] = Counter()
    frames: Counter[str] = Counter()
    problems: list[str] = []
    for image, frame in _frames(project, key):
        try:
            found = _count(project.labels_path(image, frame))
        except MiaError as error:
            problems.append(str(error))
            continue
        objects.update(found)
        frames.update(found.keys())
    return ClassCounts(dict(objects), dict(frames), tuple(problems))


def _frames(project: Project, key: str | None) -> list[tuple[str, str]]:
    if key is None:
        return project.frames_under("labels")
    folder = project.labels_path(key, "image").parent
    names = {path.stem for path in folder.glob("*") if path.suffix in (".geojson", ".journal")}
    return [(key, name) for name in sorted(names)]


def _count(path: Path) -> Counter[str]:
    stamps = _stamp(path), _stamp(path.with_suffix(".journal"))
    known = _cache.get(path)
    if known is not None and known[0] == stamps:
        return known[1]
    found = _count_snapshot(path)
    if found is None:
        frame = read_frame(path)
        found = Counter(item.label_class for item in frame.objects.values()) if frame is not None else Counter()
    _cache[path] = stamps, found
    return found


def _stamp(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _count_snapshot(path: Path) -> Counter[str] | None:
    """Count without making outlines; None where the label file alone does not tell (newer edits, damage)."""
    try:
        document = json.loads(path.read_bytes())
        revision = int(document[MEMBER]["revision"])
        if read_journal(path.with_suffix(".journal")).revision > revision:
            return None
        return Counter(class_name(f["properties"]) for f in document["features"] if _is_object(f))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _is_object(feature: dict[str, Any]) -> bool:
    return feature["geometry"] is not None and feature["geometry"]["type"] in GEOMETRIES and not is_area(feature)
