"""Ways to point without a mouse: hints that can be read and typed, a grid that reaches every place, counts."""

import numpy as np
import pytest
import shapely
from desks import HEIGHT, WIDTH, add_at, at_desk, box, hint, make_project, on_disk, press, propose
from hypothesis import given, settings
from hypothesis import strategies as st

from mia_tui.labeling.desk.hints import AT_ONCE, LETTERS, Target, codes, place_hints
from mia_tui.labeling.desk.modes import SMALLEST_CELL, GridMode
from mia_tui.widgets.canvas.view import View, place


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


@pytest.fixture
def points(tmp_path):
    return make_project(tmp_path, task="detection")


# ---- codes -----------------------------------------------------------------------------------------------------------


@given(st.integers(0, len(LETTERS) ** 2))
def test_no_code_is_the_beginning_of_another_and_short_ones_come_first(count) -> None:
    found = codes(count)
    assert len(found) == len(set(found)) == count
    assert all(set(code) <= set(LETTERS) and 1 <= len(code) <= 2 for code in found)
    assert [len(code) for code in found] == sorted(len(code) for code in found)
    short = {code for code in found if len(code) == 1}
    assert not any(code[0] in short for code in found if len(code) == 2)


def test_there_are_as_many_short_codes_as_can_be() -> None:
    assert all(len(code) == 1 for code in codes(26))
    assert sum(len(code) == 1 for code in codes(60)) == 24  # 24 + 2 * 26 = 76; with 25 it would be 25 + 26 = 51
    with pytest.raises(ValueError, match="677"):
        codes(677)


# ---- where hints stand -----------------------------------------------------------------------------------------------

coordinate = st.floats(-20, 140, allow_nan=False)


@st.composite
def targets(draw):
    """Targets all over an image and beyond it, many of them on the same place, some with boxes of no size."""
    few = draw(st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=12))
    count = draw(st.integers(1, 150))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    spread = draw(st.sampled_from([0.0, 0.7, 6.0, 60.0]))
    found = []
    for number in range(count):
        y, x = np.array(few[number % len(few)]) + rng.normal(0, 1, 2) * spread
        half = rng.choice([0.0, 0.4, 3.0, 12.0])
        found.append(Target(number, (y, x), (x - half, y - half, x + half, y + half)))
    return found


views = st.builds(
    place, st.just(120), st.just(120), st.integers(1, 40), st.integers(2, 120),
    st.sampled_from([0.13, 0.5, 1.0, 1.7, 4.0, 32.0]), coordinate, coordinate,
)  # fmt: skip


def cells_of(hints, view) -> list[set[tuple[int, int]]]:
    """The cells that each hint takes when it is painted at its place."""
    found = []
    for one in hints:
        row, column = view.to_cell(*one.place)
        found.append({(row, column + i) for i in range(len(one.letters))})
    return found


@settings(deadline=None)
@given(targets(), views)
def test_no_two_hints_share_or_touch_cells_and_all_can_be_read(found, view) -> None:
    hints = place_hints(found, view)
    assert len(hints) <= AT_ONCE
    taken = cells_of(hints, view)
    for at, cells in enumerate(taken):
        assert all(0 <= row < view.rows and 0 <= column < view.columns for row, column in cells)
        for other in taken[at + 1 :]:
            near = {(row, column + step) for row, column in cells for step in (-1, 0, 1)}
            assert not near & other
    letters = [one.letters for one in hints]
    assert len(set(letters)) == len(letters)
    assert not any(a != b and b.startswith(a) for a in letters for b in letters)
    assert len({one.target.what for one in hints}) == len(hints)


@settings(deadline=None)
@given(targets(), views)
def test_the_first_ones_in_view_get_the_short_codes(found, view) -> None:
    hints = place_hints(found, view)
    order = [one.target.what for one in hints]
    assert order == sorted(order)
    assert [len(one.letters) for one in hints] == sorted(len(one.letters) for one in hints)


def test_at_most_sixty_at_once_and_tab_reaches_every_object(project) -> None:
    """150 proposals, of which some lie so close that their letters cannot all be seen at once."""
    desk = at_desk(project)
    propose(desk, [shapely.box(x, y, x + 1, y + 1) for y in range(2, 58, 4) for x in range(4, 84, 3)][:150])
    press(desk, "'")
    seen: set[int] = set()
    for _ in range(20):
        hints = desk.sketch().hints
        assert 0 < len(hints) <= 60
        new = {one.target.what.number for one in hints}
        if new <= seen:
            break
        seen |= new
        press(desk, "tab")
    assert seen == {item.number for item in desk.pending}


def test_tab_reaches_objects_that_lie_on_each_other(project) -> None:
    desk = at_desk(project)
    propose(desk, [shapely.box(40, 30, 41, 31)] * 15 + [box(70, 40)])
    press(desk, "'")
    seen: set[int] = set()
    for _ in range(16):
        seen |= {one.target.what.number for one in desk.sketch().hints}
        press(desk, "tab")
    assert seen == set(range(1, 17))


def test_the_cursor_covers_no_letter(points) -> None:
    """The chosen object has the cursor in its middle; points have no room of their own."""
    desk = at_desk(points)
    propose(desk, [shapely.Point(20.5, 20.5), shapely.Point(30.5, 20.5), shapely.Point(60.5, 40.5)])
    for at in ((20, 20), (20, 30), (40, 60)):
        desk.cursor = at
        press(desk, "'")
        hints = desk.sketch().hints
        assert len(hints) == 3
        cells = set().union(*cells_of(hints, desk.view))
        assert desk.view.to_cell(at[0] + 0.5, at[1] + 0.5) not in cells
        press(desk, "escape")


def test_typing_narrows_backspace_widens_and_wrong_letters_are_said(project) -> None:
    desk = at_desk(project)
    propose(desk, [shapely.box(x, y, x + 1, y + 1) for y in range(2, 58, 4) for x in range(4, 84, 8)])
    press(desk, "'")
    long = desk.sketch().hints[-1].letters
    everything = len(desk.sketch().hints)
    press(desk, long[0])
    assert {one.letters[0] for one in desk.sketch().hints} == {long[0]}
    press(desk, "backspace")
    assert len(desk.sketch().hints) == everything
    pairs = {one.letters for one in desk.sketch().hints}
    unused = next(letter for letter in LETTERS if long[0] + letter not in pairs)
    assert "no object has the letters" in press(desk, long[0], unused)
    assert len(desk.sketch().hints) == everything
    target = next(one.target.what for one in desk.sketch().hints if one.letters == long)
    press(desk, long[0].upper(), long[1])
    assert desk.current == target
    assert desk.mode is None


def test_letters_keep_still_while_several_are_deleted(project) -> None:
    desk = at_desk(project)
    propose(desk, [box(5, 5), box(30, 5), box(55, 5), box(5, 30)])
    press(desk, "d")
    before = {one.target.what.number: (one.letters, one.place) for one in desk.sketch().hints}
    press(desk, hint(desk, 2, "candidate"))
    after = {one.target.what.number: (one.letters, one.place) for one in desk.sketch().hints}
    assert after == {number: letters for number, letters in before.items() if number != 2}
    press(desk, hint(desk, 4, "candidate"), hint(desk, 1, "candidate"))
    assert [item.number for item in desk.pending] == [3]
    press(desk, "escape")
    assert desk.mode is None


def test_hints_choose_only_what_is_in_view(project) -> None:
    desk = at_desk(project, view=View(10, 20, 0.0, 0.0, 1.0))
    propose(desk, [box(2, 2), box(70, 40)])
    press(desk, "'")
    assert [one.target.what.number for one in desk.sketch().hints] == [1]
    press(desk, "escape")
    desk.view = View(5, 10, 20.0, 40.0, 1.0)
    assert "nothing in view" in press(desk, "'")
    assert desk.mode is None


# ---- the grid --------------------------------------------------------------------------------------------------------


def grid_keys(desk, y: float, x: float, *, upper: bool) -> list[str]:
    """The letters that lead to the place, as a person reads them off the grid that is drawn."""
    keys = []
    for _ in range(10):
        mode = desk.mode
        if not isinstance(mode, GridMode) or (keys and mode.box == desk.view_box):
            break
        left, top, right, bottom = desk.sketch().grid
        row, column = int((y - top) / (bottom - top) * 5), int((x - left) / (right - left) * 5)
        letter = "abcdefghijklmnopqrstuvwxy"[5 * row + column]
        keys.append(letter.upper() if upper else letter)
        press(desk, keys[-1])
    return keys


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_grid_reaches_every_point_to_half_its_smallest_cell(tmp_path_factory, data) -> None:
    size = data.draw(st.sampled_from([(HEIGHT, WIDTH), (7, 300), (2000, 1500)]))
    view = place(
        *size, data.draw(st.integers(4, 50)), data.draw(st.integers(10, 200)),
        data.draw(st.sampled_from([0.05, 0.3, 1.0, 8.0])),
        data.draw(st.floats(0, size[0])), data.draw(st.floats(0, size[1])),
    )  # fmt: skip
    desk = at_desk(make_project(tmp_path_factory.mktemp("grid"), task="detection", size=size), view=view)
    left, top, right, bottom = desk.view_box
    y = data.draw(st.floats(top, bottom, exclude_max=True))
    x = data.draw(st.floats(left, right, exclude_max=True))
    press(desk, "a")
    keys = grid_keys(desk, y, x, upper=True)
    (item,) = desk.labels.objects.values()
    desk.close()
    assert abs(item.geometry.y - y) <= SMALLEST_CELL / 2 + 1e-6
    assert abs(item.geometry.x - x) <= SMALLEST_CELL / 2 + 1e-6
    assert len(keys) <= 4


def snapping(desk, monkeypatch, *places) -> None:
    from mia_tui.labeling.desk.tools.points import PointTool

    monkeypatch.setattr(PointTool, "snaps", lambda self, desk: np.array(places, float).reshape(-1, 2))


def where(desk) -> list[tuple[float, float]]:
    return [(item.geometry.y, item.geometry.x) for item in desk.labels.objects.values()]


def test_the_grid_snaps_and_stops_early_where_one_place_is_left(points, monkeypatch) -> None:
    desk = at_desk(points)
    snapping(desk, monkeypatch, (15.5, 22.5), (13.5, 40.5), (14.0, 50.0))
    press(desk, "a", "g")  # second row, second column: y 12 to 24, x 18 to 36
    assert where(desk) == [(15.5, 22.5)]
    press(desk, "h")  # y 12 to 24, x 36 to 54 holds two places
    assert len(where(desk)) == 1
    press(desk, "b")
    assert where(desk)[1:] == [(13.5, 40.5)]


def test_upper_case_does_not_snap(points, monkeypatch) -> None:
    desk = at_desk(points)
    snapping(desk, monkeypatch, (15.5, 22.5))
    press(desk, "a", "G", "a")  # cells of 18 x 12, then of 3.6 x 2.4: small enough
    assert where(desk) == [(pytest.approx(13.2), pytest.approx(19.8))]


def test_a_digit_ends_the_grid_and_takes_the_class(points) -> None:
    desk = at_desk(points)
    press(desk, "a", "g", "2")
    (item,) = desk.labels.objects.values()
    assert item.label_class == "debris"
    assert (item.geometry.y, item.geometry.x) == (pytest.approx(18.0), pytest.approx(27.0))
    assert desk.class_name == "debris"
    press(desk, "a", "9")
    assert len(desk.labels.objects) == 1
    assert "No class has the key 9" in desk.message


def test_a_digit_or_enter_before_any_letter_adds_nothing(points) -> None:
    """Nothing was pointed at yet: an object in the middle of the view would be a wrong one."""
    desk = at_desk(points)
    press(desk, "a", "2")
    assert desk.class_name == "debris"
    press(desk, "enter")
    assert desk.labels.objects == {}
    assert isinstance(desk.mode, GridMode)
    press(desk, "m")
    assert [item.label_class for item in desk.labels.objects.values()] == []
    press(desk, "m")
    assert [item.label_class for item in desk.labels.objects.values()] == ["debris"]


def test_the_grid_stays_for_the_next_place_and_follows_the_view(points) -> None:
    desk = at_desk(points)
    press(desk, "a", "a", "a", "y", "y")
    assert len(desk.labels.objects) == 2
    desk.view = View(10, 20, 20.0, 30.0, 1.0)
    press(desk, "m", "escape")
    desk.view = View(10, 20, 20.0, 30.0, 1.0)
    press(desk, "a", "a")
    y, x = where(desk)[-1]
    assert 20 <= y < 24 + 1e-9
    assert 30 <= x < 34 + 1e-9


def test_a_zoomed_view_gives_the_grid_a_new_box_before_the_first_letter(points) -> None:
    desk = at_desk(points)
    press(desk, "a")
    desk.view = View(10, 20, 20.0, 30.0, 1.0)
    press(desk, "a")
    ((y, x),) = where(desk)
    assert (y, x) == (22.0, 32.0)


# ---- counts, again ---------------------------------------------------------------------------------------------------


def test_a_count_does_the_next_key_so_often(project) -> None:
    desk = at_desk(project)
    propose(desk, [box(x, y) for y in (2, 20, 40) for x in (2, 20, 40, 60)])
    press(desk, "n", ";", "3", "x")
    assert [item.number for item in desk.pending] == list(range(4, 13))
    press(desk, ";", "1", "2", "y")
    assert desk.pending == []
    assert len(on_disk(project)) == 9


def test_again_does_the_last_action_on_the_next_object(project) -> None:
    desk = at_desk(project)
    propose(desk, [box(x, 2) for x in range(2, 80, 10)])
    assert "nothing to do again" in press(desk, ".")
    press(desk, "n", "y", ".", ".")
    assert len(desk.labels.objects) == 3
    press(desk, ";", "2", ".")
    assert len(desk.labels.objects) == 5
    press(desk, "x", ".")
    assert len(desk.labels.objects) == 5
    assert len(desk.pending) == 1


def test_a_count_is_used_up_by_the_next_key_whatever_it_is(project) -> None:
    """Else a forgotten count would multiply a deletion later."""
    for between in ("n", "'", "t", "A", "o"):
        desk = at_desk(project)
        propose(desk, [box(x, 2) for x in range(2, 80, 10)])
        press(desk, "n", ";", "3", between, "escape", "escape", "n")
        pending = len(desk.pending)
        press(desk, "x")
        assert pending - len(desk.pending) <= 1, f"after {between}"
        press(desk, *["u"] * 5)
        desk.close()


def test_a_count_taken_by_the_screen_ends(project) -> None:
    """`;3` and an arrow: the screen moves the cursor three times; the next digit is a class again."""
    desk = at_desk(project)
    press(desk, ";", "3")
    assert not desk.knows("right")
    assert desk.take_count() == 3
    press(desk, "2")
    assert desk.class_name == "debris"
    assert desk.take_count() == 1


def test_escape_and_backspace_in_a_count(project) -> None:
    desk = at_desk(project)
    propose(desk, [box(x, 2) for x in range(2, 80, 10)])
    press(desk, "n", ";", "3", "escape", "x")
    assert len(desk.pending) == 7
    press(desk, ";", "3", "backspace", "2", "x")
    assert len(desk.pending) == 5
    press(desk, ";", "backspace", "0", "x")
    assert len(desk.pending) == 4


def test_undo_takes_a_count_and_says_how_many(project) -> None:
    desk = at_desk(project)
    for x in (10, 30, 50):
        press(desk, "escape")
        propose(desk, [box(x, 20)])
        press(desk, "A")
    said = press(desk, ";", "9", "u")
    assert desk.labels.objects == {}
    assert "3" in said
    assert "Nothing to undo" not in said
    assert "Nothing to undo" in press(desk, "u")
    press(desk, ";", "2", "U")
    assert len(desk.labels.objects) == 2


def test_the_cursor_adds_where_it_stands_and_near_duplicates_are_refused(points) -> None:
    desk = at_desk(points)
    add_at(desk, 10, 20)
    assert where(desk) == [(10.5, 20.5)]
    add_at(desk, 11, 21)
    assert len(where(desk)) == 1
    assert desk.warning
    add_at(desk, 10, 23)
    assert len(where(desk)) == 2
