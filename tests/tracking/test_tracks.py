"""Tracks from links: numbers, mothers, merges, and what cannot be."""

from dataclasses import replace

import numpy as np
import pytest

from mia_tui.errors import MiaError
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.link import fill_gaps
from mia_tui.tracking.tracks import Tracks, check, tracks_of


def two_lines() -> Detections:
    """Two objects on frames 0, 1, 2 and 3; the first one is missing on frame 1."""
    frame = [0, 0, 1, 2, 2, 3, 3]
    return Detections.of(frame, [[float(i), 0.0] for i in range(7)])


def test_a_track_goes_on_over_a_missed_frame() -> None:
    tracks = tracks_of(two_lines(), [(0, 3), (1, 2), (2, 4), (3, 5), (4, 6)])
    assert tracks.spans().tolist() == [[1, 0, 3, 0], [2, 0, 3, 0]]
    assert tracks.frame[tracks.track == 1].tolist() == [0, 2, 3]
    check(tracks)


def test_a_division_ends_the_mother_and_names_her() -> None:
    found = Detections.of([0, 1, 2, 2, 3], np.zeros((5, 2)))
    tracks = tracks_of(found, [(0, 1), (1, 2), (1, 3), (3, 4)])
    assert tracks.spans().tolist() == [[1, 0, 1, 0], [2, 2, 2, 1], [3, 2, 3, 1]]
    check(tracks)


def test_a_merge_ends_both_parts() -> None:
    found = Detections.of([0, 0, 1, 2], np.zeros((4, 2)))
    tracks = tracks_of(found, [(0, 2), (1, 2), (2, 3)])
    assert tracks.merged == {1: 3, 2: 3}
    assert tracks.mothers == {}
    check(tracks)


def test_without_links_every_object_is_a_track_and_nothing_is_no_track() -> None:
    assert tracks_of(two_lines(), []).track.tolist() == [1, 2, 3, 4, 5, 6, 7]
    nothing = tracks_of(Detections.of([], [], frames=4), [])
    assert len(nothing) == 0
    assert nothing.spans().shape == (0, 4)
    assert nothing.frames == 4
    check(nothing)


def test_long_chains_are_one_track() -> None:
    found = Detections.of(np.arange(1000), np.zeros((1000, 2)))
    tracks = tracks_of(found, np.stack([np.arange(999), np.arange(1, 1000)], 1))
    assert set(tracks.track.tolist()) == {1}


@pytest.mark.parametrize("edges", [[(2, 1)], [(0, 1)], [(0, 2), (0, 2)]])
def test_links_go_forward_and_are_there_once(edges: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="link"):
        tracks_of(two_lines(), edges)


def test_the_class_of_a_track_is_that_of_most_frames() -> None:
    found = Detections.of([0, 1, 2, 3], np.zeros((4, 2)), label=[1, 0, 1, 1], classes=("a", "b"))
    tracks = tracks_of(found, [(0, 1), (1, 2), (2, 3)])
    assert tracks.labels() == {1: 1}
    assert tracks.label.tolist() == [1, 0, 1, 1]


def test_what_cannot_be_is_named() -> None:
    def some(track: list[int], frame: list[int], number: list[int], **more: dict[int, int]) -> Tracks:
        count = len(track)
        return Tracks(
            np.array(track), np.array(frame), np.zeros((count, 2)), np.array(number), np.zeros(count, int),
            np.zeros(count, int), np.ones(count), np.zeros(count), ("cell",), 9, **more,
        )  # fmt: skip

    with pytest.raises(MiaError, match="track 1 has two objects on frame 3"):
        check(some([1, 1], [2, 2], [1, 2]))
    with pytest.raises(MiaError, match="object 7 of frame 1 is in two tracks"):
        check(some([1, 2], [0, 0], [7, 7]))
    fine = some([1, 1, 2], [0, 1, 2], [1, 1, 1], mothers={2: 1})
    check(fine)
    with pytest.raises(MiaError, match="not before the daughter's first frame"):
        check(some([1, 1, 2], [0, 2, 2], [1, 1, 2], mothers={2: 1}))
    with pytest.raises(MiaError, match="not there"):
        check(replace(fine, mothers={2: 5}))
    with pytest.raises(MiaError, match="cannot merge"):
        check(replace(fine, mothers={}, merged={2: 1}))
    check(some([1, 2, 2], [0, 0, 1], [0, 0, 1]))  # filled gaps have no object and are not the same one


def test_detections_check_their_columns() -> None:
    with pytest.raises(ValueError, match="twice"):
        Detections.of([0, 0], np.zeros((2, 2)), object=[3, 3])
    with pytest.raises(ValueError, match="frames reach"):
        Detections.of([0, 4], np.zeros((2, 2)), frames=3)
    with pytest.raises(ValueError, match="finite"):
        Detections.of([0], [[np.nan, 0]])
    found = Detections.of([1, 0, 1], [[1, 1], [0, 0], [2, 2]], frames=3)
    assert found.starts.tolist() == [0, 1, 3, 3]
    assert found.object.tolist() == [1, 1, 2]


def test_gaps_are_filled_on_the_straight_way_and_not_at_divisions() -> None:
    found = Detections.of(
        [0, 3, 4, 6, 6], [[0, 0], [6, 3], [7, 4], [9, 9], [1, 1]], label=[1, 0, 0, 0, 0], classes=("a", "b")
    )
    tracks = fill_gaps(tracks_of(found, [(0, 1), (1, 2), (2, 3), (2, 4)]))
    own = tracks.track == 1
    assert tracks.frame[own].tolist() == [0, 1, 2, 3, 4]
    assert tracks.position[own].tolist() == [[0, 0], [2, 1], [4, 2], [6, 3], [7, 4]]
    assert tracks.object[own].tolist() == [1, 0, 0, 1, 1]
    assert tracks.label[own].tolist() == [1, 1, 1, 0, 0]
    assert tracks.spans().tolist() == [[1, 0, 4, 0], [2, 6, 6, 1], [3, 6, 6, 1]]
    check(tracks)
    assert fill_gaps(tracks).frame.tolist() == tracks.frame.tolist()
