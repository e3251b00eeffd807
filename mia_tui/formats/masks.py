"""Masks: images whose pixel values say what is there, as every other segmentation program reads and writes them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from mia_tui.errors import MiaError
from mia_tui.formats.mask_kind import Guess, MaskStats, check_kind, guess_kind
from mia_tui.formats.pairing import pair
from mia_tui.formats.report import (
    ExportReport,
    ImportReport,
    checked_destination,
    exported_frames,
    exported_name,
    numbered_classes,
    shown,
)
from mia_tui.imaging.image import Image, open_image, open_ref
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import class_image, label_image, shapes_from_labels
from mia_tui.labeling.store import read_frame
from mia_tui.project import IMAGE_SUFFIXES, ImageRef, Project, parse_frame
from mia_tui.storage import atomic_writer

Plane = NDArray[np.integer[Any]]
EXPORT_KINDS = ("instance", "class")

# ---- import ----------------------------------------------------------------------------------------------------------


def import_masks(
    project: Project, source: Path, *, kind: str = "auto", split: str = "train", replace: bool = False
) -> ImportReport:
    """Import masks as labels.

    Parameters
    ----------
    source : Path
        Folder of masks named like the images (see `pairing.pair`), or one mask.
    kind : str
        "binary" (each separate piece of what is not 0 is an object of the first class), "class" (the value is the
        number of the class, each separate piece an object; 255 is background where the original MIA wrote the masks),
        "instance" (the value is the object, of the first class; it becomes the object's id), or "auto": guessed from
        the values of the whole set. Pieces are 8-connected.
    split : str
        The images to import for: "train" or "predict".
    replace : bool
        Replace the labels of frames that have some (as one undo step); else those frames are left alone.

    Returns
    -------
    ImportReport
        With the kind and why, every unpaired image and file, and every file that could not be imported.

    Raises
    ------
    MiaError
        When nothing can be paired, or the values have no sound meaning.
    """
    check_kind(kind)
    pairs = pair(project, source, split, IMAGE_SUFFIXES)
    report = ImportReport(
        project, unpaired_images=pairs.unpaired_images, unpaired_files=pairs.unpaired_files, problems=pairs.problems
    )
    if pairs.note:
        report.notes.append(pairs.note)
    readable: list[_Mask] = []
    stats = MaskStats()
    for paired in pairs.pairs:
        try:
            mask, found = _examine(project, paired.ref, paired.path)
        except MiaError as error:
            report.problems.append(str(error))
            continue
        readable.append(mask)
        stats.merge(found)
    if not readable:
        return report
    guess = guess_kind(stats, len(project.classes), kind)
    report.kind, report.reason = guess.kind, guess.reason
    if guess.kind == "class":
        report.add_classes(numbered_classes(project, max(set(stats.objects) - {guess.background}, default=0)))
    for mask in readable:
        _import_one(report, mask, guess, replace)
    return report.finish(replace)


@dataclass(frozen=True)
class _Mask:
    """A mask file and the image it belongs to; `sizes` (T, C, Z, Y, X) are the image's, `frames` its frames' names."""

    key: str
    path: Path
    sizes: tuple[int, int, int, int, int]
    frames: tuple[str, ...]

    def planes(self) -> Iterator[tuple[str, Plane]]:
        """(frame, (Y, X) integer plane) for every frame of the image, in order.

        Raises
        ------
        MiaError
            When the mask cannot be read, does not fit the image, or holds no whole numbers.
        """
        with open_image(self.path, indices=True) as image:
            self._check_size(image)
            for frame in self.frames:
                yield frame, _whole_numbers(self._plane(image, frame), self.path)

    def _plane(self, image: Image, frame: str) -> NDArray[Any]:
        t, z = parse_frame(frame)
        times, channels, depths = image.info.sizes[:3]
        if (times, depths) == (self.sizes[0], self.sizes[2]):
            return _one_channel(image.plane(t, z), self.path)
        # A plain stack: its one long axis may have been taken for another than the image's.
        number = t * self.sizes[2] + z
        where = {"t": 0, "c": 0, "z": 0, "tcz"[int(np.argmax((times, channels, depths)))]: number}
        return image.channel(where["t"], where["c"], where["z"])

    def _check_size(self, image: Image) -> None:
        info = image.info
        if info.sizes[3:] != self.sizes[3:]:
            raise MiaError(
                f"{self.path} is {info.sizes[3]} x {info.sizes[4]}, but its image {self.key} is "
                f"{self.sizes[3]} x {self.sizes[4]} pixels (y, x). Give a mask of the image's size."
            )
        times, channels, depths = info.sizes[:3]
        same = (times, depths) == (self.sizes[0], self.sizes[2])
        stack = not info.rgb and max(times, channels, depths) == times * channels * depths == len(self.frames)
        if not same and not (stack and max(self.sizes[0], self.sizes[2]) == len(self.frames)):
            raise MiaError(
                f"{self.path} has {times} frames and {depths} z planes, but its image {self.key} has {self.sizes[0]} "
                f"and {self.sizes[2]}. Give one mask plane for each plane of the image."
            )


def _examine(project: Project, ref: ImageRef, path: Path) -> tuple[_Mask, MaskStats]:
    """Read a whole mask once: what fails here fails before anything is written."""
    with open_ref(project, ref) as image:
        mask = _Mask(ref.key, path, image.info.sizes, tuple(image.frames))
    stats = MaskStats()
    for _, plane in mask.planes():
        stats.add(plane)
    return mask, stats


def _one_channel(plane: NDArray[Any], path: Path) -> NDArray[Any]:
    if len(plane) > 1 and not (plane[1:] == plane[0]).all():
        raise MiaError(f"{path} is a colour picture (its channels differ). Save the mask as one channel of numbers.")
    first: NDArray[Any] = plane[0]
    return first


def _whole_numbers(plane: NDArray[Any], path: Path) -> Plane:
    """The plane as unsigned integers of at most 32 bits."""
    if plane.dtype.kind in "bu" and plane.dtype.itemsize <= 4:
        return plane.astype(np.uint8) if plane.dtype == bool else plane
    if plane.dtype.kind == "f" and not (np.isfinite(plane).all() and (plane == np.floor(plane)).all()):
        raise MiaError(f"{path} holds values that are no whole numbers. Save the mask with whole numbers.")
    if plane.size and (plane.min() < 0 or plane.max() > 0xFFFFFFFF):
        raise MiaError(
            f"{path} holds values from {plane.min()} to {plane.max()}; a mask has values from 0 to 2^32 - 1."
        )
    return plane.astype(np.uint32)


def _import_one(report: ImportReport, mask: _Mask, guess: Guess, replace: bool) -> None:
    try:
        for frame, plane in mask.planes():
            labels = _labels(plane, guess, [entry.name for entry in report.project.classes])
            report.put(mask.key, frame, labels, replace=replace, text=f"import {mask.path.name}")
    except MiaError as error:
        report.problems.append(str(error))


def _labels(plane: Plane, guess: Guess, classes: list[str]) -> FrameLabels:
    """The objects on one mask plane."""
    height, width = plane.shape
    areas: tuple[Any, ...] = ()
    if guess.background:
        if not plane.all():
            areas = tuple(shapes_from_labels((plane != 0).astype(np.uint8)).values())
        plane = np.where(plane == guess.background, 0, plane)
    if guess.kind == "instance":
        values, numbers = plane, None
    else:
        values, numbers = _pieces(plane if guess.kind == "class" else plane != 0)
    objects = [
        LabelObject(number, geometry, classes[0 if numbers is None else int(numbers[number]) - 1], "imported")
        for number, geometry in shapes_from_labels(values).items()
    ]
    labels = FrameLabels.of(height, width, objects)
    return FrameLabels(height, width, labels.objects, areas, next_id=labels.next_id)


def _pieces(plane: NDArray[Any]) -> tuple[Plane, Plane]:
    """8-connected pieces of equal value numbered from 1, and the value of each."""
    from skimage.measure import label

    pieces, count = label(plane, background=0, connectivity=2, return_num=True)
    value = np.zeros(count + 1, np.int64)
    value[pieces.ravel()] = plane.ravel()
    return pieces, value


# ---- export ----------------------------------------------------------------------------------------------------------


def export_masks(
    project: Project, dest: Path, *, source: str = "labels", kind: str = "instance", split: str | None = None
) -> ExportReport:
    """Write masks as `dest/<image>.tif`, zlib-compressed TIFFs that ImageJ reads (names: `report.exported_name`).

    An image of one plane gives a (Y, X) file, a stack (T, Y, X), (Z, Y, X) or (T, Z, Y, X) with a plane for every
    plane of the image (0 where nothing is labelled).

    Parameters
    ----------
    source : str
        "labels", or "predictions:MODEL" (without the predictions that a person rejected).
    kind : str
        "instance": the value is the object's id, uint16 (uint32 past 65535); "class": the number of its class, uint8.
    split : str, optional
        Only the images of this root.

    Raises
    ------
    MiaError
        When there is nothing to export or nowhere to write it; what goes wrong with one image is in the report.
    """
    if kind not in EXPORT_KINDS:
        raise MiaError(f"unknown kind of mask {kind!r}: choose one of {', '.join(EXPORT_KINDS)}")
    dest = checked_destination(project, dest)
    report = ExportReport()
    for key, frames in exported_frames(project, source, split).items():
        try:
            _export_one(report, project, dest / f"{exported_name(key, split)}.tif", key, frames, source, kind)
        except MiaError as error:
            report.problems.append(f"{key}: {error}")
    return report


def _export_one(
    report: ExportReport, project: Project, path: Path, key: str, frames: list[str], source: str, kind: str
) -> None:
    found: dict[str, FrameLabels] = {}
    for frame in frames:
        labels = read_frame(project.source_folder(source) / key / f"{frame}.geojson")
        if labels is not None:
            found[frame] = shown(labels, source)
    shape, axes, names = _extent(project, key, found)
    highest = max((number for labels in found.values() for number in labels.objects), default=0)
    dtype: np.dtype[Any] = np.dtype("uint8" if kind == "class" else "uint16" if highest <= 0xFFFF else "uint32")
    hidden: list[str] = []
    planes = _planes(project, found, names, shape[-2:], kind, dtype, hidden)
    _write_tiff(path, planes, shape, axes, dtype)
    report.files.append(str(path))
    report.objects += sum(len(labels.objects) for labels in found.values())
    report.notes += [f"{key} {text}" for text in hidden]


def _extent(project: Project, key: str, found: dict[str, FrameLabels]) -> tuple[tuple[int, ...], str, list[str]]:
    """Shape and axes of the file to write, and the frame on each of its planes."""
    first = next(iter(found.values()))
    if list(found) == ["image"]:
        return (first.height, first.width), "YX", ["image"]
    with open_ref(project, project.image(key)) as image:
        times, _, depths, height, width = image.info.sizes
        names = image.frames
    for frame, labels in found.items():
        if frame not in names or (labels.height, labels.width) != (height, width):
            raise MiaError(
                f"the labels of {frame} ({labels.height} x {labels.width}) do not fit the image ({height} x {width}, "
                f"{times} frames, {depths} z planes). Give the image's axes in project.toml, or remove the frame."
            )
    stack = [(name, size) for name, size in (("T", times), ("Z", depths)) if size > 1]
    return (
        (*(size for _, size in stack), height, width),
        "".join(name for name, _ in stack) + "YX",
        names,
    )


def _planes(
    project: Project,
    found: dict[str, FrameLabels],
    names: Iterable[str],
    shape: tuple[int, ...],
    kind: str,
    dtype: np.dtype[Any],
    hidden: list[str],
) -> Iterator[Plane]:
    """The planes to write, one by one; objects that cannot be seen on them are named in `hidden`."""
    height, width = shape
    for name in names:
        labels = found.get(name)
        if labels is None:
            yield np.zeros((height, width), dtype)
            continue
        instances = label_image(labels.objects.values(), (height, width))
        lost = sorted(labels.objects.keys() - set(np.unique(instances).tolist()))
        if lost:
            numbers = ", ".join(map(str, lost))
            hidden.append(f"{name}: no pixel shows the objects {numbers} (points, outside, or covered by others)")
        plane: Plane = instances
        if kind == "class":
            plane = class_image(labels.objects.values(), (height, width), project.classes)
        yield plane.astype(dtype, copy=False)


def _write_tiff(path: Path, planes: Iterator[Plane], shape: tuple[int, ...], axes: str, dtype: np.dtype[Any]) -> None:
    try:
        with atomic_writer(path) as stream:
            save_tiff(stream, planes, shape, axes, dtype)
    except OSError as error:
        raise MiaError(
            f"{path} cannot be written: {error.strerror or error}. Free space or rights and try again."
        ) from None


def save_tiff(
    target: Path | IO[bytes], planes: Iterator[Plane], shape: tuple[int, ...], axes: str, dtype: np.dtype[Any]
) -> None:
    """Save (Y, X) planes, `shape` with `axes` in all, as one zlib-compressed TIFF that ImageJ reads."""
    import tifffile

    # ImageJ's own hyperstack header knows no 32-bit integers; those are written as plain stacks.
    imagej = dtype != np.uint32
    data = next(planes) if len(shape) == 2 else planes
    tifffile.imwrite(
        target, data, shape=shape, dtype=dtype, imagej=imagej, compression="zlib", photometric="minisblack",
        metadata={"axes": axes},
    )  # fmt: skip


import_ = import_masks
export = export_masks
