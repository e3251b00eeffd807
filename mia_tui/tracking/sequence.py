"""Which frames of a project follow each other in time, and what was found on them."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
import shapely

from mia_tui.errors import MiaError
from mia_tui.imaging.image import ImageInfo, open_ref
from mia_tui.labeling.objects import FrameLabels
from mia_tui.labeling.raster import label_image
from mia_tui.labeling.store import read_frame
from mia_tui.project import ImageRef, Project, frame_name
from mia_tui.tracking.detections import Array, Detections

FOLDER = "@frames"
"""Last part of the name of a sequence whose frames are the images of a folder."""


@dataclass(frozen=True)
class Moment:
    """A frame on disk: the key of its image and its time in there (0-based)."""

    key: str
    t: int


@dataclass(frozen=True)
class Sequence:
    """Frames in the order of time.

    Attributes
    ----------
    name : str
        The image key of a stack or declared series; of a folder of frames its key and `@frames`. Names its files.
    moments : tuple of Moment or None
        By frame index. None: the numbers of the files say that a frame was taken, and it is not there.
    planes : int
        Number of z planes of every frame.
    height, width : int
        Pixels.
    single : bool
        Every image is one plane, whose labels are called `image`.
    pixel_size : (y, x) in micrometres, optional
    z_step, frame_interval : float, optional
        Micrometres, seconds.
    series : bool
        Its frames are certain to follow each other: a stack, or files that differ by a number only.
    notes : tuple of str
        What a person should know, such as frames that are missing.
    problem : str
        Why it cannot be used as it is; empty when it can.
    """

    name: str
    moments: tuple[Moment | None, ...]
    planes: int
    height: int
    width: int
    single: bool
    pixel_size: tuple[float, float] | None = None
    z_step: float | None = None
    frame_interval: float | None = None
    series: bool = True
    notes: tuple[str, ...] = ()
    problem: str = ""

    def frame_name(self, moment: Moment, z: int) -> str:
        """The name of the label file of a plane."""
        return frame_name(moment.t, z, single=self.single)


# ---- which there are -------------------------------------------------------------------------------------------------


def find_sequences(project: Project) -> list[Sequence]:
    """All stacks of the project, and all folders with two or more images of one frame each, in natural order.

    Raises
    ------
    MiaError
        For an image that cannot be read.
    """
    found: list[Sequence] = []
    folders: dict[str, list[ImageRef]] = {}
    for ref in project.images():
        folders.setdefault(str(PurePosixPath(ref.key).parent), []).append(ref)
    for folder, refs in folders.items():
        singles: list[tuple[ImageRef, ImageInfo]] = []
        for ref in refs:
            with open_ref(project, ref) as image:
                info = image.info
            if info.sizes[0] > 1:
                found.append(_stack(ref.key, info))
            else:
                singles.append((ref, info))
        if len(singles) > 1 and len({info.sizes[2:] for _, info in singles}) == 1:
            found.append(_folder(folder, singles))
    return found


def find_sequence(project: Project, name: str) -> Sequence:
    """The sequence with this name; a folder is found with and without its `@frames`.

    Raises
    ------
    MiaError
        When there is none, naming those that are there, and when it cannot be used: two files with one number.
    """
    listed = find_sequences(project)
    wanted = {name, f"{name.rstrip('/')}/{FOLDER}".removeprefix("./").lstrip("/")}
    for sequence in listed:
        if sequence.name in wanted:
            if sequence.problem:
                raise MiaError(sequence.problem)
            return sequence
    there = (
        ", ".join(sequence.name for sequence in listed) or "none: it needs a stack, or a folder of images of one size"
    )
    raise MiaError(f"project {project.name} has no sequence {name!r}. There are: {there}.")


def _stack(key: str, info: ImageInfo) -> Sequence:
    times, _, planes, height, width = info.sizes
    return Sequence(
        key, tuple(Moment(key, t) for t in range(times)), planes, height, width, False,
        info.pixel_size, info.z_step, info.frame_interval,
    )  # fmt: skip


def _folder(folder: str, images: list[tuple[ImageRef, ImageInfo]]) -> Sequence:
    keys = [ref.key for ref, _ in images]
    numbers = _numbers([PurePosixPath(key).name for key in keys])
    moments: list[Moment | None] = [Moment(key, 0) for key in keys]
    notes: tuple[str, ...] = ()
    problem = ""
    if numbers is not None:
        twice = next((i for i, (one, other) in enumerate(pairwise(numbers)) if one == other), None)
        if twice is not None:
            pair = f"{keys[twice]} and {keys[twice + 1]}"
            problem = f"{pair} have the same number: two frames at one time. Move one of them away."
        else:
            moments, notes = _with_holes(keys, numbers)
    info = images[0][1]
    name = f"{folder}/{FOLDER}".removeprefix("./")
    return Sequence(
        name, tuple(moments), info.sizes[2], info.sizes[3], info.sizes[4], info.sizes[2] == 1,
        info.pixel_size, info.z_step, info.frame_interval, numbers is not None, notes, problem,
    )  # fmt: skip


def _numbers(names: list[str]) -> list[int] | None:
    """The number in which the names differ, ascending; None when they differ in more than one."""
    parts = [re.split(r"(\d+)", PurePosixPath(name).stem) for name in names]
    if len({len(part) for part in parts}) > 1:
        return None
    columns = list(zip(*parts, strict=True))
    varying = [i for i, column in enumerate(columns) if len({int(p) if i % 2 else p for p in column}) > 1]
    if not varying:  # only the suffixes or the zeros before the number differ
        varying = [len(columns) - 2] if len(columns) > 1 else []
    if len(varying) != 1 or varying[0] % 2 == 0:
        return None
    return [int(text) for text in columns[varying[0]]]


def _with_holes(keys: list[str], numbers: list[int]) -> tuple[list[Moment | None], tuple[str, ...]]:
    """Frames at the times that their numbers say. Numbers with more holes than frames are only an order."""
    step = reduce(math.gcd, np.diff(numbers).tolist(), 0) or 1
    places = [(number - numbers[0]) // step for number in numbers]
    if places[-1] + 1 > 2 * len(keys):
        return [Moment(key, 0) for key in keys], ()
    moments: list[Moment | None] = [None] * (places[-1] + 1)
    for place, key in zip(places, keys, strict=True):
        moments[place] = Moment(key, 0)
    missing = [str(numbers[0] + step * i) for i, moment in enumerate(moments) if moment is None]
    if not missing:
        return moments, ()
    listed = ", ".join(missing[:10]) + (" ..." if len(missing) > 10 else "")
    return moments, (f"{len(missing)} of {len(moments)} frames are not on disk (number {listed}): they stay empty.",)


# ---- what is on them -------------------------------------------------------------------------------------------------


def read_detections(
    project: Project, sequence: Sequence, source: str, planes: set[tuple[int, int]] | None = None
) -> Detections:
    """Everything that was labelled or predicted on the frames of a sequence; what a person rejected is left out.

    Parameters
    ----------
    planes : set of (frame index, z), optional
        Only these are read. All by default.

    Raises
    ------
    MiaError
        For a source without anything on the sequence, and for a damaged file.
    """
    columns: dict[str, list[Array]] = {
        name: [] for name in ("frame", "position", "object", "plane", "label", "score", "area")
    }
    classes = [entry.name for entry in project.classes]
    files = 0
    for index, z in _planes(sequence):
        labels = (
            read_plane_labels(project, sequence, source, index, z) if planes is None or (index, z) in planes else None
        )
        if labels is None:
            continue
        files += 1
        for name, values in _columns(labels, classes).items():
            columns[name].append(values)
        count = len(columns["object"][-1])
        columns["frame"].append(np.full(count, index))
        columns["plane"].append(np.full(count, z))
    if not files and planes is None:
        raise MiaError(
            f"nothing in {source} is on {sequence.name} of project {project.name}: label or predict it first."
        )
    empty = np.zeros((0, 2))
    joined = {
        name: np.concatenate([empty if name == "position" else empty[:, 0], *parts]) for name, parts in columns.items()
    }
    if sequence.planes > 1:
        joined["position"] = np.column_stack([joined["plane"], joined["position"]])
    return Detections.of(
        joined.pop("frame"), joined.pop("position"), **joined, classes=tuple(classes), frames=len(sequence.moments)
    )


def _planes(sequence: Sequence) -> Iterator[tuple[int, int]]:
    """(frame index, z) of every plane on disk."""
    for index, moment in enumerate(sequence.moments):
        for z in range(sequence.planes) if moment else ():
            yield index, z


def label_path(project: Project, sequence: Sequence, source: str, index: int, z: int = 0) -> Path:
    """The label file of a plane of a frame that is on disk, whether it exists or not."""
    moment = sequence.moments[index]
    if moment is None:
        raise ValueError(f"frame {index + 1} of {sequence.name} is not on disk")
    return project.source_folder(source) / moment.key / f"{sequence.frame_name(moment, z)}.geojson"


def read_plane_labels(project: Project, sequence: Sequence, source: str, index: int, z: int = 0) -> FrameLabels | None:
    """Labels or predictions of one plane of a frame, without those a person rejected; None when there is no file."""
    if sequence.moments[index] is None:
        return None
    labels = read_frame(label_path(project, sequence, source, index, z))
    if labels is None or not labels.rejected:
        return labels
    return replace(labels, objects={n: item for n, item in labels.objects.items() if n not in labels.rejected})


def _columns(labels: FrameLabels, classes: list[str]) -> dict[str, Array]:
    """The columns of one plane. A class that the project does not know is added to `classes`."""
    items = list(labels.objects.values())
    for item in items:
        if item.label_class not in classes:
            classes.append(item.label_class)
    shapes = np.array([item.geometry for item in items], object)
    centres = shapely.centroid(shapes)
    return {
        "position": np.stack([shapely.get_y(centres), shapely.get_x(centres)], 1).astype(float),
        "object": np.array([item.id for item in items], np.int64),
        "label": np.array([classes.index(item.label_class) for item in items], np.int16),
        "score": np.array([1.0 if item.score is None else item.score for item in items], np.float32),
        "area": shapely.area(shapes).astype(np.float32),
    }


class SequenceMasks:
    """Label images of the frames of a sequence by index: (Y, X) integers, 0 background, else the object's id."""

    def __init__(self, project: Project, sequence: Sequence, source: str, z: int = 0) -> None:
        self._project, self._sequence, self._source, self._z = project, sequence, source, z

    def __call__(self, index: int) -> Array:
        sequence = self._sequence
        shape = (sequence.height, sequence.width)
        labels = read_plane_labels(self._project, sequence, self._source, index, self._z)
        return np.zeros(shape, np.uint16) if labels is None else label_image(labels.objects.values(), shape)


def masks_to_link(project: Project, sequence: Sequence, source: str, found: Detections) -> SequenceMasks | None:
    """Label images of a sequence whose objects all have an area; None for points and for z-stacks."""
    flat = sequence.planes == 1 and len(found) > 0 and bool((found.area > 0).all())
    return SequenceMasks(project, sequence, source) if flat else None
