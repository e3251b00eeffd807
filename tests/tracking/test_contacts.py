"""Contacts against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving import tracks_from

from mia_tui.tracking.contacts import Contact, contacts, mask_neighbours, point_neighbours


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 5), st.integers(1, 5))
def test_masks_are_neighbours_when_any_two_of_their_pixels_are_near(seed, distance, coarse) -> None:
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 6, (4, 5)) * (rng.random((4, 5)) < 0.5), np.ones((coarse, coarse), int))
    labels = (labels * rng.choice([1, 70_000])).astype(np.int32)
    pixels = {n: np.argwhere(labels == n) for n in np.unique(labels) if n}
    expected = [
        [a, b]
        for a in pixels
        for b in pixels
        if a < b and ((pixels[a][:, None] - pixels[b][None]) ** 2).sum(axis=2).min() <= distance**2
    ]
    assert mask_neighbours(labels, distance).tolist() == expected


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.sampled_from([2, 3]))
def test_points_are_neighbours_within_the_radius(seed, count, width) -> None:
    places = np.random.default_rng(seed).random((count, width)) * 10
    found = sorted(map(tuple, point_neighbours(places, 4.0).tolist()))
    assert found == [
        (i, j) for i in range(count) for j in range(i + 1, count) if np.linalg.norm(places[i] - places[j]) <= 4
    ]


def test_how_long_points_are_near_by_hand() -> None:
    """1 and 2 meet on frames 1 and 2, part on 3, meet on 4; 3 is far, but near 2 on frame 5."""
    paths = {
        1: dict.fromkeys(range(5), (0.0, 0.0)),
        2: {0: (0.0, 9.0), 1: (0.0, 3.0), 2: (3.0, 0.0), 3: (0.0, 8.0), 4: (0.0, 1.0), 5: (50.0, 50.0)},
        3: dict.fromkeys(range(6), (50.0, 51.0)),
    }
    assert contacts(tracks_from(paths), 3) == [
        Contact(1, 2, 1, 2, 2), Contact(1, 2, 4, 4, 1), Contact(2, 3, 5, 5, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("filled", [False, True])
def test_a_frame_without_one_of_the_two_says_nothing(filled) -> None:
    other = {0: (0.0, 1.0), 1: (0.0, 1.0), 3: (0.0, 1.0)}
    if filled:
        other[2] = ((0.0, 99.0), None)
    tracks = tracks_from({1: dict.fromkeys(range(4), (0.0, 0.0)), 2: other})
    assert contacts(tracks, 2) == [Contact(1, 2, 0, 3, 3)]


def test_masks_name_objects_and_contacts_name_tracks() -> None:
    """Tracks 5 and 8 touch on frame 1 only; an object that no track has is nobody's neighbour."""
    tracks = tracks_from({5: {0: (0, 0), 1: (0, 0)}, 8: {0: (0, 5), 1: (0, 2)}})
    apart = np.array([[5, 5, 0, 0, 8, 8, 9]])
    close = np.array([[0, 5, 5, 8, 8, 9, 9]])
    asked = []

    def masks(frame):
        asked.append(frame)
        return (apart, close)[frame]

    assert contacts(tracks, 1.5, masks) == [Contact(5, 8, 1, 1, 1)]
    assert asked == [0, 1]
    assert contacts(tracks, 3, masks) == [Contact(5, 8, 0, 1, 2)]
    assert contacts(tracks_from({1: {0: (0, 0)}}), 3, masks) == []
