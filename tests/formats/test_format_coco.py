"""COCO in and out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as Picture
from pycocotools import mask as reference
from pycocotools.coco import COCO
from scipy import ndimage
from shapely.geometry import MultiPolygon, Point, Polygon, box

from mia_tui.errors import MiaError
from mia_tui.formats.coco import export_coco, import_coco
from mia_tui.formats.coco_rle import counts_of, mask_of
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import fill, label_image, shapes_from_labels
from mia_tui.labeling.store import FrameStore, open_labels, read_frame, write_frame
from mia_tui.project import Project

H, W = 48, 64
RING = Polygon([(1, 1), (9, 1), (9, 9), (1, 9)], [[(3, 3), (3, 6), (6, 6), (6, 3)]])


@pytest.fixture
def images(tmp_path):
    root = tmp_path / "images"
    for name in ("a.png", "x/b.png", "y/b.png", "größe/c d.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(np.zeros((H, W), np.uint8)).save(root / name)
    tifffile.imwrite(root / "s.tif", np.zeros((3, H, W), np.uint8), imagej=True, metadata={"axes": "TYX"})
    return root


@pytest.fixture
def project(tmp_path, images):
    return Project.create(tmp_path / "project", images=images, classes=["cell", "debris"])


def labels(project, key="a.png", frame="image"):
    return read_frame(project.labels_path(key, frame))


def document(*annotations, images=("a.png",), categories=("cell", "Zelle")):
    return {
        "images": [
            {"id": n, "width": W, "height": H, **(image if isinstance(image, dict) else {"file_name": image})}
            for n, image in enumerate(images)
        ],
        "annotations": [{"id": n, "image_id": 0, "category_id": 7, **item} for n, item in enumerate(annotations)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(categories, 7)],
    }


def imported(project, tmp_path, content, **how):
    path = tmp_path / "in.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return import_coco(project, path, **how)


SQUARE = [[2, 3, 8, 3, 8, 9, 2, 9]]

# ---- run lengths -----------------------------------------------------------------------------------------------------


def test_run_lengths_worked_by_hand():
    mask = np.array([[0, 1, 1], [1, 1, 0]], bool)  # down the columns: 0 1 | 1 1 | 1 0
    assert counts_of(mask) == [1, 4, 1]
    assert (mask_of([1, 4, 1], (2, 3)) == mask).all()
    # "3"; 37 has the lowest bits 5, with more to come (48 + 5 + 32, "U") and then 1; "4"; then 5 less the number two
    # before, -32: the lowest bits 0, with more to come (48 + 32, "P"), then -1 (48 + 31, "O").
    assert counts_of(mask_of("3U14PO", (7, 7))) == [3, 37, 4, 5]


@settings(max_examples=60, deadline=None)
@given(mask=arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.booleans(), fill=st.booleans()))
def test_run_lengths_are_those_of_the_reference(mask):
    size = (mask.shape[0], mask.shape[1])
    assert (mask_of(counts_of(mask), size) == mask).all()
    padded = np.pad(mask, ((0, 0), (3, 2)))
    assert counts_of(mask, 3, padded.shape[1]) == counts_of(padded)
    encoded = reference.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert (mask_of(encoded["counts"].decode(), size) == mask).all()
    plain = reference.frPyObjects({"size": list(size), "counts": counts_of(mask)}, *size)
    assert (reference.decode(plain) == mask).all()


# ---- in --------------------------------------------------------------------------------------------------------------


def test_polygons_masks_boxes_and_scores(project, tmp_path):
    ring = np.zeros((H, W), bool)
    ring[1:9, 1:9] = True
    ring[3:6, 3:6] = False
    compressed = reference.encode(np.asfortranarray(ring.astype(np.uint8)))["counts"].decode()
    report = imported(
        project, tmp_path,
        document(
            {"segmentation": SQUARE, "score": 0.5, "track_id": 3},
            {"segmentation": [*SQUARE, [20, 20, 30, 20, 30, 30]], "category_id": 8},
            {"segmentation": [[0, 0, 6, 0, 6, 6, 0, 6], [3, 3, 9, 3, 9, 9, 3, 9]]},
            {"segmentation": {"size": [H, W], "counts": counts_of(ring)}, "iscrowd": 1},
            {"segmentation": {"size": [H, W], "counts": compressed}},
            {"segmentation": [], "bbox": [4, 5, 6, 7]},
            {"bbox": [4.5, 5, 6, 7], "category_id": 8},
            {"keypoints": [3.5, 4, 2, 0, 0, 0], "num_keypoints": 1},
        ),
    )  # fmt: skip
    assert (report.problems, report.new_classes) == ([], ["Zelle"])
    assert report.notes == ["a.png: 1 crowd regions were imported as one object each"]
    found = list(labels(project).objects.values())
    expected = [
        box(2, 3, 8, 9), MultiPolygon([box(2, 3, 8, 9), Polygon([(20, 20), (30, 20), (30, 30)])]),
        box(0, 0, 6, 6).union(box(3, 3, 9, 9)), RING, RING, box(4, 5, 10, 12), box(4.5, 5, 10.5, 12), Point(3.5, 4),
    ]  # fmt: skip
    assert [a.geometry.equals(b) for a, b in zip(found, expected, strict=True)] == [True] * 8
    assert [item.label_class for item in found] == ["cell", "Zelle", "cell", "cell", "cell", "cell", "Zelle", "cell"]
    assert (found[0].score, found[0].track, found[1].score) == (0.5, 3, None)


def test_in_a_detection_project_all_are_points(tmp_path, images):
    project = Project.create(tmp_path / "d", images=images, task="detection")
    imported(project, tmp_path, document({"bbox": [4, 5, 6, 7]}, {"segmentation": SQUARE}))
    assert [o.geometry.coords[0] for o in labels(project).objects.values()] == [(7, 8.5), (5, 6)]


def test_images_are_found_by_path_or_base_name_and_never_guessed(project, tmp_path):
    names = ("./a.png", "train\\x\\b.png", "b.png", "c d.png", "other.png", {"file_name": "s.tif"})
    content = document(images=names)
    content["annotations"] = [{"id": n, "image_id": n, "category_id": 7, "segmentation": SQUARE} for n in range(7)]
    report = imported(project, tmp_path, content)
    assert report.frames == ["a.png image", "x/b.png image", "größe/c d.png image"]
    assert report.unpaired_files == ["other.png"]
    assert report.unpaired_images == ["y/b.png"]
    assert [("b.png fits the images x/b.png and y/b.png" in text) for text in report.problems] == [True, False, False]
    assert "do not list" in report.problems[1] or "does not list" in report.problems[1]
    assert "3 frames" in report.problems[2]


def test_two_entries_for_one_image_or_one_id_are_problems(project, tmp_path):
    report = imported(project, tmp_path, document(images=("a.png", "set/a.png", "x/b.png")))
    assert report.frames == ["x/b.png image"]
    assert "all fit the image a.png" in report.problems[0]
    content = document({"segmentation": SQUARE}, images=("a.png", "x/b.png"))
    content["images"][1]["id"] = 0
    report = imported(project, tmp_path, content)
    assert (report.frames, len(report.problems)) == ([], 2)


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ({"segmentation": [[1, 2, 3]]}, "3 numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "finite"),
        ({"segmentation": [["a", 2, 3, 4, 5, 6]]}, ""),
        ({"segmentation": [{"x": 1}]}, ""),
        ({"segmentation": "x"}, ""),
        ({"segmentation": [[900, 900, 910, 900, 910, 910]]}, "outside"),
        ({"segmentation": SQUARE, "category_id": 99}, "category 99"),
        ({"segmentation": SQUARE, "score": float("inf")}, "finite"),
        ({"segmentation": {"size": [10**9, 10**9], "counts": [10**18]}}, "mask is of"),
        ({"segmentation": {"size": [H, W], "counts": [5, 5]}}, "not of 48 x 64"),
        ({"segmentation": {"size": [H, W], "counts": [-5, H * W + 5]}}, "no run lengths"),
        ({"segmentation": {"size": [H, W], "counts": "\n"}}, "no meaning"),
        ({"segmentation": {"size": [H, W], "counts": "oooooooooooooooooooooooo"}}, "too large"),
        ({"segmentation": {"size": [H, W], "counts": "U"}}, "middle of a number"),
        ({"segmentation": {"size": [H, W], "counts": [H * W]}}, "empty"),
        ({"segmentation": {"size": [H, W]}}, "no run lengths"),
        ({"bbox": [1, 2, 0, 4]}, "neither"),
        ({"bbox": [1, 2]}, "neither"),
        ({}, "neither"),
        ({"keypoints": [1, 2, 2, 5, 6, 2]}, "2 keypoints"),
    ],
)
def test_what_makes_no_sense_is_named_and_the_rest_goes_on(project, tmp_path, annotation, reason):
    report = imported(project, tmp_path, document(annotation, {"segmentation": SQUARE}))
    assert [o.geometry.bounds for o in labels(project).objects.values()] == [(2, 3, 8, 9)]
    assert len(report.problems) == 1
    assert "annotation 0 of a.png was left out" in report.problems[0]
    assert reason in report.problems[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("5", "no COCO file"),
        ("[]", "list of results"),
        ('{"images": 5, "annotations": []}', "no COCO file"),
        ('{"images": [5], "annotations": []}', "no COCO file"),
        ('{"images": [{"id": 1, "file_name": "n.png"}], "annotations": []}', r"such as n\.png"),
        ('{"images": [{"id": [1], "file_name": "a.png"}], "annotations": [], "categories": 3}', "categories"),
    ],
)
def test_what_is_no_coco_file_is_an_error(project, tmp_path, content, reason):
    with pytest.raises(MiaError, match=reason):
        imported(project, tmp_path, content)


def test_sizes_must_fit_and_folders_hold_one_file(project, tmp_path):
    report = imported(project, tmp_path, document(images=({"file_name": "a.png", "width": 5}, "x/b.png")))
    assert "48 x 5, but its image a.png is 48 x 64" in report.problems[0]
    assert report.frames == ["x/b.png image"]
    assert labels(project, "x/b.png").objects == {}
    (tmp_path / "folder").mkdir()
    for name in ("one.json", "two.json"):
        (tmp_path / "folder" / name).write_text(json.dumps(document()))
        if name == "one.json":
            assert import_coco(project, tmp_path / "folder").frames == ["a.png image"]
    with pytest.raises(MiaError, match=r"2 \.json files"):
        import_coco(project, tmp_path / "folder")
    with pytest.raises(MiaError, match="does not exist"):
        import_coco(project, tmp_path / "none.json")


def test_labels_that_are_there_are_left_alone_unless_asked(project, tmp_path):
    with open_labels(project, "a.png", "image", H, W) as store:
        store.edit("draw", add=[LabelObject(1, RING, "cell")])
    content = document({"segmentation": SQUARE})
    assert imported(project, tmp_path, content).skipped == ["a.png image"]
    assert imported(project, tmp_path, content, replace=True).frames == ["a.png image"]
    with open_labels(project, "a.png", "image", H, W) as store:
        store.undo()
        assert store.frame.objects[1].geometry.equals(RING)


# ---- out, and back ---------------------------------------------------------------------------------------------------


def test_what_was_exported_comes_back(project, tmp_path, images):
    objects = [
        LabelObject(4, RING, "debris", "imported", 0.5, 3),
        LabelObject(9, MultiPolygon([box(0, 0, 2, 2), box(2, 2, 4, 4)]), "cell", "imported"),
        LabelObject(12, Point(3.5, 4.25), "cell", "imported"),
        LabelObject(14, Polygon([(1.5, 1.3), (9, 2), (3.5, 8)]), "debris", "imported"),
    ]
    frame = replace(FrameLabels.of(H, W, objects), areas=(box(0, 0, 30, 40), RING))
    places = [("a.png", "image"), ("x/b.png", "image"), ("y/b.png", "image"), ("größe/c d.png", "image"),
              ("s.tif", "t0000z0000"), ("s.tif", "t0002z0000")]  # fmt: skip
    for place in places:
        write_frame(project.labels_path(*place), frame)
    report = export_coco(project, tmp_path / "out")
    assert (report.problems, report.objects) == ([], 24)
    assert report.files == [str(tmp_path / "out/annotations.json")]
    other = Project.create(tmp_path / "other", images=images, classes=["x"])
    report = import_coco(other, tmp_path / "out")
    assert (report.problems, report.unpaired_images, report.new_classes) == ([], [], ["cell", "debris"])
    for place in places:
        back = labels(other, *place)
        assert list(back.objects) == list(frame.objects)
        for number, item in frame.objects.items():
            assert back.objects[number].geometry.equals(item.geometry)
            assert replace(back.objects[number], geometry=item.geometry) == item
        assert all(a.equals(b) for a, b in zip(back.areas, frame.areas, strict=True))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.3, 0.8))
def test_the_reference_reads_the_same_pixels_and_they_come_back(tmp_path_factory, seed, share):
    tmp_path = tmp_path_factory.mktemp("coco")
    (tmp_path / "images").mkdir()
    Picture.fromarray(np.zeros((H, W), np.uint8)).save(tmp_path / "images/a.png")
    project = Project.create(tmp_path / "p", images=tmp_path / "images")
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((H, W)), 1)
    numbers = ndimage.label(noise > np.quantile(noise, share), np.ones((3, 3)))[0]
    objects = [LabelObject(n, shape, "cell") for n, shape in shapes_from_labels(numbers).items()]
    write_frame(project.labels_path("a.png", "image"), FrameLabels.of(H, W, objects))
    export_coco(project, tmp_path / "all.json")
    coco = COCO(str(tmp_path / "all.json"))
    for annotation in coco.loadAnns(coco.getAnnIds()):
        truth = numbers == annotation["object_id"]
        assert (coco.annToMask(annotation) == truth).all()
        assert annotation["area"] == truth.sum()
        y, x = np.nonzero(truth)
        left, top = x.min(), y.min()
        assert annotation["bbox"] == [left, top, x.max() + 1 - left, y.max() + 1 - top]
    other = Project.create(tmp_path / "q", images=tmp_path / "images")
    assert import_coco(other, tmp_path / "all.json").problems == []
    assert (label_image(labels(other).objects.values(), (H, W)) == numbers).all()


def test_predictions_leave_with_scores_and_without_the_rejected(project, tmp_path):
    path = project.prediction_path("net", "a.png", "image")
    objects = [LabelObject(n, box(n, 0, n + 2, 2), "cell", "predicted", n / 4) for n in (1, 2)]
    write_frame(path, FrameLabels.of(H, W, objects))
    with FrameStore(path, H, W) as store:
        store.reject([1])
    (file,) = export_coco(project, tmp_path / "out", source="predictions:net").files
    (annotation,) = json.loads(Path(file).read_text())["annotations"]
    assert (annotation["score"], annotation["category_id"], annotation["iscrowd"]) == (0.5, 1, 0)


def test_an_unknown_class_is_a_problem_and_images_are_not_written_to(project, tmp_path, images):
    for key, name in (("a.png", "ghost"), ("x/b.png", "cell")):
        write_frame(project.labels_path(key, "image"), FrameLabels.of(H, W, [LabelObject(1, RING, name)]))
    report = export_coco(project, tmp_path / "out")
    assert ("a.png" in report.problems[0], "ghost" in report.problems[0], report.objects) == (True, True, 1)
    for dest in (images / "out", images / "all.json"):
        with pytest.raises(MiaError, match="not written to"):
            export_coco(project, dest)


def test_a_ring_is_the_pixels_of_its_inside(project, tmp_path):
    bent = Polygon([(1.2, 1), (20, 3.7), (18, 30), (2, 28)], [[(5, 5), (5, 9.5), (9, 9), (9, 5)]])
    write_frame(project.labels_path("a.png", "image"), FrameLabels.of(H, W, [LabelObject(1, bent, "cell")]))
    (file,) = export_coco(project, tmp_path / "out").files
    (annotation,) = json.loads(Path(file).read_text())["annotations"]
    rows, columns, inside = fill(bent, (H, W))
    expected = np.zeros((H, W), bool)
    expected[rows, columns] = inside
    assert (mask_of(annotation["segmentation"]["counts"], (H, W)) == expected).all()
