"""Points that are moved, snapped to what may be an object, and refused where one is already."""

import numpy as np
import pytest
import shapely

from mia_tui.labeling.desk.candidates import Candidate, Proposed
from mia_tui.labeling.desk.desk import Desk
from mia_tui.labeling.store import read_frame
from mia_tui.project import Project
from mia_tui.widgets.canvas.view import place

SPOTS = ((20, 20), (20, 60), (45, 40))


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "images").mkdir()
    project = Project.create(tmp_path / "p", images=tmp_path / "images", task="detection", classes=["spot", "other"])
    y, x = np.mgrid[:64, :80]
    image = sum(200 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 18.0) for a, b in SPOTS)
    desk = Desk(project)
    desk.view = place(64, 80, 32, 80, 1.0, 32, 40)
    desk.open("a.tif", "image", image[None].astype(np.uint8))
    yield desk
    desk.close()


def points(desk):
    return [tuple(item.geometry.coords[0][::-1]) for item in desk.labels.objects.values()]


def test_a_click_snaps_to_the_spot_and_with_shift_it_does_not(desk) -> None:
    desk.click(23, 17)
    assert points(desk)[0] == pytest.approx((20.5, 20.5), abs=1)
    desk.click(23, 63, exact=True)
    assert points(desk)[1] == (23, 63)
    desk.click(60, 5)
    assert points(desk)[2] == (60, 5), "nothing is near: the place itself"


def test_the_backtick_snaps_and_enter_does_not(desk) -> None:
    desk.cursor = (42, 37)
    desk.press("grave_accent")
    desk.cursor = (30, 10)
    desk.press("enter")
    assert points(desk)[0] == pytest.approx((45.5, 40.5), abs=1)
    assert points(desk)[1] == (30.5, 10.5)


def test_a_second_point_on_an_object_is_refused_and_said(desk) -> None:
    desk.click(30, 30, exact=True)
    desk.current = None
    desk.put(31.5, 31.5)
    assert desk.warning
    assert "already" in desk.message
    assert len(points(desk)) == 1


def test_arrows_move_the_point_each_step_on_disk_and_undone_alone(desk) -> None:
    desk.click(30, 30, exact=True)
    for key in ("e", "right", "shift+down", "escape"):
        desk.press(key)
    assert points(desk) == [(35, 31)]
    saved = read_frame(desk.project.labels_path("a.tif", "image"))
    assert [item.geometry for item in saved.objects.values()] == [shapely.Point(31, 35)]
    desk.press("u")
    assert points(desk) == [(30, 31)]
    desk.press("u")
    assert points(desk) == [(30, 30)]


def test_a_point_goes_to_the_cursor_but_not_onto_another(desk) -> None:
    desk.click(30, 30, exact=True)
    desk.click(50, 60, exact=True)
    desk.cursor = (30, 31)
    desk.press("e")
    desk.press("enter")
    assert "another point" in desk.message
    desk.cursor = (10, 70)
    desk.press("enter")
    assert points(desk) == [(30, 30), (10.5, 70.5)]


def test_a_drag_on_a_point_moves_it_and_elsewhere_it_is_an_annotated_area(desk) -> None:
    desk.click(30, 30, exact=True)
    desk.drag([(30, 30), (33, 34), (40, 50)])
    assert points(desk) == [(40, 50)]
    desk.drag([(2, 2), (2, 20), (12, 20), (12, 2)])
    assert desk.labels.areas[0].area == pytest.approx(180)
    assert points(desk) == [(40, 50)]


def test_of_two_proposed_points_on_one_object_one_is_accepted(desk) -> None:
    near = [
        Candidate(1, shapely.Point(30, 30)),
        Candidate(2, shapely.Point(31, 31)),
        Candidate(3, shapely.Point(50, 9)),
    ]
    desk.take_candidates(Proposed(near, "test", desk.time))
    desk.press("A")
    assert points(desk) == [(30, 30), (9, 50)]
    assert "2 accepted" in desk.message


def test_predictions_of_a_class_that_the_project_lacks_are_refused(desk) -> None:
    desk.take_candidates(Proposed([Candidate(1, shapely.Point(30, 30), "ghost")], "old model", desk.time))
    desk.press("A")
    assert "ghost" in desk.message
    assert points(desk) == []


def test_an_object_larger_than_the_view_wears_its_hint_where_it_is_seen(desk) -> None:
    large = Candidate(1, shapely.box(0, 0, 70, 60))
    desk.take_candidates(Proposed([large, Candidate(2, shapely.Point(78, 62))], "test", desk.time))
    desk.view = place(64, 80, 8, 10, 1.0, 5, 5)  # 16 x 10 pixels at the upper left
    desk.press("apostrophe")
    (hint,) = desk.sketch().hints
    assert hint.target.what.number == 1
    assert 0 <= hint.place[0] <= 16
    assert 0 <= hint.place[1] <= 10
