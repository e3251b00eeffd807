"""From a file's frame to the planes that a network sees: channels, colour, neighbours in z, size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mia_tui.engine.options import TrainConfig
from mia_tui.engine.splits import Frame
from mia_tui.errors import MiaError
from mia_tui.imaging.image import Image, open_ref
from mia_tui.project import ImageRef, Project, parse_frame


@dataclass(frozen=True)
class Inputs:
    """What of an image the network sees.

    Attributes
    ----------
    count : int
        Channels of each plane.
    chosen : tuple of int, optional
        Which channels of the file; None takes all, grey repeated or colour averaged where `count` asks for it.
    neighbours : int
        Planes below and above in z that are further channels, lowest first; beyond the stack the last is repeated.
    downscale : float
        The share of their side to which planes are shrunk, at most 1.
    """

    count: int
    chosen: tuple[int, ...] | None = None
    neighbours: int = 0
    downscale: float = 1.0

    @property
    def channels(self) -> int:
        """Input channels of the network."""
        return self.count * (2 * self.neighbours + 1)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Inputs":
        chosen = values.get("chosen")
        return cls(**{**values, "chosen": None if chosen is None else tuple(chosen)})

    def read(self, image: Image, frame: str, name: str) -> NDArray[Any]:
        """The (channels, Y, X) plane of a frame, values as in the file, shrunk by `downscale`."""
        if self.neighbours == 0:
            return self.shrink(self.pick(image.frame(frame), image.info.rgb, name))
        t, z = parse_frame(frame)
        depth = image.info.sizes[2]
        levels = [min(max(z + step, 0), depth - 1) for step in range(-self.neighbours, self.neighbours + 1)]
        planes = {level: self.pick(image.plane(t, level), image.info.rgb, name) for level in sorted(set(levels))}
        return self.shrink(np.concatenate([planes[level] for level in levels]))

    def pick(self, plane: NDArray[Any], rgb: bool, name: str) -> NDArray[Any]:
        """The channels of one (C, Y, X) plane that the network sees."""
        if self.chosen is not None:
            if max(self.chosen) >= len(plane):
                raise MiaError(f"{name} has {len(plane)} channels; channel {max(self.chosen)} was asked for")
            return plane[list(self.chosen)]
        return match_channels(plane, self.count, rgb, name)

    def shrink(self, plane: NDArray[Any]) -> NDArray[Any]:
        """A (C, Y, X) plane at the size that the network sees; its dtype stays."""
        height, width = self.size(plane.shape[1], plane.shape[2])
        if (height, width) == plane.shape[1:]:
            return plane
        return resize(plane, height, width)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that the network sees of a frame of this size."""
        if self.downscale == 1:
            return height, width
        return max(1, round(height * self.downscale)), max(1, round(width * self.downscale))


def resize(plane: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """A (C, Y, X) plane at another size, of the same dtype: area means when it shrinks, linear when it grows."""
    shrinks = height * width < plane.shape[1] * plane.shape[2]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    values = [cv2.resize(channel.astype(np.float32), (width, height), interpolation=way) for channel in plane]
    result = np.stack(values)
    if plane.dtype.kind in "iub":
        result = np.rint(result)
    resized: NDArray[Any] = result.astype(plane.dtype)
    return resized


def match_channels(plane: NDArray[Any], wanted: int, rgb: bool, name: str) -> NDArray[Any]:
    """A plane with the channels of the model: grey is repeated for a colour model, colour averaged for a grey one.

    Raises
    ------
    MiaError
        When the channels mean something else and cannot be matched.
    """
    if len(plane) == wanted:
        return plane
    if len(plane) == 1 and wanted == 3:
        return np.repeat(plane, 3, axis=0)
    if rgb and len(plane) == 3 and wanted == 1:
        mean = plane.mean(axis=0, keepdims=True, dtype=np.float32)
        grey: NDArray[Any] = (np.rint(mean) if plane.dtype.kind in "iub" else mean).astype(plane.dtype)
        return grey
    raise MiaError(
        f"{name} has {len(plane)} channels, the model works on {wanted}. Choose channels with --set channels=0,1,..."
    )


def choose_channels(
    project: Project, refs: Sequence[ImageRef], chosen: list[int] | None, color: str = "auto"
) -> tuple[int, tuple[int, ...] | None]:
    """How many channels the network will see of a plane, and which (None: all).

    All images with the same number: all of them. Grey mixed with RGB: three, grey repeated. Anything else is an error
    that names an image of each kind. `color` "grey" and "rgb" ask for one or three channels.
    """
    if chosen:
        return len(chosen), tuple(chosen)
    example: dict[tuple[int, bool], str] = {}
    for ref in refs:
        with open_ref(project, ref) as image:
            example.setdefault((image.info.sizes[1], image.info.rgb), ref.key)
    counts = {count for count, _ in example}
    colors = all(count == 1 or (count == 3 and rgb) for count, rgb in example)
    if color != "auto":
        if not colors:
            raise MiaError(f"color={color} needs grey or RGB images, but {next(iter(example.values()))} is neither")
        return (1 if color == "grey" else 3), None
    if len(counts) == 1:
        return counts.pop(), None
    if colors:
        return 3, None
    found = "; ".join(f"{name}: {count}" for (count, _), name in example.items())
    raise MiaError(f"the images differ in their number of channels ({found}). Choose with --set channels=0,1,...")


def choose_inputs(project: Project, frames: Sequence[Frame], config: TrainConfig) -> tuple[Inputs, bool]:
    """What the network sees of an image, and whether that is colour."""
    refs = list({ref.key: ref for ref, _ in frames}.values())
    count, chosen = choose_channels(project, refs, config.channels, config.color)
    if config.neighbours:
        for ref in refs:
            with open_ref(project, ref) as image:
                if image.info.sizes[2] == 1:
                    raise MiaError(f"neighbours={config.neighbours} needs z-stacks, but {ref.key} has one plane in z")
    rgb = count == 3 and chosen is None and config.neighbours == 0
    if config.augment_stain and not rgb:
        raise MiaError("augment_stain changes the stains of RGB images, but these are not RGB. Leave it empty.")
    return Inputs(count, chosen, config.neighbours, config.downscale), rgb
