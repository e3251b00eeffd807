"""ImageJ's regions of interest in and out."""

import os
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roifile
import shapely
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi
from scipy import ndimage
from shapely.geometry import MultiPolygon, Point, Polygon, box

from mia_tui.errors import MiaError
from mia_tui.formats.masks import import_masks
from mia_tui.formats.roi import export_roi, import_roi
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import fill, label_image, shapes_from_labels
from mia_tui.labeling.store import FrameStore, open_labels, read_frame, write_frame
from mia_tui.project import Project

DATA = Path(os.environ.get("MIA_TUI_DATA", Path(__file__).parents[3] / "shared" / "data"))
H, W = 48, 64
RING = Polygon([(1, 1), (9, 1), (9, 9), (1, 9)], [[(3, 3), (3, 6), (6, 6), (6, 3)]])


def save(path, array, axes=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    if axes:
        tifffile.imwrite(path, array, imagej=True, metadata={"axes": axes})
    else:
        Picture.fromarray(array).save(path)


@pytest.fixture
def project(tmp_path):
    for name in ("a.png", "größe/b.png"):
        save(tmp_path / "images" / name, np.zeros((H, W), np.uint8))
    save(tmp_path / "images" / "t.tif", np.zeros((3, H, W), np.uint8), "TYX")
    save(tmp_path / "images" / "h.tif", np.zeros((3, 2, 2, H, W), np.uint8), "TZCYX")
    return Project.create(tmp_path / "project", images=tmp_path / "images", classes=["cell", "debris"])


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


def labels(project, key="a.png", frame="image"):
    return read_frame(project.labels_path(key, frame))


def region(points, kind=ROI_TYPE.POLYGON, name="x", **values):
    roi = ImagejRoi.frompoints(points, name=name)
    roi.roitype = kind
    for key, value in values.items():
        setattr(roi, key, value)
    return roi


def rectangle(left, top, right, bottom, kind=ROI_TYPE.RECT, **values):
    roi = ImagejRoi(roitype=kind, left=left, top=top, right=right, bottom=bottom, name="x")
    for key, value in values.items():
        setattr(roi, key, value)
    return roi


def path(*numbers):
    roi = rectangle(0, 0, 30, 30, multi_coordinates=np.array(numbers, np.float32))
    roi.shape_roi_size = len(numbers)
    return roi


def put(file, *rois):
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        for number, roi in enumerate(rois):
            archive.writestr(f"{number}.roi", roi.tobytes())


def imported(project, source, *rois, key="a"):
    put(source / f"{key}.zip", *rois)
    return import_roi(project, source, replace=True)


SQUARE = [[2, 3], [8, 3], [8, 9], [2, 9]]

# ---- in --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED])
def test_whole_coordinates_are_corners_of_pixels(project, source, kind):
    imported(project, source, region(SQUARE, kind))
    (item,) = labels(project).objects.values()
    assert item.geometry.equals(box(2, 3, 8, 9))
    assert (item.label_class, item.source) == ("cell", "imported")


def test_sub_pixel_coordinates_stay(project, source):
    points = [[2.25, 3.5], [8.125, 3.5], [8.0, 9.75]]
    imported(project, source, region(points, ROI_TYPE.FREEHAND))
    (item,) = labels(project).objects.values()
    assert item.geometry.equals(Polygon(points))


def test_points_lie_on_the_centers_of_pixels(project, source):
    imported(project, source, region([[2, 3], [8, 4]], ROI_TYPE.POINT), region([[5.25, 6.5]], ROI_TYPE.POINT))
    assert [o.geometry.coords[0] for o in labels(project).objects.values()] == [(2.5, 3.5), (8.5, 4.5), (5.75, 7.0)]


@pytest.mark.parametrize("bounds", [(3, 4, 20, 15), (0, 0, 1, 1), (-4, -6, 11, 12), (50, 30, 90, 70), (5, 5, 25, 6)])
def test_ovals_hold_the_pixels_whose_centers_lie_in_them(project, source, bounds):
    imported(project, source, rectangle(*bounds, kind=ROI_TYPE.OVAL))
    left, top, right, bottom = bounds
    y, x = np.mgrid[:H, :W] + 0.5
    inside = ((2 * x - left - right) / (right - left)) ** 2 + ((2 * y - top - bottom) / (bottom - top)) ** 2 <= 1
    assert (label_image(labels(project).objects.values(), (H, W)) == inside).all()


def test_rectangles_also_between_pixels_and_with_round_corners(project, source):
    fine = rectangle(2, 3, 9, 9, options=ROI_OPTIONS.SUB_PIXEL_RESOLUTION, xd=2.5, yd=3.25, widthd=6.0, heightd=5.5)
    oval = rectangle(20, 3, 32, 9, kind=ROI_TYPE.OVAL, options=ROI_OPTIONS.SUB_PIXEL_RESOLUTION)
    oval.xd, oval.yd, oval.widthd, oval.heightd = 20.5, 3.5, 10.0, 4.0
    imported(project, source, rectangle(2, 3, 8, 9), fine, rectangle(0, 0, 20, 20, rounded_rect_arc_size=8), oval)
    plain, between, rounded, ellipse = (o.geometry for o in labels(project).objects.values())
    assert plain.equals(box(2, 3, 8, 9))
    assert between.equals(box(2.5, 3.25, 8.5, 8.75))
    assert rounded.bounds == pytest.approx((0, 0, 20, 20))
    assert rounded.area == pytest.approx(400 - (4 - np.pi) * 16, rel=1e-3)
    assert ellipse.bounds == pytest.approx((20.5, 3.5, 30.5, 7.5), abs=1e-2)
    assert ellipse.area == pytest.approx(np.pi * 5 * 2, rel=1e-2)


def test_composites_have_holes_parts_and_curves(project, source):
    shell = [0, 1, 1, 1, 20, 1, 1, 20, 20, 1, 1, 20, 4]
    hole = [0, 5, 5, 1, 5, 9, 1, 9, 9, 1, 9, 5, 4]
    part = [0, 30, 30, 1, 35, 30, 1, 35, 35, 4]
    curve = [0, 0, 0, 2, 5, 10, 10, 0, 4]  # under a parabola: two thirds of 10 x 5
    cubic = [0, 20, 30, 3, 20, 40, 30, 40, 30, 30, 4]
    imported(project, source, path(*shell, *hole, *part), path(*curve), path(*cubic))
    whole, bent, cubed = (o.geometry for o in labels(project).objects.values())
    assert whole.geom_type == "MultiPolygon"
    assert whole.area == 19 * 19 - 16 + 12.5
    assert not whole.contains(Point(7, 7))
    assert bent.area == pytest.approx(100 / 3, rel=0.01)
    assert cubed.area == pytest.approx(60, rel=0.01)


def test_classes_come_from_names_groups_and_colors(project, source):
    color = bytes([255, *bytes.fromhex(project.classes[1].color[1:])])
    imported(
        project, source,
        region(SQUARE, name="debris-17"), region(SQUARE, name="debris"), region(SQUARE, name="cell_4"),
        region(SQUARE, name="0001-0002-0003", group=2), region(SQUARE, name="y", group=7),
        region(SQUARE, name="z", stroke_color=color), region(SQUARE, name="cellular-3"),
    )  # fmt: skip
    found = labels(project).objects
    assert {n: item.label_class for n, item in found.items()} == {
        17: "debris", 4: "cell", 18: "debris", 19: "debris", 20: "group 7", 21: "debris", 22: "cell",
    }  # fmt: skip
    assert [c.name for c in Project.load(project.folder).classes] == ["cell", "debris", "group 7"]


def test_positions_are_frames(project, source):
    report = imported(
        project, source,
        region(SQUARE, position=2), region(SQUARE, t_position=3), region(SQUARE, z_position=3),
        region(SQUARE, name="0001-0002-0003"), region(SQUARE, name="lost"), region(SQUARE, name="late", position=4),
        key="t",
    )  # fmt: skip
    counts = [len(found.objects) if (found := labels(project, "t.tif", f"t000{t}z0000")) else 0 for t in range(3)]
    assert counts == [1, 1, 2]
    assert ["'lost'" in report.problems[0], "'late'" in report.problems[1]] == [True, True]
    assert "position" in report.problems[0]
    report = imported(
        project, source,
        region(SQUARE, c_position=2, z_position=2, t_position=3),
        region(SQUARE, position=2 + 2 * (0 + 2 * 1)),  # the second channel of z 0, t 1
        region(SQUARE, name="half", t_position=1), key="h",
    )  # fmt: skip
    assert [text for text in report.frames if text.startswith("h")] == ["h.tif t0002z0001", "h.tif t0001z0000"]
    assert any("'half'" in text for text in report.problems)


def test_points_of_one_region_may_lie_on_several_slices(project, source):
    many = region([[1, 1], [2, 2], [3, 3]], ROI_TYPE.POINT)
    many.counters, many.counter_positions = np.zeros(3, np.uint8), np.array([1, 3, 3], np.uint32)
    imported(project, source, many, key="t")
    assert len(labels(project, "t.tif", "t0000z0000").objects) == 1
    assert [o.geometry.coords[0] for o in labels(project, "t.tif", "t0002z0000").objects.values()] == [
        (2.5, 2.5),
        (3.5, 3.5),
    ]


def test_single_regions_and_the_names_of_other_programs(project, source):
    (source / "a.png.roi").write_bytes(region(SQUARE).tobytes())
    put(source / "größe" / "b.zip", region(SQUARE))
    put(source / "other.zip", region(SQUARE))
    report = import_roi(project, source)
    assert report.frames == ["a.png image", "größe/b.png image"]
    assert report.unpaired_images == ["h.tif", "t.tif"]
    assert [Path(p).name for p in report.unpaired_files] == ["other.zip"]
    for path in (source / "a.png.roi", source / "größe/b.zip", source / "other.zip"):
        path.unlink()
    put(source / "a_rois.zip", region(SQUARE))
    assert import_roi(project, source, replace=True).frames == ["a.png image"]


def test_bad_regions_and_files_are_named_and_the_rest_goes_on(project, source):
    nan = region([[1.0, 2.0], [np.nan, 3.0], [4.0, 5.0]], name="nan")
    two = region([[1, 1], [2, 2]], name="two")
    line = ImagejRoi(roitype=ROI_TYPE.LINE, x1=1, y1=1, x2=5, y2=5, name="line")
    text = rectangle(0, 0, 5, 5, subtype=ROI_SUBTYPE.TEXT, text="hello")
    text.name = "text"
    far = region([[900, 900], [910, 900], [910, 910]], name="far")
    broken = path(9, 1, 1)
    broken.name = "broken"
    flat = rectangle(3, 3, 3, 9)
    flat.name = "flat"
    put(source / "a.zip", nan, two, line, text, far, broken, flat, region(SQUARE))
    good = region(SQUARE).tobytes()
    with zipfile.ZipFile(source / "a.zip", "a") as archive:
        archive.writestr("short.roi", good[:40])
        archive.writestr("lies.roi", good[:16] + struct.pack(">H", 60000) + good[18:])
        archive.writestr("readme.txt", "hello")
    (source / "größe").mkdir()
    (source / "größe/b.zip").write_bytes((source / "a.zip").read_bytes()[:300])
    put(source / "t.zip")
    report = import_roi(project, source)
    assert [o.geometry.bounds for o in labels(project).objects.values()] == [(2, 3, 8, 9)]
    for name, reason in {
        "'nan'": "no numbers", "'two'": "2 points", "'line'": "not an outline", "'text'": "not an outline",
        "'far'": "outside", "'broken'": "path", "'flat'": "no area", "short.roi": "no region", "lies.roi": "no region",
        "b.zip": "damaged", "t.zip": "no regions",
    }.items():  # fmt: skip
        assert any(name in text and reason in text for text in report.problems), name
    assert len(report.problems) == 11


def test_labels_that_are_there_are_left_alone_unless_asked(project, source):
    with open_labels(project, "a.png", "image", H, W) as store:
        store.edit("draw", add=[LabelObject(1, RING, "cell")])
    put(source / "a.zip", region(SQUARE))
    assert import_roi(project, source).skipped == ["a.png image"]
    assert import_roi(project, source, replace=True).frames == ["a.png image"]
    with open_labels(project, "a.png", "image", H, W) as store:
        store.undo()
        assert store.frame.objects[1].geometry.equals(RING)


# ---- out, and back ---------------------------------------------------------------------------------------------------


def other_project(project, tmp_path, name="other"):
    return Project.create(tmp_path / name, images=project.roots["train"], classes=["x"])


def test_what_was_exported_comes_back(project, tmp_path):
    objects = [
        LabelObject(4, RING, "debris", "imported", 0.5, 3),
        LabelObject(9, MultiPolygon([box(0, 0, 2, 2), box(2, 2, 4, 4)]), "cell", "imported"),
        LabelObject(12, Point(3.5, 4.25), "cell", "imported"),
        LabelObject(13, box(3, 4, 20, 21), "cell", "imported"),
        LabelObject(14, Polygon([(1.5, 1.25), (9, 2), (3.5, 8)]), "debris", "imported"),
    ]
    frame = replace(FrameLabels.of(H, W, objects), areas=(box(0, 0, 30, 40), RING))
    places = [("a.png", "image"), ("größe/b.png", "image"), ("t.tif", "t0001z0000"), ("h.tif", "t0000z0001"),
              ("h.tif", "t0002z0000")]  # fmt: skip
    for place in places:
        write_frame(project.labels_path(*place), frame)
    report = export_roi(project, tmp_path / "out")
    assert (report.problems, report.objects) == ([], 25)
    assert {Path(p).relative_to(tmp_path / "out").as_posix() for p in report.files} == {
        "a.zip", "größe/b.zip", "t.zip", "h.zip",
    }  # fmt: skip
    other = other_project(project, tmp_path)
    report = import_roi(other, tmp_path / "out")
    assert (report.problems, report.unpaired_images, report.new_classes) == ([], [], ["cell", "debris"])
    for place in places:
        back = labels(other, *place)
        assert list(back.objects) == list(frame.objects)
        for number, item in frame.objects.items():
            assert back.objects[number].geometry.equals(item.geometry)
            assert replace(back.objects[number], geometry=item.geometry) == item
        assert all(a.equals(b) for a, b in zip(back.areas, frame.areas, strict=True))


def test_regions_are_as_imagej_wants_them(project, tmp_path):
    objects = [
        LabelObject(1, box(3, 4, 20, 21), "cell"),
        LabelObject(2, RING, "debris"),
        LabelObject(3, Point(1, 2), "cell"),
    ]
    for place in (("a.png", "image"), ("t.tif", "t0002z0000"), ("h.tif", "t0002z0001")):
        write_frame(project.labels_path(*place), FrameLabels.of(H, W, objects))
    export_roi(project, tmp_path / "out")
    traced, composite, point = roifile.roiread(tmp_path / "out/a.zip")
    assert [roi.name for roi in (traced, composite, point)] == ["cell-1", "debris-2", "cell-3"]
    assert (traced.roitype, traced.options, traced.subpixel_coordinates) == (ROI_TYPE.TRACED, 0, None)
    assert (traced.left, traced.top, traced.right - 1, traced.bottom - 1) == (3, 4, 20, 21)
    assert sorted(traced.coordinates().tolist()) == [[3, 4], [3, 21], [20, 4], [20, 21]]
    assert (composite.roitype, composite.composite, composite.group) == (ROI_TYPE.RECT, True, 2)
    assert [len(ring) for ring in composite.coordinates(multi=True)] == [5, 5]
    assert composite.hexcolor(composite.stroke_color).upper() == project.classes[1].color
    assert point.coordinates().tolist() == [[0.5, 1.5]]
    assert [roi.position for roi in roifile.roiread(tmp_path / "out/t.zip")] == [3, 3, 3]
    assert {
        (r.position, r.c_position, r.z_position, r.t_position) for r in roifile.roiread(tmp_path / "out/h.zip")
    } == {(0, 0, 2, 3)}
    with zipfile.ZipFile(tmp_path / "out/t.zip") as archive:
        assert archive.namelist()[0] == "cell-1-t0002z0000.roi"


def test_a_region_renamed_in_imagej_changes_its_class(project, tmp_path):
    write_frame(
        project.labels_path("a.png", "image"), FrameLabels.of(H, W, [LabelObject(5, box(3, 4, 20, 21), "cell")])
    )
    export_roi(project, tmp_path / "out")
    (roi,) = roifile.roiread(tmp_path / "out/a.zip")
    roi.name = "debris-5"
    put(tmp_path / "out/a.zip", roi)
    import_roi(project, tmp_path / "out", replace=True)
    assert [(o.id, o.label_class) for o in labels(project).objects.values()] == [(5, "debris")]


def test_two_images_of_one_stem_keep_their_endings_and_predictions_leave_without_the_rejected(project, tmp_path):
    save(tmp_path / "images" / "a.tif", np.zeros((H, W), np.uint8), "YX")
    for key in ("a.png", "a.tif"):
        path = project.prediction_path("net", key, "image")
        write_frame(
            path, FrameLabels.of(H, W, [LabelObject(n, box(n, 0, n + 2, 2), "cell", score=0.5) for n in (1, 2)])
        )
        with FrameStore(path, H, W) as store:
            store.reject([1])
    report = export_roi(project, tmp_path / "out", source="predictions:net")
    assert sorted(Path(p).name for p in report.files) == ["a.png.zip", "a.tif.zip"]
    assert import_roi(project, tmp_path / "out").problems == []
    assert [(o.id, o.score) for o in labels(project, "a.tif").objects.values()] == [(2, 0.5)]
    with pytest.raises(MiaError, match="not written to"):
        export_roi(project, tmp_path / "images" / "x", source="predictions:net")


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.2, 0.8))
def test_any_pixels_come_back(tmp_path_factory, seed, share):
    tmp_path = tmp_path_factory.mktemp("roi")
    save(tmp_path / "images" / "a.png", np.zeros((H, W), np.uint8))
    project = Project.create(tmp_path / "p", images=tmp_path / "images")
    noise = np.random.default_rng(seed).random((H, W))
    noise = ndimage.gaussian_filter(noise, 1) if seed % 2 else noise
    numbers = ndimage.label(noise > np.quantile(noise, share), np.ones((3, 3)))[0] + (noise > 2)
    objects = [LabelObject(n, shape, "cell") for n, shape in shapes_from_labels(numbers).items()]
    write_frame(project.labels_path("a.png", "image"), FrameLabels.of(H, W, objects))
    export_roi(project, tmp_path / "out")
    other = Project.create(tmp_path / "q", images=tmp_path / "images")
    assert import_roi(other, tmp_path / "out").problems == []
    assert (label_image(labels(other).objects.values(), (H, W)) == numbers).all()
    for item in labels(other).objects.values():
        assert item.geometry.is_valid
        assert item.geometry.area == fill(item.geometry, (H, W))[2].sum()


@pytest.mark.parametrize("name", ["dsb2018", "usiigaci_phase"])
def test_real_label_images_come_back_bit_for_bit(tmp_path, name):
    source = DATA / name / "train"
    paths = sorted((source / "labels").glob("*.tif"))[::8]
    if not paths:
        pytest.skip("no test data")
    (tmp_path / "labels").mkdir()
    for path in paths:
        os.symlink(path, tmp_path / "labels" / path.name)
    project = Project.create(tmp_path / "p", images=source / "images", classes=["nucleus"])
    import_masks(project, tmp_path / "labels")
    export_roi(project, tmp_path / "out")
    other = Project.create(tmp_path / "q", images=source / "images", classes=["nucleus"])
    report = import_roi(other, tmp_path / "out")
    assert (report.problems, len(report.frames)) == ([], len(paths))
    for key, frame in other.frames_under("labels"):
        truth, found = (read_frame(p.labels_path(key, frame)) for p in (project, other))
        size = (truth.height, truth.width)
        assert (label_image(found.objects.values(), size) == label_image(truth.objects.values(), size)).all()
        assert all(shapely.is_valid(o.geometry) for o in found.objects.values())
