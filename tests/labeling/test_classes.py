"""Editing the classes of a project: what becomes of labels, their history, predictions and models."""

import json
import os
from collections import Counter

import pytest
import shapely

from mia_tui.errors import MiaError
from mia_tui.labeling import class_change
from mia_tui.labeling.class_change import Change
from mia_tui.labeling.class_counts import class_counts
from mia_tui.labeling.classes import (
    add_class,
    move_class,
    recolor_class,
    remove_class,
    rename_class,
    set_key,
    unknown_classes,
)
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.opening import CHANGE_FILE, open_project
from mia_tui.labeling.store import FrameStore, open_labels, read_frame, write_frame
from mia_tui.project import Project

SIZE = 40, 50
KEYS = ("a.tif", "deep/b.tif", "c.tif")


def thing(number, name):
    return LabelObject(number, shapely.box(number, 1, number + 3, 6), name)


@pytest.fixture
def project(tmp_path) -> Project:
    """Three labelled frames: cells 1 and 2 and debris 3 on each, made in two edits; predictions and a model of both."""
    (tmp_path / "images").mkdir()
    made = Project.create(tmp_path / "project", images=tmp_path / "images", classes=["cell", "debris"])
    for key in KEYS:
        with open_labels(made, key, "image", *SIZE) as store:
            store.edit("two cells", add=[thing(1, "cell"), thing(2, "cell")])
            store.edit("debris", add=[thing(3, "debris")])
    predicted = FrameLabels.of(*SIZE, [thing(1, "cell"), thing(2, "debris")])
    write_frame(made.prediction_path("unet", "a.tif", "image"), predicted)
    card = made.models_folder / "unet" / "model.json"
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"classes": [{"name": "cell", "color": "#56B4E9"}, {"name": "debris", "color": "#0"}]}))
    return made


def labels(project, key="a.tif"):
    return {number: item.label_class for number, item in read_frame(project.labels_path(key, "image")).objects.items()}


def store_of(project, key="a.tif"):
    return open_labels(project, key, "image", *SIZE)


def names(project):
    return [c.name for c in project.classes]


def leftovers(project):
    return [path.name for path in project.folder.rglob("*") if path.suffix in (".tmp", ".lock")] + [
        path.name for path in project.folder.glob(CHANGE_FILE)
    ]


# ---- project.toml only -----------------------------------------------------------------------------------------------


def test_a_new_class_gets_the_next_colour_and_the_next_free_digit(project) -> None:
    for number in range(3, 12):
        project = add_class(project, f"c{number}")
    assert [c.key for c in project.classes] == ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0", ""]
    assert len({c.color for c in project.classes[:8]}) == 8
    assert Project.load(project.folder) == project


@pytest.mark.parametrize("name", ["", "  ", "cell", " debris ", "annotated area", "a\nb"])
def test_a_name_that_is_no_good_is_refused(project, name) -> None:
    with pytest.raises(MiaError):
        add_class(project, name)
    with pytest.raises(MiaError):
        rename_class(project, "debris" if name == "cell" else "cell", name)
    assert names(Project.load(project.folder)) == ["cell", "debris"]


def test_colours_are_checked_and_a_damaged_project_file_is_told(project) -> None:
    assert recolor_class(project, "cell", "#a0b1c2").classes[0].color == "#A0B1C2"
    for bad in ("red", "#12345", "#12345g", "123456", ""):
        with pytest.raises(MiaError, match="is no colour"):
            recolor_class(project, "cell", bad)
    path = project.folder / "project.toml"
    path.write_text(path.read_text().replace("#A0B1C2", "blue"))
    with pytest.raises(MiaError, match=r"project\.toml.*'blue'"):
        Project.load(project.folder)


def test_a_digit_selects_one_class_and_the_one_that_had_it_gets_the_other(project) -> None:
    swapped = set_key(project, "debris", "1")
    assert {c.name: c.key for c in swapped.classes} == {"cell": "2", "debris": "1"}
    assert {c.name: c.key for c in set_key(swapped, "cell", "").classes} == {"cell": "", "debris": "1"}
    assert {c.name: c.key for c in set_key(swapped, "cell", "0").classes} == {"cell": "0", "debris": "1"}
    for bad in ("10", "x", "²"):
        with pytest.raises(MiaError):
            set_key(project, "cell", bad)


def test_order(project) -> None:
    project = add_class(project, "mito")
    assert names(move_class(project, "mito", 0)) == ["mito", "cell", "debris"]
    assert names(move_class(project, "mito", 99)) == ["cell", "debris", "mito"]
    assert names(Project.load(project.folder)) == ["cell", "debris", "mito"]


def test_a_change_made_in_another_window_in_between_is_kept(project) -> None:
    add_class(project, "mito")
    assert names(recolor_class(project, "cell", "#000000")) == ["cell", "debris", "mito"]


# ---- renaming --------------------------------------------------------------------------------------------------------


def test_a_rename_reaches_labels_history_predictions_and_models(project) -> None:
    with store_of(project) as store:
        store.undo()
    renamed = rename_class(project, "debris", "Schmutz äß")
    assert names(renamed) == ["cell", "Schmutz äß"]
    assert renamed.classes[1].color == project.classes[1].color
    assert labels(renamed, "c.tif") == {1: "cell", 2: "cell", 3: "Schmutz äß"}
    with store_of(renamed) as store:
        assert store.redo() == "debris"
        assert store.frame.objects[3].label_class == "Schmutz äß"
        while store.undo():
            pass
        assert store.frame.objects == {}
        assert store.redo() == "two cells"
        assert store.redo() == "debris"
        assert store.frame.objects[3].label_class == "Schmutz äß"
    predicted = read_frame(project.prediction_path("unet", "a.tif", "image"))
    assert [item.label_class for item in predicted.objects.values()] == ["cell", "Schmutz äß"]
    card = json.loads((project.models_folder / "unet" / "model.json").read_text())
    assert [entry["name"] for entry in card["classes"]] == ["cell", "Schmutz äß"]
    assert leftovers(project) == []


def test_a_rename_touches_no_other_file_and_keeps_what_other_programs_wrote(project) -> None:
    path = project.labels_path("c.tif", "image")
    document = json.loads(path.read_text())
    document["maker"] = "QuPath"
    document["features"][2]["properties"] |= {"measurements": [1.5], "classification": {"names": ["Tumor", "Positive"]}}
    path.write_text(json.dumps(document))
    project = add_class(project, "tumor")
    before = {p: p.read_bytes() for p in project.folder.rglob("*.geojson") if p != path}
    renamed = rename_class(project, "Tumor: Positive", "tumor")
    assert {p: p.read_bytes() for p in before} == before
    assert names(renamed) == ["cell", "debris", "tumor"]
    after = json.loads(path.read_text())
    assert after["maker"] == "QuPath"
    assert after["features"][2]["properties"]["measurements"] == [1.5]
    assert labels(renamed, "c.tif") == {1: "cell", 2: "cell", 3: "tumor"}


def test_two_classes_are_not_put_together_by_a_rename(project) -> None:
    with pytest.raises(MiaError, match="give its labels to 'debris'"):
        rename_class(project, "cell", "debris")
    with pytest.raises(MiaError, match="no class 'nothing'"):
        rename_class(project, "other", "nothing")


@pytest.mark.parametrize("labelled", [True, False])
def test_a_frame_being_edited_elsewhere_stops_a_change_before_anything_is_written(project, labelled) -> None:
    key = "deep/b.tif" if labelled else "new.tif"
    before = {p: p.read_bytes() for p in project.folder.rglob("*") if p.is_file()}
    with store_of(project, key):
        for change in (
            lambda: rename_class(project, "cell", "nucleus"),
            lambda: remove_class(project, "cell", "debris"),
        ):
            with pytest.raises(MiaError, match=r"being edited by another window.*Classes were not changed"):
                change()
    assert {p: p.read_bytes() for p in project.folder.rglob("*") if p.is_file()} == before
    assert leftovers(project) == []


@pytest.mark.parametrize("foreign", [True, False])
def test_a_damaged_label_file_stops_a_change_before_anything_is_written(project, foreign) -> None:
    path = project.labels_path("c.tif", "image")
    path.write_bytes(b" " * foreign + path.read_bytes()[:-30])
    changes = [lambda: remove_class(project, "cell")]
    changes += [lambda: rename_class(project, "cell", "nucleus")] if foreign else []
    for change in changes:
        with pytest.raises(MiaError, match=r"c\.tif"):
            change()
    assert labels(project) == {1: "cell", 2: "cell", 3: "debris"}
    assert leftovers(project) == []


def test_a_file_cut_in_half_keeps_what_is_left_of_it_under_the_new_name(project) -> None:
    path = project.labels_path("c.tif", "image")
    half = path.read_bytes()[:-30]
    path.write_bytes(half)
    rename_class(project, "cell", "nucleus")
    assert path.read_bytes() == half.replace(b'"cell"', b'"nucleus"')


def test_texts_that_look_like_the_class_are_left_alone(project) -> None:
    """A class called like a word of the format, and an undo text with the class in quotes."""
    project = add_class(project, "Polygon")
    with store_of(project) as store:
        store.edit('"classification": {"name": "cell"}', add=[thing(4, "Polygon")])
    project = rename_class(rename_class(project, "Polygon", "x"), "cell", "y")
    assert labels(project) == {1: "y", 2: "y", 3: "debris", 4: "x"}
    with store_of(project) as store:
        assert store.undo() == '"classification": {"name": "cell"}'
        assert store.frame.objects[1].geometry.geom_type == "Polygon"


def test_two_windows_do_not_change_classes_at_once(project) -> None:
    with (
        class_change.changing(project),
        pytest.raises(MiaError, match="being changed by another window"),
    ):
        add_class(project, "mito")
    assert "mito" in names(add_class(project, "mito"))


# ---- removing --------------------------------------------------------------------------------------------------------


def test_labels_of_a_removed_class_go_to_another_one_as_one_undo_step(project) -> None:
    removed = remove_class(project, "cell", "debris")
    assert names(removed) == names(Project.load(project.folder)) == ["debris"]
    for key in KEYS:
        assert labels(removed, key) == {1: "debris", 2: "debris", 3: "debris"}
    with store_of(removed) as store:
        assert store.undo() == "class cell removed: 2 labels become debris"
    assert labels(removed) == {1: "cell", 2: "cell", 3: "debris"}


def test_labels_of_a_removed_class_are_deleted_and_undo_brings_back_an_unknown_class(project) -> None:
    removed = remove_class(project, "cell")
    assert labels(removed) == {3: "debris"}
    with store_of(removed) as store:
        store.undo()
    found = class_counts(removed)
    assert found.objects == {"cell": 2, "debris": 3}
    assert unknown_classes(removed, found.objects) == ["cell"]
    assert names(rename_class(removed, "cell", "debris")) == ["debris"]
    assert labels(removed) == {1: "debris", 2: "debris", 3: "debris"}
    assert unknown_classes(removed, class_counts(removed).objects) == []


def test_the_last_class_stays(project) -> None:
    removed = remove_class(project, "cell")
    with pytest.raises(MiaError, match="last class"):
        remove_class(removed, "debris")
    with pytest.raises(MiaError, match="itself"):
        remove_class(project, "debris", "debris")
    assert labels(project, "c.tif") == {3: "debris"}


# ---- kill and disk full ----------------------------------------------------------------------------------------------

STEPS = ("replace", "fsync", "unlink", "write")


def run_until(change, stop, how):
    """Do a change in a child that dies (or whose disk is full) at the `stop`-th call that touches the disk."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen = 0

    def counted(real):
        def call(*args, **options):
            nonlocal seen
            seen += 1
            if how == "killed" and seen == stop:
                os._exit(9)
            if how == "full" and seen >= stop and real is not unlink:
                raise OSError(28, "No space left on device")
            return real(*args, **options)

        return call

    unlink = os.unlink
    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    try:
        change()
    except MiaError:
        os._exit(3)
    os._exit(0)


CHANGES = {
    "rename": (lambda project: rename_class(project, "cell", "nucleus"), ("nucleus", "debris"), {"nucleus", "cell"}),
    "give": (lambda project: remove_class(project, "cell", "debris"), ("debris",), {"cell", "debris"}),
    "delete": (lambda project: remove_class(project, "cell"), ("debris",), {"cell", None}),
}


@pytest.mark.parametrize("how", ["killed", "full"])
@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_cut_off_at_any_step_is_whole_after_the_next_open(project, kind, how) -> None:
    """At every step: all frames can be read, no label is lost before its time, and opening finishes or has nothing."""
    change, after, cells = CHANGES[kind]
    untouched = {p: p.read_bytes() for p in project.folder.rglob("*") if p.is_file()}
    begun = stop = 0
    while True:
        stop += 1
        code = run_until(lambda: change(project), stop, how)
        assert code in (0, 9, 3)
        for key in KEYS:
            found = labels(project, key)
            assert {found.get(1), found.get(2)} <= cells
            assert found[3] == "debris"
        Project.load(project.folder)
        pending = (project.folder / CHANGE_FILE).exists()
        begun += pending
        opened = open_project(project.folder)
        done = tuple(names(opened)) == after
        assert done or (not pending and names(opened) == ["cell", "debris"])
        expected = {"rename": "nucleus", "give": "debris", "delete": None}[kind] if done else "cell"
        for key in KEYS:
            assert labels(opened, key).get(1) == labels(opened, key).get(2) == expected
            with store_of(opened, key) as store:
                assert store.undo() == ("debris" if kind == "rename" or not done else store.redo_text)
                store.redo()
        left = [name for name in leftovers(opened) if not name.startswith((".project.toml", ".model.json"))]
        assert left == [] or not pending
        if code == 0:
            break
        for path in project.folder.rglob("*"):
            if path.is_file() and path not in untouched:
                path.unlink()
        for path, data in untouched.items():
            path.write_bytes(data)
    assert begun > 10


def test_a_change_of_an_unreadable_intent_is_told(project) -> None:
    (project.folder / CHANGE_FILE).write_text("{")
    with pytest.raises(MiaError, match=r"class-change.json.*Move it away"):
        open_project(project.folder)


def test_the_rest_of_a_change_waits_for_a_frame_that_is_edited(project) -> None:
    (project.folder / CHANGE_FILE).write_text(json.dumps({"format": 1, **vars(Change("rename", "cell", "nucleus"))}))
    with store_of(project), pytest.raises(MiaError, match="being edited"):
        open_project(project.folder)
    assert names(open_project(project.folder)) == ["nucleus", "debris"]
    assert labels(project) == {1: "nucleus", 2: "nucleus", 3: "debris"}


# ---- counting --------------------------------------------------------------------------------------------------------


def test_counts_follow_every_edit_and_agree_with_the_frames(project) -> None:
    assert class_counts(project).objects == {"cell": 6, "debris": 3}
    assert class_counts(project).frames == {"cell": 3, "debris": 3}
    with FrameStore(project.labels_path("m.tif", "t0001z0000"), *SIZE) as store:
        store.edit("add", add=[thing(1, "debris")])
        store.set_areas([shapely.box(0, 0, 9, 9)])
        assert class_counts(project, "m.tif").objects == {"debris": 1}  # only the journal is there yet
        store.undo()
        store.undo()
        assert class_counts(project, "m.tif").objects == {}
        store.redo()
    expected = Counter()
    for key, frame in project.frames_under("labels"):
        expected.update(item.label_class for item in read_frame(project.labels_path(key, frame)).objects.values())
    assert class_counts(project).objects == expected == {"cell": 6, "debris": 4}
    assert class_counts(project, "a.tif").objects == {"cell": 2, "debris": 1}


def test_a_damaged_file_is_named_and_the_others_counted(project) -> None:
    project.labels_path("c.tif", "image").write_text("no json")
    found = class_counts(project)
    assert found.objects == {"cell": 4, "debris": 2}
    assert len(found.problems) == 1
    assert "c.tif" in found.problems[0]
