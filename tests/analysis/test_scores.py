"""Scoring folders: which files meet, that nothing is left out silently, and the numbers."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from mia_tui.analysis.matching import THRESHOLDS
from mia_tui.analysis.pairing import bare_name, pair_files
from mia_tui.analysis.scores import format_score, score_folders
from mia_tui.errors import MiaError

DATA = Path(os.environ.get("MIA_TUI_DATA", "../shared/data"))


def cells(*places, shape=(40, 50), first=1):
    """A label image with squares of 10 pixels at the given (y, x)."""
    labels = np.zeros(shape, np.uint16)
    for number, (y, x) in enumerate(places, first):
        labels[y : y + 10, x : x + 10] = number
    return labels


def save(path, labels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Picture.fromarray(labels.astype(np.uint8)).save(path)
    else:
        tifffile.imwrite(path, labels, **options)


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "pred").mkdir()
    (tmp_path / "truth").mkdir()
    return tmp_path / "pred", tmp_path / "truth"


@pytest.mark.parametrize(
    ("pred", "truth"),
    [
        ("a.png.tif", "a.tif"),
        ("a.png.tif", "a.png"),
        ("a.tif", "a.tif"),
        ("x/a.JPG.tif", "x/a.TIFF"),
        ("a.1.tif", "a.1.png"),
    ],
)
def test_names_meet_without_their_image_suffixes(folders, pred, truth):
    save(folders[0] / pred, cells((0, 0)))
    save(folders[1] / truth, cells((0, 0)))
    (pair,) = pair_files(*folders).pairs
    assert pair.pred == folders[0] / pred
    assert score_folders(*folders)["totals"][0]["pooled"]["tp"] == 1


def test_names_that_only_look_alike_do_not_meet(folders):
    for name in ("cell1.tif", "x/cell2.tif", "cell3.tif.bak", ".cell1.tif"):
        save(folders[0] / name, cells((0, 0)))
    for name in ("cell10.tif", "cell2.tif"):
        save(folders[1] / name, cells((0, 0)))
    found = pair_files(*folders)
    assert [pair.pred for pair in found.pairs] == [None, None]
    assert found.unpaired_truth == ("cell2.tif", "cell10.tif")
    assert found.unpaired_pred == ("cell1.tif", "x/cell2.tif")
    assert bare_name(Path("x/cell.1")) == "x/cell.1"


def test_totals_are_pooled_over_objects_and_averaged_over_images(folders):
    pred, truth = folders
    save(truth / "few.tif", cells((0, 0)))
    save(pred / "few.tif", cells((20, 20)))  # one missed, one invented: AP 0
    save(truth / "many.tif", cells((0, 0), (0, 12), (0, 24)))
    save(pred / "many.tif", cells((0, 24), (0, 0), (0, 12), first=40))  # all found: AP 1
    result = score_folders(pred, truth)
    assert [total["threshold"] for total in result["totals"]] == list(THRESHOLDS)
    half = result["totals"][0]
    assert (half["pooled"]["tp"], half["pooled"]["fp"], half["pooled"]["fn"]) == (3, 1, 1)
    assert half["pooled"]["accuracy"] == pytest.approx(3 / 5)
    assert half["mean_over_images"]["accuracy"] == pytest.approx(1 / 2)
    assert [(row["image"], row["n_true"], row["scores"][0]["accuracy"]) for row in result["images"]] == [
        ("few", 1, 0.0),
        ("many", 3, 1.0),
    ]
    assert result["mean_over_thresholds"]["pooled"]["accuracy"] == pytest.approx(3 / 5)
    assert result["unpaired"] == {"truth": [], "pred": []}
    json.dumps(result, allow_nan=False)


def test_a_missing_prediction_is_an_error_or_counts_as_nothing_found(folders):
    pred, truth = folders
    for name in ("a", "b"):
        save(truth / f"{name}.tif", cells((0, 0), (20, 20)))
    save(pred / "a.tif", cells((0, 0), (20, 20)))
    save(pred / "c.tif", cells((0, 0)))
    with pytest.raises(MiaError, match=r"no prediction for 1 of the 2 .*: b\.tif.*--allow-missing"):
        score_folders(pred, truth)
    result = score_folders(pred, truth, allow_missing=True)
    assert result["totals"][0]["pooled"]["fn"] == 2
    assert result["totals"][0]["mean_over_images"]["accuracy"] == 0.5
    assert result["unpaired"] == {"truth": ["b.tif"], "pred": ["c.tif"]}
    text = format_score(result)
    assert "1 without a prediction, counted as images in which nothing was found:\n  b.tif" in text
    assert "1 predicted but without a truth, not counted:\n  c.tif" in text


def test_several_candidates_are_an_error(folders):
    pred, truth = folders
    save(truth / "a.tif", cells((0, 0)))
    save(pred / "a.tif", cells((0, 0)))
    save(pred / "a.png", cells((0, 0)))
    with pytest.raises(MiaError, match=r"a\.png, a\.tif have one name"):
        score_folders(pred, truth)


def test_different_sizes_name_both_files(folders):
    pred, truth = folders
    save(truth / "a.tif", cells((0, 0)))
    save(pred / "a.png", cells((0, 0), shape=(50, 40)))
    with pytest.raises(MiaError, match=r"truth/a\.tif has 1 frame of 40 x 50 .*pred/a\.png has 1 frame of 50 x 40"):
        score_folders(pred, truth)


@pytest.mark.filterwarnings("ignore:<tifffile.TiffWriter.write> data with shape")
@pytest.mark.parametrize("options", [{}, {"imagej": True, "metadata": {"axes": "TYX"}}, {"photometric": "minisblack"}])
def test_stacks_are_scored_frame_by_frame(folders, options):
    pred, truth = folders
    stack = np.stack([cells((0, 0)), cells((0, 0), (20, 20)), cells()])
    save(truth / "movie.tif", stack, **options)
    save(pred / "movie.tif", np.stack([cells((0, 0)), cells((0, 0)), cells()]), metadata={"axes": "ZYX"}, ome=True)
    result = score_folders(pred, truth)
    assert [row["image"] for row in result["images"]] == ["movie[0]", "movie[1]", "movie[2]"]
    assert [row["scores"][0]["accuracy"] for row in result["images"]] == [1.0, 0.5, 0.0]
    assert result["empty_images"] == 1
    assert "1 images with neither" in format_score(result)
    save(pred / "movie.tif", stack[:2])
    with pytest.raises(MiaError, match=r"3 frames of 40 x 50 .* 2 frames of 40 x 50"):
        score_folders(pred, truth)


def test_two_files_are_compared_whatever_they_are_called(tmp_path):
    save(tmp_path / "a.tif", cells((0, 0)))
    save(tmp_path / "b.png", cells((0, 0)))
    assert score_folders(tmp_path / "a.tif", tmp_path / "b.png")["totals"][0]["pooled"]["tp"] == 1
    with pytest.raises(MiaError, match="one is a file, the other a folder"):
        score_folders(tmp_path / "a.tif", tmp_path)


def test_png_labels_with_a_palette_or_saved_as_grey_rgb(folders):
    pred, truth = folders
    labels = cells((0, 0), (0, 20), (20, 20)).astype(np.uint8)
    picture = Picture.fromarray(labels)
    picture.putpalette([0, 0, 0, 255, 0, 0, 255, 0, 0, 0, 0, 255])  # 1 and 2 look the same
    picture.save(truth / "a.png")
    save(pred / "a.png", np.repeat(labels[..., None], 3, axis=2))
    assert score_folders(pred, truth)["totals"][-1]["pooled"]["tp"] == 3
    save(pred / "a.png", np.stack([labels, labels * 0, labels], axis=-1))
    with pytest.raises(MiaError, match=r"a\.png is a colour picture"):
        score_folders(pred, truth)


def test_a_binary_mask_is_pointed_out(folders):
    pred, truth = folders
    save(truth / "a.tif", (cells((0, 0), (20, 20)) > 0).astype(np.uint8) * 255)
    save(pred / "a.tif", cells((0, 0), (20, 20)))
    (note,) = score_folders(pred, truth)["notes"]
    assert "truth/a.tif" in note
    assert "binary" in note


def test_bad_files_are_named(folders):
    pred, truth = folders
    with pytest.raises(MiaError, match="holds no label image"):
        score_folders(pred, truth)
    save(truth / "a.tif", cells((0, 0)))
    save(pred / "a.tif", cells((0, 0)) + np.float32(0.25))
    with pytest.raises(MiaError, match=r"pred/a\.tif: not a label image: values must be whole numbers"):
        score_folders(pred, truth)
    save(pred / "a.tif", cells((0, 0)).astype(np.float32))
    assert score_folders(pred, truth)["totals"][0]["pooled"]["tp"] == 1
    (pred / "a.tif").write_bytes(b"II*\x00")
    with pytest.raises(MiaError, match=r"pred/a\.tif"):
        score_folders(pred, truth)
    with pytest.raises(MiaError, match="nowhere does not exist"):
        score_folders(pred / "nowhere", truth)
    with pytest.raises(MiaError, match="unknown metric 'mota': give one of ap, classes"):
        score_folders(pred, truth, metric="mota")


def test_class_images(folders):
    pred, truth = folders
    first = np.array([[0, 0, 1, 1], [0, 0, 3, 3]])
    save(truth / "a.png", first)
    save(pred / "a.png", np.array([[0, 1, 1, 1], [0, 0, 3, 0]]))
    save(truth / "b.png", first * 0)
    save(pred / "b.png", first * 0)
    result = score_folders(pred, truth, metric="classes")
    assert list(result["pooled"]["classes"]) == ["background", "class 1", "class 3"]
    assert result["pooled"]["classes"]["class 1"]["iou"] == pytest.approx(2 / 3)
    assert result["pooled"]["classes"]["background"]["iou"] == pytest.approx(11 / 13)
    assert result["mean_over_images"]["classes"]["background"]["iou"] == pytest.approx((3 / 5 + 1) / 2)
    assert result["mean_over_images"]["classes"]["class 3"]["dice"] == pytest.approx(2 / 3)  # image b has none of it
    assert result["images"][1]["classes"]["class 1"]["iou"] is None
    json.dumps(result, allow_nan=False)
    lines = format_score(result).splitlines()
    (row,) = [line for line in lines if line.startswith("class 1")]
    assert row.split() == ["class", "1", "0.667", "0.800", "0.667", "0.800"]
    save(truth / "a.tif", np.array([[0, 300]], np.uint16))
    with pytest.raises(MiaError, match=r"a\.png, a\.tif have one name"):
        score_folders(pred, truth, metric="classes")
    with pytest.raises(MiaError, match=r"a\.tif or its prediction holds the value 300.*--metric ap"):
        score_folders(truth / "a.tif", truth / "a.tif", metric="classes")


def test_the_text_is_an_aligned_table_of_the_totals(folders):
    pred, truth = folders
    save(truth / "a.tif", cells((0, 0), (20, 20)))
    save(pred / "a.tif", cells((0, 0), (21, 22)))  # IoU 72 / 128
    lines = format_score(score_folders(pred, truth)).splitlines()
    assert "1 images, 2 true and 2 predicted objects" in lines[0]
    header, *rows = lines[2:]
    assert rows[0].split() == ["0.50", "2", "0", "0", *["1.000"] * 4, "0.781", "1.000", "1.000", "0.781"]
    assert rows[2].split()[:5] == ["0.60", "1", "1", "1", "0.333"]
    assert rows[-1].split()[0] == "mean"
    assert len({len(line) for line in (header, *rows)}) == 1
    assert max(map(len, lines)) < 80


@pytest.mark.skipif(not (DATA / "dsb2018/train/labels").is_dir(), reason="needs the data sets")
def test_real_labels_against_themselves_shifted_score_as_in_stardist(tmp_path):
    matching_dataset = pytest.importorskip("stardist.matching").matching_dataset
    truths, preds = [], []
    for path in sorted((DATA / "dsb2018/train/labels").glob("fluo_*.tif"))[:12]:
        truths.append(tifffile.imread(path))
        preds.append(np.roll(truths[-1], (2, 1), axis=(0, 1)))
        save(tmp_path / "truth" / path.name, truths[-1])
        save(tmp_path / "pred" / f"{path.stem}.png.tif", preds[-1])
    result = score_folders(tmp_path / "pred", tmp_path / "truth")
    theirs = matching_dataset(truths, preds, thresh=THRESHOLDS, show_progress=False)
    by_image = matching_dataset(truths, preds, thresh=THRESHOLDS, by_image=True, show_progress=False)
    assert 0 < theirs[-1].tp < theirs[0].tp
    for total, pooled, mean in zip(result["totals"], theirs, by_image, strict=True):
        assert all(total["pooled"][name] == getattr(pooled, name) for name in ("tp", "fp", "fn"))
        for name in ("accuracy", "f1", "panoptic_quality", "mean_true_score"):
            assert total["pooled"][name] == pytest.approx(getattr(pooled, name), abs=1e-6)
            assert total["mean_over_images"][name] == pytest.approx(getattr(mean, name), abs=1e-6)
