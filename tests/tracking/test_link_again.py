"""Decisions of a person hold, solving again leaves the rest alone, and frames are added without linking the past."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from edge_scores import detections_of, edge_f1
from hypothesis import given, settings
from hypothesis import strategies as st

from mia_tui.errors import MiaError
from mia_tui.simulate.motion import EASY, simulate_points
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.link import extend, fill_gaps, link, link_and_learn, relink
from mia_tui.tracking.options import LinkOptions
from mia_tui.tracking.pins import Pins
from mia_tui.tracking.tracks import check, tracks_of

METHODS = ("points", "hungarian")
CROWDED = replace(EASY, spacing=32.0, division=0.02, missed=0.1)
Pairs = set[tuple[int, int]]


def pairs(edges: Any) -> Pairs:
    return set(map(tuple, np.asarray(edges).tolist()))


def some_pins(found: Detections, edges: Any, rng: np.random.Generator) -> Pins:
    """Some found links forbidden, some links between near frames demanded (each object on either side once)."""
    cannot = edges[rng.random(len(edges)) < 0.05]
    must: list[tuple[int, int]] = []
    for row in rng.permutation(len(found))[:8].tolist():
        later = np.flatnonzero((found.frame > found.frame[row]) & (found.frame <= found.frame[row] + 4))
        if len(later):
            must.append((row, int(rng.choice(later))))
    must = [pair for i, pair in enumerate(must) if pair[1] not in {other[1] for other in must[:i]}]
    must = [pair for i, pair in enumerate(must) if pair[0] not in {other[0] for other in must[:i]}]
    return Pins(np.array(must).reshape(-1, 2), np.array([pair for pair in cannot.tolist() if tuple(pair) not in must]))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(METHODS), st.booleans())
def test_decisions_hold(seed: int, method: str, merges: bool) -> None:
    movie = simulate_points(8, 25, CROWDED, seed=seed)
    found = detections_of(movie)
    options = LinkOptions(method=method, merges=merges)
    edges, motion = link_and_learn(found, options)
    pins = some_pins(found, edges, np.random.default_rng(seed))
    rows = np.unique(np.concatenate([pins.must, pins.cannot.reshape(-1, 2)]))
    for solved in (link(found, options, pins=pins), relink(found, edges, motion, rows, options, pins=pins)):
        there = pairs(solved)
        assert pairs(pins.must) <= there
        assert not pairs(pins.cannot) & there
        assert len(there) == len(solved)
        assert np.bincount(solved[:, 1]).max(initial=0) <= (2 if merges else 1)
        assert np.bincount(solved[:, 0]).max(initial=0) <= (2 if method == "points" else 1)
        tracks_of(found, solved)
    back = relink(found, solved, motion, rows, options)
    assert np.array_equal(back, edges)


@pytest.mark.parametrize("method", METHODS)
def test_solving_again_without_a_decision_changes_nothing(method: str) -> None:
    found = detections_of(simulate_points(20, 80, CROWDED, seed=1))
    options = LinkOptions(method=method)
    edges, motion = link_and_learn(found, options)
    for rows in ([], [0], [500], range(300, 340), range(len(found))):
        assert np.array_equal(relink(found, edges, motion, list(rows), options), edges)


def test_only_the_touched_components_are_solved_again() -> None:
    found = detections_of(simulate_points(20, 80, CROWDED, seed=2))
    options = LinkOptions(method="points")
    edges, motion = link_and_learn(found, options)
    strange = edges.copy()  # links that no solver would give, far from what is touched
    here = np.flatnonzero(found.frame[edges[:, 1]] == 3)[:2]
    strange[here, 0] = strange[here[::-1], 0]
    strange = strange[np.lexsort(strange.T)]
    cut = edges[np.flatnonzero(found.frame[edges[:, 1]] == 12)[4]]
    pins = Pins(cannot=cut[None])
    solved = relink(found, strange, motion, cut, options, pins=pins)
    assert pairs(strange) - pairs(solved) >= {tuple(cut)}
    assert {tuple(link) for link in strange[here].tolist()} <= pairs(solved)
    changed = np.array(sorted(pairs(strange) ^ pairs(solved)))
    assert np.abs(found.frame[changed] - 12).max() <= 4
    assert np.linalg.norm(found.position[changed] - found.position[cut[0]], axis=2).max() < 150


@pytest.mark.parametrize("method", METHODS)
def test_a_demanded_link_takes_the_objects_from_their_tracks(method: str) -> None:
    place = [[0, 0], [0, 20], [0, 1], [0, 21], [0, 2], [0, 22]]
    found = Detections.of([0, 0, 1, 1, 2, 2], place)
    options = LinkOptions(method=method, max_distance=25, divisions=False)
    edges, motion = link_and_learn(found, options)
    assert pairs(edges) == {(0, 2), (1, 3), (2, 4), (3, 5)}
    pins = Pins(must=np.array([[0, 3]]))
    solved = relink(found, edges, motion, [0, 3], options, pins=pins)
    assert pairs(solved) == {(0, 3), (1, 2), (2, 4), (3, 5)}
    assert np.array_equal(solved, link(found, options, pins=pins))
    assert np.array_equal(relink(found, solved, motion, [0, 3], options), edges)


@pytest.mark.parametrize(
    ("must", "cannot", "says"),
    [([[0, 9]], [], "not there any more"), ([[2, 0]], [], "forward in time"), ([[0, 1]], [[0, 1]], "twice")],
)
def test_decisions_that_cannot_be_are_named(must: list, cannot: list, says: str) -> None:
    found = Detections.of([0, 1, 2], np.zeros((3, 2)))
    with pytest.raises(MiaError, match=says):
        link(found, pins=Pins(np.array(must), np.array(cannot).reshape(-1, 2)))


def until(found: Detections, frames: int) -> Detections:
    keep = found.frame < frames
    return Detections.of(
        found.frame[keep], found.position[keep], label=found.label[keep], score=found.score[keep],
        classes=found.classes, frames=frames,
    )  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_frames_are_added_as_if_they_had_been_there(method: str) -> None:
    movie = simulate_points(30, 80, replace(EASY, jumps={26: (40.0, 30.0)}), seed=3)
    found = detections_of(movie)
    options = LinkOptions(method=method)
    edges, motion = link_and_learn(until(found, 20), options)
    past = edges
    for frames in (21, 22, 27, 30):
        edges, motion = extend(until(found, frames), edges, motion, options)
        assert np.array_equal(edges[: len(past)], past)  # sorted by frame: the past comes first
        past = edges
    whole, learnt = link_and_learn(found, options)
    step = found.frame[whole[:, 1]] - found.frame[whole[:, 0]] == 1
    nearest = pairs(whole[step])
    assert len(nearest & pairs(edges)) / len(nearest) > 0.995  # but for divisions, which see what comes later
    assert np.array_equal(motion.drift, learnt.drift)
    assert np.array_equal(motion.spread, learnt.spread)
    assert edge_f1(edges, movie.edges) > edge_f1(whole, movie.edges) - 0.01
    check(tracks_of(found, edges))


def test_frames_are_added_to_nothing() -> None:
    nothing = Detections.of([], [], frames=0)
    edges, motion = link_and_learn(nothing)
    movie = simulate_points(6, 40, EASY, seed=4)
    found = detections_of(movie)
    for frames in range(1, 7):
        edges, motion = extend(until(found, frames), edges, motion)
    assert edge_f1(edges, movie.edges) > 0.9


def test_gaps_are_filled_on_straight_lines() -> None:
    found = Detections.of([0, 3, 4, 0, 1], [[0, 0], [3, 6], [4, 6], [9, 9], [9, 8]], area=[10, 40, 1, 5, 5], frames=5)
    tracks = tracks_of(found, [(0, 3), (1, 2), (3, 4)])
    filled = fill_gaps(tracks)
    line = filled.track == 1
    assert filled.frame[line].tolist() == [0, 1, 2, 3, 4]
    assert filled.position[line].tolist() == [[0, 0], [1, 2], [2, 4], [3, 6], [4, 6]]
    assert filled.object[line].tolist() == [1, 0, 0, 1, 1]
    assert filled.area[line].tolist() == [10, 20, 30, 40, 1]
    check(filled)
    assert fill_gaps(filled).frame.tolist() == filled.frame.tolist()


def test_low_scores_and_decisions() -> None:
    movie = simulate_points(12, 40, CROWDED, seed=5)
    score = np.random.default_rng(0).uniform(0, 1, len(movie.frame))
    found = Detections.of(movie.frame, movie.position, score=score, frames=movie.frames)
    for method in METHODS:
        options = LinkOptions(method=method, low_score=0.3)
        edges, motion = link_and_learn(found, options)
        first = ~np.isin(np.arange(len(found)), edges[:, 1])
        assert not (first & (score < 0.3) & np.isin(np.arange(len(found)), edges[:, 0])).any()
        cut = edges[(score[edges[:, 1]] < 0.3)][5]
        solved = relink(found, edges, motion, cut, options, pins=Pins(cannot=cut[None]))
        first = ~np.isin(np.arange(len(found)), solved[:, 1])
        assert not (first & (score < 0.3) & np.isin(np.arange(len(found)), solved[:, 0])).any()
