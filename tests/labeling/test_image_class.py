"""The class of whole images: how it is stored, changed, taken back, and given to many frames."""

import numpy as np
import pytest
import shapely
import tifffile

from mia_tui.errors import MiaError
from mia_tui.labeling.image_class import (
    classify_frames,
    clear_image_class,
    frames_of,
    image_class,
    image_label,
    set_image_class,
)
from mia_tui.labeling.objects import LabelObject
from mia_tui.labeling.store import FrameStore, open_labels, read_frame
from mia_tui.project import Project

SIZE = 20, 30


@pytest.fixture
def project(tmp_path) -> Project:
    """Two single images, a stack of three time points and two depths, and a file that is no image."""
    images = tmp_path / "images"
    (images / "day1").mkdir(parents=True)
    for name in ("day1/a.tif", "day1/b.tif"):
        tifffile.imwrite(images / name, np.zeros(SIZE, np.uint8))
    stack = np.zeros((3, 2, *SIZE), np.uint8)
    tifffile.imwrite(images / "stack.tif", stack, imagej=True, metadata={"axes": "TZYX"})
    (images / "broken.tif").write_bytes(b"II*\0 no image")
    return Project.create(
        tmp_path / "project", images=images, task="classification", classes=["round", "flat"], name="p"
    )


def on_disk(project, key, frame="image"):
    return image_class(read_frame(project.labels_path(key, frame)))


def test_the_class_is_one_object_that_covers_the_frame(tmp_path) -> None:
    with FrameStore(tmp_path / "image.geojson", *SIZE) as store:
        set_image_class(store, "round")
        (item,) = store.frame.objects.values()
        assert shapely.get_coordinates(item.geometry).max(axis=0).tolist() == [30, 20]  # x, y
        assert item.geometry.equals(shapely.box(0, 0, 30, 20))
        assert (item.label_class, item.source) == ("round", "manual")
        number = item.id
        set_image_class(store, "flat")
        (item,) = store.frame.objects.values()
        assert (item.id, item.label_class) == (number, "flat")
        assert set_image_class(store, "flat") is None  # no step that undo would have to go through
        assert store.undo() == "class flat"
        assert image_class(store.frame) == "round"
        clear_image_class(store)
        assert clear_image_class(store) is None
        assert image_class(store.frame) is None
        assert store.undo() == "no class"
    assert image_class(read_frame(tmp_path / "image.geojson")) == "round"


def test_other_objects_are_no_class_of_the_image_and_stay(tmp_path) -> None:
    others = [
        LabelObject(1, shapely.box(0, 0, 30, 19), "round"),
        LabelObject(2, shapely.Point(3, 3), "round"),
        LabelObject(3, shapely.box(0, 0, 30, 20) - shapely.box(5, 5, 6, 6), "round"),
    ]
    with FrameStore(tmp_path / "image.geojson", *SIZE) as store:
        store.edit("others", add=others)
        assert image_class(store.frame) is None
        set_image_class(store, "flat")
        clear_image_class(store)
        assert list(store.frame.objects) == [1, 2, 3]


def test_several_classes_of_another_program_are_replaced_by_one(tmp_path) -> None:
    with FrameStore(tmp_path / "image.geojson", *SIZE) as store:
        store.edit("two", add=[LabelObject(i, shapely.box(0, 0, 30, 20), name) for i, name in ((1, "a"), (2, "b"))])
        assert image_class(store.frame) == "b"
        set_image_class(store, "b")
        assert [item.label_class for item in store.frame.objects.values()] == ["b"]


def test_an_accepted_prediction_keeps_its_score_a_corrected_one_its_origin(tmp_path) -> None:
    predicted = LabelObject(7, shapely.box(0, 0, 30, 20), "round", "predicted", score=0.8)
    with FrameStore(tmp_path / "image.geojson", *SIZE) as store:
        set_image_class(store, "round", predicted=predicted, model="net")
        item = image_label(store.frame)
        assert (item.source, item.score, item.origin) == ("accepted", 0.8, "net#7")
        set_image_class(store, "flat", predicted=predicted, model="net")
        item = image_label(store.frame)
        assert (item.source, item.score, item.origin) == ("corrected", None, "net#7")


def test_all_frames_of_all_images_are_known(project) -> None:
    frames = frames_of(project, project.images())
    assert [f for f in frames if f[0] == "stack.tif"] == [
        ("stack.tif", f"t{t:04d}z{z:04d}") for t in range(3) for z in range(2)
    ]
    assert ("broken.tif", "image") in frames
    assert len(frames) == 9


def test_many_frames_get_a_class_and_labelled_ones_only_when_asked(project) -> None:
    frames = frames_of(project, project.images())
    with open_labels(project, "day1/a.tif", "image", *SIZE) as store:
        set_image_class(store, "flat")
    report = classify_frames(project, frames, "round")
    assert report.skipped == (("day1/a.tif", "image"),)
    assert len(report.done) == 7
    assert len(report.problems) == 1
    assert report.problems[0].startswith("broken.tif image:")
    assert on_disk(project, "stack.tif", "t0002z0001") == "round"
    assert on_disk(project, "day1/a.tif") == "flat"
    with open_labels(project, "day1/b.tif", "image", *SIZE):
        report = classify_frames(project, frames[1:3], "flat", replace=True)
    assert [p for p in report.problems if "being edited" in p and "b.tif" in p]
    report = classify_frames(project, frames, "round", "all", replace=True)
    assert ("day1/a.tif", "image") in report.done
    with open_labels(project, "day1/a.tif", "image", *SIZE) as store:
        assert store.undo() == "all"
        assert image_class(store.frame) == "flat"


def test_an_unknown_class_is_refused_before_anything_is_written(project) -> None:
    with pytest.raises(MiaError, match="no class 'oval'"):
        classify_frames(project, frames_of(project, project.images()), "oval")
    assert not (project.folder / "labels").exists()
