"""Label folders of the original MIA in and out."""

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from scipy import ndimage
from shapely.geometry import MultiPolygon, Point, Polygon, box
from skimage.measure import grid_points_in_poly

from mia_tui.errors import MiaError
from mia_tui.formats import mia_file
from mia_tui.formats.mia import export_mia, import_mia
from mia_tui.formats.mia_file import read_mia
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import area_mask, class_image, shapes_from_labels
from mia_tui.labeling.store import FrameStore, open_labels, read_frame, write_frame
from mia_tui.project import Project

DATA = Path(os.environ.get("MIA_TUI_DATA", Path(__file__).parents[3] / "shared" / "data")) / "mia-labels"
H, W = 48, 64
CONTOURS, LEGACY, POINTS, IMAGE = 12345678910, 123456789, 987654321, 1234554321


# ---- an independent reader, from the description of the format ------------------------------------------------------


def line_and_inside(points, shape):
    """(pixels on the closed 8-connected line, pixels inside or on it)."""
    line = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        steps = max(abs(x1 - x0), abs(y1 - y0))
        for i in range(steps + 1):
            line[y0 + round((y1 - y0) * i / max(steps, 1)), x0 + round((x1 - x0) * i / max(steps, 1))] = True
    inside = grid_points_in_poly(shape, points[:, ::-1]) if len(points) > 2 else np.zeros(shape, bool)
    return line, inside | line


def holes_of(array):
    holes = []
    for row in np.asarray(array).reshape(-1, 2).astype(int).tolist():
        if row == [-1, -1]:
            holes.append([])
        else:
            holes[-1].append(row)
    return [np.array(hole) for hole in holes]


def raster(path, shape):
    """What the original paints: 255 is annotated background, 0 not annotated."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = [archive[f"arr_{i}"] for i in range(len(archive.files))]
    objects = []
    for start in range(1, len(arrays), 3):
        label_class, outer, holes = arrays[start : start + 3]
        objects.append((int(label_class[0]), outer.reshape(-1, 2).astype(int), holes_of(holes)))
    out = np.full(shape, 0 if any(item[0] == 0 for item in objects) else 255, np.uint8)
    for label_class, outer, holes in sorted(objects, key=lambda item: (item[0], not item[2])):
        before = out.copy()
        out[line_and_inside(outer, shape)[1]] = label_class or 255
        for hole in holes:
            line, filled = line_and_inside(hole, shape)
            out[filled & ~line] = before[filled & ~line]
    return out


def painted(labels, project):
    """The same raster from our labels."""
    shape = (labels.height, labels.width)
    classes = class_image(labels.objects.values(), shape, project.classes)
    annotated = area_mask(labels)
    return np.where(classes > 0, classes, 255 if annotated is None else np.where(annotated, 255, 0)).astype(np.uint8)


# ---- files as the original writes them -------------------------------------------------------------------------------


def save_image(path, array=None, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros((H, W), np.uint8) if array is None else array
    if path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, array, photometric="minisblack", **more)
    else:
        Picture.fromarray(array).save(path)


def put(path, *arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, *arrays)


def square(left, top, size=5):
    right, bottom = left + size - 1, top + size - 1
    return np.array([[[left, top]], [[left, bottom]], [[right, bottom]], [[right, top]]], np.int32)


def contour(label_class, outer, number=-1, holes=None):
    return np.array([label_class, number]), outer, np.empty(0) if holes is None else holes


def contours(*items):
    return [np.array(CONTOURS), *(array for item in items for array in item)]


@pytest.fixture
def images(tmp_path):
    root = tmp_path / "bilder"
    for name in ("a.png", "sub/größe.png"):
        save_image(root / name)
    save_image(root / "s.v2.tif", np.zeros((3, H, W), np.uint8), imagej=True, metadata={"axes": "TYX"})
    return root


def new_project(tmp_path, images, task="segmentation", name="project", **more):
    return Project.create(tmp_path / name, images=images, task=task, classes=["cell", "debris"], **more)


@pytest.fixture
def project(tmp_path, images):
    return new_project(tmp_path, images)


def labels(project, key="a.png", frame="image"):
    return read_frame(project.labels_path(key, frame))


def bounds(found):
    return [item.geometry.bounds for item in found.objects.values()]


# ---- the files of the original itself --------------------------------------------------------------------------------

RASTERS = [
    ("plain.png", "image", "plain"),
    ("partial.tif", "image", "partial"),
    ("stack.tif", "t0000z0000", "stack_000"),
    ("stack.tif", "t0002z0000", "stack_002"),
]


@pytest.fixture
def original(tmp_path):
    if not DATA.is_dir():
        pytest.skip("no test data")
    return Project.create(tmp_path / "original", images=DATA, classes=["cell", "debris"])


@pytest.mark.parametrize("given_as", ["", "Segmentation_labels"])
def test_the_originals_files_are_exact_to_the_pixel(original, given_as):
    report = import_mia(original, DATA / given_as)
    assert (report.problems, report.unpaired_files) == ([], [])
    for key, frame, name in RASTERS:
        expected = np.array(Picture.open(DATA / "expected" / f"{name}_seg_raw.png"))
        assert (painted(labels(report.project, key, frame), report.project) == expected).all(), name
    assert labels(original, "stack.tif", "t0001z0000") is None
    assert len({len(labels(original, "collective.tif", f"t000{t}z0000").objects) for t in range(4)}) == 1
    assert [o.label_class for o in labels(original, "legacy.png").objects.values()] == ["cell", "cell", "debris"]
    assert {o.track for o in labels(original, "plain.png").objects.values()} == {None, 4}
    assert any("collective_004u.npz" in note for note in report.notes)
    if not given_as:
        assert sum("were not imported" in note for note in report.notes) == 2


def test_the_originals_files_leave_as_they_came(original, tmp_path):
    project = import_mia(original, DATA).project
    export_mia(project, tmp_path / "out")
    folder = tmp_path / "out" / "Segmentation_labels"
    for _, _, name in RASTERS:
        path = folder / ("stack" if name.startswith("stack") else "") / f"{name}.npz"
        expected = np.array(Picture.open(DATA / "expected" / f"{name}_seg_raw.png"))
        assert (raster(path, expected.shape) == expected).all(), name
    (tmp_path / "again").mkdir()
    again = replace(project, folder=tmp_path / "again")
    again.save()
    assert import_mia(again, tmp_path / "out").problems == []
    for key, frame, name in RASTERS:
        expected = np.array(Picture.open(DATA / "expected" / f"{name}_seg_raw.png"))
        assert (painted(labels(again, key, frame), again) == expected).all(), name


def test_the_reader_of_these_tests_agrees_with_the_original():
    if not DATA.is_dir():
        pytest.skip("no test data")
    for name in ("plain", "partial"):
        expected = np.array(Picture.open(DATA / "expected" / f"{name}_seg_raw.png"))
        assert (raster(DATA / "Segmentation_labels" / f"{name}.npz", expected.shape) == expected).all()


def test_the_originals_points_and_classes_of_images(original, tmp_path):
    for task, folder in (("detection", "Object_Counting_labels"), ("classification", "Classification_labels")):
        project = Project.create(tmp_path / task, images=DATA, task=task, classes=["cell", "debris"])
        assert import_mia(project, DATA).problems == []
        export_mia(project, tmp_path / f"{task}-out")
        for name in ("plain", "partial"):
            found = read_mia(tmp_path / f"{task}-out" / folder / f"{name}.npz")
            given_ = read_mia(DATA / folder / f"{name}.npz")
            assert (found.kind, set(found.dots), found.image_class) == (
                given_.kind,
                set(given_.dots),
                given_.image_class,
            )
        if task == "detection":
            assert [o.geometry.coords[0] for o in labels(project, "plain.png").objects.values()] == [
                (12.5, 34.5), (100.5, 50.5), (64.5, 80.5),
            ]  # fmt: skip
            assert [o.track for o in labels(project, "plain.png").objects.values()] == [None, 9, None]
            assert len(labels(project, "partial.tif").areas) == 1
        else:
            (item,) = labels(project, "plain.png").objects.values()
            assert (item.geometry.bounds, item.label_class) == ((0, 0, 128, 96), "cell")


# ---- exactness of any labels -----------------------------------------------------------------------------------------


def solid(seed, share):
    """Blobs in which every piece and every hole is large enough for the original to keep."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((H, W)), 1.5)
    mask = noise > np.quantile(noise, share)
    for value, structure in ((True, np.ones((3, 3))), (False, None)):
        parts, count = ndimage.label(mask == value, structure)
        small = [n for n in range(1, count + 1) if (parts == n).sum() < 16]
        mask[np.isin(parts, small)] = not value
    return ndimage.binary_opening(mask, np.ones((3, 3)))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.3, 0.8), areas=st.booleans(), touching=st.booleans())
def test_any_labels_are_painted_by_an_independent_reader_as_by_us(tmp_path_factory, seed, share, areas, touching):
    tmp_path = tmp_path_factory.mktemp("mia")
    save_image(tmp_path / "bilder" / "a.png")
    project = new_project(tmp_path, tmp_path / "bilder")
    numbers = ndimage.label(solid(seed, share), np.ones((3, 3)))[0]
    if touching:
        numbers[:, W // 2 :][numbers[:, W // 2 :] > 0] += 100
    objects = [
        LabelObject(n, shape, "cell" if n % 3 else "debris", track=n if n % 2 else None)
        for n, shape in shapes_from_labels(numbers).items()
    ]
    annotated = tuple(shapes_from_labels(solid(seed + 1, 0.2).astype(int)).values()) if areas else ()
    frame = replace(FrameLabels.of(H, W, objects), areas=annotated)
    write_frame(project.labels_path("a.png", "image"), frame)
    report = export_mia(project, tmp_path / "out")
    assert report.problems == []
    assume(not any("too small" in text for text in report.notes))
    out = raster(tmp_path / "out" / "Segmentation_labels" / "a.npz", (H, W))
    assert (out == painted(frame, project)).all()
    other = new_project(tmp_path, tmp_path / "bilder", name="other")
    assert import_mia(other, tmp_path / "out").problems == []
    assert (painted(labels(other), other) == out).all()


@settings(max_examples=40, deadline=None)
@given(
    items=st.lists(
        st.tuples(st.integers(0, 3), st.lists(st.tuples(st.integers(0, W - 1), st.integers(0, H - 1)), min_size=3)),
        min_size=1,
        max_size=5,
    )
)
def test_drawn_contours_that_overlap_are_painted_as_the_original_paints_them(tmp_path_factory, items):
    import cv2

    tmp_path = tmp_path_factory.mktemp("mia")
    save_image(tmp_path / "bilder" / "a.png")
    outlines = [(label_class, np.array(points, np.int32)[:, None]) for label_class, points in items]
    put(
        tmp_path / "bilder/Segmentation_labels/a.npz",
        *contours(*(contour(label_class, outer) for label_class, outer in outlines)),
    )
    expected = np.full((H, W), 255 if all(label_class for label_class, _ in items) else 0, np.uint8)
    for label_class, outer in sorted(outlines, key=lambda item: item[0]):
        cv2.fillPoly(expected, [outer], label_class or 255)
    report = import_mia(new_project(tmp_path, tmp_path / "bilder"), tmp_path / "bilder")
    assert report.problems == []
    assert (painted(labels(report.project), report.project) == expected).all()


def test_an_object_over_a_higher_class_cuts_it_and_this_is_said(project, tmp_path):
    objects = [LabelObject(1, box(0, 0, 20, 20), "debris"), LabelObject(2, box(10, 10, 30, 30), "cell")]
    frame = FrameLabels.of(H, W, [*objects, LabelObject(3, box(25, 25, 40, 40), "debris")])
    write_frame(project.labels_path("a.png", "image"), frame)
    report = export_mia(project, tmp_path / "out")
    assert "a.png: 1 objects were cut where one of a lower class lies over them (MIA shows the higher class)" in (
        report.notes
    )
    path = tmp_path / "out/Segmentation_labels/a.npz"
    assert (raster(path, (H, W)) == painted(frame, project)).all()
    assert any((item.outer.max(axis=0) == [29, 29]).all() for item in read_mia(path).contours)  # what shows is not cut


def test_touching_objects_stay_contours_of_their_own(project, tmp_path):
    objects = [LabelObject(1, box(0, 0, 10, 10), "cell"), LabelObject(2, box(10, 0, 20, 10), "cell")]
    write_frame(project.labels_path("a.png", "image"), FrameLabels.of(H, W, objects))
    report = export_mia(project, tmp_path / "out")
    assert len(read_mia(Path(report.files[0])).contours) == 2
    assert any("joins touching objects" in note for note in report.notes)


def test_what_is_too_small_for_the_original_is_named(project, tmp_path):
    ring = Polygon(box(20, 20, 30, 30).exterior, [box(24, 24, 25, 25).exterior])
    two = MultiPolygon([box(0, 10, 9, 19), box(15, 15, 16, 16)])
    objects = [box(0, 0, 2, 2), box(5, 0, 15, 1), two, ring, Point(3, 3), box(-9, -9, -2, -2)]
    frame = FrameLabels.of(H, W, [LabelObject(n, shape, "cell") for n, shape in enumerate(objects, 1)])
    write_frame(project.labels_path("a.png", "image"), frame)
    report = export_mia(project, tmp_path / "out")
    kept = read_mia(Path(report.files[0])).contours
    assert [(c.outer.min(axis=0).tolist(), len(c.holes)) for c in kept] == [([0, 10], 0), ([20, 20], 0)]
    assert report.objects == 2
    assert report.notes[:4] == [
        "a.png: 3 pieces of objects were left out, which MIA would drop as too small",
        "a.png: 1 holes were filled, which MIA would fill as too small",
        "a.png: 1 points were left out: MIA's segmentation has outlines only",
        "a.png: 1 objects show no pixel and were left out",
    ]


def test_areas_that_would_vanish_are_not_exported_as_everything(project, tmp_path):
    frame = replace(FrameLabels.of(H, W, [LabelObject(1, box(0, 0, 9, 9), "cell")]), areas=(box(0, 0, 2, 2),))
    write_frame(project.labels_path("a.png", "image"), frame)
    report = export_mia(project, tmp_path / "out")
    assert report.files == []
    assert "annotated areas are too small" in report.problems[0]


# ---- names -----------------------------------------------------------------------------------------------------------


def test_every_image_gets_its_own_labels_and_the_rest_is_named(project, images):
    put(images / "Segmentation_labels/a.npz", *contours(contour(1, square(1, 1))))
    put(images / "sub/Segmentation_labels/größe.npz", *contours(contour(2, square(9, 9))))
    stack = images / "Segmentation_labels/s.v2"
    put(stack / "s.v2_000.npz", *contours(contour(1, square(3, 3))))
    put(stack / "s.v2_0002.npz", *contours(contour(1, square(5, 5))))
    put(stack / "s.v2_003.npz", *contours(contour(1, square(5, 5))))
    put(stack / "s-v2_001.npz", *contours())
    put(images / "Segmentation_labels/größe.npz", *contours())
    put(images / "Object_Counting_labels/a.npz", np.array(POINTS))
    report = import_mia(project, images)
    assert report.frames == ["a.png image", "s.v2.tif t0000z0000", "s.v2.tif t0002z0000", "sub/größe.png image"]
    assert bounds(labels(project)) == [(1, 1, 6, 6)]
    assert bounds(labels(project, "sub/größe.png")) == [(9, 9, 14, 14)]
    assert bounds(labels(project, "s.v2.tif", "t0002z0000")) == [(5, 5, 10, 10)]
    assert [Path(p).name for p in report.unpaired_files] == ["größe.npz", "s-v2_001.npz"]
    assert len(report.problems) == 1
    assert "page 3" in report.problems[0]
    assert report.notes == ["1 files in Object_Counting_labels were not imported: a detection project takes them"]
    json.dumps(report.as_dict())


def test_labels_of_a_whole_stack_go_onto_every_frame_unless_frames_have_their_own(project, images):
    stack = images / "Segmentation_labels/s.v2"
    put(stack / "s.v2_003u.npz", *contours(contour(1, square(3, 3))))
    put(stack / "s.v2_010u.npz", *contours(contour(1, square(9, 9))))
    report = import_mia(project, images)
    assert [bounds(labels(project, "s.v2.tif", f"t000{t}z0000")) for t in range(3)] == [[(3, 3, 8, 8)]] * 3
    assert "10 pages" in report.problems[0]
    put(stack / "s.v2_001.npz", *contours(contour(1, square(20, 20))))
    report = import_mia(project, images, replace=True)
    assert report.frames == ["s.v2.tif t0001z0000"]
    assert any("s.v2_003u.npz was left out" in note for note in report.notes)


def test_pages_of_a_hyperstack_are_its_frames(tmp_path):
    save_image(tmp_path / "i/h.tif", np.zeros((2, 3, 2, H, W), np.uint8), imagej=True, metadata={"axes": "TZCYX"})
    project = new_project(tmp_path, tmp_path / "i")
    put(tmp_path / "i/Segmentation_labels/h/h_010.npz", *contours(contour(1, square(3, 3))))  # t 1, z 2, c 0
    assert import_mia(project, tmp_path / "i").frames == ["h.tif t0001z0002"]
    assert [Path(p).name for p in export_mia(project, tmp_path / "out").files] == ["h_010.npz"]
    put(tmp_path / "i/Segmentation_labels/h/h_011.npz", *contours(contour(1, square(3, 3))))  # the other channel
    assert "several files" in import_mia(project, tmp_path / "i").problems[0]


def test_files_of_a_series_are_images_of_their_own(tmp_path):
    for t in (1, 2, 10):
        save_image(tmp_path / f"i/film/t{t}.png")
    project = new_project(tmp_path, tmp_path / "i", series=["film"])
    put(tmp_path / "i/film/Segmentation_labels/t10.npz", *contours(contour(1, square(3, 3))))
    report = import_mia(project, tmp_path / "i")
    assert (report.frames, report.unpaired_images) == (["film t0002z0000"], [])
    report = export_mia(project, tmp_path / "out")
    assert report.files == [str(tmp_path / "out/film/Segmentation_labels/t10.npz")]


def test_two_images_of_one_stem_are_never_mixed_up(project, images, tmp_path):
    save_image(images / "a.tif")
    put(images / "Segmentation_labels/a.npz", *contours(contour(1, square(1, 1))))
    report = import_mia(project, images)
    assert (report.frames, len(report.problems)) == ([], 1)
    assert "a.png" in report.problems[0]
    assert "a.tif" in report.problems[0]
    for key in ("a.png", "a.tif", "sub/größe.png"):
        write_frame(project.labels_path(key, "image"), FrameLabels.of(H, W, [LabelObject(1, box(0, 0, 9, 9), "cell")]))
    report = export_mia(project, tmp_path / "out")
    assert report.files == [str(tmp_path / "out/sub/Segmentation_labels/größe.npz")]
    assert [text.split(":")[0] for text in report.problems] == ["a.png", "a.tif"]


def test_labels_of_the_original_are_never_overwritten_but_our_own_are(project, tmp_path):
    frame = FrameLabels.of(H, W, [LabelObject(1, box(0, 0, 9, 9), "cell")])
    write_frame(project.labels_path("a.png", "image"), frame)
    path = tmp_path / "out/Segmentation_labels/a.npz"
    assert export_mia(project, tmp_path / "out").problems == []
    first = path.read_bytes()
    assert export_mia(project, tmp_path / "out").problems == []
    assert path.read_bytes() == first
    put(path, *contours(contour(1, square(9, 9))))
    theirs = path.read_bytes()
    report = export_mia(project, tmp_path / "out")
    assert "not overwritten" in report.problems[0]
    assert path.read_bytes() == theirs


def test_predict_images_and_predictions_are_exported_without_the_rejected(tmp_path, images):
    save_image(tmp_path / "neu/n.png")
    project = new_project(tmp_path, images, predict_images=tmp_path / "neu")
    path = project.prediction_path("net", "@predict/n.png", "image")
    objects = [LabelObject(n, box(10 * n, 0, 10 * n + 5, 5), "cell", "predicted", 0.5) for n in (1, 2)]
    write_frame(path, FrameLabels.of(H, W, objects))
    with FrameStore(path, H, W) as store:
        store.reject([1])
    report = export_mia(project, tmp_path / "out", source="predictions:net")
    assert report.files == [str(tmp_path / "out/@predict/Segmentation_labels/n.npz")]
    report = import_mia(project, tmp_path / "out", split="predict")
    assert report.frames == ["@predict/n.png image"]
    assert bounds(labels(project, "@predict/n.png")) == [(20, 0, 25, 5)]


# ---- the other two tasks ---------------------------------------------------------------------------------------------


def test_points_with_areas_and_old_points(tmp_path, images):
    project = new_project(tmp_path, images, "detection")
    folder = images / "Object_Counting_labels"
    region = contours(contour(0, square(0, 0, 20)))
    put(folder / "a.npz", np.array(POINTS), np.array([[1, -1], [2, 9], [1, -1]]), [[3, 4], [5, 6], [99, 4]], *region)
    put(folder / "s.v2/s.v2_001.npz", np.array(POINTS), np.array([2]), np.array([[7, 8]]))
    put(images / "sub/Object_Counting_labels/größe.npz", np.array(POINTS), np.empty(0), np.empty(0), *region)
    report = import_mia(project, images)
    assert len(report.problems) == 1
    assert "1 objects lie outside" in report.problems[0]
    found = labels(project)
    assert [(o.geometry.coords[0], o.label_class, o.track) for o in found.objects.values()] == [
        ((3.5, 4.5), "cell", None),
        ((5.5, 6.5), "debris", 9),
    ]
    assert found.areas[0].bounds == (0, 0, 20, 20)
    assert [o.label_class for o in labels(project, "s.v2.tif", "t0001z0000").objects.values()] == ["debris"]
    assert len(labels(project, "sub/größe.png").areas) == 1
    export_mia(project, tmp_path / "out")
    other = new_project(tmp_path, images, "detection", "other")
    import_mia(other, tmp_path / "out")
    for place in (("a.png", "image"), ("s.v2.tif", "t0001z0000"), ("sub/größe.png", "image")):
        assert labels(other, *place) == labels(project, *place)


def test_outlines_leave_a_detection_project_as_their_centers(tmp_path, images):
    project = new_project(tmp_path, images, "detection")
    objects = [LabelObject(1, box(0, 0, 10, 4), "cell"), LabelObject(2, Point(W, H), "cell")]
    write_frame(project.labels_path("a.png", "image"), FrameLabels.of(H, W, objects))
    (path,) = export_mia(project, tmp_path / "out").files
    assert [(dot.x, dot.y) for dot in read_mia(Path(path)).dots] == [(5, 2), (W - 1, H - 1)]


@pytest.mark.parametrize("stored", [np.array(2), np.array([[2.0]]), np.array([2])])
def test_classes_of_images(tmp_path, images, stored):
    project = new_project(tmp_path, images, "classification")
    put(images / "Classification_labels/a.npz", np.array(IMAGE), stored)
    put(images / "sub/Classification_labels/größe.npz", np.array(IMAGE), np.array(0))
    put(images / "Classification_labels/s.v2/s.v2_000.npz", np.array(IMAGE), np.array(3))
    report = import_mia(project, images)
    assert report.problems == []
    assert sorted(report.new_classes) == ["background", "class 3"]
    whole = [
        (o.geometry.bounds, o.label_class)
        for place in (("a.png", "image"), ("sub/größe.png", "image"), ("s.v2.tif", "t0000z0000"))
        for o in labels(project, *place).objects.values()
    ]
    assert whole == [((0, 0, W, H), name) for name in ("debris", "background", "class 3")]
    write_frame(project.labels_path("s.v2.tif", "t0001z0000"), FrameLabels.of(H, W, []))
    out = export_mia(Project.load(project.folder), tmp_path / "out")
    assert len(out.files) == 3
    assert any("without the class" in note for note in out.notes)
    assert [read_mia(Path(p)).image_class for p in out.files] == [2, 3, 0]


# ---- what is hostile -------------------------------------------------------------------------------------------------


def test_files_that_are_damaged_are_named_and_the_rest_is_imported(project, images, tmp_path, monkeypatch):
    monkeypatch.setattr(mia_file, "_MAX_BYTES", 1 << 20)
    stack, good = images / "Segmentation_labels/s.v2", contours(contour(1, square(3, 3)))
    put(images / "Segmentation_labels/a.npz", *good)
    put(stack / "s.v2_000.npz", *good)
    path = stack / "s.v2_000.npz"
    whole = path.read_bytes()
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", bytes(2 << 20))
    huge = tmp_path / "huge.npz"
    with zipfile.ZipFile(huge, "w") as archive:
        header = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<i8', 'fortran_order': False, 'shape': (999999999999,), }"
        archive.writestr("arr_0.npy", header.ljust(127) + b"\n")
    np.savez(tmp_path / "pickle.npz", np.array([{"a": 1}], object))
    hostile = {
        "half": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"hello",
        "bomb": bomb.read_bytes(),
        "huge": huge.read_bytes(),
        "pickle": (tmp_path / "pickle.npz").read_bytes(),
    }
    for number, data in hostile.items():
        path.write_bytes(data)
        report = import_mia(project, images, replace=True)
        assert report.frames == ["a.png image"], number
        assert len(report.problems) == 1
        assert str(path) in report.problems[0]
    assert labels(project, "s.v2.tif", "t0000z0000") is None


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ([np.array(5)], "kind of label"),
        ([np.array(CONTOURS), np.array([1, -1])], "middle of an object"),
        (contours(contour(255, square(3, 3))), "class 255"),
        (contours(contour(10**12, square(3, 3))), "past 254"),
        (contours(contour(-1, square(3, 3))), "without a class"),
        (contours(contour(1, np.array([[[1.5, 2.0]]]))), "not whole"),
        (contours(contour(1, np.array([[[np.nan, 2.0]]]))), "not whole"),
        (contours(contour(1, np.array([[[2**40, 2]]]))), "outside of any image"),
        (contours(contour(1, np.zeros((0, 1, 2), np.int32))), "without points"),
        (contours(contour(1, np.zeros((4, 3), np.int32))), "shape"),
        (contours(contour(0, square(500, 500))), "none inside the image"),
        ([np.array(POINTS), np.array([[1, -1]]), np.array([[3, 4]])], "labels for detection"),
        ([np.array(POINTS)], "points are missing"),
        ([np.array("x")], "not whole"),
    ],
)
def test_what_makes_no_sense_is_said(project, images, arrays, reason):
    put(images / "Segmentation_labels/a.npz", *arrays)
    put(images / "sub/Segmentation_labels/größe.npz", *contours(contour(1, square(3, 3))))
    report = import_mia(project, images)
    assert report.frames == ["sub/größe.png image"]
    assert reason in report.problems[0]
    assert "a.npz" in report.problems[0]
    assert len(Project.load(project.folder).classes) == 2


def test_objects_outside_the_image_are_left_out_and_a_missing_end_is_no_hole(project, images):
    arrays = contours(contour(1, square(500, 3)), contour(3, square(60, 3, 20)))[:-1]
    put(images / "Segmentation_labels/a.npz", *arrays)
    report = import_mia(project, images)
    assert bounds(labels(project)) == [(60, 3, 64, 23)]
    assert "1 objects lie outside" in report.problems[0]
    assert report.new_classes == ["class 3"]


def test_labels_that_are_there_are_left_alone_unless_asked(project, images):
    with open_labels(project, "a.png", "image", H, W) as store:
        store.edit("draw", add=[LabelObject(1, box(0, 0, 9, 9), "cell")])
    put(images / "Segmentation_labels/a.npz", *contours(contour(1, square(3, 3))))
    assert import_mia(project, images).skipped == ["a.png image"]
    assert bounds(labels(project)) == [(0, 0, 9, 9)]
    assert import_mia(project, images, replace=True).frames == ["a.png image"]
    with open_labels(project, "a.png", "image", H, W) as store:
        assert bounds(store.frame) == [(3, 3, 8, 8)]
        store.undo()
        assert bounds(store.frame) == [(0, 0, 9, 9)]


def test_an_image_that_looks_like_colour_is_a_stack_when_its_labels_say_so(tmp_path):
    (tmp_path / "i").mkdir()
    tifffile.imwrite(tmp_path / "i/s.tif", np.zeros((4, H, W), np.uint8), photometric="rgb", planarconfig="separate")
    put(tmp_path / "i/Segmentation_labels/s/s_003.npz", *contours(contour(1, square(3, 3))))
    project = new_project(tmp_path, tmp_path / "i")
    write_frame(project.labels_path("s.tif", "image"), FrameLabels.of(H, W, []))
    assert "TYX" in import_mia(project, tmp_path / "i").problems[0]
    assert Project.load(project.folder).axes == {}
    project.labels_path("s.tif", "image").unlink()
    report = import_mia(project, tmp_path / "i")
    assert (report.frames, Project.load(project.folder).axes) == (["s.tif t0003z0000"], {"s.tif": "TYX"})
    assert "TYX" in report.notes[0]


def test_errors_that_end_it_all(project, images, tmp_path):
    with pytest.raises(MiaError, match="Segmentation_labels"):
        import_mia(project, images)
    put(images / "Object_Counting_labels/a.npz", np.array(POINTS))
    with pytest.raises(MiaError, match="1 files in Object_Counting_labels"):
        import_mia(project, images)
    put(images / "Segmentation_labels/other.npz", *contours())
    with pytest.raises(MiaError, match="none of the 1 files"):
        import_mia(project, images)
    with pytest.raises(MiaError, match="not a folder"):
        import_mia(project, images / "a.png")
    many = Project.create(tmp_path / "many", images=images, classes=[f"c{n}" for n in range(255)])
    write_frame(many.labels_path("a.png", "image"), FrameLabels.of(H, W, [LabelObject(1, box(0, 0, 9, 9), "c0")]))
    with pytest.raises(MiaError, match="254 classes"):
        export_mia(many, tmp_path / "out")
    with pytest.raises(MiaError, match="not written to"):
        export_mia(project, images / "out")
    assert not (tmp_path / "out").exists()


def test_the_highest_number_of_classes_goes_through(images, tmp_path):
    project = Project.create(tmp_path / "p", images=images, classes=[f"c{n}" for n in range(1, 255)])
    frame = FrameLabels.of(H, W, [LabelObject(1, box(0, 0, 9, 9), "c254"), LabelObject(2, box(20, 0, 29, 9), "c1")])
    write_frame(project.labels_path("a.png", "image"), frame)
    export_mia(project, tmp_path / "out")
    other = Project.create(tmp_path / "q", images=images, classes=["x"])
    report = import_mia(other, tmp_path / "out")
    assert len(Project.load(other.folder).classes) == 254
    assert (painted(labels(other), report.project) == painted(frame, project)).all()
