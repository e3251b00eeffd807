"""Linking of points: the paper's rule against a dense solver, accuracy on simulated movies, and odd sequences."""

from dataclasses import replace

import numpy as np
import pytest
from edge_scores import detections_of, division_f1, edge_f1
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from mia_tui.errors import MiaError
from mia_tui.simulate.motion import EASY, HARD, simulate_points
from mia_tui.tracking.assign import assign
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.link import Motion, left_out, link, link_and_learn
from mia_tui.tracking.options import LinkOptions
from mia_tui.tracking.tracks import check, tracks_of

HUNGARIAN = LinkOptions(method="hungarian")
POINTS = LinkOptions(method="points")


def dense_links(found: Detections, gate: float, gap: int) -> set[tuple[int, int]]:
    """The paper's rule, dense: objects last seen at most `gap` frames ago against those of the frame."""
    links: set[tuple[int, int]] = set()
    waiting: list[int] = []
    for t in range(found.frames):
        rows = np.flatnonzero(found.frame == t)
        waiting = [row for row in waiting if t - found.frame[row] <= gap + 1]
        if waiting and len(rows):
            distance = cdist(found.position[waiting], found.position[rows])
            gated = np.where(distance <= gate, distance, 1e6)
            pairs = [(i, j) for i, j in zip(*linear_sum_assignment(gated), strict=True) if gated[i, j] < 1e6]
            links |= {(int(waiting[i]), int(rows[j])) for i, j in pairs}
            waiting = [row for i, row in enumerate(waiting) if i not in {i for i, _ in pairs}]
        waiting += rows.tolist()
    return links


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 7), st.integers(0, 40), st.floats(5, 80), st.integers(0, 3)
)  # fmt: skip
def test_the_papers_rule_is_that_of_the_dense_solver(
    seed: int, frames: int, objects: int, gate: float, gap: int
) -> None:
    rng = np.random.default_rng(seed)
    frame = rng.integers(frames, size=objects * frames)
    found = Detections.of(frame, rng.uniform(0, 150, (len(frame), 2)), frames=frames)
    edges = link(found, replace(HUNGARIAN, max_distance=gate, max_gap=gap))
    assert set(map(tuple, edges.tolist())) == dense_links(found, gate, gap)


def test_the_papers_rule_on_a_crowded_movie() -> None:
    movie = simulate_points(12, 250, replace(EASY, spacing=30.0), seed=3)
    found = detections_of(movie)
    assert set(map(tuple, link(found, HUNGARIAN).tolist())) == dense_links(found, 35.0, 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 12), st.floats(0.1, 1))
def test_assignment_with_a_limit_costs_what_the_dense_one_does(
    seed: int, rows: int, columns: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    row, column = np.nonzero(rng.random((rows, columns)) < share)
    cost = rng.integers(0, 20, len(row)).astype(float)  # many ties
    chosen = assign(row, column, cost, 10.0)
    assert len(np.unique(row[chosen])) == len(np.unique(column[chosen])) == chosen.sum()
    dense = np.full((rows, columns + rows), 10.0)
    dense[row, column] = np.minimum(cost, 10.0)
    best = dense[linear_sum_assignment(dense)].sum()
    assert cost[chosen].sum() + 10.0 * (rows - chosen.sum()) == best


@pytest.mark.parametrize(
    ("motion", "edges", "divided"), [(EASY, 0.98, 0.7), (HARD, 0.95, 0.35)], ids=["easy", "hard"]
)  # fmt: skip
def test_points_are_linked_as_well_as_measured_before(motion, edges: float, divided: float) -> None:
    movie = simulate_points(60, 300, motion, seed=5)
    found = detections_of(movie)
    links = link(found, POINTS)
    assert edge_f1(links, movie.edges) >= edges
    assert edge_f1(links, movie.edges) > edge_f1(link(found, HUNGARIAN), movie.edges)
    assert division_f1(links, movie.edges) >= divided
    check(tracks_of(found, links))


def test_a_gap_is_passed_and_its_length_is_a_setting() -> None:
    movie = simulate_points(40, 60, replace(EASY, missed=0.1, division=0.0), seed=2)
    found = detections_of(movie)
    for gap in (0, 1, 2):
        links = link(found, replace(POINTS, max_gap=gap, divisions=False))
        apart = found.frame[links[:, 1]] - found.frame[links[:, 0]]
        assert apart.max() == gap + 1
        true = movie.edges[found.frame[movie.edges[:, 1]] - found.frame[movie.edges[:, 0]] == apart.max()]
        there = set(map(tuple, links.tolist()))
        assert np.mean([tuple(edge) in there for edge in true.tolist()]) > 0.7


def test_flipped_classes_break_no_tracks_unless_asked_to() -> None:
    movie = simulate_points(60, 200, replace(EASY, classes=2, flips=0.05), seed=4)
    found = detections_of(movie)
    soft, hard, ignored = (
        link(found, replace(POINTS, class_rule=rule)) for rule in ("soft", "hard", "ignore")
    )  # fmt: skip
    assert edge_f1(soft, movie.edges) >= 0.985
    assert edge_f1(soft, movie.edges) >= edge_f1(ignored, movie.edges)
    assert edge_f1(hard, movie.edges) < 0.95
    assert (found.label[hard[:, 0]] == found.label[hard[:, 1]]).all()


@pytest.mark.parametrize("method", ["points", "hungarian"])
def test_a_jump_of_the_stage(method: str) -> None:
    movie = simulate_points(20, 60, replace(EASY, jumps={8: (48.0, -36.0)}, division=0.0), seed=6)
    found = detections_of(movie)
    true = movie.edges[found.frame[movie.edges[:, 1]] == 8]
    true = true[found.frame[true[:, 0]] == 7]
    there = set(map(tuple, link(found, LinkOptions(method=method)).tolist()))
    share = np.mean([tuple(edge) in there for edge in true.tolist()])
    assert share > 0.95 if method == "points" else share < 0.5


def test_points_of_stacks_are_linked_in_pixels() -> None:
    movie = simulate_points(25, 200, EASY, seed=7, axes=3)
    planes = movie.position / [4.0, 1.0, 1.0]
    found = Detections.of(movie.frame, planes, frames=movie.frames)
    links = link(found, replace(POINTS, z_ratio=4.0))
    assert edge_f1(links, movie.edges) > 0.97
    assert link(found, replace(HUNGARIAN, z_ratio=4.0)).shape[0] > 0


def test_merges_are_found_when_asked_for() -> None:
    movie = simulate_points(50, 150, replace(EASY, division=0.006), seed=8)
    backward = movie.frames - 1 - movie.frame
    order = np.argsort(backward, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    found = Detections.of(backward, movie.position, frames=movie.frames)
    truth = rank[movie.edges[:, ::-1]]
    merged = link(found, replace(POINTS, merges=True, divisions=False))
    assert division_f1(merged[:, ::-1], truth[:, ::-1]) > 0.6
    plain = link(found, replace(POINTS, divisions=False))
    assert len(np.unique(plain[:, 1])) == len(plain)


def test_daughters_that_jump_farther_than_the_gate_are_a_division() -> None:
    rng = np.random.default_rng(0)
    rows: list[tuple[int, float, float]] = []
    for cell in range(60):
        y, x = 100.0 * (cell // 8), 100.0 * (cell % 8)
        for t in range(20):
            half = 9.0 if t >= 6 + cell % 9 else 0.0
            for side in (-1, 1) if half else (0,):
                rows.append((t, y + side * half + rng.normal(0, 0.3), x + rng.normal(0, 0.3)))
    table = np.array(rows)
    found = Detections.of(table[:, 0], table[:, 1:])
    tracks = tracks_of(found, link(found, POINTS))
    assert len(tracks.mothers) >= 116  # of 120 daughters
    assert {int(tracks.frame[tracks.track == daughter][0]) for daughter in tracks.mothers} == set(range(6, 15))


def test_low_scores_extend_tracks_and_start_none() -> None:
    frame = [0, 1, 2, 3, 2, 3, 4]
    place = [[10, 10], [10, 11], [10, 12], [10, 13], [60, 60], [60, 61], [60, 62]]
    found = Detections.of(frame, place, score=[0.9, 0.9, 0.2, 0.9, 0.2, 0.2, 0.9], frames=5)
    order = np.lexsort((np.asarray(place)[:, 0], frame))
    named = {tuple(place[i]): int(row) for row, i in enumerate(order)}
    first, low, last = named[10, 11], named[10, 12], named[10, 13]
    for method in ("hungarian", "points"):
        options = LinkOptions(method=method, low_score=0.5)
        links = link(found, options)
        assert {(first, low), (low, last)} <= set(map(tuple, links.tolist()))
        assert not np.isin(links, [named[60, 60], named[60, 61]]).any()
        assert left_out(found, links, options).sum() == 2
        assert len(link(found, LinkOptions(method=method))) == 5


@pytest.mark.parametrize("method", ["points", "hungarian"])
def test_odd_sequences(method: str) -> None:
    options = LinkOptions(method=method, max_gap=1)
    for nothing in (Detections.of([], []), Detections.of([], [], frames=5), Detections.of([0, 0], [[0, 0], [9, 9]])):
        assert link(nothing, options).shape == (0, 2)
    still = Detections.of(range(2, 8), np.zeros((6, 2)), frames=9)  # first and last frames empty, at (0, 0)
    assert link(still, options).tolist() == [[i, i + 1] for i in range(5)]
    missed = Detections.of([0, 1, 3, 4], [[5, 5], [6, 5], [8, 5], [9, 5]])
    assert link(missed, options).tolist() == [[0, 1], [1, 2], [2, 3]]
    twice = Detections.of([0, 0, 1, 1], np.zeros((4, 2)))  # two objects at one place
    links = link(twice, options)
    assert sorted(links[:, 0].tolist()) == [0, 1]
    assert sorted(links[:, 1].tolist()) == [2, 3]


def test_many_objects_and_large_ids() -> None:
    movie = simulate_points(3, 5000, EASY, seed=9)
    found = Detections.of(movie.frame, movie.position, object=70_000 + np.arange(len(movie.frame)), frames=3)
    assert edge_f1(link(found, POINTS), movie.edges) > 0.95


def test_what_was_learnt_is_written_and_read() -> None:
    movie = simulate_points(10, 50, EASY, seed=1)
    motion = link_and_learn(detections_of(movie), POINTS)[1]
    again = Motion.of_json(motion.as_json())
    assert again.as_json() == motion.as_json()
    assert np.abs(motion.drift[5:] - [1.5, -0.7]).max() < 2


@pytest.mark.parametrize(
    "setting",
    [
        {"method": "nearest"}, {"class_rule": "x"}, {"max_distance": 0.0}, {"max_gap": -1}, {"low_score": 2.0},
        {"z_ratio": 0},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_named(setting: dict) -> None:
    with pytest.raises(MiaError, match=":"):
        LinkOptions(**setting)


def test_points_have_no_masks() -> None:
    with pytest.raises(MiaError, match="label images"):
        link(Detections.of([0, 1], np.zeros((2, 2))), LinkOptions(method="masks"))


def test_progress_is_told_for_each_frame() -> None:
    told: list[tuple[int, int]] = []
    link(detections_of(simulate_points(5, 10, seed=1)), progress=lambda done, of: told.append((done, of)))
    assert told == [(2, 5), (3, 5), (4, 5), (5, 5)]
