"""Prediction of frames and projects."""

import shutil
import threading

import numpy as np
import pytest
import tifffile
from engine_helpers import Recorder, card, disks, labels_of, make_project, new_run, tiny_config, tiny_network

from mia_tui.engine.evaluate import evaluate_project
from mia_tui.engine.normalize import Normalization
from mia_tui.engine.predict import predict_project
from mia_tui.engine.predictor import Predictor
from mia_tui.engine.train import Job, train
from mia_tui.engine.worker import run_predict
from mia_tui.errors import MiaError
from mia_tui.labeling.raster import label_image
from mia_tui.labeling.store import FrameStore, read_frame, write_frame
from mia_tui.project import Project


@pytest.mark.parametrize("shape", [(1, 1), (17, 200), (96, 96), (130, 65)])
def test_prediction_of_any_size_is_the_same_bits_each_time(shape: tuple[int, int]) -> None:
    plane = np.random.default_rng(1).integers(0, 1000, (1, *shape)).astype(np.uint16)
    predictors = [Predictor(card(), tiny_network(3), device="cpu") for _ in range(2)]
    found = [p.part(plane, Normalization().limits(plane)) for p in predictors]
    assert found[0].found.labels.shape == shape
    assert (found[0].maps == found[1].maps).all()
    assert (found[0].found.labels == found[1].found.labels).all()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Project:
    project = make_project(tmp_path_factory.mktemp("trained"), images=3, predict=2)
    train(Job(project, tiny_config(encoder="mobilenet_v2", decoder_channels=None, epochs=3, steps_per_epoch=18,
                                   batch_size=4, ema=0.8, learning_rate=1e-2, touching="border"),
              new_run(project), "m", Recorder()))  # fmt: skip
    return project


def test_predictions_into_the_project_are_shapes_and_the_same_label_image(trained: Project) -> None:
    summary = predict_project(trained, "m", device="cpu")
    assert (summary.images, summary.frames, summary.failed) == (2, 2, {})
    path = trained.prediction_path("m", "@predict/im0.tif", "image")
    frame, raster = read_frame(path), tifffile.imread(path.with_suffix(".tif"))
    assert frame is not None
    assert len(frame.objects) == raster.max() > 0
    assert (label_image(frame.objects.values(), raster.shape) == raster).all()
    assert all(0 <= o.score <= 1 and o.source == "predicted" for o in frame.objects.values())
    assert not (trained.folder / "labels" / "@predict").exists(), "a prediction never touches a label"


def test_predictions_of_files_from_elsewhere(trained: Project, tmp_path) -> None:
    stack = np.stack([disks(s)[0] for s in (7, 8)])
    (tmp_path / "in" / "sub").mkdir(parents=True)
    tifffile.imwrite(tmp_path / "in" / "sub" / "movie.tif", stack, imagej=True, metadata={"axes": "TYX"})
    (tmp_path / "in" / "broken.tif").write_bytes(b"II*\0")
    with pytest.raises(MiaError, match="--out"):
        predict_project(trained, "m", images=[str(tmp_path / "in")], device="cpu")
    summary = predict_project(
        trained, "m", images=[str(tmp_path / "in")], out=tmp_path / "out", probabilities=True, device="cpu"
    )
    assert list(summary.failed) == ["broken.tif"]
    assert tifffile.imread(tmp_path / "out" / "sub" / "movie.tif.tif").shape == (2, 96, 96)
    chances = tifffile.imread(tmp_path / "out" / "sub" / "movie.tif.t0001z0000.probabilities.tif")
    assert chances.shape == (3, 96, 96)
    assert np.abs(chances.sum(0, dtype=int) - 255).max() <= 2


def test_evaluate_knows_what_the_model_has_seen(trained: Project) -> None:
    held = evaluate_project(trained, "m", split="val", device="cpu")
    learnt = evaluate_project(trained, "m", split="train", device="cpu")
    assert len(held["images"]) == 1
    assert len(learnt["images"]) == 2
    assert {i["image"] for i in held["images"]}.isdisjoint({i["image"] for i in learnt["images"]})
    assert held["classes"]["pooled"]["classes"]["cell"]["iou"] > 0.3
    with pytest.raises(MiaError, match="--split all"):
        evaluate_project(trained, "m", split="new", device="cpu")


def test_a_frame_that_somebody_is_looking_through_is_left_alone_with_all_its_files(trained: Project) -> None:
    predict_project(trained, "m", device="cpu")
    path = trained.prediction_path("m", "@predict/im0.tif", "image")
    raster = path.with_suffix(".tif")
    tifffile.imwrite(raster, np.zeros((3, 3), np.uint8))
    before = path.read_bytes(), raster.read_bytes()
    with FrameStore(path, 96, 96):
        summary = predict_project(trained, "m", device="cpu")
    assert list(summary.failed) == ["@predict/im0.tif"]
    assert (path.read_bytes(), raster.read_bytes()) == before


def test_labels_of_another_size_are_named_in_an_evaluation(trained: Project, tmp_path) -> None:
    shutil.copytree(trained.folder, tmp_path / "p")
    project = Project.load(tmp_path / "p")
    write_frame(project.labels_path("im0.tif", "image"), labels_of(disks(0, size=64)[1]))
    with pytest.raises(MiaError, match="64 x 64"):
        evaluate_project(project, "m", split="all", device="cpu")


def test_a_prediction_run_keeps_probabilities_and_uncertainty(trained: Project) -> None:
    """Through the process that computes, as runs of the terminal interface go."""
    wish = {"model": "m", "images": ["@predict/im1.tif"], "tta": True, "probabilities": True, "uncertainty": True}
    run = new_run(trained, "predict")
    config = {"kind": "predict", "predict": wish, "device": "cpu"}
    reporter = Recorder()
    assert run_predict(run, trained, config, reporter, threading.Event()) == "finished"
    path = trained.prediction_path("m", "@predict/im1.tif", "image")
    assert tifffile.imread(path.with_name("image.probabilities.tif")).shape == (3, 96, 96)
    objects = read_frame(path).objects.values()
    names = {"uncertainty: entropy", "uncertainty: disagreement"}
    assert objects
    assert all(names <= set(item.extra["properties"]["measurements"]) for item in objects)
    stop = threading.Event()
    stop.set()
    assert run_predict(run, trained, config, reporter, stop) == "stopped"
