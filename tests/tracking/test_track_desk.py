"""Correcting tracks by keys: each way through the desk, what it says, and what is on disk then."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from movies import View, linked, movie, opened

from mia_tui.keymap import KeyMap, clashes
from mia_tui.screens.tracking import TrackingScreen
from mia_tui.tracking.desk.desk import TrackDesk
from mia_tui.tracking.desk.modes import Choosing
from mia_tui.tracking.desk.rows import table
from mia_tui.tracking.sequence import find_sequence
from mia_tui.tracking.store import TrackStore

# Three objects that stand still: object k is at y = 30 k, x = 60.
LANES = [{k: (30.0 * k, 60.0) for k in (1, 2, 3)} for _ in range(8)]
STRAIGHT = {t: [(1, 1), (2, 2), (3, 3)] for t in range(7)}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TrackDesk]:
    project = movie(tmp_path, LANES)
    with opened(project, linked(project, STRAIGHT)) as store:
        yield sit(store)


def sit(store: TrackStore) -> TrackDesk:
    desk = TrackDesk(store)
    desk.view = View()
    return desk


def press(desk: TrackDesk, *keys: str) -> None:
    for key in keys:
        assert desk.press(key), key


def pick(desk: TrackDesk, what: int) -> None:
    """Type the letters of the hint that stands on a row or a track."""
    assert isinstance(desk.mode, Choosing), desk.message
    letters = next(hint.letters for hint in desk.mode.hints if hint.target.what == what)
    press(desk, *letters)


def lane(desk: TrackDesk, number: int) -> list[int]:
    return [int(desk.book.track[desk.book.row((t, 0, number))]) for t in range(8)]


def test_letters_take_a_track_in_hand_and_arrows_go_through_time(desk: TrackDesk) -> None:
    press(desk, "apostrophe")
    pick(desk, desk.book.row((0, 0, 2)))
    assert desk.track == 2
    press(desk, "right", "right", "left", "end")
    assert desk.frame == 7
    assert desk.reveal == (60.0, 60.0)
    press(desk, "home", "shift+right")
    assert desk.frame == 7
    press(desk, "escape")
    assert desk.track == 0


def test_a_digit_gives_the_number_of_a_track_that_was_near_before(desk: TrackDesk) -> None:
    desk.hold(2, 3)
    desk.problems.scales = replace(desk.problems.scales, reach=20.0)
    first = desk.candidates()[0]
    assert (first.digit, first.track, first.place) in {(1, 1, (30.0, 60.0)), (1, 3, (90.0, 60.0))}
    press(desk, "1")
    other = 1 if first.track == 1 else 3
    assert lane(desk, 2) == [2, 2, 2, other, other, other, other, other]
    assert desk.track == other
    press(desk, "u")
    assert lane(desk, 2) == [2] * 8
    press(desk, "U")
    assert lane(desk, 2)[3] == other


def test_reassign_by_letters_and_by_number(desk: TrackDesk) -> None:
    desk.hold(1, 4)
    press(desk, "r")
    pick(desk, 3)
    assert lane(desk, 1) == [1] * 4 + [3] * 4
    assert lane(desk, 3) == [3] * 4 + [4] * 4
    desk.hold(2, 2)
    press(desk, "R", "5", "backspace", "7", "0", "enter")
    assert lane(desk, 2) == [2, 2, 70, 70, 70, 70, 70, 70]
    press(desk, "slash", "2", "enter")
    assert desk.track == 2
    press(desk, "slash", "9", "9", "enter")
    assert desk.warning
    assert "no track 99" in desk.message


def test_swap_cut_and_join(desk: TrackDesk) -> None:
    desk.hold(1, 3)
    press(desk, "w")
    pick(desk, desk.book.row((3, 0, 2)))
    assert lane(desk, 1) == [1] * 3 + [2] * 5
    press(desk, "right", "x")
    assert lane(desk, 2) == [2, 2, 2, 1, 4, 4, 4, 4]
    assert desk.track == 4
    press(desk, "equals_sign")
    pick(desk, 1)
    assert lane(desk, 2) == [2, 2, 2, 1, 1, 1, 1, 1]
    assert desk.track == 1


def test_a_division_proposes_the_going_on_as_first_daughter(desk: TrackDesk) -> None:
    desk.hold(2, 4)
    press(desk, "D")
    pick(desk, desk.book.row((4, 0, 3)))
    assert desk.book.mothers == {4: 2, 5: 2} or desk.book.mothers == {5: 2, 4: 2}
    assert lane(desk, 3)[:4] == [3] * 4
    first = desk.track
    press(desk, "s")
    assert desk.track == ({4, 5} - {first}).pop()
    press(desk, "up")
    assert (desk.track, desk.frame) == (2, 3)
    press(desk, "down")
    assert (desk.track, desk.frame) == (4, 4)
    press(desk, "O")
    assert 4 not in desk.book.mothers


def test_delete_asks_what_and_fill_brings_the_object_back(desk: TrackDesk) -> None:
    desk.hold(2, 3)
    press(desk, "d", "o")
    assert lane(desk, 2) == [2, 2, 2, 0, 2, 2, 2, 2]
    press(desk, "i")
    assert lane(desk, 2) == [2] * 8
    press(desk, "d", "h")
    assert lane(desk, 2) == [2, 2, 2, 0, 0, 0, 0, 0]
    press(desk, "d", "escape")
    assert desk.mode is None
    press(desk, "d", "t")
    assert desk.track == 0
    assert not desk.book.exists(2)


def test_a_held_track_takes_the_object_that_goes_on_and_steps(desk: TrackDesk) -> None:
    desk.hold(2, 3)
    press(desk, "x")
    desk.hold(2, 2)
    press(desk, "t", "right")
    assert desk.locked
    assert next(c.row for c in desk.candidates()) == desk.book.row((3, 0, 2))
    press(desk, "enter")
    assert lane(desk, 2) == [2] * 8
    assert desk.frame == 4
    press(desk, "escape")
    assert (desk.locked, desk.track) == (False, 2)


def test_tab_goes_from_problem_to_problem_and_a_fix_mends_one(tmp_path: Path) -> None:
    wrong = {**STRAIGHT, 3: [(1, 1), (3, 3)]}  # lane 2 is cut between frames 3 and 4
    project = movie(tmp_path, LANES)
    with opened(project, linked(project, wrong)) as store:
        desk = sit(store)
        count = len(desk.problems.problems)
        assert count >= 1
        press(desk, "tab")
        assert desk.problem is not None
        assert desk.fixes
        assert "join" in desk.fixes[0].text
        press(desk, "1")
        assert lane(desk, 2) == [2] * 8
        assert desk.problems.problems == []
        press(desk, "tab")
        assert desk.message == "No problems are left."
        press(desk, "u")
        assert len(desk.problems.problems) == count


def test_what_is_fine_as_it_is_stays_so_after_a_restart(tmp_path: Path) -> None:
    wrong = {**STRAIGHT, 3: [(1, 1), (3, 3)]}
    project = movie(tmp_path, LANES)
    sequence = linked(project, wrong)
    with opened(project, sequence) as store:
        desk = sit(store)
        while desk.problems.problems:
            press(desk, "tab", "a")
    with opened(project, sequence) as store:
        assert sit(store).problems.problems == []


def test_what_cannot_be_done_says_why(desk: TrackDesk) -> None:
    press(desk, "x")
    assert "No track is in hand" in desk.message
    desk.hold(1, 0)
    press(desk, "x")
    assert "nothing before frame 1" in desk.message
    press(desk, "up")
    assert "no mother" in desk.message
    press(desk, "a")
    assert "No problem is looked at" in desk.message
    press(desk, "i")
    assert "has an object on this frame" in desk.message
    assert not desk.press("f12")


def test_a_second_window_can_look_and_not_correct(desk: TrackDesk, tmp_path: Path) -> None:
    project = desk.store.project
    with TrackStore(project, find_sequence(project, "lapse.tif"), "labels", read_only=True) as store:
        other = sit(store)
        other.hold(1, 2)
        press(other, "x")
        assert "viewing only" in other.message
        press(other, "right", "end")
        assert other.frame == 7


@pytest.mark.parametrize("preset", ["vim", "arrows"])
def test_no_key_stands_for_two_actions(preset: str) -> None:
    rows = (*table(), *TrackingScreen.actions())
    assert clashes("tracking", KeyMap(preset).rows("tracking", rows)) == []
