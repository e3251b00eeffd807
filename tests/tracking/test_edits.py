"""Correcting tracks: what each correction does, that it can be taken back, and that nothing impossible comes out."""

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mia_tui.errors import MiaError
from mia_tui.tracking import edits
from mia_tui.tracking.book import Step, TrackBook
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.tracks import Tracks, check, tracks_of

FRAMES = 6


def lanes(count: int = 3, *, missing: tuple[tuple[int, int], ...] = ()) -> TrackBook:
    """Objects that stand still in `count` lanes (y = 10, 20, 30): track k is lane k. `missing` are (lane, frame)."""
    places = [(t, k) for t in range(FRAMES) for k in range(1, count + 1) if (k, t) not in missing]
    found = Detections.of(
        [t for t, _ in places], [(10.0 * k, float(t)) for t, k in places], object=[k for _, k in places], frames=FRAMES
    )
    rows = {place: row for row, place in enumerate(places)}
    links = []
    for k in range(1, count + 1):
        own = [rows[t, k] for t in range(FRAMES) if (t, k) in rows]
        links += list(pairwise(own))
    return TrackBook.of(found, tracks_of(found, links))


def do(book: TrackBook, edit: Callable[..., str], *arguments: object) -> list[Step]:
    with book.drafting() as draft:
        edit(book, draft, *arguments)
    check(book.tracks())
    return draft.steps


def lane(book: TrackBook, number: int) -> list[int]:
    """Track of the lane's object by frame; 0 where it is in none, -1 where there is no object."""
    found: list[int] = []
    for t in range(FRAMES):
        try:
            found.append(int(book.track[book.row((t, 0, number))]))
        except LookupError:
            found.append(-1)
    return found


def test_the_former_owner_of_a_number_gets_a_new_one_from_this_frame_on() -> None:
    book = lanes()
    do(book, edits.reassign, book.row((2, 0, 1)), 2)
    assert lane(book, 1) == [1, 1, 2, 2, 2, 2]
    assert lane(book, 2) == [2, 2, 4, 4, 4, 4]
    assert lane(book, 3) == [3] * 6


def test_what_a_new_owner_missed_is_filled() -> None:
    book = lanes()
    do(book, edits.delete, 1, 2)
    do(book, edits.reassign, book.row((4, 0, 2)), 1)
    assert book.filled == {1: {2: pytest.approx((10 + 10 / 3, 2.0)), 3: pytest.approx((10 + 20 / 3, 3.0))}}
    assert book.frames(1) == [0, 1, 2, 3, 4, 5]


def test_a_new_number_splits_and_on_the_first_frame_renames_with_the_mother_kept() -> None:
    book = lanes()
    do(book, edits.reassign, book.row((3, 0, 1)), 77)
    assert lane(book, 1) == [1, 1, 1, 77, 77, 77]
    do(book, edits.divide, 2, book.row((2, 0, 2)), book.row((2, 0, 3)))
    daughter = lane(book, 2)[2]
    assert daughter == 78
    do(book, edits.reassign, book.row((2, 0, 2)), 500)
    assert book.mothers[500] == 2
    assert daughter not in book.mothers


def test_a_daughter_that_takes_the_number_of_her_mother_undoes_the_division() -> None:
    book = lanes(2)
    do(book, edits.divide, 1, book.row((3, 0, 1)), book.row((3, 0, 2)))
    first, second = lane(book, 1)[3], lane(book, 2)[3]
    assert book.mothers == {first: 1, second: 1}
    assert lane(book, 2)[:3] == [2, 2, 2]
    do(book, edits.reassign, book.row((3, 0, 1)), 1)
    assert lane(book, 1) == [1] * 6
    assert book.mothers == {}


def test_a_swap_exchanges_the_futures_and_leaves_the_pasts() -> None:
    book = lanes()
    do(book, edits.divide, 2, book.row((4, 0, 2)), book.row((4, 0, 3)))
    daughters = book.daughters(2)
    do(book, edits.swap, 1, 2, 2)
    assert lane(book, 1)[:4] == [1, 1, 2, 2]
    assert lane(book, 2)[:4] == [2, 2, 1, 1]
    assert [book.mothers[d] for d in daughters] == [1, 1]


def test_a_cut_and_a_join_are_inverse() -> None:
    book = lanes()
    before = book.track.copy()
    do(book, edits.cut, 2, 3)
    assert lane(book, 2) == [2, 2, 2, 4, 4, 4]
    do(book, edits.join, 2, 4)
    assert (book.track == before).all()
    with pytest.raises(MiaError, match="same time"):
        do(book, edits.join, 1, 2)


def test_a_join_over_a_gap_fills_it_on_the_way() -> None:
    book = lanes(missing=((2, 2), (2, 3)))
    do(book, edits.cut, 2, 4)
    do(book, edits.join, 4, 2)
    assert book.filled == {2: {2: (20.0, 2.0), 3: (20.0, 3.0)}}
    assert book.frames(2) == [0, 1, 2, 3, 4, 5]
    rows = book.tracks()
    assert rows.object[rows.track == 2].tolist() == [2, 2, 0, 0, 2, 2]


def test_a_gap_is_filled_by_an_object_in_no_track() -> None:
    book = lanes(missing=((2, 2),))
    do(book, edits.drop, book.row((2, 0, 3)))
    do(book, edits.fill, 2, 2, book.row((2, 0, 3)))
    assert lane(book, 3) == [3, 3, 2, 3, 3, 3]
    do(book, edits.fill, 3, 2)
    assert book.filled == {3: {2: (30.0, 2.0)}}
    with pytest.raises(MiaError, match="no gap"):
        do(book, edits.fill, 3, 5)


def test_a_track_is_extended_at_both_ends_with_what_lies_between_filled() -> None:
    book = lanes()
    for t in (0, 1, 4, 5):
        do(book, edits.drop, book.row((t, 0, 2)))
    assert book.frames(2) == [2, 3]
    do(book, edits.extend, 2, book.row((0, 0, 2)))
    do(book, edits.extend, 2, book.row((4, 0, 2)))
    assert lane(book, 2) == [2, 0, 2, 2, 2, 0]
    assert book.filled == {2: {1: (20.0, 1.0)}}
    with pytest.raises(MiaError, match="it is there"):
        do(book, edits.extend, 2, book.row((1, 0, 2)))
    with pytest.raises(MiaError, match="is in track 3"):
        do(book, edits.extend, 2, book.row((5, 0, 3)))


def test_a_daughter_that_is_extended_into_the_time_of_her_mother_has_none() -> None:
    book = lanes(3)
    do(book, edits.divide, 1, book.row((3, 0, 1)), book.row((3, 0, 2)))
    second = lane(book, 2)[3]
    do(book, edits.drop, book.row((1, 0, 3)))
    do(book, edits.extend, second, book.row((1, 0, 3)))
    assert book.mothers == {lane(book, 1)[3]: 1}


def test_deleting_leaves_the_objects_in_no_track() -> None:
    book = lanes()
    do(book, edits.delete, 1, 3)
    assert lane(book, 1) == [1, 1, 1, 0, 0, 0]
    do(book, edits.delete, 1)
    assert lane(book, 1) == [0] * 6
    assert book.numbers == [2, 3]


def test_a_deleted_object_is_put_aside_until_somebody_takes_it() -> None:
    book = lanes()
    row = book.row((3, 0, 1))
    do(book, edits.delete, 1, 3)
    assert book.pins[row, row] is False
    do(book, edits.reassign, row, 7)
    assert (row, row) not in book.pins


def test_pins_say_what_was_decided() -> None:
    book = lanes()
    do(book, edits.reassign, book.row((2, 0, 1)), 2)
    said = {(book.name(a)[::2], book.name(b)[::2]): together for (a, b), together in book.pins.items()}
    assert said == {((1, 1), (2, 1)): False, ((1, 2), (2, 2)): False, ((1, 2), (2, 1)): True}


def test_what_cannot_be_changes_nothing() -> None:
    book = lanes()
    before = state(book)
    wrong: list[tuple[Callable[..., str], tuple[int, ...]]] = [
        (edits.cut, (1, 0)),
        (edits.cut, (99, 2)),
        (edits.swap, (1, 1, 2)),
        (edits.divide, (1, book.row((0, 0, 1)), book.row((0, 0, 2)))),
        (edits.reassign, (0, 0)),
        (edits.orphan, (1,)),
    ]
    for edit, arguments in wrong:
        with pytest.raises(MiaError):
            do(book, edit, *arguments)
    with pytest.raises(MiaError, match="two objects on frame 3"), book.drafting() as draft:
        draft.move(np.array([book.row((2, 0, 1))]), 2)
    assert state(book) == before


def state(book: TrackBook) -> tuple[object, ...]:
    rows: Tracks = book.tracks()
    return (
        book.track.tolist(), dict(book.mothers), dict(book.merged), {k: dict(v) for k, v in book.filled.items()},
        dict(book.pins), set(book.accepted), rows.position.tolist(), [book.frames(n) for n in book.numbers],
    )  # fmt: skip


EDITS = st.one_of(
    st.tuples(st.just("reassign"), st.integers(0, 15), st.integers(1, 8)),
    st.tuples(st.just("swap"), st.integers(1, 6), st.integers(1, 6), st.integers(0, 5)),
    st.tuples(st.just("cut"), st.integers(1, 6), st.integers(0, 5)),
    st.tuples(st.just("join"), st.integers(1, 8), st.integers(1, 8)),
    st.tuples(st.just("divide"), st.integers(1, 6), st.integers(0, 15), st.integers(0, 15)),
    st.tuples(st.just("orphan"), st.integers(1, 8)),
    st.tuples(st.just("delete"), st.integers(1, 6), st.integers(0, 5)),
    st.tuples(st.just("drop"), st.integers(0, 15)),
    st.tuples(st.just("extend"), st.integers(1, 6), st.integers(0, 15)),
    st.tuples(st.just("accept"), st.just("jump"), st.tuples(st.integers(0, 15), st.integers(0, 15))),
    st.tuples(st.just("fill"), st.integers(1, 6), st.integers(0, 5)),
    st.tuples(st.just("fill"), st.integers(1, 6), st.integers(0, 5), st.integers(0, 15)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(EDITS, max_size=12))
def test_any_row_of_corrections_gives_tracks_that_can_be_and_is_taken_back(wanted: list[tuple[object, ...]]) -> None:
    book = lanes(missing=((2, 2), (3, 0)))
    done: list[tuple[list[Step], tuple[object, ...]]] = []
    for name, *arguments in wanted:
        before = state(book)
        with suppress(MiaError):
            done.append((do(book, getattr(edits, str(name)), *arguments), before))
            continue
        assert state(book) == before
    final = state(book)
    rows = book.tracks()
    for number in book.numbers:  # no track begins or ends with a frame without an object
        assert (rows.object[rows.track == number][[0, -1]] > 0).all()
    for steps, before in reversed(done):
        book.take_all(steps, forward=False)
        assert state(book) == before
    for steps, _ in done:
        book.take_all(steps, forward=True)
    assert state(book) == final
