"""One frame as a screen shows it: pixels, contrast, labels and predictions. Read in a thread, one plane at a time."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.imaging.contrast import contrast_limits, default_colors, sequence_limits, to_display
from mia_tui.imaging.image import Image, ImageInfo, open_ref
from mia_tui.labeling.objects import FrameLabels
from mia_tui.labeling.store import read_frame
from mia_tui.project import Project, frame_name
from mia_tui.widgets.canvas.overlay import trace
from mia_tui.widgets.canvas.pyramid import Pyramid
from mia_tui.widgets.canvas.scene import Layer, Mark, Outlines

CONTRASTS = ("frame", "sequence", "full")
"""Where black and white are: percentiles of this frame, of the whole sequence, or the full range of values."""
UNKNOWN_CLASS = (160, 160, 160)

Limits = list[tuple[float, float]]


@dataclass(frozen=True)
class FrameRequest:
    """Which frame to read, how its contrast is set, and whether labels and predictions are read with it."""

    project: Project
    key: str
    t: int = 0
    z: int = 0
    model: str | None = None
    contrast: str = "frame"
    overlays: bool = True


@dataclass(frozen=True)
class Overlay:
    """The objects of a frame and their outlines, in the same order."""

    frame: FrameLabels
    ids: tuple[int, ...]
    outlines: Outlines

    @classmethod
    def of(cls, frame: FrameLabels | None) -> "Overlay | None":
        if frame is None:
            return None
        objects = frame.objects.values()
        return cls(frame, tuple(frame.objects), trace([item.geometry for item in objects]))


@dataclass(frozen=True)
class ShownFrame:
    """A frame that was read. `t` and `z` are those of the request, kept inside the image."""

    request: FrameRequest
    info: ImageInfo
    t: int
    z: int
    pyramid: Pyramid
    limits: Limits
    labels: Overlay | None
    predictions: Overlay | None
    problem: str = ""

    @property
    def name(self) -> str:
        return frame_name(self.t, self.z, single=self.info.sizes[0] * self.info.sizes[2] == 1)


@dataclass(frozen=True)
class Look:
    """How values become colours: brightness curve, inversion and the channels that are switched off."""

    gamma: float = 1.0
    invert: bool = False
    hidden: frozenset[int] = frozenset()

    def visible(self, channels: int) -> list[int]:
        return [c for c in range(channels) if c not in self.hidden]


class FrameReader:
    """Reads frames, keeping the last image open and its last plane and contrast in memory. For one thread at a time."""

    def __init__(self) -> None:
        self._image: Image | None = None
        self._of: tuple[Any, ...] = ()
        self._plane: tuple[tuple[int, int], Pyramid] | None = None
        self._limits: dict[tuple[Any, ...], Limits] = {}
        self._lock = threading.Lock()

    def read(self, request: FrameRequest) -> ShownFrame:
        """Read what is asked for. A damaged label file does not hide the image: its error is in `problem`."""
        with self._lock:
            image = self._open(request)
            t, z = min(request.t, image.info.sizes[0] - 1), min(request.z, image.info.sizes[2] - 1)
            pyramid = self._read_plane(image, t, z)
            limits = self._find_limits(image, request.contrast, t, z, pyramid)
        shown = ShownFrame(request, image.info, t, z, pyramid, limits, None, None)
        return read_overlays(shown) if request.overlays else shown

    def close(self) -> None:
        with self._lock:
            if self._image is not None:
                self._image.close()
            self._image, self._of, self._plane = None, (), None
            self._limits = {}

    def _open(self, request: FrameRequest) -> Image:
        ref = request.project.image(request.key)
        of = (request.project, request.key, ref.path.stat().st_mtime_ns)
        if self._image is None or self._of != of:
            if self._image is not None:
                self._image.close()
            self._image, self._of, self._plane, self._limits = None, (), None, {}
            self._image, self._of = open_ref(request.project, ref), of
        return self._image

    def _read_plane(self, image: Image, t: int, z: int) -> Pyramid:
        if self._plane is None or self._plane[0] != (t, z):
            self._plane = (t, z), Pyramid(image.plane(t, z))
        return self._plane[1]

    def _find_limits(self, image: Image, contrast: str, t: int, z: int, pyramid: Pyramid) -> Limits:
        place = () if contrast == "sequence" else (t, z)
        if (contrast, *place) not in self._limits:
            if contrast == "full":
                found = full_range(pyramid.plane)
            elif contrast == "sequence":
                found = sequence_limits(image)
            else:
                found = contrast_limits(pyramid.plane, rgb=image.info.rgb)
            self._limits[(contrast, *place)] = found
        return self._limits[(contrast, *place)]


def full_range(plane: np.ndarray[Any, Any]) -> Limits:
    """Per channel: 0 to 255 for 8 bits, else the least and the greatest finite value."""
    if plane.dtype == np.uint8:
        return [(0.0, 255.0)] * len(plane)
    limits = []
    for channel in plane:
        finite = channel[np.isfinite(channel)] if channel.dtype.kind == "f" else channel
        limits.append((float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0))
    return limits


def read_overlays(shown: ShownFrame) -> ShownFrame:
    """The same frame with its labels and predictions as they are on disk now."""
    request, problems = shown.request, []

    def read(path: Any) -> Overlay | None:
        try:
            return Overlay.of(read_frame(path))
        except MiaError as error:
            problems.append(str(error))
            return None

    labels = read(request.project.labels_path(request.key, shown.name))
    predictions = None
    if request.model is not None:
        predictions = read(request.project.prediction_path(request.model, request.key, shown.name))
    return replace(shown, labels=labels, predictions=predictions, problem="\n".join(problems))


# ---- colours ---------------------------------------------------------------------------------------------------------


def display_of(shown: ShownFrame, look: Look) -> Callable[[Any], Any]:
    """A function that turns values (C, H, W) of this frame into a picture (H, W, 3) uint8."""
    visible = look.visible(shown.info.sizes[1])
    colors = None
    if not shown.info.rgb or len(visible) < 3:
        colors = channel_colors(shown.info, visible)
    limits = [shown.limits[c] for c in visible]
    return partial(_display, visible=visible, limits=limits, colors=colors, look=look)


def _display(values: Any, *, visible: list[int], limits: Limits, colors: list[str] | None, look: Look) -> Any:
    if not visible:
        return np.zeros((*values.shape[1:], 3), np.uint8)
    return np.array(to_display(values[visible], limits, colors, gamma=look.gamma, invert=look.invert))


def channel_colors(info: ImageInfo, visible: list[int]) -> list[str]:
    """A colour per visible channel; a single one is white."""
    if len(visible) == 1:
        return ["#FFFFFF"]
    if info.rgb:
        return [("#FF0000", "#00FF00", "#0000FF")[c] for c in visible]
    colors = default_colors(info.sizes[1])
    return [colors[c] for c in visible]


def class_colors(project: Project) -> dict[str, tuple[int, int, int]]:
    """Class name -> (red, green, blue)."""
    return {c.name: _rgb(c.color) for c in project.classes}


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def layer_of(overlay: Overlay, colors: dict[str, tuple[int, int, int]], *, dashed: bool) -> Layer:
    """All outlines in the colours of their classes."""
    objects = overlay.frame.objects
    table = np.array([colors.get(objects[i].label_class, UNKNOWN_CLASS) for i in overlay.ids], np.uint8)
    count = len(overlay.ids)
    return Layer(overlay.outlines, table.reshape(count, 3), np.full(count, dashed), np.ones(count, np.bool_))


def marks_of(overlay: Overlay, project: Project, *, ids: bool, classes: bool) -> tuple[Mark, ...]:
    """The id of each object, and the key of its class where colour cannot tell it, at the middle of its box."""
    keys = {c.name: c.key or c.name[:1] for c in project.classes}
    colors = class_colors(project)
    marks = []
    for number, box in zip(overlay.ids, overlay.outlines.boxes, strict=True):
        name = overlay.frame.objects[number].label_class
        text = (keys.get(name, "?") if classes else "") + (("." if classes else "") + str(number) if ids else "")
        if text:
            middle = float(box[1] + box[3]) / 2, float(box[0] + box[2]) / 2
            marks.append(Mark(*middle, text, colors.get(name, UNKNOWN_CLASS)))
    return tuple(marks)
