"""Accept, reject, re-class, merge, delete at the desk: what is on disk afterwards, and what undo takes back."""

import json

import numpy as np
import pytest
import shapely
from desks import (
    HEIGHT,
    KEY,
    WIDTH,
    add_at,
    at_desk,
    box,
    contents,
    files,
    hint,
    make_project,
    on_disk,
    opened,
    pixels,
    predict,
    press,
    propose,
)  # fmt: skip

from mia_tui.errors import MiaError
from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.desk import Desk
from mia_tui.labeling.desk.refs import candidate, label
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import fill
from mia_tui.labeling.store import FrameStore, read_frame, write_frame

FOUR = [box(5, 5), box(30, 5), box(55, 5), box(5, 30)]


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def pending(desk) -> list[int]:
    return [item.number for item in desk.pending]


def origins(project) -> dict[str, str]:
    """origin -> source of the labels on disk."""
    frame = read_frame(project.labels_path(KEY, "image"))
    return {} if frame is None else {item.origin: item.source for item in frame.objects.values()}


# ---- accept ----------------------------------------------------------------------------------------------------------


def test_accepting_goes_from_doubt_to_certainty_and_is_on_disk_at_once(project) -> None:
    predict(project, FOUR)
    desk = at_desk(project, model="net")
    assert pending(desk) == [1, 2, 3, 4]
    press(desk, "y")
    assert desk.current == candidate(1), "the first y shows what would be accepted"
    assert on_disk(project) == {}
    press(desk, "y", "y")
    assert origins(project) == {"net#1": "accepted", "net#2": "accepted"}
    assert desk.current == candidate(3)
    assert pending(desk) == [3, 4]


def test_accepting_in_view_leaves_the_rest(project) -> None:
    from mia_tui.widgets.canvas.view import View

    predict(project, FOUR)
    desk = at_desk(project, model="net", view=View(10, 40, 0.0, 0.0, 1.0))
    assert "2 accepted" in press(desk, "A")
    assert origins(project) == {"net#1": "accepted", "net#2": "accepted"}
    press(desk, "u")
    assert on_disk(project) == {}
    assert pending(desk) == [1, 2, 3, 4]


def test_accepting_where_nothing_is_in_view_says_so(project) -> None:
    from mia_tui.widgets.canvas.view import View

    predict(project, FOUR)
    desk = at_desk(project, model="net", view=View(3, 5, 50.0, 80.0, 1.0))
    assert "in view" in press(desk, "A")
    assert on_disk(project) == {}


def test_accepting_all_and_above_a_score(project) -> None:
    predict(project, FOUR)
    desk = at_desk(project, model="net")
    press(desk, "n", "n", "n")
    assert "2 accepted" in press(desk, "T")
    assert origins(project) == {"net#3": "accepted", "net#4": "accepted"}
    press(desk, "ctrl+a")
    assert len(origins(project)) == 4
    press(desk, "u", "u")
    assert on_disk(project) == {}


def test_a_proposal_without_a_class_takes_the_one_in_hand(project) -> None:
    desk = at_desk(project)
    propose(desk, FOUR[:1])
    press(desk, "2", "A")
    assert [name for _, name, _, _ in on_disk(project).values()] == ["debris"]


def test_what_covers_labels_is_not_accepted_and_what_touches_them_loses_only_the_overlap(project) -> None:
    """Candidate 1 lies on a label by 6 of 8 columns, candidate 2 by 2 of 8, candidate 3 not at all."""
    predict(project, [box(12, 5), box(40, 5), box(60, 5)])
    desk = at_desk(project, model="net")
    edits.add(desk, shapely.box(10, 5, 18, 13), "a")
    edits.add(desk, shapely.box(46, 5, 54, 13), "b")
    before = {number: pixels(item.geometry) for number, item in desk.labels.objects.items()}
    assert "2 accepted. 1 left" in press(desk, "escape", "A")
    assert pending(desk) == [1]
    after = {number: pixels(item.geometry) for number, item in desk.labels.objects.items()}
    assert {number: after[number] for number in before} == before
    assert [len(after[number]) for number in after if number not in before] == [48, 64]
    assert sum(map(len, after.values())) == len(set().union(*after.values()))
    press(desk, "n")
    assert "labelled already" in press(desk, "y")


def test_candidates_that_lie_on_each_other_do_not_become_labels_that_share_pixels(project) -> None:
    predict(project, [box(10, 5), box(14, 5), box(10, 5), box(60, 5)])
    desk = at_desk(project, model="net")
    press(desk, "A")
    shapes = [pixels(item.geometry) for item in desk.labels.objects.values()]
    assert sum(map(len, shapes)) == len(set().union(*shapes))
    assert {"net#1", "net#4"} <= set(origins(project))
    assert 3 in pending(desk), "the second of two that are the same"


def test_predictions_that_lie_outside_the_image_are_clipped_or_left(project) -> None:
    predict(project, [box(-3, 5), box(200, 5), box(30, 56)])
    desk = at_desk(project, model="net")
    press(desk, "ctrl+a")
    frame = shapely.box(0, 0, WIDTH, HEIGHT)
    assert all(frame.covers(item.geometry) for item in desk.labels.objects.values())
    assert set(origins(project)) == {"net#1", "net#3"}


def test_a_prediction_of_another_size_is_refused_and_the_labels_stay_usable(project) -> None:
    path = project.prediction_path("net", KEY, "image")
    write_frame(path, FrameLabels.of(30, 30, [LabelObject(1, box(5, 5), "cell", "predicted", 0.5)]))
    desk = Desk(project)
    with pytest.raises(MiaError, match="30 x 30"):
        opened(desk, model="net")
    assert desk.candidates is None
    desk.close()
    opened(desk)
    edits.add(desk, box(5, 5), "a")
    assert len(on_disk(project)) == 1


# ---- reject, delete --------------------------------------------------------------------------------------------------


def test_rejecting_marks_the_prediction_and_nothing_else(project) -> None:
    path = predict(project, FOUR)
    before = contents(read_frame(path))
    desk = at_desk(project, model="net")
    press(desk, "n", "x", "x")
    assert read_frame(path).rejected == {1, 2}
    assert contents(read_frame(path)) == before
    assert pending(desk) == [3, 4]
    desk.close()
    assert contents(read_frame(path)) == before
    desk = at_desk(project, model="net")
    assert pending(desk) == [3, 4]
    press(desk, "u")
    assert read_frame(path).rejected == {1}, "undo goes on after a restart"
    press(desk, "u")
    assert pending(desk) == [1, 2, 3, 4]
    press(desk, "U")
    assert read_frame(path).rejected == {1}


def test_deleting_an_accepted_label_rejects_its_prediction_and_one_undo_brings_both_back(project) -> None:
    path = predict(project, FOUR)
    desk = at_desk(project, model="net")
    press(desk, "A")
    choose(desk, 1)
    press(desk, "x")
    assert len(on_disk(project)) == 3
    assert read_frame(path).rejected == {1}
    assert pending(desk) == []
    press(desk, "u")
    assert len(on_disk(project)) == 4
    assert read_frame(path).rejected == frozenset()
    press(desk, "ctrl+r")
    assert len(on_disk(project)) == 3
    assert read_frame(path).rejected == {1}


def choose(desk, number: int) -> None:
    """Choose a label by the letters that it wears."""
    press(desk, "'")
    press(desk, hint(desk, number))


def test_deleting_an_accepted_proposal_does_not_bring_it_back_as_pending(project) -> None:
    desk = at_desk(project)
    propose(desk, FOUR)
    press(desk, "A")
    choose(desk, 2)
    press(desk, "delete")
    assert pending(desk) == []
    press(desk, "u")
    assert len(on_disk(project)) == 4


def test_when_the_prediction_cannot_be_marked_its_label_is_not_deleted(project) -> None:
    path = predict(project, FOUR)
    desk = at_desk(project, model="net")
    press(desk, "A")
    choose(desk, 1)
    with FrameStore(path, HEIGHT, WIDTH):
        assert "being edited" in press(desk, "x")
        assert desk.warning
        assert len(on_disk(project)) == 4
    press(desk, "x")
    assert len(on_disk(project)) == 3


def test_predictions_made_anew_meanwhile_are_not_rejected_by_their_old_number(project) -> None:
    path = predict(project, FOUR)
    desk = at_desk(project, model="net")
    predict(project, [box(70, 40), box(5, 5)])
    assert "has changed" in press(desk, "n", "x")
    assert read_frame(path).rejected == frozenset()
    desk.close()
    assert pending(opened(desk, model="net")) == [1, 2]


def test_many_rejections_with_a_count_are_one_step(project) -> None:
    path = predict(project, FOUR)
    desk = at_desk(project, model="net")
    press(desk, "n", ";", "3", "x")
    assert read_frame(path).rejected == {1, 2, 3}
    press(desk, "u")
    assert read_frame(path).rejected == frozenset()
    press(desk, "U")
    assert read_frame(path).rejected == {1, 2, 3}


def test_predictions_behind_proposals_can_be_undone_and_are_let_go_of(project) -> None:
    path = predict(project, FOUR)
    desk = at_desk(project, model="net")
    press(desk, "n", "x")
    propose_over(desk)
    press(desk, "u")
    assert read_frame(path).rejected == frozenset()
    press(desk, "U")
    assert read_frame(path).rejected == {1}
    desk.close()
    with FrameStore(path, HEIGHT, WIDTH) as store:
        assert store.frame.rejected == {1}


def propose_over(desk) -> None:
    from mia_tui.labeling.desk.candidates import Candidate, Proposed

    desk.take_candidates(Proposed([Candidate(1, box(70, 40))], "test", desk.time))


def test_redo_brings_nothing_back_that_a_later_edit_has_overtaken(project) -> None:
    """Accepting is undone, then the same object is rejected in another file: redo must not accept it again."""
    path = predict(project, FOUR)
    desk = at_desk(project, model="net")
    press(desk, "n", "y", "u", "escape", "n", "x")
    assert read_frame(path).rejected == {1}
    assert "Nothing to redo" in press(desk, "U")
    assert on_disk(project) == {}
    press(desk, "u", "U")
    assert read_frame(path).rejected == {1}
    assert on_disk(project) == {}


# ---- classes ---------------------------------------------------------------------------------------------------------


def test_a_digit_gives_the_chosen_object_the_class(project) -> None:
    desk = at_desk(project)
    edits.add(desk, box(5, 5), "a")
    press(desk, "2")
    assert [name for _, name, _, _ in on_disk(project).values()] == ["debris"]
    press(desk, "u")
    assert [name for _, name, _, _ in on_disk(project).values()] == ["cell"]
    press(desk, "escape", "2")
    assert [name for _, name, _, _ in on_disk(project).values()] == ["cell"], "nothing is chosen"
    assert "No class" in press(desk, "9")
    assert desk.class_name == "debris"


def test_re_classing_a_prediction_makes_it_a_corrected_label(project) -> None:
    predict(project, FOUR)
    desk = at_desk(project, model="net")
    press(desk, "2", "r")
    press(desk, hint(desk, 3, "candidate"), "escape")
    (found,) = on_disk(project).values()
    assert found[1:] == ("debris", "corrected", "net#3")
    assert pending(desk) == [1, 2, 4]


def test_re_classing_a_prediction_takes_no_pixel_from_a_label(project) -> None:
    predict(project, [box(10, 5)])
    desk = at_desk(project, model="net")
    edits.add(desk, box(14, 5), "a")
    press(desk, "escape", "n", "2")
    shapes = [pixels(item.geometry) for item in desk.labels.objects.values()]
    assert [len(shape) for shape in shapes] == [64, 32]


def test_an_accepted_label_that_is_changed_is_corrected_a_drawn_one_stays_manual(project) -> None:
    predict(project, FOUR[:1])
    desk = at_desk(project, model="net")
    press(desk, "A")
    edits.change(desk, label(1), box(6, 6), "moved")
    drawn = edits.add(desk, box(40, 40), "drawn")
    edits.change(desk, label(drawn), box(41, 40), "moved")
    assert [source for _, _, source, _ in on_disk(project).values()] == ["corrected", "manual"]


# ---- merge -----------------------------------------------------------------------------------------------------------


def merge(desk, one: int, other: int) -> str:
    press(desk, "m")
    press(desk, hint(desk, one))
    return press(desk, hint(desk, other))


def test_merging_two_labels_keeps_the_first_and_all_pixels(project) -> None:
    desk = at_desk(project)
    one, other = edits.add(desk, box(5, 5), "a"), edits.add(desk, box(13, 5), "b")
    press(desk, "escape")
    merge(desk, one, other)
    assert list(on_disk(project)) == [one]
    assert len(pixels(desk.labels.objects[one].geometry)) == 128
    press(desk, "u")
    assert list(on_disk(project)) == [one, other]


def test_merging_accepted_labels_leaves_neither_pending(project) -> None:
    predict(project, [box(5, 5), box(13, 5)])
    desk = at_desk(project, model="net")
    press(desk, "A")
    merge(desk, 1, 2)
    assert len(on_disk(project)) == 1
    assert pending(desk) == []
    press(desk, "u")
    assert len(on_disk(project)) == 2
    assert pending(desk) == []


def test_merging_needs_two_outlines(project) -> None:
    """A point among outlines (imported) cannot be merged; nor can the only label there is."""
    with FrameStore(project.labels_path(KEY, "image"), HEIGHT, WIDTH) as store:
        store.edit("imported", add=[LabelObject(1, shapely.Point(40, 20), "cell"), LabelObject(2, box(5, 5), "cell")])
    desk = at_desk(project)
    before = on_disk(project)
    press(desk, "m")
    assert [one.target.what.number for one in desk.sketch().hints] == [2]
    press(desk, hint(desk, 2))
    assert desk.mode is None
    assert desk.message
    assert on_disk(project) == before


# ---- geometries ------------------------------------------------------------------------------------------------------

NAN = float("nan")
BOW_TIE = shapely.Polygon([(10, 10), (30, 30), (30, 10), (10, 30)])
HOSTILE = {
    "outside": shapely.box(200, 200, 220, 220),
    "touching the border from outside": shapely.box(-10, -10, 0, 0),
    "empty": shapely.Polygon(),
    "empty multi": shapely.MultiPolygon(),
    "without area": shapely.Polygon([(5, 5), (20, 20), (12, 12)]),
    "one corner three times": shapely.Polygon([(5, 5)] * 4),
    "smaller than a pixel": shapely.box(10.1, 10.1, 10.3, 10.3),
    "a line": shapely.LineString([(0, 0), (9, 9)]),
    "nan": shapely.Polygon([(5, 5), (NAN, 9), (9, 9)]),
    "infinite": shapely.Polygon([(5, 5), (float("inf"), 9), (9, 9)]),
    "nan point": shapely.Point(NAN, 3),
    "point outside": shapely.Point(WIDTH, 3),
    "empty point": shapely.Point(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_geometry_that_is_no_object_is_not_added_and_that_is_said(project, name) -> None:
    desk = at_desk(project)
    edits.add(desk, box(60, 40), "there before")
    before = on_disk(project)
    press(desk, "escape")
    assert edits.add(desk, HOSTILE[name], "hostile") is None
    assert desk.warning
    assert "Nothing was added" in desk.message
    assert on_disk(project) == before
    assert edits.change(desk, label(1), HOSTILE[name], "hostile") is None
    assert on_disk(project) == before


def test_what_sticks_out_is_clipped_and_what_crosses_itself_is_made_valid(project) -> None:
    desk = at_desk(project)
    edits.add(desk, shapely.box(-5, -5, 5, 5), "corner")
    edits.add(desk, BOW_TIE, "bow tie")
    shapes = [item.geometry for item in desk.labels.objects.values()]
    assert all(shape.is_valid for shape in shapes)
    assert len(pixels(shapes[0])) == 25
    assert pixels(shapes[1]) == pixels(BOW_TIE)
    assert "MultiPolygon" in {shape.geom_type for shape in shapes}


@pytest.mark.parametrize("seed", range(6))
def test_no_label_loses_a_pixel_to_another_one(project, seed) -> None:
    """Random outlines, also self-crossing ones and with corners between pixels, added and changed one after another."""
    rng = np.random.default_rng(seed)
    desk = at_desk(project)
    for step in range(30):
        middle, count = rng.uniform(-5, (WIDTH, HEIGHT)), rng.integers(3, 9)
        shape = shapely.Polygon(middle + rng.normal(0, 8, (count, 2)) * rng.choice([0.05, 1, 2]))
        before = {number: pixels(item.geometry) for number, item in desk.labels.objects.items()}
        ids = list(before)
        if ids and rng.random() < 0.4:
            number = int(rng.choice(ids))
            edits.change(desk, label(number), shape, f"change {step}")
        else:
            number = edits.add(desk, shape, f"add {step}")
        after = {number: pixels(item.geometry) for number, item in desk.labels.objects.items()}
        assert {i: cells for i, cells in after.items() if i != number} == {
            i: cells for i, cells in before.items() if i != number
        }
        assert sum(map(len, after.values())) == len(set().union(*after.values())), "two objects share pixels"
        assert all(after.values()), "an object without a pixel"
        press(desk, "escape")


def self_crossing_labels(project) -> dict:
    """A label file, as another program writes it, with outlines that cross themselves."""
    path = project.labels_path(KEY, "image")
    write_frame(path, FrameLabels.of(HEIGHT, WIDTH, [LabelObject(1, box(50, 40), "cell")]))
    document = json.loads(path.read_text())
    feature = document["features"][0]
    ring = [[10, 10], [30, 30], [30, 10], [10, 30], [10, 10]]
    star = [[60, 5], [66, 23], [51, 12], [69, 12], [54, 23], [60, 5]]
    for number, coordinates in ((2, ring), (3, star)):
        more = json.loads(json.dumps(feature))
        more["properties"]["id"], more["geometry"]["coordinates"] = number, [coordinates]
        more.pop("id")
        document["features"].append(more)
    path.write_text(json.dumps(document))
    return on_disk(project)


@pytest.mark.parametrize(
    "act",
    [
        lambda desk: edits.add(desk, box(12, 12), "add"),
        lambda desk: edits.add(desk, shapely.box(0, 0, 90, 60), "add"),
        lambda desk: edits.change(desk, label(1), shapely.box(5, 5, 70, 40), "change"),
        lambda desk: edits.change(desk, label(2), shapely.box(5, 5, 70, 40), "change"),
        lambda desk: (propose(desk, [box(12, 12), box(60, 8), box(20, 40)]), press(desk, "A")),
        lambda desk: merge(desk, 2, 3),
        lambda desk: merge(desk, 1, 2),
        lambda desk: (desk.click(12.5, 12.5), press(desk, "2")),
        lambda desk: (press(desk, "d"), press(desk, hint(desk, 2))),
    ],
)
def test_labels_that_cross_themselves_can_be_worked_with(project, act) -> None:
    before = self_crossing_labels(project)
    desk = at_desk(project)
    act(desk)
    assert not desk.warning, desk.message
    assert on_disk(project) != before
    press(desk, "escape", *["u"] * 3)
    assert on_disk(project) == before
    desk.close()
    assert on_disk(project) == before


# ---- opening and closing ---------------------------------------------------------------------------------------------


def test_looking_at_images_leaves_no_file_and_no_folder(project) -> None:
    predict(project, FOUR)
    predict(project, FOUR, key="deep/b.tif")
    before = files(project.folder)
    desk = at_desk(project, model="net")
    press(desk, "'", "escape", "n", "n", "p", "a", "escape", "escape", "2", "t", "escape", "u", "U", ";", "3", "n")
    opened(desk, key="deep/b.tif", model="net")
    press(desk, "n", "escape")
    desk.close()
    assert files(project.folder) == before


def test_a_frame_that_another_window_edits_is_for_viewing_only(project) -> None:
    predict(project, FOUR)
    path = project.labels_path(KEY, "image")
    with FrameStore(path, HEIGHT, WIDTH) as other:
        other.edit("other", add=[LabelObject(1, box(60, 40), "cell")])
        before = files(project.folder)
        desk = at_desk(project, model="net")
        assert "being edited by another window" in desk.read_only
        assert len(desk.labels.objects) == 1
        for key in ("y", "A", "ctrl+a", "T", "x", "d", "r", "m", "a", "enter", "u", "U", "t", "p", "2", "."):
            press(desk, "n", key, "escape", "escape")
        desk.click(20, 20)
        assert "viewing only" in desk.message
        assert "viewing only" in press(desk, "n", "y")
        press(desk, "'")
        assert len(desk.sketch().hints) == 5
        press(desk, "escape")
        desk.close()
        assert files(project.folder) == before
    desk = at_desk(project, model="net")
    assert desk.read_only == ""
    press(desk, "A")
    assert len(on_disk(project)) == 5


def test_what_was_said_of_the_frame_before_is_not_said_of_the_next_one(project) -> None:
    with FrameStore(project.labels_path(KEY, "image"), HEIGHT, WIDTH):
        desk = at_desk(project)
        assert desk.read_only
        opened(desk, key="deep/b.tif")
        assert desk.read_only == ""
        edits.add(desk, box(5, 5), "a")
    assert len(on_disk(project, "deep/b.tif")) == 1


def test_tool_class_and_last_action_stay_over_images(project) -> None:
    desk = at_desk(project)
    press(desk, "2", "t", "p")
    opened(desk, key="deep/b.tif")
    assert desk.class_name == "debris"
    assert desk.mode is None
    assert desk.current is None
    assert "Nothing to undo" in press(desk, "u"), "undo is of this image"


# ---- tools and tally -------------------------------------------------------------------------------------------------


def test_a_polygon_by_cursor_and_enter(project) -> None:
    desk = at_desk(project)
    press(desk, "t", "p")
    for y, x in ((10, 10), (10, 20), (20, 20)):
        add_at(desk, y, x)
    assert desk.mode is not None
    assert on_disk(project) == {}
    press(desk, "space")
    (item,) = desk.labels.objects.values()
    assert item.geometry.equals(shapely.Polygon([(10.5, 10.5), (20.5, 10.5), (20.5, 20.5)]))
    for y, x in ((40, 10), (40, 20)):
        add_at(desk, y, x)
    assert "three corners" in press(desk, "space")
    press(desk, "backspace", "backspace")
    assert desk.mode is None


def test_the_tally_counts_keys_seconds_and_objects(project) -> None:
    from mia_tui.labeling.desk.tally import PAUSE_S

    now = [100.0]
    desk = Desk(project, clock=lambda: now[0])
    opened(desk)
    propose(desk, FOUR)
    assert desk.tally.text == ""
    for key, seconds in (("n", 1.0), ("y", 3.0), ("y", 1000.0), ("A", 0.0)):
        press(desk, key)
        now[0] += seconds
    assert (desk.tally.keys, desk.tally.objects) == (4, 4)
    assert desk.tally.seconds == pytest.approx(1.0 + 3.0 + PAUSE_S)
    assert desk.tally.text == f"4 objects  1.0 keys  {(4 + PAUSE_S) / 4:.1f} s each"


def test_every_row_says_why_or_can_be_done_and_none_breaks_the_desk(tmp_path) -> None:
    """Each action of the table, from help or palette, on an empty frame, with proposals, and with a label chosen."""
    for task in ("segmentation", "detection"):
        place = make_project(tmp_path / task, task=task)
        desk = Desk(place)
        for action in desk.actions:
            assert desk.reason(action.id) == "No image is open."
        for number in range(3):
            opened(desk)
            for action in desk.actions:
                if number:
                    propose(desk, FOUR if task == "segmentation" else [shapely.Point(20, 20 * i) for i in range(1, 3)])
                if number == 2:
                    press(desk, "n", "y", "n")
                reason = desk.reason(action.id)
                desk.perform(action.id)
                if reason is not None:
                    assert desk.message == reason
                    assert desk.warning
                press(desk, *["escape"] * 3)
            desk.close()


def test_the_fill_rule_of_this_file_is_the_label_images(project) -> None:
    """`pixels` is what export and training see: the label image of two touching boxes."""
    image = np.zeros((HEIGHT, WIDTH), np.int32)
    for number, shape in ((1, box(5, 5)), (2, box(13, 5))):
        rows, columns, mask = fill(shape, image.shape)
        image[rows, columns][mask] = number
    assert int((image == 1).sum()) == int((image == 2).sum()) == 64 == len(pixels(box(5, 5)))


@pytest.mark.parametrize("key", ["p", "e"])
def test_a_form_laid_over_a_label_changes_that_label(project, key) -> None:
    desk = at_desk(project)
    propose(desk, [box(30, 20, 20)])
    press(desk, "n", "y", "'", "f")
    ((number, before),) = desk.labels.objects.items()
    press(desk, "comma", key, "s", "s", "space")
    ((same, after),) = desk.labels.objects.items()
    assert same == number, "it became another object"
    assert after.geometry.area > before.geometry.area
    assert after.geometry.intersection(before.geometry).area > 0.7 * before.geometry.area
