"""The pictures that assists look at: read once, kept for a few questions, brought to what networks expect."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mia_tui.engine.assist.messages import Box, Pixels, PlaneRef
from mia_tui.engine.normalize import Normalization, apply_limits
from mia_tui.errors import MiaError
from mia_tui.imaging.image import open_ref
from mia_tui.project import Project

_Value = TypeVar("_Value")


class Recent(Generic[_Value]):
    """The `count` values used last, by key."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._values: OrderedDict[object, _Value] = OrderedDict()

    def get(self, key: object, make: Callable[[], _Value]) -> _Value:
        """The value kept under `key`, else the one that `make` returns (which is kept)."""
        if key not in self._values:
            while len(self._values) >= self._count:  # before the new one is made: two large ones need not fit
                self._values.popitem(last=False)
            self._values[key] = make()
        self._values.move_to_end(key)
        return self._values[key]


@dataclass(frozen=True)
class Plane:
    """A plane in memory: `values` (C, Y, X) as stored, and its `limits` (C, 2), the percentiles that become 0 and 1.

    `key` is the same for the same pixels only.
    """

    key: str
    name: str
    values: NDArray[Any]
    rgb: bool
    limits: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape[1], self.values.shape[2]

    def picture(self, box: Box, channels: Sequence[int], wanted: int) -> NDArray[np.float32]:
        """A part of the plane as a photograph: (wanted, Y, X) float32 0..1, `wanted` 1 (grey) or 3 (colour).

        Three channels out of an RGB image stay colours; of others the mean of the chosen `channels` (() for all) is
        taken, each stretched by its percentiles. What `box` asks for beyond the plane is 0.
        """
        chosen = list(channels) or list(range(len(self.values)))
        if max(chosen) >= len(self.values) or min(chosen) < 0:
            raise MiaError(f"{self.name} has {len(self.values)} channels; channel {max(chosen)} was asked for")
        top, left, bottom, right = box
        rows = slice(max(top, 0), max(min(bottom, self.shape[0]), 0))
        columns = slice(max(left, 0), max(min(right, self.shape[1]), 0))
        stretched = apply_limits(self.values[chosen, rows, columns], self.limits[chosen])
        if not (self.rgb and wanted == 3 and len(chosen) == 3):
            stretched = np.repeat(stretched.mean(0, keepdims=True), wanted, axis=0)
        out = np.zeros((wanted, bottom - top, right - left), np.float32)
        inner = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
        out[:, inner[0], inner[1]] = stretched
        return out


class Planes:
    """Reads planes and keeps the last few, because many questions are asked about one."""

    def __init__(self, count: int = 3) -> None:
        self._recent: Recent[Plane] = Recent(count)

    def get(self, wanted: PlaneRef | Pixels) -> Plane:
        """The plane that a request names.

        Raises
        ------
        MiaError
            When there is no such image or it cannot be read.
        """
        if isinstance(wanted, Pixels):
            digest = hashlib.blake2b(np.ascontiguousarray(wanted.values).data, digest_size=16).hexdigest()
            key = f"{digest} {wanted.values.shape} {wanted.values.dtype.str} {wanted.rgb}"
            return self._recent.get(key, lambda: _plane(key, wanted.name, wanted.values, wanted.rgb))
        project = Project.load(wanted.project)
        ref = project.image(wanted.key)
        stat = ref.path.stat()
        axes = project.axes.get(ref.key)
        key = f"{ref.path} {axes} {stat.st_mtime_ns} {stat.st_size} {wanted.t} {wanted.z}"

        def read() -> Plane:
            with open_ref(project, ref) as image:
                return _plane(key, ref.key, image.plane(wanted.t, wanted.z), image.info.rgb)

        return self._recent.get(key, read)


def _plane(key: str, name: str, values: NDArray[Any], rgb: bool) -> Plane:
    return Plane(key, name, values, rgb, Normalization().limits(values))


def clip_box(view: Box | None, shape: tuple[int, int]) -> Box:
    """The part of a view that lies on the plane; all of the plane for None.

    Raises
    ------
    MiaError
        When nothing of the view lies on the plane.
    """
    if view is None:
        return 0, 0, shape[0], shape[1]
    top, left, bottom, right = view
    box = max(top, 0), max(left, 0), min(bottom, shape[0]), min(right, shape[1])
    if box[0] >= box[2] or box[1] >= box[3]:
        raise MiaError(f"the view {view} shows nothing of the image of {shape[0]} x {shape[1]} pixels")
    return box
