"""Classification of whole images: labels, training, prediction with probabilities."""

import csv

import cv2
import numpy as np
import pytest
import shapely
from engine_helpers import Recorder, new_run
from typer.testing import CliRunner

from mia_tui.cli import app
from mia_tui.engine.config import TrainConfig, make_config
from mia_tui.engine.evaluate import evaluate_project
from mia_tui.engine.fitting import fit
from mia_tui.engine.predict import predict_project
from mia_tui.engine.tasks.classification import ClassificationTask, NoDecoding
from mia_tui.engine.train import Job, train
from mia_tui.errors import MiaError
from mia_tui.labeling.image_class import image_label
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import read_frame, write_frame
from mia_tui.project import Project

TASK = ClassificationTask()
NAMES = ["dark", "bright"]


def whole(size: tuple[int, int], name: str) -> FrameLabels:
    return FrameLabels.of(*size, [LabelObject(1, shapely.box(0, 0, size[1], size[0]), name)])


def make_images(folder, count: int = 8) -> Project:
    """Images of different sizes, dark ones and bright ones."""
    rng = np.random.default_rng(0)
    for split in ("train", "predict"):
        (folder / split).mkdir(parents=True)
    for number in range(count + 2):
        split = "predict" if number >= count else "train"
        height, width = (int(v) for v in rng.integers(24, 60, 2))
        bright = number % 2
        image = rng.integers(0, 40, (height, width)) + (200 if bright else 20)
        cv2.imwrite(str(folder / split / f"im{number}.png"), image.astype(np.uint8))
    project = Project.create(
        folder / "p", images=folder / "train", predict_images=folder / "predict", classes=NAMES, task="classification"
    )
    label_images(project, "train")
    return project


def label_images(project: Project, split: str) -> None:
    for ref in project.images(split):
        height, width = cv2.imread(str(ref.path)).shape[:2]
        number = int(ref.path.stem[2:])
        write_frame(project.labels_path(ref.key, "image"), whole((height, width), NAMES[number % 2]))


def wish(**changes: object) -> TrainConfig:
    return make_config({
        "encoder": "resnet10t", "image_size": 32, "batch_size": 4, "steps_per_epoch": 12, "epochs": 4,
        "ema": 0.8, "threads": 1, "device": "cpu", "validation": 0.25, "augmentation": "none", "learning_rate": 1e-3,
        "normalization": "imagenet", **changes,
    })  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Project:
    project = make_images(tmp_path_factory.mktemp("classes"))
    reporter = Recorder()
    train(Job(project, wish(), new_run(project), "m", reporter))
    assert reporter.of("epoch")[-1]["value_name"] == "macro_f1"
    label_images(project, "predict")  # only now, or they would be learnt, too
    return project


@pytest.mark.parametrize("shape", [(10, 40), (40, 10), (7, 7), (300, 200)])
def test_images_are_fitted_without_changing_their_proportions(shape: tuple[int, int]) -> None:
    plane = np.zeros((1, *shape), np.uint8)
    fitted = fit(plane + 9, 32)
    assert fitted.shape == (1, 32, 32)
    assert fitted.dtype == np.uint8
    assert (fitted == 9).all()
    square = np.zeros((1, 64, 128), np.uint8)
    square[0, 20:40, 50:70] = 200
    seen = fit(square, 64)[0] > 100
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen[16:48].any(0))
    assert len(columns) == 10
    assert len(rows) >= 10


def test_new_images_are_told_apart(trained: Project) -> None:
    report = evaluate_project(trained, "m", split="new", device="cpu")
    assert report["totals"]["accuracy"] == 1
    assert report["totals"]["macro_f1"] == 1
    assert report["wrong"] == []
    shown = CliRunner().invoke(app, ["evaluate", str(trained.folder), "--model", "m", "--split", "new"])
    assert shown.exit_code == 0
    assert "2 images: accuracy 1.000" in shown.output


def test_predictions_keep_their_probabilities(trained: Project, tmp_path) -> None:
    predict_project(trained, "m", device="cpu", tta=True, uncertainty=True)
    predict_project(trained, "m", device="cpu", tta=True, out=tmp_path / "out")
    rows = {row["image"]: row for row in csv.DictReader((tmp_path / "out" / "classes.csv").read_text().splitlines())}
    for ref in trained.images("predict"):
        item = image_label(read_frame(trained.prediction_path("m", ref.key, "image")))
        row = rows[ref.key.removeprefix("@predict/")]
        shares = item.extra["properties"]["measurements"]
        assert shares["p: dark"] + shares["p: bright"] == pytest.approx(1, abs=1e-3)
        assert item.score == shares[f"p: {item.label_class}"] == pytest.approx(float(row["probability"]), abs=1e-3)
        assert row["class"] == item.label_class == NAMES[int(ref.path.stem[2:]) % 2]
        assert float(row["p:dark"]) == pytest.approx(shares["p: dark"], abs=1e-3)


def test_images_without_a_class_do_not_teach(tmp_path) -> None:
    project = make_images(tmp_path)
    labels = FrameLabels.of(30, 30, [LabelObject(1, shapely.box(3, 3, 9, 9), "dark")])
    assert TASK.annotate(labels, project.classes) is None
    for number in range(1, 8, 2):
        project.labels_path(f"im{number}.png", "image").unlink()
    with pytest.raises(MiaError, match="all of one class"):
        train(Job(project, wish(validation=0.0), new_run(project), "m", Recorder()))


def test_probabilities_are_a_softmax() -> None:
    import torch

    output = torch.tensor([[1.0, 2.0, 3.0]])
    torch.testing.assert_close(TASK.activate(output, NoDecoding()), output.softmax(1))


@pytest.mark.parametrize("color", ["grey", "rgb"])
def test_the_preview_says_the_true_and_the_found_class(tmp_path, color: str) -> None:
    project = make_images(tmp_path)
    run = new_run(project)
    train(Job(project, wish(epochs=1, steps_per_epoch=1, color=color), run, "m", Recorder()))
    picture = cv2.imread(str(run.path / "preview" / "epoch_0001.png"))
    assert picture.shape == (32, 32, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 2


def test_annotated_areas_do_not_matter_to_the_class_of_an_image(tmp_path) -> None:
    """The original's label files bring areas along; images are fitted, areas are not."""
    project = make_images(tmp_path)
    for ref in project.images("train"):
        path = project.labels_path(ref.key, "image")
        labels = read_frame(path)
        write_frame(path, FrameLabels(labels.height, labels.width, labels.objects, areas=(shapely.box(0, 0, 9, 9),)))
    reporter = Recorder()
    train(Job(project, wish(epochs=1, steps_per_epoch=2), new_run(project), "m", reporter))
    assert len(reporter.of("epoch")) == 1


def test_any_number_of_channels(tmp_path) -> None:
    import tifffile

    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        planes = rng.integers(0, 900, (5, 40, 30)).astype(np.uint16)
        planes[3, ::2] += np.uint16(20_000 * (number % 2))
        tifffile.imwrite(folder / f"im{number}.tif", planes, imagej=True, metadata={"axes": "CYX"})
    project = Project.create(tmp_path / "p", images=folder, classes=NAMES, task="classification")
    for number in range(6):
        write_frame(project.labels_path(f"im{number}.tif", "image"), whole((40, 30), NAMES[number % 2]))
    reporter = Recorder()
    settings = wish(epochs=1, steps_per_epoch=2, channels=[4, 3, 1, 0], augmentation="fluorescence", oversample=1.0)
    train(Job(project, settings, new_run(project), "m", reporter))
    assert predict_project(project, "m", device="cpu", tta=True, uncertainty=True).failed == {}
    item = image_label(read_frame(project.prediction_path("m", "im0.tif", "image")))
    assert set(item.extra["properties"]["measurements"]) == {
        "p: dark",
        "p: bright",
        "uncertainty: entropy",
        "uncertainty: disagreement",
    }
