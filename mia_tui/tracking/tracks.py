"""What tracking finds: which objects are the same one through time, and who came from whom."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mia_tui.errors import MiaError
from mia_tui.tracking.detections import Detections, has_twice

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Tracks:
    """All tracks of a sequence as columns, sorted by track, then frame. A row is a track on one frame.

    Attributes
    ----------
    track : (M,) int64
        At least 1.
    frame : (M,) int32
        Index into the sequence, 0-based; ascending within a track, never twice.
    position : (M, 2) or (M, 3) float64
        As in `Detections`.
    object, plane : (M,) int64, int32
        The object in its frame's file; `object` is 0 where the track passes a frame without one (a filled gap).
    label : (M,) int16
        Index into `classes`, of the object on this frame.
    score, area : (M,) float32
    classes : tuple of str
    frames : int
        Number of frames of the sequence.
    mothers : dict
        Track -> the track it came from by division.
    merged : dict
        Track -> the track that it became part of (its last frame is before one of that track).
    """

    track: Array
    frame: Array
    position: Array
    object: Array
    plane: Array
    label: Array
    score: Array
    area: Array
    classes: tuple[str, ...]
    frames: int
    mothers: dict[int, int] = field(default_factory=dict)
    merged: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.track)

    def spans(self) -> Array:
        """(K, 4) int64: track, first frame, last frame, mother or 0, by track."""
        numbers, first = np.unique(self.track, return_index=True)
        last = np.append(first[1:], len(self.track)) - 1
        mothers = [self.mothers.get(int(number), 0) for number in numbers]
        return np.stack([numbers, self.frame[first], self.frame[last[: len(first)]], np.array(mothers, np.int64)], 1)

    def labels(self) -> dict[int, int]:
        """Track -> its class by majority over the frames with an object; of equals the one that comes first."""
        seen = self.object > 0
        numbers, where = np.unique(self.track, return_inverse=True)
        counts = np.zeros((len(numbers), max(len(self.classes), 1)), np.int64)
        np.add.at(counts, (where[seen], self.label[seen]), 1)
        return {int(number): int(row.argmax()) for number, row in zip(numbers, counts, strict=True)}


COLUMNS = ("frame", "position", "object", "plane", "label", "score", "area")


def tracks_of(detections: Detections, edges: npt.ArrayLike) -> Tracks:
    """Tracks from links. A track goes on from detection to detection until it ends, divides or merges.

    Every detection is in a track; one without a link is a track of one frame. Numbers are 1, 2, 3 and so on in the
    order of the tracks' first detections. Frames between two linked detections stay without a row.

    Parameters
    ----------
    detections : Detections
    edges : (E, 2) int64
        Rows (from, to) of linked detections, `from` on an earlier frame. Two edges from one detection are a division,
        two edges to one a merge.

    Raises
    ------
    ValueError
        When an edge does not go forward in time or is there twice.
    """
    links = np.asarray(edges, np.int64).reshape(-1, 2)
    before, after = links.T
    if (detections.frame[before] >= detections.frame[after]).any():
        raise ValueError("a link does not go forward in time")
    if len(np.unique(links, axis=0)) < len(links):
        raise ValueError("a link is there twice")
    count = len(detections)
    out, into = np.bincount(before, minlength=count), np.bincount(after, minlength=count)
    plain = (out[before] == 1) & (into[after] == 1)
    previous = np.full(count, -1, np.int64)
    previous[after[plain]] = before[plain]
    track = chains(previous)
    mothers: dict[int, int] = {}
    merged: dict[int, int] = {}
    for start, end in links[~plain].tolist():
        if into[end] > 1:
            merged[int(track[start])] = int(track[end])
        else:
            mothers[int(track[end])] = int(track[start])
    order = np.lexsort((detections.frame, track))
    columns = {name: getattr(detections, name)[order] for name in COLUMNS}
    return Tracks(track[order], **columns, classes=detections.classes, frames=detections.frames, mothers=mothers,
                  merged=merged)  # fmt: skip


def chains(previous: Array) -> Array:
    """(N,) numbers of the chains, counted by their first members; `previous` points to a smaller row or is -1."""
    first = np.where(previous < 0, np.arange(len(previous)), previous)
    while True:  # pointer doubling: log2 of the longest chain rounds
        further = first[first]
        if np.array_equal(further, first):
            break
        first = further
    return np.unique(first, return_inverse=True)[1].astype(np.int64) + 1


def check(tracks: Tracks) -> None:
    """That tracks can be: one object per track and frame, an object in one track, mothers end before daughters start.

    (A mother that ends before its daughter starts leaves no room for cycles.)

    Raises
    ------
    MiaError
        Naming the first track that cannot be.
    """
    unordered = (np.diff(tracks.track) == 0) & (np.diff(tracks.frame) <= 0)
    if unordered.any():
        row = int(unordered.argmax())
        raise MiaError(f"track {tracks.track[row]} has two objects on frame {tracks.frame[row + 1] + 1}.")
    held = tracks.object > 0
    names = np.stack([tracks.frame[held], tracks.plane[held], tracks.object[held]], 1)
    if has_twice(*names.T):
        found, counts = np.unique(names, axis=0, return_counts=True)
        frame, _, number = found[counts.argmax()]
        raise MiaError(f"object {number} of frame {frame + 1} is in two tracks.")
    spans = {int(number): (int(first), int(last)) for number, first, last, _ in tracks.spans()}
    for daughter, mother in tracks.mothers.items():
        if daughter not in spans or mother not in spans:
            raise MiaError(f"track {daughter} has track {mother} as its mother, and one of them is not there.")
        if spans[mother][1] >= spans[daughter][0]:
            raise MiaError(
                f"track {mother} is the mother of {daughter} and lives to frame {spans[mother][1] + 1}, which is not "
                f"before the daughter's first frame {spans[daughter][0] + 1}."
            )
    for part, whole in tracks.merged.items():
        if part not in spans or whole not in spans or spans[part][1] >= spans[whole][1]:
            raise MiaError(f"track {part} cannot merge into track {whole}: that one is not there on a later frame.")
