"""Measurements against scikit-image's regionprops, and a project measured from disk."""

import warnings
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import shapely
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import regionprops

from mia_tui.analysis.measure import measure, measure_project, measurement_schema
from mia_tui.analysis.tables import notes, units
from mia_tui.errors import MiaError
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import shapes_from_labels
from mia_tui.labeling.store import FrameStore, write_frame
from mia_tui.project import Project

SAME_NAME = ("perimeter", "axis_major_length", "axis_minor_length", "orientation", "eccentricity", "solidity")


def objects_of(labels):
    return [LabelObject(number, shape, "cell") for number, shape in shapes_from_labels(labels).items()]


def awkward_labels():
    """A hole, two parts, one pixel, a line, objects on every border, one the size of half the image."""
    labels = np.zeros((60, 70), np.uint16)
    labels[20:40, 20:45] = 3
    labels[25:35, 28:36] = 0  # a hole
    labels[28:31, 30:33] = 9  # an island in it
    labels[2:6, 2:9] = 4
    labels[10:13, 12:15] = 4  # a second part
    labels[50, 50] = 700  # one pixel
    labels[53, 5:25] = 12  # a line
    labels[56:60, 30:40] = 13
    labels[0:7, 60:70] = 14
    labels[15:50, 69] = 15
    labels[30:50, 0:3] = 16
    for i in range(5):
        labels[42 + i, 50 + i] = 21  # touches itself at corners only
    return labels


def assert_as_regionprops(rows, labels, plane, pixel_size=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth = {region.label: region for region in regionprops(labels, np.moveaxis(plane, 0, -1).astype(np.float64))}
        scaled = {region.label: region for region in regionprops(labels, spacing=pixel_size)} if pixel_size else {}
    assert [row["id"] for row in rows] == sorted(truth)
    for row in rows:
        region = truth[row["id"]]
        assert row["area"] == region.area
        assert (row["centroid_y"], row["centroid_x"]) == pytest.approx(region.centroid, abs=1e-9)
        assert tuple(row[f"bbox_{name}"] for name in ("min_y", "min_x", "max_y", "max_x")) == region.bbox
        assert row["equivalent_diameter"] == pytest.approx(region.equivalent_diameter_area)
        for name in SAME_NAME:
            assert row[name] == pytest.approx(getattr(region, name), abs=1e-9), (row["id"], name)
        for c in range(len(plane)):
            for name in ("min", "mean", "max", "std"):
                expected = getattr(region, f"intensity_{name}")[c]
                assert row[f"intensity_{name}_c{c}"] == pytest.approx(expected, rel=1e-9)
            assert row[f"intensity_integrated_c{c}"] == pytest.approx(plane[c][labels == row["id"]].sum(dtype=float))
        if pixel_size:
            assert_calibrated(row, scaled[row["id"]], pixel_size)


def assert_calibrated(row, region, pixel_size):
    assert row["area_um2"] == pytest.approx(region.area)
    assert (row["centroid_um_y"], row["centroid_um_x"]) == pytest.approx(region.centroid)
    assert row["axis_major_length_um"] == pytest.approx(region.axis_major_length, abs=1e-6)
    assert row["axis_minor_length_um"] == pytest.approx(region.axis_minor_length, abs=1e-6)
    assert row["equivalent_diameter_um"] == pytest.approx(region.equivalent_diameter_area)
    if pixel_size[0] == pixel_size[1]:
        assert row["perimeter_um"] == pytest.approx(region.perimeter)
    else:
        assert row["perimeter_um"] is None


@pytest.mark.parametrize("pixel_size", [None, (0.3, 0.3), (0.65, 0.25)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
def test_awkward_objects_measure_as_in_scikit_image(dtype, pixel_size):
    labels = awkward_labels()
    top = 1 if dtype is bool else 250
    plane = np.random.default_rng(0).uniform(0, top + 0.99, (2, *labels.shape)).astype(dtype)
    rows = measure(objects_of(labels), plane, pixel_size=pixel_size)
    assert_as_regionprops(rows, labels, plane, pixel_size)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 4)))
def test_any_label_image_measures_as_in_scikit_image(labels):
    plane = np.arange(labels.size, dtype=np.uint16).reshape(1, *labels.shape)
    assert_as_regionprops(measure(objects_of(labels), plane), labels, plane)


def test_overlapping_objects_are_each_measured_whole():
    plane = np.ones((1, 20, 20), np.uint8)
    rows = measure(
        [LabelObject(1, shapely.box(0, 0, 10, 10), "a"), LabelObject(2, shapely.box(5, 0, 15, 10), "a")], plane
    )
    assert [row["area"] for row in rows] == [100, 100]
    assert [row["intensity_integrated_c0"] for row in rows] == [100, 100]


def test_bright_sixteen_bit_sums_are_exact():
    plane = np.full((1, 700, 700), 65535, np.uint16)
    (row,) = measure([LabelObject(1, shapely.box(0, 0, 700, 700), "a")], plane)
    assert row["intensity_integrated_c0"] == 65535 * 700 * 700 > 2**32
    assert row["intensity_std_c0"] == 0


def test_objects_beyond_the_border_are_measured_inside_it():
    plane = np.arange(100, dtype=np.int16).reshape(1, 10, 10) - 50
    (row,) = measure([LabelObject(1, shapely.box(-3, 8, 2, 30), "a")], plane)
    assert row["area"] == 4
    assert (row["intensity_min_c0"], row["intensity_max_c0"]) == (30, 41)


@pytest.mark.parametrize("geometry", [shapely.Point(3, 4), shapely.box(2.8, 3.8, 3.2, 4.2)])
def test_an_object_without_a_pixel_keeps_its_row_and_place(geometry):
    (row,) = measure([LabelObject(5, geometry, "spot", score=0.5)], np.ones((1, 9, 9)), pixel_size=(2.0, 2.0))
    assert (row["id"], row["class"], row["score"], row["area"]) == (5, "spot", 0.5, 0)
    assert (row["centroid_y"], row["centroid_x"]) == pytest.approx((3.5, 2.5))
    assert (row["centroid_um_y"], row["centroid_um_x"]) == pytest.approx((7.0, 5.0))
    assert "perimeter" not in row
    assert "intensity_mean_c0" not in row


# ---- projects -------------------------------------------------------------------------------------------------------


def save_labels(project, place, key, frame, labels, **about):
    path = project.source_folder(place) / key / f"{frame}.geojson"
    objects = [LabelObject(n, shape, "cell", **about) for n, shape in shapes_from_labels(labels).items()]
    write_frame(path, FrameLabels.of(*labels.shape, objects))
    return path


@pytest.fixture
def project(tmp_path):
    """`two.tif`: 3 frames of 2 channels, calibrated; `plain.tif`: one grey plane; both labelled."""
    images = tmp_path / "images"
    (images / "sub").mkdir(parents=True)
    rng = np.random.default_rng(1)
    movie = rng.integers(0, 65535, (3, 2, 24, 32), dtype=np.uint16)
    tifffile.imwrite(
        images / "sub" / "two.tif", movie, imagej=True, resolution=(4, 4),
        metadata={"axes": "TCYX", "unit": "um", "finterval": 90.0},
    )  # fmt: skip
    plain = rng.integers(0, 255, (40, 30), dtype=np.uint8)
    tifffile.imwrite(images / "plain.tif", plain)
    project = Project.create(tmp_path / "project", images=images)
    labels = np.zeros((24, 32), np.uint16)
    labels[2:8, 3:12] = 2
    labels[15:24, 20:32] = 5
    save_labels(project, "labels", "sub/two.tif", "t0002z0000", labels, track=7)
    save_labels(project, "labels", "sub/two.tif", "t0000z0000", np.where(labels == 2, 1, 0))
    big = np.zeros((40, 30), np.uint16)
    big[10:30, 10:20] = 1
    save_labels(project, "labels", "plain.tif", "image", big)
    return project, movie, plain, labels


def test_a_project_is_measured_in_order_with_its_own_pixels(project):
    project, movie, plain, labels = project
    found = measure_project(project, "labels")
    assert found.problems == ()
    assert found.table.schema.names == measurement_schema(2).names
    assert units(found.table)["area_um2"] == "um2"
    rows = found.table.to_pylist()
    assert [(row["image"], row["frame"], row["t"], row["id"]) for row in rows] == [
        ("plain.tif", "image", 0, 1),
        ("sub/two.tif", "t0000z0000", 0, 1),
        ("sub/two.tif", "t0002z0000", 2, 2),
        ("sub/two.tif", "t0002z0000", 2, 5),
    ]
    assert_as_regionprops(rows[2:], labels, movie[2], (0.25, 0.25))
    assert [row["time_s"] for row in rows] == [None, 0.0, 180.0, 180.0]
    assert [row["track"] for row in rows] == [None, None, 7, 7]
    assert rows[0]["intensity_integrated_c0"] == plain[10:30, 10:20].sum()
    assert rows[0]["intensity_mean_c1"] is rows[0]["area_um2"] is None
    assert {row["class"] for row in rows} == {"cell"}
    assert notes(found.table)["frames"] == {"plain.tif": 1, "sub/two.tif": 2}


def test_the_projects_calibration_wins(project):
    project = replace(project[0], pixel_size=2.0, frame_interval=10.0)
    rows = measure_project(project, "labels", ["sub/two.tif"]).table.to_pylist()
    assert len(rows) == 3
    assert rows[1]["area_um2"] == 54 * 4
    assert rows[1]["time_s"] == 20.0


def test_rejected_predictions_are_left_out(project):
    project, _, _, labels = project
    path = project.prediction_path("net", "sub/two.tif", "t0001z0000")
    path.parent.mkdir(parents=True)
    save_labels(project, "predictions:net", "sub/two.tif", "t0001z0000", labels, source="predicted", score=0.75)
    assert measure_project(project, "predictions:net").table["id"].to_pylist() == [2, 5]
    with FrameStore(path, 24, 32) as store:
        store.reject([2])
    table = measure_project(project, "predictions:net").table
    assert table.select(["id", "source", "score"]).to_pylist() == [{"id": 5, "source": "predicted", "score": 0.75}]
    with FrameStore(path, 24, 32) as store:
        store.reject([5])
    found = measure_project(project, "predictions:net")
    assert (found.table.num_rows, notes(found.table)["frames"]) == (0, {"sub/two.tif": 1})


def test_what_cannot_be_measured_is_listed_and_the_rest_goes_on(project):
    project = project[0]
    small = np.ones((5, 5), np.uint8)
    save_labels(project, "labels", "gone.tif", "image", small)
    save_labels(project, "labels", "broken.tif", "image", small)
    save_labels(project, "labels", "sub/two.tif", "t0009z0000", np.ones((24, 32), np.uint8))
    save_labels(project, "labels", "sub/two.tif", "t0001z0000", small)
    save_labels(project, "labels", "plain.tif", "image", small)
    (project.roots["train"] / "broken.tif").write_bytes(b"II*\x00 no more")
    damaged = project.labels_path("sub/two.tif", "t0000z0000")
    damaged.write_text("{")
    found = measure_project(project, "labels")
    assert found.table["frame"].to_pylist() == ["t0002z0000"] * 2
    expected = ["broken.tif", "gone.tif", "5 x 5", "two.tif/t0000z0000", "t0001z0000", "no such frame"]
    assert len(found.problems) == len(expected)
    for problem, part in zip(found.problems, expected, strict=True):
        assert part in problem


def test_nothing_to_measure_is_an_empty_table_and_unknown_names_are_errors(tmp_path):
    (tmp_path / "images").mkdir()
    project = Project.create(tmp_path / "project", images=tmp_path / "images")
    found = measure_project(project, "labels")
    assert isinstance(found.table, pa.Table)
    assert (found.table.num_rows, found.problems) == (0, ())
    assert "area" in found.table.column_names
    with pytest.raises(MiaError, match="no predictions of model 'x'"):
        measure_project(project, "predictions:x")
    with pytest.raises(MiaError, match=r"nothing in labels for nosuch\.tif"):
        measure_project(project, "labels", ["nosuch.tif"])
