"""Measuring objects: shape from their pixels, intensity from the original data.

Pixel columns follow scikit-image: centroids are (y, x) with the centre of the top-left pixel at (0, 0), bounding boxes
are half open, lengths and the orientation (radians, between the y axis and the major axis, counter-clockwise) come from
the ellipse with the same second moments. A pixel belongs to an object when its centre lies inside the outline;
overlapping objects are each measured over all of their own pixels.

Calibrated columns use the pixel size (y, x) in micrometres: `area_um2` is pixels * y * x, `centroid_um_*` scale each
axis, and lengths are those of `skimage.measure.regionprops(..., spacing=(y, x))`, that is, of the object as it lies in
the sample. Eccentricity, solidity and orientation are of the pixel grid. scikit-image defines the perimeter for square
pixels only: where they are not, `perimeter_um` stays empty. What is not known (no pixel size, no score) is empty.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from skimage.measure import regionprops

from mia_tui.analysis.tables import column, with_notes
from mia_tui.errors import MiaError
from mia_tui.imaging.image import Image, open_ref
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import fill
from mia_tui.labeling.store import read_frame
from mia_tui.project import Project, frame_name, parse_frame
from mia_tui.tracking.numbers import track_numbers, with_numbers

Row = dict[str, Any]

STATISTICS = ("min", "mean", "max", "integrated", "std")

_PIXEL_COLUMNS = (
    column("image", "string"),
    column("frame", "string"),
    column("t", "int64"),
    column("z", "int64"),
    column("time_s", "double", "s"),
    column("id", "int64"),
    column("class", "string"),
    column("source", "string"),
    column("score", "double"),
    column("track", "int64"),
    column("area", "int64", "px"),
    column("perimeter", "double", "px"),
    column("centroid_y", "double", "px"),
    column("centroid_x", "double", "px"),
    column("bbox_min_y", "int64", "px"),
    column("bbox_min_x", "int64", "px"),
    column("bbox_max_y", "int64", "px"),
    column("bbox_max_x", "int64", "px"),
    column("axis_major_length", "double", "px"),
    column("axis_minor_length", "double", "px"),
    column("orientation", "double", "rad"),
    column("eccentricity", "double"),
    column("solidity", "double"),
    column("equivalent_diameter", "double", "px"),
)
_CALIBRATED_COLUMNS = (
    column("pixel_size_y", "double", "um"),
    column("pixel_size_x", "double", "um"),
    column("area_um2", "double", "um2"),
    column("perimeter_um", "double", "um"),
    column("centroid_um_y", "double", "um"),
    column("centroid_um_x", "double", "um"),
    column("axis_major_length_um", "double", "um"),
    column("axis_minor_length_um", "double", "um"),
    column("equivalent_diameter_um", "double", "um"),
)


@dataclass(frozen=True)
class Measurements:
    """A table with one row per object, and what could not be measured, one sentence each."""

    table: pa.Table
    problems: tuple[str, ...]


def measurement_schema(channels: int) -> pa.Schema:
    """All columns in their order: shape, calibrated shape, then five statistics of every channel (0-based)."""
    intensities = [column(f"intensity_{name}_c{c}", "double") for c in range(channels) for name in STATISTICS]
    return pa.schema([*_PIXEL_COLUMNS, *_CALIBRATED_COLUMNS, *intensities])


def measure(
    objects: Iterable[LabelObject], plane: NDArray[Any], *, pixel_size: tuple[float, float] | None = None
) -> list[Row]:
    """Measure the objects of one frame.

    Parameters
    ----------
    objects : iterable of LabelObject
        Geometries are (x, y) with the corner of the top-left pixel at (0, 0).
    plane : (C, Y, X) array
        The original data of the frame.
    pixel_size : (float, float), optional
        (y, x) in micrometres.

    Returns
    -------
    list of dict
        One row per object, in their order, with the columns of `measurement_schema` except image, frame, t, z and
        time_s. An object without any pixel (a point, or a sliver between pixel centres) has area 0, the centroid of
        its geometry and no other measures.
    """
    return [_identity(item) | _measure_object(item, plane, pixel_size) for item in objects]


def measure_project(project: Project, source: str, images: Sequence[str] | None = None) -> Measurements:
    """Measure every object of a project.

    Parameters
    ----------
    project : Project
    source : str
        "labels" or "predictions:MODEL"; of predictions, those a person rejected are left out.
    images : sequence of str, optional
        Keys of the images to measure; all by default.

    Returns
    -------
    Measurements
        The table, ordered by image and frame. Its notes hold the source, the number of frames measured per image (also
        of those without an object) and the names of the channels per image. An image that is missing, unreadable or of
        another size than its labels is listed in `problems`; the rest goes on. Each plane is read once.

    Raises
    ------
    MiaError
        For an unknown source, and for an image key without labels or predictions.
    """
    frames = project.frames_under(source)
    if images is not None:
        without = sorted(set(images) - {key for key, _ in frames})
        if without:
            raise MiaError(f"project {project.name} has nothing in {source} for {', '.join(without)}")
        frames = [pair for pair in frames if pair[0] in images]
    tables: list[pa.Table] = []
    problems: list[str] = []
    try:
        tracks = track_numbers(project, source)
    except MiaError as error:
        tracks = {}
        problems.append(f"the tracks are left out: {error}")
    measured: dict[str, int] = {}
    channels: dict[str, list[str]] = {}
    for key, pairs in groupby(frames, key=lambda pair: pair[0]):
        try:
            image = open_ref(project, project.image(key))
        except MiaError as error:
            problems.append(f"{key}: {error}")
            continue
        rows: list[Row] = []
        with image:
            channels[key] = list(image.info.channel_names)
            for _, frame in pairs:
                try:
                    rows += _measure_frame(project, source, image, key, frame, tracks.get((key, frame)))
                    measured[key] = measured.get(key, 0) + 1
                except MiaError as error:
                    problems.append(f"{key}, frame {frame}: {error}")
            tables.append(pa.Table.from_pylist(rows, schema=measurement_schema(image.info.sizes[1])))
    about = {"source": source, "frames": measured, "channels": channels}
    return Measurements(with_notes(_joined(tables), about), tuple(problems))


def _joined(tables: list[pa.Table]) -> pa.Table:
    """One table with the columns of the image that has most channels; images with fewer leave theirs empty."""
    schema = max((table.schema for table in tables), key=len, default=measurement_schema(0))
    return pa.concat_tables([schema.empty_table(), *tables], promote_options="default")


def _measure_frame(
    project: Project, source: str, image: Image, key: str, frame: str, tracks: dict[int, int] | None
) -> list[Row]:
    path = project.source_folder(source) / key / f"{frame}.geojson"
    labels = read_frame(path)
    if labels is None:
        raise MiaError(f"{path} vanished while it was measured")
    t, z = parse_frame(frame)
    times, _, depths, _, _ = image.info.sizes
    if frame != frame_name(t, z, single=times * depths == 1) or t >= times or z >= depths:
        raise MiaError(f"the image has no such frame: it has {times} frames of {depths} z planes")
    size = image.info.sizes[3:]
    if (labels.height, labels.width) != size:
        raise MiaError(
            f"{source} are for an image of {labels.height} x {labels.width} pixels, but it has {size[0]} x {size[1]}"
        )
    if tracks is not None:
        labels = with_numbers(labels, tracks)
    interval = image.info.frame_interval
    place = {"image": key, "frame": frame, "t": t, "z": z, "time_s": None if interval is None else t * interval}
    kept = _kept(labels, source)
    if not kept:
        return []
    return [place | row for row in measure(kept, image.frame(frame), pixel_size=image.info.pixel_size)]


def _kept(labels: FrameLabels, source: str) -> list[LabelObject]:
    rejected = frozenset() if source == "labels" else labels.rejected
    return [item for number, item in sorted(labels.objects.items()) if number not in rejected]


def _identity(item: LabelObject) -> Row:
    return {
        "id": item.id, "class": item.label_class, "source": item.source, "score": item.score, "track": item.track,
    }  # fmt: skip


def _measure_object(item: LabelObject, plane: NDArray[Any], pixel_size: tuple[float, float] | None) -> Row:
    rows, columns, mask = fill(item.geometry, (plane.shape[1], plane.shape[2]))
    if not mask.any():
        return _without_pixels(item, pixel_size)
    region = regionprops(mask.astype(np.uint8), offset=(rows.start, columns.start))[0]
    row = _shape_of(region, (rows.start, columns.start))
    if pixel_size is not None:
        row |= _calibrated(row, mask, pixel_size)
    return row | _intensities(plane[:, rows, columns][:, mask])


def _shape_of(region: Any, origin: tuple[int, int]) -> Row:
    box = [int(value) + origin[i % 2] for i, value in enumerate(region.bbox)]
    return {
        "area": int(region.area),
        "perimeter": float(region.perimeter),
        "centroid_y": float(region.centroid[0]),
        "centroid_x": float(region.centroid[1]),
        "bbox_min_y": box[0],
        "bbox_min_x": box[1],
        "bbox_max_y": box[2],
        "bbox_max_x": box[3],
        "axis_major_length": float(region.axis_major_length),
        "axis_minor_length": float(region.axis_minor_length),
        "orientation": float(region.orientation),
        "eccentricity": float(region.eccentricity),
        "solidity": float(region.solidity),
        "equivalent_diameter": float(region.equivalent_diameter_area),
    }


def _calibrated(row: Row, mask: NDArray[np.bool_], pixel_size: tuple[float, float]) -> Row:
    y, x = pixel_size
    area = row["area"] * y * x
    if y == x:
        axes = (row["axis_major_length"] * x, row["axis_minor_length"] * x)
    else:
        region = regionprops(mask.astype(np.uint8), spacing=pixel_size)[0]
        axes = (float(region.axis_major_length), float(region.axis_minor_length))
    return _pixel_size_columns(pixel_size) | {
        "area_um2": area,
        "perimeter_um": row["perimeter"] * x if y == x else None,
        "centroid_um_y": row["centroid_y"] * y,
        "centroid_um_x": row["centroid_x"] * x,
        "axis_major_length_um": axes[0],
        "axis_minor_length_um": axes[1],
        "equivalent_diameter_um": 2 * np.sqrt(area / np.pi),
    }


def _pixel_size_columns(pixel_size: tuple[float, float]) -> Row:
    return {"pixel_size_y": pixel_size[0], "pixel_size_x": pixel_size[1]}


def _without_pixels(item: LabelObject, pixel_size: tuple[float, float] | None) -> Row:
    """From the corner of the top-left pixel, where geometries start, to its centre is half a pixel."""
    if item.geometry.is_empty:
        return {"area": 0}
    centre = item.geometry.centroid
    row = {"area": 0, "centroid_y": centre.y - 0.5, "centroid_x": centre.x - 0.5}
    if pixel_size is None:
        return row
    micrometres = {
        "area_um2": 0.0,
        "centroid_um_y": row["centroid_y"] * pixel_size[0],
        "centroid_um_x": row["centroid_x"] * pixel_size[1],
    }
    return row | _pixel_size_columns(pixel_size) | micrometres


def _intensities(pixels: NDArray[Any]) -> Row:
    """Statistics of (C, N) pixels. Sums are exact: integers are added as 64-bit integers, floats as doubles."""
    wide = np.int64 if np.issubdtype(pixels.dtype, np.integer) and pixels.dtype != np.uint64 else np.float64
    values = pixels.astype(wide)
    by_name = {
        "min": values.min(axis=1),
        "mean": values.mean(axis=1),
        "max": values.max(axis=1),
        "integrated": values.sum(axis=1),
        "std": values.std(axis=1),
    }
    return {f"intensity_{name}_c{c}": float(found[c]) for c in range(len(values)) for name, found in by_name.items()}
