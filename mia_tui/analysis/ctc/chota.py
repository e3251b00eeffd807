"""CHOTA: how well objects are found and associated over whole lineages.

Kaiser et al., "CHOTA: A higher order accuracy metric for cell tracking", ECCV workshops (2024).
"""

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from mia_tui.analysis.ctc.match import Array, Matched, Objects

_ROWS = 4096
"""Pairs of tracks that are worked on at a time."""


def chota(matched: Matched) -> float | None:
    """Cell-specific higher order tracking accuracy, 0 to 1. None where neither side has an object.

    Every matched pair of objects (i, j) is weighed by A = TPA / (TPA + FNA + FPA), counted over the objects of their
    relatives (the tracks themselves, their ancestors and descendants; a track with an only daughter is one track with
    it): pairs between relatives of both, objects of i's relatives outside these pairs, and of j's. CHOTA is the root of
    the sum of A over TP + FN + FP.
    """
    truth, found = matched.truth, matched.found
    if not len(truth) + len(found):
        return None
    true_tracks, true_kin = _relatives(truth)
    own_tracks, own_kin = _relatives(found)
    has = matched.partner >= 0
    pairs = coo_array(
        (np.ones(has.sum()), (true_tracks[has], own_tracks[matched.partner[has]])),
        shape=(true_kin.shape[0], own_kin.shape[0]),
    )
    pairs.sum_duplicates()
    (i, j), weight = pairs.coords, pairs.data
    objects = np.bincount(true_tracks, minlength=true_kin.shape[0])
    # An object that covers several true ones is in as many pairs.
    own = np.bincount(own_tracks, np.maximum(matched.partners, 1), minlength=own_kin.shape[0])
    of_true, of_own = true_kin @ objects, own_kin @ own
    shared = (true_kin @ pairs).tocsr()
    score = 0.0
    for start in range(0, len(i), _ROWS):
        rows, columns = i[start : start + _ROWS], j[start : start + _ROWS]
        both = shared[rows].multiply(own_kin[columns]).sum(axis=1)
        score += float((weight[start : start + _ROWS] * both / (of_true[rows] + of_own[columns] - both)).sum())
    total = has.sum() + (~has).sum() + (matched.partners == 0).sum()
    return float(np.sqrt(score / total))


def _relatives(objects: Objects) -> tuple[Array, csr_array]:
    """(N,) the merged track of every object, numbered from 0, and a sparse (T, T) table of who is related to whom."""
    spans = objects.spans
    row = {int(track): number for number, track in enumerate(spans[:, 0])}
    mother = np.array([row.get(int(track), -1) for track in spans[:, 3]], np.int64)
    children = np.bincount(mother[mother >= 0], minlength=len(spans))
    only = (mother >= 0) & (children[mother] == 1)
    links = coo_array((np.ones(only.sum()), (mother[only], np.flatnonzero(only))), shape=(len(spans), len(spans)))
    count, group = connected_components(links, directed=False) if len(spans) else (0, np.zeros(0, np.int64))
    above = np.full(count, -1)
    roots = (mother >= 0) & ~only  # a merged track comes from where its first part does
    above[group[roots]] = group[mother[roots]]
    mine, theirs = [np.arange(count)], [np.arange(count)]
    who, ancestor = np.arange(count), above
    while (ancestor >= 0).any():
        who, ancestor = who[ancestor >= 0], ancestor[ancestor >= 0]
        mine += [who, ancestor]
        theirs += [ancestor, who]
        ancestor = above[ancestor]
    places = np.concatenate(mine), np.concatenate(theirs)
    kin = csr_array((np.ones(len(places[0])), places), shape=(count, count))
    numbers = np.array([row[int(track)] for track in objects.label], np.int64)
    return group[numbers].astype(np.int64), kin
