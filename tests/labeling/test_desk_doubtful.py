"""What the desk offers beside the proposals: what may be an object, and other outlines of one."""

import numpy as np
import pytest
import tifffile
from desks import KEY, make_project, on_disk, opened, press

from mia_tui.labeling.desk.desk import Desk
from mia_tui.labeling.desk.rows import every_action, table
from mia_tui.labeling.proposals import MaskProposer
from mia_tui.widgets.canvas.view import View

HEIGHT, WIDTH = 96, 120
FAINT = 60, 85
SURE = " ", "[", "[", "[", "[", "A"
"""Accept all that is sure, which the faint one is not."""


def blob(y: float, x: float, radius: float, height: float) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return height / (1 + np.exp((np.hypot(rows - y, columns - x) - radius) * 2))


@pytest.fixture(params=["segmentation", "detection"])
def task(request):
    return request.param


def desk_of(folder, task: str = "segmentation") -> Desk:
    """Nine bright discs, and a faint one of half their size."""
    project = make_project(folder, task=task, size=(HEIGHT, WIDTH))
    picture = np.random.default_rng(0).normal(500, 12, (HEIGHT, WIDTH))
    for y in (14, 44, 80):
        for x in (14, 44, 104):
            picture += blob(y, x, 8, 900)
    picture += blob(*FAINT, 4, 60)
    tifffile.imwrite(project.image(KEY).path, picture.astype(np.uint16))
    return opened(Desk(project), view=View(48, 120, 0.0, 0.0, 1.0))


def hint_at(desk: Desk, y: float, x: float) -> str:
    """The letters of what is nearest to a place."""
    return min(desk.sketch().hints, key=lambda h: np.hypot(h.target.place[0] - y, h.target.place[1] - x)).letters


def labelled_at(desk: Desk, y: float, x: float) -> bool:
    return any(item.geometry.buffer(1).covers(_point(y, x)) for item in desk.labels.objects.values())


def _point(y: float, x: float):
    from shapely import Point

    return Point(x + 0.5, y + 0.5)


def test_what_may_be_an_object_is_added_by_hint_and_the_rest_is_not_left_behind(tmp_path, task) -> None:
    desk = desk_of(tmp_path, task)
    press(desk, *SURE)
    count = len(desk.labels.objects)
    assert count == 9
    assert not labelled_at(desk, *FAINT)
    press(desk, "Y")
    press(desk, *hint_at(desk, *FAINT), "escape")
    assert labelled_at(desk, *FAINT)
    assert len(desk.labels.objects) == count + 1 == len(on_disk(desk.project))
    assert not desk.pending
    press(desk, "u")
    assert len(desk.labels.objects) == count


def test_nothing_that_may_be_an_object_covers_a_label(tmp_path) -> None:
    desk = desk_of(tmp_path)
    press(desk, *SURE, "Y")
    labels = [item.geometry for item in desk.labels.objects.values()]
    assert desk.pending
    for item in desk.pending:
        assert sum(item.geometry.intersection(label).area for label in labels) < 1e-6


def test_a_rejected_outline_is_not_offered_again_but_another_one_at_its_place_is(tmp_path) -> None:
    desk = desk_of(tmp_path)
    masks = MaskProposer(desk.opened.plane)
    items = masks.propose().items
    one = min(items, key=lambda item: np.hypot(item.y - 44, item.x - 44))

    def offered(*rejected) -> bool:
        return any(item.outline.equals(one.outline) for item in masks.propose(rejected=rejected).items)

    assert offered()
    assert not offered(one.outline)
    assert not offered(one.outline.buffer(0.5))
    assert offered(one.outline.buffer(-4))
    others = {item.outline.wkb for item in items} - {one.outline.wkb}
    assert others <= {item.outline.wkb for item in masks.propose(rejected=[one.outline]).items}


def test_arrows_change_the_last_one_while_hints_are_open(tmp_path) -> None:
    desk = desk_of(tmp_path)
    press(desk, " ", "A", "W")
    letters = hint_at(desk, 14, 14)
    before = {item.id: item.geometry.area for item in desk.labels.objects.values()}
    press(desk, *letters)
    number = desk.current.number
    larger = desk.labels.objects[number].geometry.area
    press(desk, "up")
    largest = desk.labels.objects[number].geometry.area
    press(desk, "down", "down", "down")
    assert desk.labels.objects[number].geometry.area < before[number] < larger < largest
    smaller = desk.labels.objects[number].geometry
    press(desk, "right")
    assert not desk.labels.objects[number].geometry.equals(smaller)
    assert desk.mode is not None
    assert desk.mode.name == "hints"


def test_larger_after_undo_is_the_same_rung_again(tmp_path) -> None:
    desk = desk_of(tmp_path)
    press(desk, " ", "A", "'")
    press(desk, *hint_at(desk, 14, 14), "w")
    once = desk.find(desk.current).geometry
    press(desk, "u", "w")
    assert desk.find(desk.current).geometry.equals(once)


def test_a_label_keeps_the_shapes_of_its_proposal_when_others_are_proposed(tmp_path) -> None:
    desk = desk_of(tmp_path)
    press(desk, " ", "A", "'")
    press(desk, *hint_at(desk, 44, 14))
    first = desk.find(desk.current).geometry
    press(desk, "]", "v")
    other = desk.find(desk.current).geometry
    assert not other.equals(first)
    assert other.intersects(_point(44, 14))
    press(desk, "V")
    assert desk.find(desk.current).geometry.equals(first)


def test_what_was_scrubbed_is_guessed_anew_by_one_key(tmp_path) -> None:
    desk = desk_of(tmp_path)
    press(desk, " ")
    before = {item.geometry.wkb for item in desk.pending}
    press(desk, "{", "{", "{", "]", "]", ")")
    assert {item.geometry.wkb for item in desk.pending} != before
    press(desk, "*")
    assert {item.geometry.wkb for item in desk.pending} == before


@pytest.mark.parametrize("kind", ["segmentation", "detection"])
def test_no_two_actions_of_a_mode_have_the_same_key(kind) -> None:
    seen: dict[tuple[str, str], str] = {}
    for action in table(kind):
        for key in action.key_names:
            other = seen.setdefault((action.context, key), action.id)
            assert other == action.id, f"{key} in {action.context or 'the desk'}: {other} and {action.id}"
    assert len(every_action()) >= len(table(kind))
