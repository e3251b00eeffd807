"""Writing the label folders of the original MIA, so that it paints exactly the pixels of the labels."""

from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

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
    write_mia,
)
from mia_tui.formats.mia_places import BACKGROUND, FOLDERS, class_names, pages_of, slots_of
from mia_tui.formats.report import (
    ExportReport,
    FrameReader,
    checked_destination,
    exported_frames,
    exported_name,
    frame_reader,
)
from mia_tui.imaging.image import open_ref
from mia_tui.labeling.image_class import image_class
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import area_mask, class_image, fill
from mia_tui.project import Project

Size = tuple[int, int]


def export_mia(project: Project, dest: Path, *, source: str = "labels", split: str | None = None) -> ExportReport:
    """Write label folders as the original MIA keeps them: `dest/<folder of the image>/Segmentation_labels/<stem>.npz`.

    The folder follows the project's task. Put it beside the images and the original finds it. Every object is a contour
    of its own; the original joins touching objects of one class when it next redraws them. Where an object lies over
    one of a higher class, that one is cut, because the original always shows the higher class. What it would drop as
    too small is left out and said. Objects have the numbers of their tracks where the sequence was tracked.

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
    if len(class_names(project)) > MAX_CLASS:
        raise MiaError(
            f"MIA knows {MAX_CLASS} classes, and project {project.name} has {len(project.classes)}. Export as geojson."
        )
    dest = checked_destination(project, dest)
    report = ExportReport()
    sharing, read = _sharing(project), frame_reader(project, source)
    for key, frames in exported_frames(project, source, split).items():
        try:
            _export_one(report, project, dest, key, frames, read, split, sharing)
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
    read: FrameReader,
    split: str | None,
    sharing: dict[tuple[str, str, str], list[str]],
) -> None:
    places = _places(project, dest, key, split, sharing)
    made: dict[Path, tuple[MiaLabels, int]] = {}
    notes: Counter[str] = Counter()
    for frame in frames:
        labels = read(key, frame)
        if labels is None:
            continue
        if frame not in places or places[frame][1] != (labels.height, labels.width):
            raise MiaError(f"the labels of {frame} ({labels.height} x {labels.width}) do not fit the image.")
        written = _mia_labels(project, labels, notes)
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
    numbers = {name: number for number, name in enumerate(class_names(project), 1)}
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
    """The number of the class of the whole image."""
    name = image_class(labels)
    if name is None:
        return None
    names = [BACKGROUND, *class_names(project)]
    if name not in names:
        raise MiaError(f"the project does not know the class {name!r}. Add it to project.toml.")
    return names.index(name)
