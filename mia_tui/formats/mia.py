"""The label folders of the original MIA, in and out, exact to the pixel (files: `mia_file`, names: `mia_places`)."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.errors import MiaError
from mia_tui.formats.mia_file import (
    CONTOURS,
    IMAGE,
    MAX_CLASS,
    POINTS,
    Contour,
    Dot,
    MiaLabels,
    contours_of,
    is_too_small,
    painting_order,
    pixels_of,
    read_mia,
    write_mia,
)
from mia_tui.formats.mia_places import FOLDERS, Found, find_labels, pages_of, slots_of
from mia_tui.formats.report import (
    ExportReport,
    ImportReport,
    checked_destination,
    exported_frames,
    exported_name,
    numbered_classes,
    shown,
)
from mia_tui.imaging.image import ImageInfo, open_ref
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import area_mask, class_image, fill, shapes_from_labels
from mia_tui.labeling.store import read_frame
from mia_tui.project import Project

KINDS = {"segmentation": CONTOURS, "detection": POINTS, "classification": IMAGE}
BACKGROUND = "background"
"""The class of an image that the original numbers 0. In the other tasks 0 marks annotated regions instead."""

Size = tuple[int, int]

# ---- import ----------------------------------------------------------------------------------------------------------


def import_mia(project: Project, source: Path, *, split: str = "train", replace: bool = False) -> ImportReport:
    """Import the label folders of the original MIA as labels: those of the project's task.

    The number of a class is its place in the project; missing ones are added. Outlines are those of the pixels that the
    original paints, in its painting order, so that `raster.class_image` gives its class mask. Regions of class 0
    become annotated areas (with the pixels of all objects, which count as annotated there); object numbers become
    tracks. Points lie in the middle of their pixel. A label for a whole stack goes onto every frame, unless frames
    have labels of their own.

    Parameters
    ----------
    source : Path
        The folder of the images, a folder laid out like it, or one label folder.
    split : str
        The images to import for: "train" or "predict".
    replace : bool
        Replace the labels of frames that have some (as one undo step); else those frames are left alone.

    Returns
    -------
    ImportReport
        With every unpaired image and file, and every file that could not be imported.

    Raises
    ------
    MiaError
        When no label folder fits the task, or no file in it an image.
    """
    labels = find_labels(project, source, split)
    report = ImportReport(project, unpaired_files=labels.unpaired_files, problems=labels.problems)
    if not labels.found and not labels.problems:
        raise MiaError(
            f"none of the {len(labels.unpaired_files)} files under {source} has the name of an image of "
            f"{project.roots[split]}. MIA's labels go by the images' folder and name without its ending."
        )
    served = {found.slot.ref.key for found in labels.found}
    report.unpaired_images = [ref.key for ref in project.images(split) if ref.key not in served]
    for name, count in labels.others.items():
        task = next(task for task, folder in FOLDERS.items() if folder == name)
        report.notes.append(f"{count} files in {name} were not imported: a {task} project takes them")
    for key, group in groupby(labels.found, key=lambda found: found.slot.ref.key):
        found = list(group)
        try:
            info = _info(report, key, found)
        except MiaError as error:
            report.problems.append(str(error))
            continue
        for each in found:
            for frame, path in _chosen(report, each, pages_of(each.slot, info)):
                _import_one(report, key, frame, path, info.sizes[3:], replace)
    return report.finish(replace)


def _info(report: ImportReport, key: str, found: list[Found]) -> ImageInfo:
    """What is known of an image. Where its labels say that its colours are the pages of a stack, its axes are set so.

    Some programs write a stack of three or four grey pages as one colour picture, plane after plane.
    """
    project = report.project
    with open_ref(project, project.image(key)) as image:
        info = image.info
    pages = {page for each in found for page in each.by_page} | {n - 1 for each in found for n in each.collective}
    colours = info.shape[0] if info.axes == "SYX" and key not in project.axes else 0
    if not 0 < max(pages, default=0) < colours:
        return info
    if any(labelled == key for labelled, _ in project.frames_under("labels")):
        raise MiaError(
            f"MIA's labels of {key} are for {max(pages) + 1} pages, but it is read as a colour picture and has labels "
            f'as such. Remove those and set "{key}" = "TYX" under [axes] in project.toml.'
        )
    report.project = dataclasses.replace(project, axes={**project.axes, key: "TYX"})
    report.project.save()
    report.notes.append(f"{key} looks like a colour picture, but has MIA's labels of a stack: its axes were set to TYX")
    with open_ref(report.project, report.project.image(key)) as image:
        return image.info


def _chosen(report: ImportReport, found: Found, frames: list[str]) -> Iterator[tuple[str, Path]]:
    """The file to import for each frame; everything else that was found is said."""
    name, pages = found.slot.name, len(frames)
    if pages == 1 and found.single is not None:
        found.by_page.setdefault(0, []).insert(0, found.single)
    elif found.single is not None:
        report.problems.append(f"{found.single} is for an image of one page, but {name} has {pages}.")
    for count, path in found.collective.items():
        if count != pages:
            report.problems.append(f"{path} is for a stack of {count} pages, but {name} has {pages}.")
        elif found.by_page:
            report.notes.append(f"{path} was left out: frames of {name} have labels of their own")
        else:
            report.notes.append(f"{path} is the label of all {pages} pages of {name}: it went onto every frame")
            yield from ((frame, path) for frame in dict.fromkeys(frames))
    by_frame: dict[str, list[Path]] = {}
    for page, paths in sorted(found.by_page.items()):
        if page < pages:
            by_frame.setdefault(frames[page], []).extend(paths)
        else:
            report.problems.append(f"{paths[0]} is for page {page}, but {name} has pages 0 to {pages - 1}.")
    for frame, paths in by_frame.items():
        if len(paths) > 1:
            names = " and ".join(path.name for path in paths)
            report.problems.append(f"{paths[0]}: several files are for {name} {frame}: {names}. Leave one of them.")
        else:
            yield frame, paths[0]


def _import_one(report: ImportReport, key: str, frame: str, path: Path, size: Size, replace: bool) -> None:
    try:
        labels = _frame_labels(report, path, size)
        report.put(key, frame, labels, replace=replace, text=f"import {path.name}")
    except MiaError as error:
        report.problems.append(str(error))


def _frame_labels(report: ImportReport, path: Path, size: Size) -> FrameLabels:
    found = read_mia(path)
    task = report.project.task
    if found.kind != KINDS[task]:
        holds = next(name for name, kind in KINDS.items() if kind == found.kind)
        raise MiaError(f"{path} holds labels for {holds}, not for {task}. Move it into {FOLDERS[holds]}.")
    report.add_classes(_new_classes(report.project, found))
    labels = FrameLabels.of(*size, _objects(report, path, found, size))
    return dataclasses.replace(labels, areas=_areas(path, found, size))


def _class_names(project: Project) -> list[str]:
    """Names of the classes numbered 1, 2, ... in files of the original."""
    names = [entry.name for entry in project.classes]
    return [name for name in names if name != BACKGROUND] if project.task == "classification" else names


def _new_classes(project: Project, found: MiaLabels) -> list[str]:
    if found.kind == IMAGE and found.image_class == 0:
        return [BACKGROUND]
    missing = found.highest_class - len(_class_names(project))
    return numbered_classes(project, len(project.classes) + missing) if missing > 0 else []


def _objects(report: ImportReport, path: Path, found: MiaLabels, size: Size) -> list[LabelObject]:
    names = _class_names(report.project)
    if found.kind == IMAGE:
        name = names[found.image_class - 1] if found.image_class else BACKGROUND
        return [LabelObject(1, shapely.box(0, 0, size[1], size[0]), name, "imported")]
    shapes: list[tuple[int, int, BaseGeometry]] = []
    left_out = 0
    for dot in found.dots:
        inside = 0 <= dot.x < size[1] and 0 <= dot.y < size[0] and dot.label_class > 0
        left_out += not inside
        if inside:
            shapes.append((dot.label_class, dot.number, shapely.Point(dot.x + 0.5, dot.y + 0.5)))
    for item in painting_order(found.contours) if found.kind == CONTOURS else ():
        geometry = _outline(item, size) if item.label_class else None
        left_out += item.label_class > 0 and geometry is None
        if geometry is not None:
            shapes.append((item.label_class, item.number, geometry))
    if left_out:
        report.problems.append(f"{path}: {left_out} objects lie outside the image or have no class and were left out")
    return [
        LabelObject(number, geometry, names[label_class - 1], "imported", track=track if track >= 0 else None)
        for number, (label_class, track, geometry) in enumerate(shapes, 1)
    ]


def _outline(item: Contour, size: Size) -> BaseGeometry | None:
    """The outline of a contour's pixels; None when none of them is in the image."""
    rows, columns, mask = pixels_of(item, size)
    shapes = shapes_from_labels(mask.astype(np.uint8)) if mask.size else {}
    origin = np.array([columns.start, rows.start])
    return shapely.transform(shapes[1], lambda xy: xy + origin) if shapes else None


def _areas(path: Path, found: MiaLabels, size: Size) -> tuple[BaseGeometry, ...]:
    """What counts as annotated: the regions of class 0 and the pixels of all objects; () without such regions."""
    if not any(item.label_class == 0 for item in found.contours):
        return ()
    annotated = np.zeros(size, np.bool_)
    for item in found.contours:
        rows, columns, mask = pixels_of(item, size)
        annotated[rows, columns] |= mask
    if not annotated.any():
        raise MiaError(f"{path} has annotated regions, but none inside the image of {size[0]} x {size[1]} pixels.")
    return tuple(shapes_from_labels(annotated.astype(np.uint8)).values())


# ---- export ----------------------------------------------------------------------------------------------------------


def export_mia(project: Project, dest: Path, *, source: str = "labels", split: str | None = None) -> ExportReport:
    """Write label folders as the original MIA keeps them: `dest/<folder of the image>/Segmentation_labels/<stem>.npz`.

    The folder follows the project's task. Put it beside the images and the original finds it. Every object is a contour
    of its own; the original joins touching objects of one class when it next redraws them. Where an object lies over
    one of a higher class, that one is cut, because the original always shows the higher class. What it would drop as
    too small is left out and said.

    Parameters
    ----------
    source : str
        "labels", or "predictions:MODEL" (without the predictions that a person rejected).
    split : str, optional
        Only the images of this root.

    Raises
    ------
    MiaError
        When there is nothing to export or nowhere to write it, and for more than 254 classes; what goes wrong with one
        image is in the report.
    """
    if len(_class_names(project)) > MAX_CLASS:
        raise MiaError(
            f"MIA knows {MAX_CLASS} classes, and project {project.name} has {len(project.classes)}. Export as geojson."
        )
    dest = checked_destination(project, dest)
    report = ExportReport()
    sharing = _sharing(project)
    for key, frames in exported_frames(project, source, split).items():
        try:
            _export_one(report, project, dest, key, frames, source, split, sharing)
        except MiaError as error:
            report.problems.append(f"{key}: {error}")
    if project.task == "segmentation" and report.files:
        report.notes.append("MIA joins touching objects of one class when it next changes these labels")
    return report


def _sharing(project: Project) -> dict[tuple[str, str, str], list[str]]:
    """The images of each root by folder and stem."""
    sharing: dict[tuple[str, str, str], list[str]] = {}
    for ref in project.images():
        for slot in slots_of(ref):
            sharing.setdefault((ref.split, slot.folder, slot.stem), []).append(slot.name)
    return sharing


def _export_one(
    report: ExportReport,
    project: Project,
    dest: Path,
    key: str,
    frames: list[str],
    source: str,
    split: str | None,
    sharing: dict[tuple[str, str, str], list[str]],
) -> None:
    places = _places(project, dest, key, split, sharing)
    made: dict[Path, tuple[MiaLabels, int]] = {}
    notes: Counter[str] = Counter()
    for frame in frames:
        labels = read_frame(project.source_folder(source) / key / f"{frame}.geojson")
        if labels is None:
            continue
        if frame not in places or places[frame][1] != (labels.height, labels.width):
            raise MiaError(f"the labels of {frame} ({labels.height} x {labels.width}) do not fit the image.")
        written = _mia_labels(project, shown(labels, source), notes)
        if written is not None:
            made[places[frame][0]] = written
    for path, (mia, objects) in made.items():
        write_mia(path, mia)
        report.files.append(str(path))
        report.objects += objects
    report.notes += [f"{key}: {count} {text}" for text, count in notes.items()]


def _places(
    project: Project, dest: Path, key: str, split: str | None, sharing: dict[tuple[str, str, str], list[str]]
) -> dict[str, tuple[Path, Size]]:
    """Frame -> (file to write, size of the frame)."""
    ref = project.image(key)
    with open_ref(project, ref) as image:
        info = image.info
    places: dict[str, tuple[Path, Size]] = {}
    name = PurePosixPath(exported_name(key, split))
    folder = dest / (name if ref.path.is_dir() else name.parent) / FOLDERS[project.task]
    for slot in slots_of(ref):
        others = sharing.get((ref.split, slot.folder, slot.stem), [])
        if len(others) > 1:
            raise MiaError(f"MIA's label files go by the stem, which {' and '.join(others)} share. Rename one of them.")
        frames = pages_of(slot, info)
        for page, frame in enumerate(frames):
            path = f"{slot.stem}/{slot.stem}_{page:03d}.npz" if len(frames) > 1 else f"{slot.stem}.npz"
            places.setdefault(frame, (folder / path, info.sizes[3:]))
    return places


def _mia_labels(project: Project, labels: FrameLabels, notes: Counter[str]) -> tuple[MiaLabels, int] | None:
    """A frame as the original keeps it, and its number of objects; None when there is nothing it could keep."""
    areas = _area_contours(labels)
    if project.task == "classification":
        number = _image_class(project, labels)
        if number is None:
            notes["frames without the class of the image were left out"] += 1
            return None
        return MiaLabels(IMAGE, areas, image_class=number), 1
    numbers = {name: number for number, name in enumerate(_class_names(project), 1)}
    seen = class_image(labels.objects.values(), (labels.height, labels.width), project.classes)
    if project.task == "detection":
        dots = _dots(labels, numbers, notes)
        return MiaLabels(POINTS, areas, dots), len(dots)
    pieces = [_contours(item, numbers, seen, notes) for item in labels.objects.values()]
    reaching = _reaching(labels)
    if reaching:
        notes["objects reach out of the annotated areas; MIA takes all their pixels as annotated"] += reaching
    contours = [piece for listed in pieces for piece in listed]
    return MiaLabels(CONTOURS, (*contours, *areas)), sum(map(bool, pieces))


def _contours(
    item: LabelObject, numbers: dict[str, int], seen: NDArray[np.uint8], notes: Counter[str]
) -> list[Contour]:
    """The contours of one object: one for each of its pieces."""
    if item.geometry.geom_type == "Point":
        notes["points were left out: MIA's segmentation has outlines only"] += 1
        return []
    number = numbers[item.label_class]
    rows, columns, mask = fill(item.geometry, (seen.shape[0], seen.shape[1]))
    kept = mask & (seen[rows, columns] >= number)
    if (kept != mask).any():
        notes["objects were cut where one of a lower class lies over them (MIA shows the higher class)"] += 1
    found = []
    for outer, holes in contours_of(kept, (rows.start, columns.start)):
        if is_too_small(outer):
            notes["pieces of objects were left out, which MIA would drop as too small"] += 1
            continue
        large = tuple(hole for hole in holes if not is_too_small(hole))
        if len(large) < len(holes):
            notes["holes were filled, which MIA would fill as too small"] += len(holes) - len(large)
        found.append(Contour(number, -1 if item.track is None else item.track, outer, large))
    if not found and not kept.any():
        notes["objects show no pixel and were left out"] += 1
    return found


def _area_contours(labels: FrameLabels) -> tuple[Contour, ...]:
    """The annotated areas as regions of class 0. What the original would drop as too small is left out."""
    mask = area_mask(labels)
    if mask is None:
        return ()
    found = [
        Contour(0, -1, outer, tuple(hole for hole in holes if not is_too_small(hole)))
        for outer, holes in contours_of(mask, (0, 0))
        if not is_too_small(outer)
    ]
    if not found:
        raise MiaError("its annotated areas are too small for MIA, which would take everything as annotated.")
    return tuple(found)


def _reaching(labels: FrameLabels) -> int:
    mask = area_mask(labels)
    if mask is None:
        return 0
    places = [fill(item.geometry, (labels.height, labels.width)) for item in labels.objects.values()]
    return sum(bool((inside & ~mask[rows, columns]).any()) for rows, columns, inside in places)


def _dots(labels: FrameLabels, numbers: dict[str, int], notes: Counter[str]) -> tuple[Dot, ...]:
    """Points, and outlines by their centroids, on the pixel they lie in."""
    found = []
    for item in labels.objects.values():
        center = item.geometry.centroid
        if not (0 <= center.x <= labels.width and 0 <= center.y <= labels.height):
            notes["points outside the image were left out"] += 1
            continue
        x, y = min(int(center.x), labels.width - 1), min(int(center.y), labels.height - 1)
        found.append(Dot(numbers[item.label_class], -1 if item.track is None else item.track, x, y))
    return tuple(found)


def _image_class(project: Project, labels: FrameLabels) -> int | None:
    """The number of the class of the whole image: of the object whose outline is the frame's."""
    frame = shapely.box(0, 0, labels.width, labels.height)
    name = next((item.label_class for item in labels.objects.values() if item.geometry.equals(frame)), None)
    if name is None:
        return None
    names = [BACKGROUND, *_class_names(project)]
    if name not in names:
        raise MiaError(f"the project does not know the class {name!r}. Add it to project.toml.")
    return names.index(name)


import_ = import_mia
export = export_mia
