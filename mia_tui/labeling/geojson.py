"""One frame's labels as a GeoJSON FeatureCollection that QuPath opens: objects to features and back."""

import json
import math
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import shapely
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.objects import AREA_CLASS, Foreign, FrameLabels, LabelObject

MEMBER = "mia_tui"
"""The member of the collection that holds what GeoJSON has no place for: size, revision, next id, rejected ids."""
FORMAT = 1
_NAMESPACE = uuid.UUID("6d69612d-7475-4969-8c61-62656c736f6e")
_OURS = ("objectType", "id", "classification", "source", "score", "track", "origin", "annotatedArea")

Feature = dict[str, Any]
Colors = Mapping[str, str]


# ---- geometries ------------------------------------------------------------------------------------------------------


def geometry_to_json(geometry: BaseGeometry) -> dict[str, Any]:
    """A Polygon, MultiPolygon or Point as GeoJSON; whole numbers are written as integers."""
    if geometry.geom_type == "Point":
        return {"type": "Point", "coordinates": _numbers(shapely.get_coordinates(geometry))[0]}
    if geometry.geom_type == "Polygon":
        return {"type": "Polygon", "coordinates": _rings_to_json(geometry)}
    if geometry.geom_type == "MultiPolygon":
        parts = [_rings_to_json(part) for part in shapely.get_parts(geometry)]
        return {"type": "MultiPolygon", "coordinates": parts}
    raise ValueError(f"a {geometry.geom_type} is neither an outline nor a point")


def _rings_to_json(polygon: BaseGeometry) -> list[Any]:
    return [_numbers(shapely.get_coordinates(ring)) for ring in shapely.get_rings(polygon)]


def _numbers(coordinates: np.ndarray) -> list[list[float]]:
    whole = coordinates.astype(np.int64) if np.abs(coordinates).max(initial=0) < 2**53 else coordinates
    numbers: list[list[float]] = (whole if (whole == coordinates).all() else coordinates).tolist()
    return numbers


def geometry_from_json(data: Any) -> BaseGeometry:
    """The inverse of `geometry_to_json`.

    Raises
    ------
    ValueError
        For another type of geometry, coordinates that are none or not finite, and rings of fewer than three points.
    """
    kind = data.get("type") if isinstance(data, dict) else None
    coordinates = data.get("coordinates") if isinstance(data, dict) else None
    try:
        if kind == "Point":
            return shapely.Point(_points([coordinates])[0])
        if kind == "Polygon":
            return _polygon(coordinates)
        if kind == "MultiPolygon" and coordinates:
            return shapely.MultiPolygon([_polygon(part) for part in coordinates])
    except (TypeError, IndexError, shapely.errors.GEOSException) as error:
        raise ValueError(f"bad coordinates ({error})") from None
    raise ValueError(f"a geometry of type {kind} is neither an outline nor a point")


def _polygon(rings: Any) -> Polygon:
    shell, *holes = [_points(ring) for ring in rings]
    if min(len(shell), *map(len, holes), 3) < 3:
        raise ValueError("a ring of fewer than three points")
    return cast(Polygon, shapely.polygons(shell)) if not holes else Polygon(shell, holes)


def _points(listed: Any) -> np.ndarray:
    try:
        points = np.asarray(listed, dtype=np.float64)[:, :2]
    except ValueError:
        raise ValueError("coordinates that are not pairs of numbers") from None
    if points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError("coordinates that are not pairs of finite numbers")
    return points


# ---- objects ---------------------------------------------------------------------------------------------------------


def feature_of(item: LabelObject, colors: Colors, *, salt: str = "") -> Feature:
    """The feature of an object. `colors` are `#RRGGBB` by class name; `salt` makes its UUID differ between files."""
    classification: dict[str, Any] = {"name": item.label_class, **item.extra.get("classification", {})}
    if item.label_class in colors:
        classification["color"] = rgb(colors[item.label_class])
    properties: dict[str, Any] = {"objectType": "annotation", **item.extra.get("properties", {}), "id": item.id}
    if item.label_class:
        properties["classification"] = classification
    properties["source"] = item.source
    optional = {"score": item.score, "track": item.track, "origin": item.origin}
    properties.update({key: value for key, value in optional.items() if value is not None})
    geometry = {**geometry_to_json(item.geometry), **item.extra.get("geometry", {})}
    feature = {"type": "Feature", "id": _uuid(item.id, salt), "geometry": geometry, "properties": properties}
    return {**feature, **item.extra.get("feature", {})}


def rgb(color: str) -> list[int]:
    """[r, g, b] of `#RRGGBB`."""
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


def _uuid(number: int, salt: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{salt}#{number}"))


def object_of(feature: Feature) -> LabelObject:
    """The object of a feature. Its id is 0 when the feature carries none of ours.

    Raises
    ------
    ValueError
        With the reason, when the feature is damaged or neither an outline nor a point.
    """
    geometry = geometry_from_json(feature.get("geometry"))
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise ValueError("properties that are not an object")
    number = _integer(properties.get("id")) or 0
    return LabelObject(
        id=max(number, 0),
        geometry=geometry,
        label_class=class_name(properties),
        source=str(properties.get("source", "manual")),
        score=_score(properties.get("score")),
        track=_integer(properties.get("track")),
        origin=None if properties.get("origin") is None else str(properties["origin"]),
        extra=_extra(feature, properties, number),
    )


def class_name(properties: dict[str, Any]) -> str:
    """The class that the properties of a feature name; "" without one."""
    classification = properties.get("classification") or {}
    if isinstance(classification, str):
        return classification
    # QuPath 0.5 and later writes derived classes as a list of names.
    names = classification.get("names") or []
    return str(classification.get("name") or ": ".join(str(name) for name in names))


def _integer(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        return None
    return int(value)


def _score(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _extra(feature: Feature, properties: dict[str, Any], number: int) -> dict[str, Any]:
    """What the feature holds beyond what an object has fields for."""
    classification = properties.get("classification")
    known = ("type", "id", "geometry", "properties")
    parts = {
        "feature": {key: value for key, value in feature.items() if key not in known},
        "geometry": {k: v for k, v in feature["geometry"].items() if k not in ("type", "coordinates")},
        "properties": {key: value for key, value in properties.items() if key not in _OURS},
        "classification": dict(classification) if isinstance(classification, dict) else {},
    }
    if "id" in feature and feature["id"] != _uuid(number, ""):
        parts["feature"]["id"] = feature["id"]
    if properties.get("objectType", "annotation") != "annotation":
        parts["properties"]["objectType"] = properties["objectType"]
    parts["classification"].pop("name", None)
    return {key: value for key, value in parts.items() if value}


# ---- annotated areas -------------------------------------------------------------------------------------------------


def area_features(frame: FrameLabels) -> list[Feature]:
    """The features of the annotated areas, in order."""
    return [_area_feature(area, frame.foreign.areas.get(area.wkb, {})) for area in frame.areas]


def _area_feature(area: BaseGeometry, extra: dict[str, Any]) -> Feature:
    ours = {"objectType": "annotation", "classification": {"name": AREA_CLASS}, "annotatedArea": True}
    geometry = {**geometry_to_json(area), **extra.get("geometry", {})}
    properties = {**ours, **extra.get("properties", {})}
    return {"type": "Feature", "geometry": geometry, "properties": properties, **extra.get("feature", {})}


def is_area(feature: Feature) -> bool:
    """Whether a feature says where the frame is annotated."""
    properties = feature.get("properties") or {}
    return isinstance(properties, dict) and (
        properties.get("annotatedArea") is True or class_name(properties) == AREA_CLASS
    )


def area_of(feature: Feature) -> tuple[BaseGeometry, dict[str, Any]]:
    """Geometry of an annotated area and what else its feature holds.

    Raises
    ------
    ValueError
        When it is no outline.
    """
    geometry = geometry_from_json(feature.get("geometry"))
    if geometry.geom_type == "Point":
        raise ValueError("an annotated area that is a point")
    return geometry, _extra(feature, feature["properties"], -1)


# ---- whole frames ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parsed:
    """A frame as read from a collection.

    `revision` is None for a file that another program wrote; unless the caller knows it, the size is 0 x 0 then.
    """

    frame: FrameLabels
    revision: int | None


def parse_collection(document: Any, size: tuple[int, int] | None) -> Parsed:
    """A label file's document as a frame.

    `size` is (height, width) of the image where the caller knows it.

    Raises
    ------
    ValueError
        With the reason.
    """
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise ValueError("it is no GeoJSON FeatureCollection")
    meta = document.get(MEMBER)
    members = {key: value for key, value in document.items() if key not in ("type", "features", MEMBER)}
    height, width, revision, next_id, rejected = _meta(meta, size)
    objects, areas, area_extra, others = _sort_out(features)
    highest = max((item.id for item in objects), default=0)
    next_id = max(next_id, highest + 1)
    by_id: dict[int, LabelObject] = {}
    for item in objects:
        number = item.id
        if number == 0:
            number, next_id = next_id, next_id + 1
        if number in by_id:
            raise ValueError(f"two objects with the id {number}")
        by_id[number] = item if item.id else replace(item, id=number)
    foreign = Foreign(members, tuple(others), area_extra)
    return Parsed(
        FrameLabels(height, width, dict(sorted(by_id.items())), tuple(areas), rejected, next_id, foreign), revision
    )


def _meta(meta: Any, size: tuple[int, int] | None) -> tuple[int, int, int | None, int, frozenset[int]]:
    if meta is None:
        return *(size or (0, 0)), None, 1, frozenset()
    try:
        height, width = int(meta["height"]), int(meta["width"])
        revision, next_id = int(meta["revision"]), int(meta["next_id"])
        rejected = frozenset(int(number) for number in meta.get("rejected", ()))
        version = int(meta["format"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'its member "{MEMBER}" is damaged ({type(error).__name__}: {error})') from None
    if version > FORMAT:
        raise ValueError(f"its format is {version}, newer than this program knows ({FORMAT})")
    if size is not None and size != (height, width):
        raise ValueError(f"it belongs to an image of {height} x {width}, not {size[0]} x {size[1]} pixels (y, x)")
    return height, width, revision, next_id, rejected


def _sort_out(
    features: list[Feature],
) -> tuple[list[LabelObject], list[BaseGeometry], dict[bytes, dict[str, Any]], list[Feature]]:
    """Objects, annotated areas with what else they hold, and features that are neither."""
    objects: list[LabelObject] = []
    areas: list[BaseGeometry] = []
    area_extra: dict[bytes, dict[str, Any]] = {}
    others: list[Feature] = []
    for number, feature in enumerate(features, 1):
        geometry = feature.get("geometry")
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        if geometry is None or (isinstance(kind, str) and kind not in ("Point", "Polygon", "MultiPolygon")):
            others.append(feature)
            continue
        try:
            if is_area(feature):
                area, extra = area_of(feature)
                areas.append(area)
                area_extra[area.wkb] = extra
            else:
                objects.append(object_of(feature))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"feature {number} of {len(features)}: {error}") from None
    return objects, areas, area_extra, others


def collection_lines(frame: FrameLabels, revision: int, colors: Colors) -> Iterator[bytes]:
    """A frame as the lines of a label file: one feature per line."""
    meta = {
        "format": FORMAT, "height": frame.height, "width": frame.width, "revision": revision,
        "next_id": frame.next_id, "rejected": sorted(frame.rejected),
    }  # fmt: skip
    head = {"type": "FeatureCollection", MEMBER: meta, **frame.foreign.members}
    yield dump(head)[:-1] + b', "features": ['
    separator = b"\n"
    for feature in _features(frame, colors):
        yield separator + dump(feature)
        separator = b",\n"
    yield b"\n]}\n"


def _features(frame: FrameLabels, colors: Colors) -> Iterator[Feature]:
    yield from area_features(frame)
    for item in frame.objects.values():
        yield feature_of(item, colors)
    yield from frame.foreign.features


def dump(value: Any) -> bytes:
    """One line of JSON; NaN and infinities are refused."""
    return json.dumps(value, allow_nan=False).encode()
