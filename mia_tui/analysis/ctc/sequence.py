"""Folders of the Cell Tracking Challenge: a label image per frame and a table of tracks, and what is wrong with them.

Result folders hold `mask000.tif`, `mask001.tif`, ... and `res_track.txt`; truth folders `man_track000.tif`, ... and
`man_track.txt` (in `TRA/`). The number counts frames from 0 and has three or four digits. The value of a pixel is the
track; a line of the table is `L B E P`: track, first frame, last frame, mother or 0.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia_tui.analysis.label_planes import label_plane, places
from mia_tui.errors import MiaError
from mia_tui.imaging.image import open_image

Array = NDArray[Any]

NAMINGS = {"result": ("mask", "res_track.txt"), "truth": ("man_track", "man_track.txt")}
"""Who wrote the folder -> what the masks are called before their number, and the table."""
MAX_TRACK = 2**32 - 1
_SHOWN = 10
_EXAMPLE = "A folder of the Cell Tracking Challenge holds mask000.tif, ... and res_track.txt, or man_track000.tif, ... "


@dataclass(frozen=True)
class CtcSequence:
    """A folder of masks with its table of tracks.

    Attributes
    ----------
    folder, table : Path
    first : int
        The number of the first frame, nearly always 0; frames follow one another without a gap.
    files : tuple of Path
        The mask of every frame.
    spans : (K, 4) int64
        Track, first frame, last frame, mother or 0, in the order of the table; frames counted from `first`.
    lines : (K,) int64
        The line of the table on which each stands, from 1.
    """

    folder: Path
    table: Path
    first: int
    files: tuple[Path, ...]
    spans: Array
    lines: Array

    def __len__(self) -> int:
        return len(self.files)

    def masks(self, frame: int) -> Array:
        """The label image of a frame (counted from 0), (Y, X) or (Z, Y, X) of tracks, 0 is background.

        Raises
        ------
        MiaError
            When the file cannot be read or is no label image.
        """
        return read_mask(self.files[frame])


def read_mask(path: Path) -> Array:
    """A label image, (Y, X), or (Z, Y, X) where the file has several planes.

    Raises
    ------
    MiaError
        When the file cannot be read, is a colour picture, or holds negative or fractional values.
    """
    with open_image(path, indices=True) as image:
        planes = [label_plane(image, *place) for place in places(image)]
    return planes[0] if len(planes) == 1 else np.stack(planes)


# ---- reading ---------------------------------------------------------------------------------------------------------


def read_ctc(folder: Path) -> CtcSequence:
    """Read a sequence; of the masks only the names.

    Parameters
    ----------
    folder : Path
        A folder of results (`01_RES`), of truth (`01_GT/TRA`), or the one above it (`01_GT`).

    Raises
    ------
    MiaError
        When masks or table are missing, a frame is missing or there twice, or a line is not four whole numbers.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        raise MiaError(f"{folder} is no folder. {_EXAMPLE}and man_track.txt.")
    place, (prefix, table) = _find(folder)
    numbered = _numbered(place, prefix)
    if not numbered:
        raise MiaError(f"{place} holds {table}, but no {prefix}000.tif and so on: the masks are missing.")
    _check_frames(place, prefix, numbered)
    first = min(numbered)
    rows, lines = _read_table(place / table)
    spans = rows - np.array([0, first, first, 0])
    files = tuple(numbered[frame][0] for frame in sorted(numbered))
    return CtcSequence(place, place / table, first, files, spans, lines)


def _find(folder: Path) -> tuple[Path, tuple[str, str]]:
    for place in (folder, folder / "TRA"):
        found = [naming for naming in NAMINGS.values() if (place / naming[1]).is_file()]
        if len(found) == 2:
            raise MiaError(f"{place} holds both {found[0][1]} and {found[1][1]}. Leave the one that is meant.")
        if found:
            return place, found[0]
    raise MiaError(f"{folder} holds neither res_track.txt nor man_track.txt. {_EXAMPLE}and man_track.txt.")


def _numbered(folder: Path, prefix: str) -> dict[int, list[Path]]:
    """Number of a frame -> its files; more than one where `mask001.tif` and `mask0001.tif` are both there."""
    named = re.compile(re.escape(prefix) + r"(\d+)\.tiff?", re.IGNORECASE | re.ASCII)
    found: dict[int, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        match = named.fullmatch(path.name)
        if match:
            found.setdefault(int(match[1]), []).append(path)
    return found


def _check_frames(folder: Path, prefix: str, numbered: dict[int, list[Path]]) -> None:
    twice = [files for _, files in sorted(numbered.items()) if len(files) > 1]
    if twice:
        names = " and ".join(path.name for path in twice[0])
        raise MiaError(f"{folder}: {names} are the same frame. Remove the one that is not meant.")
    missing = sorted(set(range(min(numbered), max(numbered) + 1)) - set(numbered))
    if missing:
        listed = ", ".join(f"{prefix}{frame:03d}.tif" for frame in missing[:5]) + " and more" * (len(missing) > 5)
        raise MiaError(
            f"{folder}: {len(missing)} frame{'s are' if len(missing) > 1 else ' is'} missing between "
            f"{min(numbered)} and {max(numbered)}: {listed}. Add them, empty ones where nothing is to be seen."
        )


def _read_table(path: Path) -> tuple[Array, Array]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MiaError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MiaError(f"{path} is no text. It holds lines of track, first frame, last frame and mother.") from None
    rows, lines = [], []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 4 or not all(re.fullmatch(r"-?[0-9]{1,18}", field) for field in fields):
            raise MiaError(
                f"{path}: line {number} is {line.strip()!r}, not four whole numbers (track, first frame, last frame, "
                "mother or 0)."
            )
        rows.append([int(field) for field in fields])
        lines.append(number)
    return np.array(rows, np.int64).reshape(-1, 4), np.array(lines, np.int64)


# ---- validity --------------------------------------------------------------------------------------------------------


def table_problems(sequence: CtcSequence) -> list[str]:
    """What cannot be in a table of tracks, by line: the rules of the challenge (as in py-ctcmetrics' `valid`)."""
    first, last = sequence.first, sequence.first + len(sequence) - 1
    rows: dict[int, int] = {}
    found: list[tuple[int, str]] = []
    for row, track in enumerate(sequence.spans[:, 0].tolist()):
        line = int(sequence.lines[row])
        if not 1 <= track <= MAX_TRACK:
            found.append((line, f"{track} is no number of a track: these go from 1 to {MAX_TRACK}"))
        if track in rows:
            found.append((line, f"track {track} stands on line {sequence.lines[rows[track]]} already"))
        rows.setdefault(track, row)
    for row, (track, begin, end, mother) in enumerate(sequence.spans.tolist()):
        reasons = []
        if end < begin:
            reasons.append(f"track {track} ends in frame {end + first}, before it begins in {begin + first}")
        if begin < 0 or end >= len(sequence):
            reasons.append(f"track {track} is not within the frames {first} to {last}")
        if mother and mother not in rows:
            reasons.append(f"track {track} has the mother {mother}, which is not in the table")
        elif mother and sequence.spans[rows[mother], 2] >= begin:
            until = int(sequence.spans[rows[mother], 2]) + first
            reasons.append(f"track {track} begins in frame {begin + first}, its mother {mother} only ends in {until}")
        found += [(int(sequence.lines[row]), reason) for reason in reasons]
    return [f"{sequence.table}: line {line}: {reason}" for line, reason in sorted(found)]


def mask_problems(sequence: CtcSequence, frame: Array, label: Array) -> list[str]:
    """Where masks and a table without problems of its own disagree.

    Parameters
    ----------
    frame, label : (N,) int array
        Every object of the masks: its frame, counted from 0, and its value.
    """
    lengths = sequence.spans[:, 2] - sequence.spans[:, 1] + 1
    row = np.repeat(np.arange(len(lengths)), lengths)
    offset = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    told = (sequence.spans[row, 1] + offset) * (MAX_TRACK + 1) + sequence.spans[row, 0]
    painted = frame.astype(np.int64) * (MAX_TRACK + 1) + label.astype(np.int64)
    found = []
    for key in painted[~np.isin(painted, told)].tolist():
        number, track = divmod(key, MAX_TRACK + 1)
        found.append((key, f"{sequence.files[number]}: track {track} is there, but not in {sequence.table.name}"))
    for at in np.flatnonzero(~np.isin(told, painted)).tolist():
        number, track = divmod(int(told[at]), MAX_TRACK + 1)
        line = sequence.lines[row[at]]
        text = (
            f"{sequence.files[number]}: track {track} is missing, which {sequence.table.name} has there (line {line})"
        )
        found.append((int(told[at]), text))
    return [text for _, text in sorted(found)]


def raise_problems(problems: Sequence[str]) -> None:
    """Raise what was found, if anything.

    Raises
    ------
    MiaError
        Naming the first problems and how many there are.
    """
    if problems:
        more = len(problems) - _SHOWN
        text = "\n".join(problems[:_SHOWN]) + (f"\nand {more} more" if more > 0 else "")
        raise MiaError(f"{text}\nTable and masks must tell of the same tracks. Write them anew, or mend these places.")
