"""ImageJ's regions of interest: one `.zip` per image as the ROI Manager keeps them, or a single `.roi`."""

import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from roifile import ImagejRoi
from shapely.geometry.base import BaseGeometry

from mia_tui.errors import MiaError
from mia_tui.formats.gather import Found, check_inside
from mia_tui.formats.pairing import Pair, pair
from mia_tui.formats.report import (
    ExportReport,
    FrameReader,
    ImportReport,
    checked_destination,
    exported_frames,
    exported_name,
    frame_reader,
)
from mia_tui.formats.roi_shapes import roi_of, shapes_of
from mia_tui.imaging.image import open_ref
from mia_tui.labeling.geojson import rgb
from mia_tui.labeling.objects import AREA_CLASS, FrameLabels, LabelObject
from mia_tui.labeling.store import class_colors
from mia_tui.project import IMAGE_SUFFIXES, LabelClass, Project, frame_name, parse_frame
from mia_tui.storage import atomic_writer

SUFFIXES = frozenset({".zip", ".roi"})

_MAX_BYTES = 1 << 28
_PREFIX = "mia-tui-"
"""Properties of a region are lines of `key: value`; ours, for what ImageJ has no place for, begin so."""

_DAMAGED = (ValueError, TypeError, IndexError, RuntimeError, AssertionError, OverflowError, MemoryError, struct.error)

Sizes = tuple[int, int, int, int, int]

# ---- import ----------------------------------------------------------------------------------------------------------


def import_roi(project: Project, source: Path, *, split: str = "train", replace: bool = False) -> ImportReport:
    """Import ImageJ's regions as labels: polygons, traced and freehand outlines, ovals, rectangles, composites, points.

    The class is the one that the name begins with (`<class>-<number>`, or the class alone), else the class whose number
    is the group, else the one whose colour is the stroke's, else the first. Regions named "annotated area" are that.
    In stacks a region lies on the frame of its position, or of the slice number in a name such as `0003-0120-0340`.

    Parameters
    ----------
    source : Path
        Folder of `.zip` or `.roi` files named like the images (see `pairing.pair`), or one file.
    split : str
        The images to import for: "train" or "predict".
    replace : bool
        Replace the labels of frames that have some (as one undo step); else those frames are left alone.

    Returns
    -------
    ImportReport
        With every unpaired image and file, and every file and region that could not be imported.

    Raises
    ------
    MiaError
        When nothing can be paired.
    """
    pairs = pair(project, source, split, SUFFIXES)
    report = ImportReport(
        project, unpaired_images=pairs.unpaired_images, unpaired_files=pairs.unpaired_files, problems=pairs.problems
    )
    if pairs.note:
        report.notes.append(pairs.note)
    for paired in pairs.pairs:
        try:
            _import_one(report, paired, replace)
        except MiaError as error:
            report.problems.append(str(error))
    return report.finish(replace)


def _import_one(report: ImportReport, paired: Pair, replace: bool) -> None:
    with open_ref(report.project, paired.ref) as image:
        info, frames = image.info, image.frames
    sizes = (info.sizes[0], 1 if info.rgb else info.sizes[1], *info.sizes[2:])
    found: dict[str, Found] = {frames[0]: Found()} if len(frames) == 1 else {}
    for name, roi in _read(report, paired.path):
        try:
            _take(report.project, name, roi, found, sizes)
        except ValueError as error:
            report.problems.append(f"{paired.path}: region {name!r} was left out: {error}")
    names = {item.label_class for each in found.values() for item in each.objects}
    report.add_classes(sorted(names - {""}))
    for frame, each in found.items():
        labels = each.labels(sizes[3:], report.project.classes[0].name)
        report.put(paired.ref.key, frame, labels, replace=replace, text=f"import {paired.path.name}")


def _read(report: ImportReport, path: Path) -> Iterator[tuple[str, ImagejRoi]]:
    """(name, region) of everything in a file that can be read; the rest is named in the report."""
    for name, data in _contents(path):
        try:
            roi = ImagejRoi.frombytes(data)
        except _DAMAGED as error:
            report.problems.append(f"{path}: {name} was left out, it is no region that can be read: {error}")
            continue
        yield roi.name or PurePosixPath(name).stem, roi


def _contents(path: Path) -> list[tuple[str, bytes]]:
    """(name, bytes) of the regions in a file."""
    try:
        if path.suffix.lower() == ".roi":
            return [(path.name, path.read_bytes())]
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".roi")]
            size = sum(entry.file_size for entry in entries)
            if size > _MAX_BYTES:
                raise MiaError(f"{path} unpacks to {size >> 20} MB, which is too large for regions of interest.")
            if not entries:
                raise MiaError(f"{path} holds no regions of interest (.roi). Save them again in the ROI Manager.")
            return [(entry.filename, archive.read(entry)) for entry in entries]
    except OSError as error:
        raise MiaError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # zipfile, zlib and lzma raise kinds of their own at damaged data
        if isinstance(error, MiaError):
            raise
        raise MiaError(f"{path} is damaged ({error}). Save it again in the ROI Manager.") from None


def _take(project: Project, name: str, roi: ImagejRoi, found: dict[str, Found], sizes: Sizes) -> None:
    """Put a region into what is found for its frames.

    Raises
    ------
    ValueError
        With the reason, when it is neither an outline nor points in the image.
    """
    shapes = shapes_of(roi, sizes[3:])
    own = _properties(roi)
    slices = roi.counter_positions if roi.counter_positions is not None and len(shapes) > 1 else [0] * len(shapes)
    placed: list[tuple[str, BaseGeometry]] = []
    for shape, number in zip(shapes, slices, strict=True):
        check_inside(shape, sizes[3:])
        placed.append((_frame(name, roi, sizes, int(number)), shape))
    if own.area or name.split("-")[0] == AREA_CLASS:
        if any(shape.geom_type == "Point" for _, shape in placed):
            raise ValueError("it is an annotated area and a point")
        for frame, shape in placed:
            found.setdefault(frame, Found()).areas.append(shape)
        return
    label_class, number = _meaning(project.classes, name, roi, own)
    for frame, shape in placed:
        number = number if len(placed) == 1 else 0
        item = LabelObject(number, shape, label_class, "imported", own.score, own.track)
        found.setdefault(frame, Found()).objects.append(item)


def _frame(name: str, roi: ImagejRoi, sizes: Sizes, number: int) -> str:
    """The frame on which a region lies. `number` is the slice of one point among several, from 1; 0 for none."""
    times, channels, depths = sizes[:3]
    if times * depths == 1:
        return frame_name(0, 0, single=True)
    if not number and (roi.z_position > 0 or roi.t_position > 0):
        t, z = roi.t_position, roi.z_position
        if times == 1 or depths == 1:  # ImageJ takes the one axis of a plain stack for z
            along = max(t, z)
            t, z = (1, along) if times == 1 else (along, 1)
        if not (0 < t <= times and 0 < z <= depths):
            raise ValueError(f"its position t={t}, z={z} (from 1) is not one of {times} frames and {depths} planes")
        return frame_name(t - 1, z - 1, single=False)
    match = re.fullmatch(r"(\d{4,})-\d{4,}-\d{4,}(-\d+)?", name)
    number = number or roi.position or (int(match[1]) if match else 0)
    if number <= 0:
        raise ValueError("it has no position in the stack. Give it one (ROI Manager, Properties) and save it again")
    t, z = divmod((number - 1) // channels, depths)
    if t >= times:
        raise ValueError(f"its position {number} is past the {times * channels * depths} slices of the image")
    return frame_name(t, z, single=False)


@dataclass(frozen=True)
class _Own:
    """What this program wrote into a region's properties."""

    label_class: str = ""
    id: int = 0
    score: float | None = None
    track: int | None = None
    area: bool = False


def _properties(roi: ImagejRoi) -> _Own:
    pairs = (line.partition(":") for line in roi.props.splitlines())
    found = {key.strip().removeprefix(_PREFIX): value.strip() for key, _, value in pairs if key.startswith(_PREFIX)}
    try:
        return _Own(
            found.get("class", ""),
            int(found.get("id", 0)),
            float(found["score"]) if "score" in found else None,
            int(found["track"]) if "track" in found else None,
            "area" in found,
        )
    except ValueError as error:
        raise ValueError(f"its properties hold a number that is none ({error})") from None


def _meaning(classes: tuple[LabelClass, ...], name: str, roi: ImagejRoi, own: _Own) -> tuple[str, int]:
    """Class ("" when nothing says it) and id (0 for none) of a region. Our properties hold while it keeps its name."""
    if own.label_class and name.startswith(f"{own.label_class}-"):
        return own.label_class, max(own.id, 0)
    names = sorted((entry.name for entry in classes), key=len, reverse=True)
    for label_class in names:
        match = re.fullmatch(rf"{re.escape(label_class)}(?:[-_ ](\d+)(?:-.*)?)?", name)
        if match is not None:
            return label_class, int(match[1] or 0)
    if roi.group > 0:
        return (classes[roi.group - 1].name if roi.group <= len(classes) else f"group {roi.group}"), 0
    color = (roi.hexcolor(roi.stroke_color) or roi.hexcolor(roi.fill_color) or "").upper()
    return next((entry.name for entry in classes if entry.color.upper() == color), ""), 0


# ---- export ----------------------------------------------------------------------------------------------------------


def export_roi(project: Project, dest: Path, *, source: str = "labels", split: str | None = None) -> ExportReport:
    """Write the regions of each image as `dest/<image without its ending>.zip`, which ImageJ's ROI Manager opens.

    Each object is a region named `<class>-<id>`, with its class as colour and group, and in stacks the position of its
    frame. Where two images differ only in their ending, the files carry it.

    Parameters
    ----------
    source : str
        "labels", or "predictions:MODEL" (without the predictions that a person rejected).
    split : str, optional
        Only the images of this root.

    Raises
    ------
    MiaError
        When there is nothing to export or nowhere to write it; what goes wrong with one image is in the report.
    """
    dest = checked_destination(project, dest)
    report, read = ExportReport(), frame_reader(project, source)
    found = exported_frames(project, source, split)
    stems = [_stem(key) for key in found]
    for key, frames in found.items():
        stem = _stem(exported_name(key, split))
        name = stem if stems.count(_stem(key)) == 1 else exported_name(key, split)
        try:
            path = dest / f"{name}.zip"
            count = _export_one(project, path, key, frames, read)
        except MiaError as error:
            report.problems.append(f"{key}: {error}")
            continue
        report.files.append(str(path))
        report.objects += count
    return report


def _stem(key: str) -> str:
    path = PurePosixPath(key)
    return path.with_suffix("").as_posix() if path.suffix.lower() in IMAGE_SUFFIXES else key


def _export_one(project: Project, path: Path, key: str, frames: list[str], read: FrameReader) -> int:
    sizes = (1, 1, 1, 0, 0)
    if frames != ["image"]:
        with open_ref(project, project.image(key)) as image:
            info = image.info
        sizes = (info.sizes[0], 1 if info.rgb else info.sizes[1], *info.sizes[2:])
    regions: dict[str, bytes] = {}
    count = 0
    for frame in frames:
        labels = read(key, frame)
        if labels is None:
            continue
        count += len(labels.objects)
        for roi in _rois(project, labels):
            _place(roi, frame, sizes)
            name = re.sub(r"[/\\:\x00-\x1f]", "_", roi.name) + ("" if frame == "image" else f"-{frame}")
            regions[name] = roi.tobytes()
    try:
        with atomic_writer(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in regions.items():
                archive.writestr(zipfile.ZipInfo(f"{name}.roi", (1980, 1, 1, 0, 0, 0)), data)
    except OSError as error:
        raise MiaError(f"{path} cannot be written: {error.strerror}. Free space or rights and try again.") from None
    return count


def _rois(project: Project, labels: FrameLabels) -> Iterator[ImagejRoi]:
    """The regions of a frame: annotated areas, then objects."""
    colors = class_colors(project)
    groups = {entry.name: number for number, entry in enumerate(project.classes, 1)}
    for number, area in enumerate(labels.areas, 1):
        roi = roi_of(area)
        roi.name, roi.props = f"{AREA_CLASS}-{number}", _lines({"area": str(number)})
        yield roi
    for item in labels.objects.values():
        roi = roi_of(item.geometry)
        roi.name = f"{item.label_class}-{item.id}"
        values = {"class": item.label_class, "id": item.id, "score": item.score, "track": item.track}
        roi.props = _lines({key: str(value) for key, value in values.items() if value is not None})
        roi.group = min(groups.get(item.label_class, 0), 255)
        if item.label_class in colors:
            roi.stroke_color = bytes([255, *rgb(colors[item.label_class])])
        yield roi


def _lines(values: dict[str, str]) -> str:
    return "".join(f"{_PREFIX}{key}: {value}\n" for key, value in values.items())


def _place(roi: ImagejRoi, frame: str, sizes: Sizes) -> None:
    """Set the position in the stack as ImageJ does: one number in a plain stack, t and z in a hyperstack."""
    times, channels, depths = sizes[:3]
    if times * depths == 1:
        return
    t, z = parse_frame(frame)
    if not (t < times and z < depths):
        raise MiaError(f"the labels of {frame} do not fit the image of {times} frames and {depths} z planes.")
    if sum(size > 1 for size in (times, channels, depths)) > 1:
        roi.t_position, roi.z_position = t + 1, z + 1
    else:
        roi.position = max(t, z) + 1


import_ = import_roi
export = export_roi
