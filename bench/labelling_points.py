"""The oracle with points: accept all, delete what is no object, add what is missing."""

import numpy as np
import shapely
from labelling_hand import Hand
from labelling_scrub import scrub
from labelling_truth import NEAR, Truth, paired
from labelling_ways import by_hints, grid_ways
from numpy.typing import NDArray

from mia_tui.labeling.desk.refs import candidate, label

ROUNDS = 3
HINT_S, ADD_S = 0.8, 1.2
"""Expected seconds of deleting a point and of adding one."""


def points_on(hand: Hand) -> tuple[list[int], NDArray[np.float64]]:
    """Ids and places (N, 2) of (y, x) of all labels."""
    objects = hand.desk.labels.objects
    places = [shapely.get_coordinates(item.geometry)[0][::-1] for item in objects.values()]
    return list(objects), np.array(places, float).reshape(-1, 2)


def label_points(hand: Hand, truth: Truth) -> dict[str, int]:
    """Label an image; how many objects were hit untouched, deleted, added, and not reached."""
    hand.press("space")
    scrub(hand, lambda: expected(hand, truth))
    hand.purpose = "propose"
    if hand.desk.pending:
        hand.press("A")
    ids, places = points_on(hand)
    untouched = len(paired(places, truth))
    deleted = added = doubtful = 0
    for _ in range(ROUNDS):
        ids, places = points_on(hand)
        hits = paired(places, truth)
        wrong = [label(ids[index]) for index in range(len(ids)) if index not in hits]
        hand.purpose = "delete"
        by_hints(hand, "d", wrong)
        deleted += len(wrong)
        missing = [number for number in range(1, truth.count + 1) if number not in set(hits.values())]
        hand.purpose = "add by hint"
        doubtful += add_doubtful(hand, truth, missing)
        _, places = points_on(hand)
        found = set(paired(places, truth).values())
        missing = [number for number in missing if number not in found]
        hand.purpose = "add"
        added += add_points(hand, truth, missing)
        if not wrong and not missing:
            break
    ids, places = points_on(hand)
    hits = paired(places, truth)
    return {
        "untouched": untouched, "deleted": deleted, "added by hint": doubtful, "added": added,
        "left": truth.count - len(hits), "wrong": len(ids) - len(hits),
    }  # fmt: skip


def expected(hand: Hand, truth: Truth) -> float:
    """Seconds that mending the present proposals would take, roughly."""
    places = [shapely.get_coordinates(item.geometry)[0][::-1] for item in hand.desk.pending]
    hits = len(paired(np.array(places, float).reshape(-1, 2), truth))
    return HINT_S * (len(places) - hits) + ADD_S * (truth.count - hits)


def add_doubtful(hand: Hand, truth: Truth, missing: list[int]) -> int:
    """Add by hint what may be an object and is one."""
    if not missing:
        return 0
    with hand.trial():
        hand.press("Y")
        numbers = [item.number for item in hand.desk.pending]
        places = np.array([shapely.get_coordinates(item.geometry)[0][::-1] for item in hand.desk.pending], float)
    hits = paired(places.reshape(-1, 2), truth)
    wanted = [candidate(numbers[index]) for index, number in hits.items() if number in missing]
    by_hints(hand, "Y", wanted)
    return len(wanted)


def add_points(hand: Hand, truth: Truth, missing: list[int]) -> int:
    """Add points by the grid; how many."""
    added = 0
    for number in missing:
        y, x = truth.middles[number].tolist()
        _, there = points_on(hand)
        for way in grid_ways(hand, [(y, x)]):
            if np.hypot(way.place[0] - y, way.place[1] - x) > NEAR * truth.radii[number]:
                continue
            if len(there) and np.hypot(*(there - way.place).T).min() < 3.0:
                continue
            if not added:
                hand.press("a")
            before = len(there)
            hand.press(*way.keys)
            added += len(hand.desk.labels.objects) > before
            break
    if added:
        hand.press("escape")
    return added
