"""GeoJSON in and out, as QuPath reads and writes it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from shapely.geometry import MultiPolygon, Point, Polygon, box, shape

from mia_tui.errors import MiaError
from mia_tui.formats.geojson import export_geojson, import_geojson
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import FrameStore, open_labels, read_frame, write_frame
from mia_tui.project import Project

H, W = 48, 64
RING = Polygon([(1, 1), (9, 1), (9, 9), (1, 9)], [[(3, 3), (3, 6), (6, 6), (6, 3)]])


@pytest.fixture
def project(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a", "b"):
        Picture.fromarray(np.zeros((H, W), np.uint8)).save(images / f"{name}.png")
    tifffile.imwrite(images / "s.tif", np.zeros((3, 2, H, W), np.uint8), imagej=True, metadata={"axes": "TZYX"})
    return Project.create(tmp_path / "project", images=images, classes=["cell", "debris"])


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


def put(source, name, document):
    (source / name).parent.mkdir(parents=True, exist_ok=True)
    (source / name).write_text(document if isinstance(document, str) else json.dumps(document))


def square(left, top=0, size=4):
    right, bottom = left + size, top + size
    return {
        "type": "Polygon",
        "coordinates": [[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]],
    }


def feature(geometry, name=None, **properties):
    classification = {} if name is None else {"classification": {"name": name, "color": [1, 2, 3]}}
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": {"objectType": "annotation", **classification, **properties},
    }


def labels(project, key="a.png", frame="image"):
    return read_frame(project.labels_path(key, frame))


def bounds(found):
    return [item.geometry.bounds for item in found.objects.values()]


# ---- out -------------------------------------------------------------------------------------------------------------


def test_an_export_is_a_feature_collection_with_the_projects_colours(project, tmp_path):
    with open_labels(project, "a.png", "image", H, W) as store:
        store.edit("draw", add=[LabelObject(4, RING, "debris", score=0.5), LabelObject(9, Point(3.5, 4), "cell")])
        store.set_areas([box(0, 0, 20, 20)])
    report = export_geojson(project, tmp_path / "out")
    assert ([Path(p).name for p in report.files], report.objects, report.problems) == (["a.png.geojson"], 2, [])
    document = json.loads(Path(report.files[0]).read_text())
    assert document["type"] == "FeatureCollection"
    area, ring, point = document["features"]
    assert area["properties"]["classification"]["name"] == "annotated area"
    assert shape(ring["geometry"]).equals(RING)
    assert ring["properties"]["objectType"] == "annotation"
    color = project.classes[1].color
    assert ring["properties"]["classification"] == {
        "name": "debris",
        "color": [int(color[i : i + 2], 16) for i in (1, 3, 5)],
    }
    assert point["geometry"] == {"type": "Point", "coordinates": [3.5, 4.0]}
    assert len({f["id"] for f in (ring, point)}) == 2


def test_what_was_exported_comes_back(project, tmp_path):
    objects = [
        LabelObject(4, RING, "debris", "corrected", 0.5, 3, "net#8"),
        LabelObject(9, MultiPolygon([box(0, 0, 2, 2), box(2, 2, 4, 4)]), "cell"),
        LabelObject(12, Point(3.5, 4.25), "cell", "accepted"),
    ]
    frame = replace(FrameLabels.of(H, W, objects), areas=(box(0, 0, 20, 20),))
    write_frame(project.labels_path("a.png", "image"), frame)
    for name in ("t0000z0001", "t0002z0000"):
        write_frame(project.labels_path("s.tif", name), frame)
    export_geojson(project, tmp_path / "out")
    other = Project.create(tmp_path / "other", images=tmp_path / "images", classes=["cell", "debris"])
    report = import_geojson(other, tmp_path / "out")
    assert (report.problems, report.unpaired_images, report.new_classes) == ([], ["b.png"], [])
    assert report.frames == ["a.png image", "s.tif t0000z0001", "s.tif t0002z0000"]
    for place in (("a.png", "image"), ("s.tif", "t0000z0001"), ("s.tif", "t0002z0000")):
        assert labels(other, *place) == frame
    out = export_geojson(other, tmp_path / "again")
    for path in out.files:
        assert Path(path).read_bytes() == (tmp_path / "out" / Path(path).name).read_bytes()


def test_in_stacks_the_plane_is_said_as_qupath_says_it(project, tmp_path):
    write_frame(project.labels_path("s.tif", "t0002z0001"), FrameLabels.of(H, W, [LabelObject(1, RING, "cell")]))
    report = export_geojson(project, tmp_path / "out")
    (found,) = json.loads(Path(report.files[0]).read_text())["features"]
    assert found["geometry"]["plane"] == {"c": -1, "z": 1, "t": 2}


def test_predictions_are_exported_without_the_rejected_ones(project, tmp_path):
    path = project.prediction_path("net", "a.png", "image")
    write_frame(path, FrameLabels.of(H, W, [LabelObject(n, box(n, 0, n + 2, 2), "cell", "predicted") for n in (1, 2)]))
    with FrameStore(path, H, W) as store:
        store.reject([1])
    report = export_geojson(project, tmp_path / "out", source="predictions:net")
    (found,) = json.loads(Path(report.files[0]).read_text())["features"]
    assert found["properties"]["id"] == 2


# ---- in --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        {"type": "FeatureCollection", "features": [feature(square(3)), feature(square(9))]},
        [feature(square(3)), feature(square(9))],
        {"type": "GeometryCollection", "geometries": [square(3), square(9)]},
        [square(3), square(9)],
    ],
)
def test_every_shape_of_document_is_read(project, source, document):
    put(source, "a.geojson", document)
    report = import_geojson(project, source)
    assert (report.problems, report.objects) == ([], 2)
    found = labels(project)
    assert bounds(found) == [(3, 0, 7, 4), (9, 0, 13, 4)]
    assert [(o.id, o.label_class, o.source) for o in found.objects.values()] == [
        (1, "cell", "imported"),
        (2, "cell", "imported"),
    ]


@pytest.mark.parametrize("document", [feature(square(3)), square(3)])
def test_a_single_feature_or_geometry_is_read(project, source, document):
    put(source, "a.png.json", document)
    assert import_geojson(project, source).problems == []
    assert bounds(labels(project)) == [(3, 0, 7, 4)]


def test_classes_are_added_and_a_missing_one_is_the_first(project, source):
    derived = feature(square(20), measurements={"Area": 3})
    derived["properties"]["classification"] = {"names": ["Tumor", "Positive"]}
    put(source, "a.geojson", [feature(square(1)), feature(square(9), "Zelle"), derived])
    report = import_geojson(project, source)
    assert report.new_classes == ["Tumor: Positive", "Zelle"]
    assert [o.label_class for o in labels(project).objects.values()] == ["cell", "Zelle", "Tumor: Positive"]
    assert [c.name for c in Project.load(project.folder).classes] == ["cell", "debris", "Tumor: Positive", "Zelle"]
    written = json.loads(project.labels_path("a.png", "image").read_text())["features"][2]
    assert written["properties"]["measurements"] == {"Area": 3}


def test_collections_points_and_areas(project, source):
    collection = {"type": "GeometryCollection", "geometries": [square(1), square(9)]}
    dots = {"type": "MultiPoint", "coordinates": [[1.5, 2], [3, 4]]}
    put(source, "a.geojson", [feature(collection), feature(dots), feature(square(0, size=40), "annotated area")])
    report = import_geojson(project, source)
    assert report.problems == []
    found = labels(project)
    assert [o.geometry.geom_type for o in found.objects.values()] == ["MultiPolygon", "Point", "Point"]
    assert found.objects[1].geometry.area == 32
    assert [area.bounds for area in found.areas] == [(0, 0, 40, 40)]
    assert report.new_classes == []


def test_ids_that_are_taken_or_none_are_given_anew(project, source):
    put(source, "a.geojson", [feature(square(n), id=i) for n, i in ((1, 7), (9, 7), (20, "x"), (30, -3), (40, 2))])
    import_geojson(project, source)
    found = labels(project).objects
    assert {number: item.geometry.bounds[0] for number, item in found.items()} == {2: 40, 7: 1, 8: 9, 9: 20, 10: 30}


def test_stacks_are_sorted_into_their_frames(project, source):
    late = {**square(5), "plane": {"c": -1, "z": 1, "t": 2}}
    put(source, "s.geojson", [feature(square(1)), feature(late), feature({**square(9), "plane": {"z": 0, "t": 3}})])
    report = import_geojson(project, source)
    assert report.frames == ["s.tif t0000z0000", "s.tif t0002z0001"]
    assert bounds(labels(project, "s.tif", "t0002z0001")) == [(5, 0, 9, 4)]
    assert len(report.problems) == 1
    assert "feature 3 of 3" in report.problems[0]
    assert "t=3" in report.problems[0]


def test_the_labels_folder_of_another_project_is_read_with_its_journals(project, tmp_path):
    other = Project.create(tmp_path / "other", images=tmp_path / "images")
    with open_labels(project, "a.png", "image", H, W) as store:
        store.edit("draw", add=[LabelObject(1, RING, "cell")])
    with open_labels(project, "s.tif", "t0001z0001", H, W) as store:
        store.edit("draw", add=[LabelObject(1, RING, "cell")])
        path = project.labels_path("s.tif", "t0001z0001")
        store.edit("draw", add=[LabelObject(2, box(30, 30, 40, 40), "debris")])
        store._write()
        store.edit("remove", remove=[1])
        assert path.exists()
        report = import_geojson(other, project.folder / "labels")
    assert (report.problems, report.frames) == ([], ["a.png image", "s.tif t0001z0001"])
    assert bounds(labels(other, "s.tif", "t0001z0001")) == [(30, 30, 40, 40)]


def test_bad_files_and_features_are_named_and_the_rest_goes_on(project, source):
    put(source, "b.geojson", "{")
    features = [
        feature({"type": "LineString", "coordinates": [[0, 0], [1, 1]]}),
        feature(square(500)),
        feature({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}),
        feature(None),
        feature({"type": "Point", "coordinates": ["x", 1]}),
        feature(square(3)),
        feature(square(62)),
    ]
    put(source, "a.geojson", features)
    put(source, "other.geojson", [])
    report = import_geojson(project, source)
    assert bounds(labels(project)) == [(3, 0, 7, 4), (62, 0, 66, 4)]
    assert [text.split(": ")[1].split(" was")[0] for text in report.problems[:-1]] == [
        f"feature {n} of 7" for n in range(1, 6)
    ]
    for text, reason in zip(
        report.problems,
        ["LineString", "outside the image", "three points", "no geometry", "pairs of numbers", "no JSON"],
        strict=True,
    ):
        assert reason in text
    assert "b.geojson" in report.problems[-1]
    assert [Path(p).name for p in report.unpaired_files] == ["other.geojson"]
    assert report.unpaired_images == ["s.tif"]
    json.dumps(report.as_dict())


@pytest.mark.parametrize("document", ["5", '"x"', '{"type": "FeatureCollection", "features": 4}', "[1, 2]"])
def test_what_is_no_geojson_is_named(project, source, document):
    put(source, "a.geojson", document)
    report = import_geojson(project, source)
    assert "a.geojson is no GeoJSON" in report.problems[0]
    assert labels(project) is None


def test_a_label_file_of_an_image_of_another_size_is_named(project, source, tmp_path):
    write_frame(source / "a.geojson", FrameLabels.of(10, 10, [LabelObject(1, box(0, 0, 2, 2), "cell")]))
    report = import_geojson(project, source)
    assert "10 x 10, not 48 x 64" in report.problems[0]
    assert labels(project) is None


def test_labels_that_exist_are_left_alone_unless_asked(project, source):
    with open_labels(project, "a.png", "image", H, W) as store:
        store.edit("draw", add=[LabelObject(1, RING, "cell")])
    put(source, "a.geojson", [feature(square(3))])
    assert import_geojson(project, source).skipped == ["a.png image"]
    assert labels(project).objects[1].geometry.equals(RING)
    assert import_geojson(project, source, replace=True).frames == ["a.png image"]
    assert bounds(labels(project)) == [(3, 0, 7, 4)]
    with open_labels(project, "a.png", "image", H, W) as store:
        store.undo()
        assert store.frame.objects[1].geometry.equals(RING)


def test_nothing_that_fits_is_an_error(project, source):
    put(source, "x.geojson", [])
    with pytest.raises(MiaError, match=r"x\.geojson"):
        import_geojson(project, source)
