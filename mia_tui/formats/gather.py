"""Gathering what a file holds for a frame, until it can be put into the labels."""

from dataclasses import dataclass, field, replace

from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.objects import FrameLabels, LabelObject


@dataclass
class Found:
    """What a file holds for one frame. Objects may have the id 0 (none yet) or share one, and the class "" (none)."""

    objects: list[LabelObject] = field(default_factory=list)
    areas: list[BaseGeometry] = field(default_factory=list)

    def labels(self, size: tuple[int, int], first_class: str) -> FrameLabels:
        """The frame of (height, width). Objects keep the ids that are free; the others get new ones."""
        taken: set[int] = set()
        kept: list[LabelObject] = []
        unnamed: list[LabelObject] = []
        for item in self.objects:
            (unnamed if item.id == 0 or item.id in taken else kept).append(item)
            taken.add(item.id)
        start = max(taken, default=0) + 1
        objects = [*kept, *(replace(item, id=number) for number, item in enumerate(unnamed, start))]
        objects = [item if item.label_class else replace(item, label_class=first_class) for item in objects]
        return replace(FrameLabels.of(*size, objects), areas=tuple(self.areas))


def check_inside(geometry: BaseGeometry, size: tuple[int, int]) -> None:
    """Raise `ValueError` for an outline or point no part of which lies in an image of (height, width).

    A point on the border of the image lies in it.
    """
    left, top, right, bottom = geometry.bounds
    if geometry.geom_type == "Point":
        outside = not (0 <= left <= size[1] and 0 <= top <= size[0])
    else:
        outside = right <= 0 or bottom <= 0 or left >= size[1] or top >= size[0]
    if outside:
        raise ValueError(f"it lies outside the image, at x {left:g} to {right:g}, y {top:g} to {bottom:g}")
