"""The label file of one frame: edits, undo, damage, one writer."""

import json
import os
import statistics
import time
from dataclasses import replace

import numpy as np
import pytest
from shapely.geometry import MultiPolygon, Point, Polygon, box

from mia_tui.errors import MiaError
from mia_tui.labeling import store as store_module
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import shapes_from_labels
from mia_tui.labeling.store import FrameStore, read_frame, write_frame

H, W = 40, 50
RING = Polygon([(1, 1), (9, 1), (9, 9), (1, 9)], [[(3, 3), (3, 6), (6, 6), (6, 3)]])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels" / "a.png" / "image.geojson"


def cell(number, geometry=None, **more):
    return LabelObject(number, box(number, 1, number + 3, 4) if geometry is None else geometry, "cell", **more)


def edited(path, count=3):
    """A frame with some objects, each its own edit, closed."""
    with FrameStore(path, H, W) as store:
        for _ in range(count):
            number = store.new_id()
            store.edit(f"add {number}", add=[cell(number)])
    return path.with_suffix(".journal")


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def ids(path):
    return sorted(read_frame(path).objects)


# ---- what is written comes back --------------------------------------------------------------------------------------


def test_every_field_and_geometry_comes_back(path):
    objects = [
        LabelObject(1, RING, "nucleus", "accepted", 0.875, 4, "net#12"),
        LabelObject(2, MultiPolygon([box(0, 0, 2, 2), box(2, 2, 4, 4)]), "cell"),
        LabelObject(7, Point(3.25, 4.1), "spot", "predicted", 0.1),
        LabelObject(9, Polygon([(0.1, 0.2), (7.3, 0.9), (3.3, 1 / 3)]), "Zelle ü", "corrected"),
    ]
    frame = replace(FrameLabels.of(H, W, objects), areas=(box(0, 0, 20, 20), RING), rejected=frozenset({2}))
    write_frame(path, frame)
    again = read_frame(path)
    assert again == frame
    assert [item.geometry.wkb for item in again.objects.values()] == [item.geometry.wkb for item in objects]
    with FrameStore(path, H, W) as store:
        store.edit("remove", remove=[2])
        store.undo()
    assert read_frame(path) == frame


def test_no_files_no_frame(path):
    assert read_frame(path) is None


def test_other_programs_find_plain_geojson(path):
    with FrameStore(path, H, W, colors={"cell": "#56B4E9"}) as store:
        store.edit("add", add=[LabelObject(store.new_id(), RING, "cell", score=0.5)])
        store.set_areas([box(0, 0, 10, 10)])
    document = json.loads(path.read_text())
    assert document["type"] == "FeatureCollection"
    area, feature = document["features"]
    assert area["properties"]["classification"]["name"] == "annotated area"
    assert feature["type"] == "Feature"
    assert len(feature["id"]) == 36
    assert feature["geometry"] == {
        "type": "Polygon",
        "coordinates": [
            [[1, 1], [9, 1], [9, 9], [1, 9], [1, 1]],
            [[3, 3], [3, 6], [6, 6], [6, 3], [3, 3]],
        ],
    }
    properties = feature["properties"]
    assert properties["objectType"] == "annotation"
    assert properties["classification"] == {"name": "cell", "color": [0x56, 0xB4, 0xE9]}
    assert (properties["id"], properties["source"], properties["score"]) == (1, "manual", 0.5)


def test_what_other_programs_wrote_survives_edits_undo_and_rewriting(path):
    edited(path)
    document = json.loads(path.read_text())
    document["crs"] = {"type": "name"}
    first = document["features"][0]
    first["bbox"], first["id"] = [0, 0, 1, 1], "their-id"
    first["properties"]["measurements"] = {"Area": 12.5}
    first["properties"]["isLocked"] = True
    first["properties"]["classification"]["names"] = ["cell"]
    first["geometry"]["plane"] = {"c": -1, "z": 0, "t": 0}
    line = {
        "type": "Feature",
        "geometry": {"type": "LineString", "coordinates": [[0, 0], [1, 1]]},
        "properties": {"a": 1},
    }
    document["features"].append(line)
    area = {
        "type": "Feature",
        "id": "area-1",
        "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [5, 0], [5, 5], [0, 0]]]},
        "properties": {"classification": {"name": "annotated area"}, "name": "corner"},
    }
    document["features"].append(area)
    path.write_text(json.dumps(document))
    with FrameStore(path, H, W) as store:
        store.edit("remove all", remove=[1, 2, 3])
        store.undo()
        store.edit("correct", remove=[1], add=[replace(store.frame.objects[1], geometry=box(20, 20, 30, 30))])
    again = json.loads(path.read_text())
    assert again["crs"] == {"type": "name"}
    found = {f.get("id"): f for f in again["features"]}
    kept = found["their-id"]
    assert kept["bbox"] == [0, 0, 1, 1]
    assert kept["properties"]["measurements"] == {"Area": 12.5}
    assert kept["properties"]["isLocked"] is True
    assert kept["properties"]["classification"] == {"name": "cell", "names": ["cell"]}
    assert kept["geometry"]["plane"] == {"c": -1, "z": 0, "t": 0}
    assert kept["geometry"]["coordinates"][0][0] == [30, 20]
    assert line in again["features"]
    assert found["area-1"]["properties"]["name"] == "corner"
    assert read_frame(path).areas[0].area == 12.5


# ---- edits and undo --------------------------------------------------------------------------------------------------


def test_each_edit_is_on_disk_when_it_returns(path):
    store = FrameStore(path, H, W)
    for number in (1, 2, 3):
        store.edit("add", add=[cell(store.new_id())])
        assert ids(path) == list(range(1, number + 1))
    store.undo()
    assert ids(path) == [1, 2]
    store.redo()
    assert ids(path) == [1, 2, 3]
    store.close()
    assert ids(path) == [1, 2, 3]


def test_undo_and_redo_across_restarts_without_limit(path):
    edited(path, 30)
    for left in range(29, 9, -1):
        with FrameStore(path, H, W) as store:
            assert store.undo() == f"add {left + 1}"
            assert len(store.frame.objects) == left
    with FrameStore(path, H, W) as store:
        assert (store.undo_text, store.redo_text) == ("add 10", "add 11")
        assert store.redo() == "add 11"
        store.edit("other", remove=[1])
        assert store.redo_text is None
        assert store.redo() is None
        while store.undo():
            pass
        assert store.frame.objects == {}
        assert store.undo() is None


def test_undo_puts_back_exactly_what_was_there(path):
    edited(path)
    with FrameStore(path, H, W) as store:
        before = store.frame
        edit = store.edit("merge", remove=[3, 1], add=[cell(store.new_id(), box(0, 0, 9, 9), score=0.3)])
        assert [item.id for item in edit.removed] == [3, 1]
        assert [item.id for item in edit.added] == [4]
        store.undo()
        assert store.frame.objects == before.objects
        assert list(store.frame.objects) == list(before.objects)


def test_ids_are_never_handed_out_twice(path):
    edited(path)
    with FrameStore(path, H, W) as store:
        store.edit("remove", remove=[3])
        assert store.new_id() == 4
        store.edit("add", add=[cell(store.new_id())])
        store.undo()
    with FrameStore(path, H, W) as store:
        assert store.new_id() == 6
    path.with_suffix(".journal").unlink()
    with FrameStore(path, H, W) as store:
        assert store.new_id() == 6


@pytest.mark.parametrize(
    ("add", "remove", "message"),
    [
        ([cell(1)], [], "there already"),
        ([cell(8), cell(8)], [], "there already"),
        ([], [99], "no object 99"),
        ([cell(0)], [], "at least 1"),
        ([cell(8, Polygon())], [], "outline"),
        ([cell(8, box(0, 0, 1, 1).exterior)], [], "outline"),
        ([cell(8, Point(float("nan"), 1))], [], "JSON compliant"),
    ],
)
def test_a_wrong_edit_changes_nothing(path, add, remove, message):
    journal = edited(path)
    before = journal.read_bytes()
    with FrameStore(path, H, W) as store:
        frame = store.frame
        with pytest.raises(ValueError, match=message):
            store.edit("wrong", add=add, remove=remove)
        assert store.frame is frame
    assert journal.read_bytes() == before


def test_a_full_disk_makes_no_edit_and_leaves_no_trace(path, monkeypatch):
    journal = edited(path)
    before = journal.read_bytes()
    real = os.write
    with FrameStore(path, H, W) as store:
        monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[: len(data) // 2]))
        with pytest.raises(MiaError, match=r"journal cannot be written.*full"):
            store.edit("add", add=[cell(9)])
        monkeypatch.undo()
        assert sorted(store.frame.objects) == [1, 2, 3]
        assert journal.read_bytes() == before
        store.edit("add", add=[cell(9)])
    assert ids(path) == [1, 2, 3, 9]


def test_rejects_and_areas_are_undo_steps(path):
    edited(path)
    with FrameStore(path, H, W) as store:
        store.reject([1, 3])
        assert store.reject([1]) is None
        store.unreject([3])
        store.set_areas([box(0, 0, 5, 5)])
        store.set_areas([])
    with FrameStore(path, H, W) as store:
        assert (store.frame.rejected, store.frame.areas) == ({1}, ())
        store.undo()
        assert [area.bounds for area in store.frame.areas] == [(0, 0, 5, 5)]
        store.undo()
        store.undo()
        assert store.frame.rejected == {1, 3}
        store.undo()
        assert store.frame.rejected == set()
        with pytest.raises(ValueError, match="no object 77"):
            store.reject([77])


def test_the_label_file_is_rewritten_now_and_then_while_open(path, monkeypatch):
    monkeypatch.setattr(store_module, "SNAPSHOT_EVERY", 5)
    store = FrameStore(path, H, W)
    for _ in range(7):
        store.edit("add", add=[cell(store.new_id())])
    assert len(json.loads(path.read_text())["features"]) == 5
    assert len(read_frame(path).objects) == 7
    store.close()


def test_an_edit_among_a_thousand_objects_is_quick(path):
    labels = np.zeros((640, 640), np.uint16)
    y, x = np.mgrid[-10:10, -10:10]
    disc = x**2 + y**2 <= 81
    for number in range(1, 1001):
        top, left = divmod(number - 1, 32)
        labels[top * 20 : top * 20 + 20, left * 20 : left * 20 + 20][disc] = number
    objects = [LabelObject(number, shape, "cell") for number, shape in shapes_from_labels(labels).items()]
    write_frame(path, FrameLabels.of(640, 640, objects))
    spent = []
    with FrameStore(path, 640, 640) as store:
        for number in range(1, 60):
            start = time.process_time()
            store.edit("correct", remove=[number], add=[replace(store.frame.objects[number], label_class="x")])
            spent.append(time.process_time() - start)
    assert statistics.median(spent) < 0.010


# ---- kills and damage ------------------------------------------------------------------------------------------------


def test_a_torn_last_line_never_counts_and_is_cut_off(path):
    journal = edited(path)
    path.unlink()
    whole = journal.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    for cut in range(start, len(whole)):
        journal.write_bytes(whole[:cut])
        assert ids(path) == [1, 2], cut
    with FrameStore(path, H, W) as store:
        assert journal.read_bytes() == whole[:-1]
        assert store.undo_text == "add 2"
        store.edit("after", add=[cell(9)])
        assert ids(path) == [1, 2, 9]
    assert ids(path) == [1, 2, 9]
    assert all(json.loads(line) for line in journal.read_bytes().splitlines())


@pytest.mark.parametrize("tail", [b'{"rev": 4, "op": "edit", "te\n', b"\0" * 300, b"\0" * 300 + b"\n"])
def test_a_last_line_that_is_no_json_never_counts(path, tail):
    journal = edited(path)
    whole = journal.read_bytes()
    journal.write_bytes(whole + tail)
    assert ids(path) == [1, 2, 3]
    with FrameStore(path, H, W) as store:
        store.undo()
    assert journal.read_bytes().startswith(whole + b'{"rev": 4, "op": "undo"')
    assert ids(path) == [1, 2]


def test_a_journal_alone_holds_everything(path):
    edited(path)
    path.unlink()
    frame = read_frame(path)
    assert sorted(frame.objects) == [1, 2, 3]
    assert (frame.height, frame.width) == (H, W)
    with FrameStore(path, H, W):
        pass
    assert path.exists()


def lines_of(journal):
    return journal.read_bytes().splitlines(keepends=True)


def damage_middle(journal):
    lines = lines_of(journal)
    lines[2] = b"oops\n"
    return b"".join(lines)


def damage_gap(journal):
    lines = lines_of(journal)
    return b"".join(lines[:2] + lines[3:])


def damage_repeat(journal):
    lines = lines_of(journal)
    lines[2] = lines[1].replace(b'"rev": 1', b'"rev": 2')
    return b"".join(lines)


@pytest.mark.parametrize("damage", [damage_middle, damage_gap, damage_repeat])
def test_a_damaged_journal_is_named_and_not_touched(path, damage):
    journal = edited(path)
    path.unlink()
    journal.write_bytes(damage(journal))
    before = files(path.parent)
    for look in (
        lambda: read_frame(path),
        lambda: FrameStore(path, H, W),
        lambda: write_frame(path, FrameLabels(H, W)),
    ):
        with pytest.raises(MiaError, match=r"image\.journal is damaged.*move it away"):
            look()
    assert files(path.parent) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"type": "FeatureCollection"}',
        b'{"type": "FeatureCollection", "features": [3]}',
        b'{"type": "FeatureCollection", "features": [], "mia_tui": {"height": 4}}',
        b'{"type": "FeatureCollection", "features": [], "mia_tui": {"format": 99, "height": 40, "width": 50, '
        b'"revision": 1, "next_id": 1}}',
        b'{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Polygon", '
        b'"coordinates": [[[0, 0], [1, 1]]]}, "properties": {"id": 1}}]}',
        b'{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Point", '
        b'"coordinates": ["a", 1]}, "properties": {"id": 1}}]}',
        b'{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Point", '
        b'"coordinates": [1, NaN]}, "properties": {"id": 1}}]}',
        b'{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Polygon", '
        b'"coordinates": []}, "properties": {"id": 1}}]}',
        b'{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"id": 1}, "geometry": 5}]}',
        b"\xff\xfe\x00",
    ],
)
def test_a_damaged_label_file_is_named_and_not_touched(path, content):
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    for look in (
        lambda: FrameStore(path, H, W),
        lambda: FrameStore(path, H, W, read_only=True),
        lambda: write_frame(path, FrameLabels(H, W)),
    ):
        with pytest.raises(MiaError, match=r"image\.geojson .*(Restore|mend)"):
            look()
    assert files(path.parent) == {"image.geojson": content}


def test_two_objects_with_one_id_are_damage(path):
    edited(path)
    path.with_suffix(".journal").unlink()
    path.write_text(path.read_text().replace('"id": 2,', '"id": 1,'))
    with pytest.raises(MiaError, match="two objects with the id 1"):
        read_frame(path)


def test_labels_of_an_image_of_another_size_are_refused(path):
    edited(path)
    with pytest.raises(MiaError, match=r"40 x 50.*41 x 50"):
        FrameStore(path, 41, 50)
    path.unlink()
    with pytest.raises(MiaError, match=r"40 x 50.*41 x 50"):
        FrameStore(path, 41, 50)


def test_a_missing_label_file_with_a_newer_journal_is_named(path):
    edited(path)
    path.with_suffix(".journal").unlink()
    with FrameStore(path, H, W) as store:
        store.edit("later", remove=[1])
    path.unlink()
    with pytest.raises(MiaError, match=r"image\.geojson, which is missing"):
        read_frame(path)


def test_a_file_changed_by_another_program_meanwhile_is_not_overwritten(path):
    edited(path)
    theirs = b'{"type": "FeatureCollection", "features": []}'
    store = FrameStore(path, H, W)
    store.edit("mine", remove=[1])
    path.write_bytes(theirs)
    with pytest.raises(MiaError, match="changed by another program"):
        store.close()
    assert path.read_bytes() == theirs
    with pytest.raises(MiaError, match="replaced by another program"):
        read_frame(path)
    path.unlink()
    assert ids(path) == [2, 3]
    FrameStore(path, H, W).close()  # the lock was given back


def edit_and_die(path):
    """Remove object 5 in a process that ends without closing anything."""
    child = os.fork()
    if child == 0:
        try:
            FrameStore(path, H, W).edit("remove", remove=[5])
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


FOREIGN = {
    "type": "FeatureCollection",
    "features": [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 0]]]}},
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [5, 6]}, "properties": {"id": 5}},
    ],
}


def test_a_file_of_another_program_is_taken_over_with_the_first_edit(path):
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(FOREIGN))
    with FrameStore(path, H, W) as store:
        assert sorted(store.frame.objects) == [5, 6]
    assert json.loads(path.read_text()) == FOREIGN
    with pytest.raises(MiaError, match="how large"):
        read_frame(path)
    edit_and_die(path)
    assert ids(path) == [6]
    with FrameStore(path, H, W) as again:
        again.undo()
    assert ids(path) == [5, 6]


# ---- one writer, quiet readers ---------------------------------------------------------------------------------------


def test_only_one_store_edits_a_frame(path):
    edited(path)
    with FrameStore(path, H, W) as store:
        with pytest.raises(MiaError, match="edited by another"):
            FrameStore(path, H, W)
        with pytest.raises(MiaError, match="edited by another"):
            write_frame(path, FrameLabels(H, W))
        with FrameStore(path, H, W, read_only=True) as viewer:
            assert sorted(viewer.frame.objects) == [1, 2, 3]
            for change in (viewer.undo, lambda: viewer.edit("x", remove=[1]), lambda: viewer.reject([1])):
                with pytest.raises(MiaError, match="viewing only"):
                    change()
        store.edit("x", remove=[1])
    with FrameStore(path, H, W):
        pass
    assert sorted(p.name for p in path.parent.iterdir()) == ["image.geojson", "image.journal"]


def test_another_process_is_kept_out_too(path):
    edited(path)
    with FrameStore(path, H, W):
        child = os.fork()
        if child == 0:
            try:
                FrameStore(path, H, W)
            except MiaError:
                os._exit(7)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_viewing_creates_and_writes_nothing(path, tmp_path):
    with FrameStore(path, H, W, read_only=True) as viewer:
        assert viewer.frame == FrameLabels(H, W)
    assert read_frame(path) is None
    assert list(tmp_path.iterdir()) == []
    edited(path)
    path.unlink()
    before = files(path.parent)
    with FrameStore(path, H, W, read_only=True) as viewer:
        assert len(viewer.frame.objects) == 3
    read_frame(path)
    assert files(path.parent) == before


def test_opening_for_editing_without_an_edit_writes_no_labels(path):
    with FrameStore(path, H, W):
        pass
    assert read_frame(path) is None
    journal = edited(path)
    before = files(path.parent)
    with FrameStore(path, H, W):
        pass
    assert files(path.parent) == before
    assert journal.exists()


# ---- whole frames ----------------------------------------------------------------------------------------------------


def test_a_new_whole_frame_replaces_the_old_one_and_its_history(path):
    journal = edited(path, 5)
    write_frame(path, FrameLabels.of(H, W, [cell(2)]))
    assert not journal.exists()
    assert ids(path) == [2]
    with FrameStore(path, H, W) as store:
        assert store.undo() is None
        assert store.new_id() == 6
        store.edit("remove", remove=[2])
    assert ids(path) == []


def test_a_journal_left_behind_by_a_kill_between_file_and_journal_is_not_replayed(path):
    journal = edited(path, 5)
    old = journal.read_bytes()
    write_frame(path, FrameLabels.of(H, W, [cell(2)]))
    journal.write_bytes(old)
    assert ids(path) == [2]
    with FrameStore(path, H, W) as store:
        assert store.undo() is None
        store.edit("add", add=[cell(store.new_id())])
    assert ids(path) == [2, 6]
    with FrameStore(path, H, W) as store:
        assert store.undo() == "add"
    assert ids(path) == [2]


def test_a_rejected_object_that_comes_back_unchanged_stays_rejected(path):
    objects = [cell(number, source="predicted") for number in (1, 2, 3)]
    write_frame(path, FrameLabels.of(H, W, objects))
    with FrameStore(path, H, W) as store:
        store.reject([1, 2])
    moved = replace(objects[1], geometry=box(30, 30, 33, 33))
    write_frame(path, FrameLabels.of(H, W, [replace(objects[0], id=8), moved, objects[2]]))
    assert read_frame(path).rejected == {8}


def test_replace_all_is_one_undo_step(path):
    edited(path)
    with FrameStore(path, H, W) as store:
        store.set_areas([box(0, 0, 9, 9)])
        before = store.frame
        store.replace_all("import", [cell(2, box(7, 7, 9, 9)), cell(30)], [])
        assert (sorted(store.frame.objects), store.frame.areas) == ([2, 30], ())
        assert store.undo() == "import"
        assert (store.frame.objects, store.frame.areas) == (before.objects, before.areas)


def test_two_objects_with_one_id_make_no_frame():
    with pytest.raises(ValueError, match="same id"):
        FrameLabels.of(H, W, [cell(1), cell(1)])
