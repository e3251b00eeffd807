"""What `mia-tui info` says."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from mia_tui.errors import MiaError
from mia_tui.imaging.describe import describe
from mia_tui.project import Project

RNG = np.random.default_rng(9)


def pictures(folder, pattern, numbers, shape=(12, 14)):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        PillowImage.fromarray(RNG.integers(0, 255, shape, dtype=np.uint8)).save(folder / pattern.format(number))


def test_an_image(tmp_path) -> None:
    stack = np.zeros((5, 2, 20, 30), np.uint16)
    metadata = {"axes": "TCYX", "unit": "um", "finterval": 30}
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, resolution=(2, 4), metadata=metadata)
    report = json.loads(json.dumps(describe(tmp_path / "a.tif")))
    assert report["kind"] == "image"
    assert (report["axes"], report["axes_source"], report["dtype"]) == ("TCYX", "imagej", "uint16")
    assert report["sizes"] == {"T": 5, "C": 2, "Z": 1, "Y": 20, "X": 30}
    assert report["pixel_size_um"] == [0.25, 0.5]
    assert report["frame_interval_s"] == 30
    with pytest.raises(MiaError, match=r"nothing\.tif does not exist"):
        describe(tmp_path / "nothing.tif")


def test_one_bad_file_does_not_stop_the_folder(tmp_path) -> None:
    pictures(tmp_path, "cell{}x.png", [1, 5, 9])
    tifffile.imwrite(tmp_path / "guess.tif", np.zeros((4, 9, 9), np.float32), photometric="minisblack")
    (tmp_path / "bad.tif").write_bytes(b"")
    (tmp_path / "worse.png").write_bytes(b"\x89PNG\r\n\x1a\n12345")
    report = json.loads(json.dumps(describe(tmp_path)))
    assert report["kind"] == "folder"
    assert report["images"] == 6
    assert report["frames"] == 7
    assert [p["file"] for p in report["problems"]] == ["bad.tif", "worse.png"]
    assert "empty (0 bytes)" in report["problems"][0]["problem"]
    assert report["axes"] == {"YX": 3, "TYX": 1}
    assert report["axes_guessed"] == ["guess.tif"]
    assert report["dtypes"] == {"uint8": 3, "float32": 1}
    assert report["hints"] == []


def test_project(tmp_path) -> None:
    pictures(tmp_path / "train", "img{}.png", [3, 17, 40])
    pictures(tmp_path / "predict" / "movie", "t{:03d}.png", range(6))
    project = Project.create(
        tmp_path / "p", images=tmp_path / "train", predict_images=tmp_path / "predict", classes=["a", "b"]
    )
    for key in ("img3.png", "gone.png"):
        labels = project.labels_path(key, "image")
        labels.parent.mkdir(parents=True)
        labels.write_text("{}")
    report = json.loads(json.dumps(describe(tmp_path / "p")))
    assert report["kind"] == "project"
    assert report["images"] == {"train": 3, "predict": 6}
    assert report["classes"] == ["a", "b"]
    assert report["labelled_frames"] == 2
    assert report["problems"] == [{"file": "gone.png", "problem": "has labels, but no such image is there"}]
    assert [hint["series"] for hint in report["hints"]] == ["@predict/movie"]
    declared = Project(**{**vars(project), "series": ("@predict/movie",)})
    again = describe(declared)
    assert again["images"] == {"train": 3, "predict": 1}
    assert again["frames"] == 3 + 6
    assert again["hints"] == []


def test_project_with_a_missing_root_still_reports(tmp_path) -> None:
    pictures(tmp_path / "train", "img{}.png", [1])
    (tmp_path / "predict").mkdir()
    Project.create(tmp_path / "p", images=tmp_path / "train", predict_images=tmp_path / "predict")
    (tmp_path / "predict").rmdir()
    report = describe(tmp_path / "p")
    assert report["images"] == {"train": 1, "predict": 0}
    assert "is missing" in report["problems"][0]["problem"]


@pytest.mark.parametrize(
    ("pattern", "numbers", "shape", "hinted"),
    [
        ("t{:03d}.png", range(5), None, True),
        ("W2--T{:05d}--Z0.png", range(0, 50, 10), None, True),
        ("t{:03d}.png", range(4), None, False),  # too few
        ("img{}.png", [3, 4, 9, 12, 13, 20], None, False),  # no counter
        ("t{:03d}.png", range(5), (12, 15), False),  # one of another size
    ],
)
def test_hint_at_a_series(tmp_path, pattern, numbers, shape, hinted) -> None:
    pictures(tmp_path / "m", pattern, numbers)
    if shape:
        pictures(tmp_path / "m", pattern, [5], shape)
    hints = describe(tmp_path)["hints"]
    assert [hint["series"] for hint in hints] == (["m"] if hinted else [])
    if hinted:
        assert describe(tmp_path / "m")["hints"][0]["series"] == "."
        assert 'series = ["m"]' in hints[0]["hint"]
