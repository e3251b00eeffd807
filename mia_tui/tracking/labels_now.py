"""Tracks whose labels were edited meanwhile: new objects are in no track, and objects that are gone are marked so."""

from collections import Counter
from typing import Any

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.project import Project
from mia_tui.tracking.book import TrackBook
from mia_tui.tracking.detections import Array, Detections
from mia_tui.tracking.sequence import Sequence, read_detections

FAR = 3.0
"""Pixels beyond its radius: what lies further away from where an object was is another one."""
_SHAPE = ("position", "label", "score", "area")
_NAME = ("frame", "plane", "object")


def with_labels(book: TrackBook, project: Project, sequence: Sequence, source: str, changed: set[str]) -> TrackBook:
    """The book with the objects as they are in the label files now.

    Parameters
    ----------
    changed : set of str
        The planes whose files changed: `3/0` is frame index 3, z plane 0.

    Raises
    ------
    MiaError
        When the objects of a plane are not those that were tracked, but others with the same ids: predicted anew, or
        imported over the old ones.
    """
    places = {(int(frame), int(z)) for frame, _, z in (key.partition("/") for key in changed)}
    now = read_detections(project, sequence, source, places)
    found = book.detections
    classes = found.classes + tuple(name for name in now.classes if name not in found.classes)
    label_of = np.array([classes.index(name) for name in now.classes], np.int16)
    theirs = {name: getattr(now, name) for name in (*_NAME, *_SHAPE)} | {"label": label_of[now.label]}
    ours: dict[str, Array] = {name: getattr(found, name).copy() for name in (*_NAME, *_SHAPE)}
    there = {name: row for row, name in enumerate(_names(now))}
    _check_same(found, now, there, sequence, source)
    gone = book.gone.copy()
    for row, name in enumerate(_names(found)):
        if name[:2] not in places:
            continue
        other = there.pop(name, None)
        gone[row] = other is None
        if other is not None:
            for column in _SHAPE:
                ours[column][row] = theirs[column][other]
    new = np.array(sorted(there.values()), np.int64)
    table: dict[str, Any] = {name: np.concatenate([ours[name], theirs[name][new]]) for name in ours}
    order = np.lexsort((table["object"], table["plane"], table["frame"]))
    table = {name: values[order] for name, values in table.items()}
    grown = TrackBook(
        Detections.of(
            table.pop("frame"), table.pop("position"), **table, classes=classes, frames=len(sequence.moments)
        ),
        np.append(book.track, np.zeros(len(new), np.int64))[order],
        np.append(gone, np.zeros(len(new), bool))[order],
    )
    grown.filled, grown.mothers, grown.merged = book.filled, book.mothers, book.merged
    grown.next_number = book.next_number
    return grown


def _check_same(
    found: Detections, now: Detections, there: dict[tuple[int, int, int], int], sequence: Sequence, source: str
) -> None:
    """An object is another one when it lies elsewhere; a person moves single labels, nobody moves predictions."""
    moved, seen = Counter[int](), Counter[int]()
    for row, name in enumerate(_names(found)):
        other = there.get(name)
        if other is not None:
            far = np.linalg.norm(now.position[other] - found.position[row])
            moved[name[0]] += bool(far > FAR + np.sqrt(found.area[row] / np.pi))
            seen[name[0]] += 1
    share, single = (0.0, 0) if source != "labels" else (0.2, 2)
    for frame, count in moved.items():
        if count > max(single, share * seen[frame]):
            raise MiaError(
                f"{count} objects on frame {frame + 1} of {sequence.name} are not those that were tracked: {source} "
                "were made anew since. Link again: mia-tui track --replace (corrections are kept in a file)."
            )


def _names(found: Detections) -> list[tuple[int, int, int]]:
    return list(zip(found.frame.tolist(), found.plane.tolist(), found.object.tolist(), strict=True))
