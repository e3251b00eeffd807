"""What a label is: one object with an outline (or a point), and all of them on one frame."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from shapely.geometry.base import BaseGeometry

from mia_tui.project import RESERVED_CLASS

AREA_CLASS = RESERVED_CLASS
"""Classification of the features that say where a frame is annotated. No class of a project may carry this name."""

SOURCES = ("manual", "accepted", "corrected", "imported", "predicted")


@dataclass(frozen=True)
class LabelObject:
    """One object on one frame.

    Attributes
    ----------
    id : int
        At least 1, unique in its frame.
    geometry : shapely Polygon, MultiPolygon or Point
        (x, y) in pixels of the full-resolution image; (0, 0) is the corner of the top-left pixel, whose centre is
        (0.5, 0.5).
    label_class : str
        Name of its class.
    source : str
        Who made it: one of `SOURCES`.
    score : float, optional
        Confidence of a prediction, 0 to 1.
    track : int, optional
        The track it belongs to.
    origin : str, optional
        `<model>#<id>` of the prediction it came from.
    extra : dict
        What other programs wrote into its feature. Kept when the file is rewritten; no part of equality.
    """

    id: int
    geometry: BaseGeometry
    label_class: str
    source: str = "manual"
    score: float | None = None
    track: int | None = None
    origin: str | None = None
    extra: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Foreign:
    """What other programs wrote into a label file: kept when it is rewritten.

    `members` of the collection, whole `features` that are neither an outline nor a point, and the unknown parts of
    annotated `areas`, by the WKB of their geometry.
    """

    members: dict[str, Any] = field(default_factory=dict)
    features: tuple[dict[str, Any], ...] = ()
    areas: dict[bytes, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class FrameLabels:
    """Everything on one frame. Treat `objects` as read-only: changes go through `store.FrameStore`.

    Attributes
    ----------
    height, width : int
        Size of the frame in pixels.
    objects : dict
        id -> object, by ascending id (which is also the order of painting).
    areas : tuple of shapely geometries
        Where the frame is annotated; () means everywhere.
    rejected : frozenset of int
        Predictions only: ids that a person rejected.
    next_id : int
        Every id handed out so far is below it.
    """

    height: int
    width: int
    objects: dict[int, LabelObject] = field(default_factory=dict)
    areas: tuple[BaseGeometry, ...] = ()
    rejected: frozenset[int] = frozenset()
    next_id: int = 1
    foreign: Foreign = field(default_factory=Foreign, compare=False, repr=False)

    @classmethod
    def of(cls, height: int, width: int, objects: Iterable[LabelObject]) -> "FrameLabels":
        """A frame that holds these objects, whose ids must all differ."""
        listed = list(objects)
        by_id = {item.id: item for item in sorted(listed, key=lambda item: item.id)}
        if len(by_id) < len(listed):
            raise ValueError("two objects of one frame have the same id")
        return cls(height, width, by_id, next_id=max(by_id, default=0) + 1)
