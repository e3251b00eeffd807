"""Who is next to whom, and for how long."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mia_tui.tracking.tracks import Tracks

Array = npt.NDArray[Any]
Masks = Callable[[int], Array]
"""Frame -> (Y, X) label image of the object ids on that frame."""

TOUCHING = 1.5
"""Pixels: two masks with pixels that are neighbours, also across a corner."""


@dataclass(frozen=True)
class Contact:
    """Two tracks next to each other without a break.

    A frame on which one of the two has no object says nothing: it ends no contact and does not count as one.

    Attributes
    ----------
    a, b : int
        Tracks, a < b.
    first, last : int
        Frames, 0-based.
    frames : int
        Frames on which the contact was seen.
    """

    a: int
    b: int
    first: int
    last: int
    frames: int


def mask_neighbours(labels: Array, distance: float = TOUCHING) -> Array:
    """(P, 2) pairs (smaller, larger) of ids that have pixels whose centres are `distance` pixels apart or less.

    Parameters
    ----------
    labels : (Y, X) int
        0 is background.

    Notes
    -----
    Of the two pixels nearest to each other the first is at the border of its object, so only border pixels look around,
    one shift of the image after the other.
    """
    reach = int(distance)
    padded = np.pad(labels, reach + 1)
    own = padded[1:-1, 1:-1]
    edge = np.zeros(padded.shape, bool)
    edge[1:-1, 1:-1] = (own > 0) & (
        (padded[:-2, 1:-1] != own) | (padded[2:, 1:-1] != own) | (padded[1:-1, :-2] != own) | (padded[1:-1, 2:] != own)
    )
    y, x = np.nonzero(edge)
    here = padded[y, x].astype(np.int64)
    most = int(padded.max(initial=0)) + 1
    found: list[Array] = [np.zeros(0, np.int64)]
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if 0 < dy * dy + dx * dx <= distance * distance:
                there = padded[y + dy, x + dx].astype(np.int64)
                met = there > here  # the smaller of two ids looks, too: each pair is found from it
                found.append(np.unique(here[met] * most + there[met]))
    return np.stack(np.divmod(np.unique(np.concatenate(found)), most), 1)


def point_neighbours(position: Array, distance: float) -> Array:
    """(P, 2) pairs (smaller, larger) of rows of positions that are `distance` apart or less."""
    from scipy.spatial import cKDTree

    if len(position) < 2:
        return np.zeros((0, 2), np.int64)
    return np.sort(cKDTree(position).query_pairs(distance, output_type="ndarray").astype(np.int64), axis=1)


def contacts(tracks: Tracks, distance: float, masks: Masks | None = None) -> list[Contact]:
    """All contacts, by pair of tracks, then time.

    Parameters
    ----------
    distance : float
        Pixels: between the nearest pixels of two masks, or between positions (planes count as one pixel) where
        there are no masks.
    masks : callable, optional
        Called once for every frame with two objects or more.
    """
    rows = np.flatnonzero(tracks.object > 0)
    rows = rows[np.argsort(tracks.frame[rows], kind="stable")]
    starts = np.searchsorted(tracks.frame[rows], np.arange(tracks.frames + 1))
    met: dict[tuple[int, int], list[int]] = {}
    for frame in range(tracks.frames):
        own = rows[starts[frame] : starts[frame + 1]]
        if len(own) < 2:
            continue
        for a, b in np.sort(tracks.track[_pairs(tracks, own, distance, masks, frame)], axis=1).tolist():
            met.setdefault((a, b), []).append(frame)
    seen = {pair: _frames_of(tracks, pair) for pair in met}
    return [one for pair in sorted(met) for one in _runs(pair, met[pair], *seen[pair])]


def _pairs(tracks: Tracks, own: Array, distance: float, masks: Masks | None, frame: int) -> Array:
    """(P, 2) pairs of rows of `tracks` that are next to each other on one frame."""
    if masks is None:
        return own[point_neighbours(tracks.position[own], distance)]
    pairs = mask_neighbours(masks(frame), distance)
    order = np.argsort(tracks.object[own])
    ids = tracks.object[own][order]
    at = np.minimum(np.searchsorted(ids, pairs), len(ids) - 1)
    tracked = (ids[at] == pairs).all(axis=1)
    rows: Array = own[order][at[tracked]]
    return rows


def _frames_of(tracks: Tracks, pair: tuple[int, int]) -> tuple[set[int], set[int]]:
    """The frames on which each of two tracks has an object."""
    found = []
    for track in pair:
        own = slice(*np.searchsorted(tracks.track, [track, track + 1]))
        found.append(set(tracks.frame[own][tracks.object[own] > 0].tolist()))
    return found[0], found[1]


def _runs(pair: tuple[int, int], frames: Iterable[int], a: set[int], b: set[int]) -> list[Contact]:
    """Contacts of one pair: frames of contact are cut where both were seen apart in between."""
    runs: list[list[int]] = []
    for frame in frames:
        apart = bool(runs) and any(t in a and t in b for t in range(runs[-1][-1] + 1, frame))
        if not runs or apart:
            runs.append([])
        runs[-1].append(frame)
    return [Contact(*pair, run[0], run[-1], len(run)) for run in runs]
