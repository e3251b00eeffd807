"""Objects of two tracked sequences, and which is which on every frame."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia_tui.analysis.matching import numbered
from mia_tui.errors import MiaError

Array = NDArray[Any]
_MAX_DENSE = 1 << 22
"""Pairs of objects up to which overlaps are counted in a full table."""


@dataclass(frozen=True)
class Overlaps:
    """The objects of two label images and the pairs that share pixels.

    Attributes
    ----------
    true, found : (N,), (M,) int64
        Labels, ascending.
    true_size, found_size : int64
        Pixels of each.
    pairs : (P, 2) int64
        Index of a true and of a found object that overlap, by the true one.
    shared : (P,) int64
        Pixels that a pair has in common.
    """

    true: Array
    found: Array
    true_size: Array
    found_size: Array
    pairs: Array
    shared: Array

    @property
    def matched(self) -> Array:
        """(P,) bool: the found object covers more than half of the true one, which therefore has at most one match."""
        covered: Array = 2 * self.shared > self.true_size[self.pairs[:, 0]]
        return covered

    @property
    def iou(self) -> Array:
        """(P,) float64 intersection over union."""
        true, found = self.pairs.T
        ratio: Array = self.shared / (self.true_size[true] + self.found_size[found] - self.shared)
        return ratio


def overlaps(truth: Array, found: Array) -> Overlaps:
    """Count how many pixels the objects of two label images share.

    Raises
    ------
    MiaError
        For images of different shapes.
    """
    if truth.shape != found.shape:
        raise MiaError(f"label images of different shapes cannot be compared: {truth.shape} and {found.shape}")
    flat_true, flat_found = truth.ravel(), found.ravel()
    used = np.flatnonzero((flat_true != 0) | (flat_found != 0))  # most pixels are background
    i, true = numbered(flat_true[used])
    j, own = numbered(flat_found[used])
    both = (i > 0) & (j > 0)
    key = (i[both] - 1) * len(own) + j[both] - 1
    if len(true) * len(own) <= max(_MAX_DENSE, truth.size):
        counts = np.bincount(key)
        keys = np.flatnonzero(counts)
        shared = counts[keys]
    else:
        keys, shared = np.unique(key, return_counts=True)
    pairs = np.stack(np.divmod(keys, max(len(own), 1)), 1)
    sizes = [np.bincount(index, minlength=len(labels) + 1)[1:] for index, labels in ((i, true), (j, own))]
    return Overlaps(true, own, sizes[0], sizes[1], pairs, shared)


@dataclass(frozen=True)
class Objects:
    """One side: its objects sorted by frame, then label, and its tracks.

    Attributes
    ----------
    frame, label : (N,) int64
    spans : (K, 4) int64
        Track, first frame, last frame, mother or 0.
    """

    frame: Array
    label: Array
    spans: Array

    def __len__(self) -> int:
        return len(self.frame)

    def at(self, frame: Array, label: Array) -> Array:
        """Indices of the objects with these frames and labels, which must be there."""
        top = int(max(self.label.max(initial=0), label.max(initial=0))) + 1
        keys, wanted = self.frame * top + self.label, frame * top + label
        where = np.searchsorted(keys, wanted)
        if len(wanted) and (len(keys) == 0 or (keys[np.minimum(where, len(keys) - 1)] != wanted).any()):
            raise ValueError("a track has no object where its table says that it has one")
        return where

    def by_track(self) -> Array:
        """Indices of the objects in the order of their tracks, each track by frame."""
        return np.lexsort((self.frame, self.label))

    def divisions(self) -> dict[int, list[int]]:
        """Mother -> the rows of `spans` of her daughters, for those with two or more, in ascending order of mothers."""
        daughters: dict[int, list[int]] = {}
        for row in np.flatnonzero(self.spans[:, 3] > 0).tolist():
            daughters.setdefault(int(self.spans[row, 3]), []).append(row)
        return {mother: rows for mother, rows in sorted(daughters.items()) if len(rows) > 1}


@dataclass(frozen=True)
class Matched:
    """Two sequences and which object is which.

    Attributes
    ----------
    partner : (N,) int64
        For every true object the found one that covers more than half of it, or -1.
    partners : (M,) int64
        For every found object how many true ones it is the partner of; from 2 on it would have to be split.
    """

    truth: Objects
    found: Objects
    partner: Array
    partners: Array

    @property
    def alone(self) -> Array:
        """(N,) bool: the partner of the true object is no other's."""
        alone = np.zeros(len(self.truth), bool)
        has = self.partner >= 0
        alone[has] = self.partners[self.partner[has]] == 1
        return alone


def match_sequences(masks: Iterable[tuple[Array, Array]], truth_spans: Array, found_spans: Array) -> Matched:
    """Match two tracked sequences, two label images in memory at a time.

    Parameters
    ----------
    masks : iterable of two (Y, X) or (Z, Y, X) int arrays
        True and found label image of every frame; the value is the track, 0 is background.
    truth_spans, found_spans : (K, 4) int array
        Track, first frame, last frame, mother or 0.

    Raises
    ------
    MiaError
        When the two label images of a frame have different shapes.
    """
    sides: tuple[list[Array], list[Array]] = ([], [])
    frames: tuple[list[Array], list[Array]] = ([], [])
    partner: list[Array] = []
    before = 0
    for frame, (truth, found) in enumerate(masks):
        both = overlaps(truth, found)
        for side, times, labels in zip(sides, frames, (both.true, both.found), strict=True):
            side.append(labels)
            times.append(np.full(len(labels), frame))
        own = np.full(len(both.true), -1)
        i, j = both.pairs[both.matched].T
        own[i] = before + j
        partner.append(own)
        before += len(both.found)
    none = [np.empty(0, np.int64)]
    truth_side, found_side = (
        Objects(np.concatenate(times + none), np.concatenate(side + none).astype(np.int64), np.asarray(spans, np.int64))
        for side, times, spans in zip(sides, frames, (truth_spans, found_spans), strict=True)
    )
    partners = np.concatenate(partner + none)
    counts = np.bincount(partners[partners >= 0], minlength=len(found_side))
    return Matched(truth_side, found_side, partners, counts)
