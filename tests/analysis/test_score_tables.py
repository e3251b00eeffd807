"""Scores of tables of points and of image classes: which rows meet, and that nothing is left out silently."""

import json
import subprocess
import sys

import pytest

from mia_tui.analysis.scores import format_score, score_folders
from mia_tui.errors import MiaError


def written(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def points(pred, truth, **how):
    return score_folders(pred, truth, "points", **how)


# ---- points ----------------------------------------------------------------------------------------------------------

TRUTH = "image,frame,y,x,class\na.png,0,10,10,cell\na.png,0,20,20,cell\nx/b.png,0,5,5,dot\n"


def test_tables_per_image_meet_one_table_of_all(tmp_path):
    truth = written(tmp_path / "truth.csv", TRUTH)
    written(tmp_path / "pred/a.png.csv", "y,x,class,score\n10,12,cell,0.9\n50,50,cell,0.4\n")
    written(tmp_path / "pred/x/b.csv", "y;x;class;score\n5,5;5,0;dot;0,8\n")  # as a German Excel writes it
    result = points(tmp_path / "pred", truth)
    assert {image["image"]: (image["tp"], image["fp"], image["fn"]) for image in result["images"]} == {
        "a": (1, 1, 1), "x/b": (1, 0, 0),
    }  # fmt: skip
    assert result["radius"] == 6
    assert result["pooled"]["mean_distance"] == pytest.approx((2 + 0.5) / 2)
    assert result["classes"]["dot"]["f1"] == 1
    assert result["unpaired"] == {"truth": [], "pred": []}
    assert points(tmp_path / "pred", truth, radius=1)["pooled"]["tp"] == 1
    json.dumps(result, allow_nan=False)


def test_a_missing_table_is_an_error_but_an_image_missing_in_a_table_of_all_has_no_points(tmp_path):
    truth = written(tmp_path / "truth.csv", TRUTH)
    pred = tmp_path / "pred"
    written(pred / "a.csv", "y,x,class\n10,10,cell\n20,20,cell\n")
    with pytest.raises(MiaError, match=r"no prediction for 1 of the 2 images .*: x/b\. .*--allow-missing"):
        points(pred, truth)
    result = points(pred, truth, allow_missing=True)
    assert (result["pooled"]["fn"], result["unpaired"]["truth"]) == (1, ["x/b"])
    assert "1 without a prediction, counted as images in which nothing was found:\n  x/b" in format_score(result)
    table = written(tmp_path / "pred.csv", "image,y,x,class\na.png,10,10,cell\na.png,20,20,cell\nc.png,1,1,cell\n")
    result = points(table, truth)
    assert (result["pooled"]["tp"], result["pooled"]["fp"], result["pooled"]["fn"]) == (2, 0, 1)
    assert result["unpaired"] == {"truth": ["x/b"], "pred": ["c"]}


def test_an_empty_table_says_that_there_is_nothing(tmp_path):
    written(tmp_path / "truth/a.csv", "y,x\n")
    written(tmp_path / "pred/a.png.csv", "y,x,class,score\n3,3,cell,0.5\n")
    result = points(tmp_path / "pred", tmp_path / "truth")
    assert (result["pooled"]["fp"], result["pooled"]["fn"]) == (1, 0)
    assert result["images"][0]["count_mae"] == 1


def test_frames_are_matched_one_by_one(tmp_path):
    truth = written(tmp_path / "truth.csv", "image,frame,y,x\ns.tif,0,5,5\ns.tif,2,5,5\n")
    pred = written(tmp_path / "pred.csv", "image,frame,y,x\ns.tif,0,5,5\ns.tif,1,5,5\ns.tif,2,30,30\n")
    result = points(pred, truth)
    assert [(image["image"], image["tp"]) for image in result["images"]] == [("s", 1), ("s[2]", 0)]
    assert result["unpaired"]["pred"] == ["s[1]"]


def test_two_files_of_any_name_belong_together_and_classes_on_one_side_are_left_aside(tmp_path):
    truth = written(tmp_path / "people.csv", "y,x\n5,5\n9,30\n")
    pred = written(tmp_path / "net.csv", "y,x,class,score\n5,6,cell,0.3\n9,30,dot,0.9\n")
    result = points(pred, truth)
    assert (result["pooled"]["tp"], result["pooled"]["fp"], list(result["classes"])) == (2, 0, [""])
    assert "people.csv has no column class" in result["notes"][0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y,x\n1,one\n", r"pred\.csv: line 2: x is 'one', which is no number"),
        ("a,b\n1,1\n", r"pred\.csv has no column y and no column x"),
        ("image,y,x\n", "holds no point"),
        ("image,y,x\na.png,1,1\na.tif,1,1\n", r"a\.png and a\.tif have one name"),
    ],
)
def test_bad_tables_are_named(tmp_path, text, message):
    truth = written(tmp_path / "truth.csv", "y,x\n5,5\n")
    with pytest.raises(MiaError, match=message):
        points(written(tmp_path / "pred.csv", text), truth)


def test_places_that_hold_nothing_are_named(tmp_path):
    truth = written(tmp_path / "truth.csv", "y,x\n5,5\n")
    (tmp_path / "empty").mkdir()
    for pred, message in ((tmp_path / "gone", "does not exist"), (tmp_path / "empty", r"no \.csv files")):
        with pytest.raises(MiaError, match=message):
            points(pred, truth)
    with pytest.raises(MiaError, match="radius is 0"):
        points(truth, truth, radius=0)


def test_the_command_scores_points(tmp_path):
    truth = written(tmp_path / "truth.csv", TRUTH)
    command = [sys.executable, "-m", "mia_tui.cli", "score", str(truth), str(truth), "--metric", "points"]
    done = subprocess.run([*command, "--radius", "3", "--json"], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["radius"], result["pooled"]["f1"], result["pooled"]["count_mae"]) == (3, 1, 0)


# ---- classes of images -----------------------------------------------------------------------------------------------


def classes(pred, truth, **how):
    return score_folders(pred, truth, "classes", **how)


def test_tables_of_classes_with_probabilities(tmp_path):
    truth = written(tmp_path / "truth.csv", "image,frame,class\na.png,0,RBC\nb.png,0,WBC\ns.tif,1,RBC\n")
    written(
        tmp_path / "out/classes.csv",
        "image,frame,class,probability,p:RBC,p:WBC,p:Mast cell\n"
        "a.png,0,RBC,0.7,0.7,0.2,0.1\nb.png,0,RBC,0.5,0.5,0.3,0.2\ns.tif,1,RBC,0.9,0.9,0.1,0\nz.png,0,RBC,1,1,0,0\n",
    )
    result = classes(tmp_path / "out", truth)
    totals = result["totals"]
    assert (result["metric"], result["names"]) == ("image_classes", ["RBC", "WBC", "Mast cell"])
    assert totals["accuracy"] == 2 / 3
    assert totals["confusion"] == [[2, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert totals["classes"]["RBC"]["auc"] == 1
    assert totals["classes"]["Mast cell"]["auc"] is None
    assert result["wrong"] == [{"image": "b", "truth": "WBC", "pred": "RBC"}]
    assert result["unpaired"]["pred"] == ["z"]
    assert "1 predicted but without a truth, not counted:\n  z" in format_score(result)


def test_without_all_probabilities_there_is_no_auc(tmp_path):
    truth = written(tmp_path / "truth.csv", "image,class\na.png,x\nb.png,y\n")
    pred = written(tmp_path / "pred.csv", "image,class,probability\na.png,x,0.8\nb.png,y,0.7\n")
    assert "macro_auc" not in classes(pred, truth)["totals"]
    pred.write_text("image,class,p:x\na.png,x,0.8\nb.png,x,0.7\n")
    result = classes(pred, truth)
    assert "macro_auc" not in result["totals"]
    assert "no probabilities of y" in result["notes"][0]


def test_missing_and_double_images_are_named(tmp_path):
    truth = written(tmp_path / "truth.csv", "image,class\na.png,x\nb.png,y\n")
    pred = written(tmp_path / "pred.csv", "image,class\na.png,x\n")
    with pytest.raises(MiaError, match=r"no prediction for 1 of the 2 images .*: b\."):
        classes(pred, truth)
    result = classes(pred, truth, allow_missing=True)
    assert (result["totals"]["images"], result["notes"]) == (1, ["1 images without a prediction were left out: b"])
    for text, message in (
        ("image,class\na.png,x\na.png,y\n", "line 3: a stands there twice"),
        ("image,class\na.png,\n", "line 2: a has no class"),
        ("image,class\nc.png,x\n", "no prediction for 2"),
        ("image,class,p:x,p:y\na.png,x,1.5,0\nb.png,x,1,0\n", "probabilities are 0 to 1"),
        ("image,class,p:x,p:y\na.png,x,1,\nb.png,x,1,0\n", "p:y is ''"),
        ("image,kind\na.png,x\n", "no column class"),
    ):
        pred.write_text(text)
        with pytest.raises(MiaError, match=message):
            classes(pred, truth)
