"""Writing tracks as a folder of the Cell Tracking Challenge: masks with the numbers of tracks, and their table."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mia_tui.analysis.ctc.sequence import NAMINGS
from mia_tui.analysis.matching import numbered
from mia_tui.errors import MiaError
from mia_tui.formats.masks import save_tiff
from mia_tui.formats.track_rows import gaps
from mia_tui.storage import atomic_folder
from mia_tui.tracking.detections import Array
from mia_tui.tracking.tracks import Tracks

Masks = Callable[[int], Array]
"""Index of a frame -> its label image, (Y, X) or (Z, Y, X): ids of objects, 0 is background."""


@dataclass
class CtcWritten:
    """What was written: the files, how many tracks are in the table, and what a person should know."""

    files: list[Path] = field(default_factory=list)
    tracks: int = 0
    notes: list[str] = field(default_factory=list)


def write_ctc(
    folder: Path,
    tracks: Tracks,
    masks: Masks,
    *,
    naming: str = "result",
    fill: bool = False,
    wide: bool = False,
    replace: bool = False,
) -> CtcWritten:
    """Write tracks as a folder of the challenge, frame by frame.

    A track must be in the masks on all frames that the table names. Where it has no object, it ends, and what comes
    after is a new track with it as its mother, as the challenge treats what re-appears; or it is filled.

    Parameters
    ----------
    folder : Path
        `01_RES`, or for a truth `01_GT/TRA`. New or empty; it is there whole or not at all.
    masks : callable
        Index of a frame -> label image of the ids of its objects. Those in no track are left out (and counted).
    naming : str
        "result": `mask000.tif` and `res_track.txt`; "truth": `man_track000.tif` and `man_track.txt`. Numbers have three
        digits, four for more than 1,000 frames.
    fill : bool
        Where a track has no object, show the last one before, moved along the track's position (by linear
        interpolation where it has none). It never covers other objects; where nothing of it can be seen, the track ends
        after all.
    wide : bool
        32-bit masks, for more than 65,535 tracks. Programs of the challenge expect 16 bits.
    replace : bool
        The folder may hold such files, and nothing else; they are replaced.

    Raises
    ------
    MiaError
        For too many tracks, a folder that is in use, masks of different shapes, and when a file cannot be written.
    """
    prefix, table = NAMINGS[naming]
    _check_free(folder, prefix, table, replace)
    dtype = np.dtype("uint32" if wide else "uint16")
    written, left = CtcWritten(), Counter[str]()
    parts = _Parts(tracks, int(np.iinfo(dtype).max), written.notes)
    digits = 4 if tracks.frames > 1000 else 3
    try:
        with atomic_folder(folder, replace=replace) as partial:
            for frame, plane in enumerate(_painted(tracks, masks, parts, fill, left)):
                name = f"{prefix}{frame:0{digits}d}.tif"
                volume = plane.reshape(-1, *plane.shape[-2:]).astype(dtype)
                save_tiff(partial / name, iter(volume), plane.shape, "ZYX"[-plane.ndim :], dtype)
                written.files.append(folder / name)
            rows = parts.rows()
            (partial / table).write_text("".join(f"{' '.join(map(str, row))}\n" for row in rows))
    except OSError as error:
        raise MiaError(f"{folder} cannot be written: {error.strerror or error}. Free space or rights.") from None
    written.files.append(folder / table)
    written.tracks = len(rows)
    written.notes += [f"{count} {text}" for text, count in left.items()]
    if tracks.merged:
        written.notes.append(f"the format knows no merging: {len(tracks.merged)} tracks that merge just end")
    return written


def _check_free(folder: Path, prefix: str, table: str, replace: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise MiaError(f"{folder} is a file. Give a folder to write into.")
    there = sorted(path.name for path in folder.iterdir())
    if there and not replace:
        raise MiaError(f"{folder} is there already and not empty. Give another folder, or --replace.")
    own = re.compile(re.escape(prefix) + r"\d+\.tif|" + re.escape(table))
    others = [name for name in there if not own.fullmatch(name)]
    if others:
        raise MiaError(f"{folder} also holds {others[0]}, so it is not replaced. Give another folder.")


class _Parts:
    """The numbers that tracks have in the masks: a track gets another one after each gap.

    Parameters
    ----------
    limit : int
        The highest number that fits.
    """

    def __init__(self, tracks: Tracks, limit: int, notes: list[str]) -> None:
        numbers = np.unique(tracks.track)
        highest, most = int(numbers.max(initial=0)), len(numbers) + gaps(tracks)
        if len(numbers) > limit:
            raise MiaError(_too_many(len(numbers), limit))
        anew = highest > limit or (highest + gaps(tracks) > limit >= most)
        self._own = dict(zip(numbers.tolist(), range(1, len(numbers) + 1) if anew else numbers.tolist(), strict=True))
        if anew:
            notes.append(f"tracks were numbered anew: masks hold numbers up to {limit}, and tracks go up to {highest}")
        self._limit, self._fresh = limit, (len(numbers) if anew else highest) + 1
        self._mothers = tracks.mothers
        self._now: dict[int, int] = {}
        self._spans: dict[int, list[int]] = {}

    def on(self, track: int, frame: int) -> int:
        """The number of a track that is seen on a frame, which must be none before the last one asked about."""
        part = self._now.get(track)
        if part is not None and self._spans[part][1] >= frame - 1:
            self._spans[part][1] = frame
            return part
        before = self._now.get(self._mothers.get(track, 0), 0) if part is None else part
        if part is None:
            part = self._own[track]
        else:
            part, self._fresh = self._fresh, self._fresh + 1
            if part > self._limit:
                raise MiaError(_too_many(part, self._limit))
        self._now[track], self._spans[part] = part, [frame, frame, before]
        return part

    def last_seen(self, track: int, frame: int) -> int:
        """The number of a track that is seen on a frame for the last time so far; 0 when it is not."""
        part = self._now.get(track, 0)
        return part if part and self._spans[part][1] == frame else 0

    def rows(self) -> list[tuple[int, int, int, int]]:
        """The table: number, first frame, last frame, mother."""
        return [(part, first, last, mother) for part, (first, last, mother) in sorted(self._spans.items())]


def _too_many(count: int, limit: int) -> str:
    return (
        f"{count:,} tracks (the parts after gaps included) do not fit into masks with numbers up to {limit:,}. Export "
        "with 32-bit masks (the challenge's own programs expect 16 bits), or a shorter or smaller part."
    )


def _painted(tracks: Tracks, masks: Masks, parts: _Parts, fill: bool, left: Counter[str]) -> Iterator[Array]:
    """The masks of every frame with the numbers of tracks; what is left out is counted."""
    order = np.argsort(tracks.frame, kind="stable")
    starts = np.searchsorted(tracks.frame[order], np.arange(tracks.frames + 1))
    filler = _Filler(tracks) if fill else None
    before: Array | None = None
    for frame in range(tracks.frames):
        objects = masks(frame)
        if before is not None and objects.shape != before.shape:
            raise MiaError(f"the masks of frame {frame + 1} are {objects.shape}, those before {before.shape} pixels.")
        rows = order[starts[frame] : starts[frame + 1]]
        plane = _renumbered(tracks, rows, objects, parts, frame, left)
        if filler is not None:
            filler.fill(plane, before, parts, frame)
        yield plane
        before = plane


def _renumbered(tracks: Tracks, rows: Array, objects: Array, parts: _Parts, frame: int, left: Counter[str]) -> Array:
    """A label image of objects as one of tracks; in a volume every object is on the plane of its row."""
    painted = np.zeros(objects.shape, np.int64)
    layers = [(objects, painted, rows)]
    if objects.ndim == 3:
        layers = [(objects[z], painted[z], rows[tracks.plane[rows] == z]) for z in range(len(objects))]
    for layer, target, own in layers:
        index, values = numbered(layer)
        own = own[tracks.object[own] > 0]
        place = np.searchsorted(values, tracks.object[own])
        seen = place < len(values)
        seen[seen] = values[place[seen]] == tracks.object[own[seen]]
        lookup = np.zeros(len(values) + 1, np.int64)
        lookup[place[seen] + 1] = [parts.on(track, frame) for track in tracks.track[own[seen]].tolist()]
        target[...] = lookup[index].reshape(layer.shape)
        if not seen.all():
            left["objects of tracks show no pixel: the tracks have a gap there"] += int((~seen).sum())
        if seen.sum() < len(values):
            left["objects are in no track and were left out"] += len(values) - int(seen.sum())
    return painted


class _Filler:
    """Shows tracks where they have no object: the last one before the gap, moved along."""

    def __init__(self, tracks: Tracks) -> None:
        self._tracks, self._spans = tracks, tracks.spans()
        self._rows = np.searchsorted(tracks.track, self._spans[:, 0])
        self._anchors: dict[int, tuple[Array, Array]] = {}

    def fill(self, plane: Array, before: Array | None, parts: _Parts, frame: int) -> None:
        """Paint what is missing onto the background of a plane; `before` is the plane of the frame before."""
        inside = np.flatnonzero((self._spans[:, 1] < frame) & (self._spans[:, 2] >= frame))
        tracks = zip(inside.tolist(), self._spans[inside, 0].tolist(), strict=True)
        missing = {row: part for row, track in tracks if (part := parts.last_seen(track, frame - 1))}
        self._anchors = {row: anchor for row, anchor in self._anchors.items() if row in missing}
        fresh = [row for row in missing if row not in self._anchors]
        if fresh and before is not None:
            for row, pixels in zip(fresh, _pixels(before, [missing[row] for row in fresh]), strict=True):
                self._anchors[row] = pixels, self._position(row, frame - 1)
        for row in missing:
            pixels, origin = self._anchors[row]
            moved = pixels + np.rint(self._position(row, frame) - origin).astype(np.int64)[-plane.ndim :]
            moved = moved[((moved >= 0) & (moved < plane.shape)).all(1)]
            free = tuple(moved[plane[tuple(moved.T)] == 0].T)
            if len(free[0]):
                plane[free] = parts.on(int(self._spans[row, 0]), frame)

    def _position(self, row: int, frame: int) -> Array:
        """Where a track is on a frame, between two of its rows by linear interpolation."""
        own = slice(self._rows[row], self._rows[row + 1] if row + 1 < len(self._rows) else len(self._tracks))
        times, places = self._tracks.frame[own], self._tracks.position[own]
        return np.array([np.interp(frame, times, axis) for axis in places.T])


def _pixels(plane: Array, numbers: list[int]) -> Iterator[Array]:
    """(N, ndim) pixels of some objects of a label image."""
    used = np.flatnonzero(np.isin(plane, numbers))
    values = plane.ravel()[used]
    order = np.argsort(values, kind="stable")
    for number in numbers:
        first, last = np.searchsorted(values[order], [number, number + 1])
        yield np.stack(np.unravel_index(used[order[first:last]], plane.shape), 1)


def point_masks(tracks: Tracks, height: int, width: int, radius: float, planes: int = 1) -> Masks:
    """Label images for tracks of points: a disc for each, of the pixels whose centres are within `radius`.

    Where discs meet, each pixel is the nearest point's. A point always shows the pixel it lies in. With several
    `planes` the images are (Z, Y, X), and every disc is on its plane.
    """
    order = np.argsort(tracks.frame, kind="stable")
    starts = np.searchsorted(tracks.frame[order], np.arange(tracks.frames + 1))

    def masks(frame: int) -> Array:
        volume = np.zeros((planes, height, width), np.int64)
        nearest = np.full(volume.shape, np.inf)
        for row in order[starts[frame] : starts[frame + 1]].tolist():
            z = int(tracks.plane[row])
            if tracks.object[row]:
                _disc(volume[z], nearest[z], tracks.position[row, -2:], radius, int(tracks.object[row]))
        return volume if planes > 1 else volume[0]

    return masks


def _disc(plane: Array, nearest: Array, centre: Array, radius: float, number: int) -> None:
    shape = np.array(plane.shape)
    low = np.clip(np.floor(centre - radius).astype(int), 0, shape)
    high = np.clip(np.ceil(centre + radius).astype(int), low, shape)
    window = slice(low[0], high[0]), slice(low[1], high[1])
    y, x = np.ogrid[window]
    distance = (y + 0.5 - centre[0]) ** 2 + (x + 0.5 - centre[1]) ** 2
    closer = (distance <= radius**2) & (distance < nearest[window])
    plane[window][closer] = number
    nearest[window][closer] = distance[closer]
    own = tuple(np.clip(np.floor(centre).astype(int), 0, shape - 1))
    plane[own], nearest[own] = number, -1.0
