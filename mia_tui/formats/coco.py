"""COCO: one JSON file for all images, with polygons, run-length masks, boxes and points."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.errors import MiaError
from mia_tui.formats.coco_rle import counts_of, mask_of
from mia_tui.formats.gather import Found, check_inside
from mia_tui.formats.pairing import ImageNames
from mia_tui.formats.report import (
    ExportReport,
    ImportReport,
    checked_file,
    exported_frames,
    exported_name,
    frame_reader,
)
from mia_tui.imaging.image import open_ref
from mia_tui.labeling.geojson import geometry_from_json, geometry_to_json
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import fill, shapes_from_labels
from mia_tui.project import ImageRef, Project
from mia_tui.storage import atomic_writer

FILE_NAME = "annotations.json"
MEMBER = "mia_tui"
"""Member of an image's entry for what COCO has no place for: the frame of a stack, the annotated areas."""

Entry = dict[str, Any]
Size = tuple[int, int]
_BAD = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)

# ---- import ----------------------------------------------------------------------------------------------------------


def import_coco(project: Project, source: Path, *, split: str = "train", replace: bool = False) -> ImportReport:
    """Import COCO annotations as labels.

    Images are found by `file_name` (`pairing.ImageNames`); one that fits several images is a problem, not a guess. An
    annotation is its polygons (several are one object), its run-length mask, its only keypoint or, without any of
    these, its box. In a detection project each becomes a point, the centroid. Crowd regions are one object each.

    Parameters
    ----------
    source : Path
        The JSON file, or a folder with one in it.
    split : str
        The images to import for: "train" or "predict".
    replace : bool
        Replace the labels of frames that have some (as one undo step); else those frames are left alone.

    Returns
    -------
    ImportReport
        With every image and entry without a partner, and every annotation that could not be imported.

    Raises
    ------
    MiaError
        When the file cannot be read, is no COCO file, or none of its images is one of the project's.
    """
    path = _the_file(source.expanduser().resolve())
    document = _read(path)
    report = ImportReport(project)
    if split not in project.roots:
        raise MiaError(f"project {project.name} has no {split!r} images: choose one of {', '.join(project.roots)}")
    refs = project.images(split)
    entries = _matched(report, path, document, refs)
    categories = _categories(document, path)
    by_image: dict[Any, list[Entry]] = {}
    for annotation in document["annotations"]:
        by_image.setdefault(_hashable(annotation.get("image_id")), []).append(annotation)
    unknown = sum(len(items) for key, items in by_image.items() if key not in entries and key not in _ids(document))
    if unknown:
        report.problems.append(f"{path}: {unknown} annotations belong to images that the file does not list")
    for key, (ref, entry) in entries.items():
        try:
            _import_one(report, path, ref, entry, by_image.get(key, []), categories, replace)
        except MiaError as error:
            report.problems.append(str(error))
    return report.finish(replace)


def _the_file(source: Path) -> Path:
    if not source.exists():
        raise MiaError(f"{source} does not exist. Give the JSON file to import.")
    if source.is_file():
        return source
    files = sorted(source.glob("*.json"))
    if len(files) != 1:
        raise MiaError(f"{source} holds {len(files)} .json files. Give the one to import.")
    return files[0]


def _read(path: Path) -> Entry:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise MiaError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise MiaError(f"{path} is no JSON ({error}). Export it again from where it came.") from None
    if isinstance(document, list):
        raise MiaError(f"{path} is a list of results, which does not name the images. Give the file with the images.")
    lists = [document.get(name) for name in ("images", "annotations")] if isinstance(document, dict) else [None]
    if not all(isinstance(each, list) and all(isinstance(entry, dict) for entry in each) for each in lists):
        raise MiaError(f'{path} is no COCO file: it needs the lists "images" and "annotations".')
    found: Entry = document
    return found


def _hashable(value: Any) -> Any:
    return value if isinstance(value, int | str) else repr(value)


def _ids(document: Entry) -> set[Any]:
    return {_hashable(entry.get("id")) for entry in document["images"]}


def _matched(
    report: ImportReport, path: Path, document: Entry, refs: list[ImageRef]
) -> dict[Any, tuple[ImageRef, Entry]]:
    """Id of an entry -> its image and itself, for all entries that fit one image, each for a frame of its own."""
    names = ImageNames(refs)
    found: dict[Any, tuple[ImageRef, Entry]] = {}
    by_frame: dict[tuple[str, str], list[Any]] = {}
    double = {key for key, count in Counter(_hashable(e.get("id")) for e in document["images"]).items() if count > 1}
    for entry in document["images"]:
        name, key = str(entry.get("file_name", "")), _hashable(entry.get("id"))
        fitting = names.of(name)
        if key in double:
            report.problems.append(f"{path}: the id {key} of {name} is given to several images")
        elif len(fitting) > 1:
            keys = " and ".join(ref.key for ref in fitting)
            report.problems.append(f"{path}: {name} fits the images {keys}. Give it with its folder.")
        elif not fitting:
            report.unpaired_files.append(name)
        else:
            found[key] = (fitting[0], entry)
            by_frame.setdefault((fitting[0].key, _frame_of(entry)), []).append(key)
    for (image, _), same in by_frame.items():
        if len(same) > 1:
            listed = " and ".join(str(found.pop(number)[1]["file_name"]) for number in same)
            report.problems.append(f"{path}: {listed} all fit the image {image}. Leave one of them.")
    if not found and not report.problems:
        example = f" (such as {report.unpaired_files[0]})" if report.unpaired_files else ""
        raise MiaError(f"none of the {len(document['images'])} images in {path}{example} is one of the project's.")
    served = {ref.key for ref, _ in found.values()}
    report.unpaired_images = [ref.key for ref in refs if ref.key not in served]
    return found


def _frame_of(entry: Entry) -> str:
    """The frame that an entry says it is ("" when it does not)."""
    own = entry.get(MEMBER)
    return str(own.get("frame", "")) if isinstance(own, dict) else ""


def _categories(document: Entry, path: Path) -> dict[Any, str]:
    listed = document.get("categories", [])
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise MiaError(f'{path} is no COCO file: its "categories" are no list.')
    return {_hashable(entry.get("id")): str(entry.get("name", "")).strip() for entry in listed}


def _import_one(
    report: ImportReport,
    path: Path,
    ref: ImageRef,
    entry: Entry,
    annotations: list[Entry],
    categories: dict[Any, str],
    replace: bool,
) -> None:
    with open_ref(report.project, ref) as image:
        frames, size = image.frames, image.info.sizes[3:]
    given = (entry.get("height", size[0]), entry.get("width", size[1]))
    if given != size:
        raise MiaError(
            f"{path}: {entry['file_name']} is {given[0]} x {given[1]}, but its image {ref.key} is {size[0]} x "
            f"{size[1]} pixels (y, x)."
        )
    frame = _frame_of(entry) or (frames[0] if len(frames) == 1 else "")
    if frame not in frames:
        raise MiaError(f"{path}: {entry['file_name']} does not say on which of the {len(frames)} frames it lies.")
    points = report.project.task == "detection"
    found, crowds = Found(), 0
    for annotation in annotations:
        try:
            item = _object(annotation, categories, size, points=points)
            crowds += bool(annotation.get("iscrowd"))
        except _BAD as error:
            number = annotation.get("id", "without an id")
            report.problems.append(f"{path}: annotation {number} of {entry['file_name']} was left out: {error}")
            continue
        found.objects.append(item)
    found.areas = _areas(entry, path)
    if crowds:
        report.notes.append(f"{ref.key}: {crowds} crowd regions were imported as one object each")
    report.add_classes(sorted({item.label_class for item in found.objects} - {""}))
    labels = found.labels(size, report.project.classes[0].name)
    report.put(ref.key, frame, labels, replace=replace, text=f"import {path.name}")


def _areas(entry: Entry, path: Path) -> list[BaseGeometry]:
    own = entry.get(MEMBER)
    listed = own.get("areas", []) if isinstance(own, dict) else []
    try:
        areas = [geometry_from_json(area) for area in listed]
        if any(area.geom_type == "Point" for area in areas):
            raise ValueError("an area that is a point")
    except _BAD as error:
        raise MiaError(f"{path}: the annotated areas of {entry['file_name']} cannot be read: {error}") from None
    return areas


def _object(annotation: Entry, categories: dict[Any, str], size: Size, *, points: bool) -> LabelObject:
    """The object of an annotation.

    Raises
    ------
    ValueError, TypeError, KeyError, IndexError, AttributeError
        When the annotation is damaged.
    """
    geometry = _geometry(annotation, size)
    check_inside(geometry, size)
    category = _hashable(annotation.get("category_id"))
    if category not in categories and annotation.get("category_id") is not None:
        raise ValueError(f"its category {category} is not in the file")
    score, track, number = (annotation.get(name) for name in ("score", "track_id", "object_id"))
    return LabelObject(
        number if isinstance(number, int) and number > 0 else 0,
        geometry.centroid if points else geometry,
        categories.get(category, ""),
        "imported",
        score=None if score is None else float(_numbers([score])[0]),
        track=track if isinstance(track, int) else None,
    )


def _geometry(annotation: Entry, size: Size) -> BaseGeometry:
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        if tuple(segmentation.get("size", size)) != size:
            raise ValueError(f"its mask is of {segmentation['size']}, not of {list(size)} pixels")
        return _outline(mask_of(segmentation.get("counts"), size))
    if segmentation:
        return _union([_polygon(part) for part in segmentation])
    keypoints = _keypoints(annotation)
    if keypoints:
        return shapely.Point(keypoints[0])
    box = _numbers(annotation.get("bbox") or [])
    if len(box) != 4 or box[2] <= 0 or box[3] <= 0:
        raise ValueError("it has neither an outline nor a box with an area")
    left, top, width, height = map(float, box)
    return shapely.box(left, top, left + width, top + height)


def _outline(mask: NDArray[np.bool_]) -> BaseGeometry:
    """The outline of the pixels of a mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("its mask is empty")
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    origin = np.array([columns[0], rows[0]])
    return shapely.transform(shapes_from_labels(part.astype(np.uint8))[1], lambda xy: xy + origin)


def _keypoints(annotation: Entry) -> list[list[float]]:
    """The (x, y) of the keypoints that are labelled."""
    found = _numbers(annotation.get("keypoints") or []).reshape(-1, 3)
    seen: list[list[float]] = found[found[:, 2] > 0, :2].tolist()
    if len(seen) > 1:
        raise ValueError(f"it has {len(seen)} keypoints and no outline")
    return seen


def _polygon(part: Any) -> shapely.Polygon:
    points = _numbers(part)
    if points.size % 2 or points.size < 6:
        raise ValueError(f"a polygon of {points.size} numbers")
    return shapely.Polygon(points.reshape(-1, 2))


def _numbers(values: Any) -> np.ndarray:
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise ValueError("coordinates that are no list of finite numbers")
    return found


def _union(parts: list[shapely.Polygon]) -> BaseGeometry:
    """Several polygons as one outline; where they overlap, they are joined."""
    if len(parts) == 1:
        return parts[0]
    together = shapely.MultiPolygon(parts)
    if together.is_valid:
        return together
    joined = shapely.union_all([shapely.make_valid(part) for part in parts])
    polygons = [part for part in shapely.get_parts(joined) if part.geom_type == "Polygon"]
    if not polygons:
        raise ValueError("its polygons have no area")
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)


# ---- export ----------------------------------------------------------------------------------------------------------


@dataclass
class _Document:
    images: list[Entry] = field(default_factory=list)
    annotations: list[Entry] = field(default_factory=list)


def export_coco(project: Project, dest: Path, *, source: str = "labels", split: str | None = None) -> ExportReport:
    """Write all labels as one COCO file, `dest/annotations.json` (or `dest` itself when it ends in .json).

    Categories are the classes, numbered from 1. Outlines are polygons; one with holes is an uncompressed run-length
    mask, because COCO's polygons have none. Points are single keypoints. In stacks every frame is an entry of its own,
    with the frame's name in its member `mia_tui`; annotated areas are there too.

    Parameters
    ----------
    source : str
        "labels", or "predictions:MODEL" (with scores; without the predictions that a person rejected).
    split : str, optional
        Only the images of this root.

    Raises
    ------
    MiaError
        When there is nothing to export or nowhere to write it; what goes wrong with one image is in the report.
    """
    path = checked_file(project, dest, FILE_NAME)
    report, read = ExportReport(), frame_reader(project, source)
    document = _Document()
    for key, frames in exported_frames(project, source, split).items():
        for frame in frames:
            try:
                labels = read(key, frame)
                if labels is not None:
                    _append(document, report, project, exported_name(key, split), frame, labels)
            except MiaError as error:
                report.problems.append(f"{key}: {error}")
    keypoints = any("keypoints" in annotation for annotation in document.annotations)
    categories = [_category(number, entry.name, keypoints) for number, entry in enumerate(project.classes, 1)]
    try:
        with atomic_writer(path) as stream:
            stream.write(json.dumps({**vars(document), "categories": categories}, allow_nan=False).encode())
    except OSError as error:
        raise MiaError(f"{path} cannot be written: {error.strerror}. Free space or rights and try again.") from None
    report.files.append(str(path))
    report.objects = len(document.annotations)
    return report


def _category(number: int, name: str, keypoints: bool) -> Entry:
    return {"id": number, "name": name, **({"keypoints": ["center"], "skeleton": []} if keypoints else {})}


def _append(
    document: _Document, report: ExportReport, project: Project, name: str, frame: str, labels: FrameLabels
) -> None:
    numbers = {entry.name: number for number, entry in enumerate(project.classes, 1)}
    unknown = {item.label_class for item in labels.objects.values()} - set(numbers)
    if unknown:
        raise MiaError(f"the project does not know the class {min(unknown)!r}. Add it to project.toml.")
    image = len(document.images) + 1
    own: Entry = {} if frame == "image" else {"frame": frame}
    if labels.areas:
        own["areas"] = [geometry_to_json(area) for area in labels.areas]
    entry = {"id": image, "file_name": name, "width": labels.width, "height": labels.height}
    document.images.append({**entry, **({MEMBER: own} if own else {})})
    size = (labels.height, labels.width)
    for item in labels.objects.values():
        shape = _shape(item.geometry, size)
        if shape is None:
            report.notes.append(
                f"{name} {frame}: object {item.id} has holes and no pixel in the image; it was left out"
            )
            continue
        optional = {"score": item.score, "track_id": item.track}
        document.annotations.append(
            {
                "id": len(document.annotations) + 1, "image_id": image, "category_id": numbers[item.label_class],
                "iscrowd": 0, "object_id": item.id, **shape,
                **{key: value for key, value in optional.items() if value is not None},
            }
        )  # fmt: skip


def _shape(geometry: BaseGeometry, size: Size) -> Entry | None:
    """Segmentation, box and area of an outline, or the keypoint of a point."""
    left, top, right, bottom = geometry.bounds
    box = [left, top, right - left, bottom - top]
    if geometry.geom_type == "Point":
        return {"segmentation": [], "keypoints": [left, top, 2], "num_keypoints": 1, "bbox": box, "area": 0}
    parts = shapely.get_parts(geometry)
    if not any(len(part.interiors) for part in parts):
        rings = [shapely.get_coordinates(part.exterior)[:-1].ravel().tolist() for part in parts]
        return {"segmentation": rings, "bbox": box, "area": geometry.area}
    rows, columns, inside = fill(geometry, size)
    if not inside.any():
        return None
    strip = np.zeros((size[0], inside.shape[1]), np.bool_)
    strip[rows] = inside
    counts = counts_of(strip, columns.start, size[1])
    return {"segmentation": {"size": list(size), "counts": counts}, "bbox": box, "area": int(inside.sum())}


import_ = import_coco
export = export_coco
