"""Tables of points in and out."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from shapely.geometry import Point, Polygon, box

from mia_tui.errors import MiaError
from mia_tui.formats.points import export_points, import_points
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import FrameStore, open_labels, read_frame, write_frame
from mia_tui.project import Project

DATA = Path(os.environ.get("MIA_TUI_DATA", Path(__file__).parents[3] / "shared" / "data")) / "bbbc039"
H, W = 48, 64


@pytest.fixture
def images(tmp_path):
    root = tmp_path / "images"
    for name in ("a.png", "x/b.png", "y/b.png", 'größe/c, "d".png'):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(np.zeros((H, W), np.uint8)).save(root / name)
    tifffile.imwrite(root / "s.tif", np.zeros((3, 2, H, W), np.uint8), imagej=True, metadata={"axes": "TZYX"})
    return root


@pytest.fixture
def project(tmp_path, images):
    return Project.create(tmp_path / "project", images=images, task="detection", classes=["cell", "debris"])


def labels(project, key="a.png", frame="image"):
    return read_frame(project.labels_path(key, frame))


def points(found):
    return [(o.geometry.y, o.geometry.x, o.label_class) for o in found.objects.values()]


def imported(project, tmp_path, text, name="in.csv", **how):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return import_points(project, path, **how)


# ---- in --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "image,frame,y,x,class\na.png,0,3.5,4.25,cell\na.png,0,5,6,Zelle\n",
        "\ufeffImage;Frame;Y;X;Class\r\na.png;0;3,5;4,25;cell\r\na.png;0;5;6;Zelle\r\n",
        "image;frame;y;x;class\na.png;0;3.5;4.25;cell\n\na.png;0;5;6;Zelle",
        "y\tx\tclass\timage\n3.5\t4.25\tcell\ta.png\n5\t6\tZelle\ta.png\n",
        'extra,"x",y,frame,image,class\n,"4.25",3.5,,"a.png",cell\n,6,5,image,./a.png,"Zelle"\n',
    ],
)
def test_tables_as_programs_write_them(project, tmp_path, text):
    report = imported(project, tmp_path, text)
    assert (report.problems, report.frames, report.objects) == ([], ["a.png image"], 2)
    assert points(labels(project)) == [(3.5, 4.25, "cell"), (5, 6, "Zelle")]
    assert {o.source for o in labels(project).objects.values()} == {"imported"}
    assert report.unpaired_images == ['größe/c, "d".png', "s.tif", "x/b.png", "y/b.png"]
    assert [c.name for c in Project.load(project.folder).classes] == ["cell", "debris", "Zelle"]


def test_frames_count_t_before_z(project, tmp_path):
    rows = ["s.tif,0,1,1,cell", "s.tif,3,2,2,cell", "s.tif,t0002z0000,3,3,cell", "s.tif,6,4,4,cell", "s.tif,,5,5,cell"]
    report = imported(project, tmp_path, "image,frame,y,x,class\n" + "\n".join(rows))
    assert report.frames == ["s.tif t0000z0000", "s.tif t0001z0001", "s.tif t0002z0000"]
    assert "line 5 left out: frame 6" in report.problems[0]
    assert "line 6 left out: no frame" in report.problems[1]


def test_ids_scores_and_a_missing_class(project, tmp_path):
    imported(project, tmp_path, "image,y,x,score,id\na.png,1,1,0.5,7\na.png,2,2,,7\na.png,3,3,0.25,x\n")
    found = labels(project).objects
    assert {n: (o.geometry.y, o.score, o.label_class) for n, o in found.items()} == {
        7: (1, 0.5, "cell"), 8: (2, None, "cell"), 9: (3, 0.25, "cell"),
    }  # fmt: skip


def test_bad_rows_are_named_with_their_lines_and_the_rest_is_imported(project, tmp_path):
    rows = [
        "a.png,0,1,1,cell", "a.png,0,x,1,cell", "a.png,0,nan,1,cell", "a.png,0,inf,1,cell", "a.png,0,49,1,cell",
        "a.png,0,1,-0.5,cell", "b.png,0,1,1,cell", "gone.png,0,1,1,cell", "gone.png,0,2,2,cell", "a.png,1.5,1,1,cell",
        "a.png", "x/b.png,0,48,64,cell", "a.png,-1,1,1,cell", "a.png,0,1,1,annotated",
    ]  # fmt: skip
    report = imported(project, tmp_path, "image,frame,y,x,class\n" + "\n".join(rows))
    assert points(labels(project)) == [(1, 1, "cell"), (1, 1, "annotated")]
    assert points(labels(project, "x/b.png")) == [(48, 64, "cell")]
    assert [Path(text.split(": ")[0]).name + ":" + text.split(":")[1] for text in report.unpaired_files] == [
        "in.csv: gone.png"
    ]
    for part in (
        "line 3 left out: y is 'x'", "line 4 left out: y is 'nan'", "line 5 left out: y is 'inf'",
        "line 6, 7 left out: outside the image a.png of 48 x 64", "line 8 left out: b.png fits the images x/b.png and",
        "line 11 left out: frame 1.5", "line 12 left out: y is ''", "line 14 left out: frame -1",
    ):  # fmt: skip
        assert any(part in text for text in report.problems), part
    assert len(report.problems) == 8


def test_many_bad_rows_are_counted(project, tmp_path):
    report = imported(project, tmp_path, "image,y,x\na.png,1,1\n" + "a.png,99,1\n" * 1000)
    (problem,) = report.problems
    assert "line 3, 4, 5, 6, 7 and 995 more left out" in problem


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("image,frame,class\na.png,0,cell\n", "no column y and no column x"),
        ("", "no column y"),
        (b"image,y,x\n\xff\xfe\n", "UTF-8"),
        ("y,x\n1,1\n", "no column image"),
    ],
)
def test_tables_that_cannot_be_read_are_named(project, tmp_path, text, reason):
    report = imported(project, tmp_path, text)
    assert reason in report.problems[0]
    assert "in.csv" in report.problems[0]
    assert report.frames == []


def test_a_table_for_each_image(project, tmp_path):
    tables = {
        "a.csv": "y,x,class,score\n1,2,debris,0.5\n",
        "x/b.png.csv": "y,x\n3,4\n",
        "z.csv": "y,x\n1,1\n",
        "all.csv": "image,y,x\ny/b.png,7,8\n",
        "s.csv": "y,x,frame\n1,1,0\n2,2,5\n",
    }
    for name, text in tables.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(text)
    report = import_points(project, tmp_path / "in")
    assert report.problems == []
    assert points(labels(project)) == [(1, 2, "debris")]
    assert points(labels(project, "x/b.png")) == [(3, 4, "cell")]
    assert points(labels(project, "y/b.png")) == [(7, 8, "cell")]
    assert points(labels(project, "s.tif", "t0002z0001")) == [(2, 2, "cell")]
    assert [Path(p).name for p in report.unpaired_files] == ["z.csv"]


def test_an_image_that_cannot_be_read_is_named_once(project, tmp_path, images):
    (images / "x/b.png").write_bytes(b"hello")
    report = imported(project, tmp_path, "image,y,x\nx/b.png,1,1\na.png,1,1\nx/b.png,2,2\n")
    assert report.frames == ["a.png image"]
    (problem,) = report.problems
    assert "line 2, 4 left out" in problem


def test_nothing_that_fits_is_an_error(project, tmp_path):
    with pytest.raises(MiaError, match="holds no point"):
        imported(project, tmp_path, "image,y,x\ngone.png,1,1\n")
    with pytest.raises(MiaError, match="does not exist"):
        import_points(project, tmp_path / "none.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MiaError, match=r"no \.csv files"):
        import_points(project, tmp_path / "empty")


def test_labels_that_are_there_are_left_alone_unless_asked(project, tmp_path):
    with open_labels(project, "a.png", "image", H, W) as store:
        store.edit("draw", add=[LabelObject(1, Point(9, 9), "cell")])
    text = "image,y,x\na.png,1,2\n"
    assert imported(project, tmp_path, text).skipped == ["a.png image"]
    assert points(labels(project)) == [(9, 9, "cell")]
    assert imported(project, tmp_path, text, replace=True).frames == ["a.png image"]
    with open_labels(project, "a.png", "image", H, W) as store:
        assert points(store.frame) == [(1, 2, "cell")]
        store.undo()
        assert points(store.frame) == [(9, 9, "cell")]


# ---- out, and back ---------------------------------------------------------------------------------------------------

coordinate = st.tuples(st.floats(0, H, allow_nan=False), st.floats(0, W, allow_nan=False))


@settings(max_examples=25, deadline=None)
@given(places=st.lists(coordinate, min_size=1, max_size=8), name=st.sampled_from(["cell", "débris", 'a, "b"', "x;y"]))
def test_what_was_exported_comes_back(tmp_path_factory, places, name):
    tmp_path = tmp_path_factory.mktemp("points")
    keys = {"a.png": "image", 'größe/c, "d".png': "image", "s.tif": "t0001z0001"}
    for key in keys:
        (tmp_path / "images" / key).parent.mkdir(parents=True, exist_ok=True)
        if key == "s.tif":
            stack = np.zeros((3, 2, H, W), np.uint8)
            tifffile.imwrite(tmp_path / "images" / key, stack, imagej=True, metadata={"axes": "TZYX"})
        else:
            Picture.fromarray(np.zeros((H, W), np.uint8)).save(tmp_path / "images" / key)
    project = Project.create(tmp_path / "p", images=tmp_path / "images", task="detection", classes=["cell"])
    objects = [
        LabelObject(2 * n, Point(x, y), name, "imported", 0.5 if n % 2 else None) for n, (y, x) in enumerate(places, 1)
    ]
    for key, frame in keys.items():
        write_frame(project.labels_path(key, frame), FrameLabels.of(H, W, objects))
    report = export_points(project, tmp_path / "out")
    assert (report.problems, report.objects) == ([], 3 * len(places))
    other = Project.create(tmp_path / "q", images=tmp_path / "images", task="detection", classes=["cell"])
    report = import_points(other, tmp_path / "out")
    assert (report.problems, report.unpaired_images, report.unpaired_files) == ([], [], [])
    for key, frame in keys.items():
        assert labels(other, key, frame) == replace(FrameLabels.of(H, W, objects))


def test_the_columns_and_the_centroids_of_outlines(tmp_path, images):
    project = Project.create(tmp_path / "seg", images=images, classes=["cell"])
    triangle = Polygon([(0, 0), (9, 0), (0, 6)])
    objects = [LabelObject(3, box(2, 4, 6, 10), "cell"), LabelObject(5, triangle, "cell", score=0.75)]
    write_frame(project.labels_path("s.tif", "t0002z0001"), FrameLabels.of(H, W, objects))
    write_frame(project.labels_path("a.png", "image"), FrameLabels.of(H, W, []))
    report = export_points(project, tmp_path / "table.csv")
    assert report.files == [str(tmp_path / "table.csv")]
    with open(report.files[0], newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["image", "frame", "y", "x", "class", "score", "id"]
    assert [tuple(row.values()) for row in rows] == [
        ("s.tif", "5", "7.0", "4.0", "cell", "", "3"),
        ("s.tif", "5", "2.0", "3.0", "cell", "0.75", "5"),
    ]
    assert report.notes == ["1 labelled images hold no object, which a table of points cannot say"]


def test_predictions_of_one_root_go_by_their_path(tmp_path, images):
    Picture.fromarray(np.zeros((H, W), np.uint8)).save(tmp_path / "n.png")
    (tmp_path / "new").mkdir()
    (tmp_path / "n.png").rename(tmp_path / "new/n.png")
    project = Project.create(
        tmp_path / "p", images=images, predict_images=tmp_path / "new", task="detection", classes=["cell"]
    )
    path = project.prediction_path("net", "@predict/n.png", "image")
    write_frame(path, FrameLabels.of(H, W, [LabelObject(n, Point(n, 2), "cell", "predicted", 0.5) for n in (1, 2)]))
    with FrameStore(path, H, W) as store:
        store.reject([1])
    export_points(project, tmp_path / "out", source="predictions:net", split="predict")
    assert (tmp_path / "out/points.csv").read_text().splitlines()[1:] == ["n.png,0,2.0,2.0,cell,0.5,2"]
    assert import_points(project, tmp_path / "out", split="predict").frames == ["@predict/n.png image"]


def test_what_has_no_points_is_refused(tmp_path, images, project):
    classes = Project.create(tmp_path / "cls", images=images, task="classification", classes=["cell"])
    write_frame(classes.labels_path("a.png", "image"), FrameLabels.of(H, W, [LabelObject(1, box(0, 0, W, H), "cell")]))
    with pytest.raises(MiaError, match="not points"):
        export_points(classes, tmp_path / "out")
    write_frame(project.labels_path("a.png", "image"), FrameLabels.of(H, W, [LabelObject(1, Point(1, 1), "cell")]))
    with pytest.raises(MiaError, match="not written to"):
        export_points(project, images / "out.csv")


def test_the_commands(project, tmp_path):
    (tmp_path / "in.csv").write_text("image,frame,y,x,class\na.png,0,3,4,cell\nb.png,0,1,1,cell\n")

    def run(*arguments):
        command = [sys.executable, "-m", "mia_tui.cli", *map(str, arguments), "--format", "points", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stdout

    code, found, text = run("import", project.folder, tmp_path / "in.csv")
    assert (code, found["objects"], found["frames"], len(found["problems"])) == (0, 1, ["a.png image"], 1)
    assert "image without a file: s.tif" in text
    code, found, _ = run("export", project.folder, tmp_path / "out.csv")
    assert (code, found["files"]) == (0, [str(tmp_path / "out.csv")])
    (tmp_path / "bad.csv").write_text("image,x\na.png,1\n")
    code, found, _ = run("import", project.folder, tmp_path / "bad.csv")
    assert code == 1
    assert "no column y" in found["error"]


def test_real_points(tmp_path):
    if not DATA.is_dir():
        pytest.skip("no test data")
    with open(DATA / "points.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    endings = {path.stem: path.name for path in (DATA / "train/images").iterdir()}
    table = "".join(f"{endings[row['image']]},{row['y']},{row['x']}\n" for row in rows if row["image"] in endings)
    project = Project.create(tmp_path / "p", images=DATA / "train/images", task="detection", classes=["nucleus"])
    report = imported(project, tmp_path, "image,y,x\n" + table)
    assert (report.problems, report.unpaired_images) == ([], [])
    assert report.objects == table.count("\n")


def test_names_without_or_with_another_suffix_find_their_image(project, tmp_path):
    report = imported(project, tmp_path, "image,y,x\na,1,1\nx/b.tif,2,2\nb,3,3\nab,4,4\n")
    assert report.frames == ["a.png image", "x/b.png image"]
    assert "b fits the images x/b.png and y/b.png" in report.problems[0]
    assert [text.split(": ")[1] for text in report.unpaired_files] == ["ab"]
