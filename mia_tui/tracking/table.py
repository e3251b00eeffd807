"""The file of a sequence's tracks: a CSV with a row for every object and every filled gap, and one of the lineage.

`<sequence>.csv` has the columns `track, frame, image, plane, object, z, y, x, class, score, area, state, mother,
merged_into`. Frames and planes are 0-based; positions are those of `Detections`. `track` is empty for an object in no
track, `object` for a frame that a track passes without one (`state` is `filled`); `gone` is an object whose label is no
longer there. `mother` and `merged_into` stand on every row of a track. It holds all that there is;
`<sequence>.lineage.csv` (`track, start, end, mother, merged_into, class`) is written from it for people and programs.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from mia_tui.errors import MiaError
from mia_tui.storage import write_bytes
from mia_tui.tracking.book import TrackBook
from mia_tui.tracking.detections import Array, Detections
from mia_tui.tracking.tracks import Tracks, check

_TYPES = {
    "track": pa.int64(), "frame": pa.int32(), "image": pa.string(), "plane": pa.int32(), "object": pa.int64(),
    "z": pa.float64(), "y": pa.float64(), "x": pa.float64(), "class": pa.string(), "score": pa.float32(),
    "area": pa.float32(), "state": pa.string(), "mother": pa.int64(), "merged_into": pa.int64(),
}  # fmt: skip


@dataclass(frozen=True)
class Frames:
    """What a table says about its frames: the image of each (None: not on disk), the classes, and whether it is 3-D."""

    images: tuple[str | None, ...]
    classes: tuple[str, ...]
    depth: bool


def dump(book: TrackBook, images: tuple[str | None, ...]) -> bytes:
    """A book as CSV."""
    found = book.detections
    filled = [(n, f, p) for n in sorted(book.filled) for f, p in sorted(book.filled[n].items())]
    count, dims = len(filled), found.position.shape[1]
    track = np.concatenate([book.track, np.array([n for n, _, _ in filled], np.int64)])
    frame = np.concatenate([found.frame, np.array([f for _, f, _ in filled], np.int32)])
    position = np.concatenate([found.position, np.array([p for *_, p in filled]).reshape(count, dims)])
    without = np.arange(len(track)) >= len(found)

    def column(values: Array) -> Array:
        return np.concatenate([values, np.zeros(count, values.dtype)])

    state = np.where(without, "filled", np.where(column(book.gone), "gone", ""))
    mother, merged = (_relation(track, table) for table in (book.mothers, book.merged))
    names = pa.DictionaryArray.from_arrays(pa.array(frame), pa.array([image or "" for image in images], pa.string()))
    labels = pa.DictionaryArray.from_arrays(pa.array(column(found.label), mask=without), pa.array(found.classes))
    table = pa.table(
        {
            "track": pa.array(track, mask=track == 0),
            "frame": frame,
            "image": names.cast(pa.string()),
            "plane": pa.array(column(found.plane), mask=without),
            "object": pa.array(column(found.object), mask=without),
            **({"z": position[:, 0]} if dims == 3 else {}),
            "y": position[:, -2],
            "x": position[:, -1],
            "class": labels.cast(pa.string()),
            "score": pa.array(column(found.score), mask=without),
            "area": pa.array(column(found.area), mask=without),
            "state": pa.array(state),
            "mother": pa.array(mother, mask=mother == 0),
            "merged_into": pa.array(merged, mask=merged == 0),
        }
    )
    order = np.lexsort((frame, np.where(track == 0, np.iinfo(np.int64).max, track)))
    stream = io.BytesIO()
    pa_csv.write_csv(table.take(pa.array(order)), stream)
    return stream.getvalue()


def _relation(track: Array, relation: dict[int, int]) -> Array:
    numbers, where = np.unique(track, return_inverse=True)
    values: Array = np.array([relation.get(int(number), 0) for number in numbers], np.int64)[where]
    return values


def parse(path: Path, data: bytes, frames: Frames) -> TrackBook:
    """The book in a CSV.

    Raises
    ------
    MiaError
        When it is not a table of tracks, or what it says cannot be.
    """
    try:
        options = pa_csv.ConvertOptions(column_types=_TYPES, strings_can_be_null=False)
        table = pa_csv.read_csv(io.BytesIO(data), convert_options=options)
        missing = set(_TYPES) - {"z"} - set(table.column_names)
        if missing or ("z" in table.column_names) != frames.depth:
            raise ValueError(f"it has no column {', '.join(sorted(missing)) or 'z'}")
        return _book(table, frames)
    except (pa.ArrowInvalid, ValueError, LookupError) as error:
        raise MiaError(f"{path} is no table of tracks: {error}. Restore it from a backup, or link again.") from None
    except MiaError as error:
        raise MiaError(f"{path} cannot be: {error}") from None


def _book(table: pa.Table, frames: Frames) -> TrackBook:
    def numbers(name: str, otherwise: float = 0) -> Array:
        values: Array = pc.fill_null(table[name], otherwise).to_numpy()
        return values

    position = np.column_stack([numbers(name, np.nan) for name in (("z", "y", "x") if frames.depth else ("y", "x"))])
    track, frame, number = numbers("track"), numbers("frame", -1), numbers("object")
    names = np.asarray(table["class"].to_pylist(), object)
    classes = list(frames.classes) + sorted({str(n) for n in names if n} - set(frames.classes))
    place = {name: index for index, name in enumerate(classes)}
    held = number > 0
    order = np.lexsort((number[held], numbers("plane")[held], frame[held]))
    rows = np.flatnonzero(held)[order]
    detections = Detections.of(
        frame[rows], position[rows], object=number[rows], plane=numbers("plane")[rows],
        label=[place[str(name)] for name in names[rows]], score=numbers("score", 1)[rows],
        area=numbers("area")[rows], classes=tuple(classes), frames=len(frames.images),
    )  # fmt: skip
    state = np.asarray(table["state"].to_pylist(), object)
    book = TrackBook(detections, track[rows], np.array([s == "gone" for s in state[rows]], bool))
    for row in np.flatnonzero(~held):
        if not track[row]:
            raise ValueError(f"line {row + 2} has neither a track nor an object")
        book.take(["fill", int(track[row]), int(frame[row]), None, position[row].tolist()], forward=True)
    for column, relation in (("mother", book.mothers), ("merged_into", book.merged)):
        other = numbers(column)
        listed = np.flatnonzero(other)
        relation.update(zip(track[listed].tolist(), other[listed].tolist(), strict=True))
    check(book.tracks())
    return book


def digest(data: bytes) -> str:
    """What names the content of a table."""
    return hashlib.sha256(data).hexdigest()


def write_lineage(path: Path, tracks: Tracks) -> None:
    """Replace `<sequence>.lineage.csv`: one row per track, frames 0-based."""
    labels = tracks.labels()
    lines = ["track,start,end,mother,merged_into,class"]
    for number, start, end, mother in tracks.spans().tolist():
        name = tracks.classes[labels[number]] if tracks.classes else ""
        quoted = '"' + name.replace('"', '""') + '"' if set(name) & set(',"\n') else name
        lines.append(f"{number},{start},{end},{mother or ''},{tracks.merged.get(number, '')},{quoted}")
    write_bytes(path, ("\n".join(lines) + "\n").encode())
