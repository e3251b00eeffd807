"""Linking: which objects of a sequence are the same one through time, and which divide."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mia_tui.errors import MiaError
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.first_pass import Book, Linker, link_frame, solve_again
from mia_tui.tracking.hungarian import Hungarian
from mia_tui.tracking.masks import Overlap
from mia_tui.tracking.options import LinkOptions, Method
from mia_tui.tracking.pins import Pins
from mia_tui.tracking.points import Motion, Points
from mia_tui.tracking.scene import Scene
from mia_tui.tracking.second_pass import close_again, learn_and_close
from mia_tui.tracking.tracks import Tracks

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


def extend(
    detections: Detections,
    edges: Array,
    motion: Motion,
    options: LinkOptions = LinkOptions(),
    masks: Masks | None = None,
    pins: Pins = Pins(),
) -> tuple[Array, Motion]:
    """Link frames that were added behind those that are linked already, whose links stay as they are.

    Parameters
    ----------
    detections : Detections
        Of all frames; rows of the old ones are what they were.
    edges : (E, 2) int64
        Links of the old frames.
    motion : Motion
        What was learnt of them.

    Returns
    -------
    edges : (E, 2) int64
        Of all frames, sorted by `to`, then `from`. The first pass links the new frames as if they had been there at
        once; the second one finds what their starts come from with the rates of the old ones.
    motion : Motion
    """
    pins = pins.checked(detections)
    old = len(motion.drift)
    motion = motion.longer(detections.frames)
    linker = _linker(detections, options, masks, motion, old)
    book, second = _opened(detections, linker, options, pins, edges)
    for t in range(max(old, 1), detections.frames):
        link_frame(t, linker, book)
    if isinstance(linker, Points) and motion.rates is not None and old < detections.frames:
        scene = Scene(detections, scaled(detections, options), options, motion, book)
        kept, new = close_again(scene, motion.rates, range(max(old, 1), detections.frames), second)
        second = np.concatenate([kept, new])
    return _together(book, second), motion


def relink(
    detections: Detections,
    edges: Array,
    motion: Motion,
    rows: npt.ArrayLike,
    options: LinkOptions = LinkOptions(),
    masks: Masks | None = None,
    pins: Pins = Pins(),
) -> Array:
    """Solve again what has to do with some detections, after decisions about them; all other links stay as they are.

    Parameters
    ----------
    detections, edges, motion, options, masks
        As they were linked.
    rows : (n,) int
        The detections that decisions were made on, or taken back.
    pins : Pins
        All decisions, not only those about `rows`.

    Returns
    -------
    (E, 2) int64
        Links, sorted by `to`, then `from`. Solved again are the connected components of the possible links of these
        rows on their frames; where waiting over missed frames or low scores carry a change on, the next ones; then the
        components of the second pass that the changed tracks are in.
    """
    pins = pins.checked(detections)
    touched = np.unique(np.asarray(rows, np.int64).reshape(-1))
    linker = _linker(detections, options, masks, motion, detections.frames)
    book, second = _opened(detections, linker, options, pins, edges)
    if not len(touched):
        return _together(book, second)
    changed = solve_again(linker, book, touched)
    if not isinstance(linker, Points) or motion.rates is None:
        return _together(book, second[~np.isin(second, changed).any(1)])
    scene = Scene(detections, scaled(detections, options), options, motion, book)
    changed = scene.around(changed)
    frames = detections.frame[changed]
    reach = options.gap("points") + 1
    window = range(max(int(frames.min()), 1), min(int(frames.max()) + reach + 1, detections.frames))
    kept, new = close_again(scene, motion.rates, window, second, changed)
    return _together(book, np.concatenate([kept, new]))


def left_out(detections: Detections, edges: Array, options: LinkOptions) -> Array:
    """(N,) bool: detections with a low score that extend no track, so that they are none themselves."""
    linked = np.zeros(len(detections), bool)
    linked[np.asarray(edges, np.int64).reshape(-1)] = True
    alone: Array = ~linked & (detections.score < options.low_score)
    return alone


def _opened(
    detections: Detections, linker: Linker, options: LinkOptions, pins: Pins, edges: Array
) -> tuple[Book, Array]:
    """The book with the links of the first pass entered, and those of the second one (or of former decisions)."""
    links = np.asarray(edges, np.int64).reshape(-1, 2)
    book = Book.blank(detections, options, pins)
    if not len(links):
        return book, links
    if (np.diff(links[:, 1]) < 0).any():
        links = _sorted(links)
    if len(pins.must):
        codes = links[:, 1] * len(detections) + links[:, 0]
        links = links[~np.isin(codes, pins.must[:, 1] * len(detections) + pins.must[:, 0])]
    source, target = links.T
    count = len(detections)
    later = detections.frame[target] - detections.frame[source] > linker.reach
    again = np.zeros(len(links), bool)
    if (np.diff(target) == 0).any():
        again |= _not_cheapest(linker, source, target, target, count)
    if not linker.divides:
        again |= _not_cheapest(linker, source, target, source, count)
    first = ~(later | again)
    book.enter(source[first], target[first])
    return book, links[~first]


def _not_cheapest(linker: Linker, source: Array, target: Array, end: Array, count: int) -> Array:
    """(E,) bool: which links share their `end` with a cheaper one, which then is that of the first pass."""
    worse = np.zeros(len(end), bool)
    shared = np.flatnonzero(np.bincount(end, minlength=count)[end] > 1)
    if len(shared):
        cost = linker.cost(source[shared], target[shared])
        order = shared[np.lexsort((cost, end[shared]))]
        worse[order[1:][np.diff(end[order]) == 0]] = True
    return worse


def _together(book: Book, second: Array) -> Array:
    """All links, sorted by target, then source; those of the first pass are sorted already."""
    target = np.flatnonzero(book.into >= 0)
    first = np.stack([book.into[target], target], 1)
    more = _sorted(np.concatenate([second, book.pins.must]))
    joined: Array = np.insert(first, np.searchsorted(target, more[:, 1]), more, axis=0)
    return _sorted(joined) if (book.into[more[:, 1]] >= 0).any() else joined


def fill_gaps(tracks: Tracks) -> Tracks:
    """Tracks with a row on each frame that they pass without an object: `object` 0, the position on the straight line.

    Area and plane go straight too, the score is the lower one of both sides, the class is that before the gap.
    """
    same = np.diff(tracks.track) == 0
    missed = np.where(same, np.diff(tracks.frame) - 1, 0)
    before = np.repeat(np.arange(len(missed)), missed)
    if not len(before):
        return tracks
    step = 1 + np.arange(len(before)) - np.repeat(missed.cumsum() - missed, missed)
    share = step / (missed[before] + 1)

    def between(values: Array) -> Array:
        part = share.reshape(-1, *(1,) * (values.ndim - 1))
        middle: Array = values[before] * (1 - part) + values[before + 1] * part
        return middle

    added = {
        "track": tracks.track[before],
        "frame": tracks.frame[before] + step,
        "position": between(tracks.position),
        "object": np.zeros(len(before)),
        "plane": np.rint(between(tracks.plane)),
        "label": tracks.label[before],
        "score": np.minimum(tracks.score[before], tracks.score[before + 1]),
        "area": between(tracks.area),
    }
    place = before + 1
    columns = {
        name: np.insert(getattr(tracks, name), place, values.astype(getattr(tracks, name).dtype), axis=0)
        for name, values in added.items()
    }
    return replace(tracks, **columns)


def _sorted(edges: Array) -> Array:
    """By target, then source."""
    return edges[np.lexsort(edges.T)]
