"""Families, division times and movement around divisions, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from moving import PIXELS, tracks_from
from scipy.stats import wilcoxon

from mia_tui.tracking.around_division import align, before_and_after, compare, speed_around
from mia_tui.tracking.lineage import DIVIDED, END, LOST, MERGED, families, lives
from mia_tui.tracking.motion import measure_steps


def stay(first, last, place=(0.0, 0.0)):
    return dict.fromkeys(range(first, last + 1), place)


def family():
    """1 divides into 2 and 3 at frame 4; 2 into 4 and 5 at frame 9, with 5 missed until frame 11; 6 merges into 7."""
    paths = {
        1: stay(0, 3), 2: stay(4, 8), 3: stay(4, 6), 4: stay(9, 12), 5: stay(11, 12), 6: stay(1, 5), 7: stay(0, 12)
    }  # fmt: skip
    tracks = tracks_from(paths, frames=13, mothers={2: 1, 3: 1, 4: 2, 5: 2})
    return replace(tracks, merged={6: 7})


def test_a_family_by_hand() -> None:
    found = lives(family())
    assert [(n, life.mother, life.founder, life.generation) for n, life in found.items()] == [
        (1, 0, 1, 0), (2, 1, 1, 1), (3, 1, 1, 1), (4, 2, 1, 2), (5, 2, 1, 2), (6, 0, 6, 0), (7, 0, 7, 0)
    ]  # fmt: skip
    assert [life.fate for life in found.values()] == [DIVIDED, DIVIDED, LOST, END, END, MERGED, END]
    assert (found[1].daughters, found[2].daughters, found[3].daughters) == ((2, 3), (4, 5), ())
    assert (found[1].birth, found[1].division, found[1].cycle) == (None, 4, None)
    assert (found[2].birth, found[2].division, found[2].cycle) == (4, 9, 5)
    assert (found[5].first, found[5].birth, found[5].cycle) == (11, 9, None)


def test_a_tree_is_drawn_in_order_and_the_largest_family_first() -> None:
    assert families(lives(family())) == [[4, 2, 5, 1, 3], [7], [6]]


def test_a_lineage_deeper_than_the_stack() -> None:
    depth = 3000
    tracks = tracks_from({n: {n: (0.0, 0.0)} for n in range(1, depth)}, mothers={n: n - 1 for n in range(2, depth)})
    found = lives(tracks)
    assert found[depth - 1].generation == depth - 2
    assert families(found) == [list(range(depth - 1, 0, -1))]


def test_no_tracks_no_families() -> None:
    assert lives(tracks_from({}, frames=3)) == {}
    assert families({}) == []


def walk(first, speeds, start=0.0):
    """A track along x that begins at `first` and takes these steps."""
    return dict(enumerate([(0.0, x) for x in np.cumsum([start, *speeds])], first))


def dividing():
    """Mother 1 moves by 1, 2, 3 and divides at frame 4 into 2 (5, 7) and 3 (9); 3 divides at frame 6 into 4 and 5."""
    paths = {1: walk(0, [1, 2, 3]), 2: walk(4, [5, 7]), 3: walk(4, [9]), 4: walk(6, [2]), 5: walk(6, [])}
    return tracks_from(paths, mothers={2: 1, 3: 1, 4: 3, 5: 3})


def test_speeds_before_and_after_a_division_by_hand() -> None:
    tracks = dividing()
    aligned = align(tracks, measure_steps(tracks, PIXELS), lives(tracks))
    rows = zip(aligned.mother, aligned.track, aligned.frame, aligned.speed, strict=True)
    assert sorted((int(m), int(t), int(f), float(s)) for m, t, f, s in rows) == [
        (1, 1, -3, 1.0), (1, 1, -2, 2.0), (1, 1, -1, 3.0), (1, 2, 1, 5.0), (1, 2, 2, 7.0), (1, 3, 1, 9.0),
        (3, 3, -1, 9.0), (3, 4, 1, 2.0),
    ]  # fmt: skip
    frames, spread = speed_around(aligned)
    assert frames.tolist() == [-3, -2, -1, 1, 2]
    assert spread.mean.tolist() == [1, 2, 6, pytest.approx(16 / 3), 7]
    assert spread.count.tolist() == [1, 1, 2, 3, 1]
    assert spread.sem[2] == pytest.approx(3)  # 3 and 9: standard deviation sqrt(18), divided by sqrt(2)


def test_each_division_is_one_pair() -> None:
    tracks = dividing()
    aligned = align(tracks, measure_steps(tracks, PIXELS), lives(tracks))
    assert before_and_after(aligned, 2) == {1: (2.5, 7.0), 3: (9.0, 2.0)}
    found = compare(before_and_after(aligned, 2))
    assert (found.divisions, found.before, found.after) == (2, 5.75, 4.5)
    assert np.isnan(found.p)  # two divisions are too few for a test


def test_the_comparison_is_scipys_and_needs_both_sides() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal((0, 1), size=(12, 2))
    pairs = {n: (float(b), float(a)) for n, (b, a) in enumerate(values)} | {99: (float("nan"), 3.0)}
    found = compare(pairs)
    assert found.divisions == 12
    assert found.p == wilcoxon(values[:, 0], values[:, 1]).pvalue
    assert found.after_sem == pytest.approx(values[:, 1].std(ddof=1) / np.sqrt(12))
    assert compare({n: (1.0, 2.0 + n) for n in range(6)}).p == 2 / 2**6
    for nothing in ({}, dict.fromkeys(range(9), (2.0, 2.0)), {n: (1.0, 2.0 + n) for n in range(5)}):
        assert np.isnan(compare(nothing).p)
