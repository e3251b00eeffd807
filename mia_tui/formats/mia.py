"""The label folders of the original MIA, in and out, exact to the pixel (files: `mia_file`, names: `mia_places`)."""

import dataclasses
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from mia_tui.errors import MiaError
from mia_tui.formats.mia_export import export_mia
from mia_tui.formats.mia_file import CONTOURS, IMAGE, POINTS, Contour, MiaLabels, painting_order, pixels_of, read_mia
from mia_tui.formats.mia_places import BACKGROUND, FOLDERS, Found, class_names, find_labels, pages_of
from mia_tui.formats.report import ImportReport, numbered_classes
from mia_tui.formats.tracked import adopt_numbers
from mia_tui.imaging.image import ImageInfo, open_ref
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import shapes_from_labels
from mia_tui.project import Project

KINDS = {"segmentation": CONTOURS, "detection": POINTS, "classification": IMAGE}
Size = tuple[int, int]


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
    tracked = False
    for key, group in groupby(labels.found, key=lambda found: found.slot.ref.key):
        found = list(group)
        try:
            info = _info(report, key, found)
        except MiaError as error:
            report.problems.append(str(error))
            continue
        for each in found:
            for frame, path in _chosen(report, each, pages_of(each.slot, info)):
                tracked |= _import_one(report, key, frame, path, info.sizes[3:], replace)
    if tracked:
        try:
            adopt_numbers(report, replace)
        except MiaError as error:
            report.problems.append(f"no tracks were made of the object numbers: {error}")
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


def _import_one(report: ImportReport, key: str, frame: str, path: Path, size: Size, replace: bool) -> bool:
    """Import one file; whether its objects have numbers."""
    try:
        labels = _frame_labels(report, path, size)
        report.put(key, frame, labels, replace=replace, text=f"import {path.name}")
    except MiaError as error:
        report.problems.append(str(error))
        return False
    return any(item.track is not None for item in labels.objects.values())


def _frame_labels(report: ImportReport, path: Path, size: Size) -> FrameLabels:
    found = read_mia(path)
    task = report.project.task
    if found.kind != KINDS[task]:
        holds = next(name for name, kind in KINDS.items() if kind == found.kind)
        raise MiaError(f"{path} holds labels for {holds}, not for {task}. Move it into {FOLDERS[holds]}.")
    report.add_classes(_new_classes(report.project, found))
    labels = FrameLabels.of(*size, _objects(report, path, found, size))
    return dataclasses.replace(labels, areas=_areas(path, found, size))


def _new_classes(project: Project, found: MiaLabels) -> list[str]:
    if found.kind == IMAGE and found.image_class == 0:
        return [BACKGROUND]
    missing = found.highest_class - len(class_names(project))
    return numbered_classes(project, len(project.classes) + missing) if missing > 0 else []


def _objects(report: ImportReport, path: Path, found: MiaLabels, size: Size) -> list[LabelObject]:
    names = class_names(report.project)
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


import_ = import_mia
export = export_mia
