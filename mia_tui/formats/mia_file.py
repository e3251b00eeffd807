"""The label files of the original MIA: NumPy archives (`.npz`) of contours, of points or of the class of an image.

`arr_0` is a number that says which. All coordinates are (x, y) indices of pixels, so the centre of the top-left pixel
is (0, 0). A contour passes through the outermost pixels of its object; the contour of a hole passes through the pixels
of the object that lie around the hole.
"""

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia_tui.errors import MiaError
from mia_tui.storage import atomic_writer

CONTOURS, LEGACY, POINTS, IMAGE = 12345678910, 123456789, 987654321, 1234554321
"""The kinds of file, by the number in `arr_0`. Legacy contours have neither holes nor object numbers."""

MAX_CLASS = 254
SMALLEST = 3
"""The original keeps no contour that encloses this area (px², between the centres of its pixels) or less."""

_MAX_BYTES = 1 << 29
_FURTHEST = 1 << 20
_COMMENT = b"written by mia-tui"
_DAMAGED = (ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, NotImplementedError, MemoryError)

Pixels = NDArray[np.int64]
"""(N, 2) pixels, (x, y)."""


@dataclass(frozen=True)
class Contour:
    """One object, or (class 0) one annotated region. `number` is -1 when it has none."""

    label_class: int
    number: int
    outer: Pixels
    holes: tuple[Pixels, ...] = ()


@dataclass(frozen=True)
class Dot:
    """One point in the middle of a pixel."""

    label_class: int
    number: int
    x: int
    y: int


@dataclass(frozen=True)
class MiaLabels:
    """What one file holds. `kind` is CONTOURS, POINTS or IMAGE; contours may go along with each of them."""

    kind: int
    contours: tuple[Contour, ...] = ()
    dots: tuple[Dot, ...] = ()
    image_class: int = 0

    @property
    def highest_class(self) -> int:
        """The highest number of a class in the file."""
        contours = (item.label_class for item in self.contours)
        return max(self.image_class, *contours, *(dot.label_class for dot in self.dots), 0)


# ---- reading ---------------------------------------------------------------------------------------------------------


def read_mia(path: Path) -> MiaLabels:
    """Read a label file of any kind and age. Nothing in it is ever executed.

    Raises
    ------
    MiaError
        For a file that is damaged or no label file, with the reason.
    """
    try:
        arrays = _arrays(path)
        labels = _parse(arrays)
        if labels.highest_class > MAX_CLASS:
            raise ValueError(f"class {labels.highest_class}, past {MAX_CLASS}")
        return labels
    except OSError as error:
        raise MiaError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:
        if not isinstance(error, _DAMAGED) and type(error).__module__ != "zlib":
            raise
        reason = str(error).strip() or type(error).__name__
        raise MiaError(f"{path} is no label file of MIA that can be read: {reason}. Save it again with MIA.") from None


def _arrays(path: Path) -> list[NDArray[Any]]:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
        if size > _MAX_BYTES:
            raise ValueError(f"it unpacks to {size >> 20} MB")
        names = set(archive.namelist())
        found = []
        for number in range(len(names)):
            with archive.open(f"arr_{number}.npy") as stream:
                found.append(np.lib.format.read_array(stream, allow_pickle=False))
    if not found:
        raise ValueError("it holds no arrays")
    return found


def _parse(arrays: list[NDArray[Any]]) -> MiaLabels:
    kind = _first(arrays[0])
    if kind in (CONTOURS, LEGACY):
        return MiaLabels(CONTOURS, _contours(arrays))
    if kind == POINTS:
        if len(arrays) < 3:
            raise ValueError("its points are missing")
        return MiaLabels(POINTS, _contours(arrays[3:]), _dots(arrays[1], arrays[2]))
    if kind == IMAGE:
        if len(arrays) < 2:
            raise ValueError("the class of the image is missing")
        label_class = _first(arrays[1])
        if label_class < 0:
            raise ValueError(f"class {label_class}")
        return MiaLabels(IMAGE, _contours(arrays[2:]), image_class=label_class)
    raise ValueError(f"it begins with {kind}, which stands for no kind of label")


def _contours(block: Sequence[NDArray[Any]]) -> tuple[Contour, ...]:
    """The contours of a block that begins with its own kind; () for an empty block."""
    if not block:
        return ()
    kind, items = _first(block[0]), block[1:]
    if kind not in (CONTOURS, LEGACY):
        raise ValueError(f"its contours begin with {kind}, which stands for no kind of contour")
    step = 3 if kind == CONTOURS else 2
    found = []
    for start in range(0, len(items), step):
        if start + 1 >= len(items):
            raise ValueError("it ends in the middle of an object")
        holes = items[start + 2] if kind == CONTOURS and start + 2 < len(items) else np.empty(0)
        found.append(_contour(items[start], items[start + 1], holes))
    return tuple(found)


def _contour(head: NDArray[Any], outer: NDArray[Any], holes: NDArray[Any]) -> Contour:
    numbers = _whole(head).ravel()
    points = _pairs(outer)
    if not len(numbers) or not len(points) or numbers[0] < 0:
        raise ValueError("an object without a class or without points")
    return Contour(int(numbers[0]), int(numbers[1]) if len(numbers) > 1 else -1, points, _holes(_pairs(holes)))


def _holes(points: Pixels) -> tuple[Pixels, ...]:
    """The holes of a list in which a row of -1 stands before each."""
    starts = np.flatnonzero((points == -1).all(axis=1))
    pieces = np.split(points, starts)
    cut = [piece[1:] if len(piece) and (piece[0] == -1).all() else piece for piece in pieces]
    return tuple(piece for piece in cut if len(piece))


def _dots(heads: NDArray[Any], places: NDArray[Any]) -> tuple[Dot, ...]:
    points = _pairs(places)
    numbers = _whole(heads)
    if numbers.size == len(points):  # older files hold the class alone
        numbers = np.stack([numbers.ravel(), np.full(len(points), -1)], axis=1)
    if numbers.size != 2 * len(points):
        raise ValueError(f"{len(points)} points with {numbers.size} numbers")
    if (numbers.reshape(-1, 2)[:, 0] < 0).any():
        raise ValueError("a point of a class below 0")
    rows = zip(numbers.reshape(-1, 2).tolist(), points.tolist(), strict=True)
    return tuple(Dot(head[0], head[1], place[0], place[1]) for head, place in rows)


def _first(array: NDArray[Any]) -> int:
    if not array.size:
        raise ValueError("an array that should hold a number is empty")
    return int(_whole(array).ravel()[0])


def _pairs(array: NDArray[Any]) -> Pixels:
    points = _whole(array)
    if points.size % 2 or (points.size and points.shape[-1] != 2):
        raise ValueError(f"coordinates of shape {array.shape}")
    if points.size and np.abs(points).max() > _FURTHEST:
        raise ValueError("coordinates far outside of any image")
    return points.reshape(-1, 2)


def _whole(array: NDArray[Any]) -> Pixels:
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind != "f" or not np.isfinite(array).all() or (array != np.floor(array)).any():
        raise ValueError(f"numbers of type {array.dtype} that are not whole")
    if array.size and np.abs(array).max() > 2**53:
        raise ValueError("numbers that are too large")
    return array.astype(np.int64)


# ---- writing ---------------------------------------------------------------------------------------------------------


def write_mia(path: Path, labels: MiaLabels) -> None:
    """Write a label file as the original writes it, in one step. The same labels give the same bytes.

    Raises
    ------
    MiaError
        When the file is there and was not written by this function, or cannot be written.
    """
    if path.exists() and not _is_ours(path):
        raise MiaError(f"{path} is there already and holds labels of MIA; it was not overwritten. Export elsewhere.")
    try:
        with atomic_writer(path) as stream, zipfile.ZipFile(stream, "w") as archive:
            archive.comment = _COMMENT
            for number, array in enumerate(_to_arrays(labels)):
                entry = zipfile.ZipInfo(f"arr_{number}.npy", (1980, 1, 1, 0, 0, 0))
                with archive.open(entry, "w") as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
    except OSError as error:
        raise MiaError(f"{path} cannot be written: {error.strerror}. Free space or rights and try again.") from None


def _is_ours(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment == _COMMENT
    except (OSError, zipfile.BadZipFile):
        return False


def _to_arrays(labels: MiaLabels) -> list[NDArray[Any]]:
    block = [np.array(CONTOURS)]
    for item in labels.contours:
        block += [np.array([item.label_class, item.number]), item.outer.astype(np.int32)[:, None], _hole_rows(item)]
    if labels.kind == CONTOURS:
        return block
    with_areas = block if labels.contours else []
    if labels.kind == IMAGE:
        return [np.array(IMAGE), np.array(labels.image_class), *with_areas]
    heads = np.array([[dot.label_class, dot.number] for dot in labels.dots])
    places = np.array([[dot.x, dot.y] for dot in labels.dots])
    return [np.array(POINTS), heads, places, *with_areas]


def _hole_rows(item: Contour) -> NDArray[Any]:
    if not item.holes:
        return np.empty(0)
    rows = [np.concatenate([np.full((1, 2), -1), hole]) for hole in item.holes]
    return np.concatenate(rows).astype(np.int64)[:, None]


# ---- contours and pixels ---------------------------------------------------------------------------------------------


def pixels_of(contour: Contour, shape: tuple[int, int]) -> tuple[slice, slice, NDArray[np.bool_]]:
    """The pixels of an object as the original paints it: the contour with all inside, without what its holes enclose.

    Returns
    -------
    rows, columns : slice
        The part of the image that the contour covers.
    mask : bool array
        The object's pixels in that part.
    """
    rows, columns, mask = _enclosed(contour.outer, shape, line=True)
    for hole in contour.holes:
        below, beside, inside = _enclosed(hole, shape, line=False)
        top, bottom = max(rows.start, below.start), min(rows.stop, below.stop)
        left, right = max(columns.start, beside.start), min(columns.stop, beside.stop)
        if top < bottom and left < right:
            cut = inside[top - below.start : bottom - below.start, left - beside.start : right - beside.start]
            mask[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] &= ~cut
    return rows, columns, mask


def _enclosed(points: Pixels, shape: tuple[int, int], *, line: bool) -> tuple[slice, slice, NDArray[np.bool_]]:
    """The pixels inside a closed line through the points, with or without those on the line itself."""
    import cv2

    limits = np.array([shape[1], shape[0]])
    left, top = np.clip(points.min(axis=0), 0, limits).tolist()
    right, bottom = np.clip(points.max(axis=0) + 1, 0, limits).tolist()
    mask = np.zeros((bottom - top, right - left), np.uint8)
    if mask.size:
        local = (points - [left, top]).astype(np.int32)[:, None]
        cv2.fillPoly(mask, [local], 1)
        if not line:
            cv2.polylines(mask, [local], True, 0)
    return slice(top, bottom), slice(left, right), mask.astype(np.bool_)


def contours_of(mask: NDArray[np.bool_], offset: tuple[int, int]) -> list[tuple[Pixels, tuple[Pixels, ...]]]:
    """(outer, holes) of every 8-connected piece of a mask whose top-left pixel is at `offset` (y, x)."""
    import cv2

    lines, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    origin = np.array([offset[1], offset[0]])
    points = [line.reshape(-1, 2).astype(np.int64) + origin for line in lines]
    parents = [] if tree is None else tree.reshape(-1, 4)[:, 3].tolist()
    holes: dict[int, list[Pixels]] = {}
    for line, parent in zip(points, parents, strict=True):
        holes.setdefault(parent, []).append(line)
    return [
        (line, tuple(holes.get(number, ())))
        for number, (line, parent) in enumerate(zip(points, parents, strict=True))
        if parent < 0
    ]


def is_too_small(points: Pixels) -> bool:
    """Whether the original drops a contour (or fills a hole) that runs through these pixels."""
    x, y = points.T
    area = abs(int((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2
    return len(points) < 3 or area <= SMALLEST


def painting_order(contours: Iterable[Contour]) -> list[Contour]:
    """Contours in the order in which the original paints them: by class, those with holes first."""
    return sorted(contours, key=lambda item: (item.label_class, not item.holes))
