"""GeoJSON as QuPath reads and writes it: one FeatureCollection per image, outlines in full-resolution pixels."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import shapely
from shapely import Polygon

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
from mia_tui.imaging.image import open_ref
from mia_tui.labeling.geojson import (
    MEMBER,
    area_features,
    area_of,
    dump,
    feature_of,
    geometry_from_json,
    geometry_to_json,
    is_area,
    object_of,
)
from mia_tui.labeling.store import class_colors, read_frame
from mia_tui.project import Project, frame_name, parse_frame
from mia_tui.storage import atomic_writer

SUFFIXES = frozenset({".geojson", ".json"})
Feature = dict[str, Any]

# ---- import ----------------------------------------------------------------------------------------------------------


def import_geojson(project: Project, source: Path, *, split: str = "train", replace: bool = False) -> ImportReport:
    """Import outlines and points as labels.

    Takes a FeatureCollection, a bare list of features, one feature, a GeometryCollection or one geometry. A feature
    without a classification gets the first class; new classes are added to the project. In stacks the member `plane`
    of a geometry ({"t": .., "z": ..}, as QuPath writes it) says on which frame it lies; without one it is the first.

    Parameters
    ----------
    source : Path
        Folder of `.geojson` or `.json` files named like the images (see `pairing.pair`), or one file.
    split : str
        The images to import for: "train" or "predict".
    replace : bool
        Replace the labels of frames that have some (as one undo step); else those frames are left alone.

    Returns
    -------
    ImportReport
        With every unpaired image and file, and every file and feature that could not be imported.

    Raises
    ------
    MiaError
        When nothing can be paired.
    """
    pairs = pair(project, source, split, SUFFIXES, per_frame=True)
    report = ImportReport(
        project, unpaired_images=pairs.unpaired_images, unpaired_files=pairs.unpaired_files,
        problems=pairs.problems,
    )  # fmt: skip
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
        frames, (height, width) = image.frames, image.info.sizes[3:]
    if paired.frame and paired.frame not in frames:
        raise MiaError(f"{paired.path}: its image {paired.ref.key} has no frame {paired.frame}")
    found: dict[str, Found] = {}
    if paired.frame or len(frames) == 1:
        found[paired.frame or frames[0]] = Found()
    features = _features(paired.path, (height, width))
    for number, feature in enumerate(features, 1):
        try:
            frame = paired.frame or _frame(feature, frames)
            _take(feature, found.setdefault(frame, Found()), (height, width))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            report.problems.append(f"{paired.path}: feature {number} of {len(features)} was left out: {error}")
    first = report.project.classes[0].name
    names = {item.label_class for each in found.values() for item in each.objects}
    report.add_classes(sorted(names - {""}))
    for frame, each in found.items():
        labels = each.labels((height, width), first)
        report.put(paired.ref.key, frame, labels, replace=replace, text=f"import {paired.path.name}")


def _features(path: Path, size: tuple[int, int]) -> list[Feature]:
    """The features of a file of any of the shapes that GeoJSON has."""
    if path.with_suffix(".journal").exists():
        # A label file of a project: its journal may be newer than the file.
        labels = read_frame(path)
        if labels is not None:
            _check_size({MEMBER: {"height": labels.height, "width": labels.width}}, path, size)
            return area_features(labels) + [feature_of(item, {}) for item in labels.objects.values()]
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise MiaError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise MiaError(f"{path} is no JSON ({error}). Export it again from where it came.") from None
    listed = document if isinstance(document, list) else [document]
    if isinstance(document, dict) and document.get("type") in ("FeatureCollection", "GeometryCollection"):
        _check_size(document, path, size)
        listed = document.get("features" if document["type"] == "FeatureCollection" else "geometries") or []
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise MiaError(f"{path} is no GeoJSON: it needs a FeatureCollection or a list of features.")
    return [
        entry if entry.get("type") == "Feature" else {"type": "Feature", "geometry": entry, "properties": {}}
        for entry in listed
    ]


def _check_size(document: Feature, path: Path, size: tuple[int, int]) -> None:
    meta = document.get(MEMBER)
    if not isinstance(meta, dict):
        return
    height, width = meta.get("height"), meta.get("width")
    if (height, width) != size:
        raise MiaError(f"{path} belongs to an image of {height} x {width}, not {size[0]} x {size[1]} pixels (y, x).")


def _frame(feature: Feature, frames: list[str]) -> str:
    if not isinstance(feature.get("geometry"), dict):
        raise ValueError("it has no geometry")
    plane = feature["geometry"].get("plane") or feature.get("plane") or {}
    t, z = int(plane.get("t", 0)), int(plane.get("z", 0))
    name = frame_name(t, z, single=len(frames) == 1)
    if name not in frames or (len(frames) == 1 and (t, z) != (0, 0)):
        raise ValueError(f"it lies on t={t}, z={z}, which the image does not have")
    return name


def _take(feature: Feature, found: Found, size: tuple[int, int]) -> None:
    """Sort a feature into the objects or areas of its frame.

    Raises
    ------
    ValueError
        With the reason, when it is neither.
    """
    parts = [{**feature, "geometry": geometry} for geometry in _simple(feature["geometry"])]
    for part in parts:
        part["geometry"].pop("plane", None)
        if len(parts) > 1:
            part.pop("id", None)
        if is_area(part):
            found.areas.append(area_of(part)[0])
            continue
        item = object_of(part)
        check_inside(item.geometry, size)
        stated = (feature.get("properties") or {}).get("source")
        source = str(stated) if stated in ("manual", "accepted", "corrected") else "imported"
        found.objects.append(replace(item, source=source))


def _simple(geometry: Any) -> Iterator[Feature]:
    """The geometry as polygons and points: a collection's outlines are one object, points are one object each."""
    if not isinstance(geometry, dict):
        raise ValueError("it has no geometry")
    kind = geometry.get("type")
    if kind == "MultiPoint":
        yield from ({"type": "Point", "coordinates": point} for point in geometry["coordinates"])
    elif kind == "GeometryCollection":
        outlines: list[Polygon] = []
        for part in geometry["geometries"]:
            if part.get("type") in ("Polygon", "MultiPolygon"):
                outlines += shapely.get_parts(geometry_from_json(part)).tolist()
            else:
                yield from _simple(part)
        if outlines:
            yield geometry_to_json(shapely.MultiPolygon(outlines) if len(outlines) > 1 else outlines[0])
    else:
        yield dict(geometry)


# ---- export ----------------------------------------------------------------------------------------------------------


def export_geojson(project: Project, dest: Path, *, source: str = "labels", split: str | None = None) -> ExportReport:
    """Write one FeatureCollection per image as `dest/<image key>.geojson`, which QuPath opens by drag and drop.

    In stacks each geometry says in its member `plane` on which frame it lies, as QuPath writes it.

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
    for key, frames in exported_frames(project, source, split).items():
        path = dest / f"{exported_name(key, split)}.geojson"
        try:
            count = _export_one(project, path, key, frames, read)
        except MiaError as error:
            report.problems.append(f"{key}: {error}")
            continue
        report.files.append(str(path))
        report.objects += count
    return report


def _export_one(project: Project, path: Path, key: str, frames: list[str], read: FrameReader) -> int:
    features: list[Feature] = []
    count = 0
    for frame in frames:
        labels = read(key, frame)
        if labels is None:
            continue
        count += len(labels.objects)
        colors = class_colors(project)
        found = area_features(labels) + [
            feature_of(item, colors, salt=f"{key}/{frame}") for item in labels.objects.values()
        ]
        if frame != "image":
            t, z = parse_frame(frame)
            for feature in found:
                feature["geometry"]["plane"] = {"c": -1, "z": z, "t": t}
        features += found
    try:
        with atomic_writer(path) as stream:
            stream.write(b'{"type": "FeatureCollection", "features": [\n')
            stream.write(b",\n".join(dump(feature) for feature in features))
            stream.write(b"\n]}\n")
    except OSError as error:
        raise MiaError(f"{path} cannot be written: {error.strerror}. Free space or rights and try again.") from None
    return count


import_ = import_geojson
export = export_geojson
