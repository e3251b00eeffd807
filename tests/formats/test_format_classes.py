"""Classes of images in and out: folders of classes and tables."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from PIL import Image as Picture

from mia_tui.errors import MiaError
from mia_tui.formats import load
from mia_tui.formats.classes import export_classes, import_classes
from mia_tui.formats.folders import import_folders
from mia_tui.labeling.image_class import classify_frames, image_class
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import open_labels, read_frame, write_frame
from mia_tui.project import Project

DATA = Path(os.environ.get("MIA_TUI_DATA", Path(__file__).parents[3] / "shared" / "data")) / "bccd"
H, W = 12, 16


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(np.zeros((H, W), np.uint8)).save(path)


def stack(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.zeros((3, H, W), np.uint8), imagej=True, metadata={"axes": "TYX"})


@pytest.fixture
def root(tmp_path):
    """Images that lie in folders of their classes."""
    for name in ("flat/a.png", "flat/day2/b.png", "round/a.png", "loose.png"):
        picture(tmp_path / "images" / name)
    stack(tmp_path / "images/round/s.tif")
    return tmp_path / "images"


@pytest.fixture
def project(tmp_path, root):
    return Project.create(tmp_path / "p", images=root, task="classification", classes=["round"])


def given(project):
    """(image, frame) -> class of all that has one."""
    found = {
        (key, frame): image_class(read_frame(project.labels_path(key, frame)))
        for key, frame in project.frames_under("labels")
    }
    return {place: name for place, name in found.items() if name}


ALL = {
    ("flat/a.png", "image"): "flat", ("flat/day2/b.png", "image"): "flat", ("round/a.png", "image"): "round",
    **{("round/s.tif", f"t000{t}z0000"): "round" for t in range(3)},
}  # fmt: skip

# ---- folders ---------------------------------------------------------------------------------------------------------


def test_the_images_own_folders_are_their_classes(project, root):
    report = import_folders(project, root)
    assert given(project) == ALL
    assert (report.objects, report.new_classes, report.problems) == (6, ["flat"], [])
    assert report.unpaired_images == ["loose.png"]
    assert [entry.name for entry in Project.load(project.folder).classes] == ["round", "flat"]
    with open_labels(project, "flat/a.png", "image", H, W) as store:
        assert store.undo() == "import folders"


def test_a_folder_inside_the_root_serves_its_part(project, root):
    for name in ("x", "y"):
        picture(root / "more" / name / "c.png")
    report = import_folders(project, root / "more")
    assert given(project) == {("more/x/c.png", "image"): "x", ("more/y/c.png", "image"): "y"}
    assert "flat/a.png" in report.unpaired_images


def test_files_elsewhere_stand_for_the_images_of_their_names(tmp_path):
    images, source = tmp_path / "images", tmp_path / "sorted"
    for name in ("a.png", "d1/b.png", "d2/b.png", "d1/c.png", "e.png"):
        picture(images / name)
    project = Project.create(tmp_path / "p", images=images, task="classification", classes=["x"])
    for name in (
        "x/a.png",  # by its name
        "y/d1/b.png",  # by its path
        "y/c.jpg",  # converted
        "x/b.png",  # fits two
        "x/e.png", "y/e.png",  # in two classes
        "x/gone.png", "top.png", "x/.hidden.png",
    ):  # fmt: skip
        picture(source / name)
    report = import_folders(project, source)
    assert given(project) == {
        ("a.png", "image"): "x", ("d1/b.png", "image"): "y", ("d1/c.png", "image"): "y",
    }  # fmt: skip
    assert len(report.problems) == 2
    assert "b.png fits the images d1/b.png and d2/b.png" in report.problems[0]
    assert report.problems[1] == "e.png is in the folders of x and y. Leave it in one."
    assert [Path(path).name for path in report.unpaired_files] == ["top.png", "gone.png"]
    assert report.unpaired_images == ["d2/b.png"]


def test_a_copy_of_the_whole_tree_meets_its_twins(project, root, tmp_path):
    shutil.copytree(root, tmp_path / "copy")
    assert import_folders(project, tmp_path / "copy").problems == []
    assert given(project) == ALL


def test_a_class_that_is_there_stays_unless_it_is_to_be_replaced(project, root):
    classify_frames(project, [("flat/a.png", "image")], "round")
    report = import_folders(project, root)
    assert report.skipped == ["flat/a.png image"]
    assert "left alone" in report.notes[0]
    assert given(project)["flat/a.png", "image"] == "round"
    report = import_folders(project, root, replace=True)
    assert given(project) == ALL
    assert report.frames == ["flat/a.png image"]


def test_a_folder_one_level_too_high_is_not_taken_for_a_class(tmp_path):
    for name in ("train/x/a.png", "train/y/b.png"):
        picture(tmp_path / "images" / name)
    project = Project.create(tmp_path / "p", images=tmp_path / "images", task="classification", classes=["x", "y"])
    with pytest.raises(MiaError, match=r"the classes rather are x, y\. Give .*train"):
        import_folders(project, tmp_path / "images")
    picture(tmp_path / "images/test/x/c.png")
    with pytest.raises(MiaError, match="the classes rather are x, y"):
        import_folders(project, tmp_path / "images")
    assert given(project) == {}
    assert [entry.name for entry in Project.load(project.folder).classes] == ["x", "y"]
    import_folders(project, tmp_path / "images/train")
    assert given(project) == {("train/x/a.png", "image"): "x", ("train/y/b.png", "image"): "y"}


def test_what_cannot_be_imported_is_said(project, root, tmp_path):
    for source, message in (
        (tmp_path / "gone", "is no folder"), (root / "loose.png", "is no folder"),
        (root / "flat/day2", "no sub-folder with images"),
    ):  # fmt: skip
        with pytest.raises(MiaError, match=message):
            import_folders(project, source)
    with pytest.raises(MiaError, match="no 'predict' images"):
        import_folders(project, root, split="predict")
    other = Project.create(tmp_path / "other", images=root, task="segmentation", classes=["cell"])
    for importer in (import_folders, import_classes):
        with pytest.raises(MiaError, match="is for segmentation"):
            importer(other, root)
    with pytest.raises(MiaError, match="--format classes"):
        load("folders").export(project, tmp_path / "out")


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the real data")
def test_real_crops_get_their_classes(tmp_path):
    for path in sorted((DATA / "crops/train").glob("*/*.png"))[::40]:
        target = tmp_path / "images" / path.relative_to(DATA / "crops/train")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    project = tmp_path / "p"
    command = [sys.executable, "-m", "mia_tui.cli"]
    new = [
        "new",
        project,
        "--images",
        tmp_path / "images",
        "--task",
        "classification",
        "--classes",
        "RBC,WBC,Platelets",
    ]
    taken = ["import", project, tmp_path / "images", "--format", "folders", "--json"]
    subprocess.run([*command, *map(str, new)], check=True, capture_output=True)
    done = subprocess.run([*command, *map(str, taken)], check=True, capture_output=True, text=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["problems"], result["new_classes"], result["unpaired_images"]) == ([], [], [])
    found = given(Project.load(project))
    assert len(found) == result["objects"] > 10
    assert all(key.split("/")[0] == name for (key, _), name in found.items())


# ---- tables ----------------------------------------------------------------------------------------------------------


def table(tmp_path, text):
    path = tmp_path / "in.csv"
    path.write_text(text)
    return path


def test_a_table_of_classes_comes_in(project, tmp_path):
    path = table(
        tmp_path,
        "Image;Class;Frame\nflat/a.png;flat;0\nround/a.png;round;\nround/s.tif;early;0\nround/s.tif;late;t0002z0000\n"
        "gone.png;x;0\nloose.png;;0\na.png;flat;0\nround/s.tif;late;3\nflat/a.png;round;0\n",
    )
    report = import_classes(project, path)
    assert given(project) == {
        ("flat/a.png", "image"): "flat", ("round/a.png", "image"): "round", ("round/s.tif", "t0000z0000"): "early",
        ("round/s.tif", "t0002z0000"): "late",
    }  # fmt: skip
    assert report.unpaired_files == [f"{path}: gone.png"]
    assert [problem.split(": ", 1)[1] for problem in report.problems] == [
        "line 7 left out: loose.png has no class",
        "line 8 left out: a.png fits the images flat/a.png and round/a.png; give it with its folder",
        "line 9 left out: frame 3 is not one of round/s.tif, which has 0 to 2",
        "line 10 left out: flat/a.png image is flat in a line above, and round here",
    ]
    assert report.unpaired_images == ["flat/day2/b.png", "loose.png"]


def test_without_a_frame_all_frames_get_the_class(project, tmp_path):
    report = import_classes(project, table(tmp_path, "image,class\ns.tif,round\n"))
    assert report.frames == [f"round/s.tif t000{t}z0000" for t in range(3)]


def test_a_table_without_images_of_the_project_is_refused(project, tmp_path):
    with pytest.raises(MiaError, match=r"holds no image of .*such as flat/a\.png"):
        import_classes(project, table(tmp_path, "image,class\ngone.png,x\n"))
    with pytest.raises(MiaError, match="no column class"):
        import_classes(project, table(tmp_path, "image,kind\nflat/a.png,x\n"))


def test_a_table_goes_out_and_comes_back(project, root, tmp_path):
    import_folders(project, root)
    report = export_classes(project, tmp_path / "out")
    assert (report.objects, report.files) == (6, [str(tmp_path / "out/classes.csv")])
    lines = (tmp_path / "out/classes.csv").read_text().splitlines()
    assert lines[0] == "image,frame,class,probability"
    assert {"flat/a.png,0,flat,", "round/s.tif,2,round,"} <= set(lines)
    again = Project.create(tmp_path / "again", images=root, task="classification", classes=["round"])
    import_classes(again, tmp_path / "out")
    assert given(again) == ALL


def test_predictions_go_out_with_their_probability(project, tmp_path):
    whole = LabelObject(1, shapely.box(0, 0, W, H), "flat", "predicted", score=0.75)
    write_frame(project.prediction_path("net", "flat/a.png", "image"), FrameLabels.of(H, W, [whole]), {})
    export_classes(project, tmp_path / "net.csv", source="predictions:net")
    assert (tmp_path / "net.csv").read_text().splitlines()[1:] == ["flat/a.png,0,flat,0.75"]


def test_nothing_to_export_is_said(project, tmp_path):
    with pytest.raises(MiaError, match="nothing under labels"):
        export_classes(project, tmp_path / "out")
