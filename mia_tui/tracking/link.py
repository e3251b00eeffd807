"""Linking: which objects of a sequence are the same one through time, and which divide."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mia_tui.errors import MiaError
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.first_pass import Book, Linker, link_frame
from mia_tui.tracking.hungarian import Hungarian
from mia_tui.tracking.masks import Overlap
from mia_tui.tracking.options import LinkOptions, Method
from mia_tui.tracking.pins import Pins
from mia_tui.tracking.points import Motion, Points
from mia_tui.tracking.second_pass import Scene, learn_and_close

Array = npt.NDArray[Any]
Masks = Callable[[int], Array]
Progress = Callable[[int, int], None]


def link(
    detections: Detections,
    options: LinkOptions = LinkOptions(),
    masks: Masks | None = None,
    pins: Pins = Pins(),
    progress: Progress | None = None,
) -> Array:
    """Link the detections of a sequence.

    Parameters
    ----------
    detections : Detections
    options : LinkOptions
    masks : callable, optional
        Gives the (Y, X) label image of a frame, whose values are `detections.object` of that frame. It is called for
        each frame in turn.
    pins : Pins
        Links that must be and links that cannot.
    progress : callable, optional
        Called with the number of frames done and of all frames.

    Returns
    -------
    (E, 2) int64
        Rows (from, to), sorted by `to`, then `from`; for `tracks_of`. Two from one row are a division.

    Raises
    ------
    MiaError
        When the pins contradict each other, or the method needs masks and there are none.
    """
    return link_and_learn(detections, options, masks, pins, progress)[0]


def link_and_learn(
    detections: Detections,
    options: LinkOptions = LinkOptions(),
    masks: Masks | None = None,
    pins: Pins = Pins(),
    progress: Progress | None = None,
) -> tuple[Array, Motion]:
    """As `link`, with what was learnt of the motion, which `extend` and `relink` go on with."""
    pins = pins.checked(detections)
    motion = Motion.blank(detections.frames, detections.position.shape[1])
    linker = _linker(detections, options, masks, motion, 0)
    book = Book.blank(detections, options, pins)
    for t in range(1, detections.frames):
        link_frame(t, linker, book)
        if progress is not None:
            progress(t + 1, detections.frames)
    edges = book.edges()
    if isinstance(linker, Points) and detections.frames > 1 and len(detections):
        closed, motion.rates = learn_and_close(Scene(detections, scaled(detections, options), options, motion, book))
        edges = np.concatenate([edges, closed])
    return _sorted(edges), motion


def method_of(options: LinkOptions, masks: Masks | None) -> Method:
    """The method that "auto" stands for."""
    return options.method if options.method != "auto" else "points" if masks is None else "masks"


def _linker(detections: Detections, options: LinkOptions, masks: Masks | None, motion: Motion, known: int) -> Linker:
    places, method = scaled(detections, options), method_of(options, masks)
    if method == "hungarian":
        return Hungarian(detections, places, options)
    if method == "masks":
        if masks is None:
            raise MiaError("linking by overlap needs label images, and these are points: choose points or hungarian.")
        return Overlap(detections, options, masks)
    return Points(detections, places, options, motion, known)


def scaled(detections: Detections, options: LinkOptions) -> Array:
    """Positions with z in pixels."""
    if detections.position.shape[1] == 2 or options.z_ratio == 1:
        return detections.position
    return detections.position * [options.z_ratio, 1.0, 1.0]


def _sorted(edges: Array) -> Array:
    """By target, then source."""
    return edges[np.lexsort(edges.T)]
