"""The benches of the engine on small data: they run with what the engine is now, and measure what they say."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A script of bench/ as a module, its results in a scratch folder."""
    monkeypatch.syspath_prepend(BENCH)

    def load(name: str, **sizes):
        spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys.modules["_output"], "RESULTS", tmp_path / "results")
        for key, value in sizes.items():
            assert hasattr(module, key)
            monkeypatch.setattr(module, key, value)
        return module

    return load


def result(tmp_path, name):
    return json.loads((tmp_path / "results" / f"{name}.json").read_text())


def test_training_steps_are_timed_in_both_loops(bench, tmp_path, monkeypatch):
    train = bench("train", ROUNDS=1, STEPS=1, SIDE=32, BATCH=2)
    monkeypatch.setattr(train, "lightning_step", lambda *_: None)
    train.steps("cpu")
    values = result(tmp_path, "train_steps")
    assert values["ours / bare speed"] == pytest.approx(values["bare s/step"] / values["ours s/step"])


def test_the_input_is_timed_with_each_target(bench, tmp_path):
    train = bench("train", ROUNDS=1, SIDE=64)
    train.pipeline("cpu")
    values = result(tmp_path, "train_input")
    assert min(values[f"{kind} samples/s"] for kind in ("naive", "ours, classes", "ours, flows")) > 0


def test_a_worker_is_timed_until_its_first_step(bench, tmp_path):
    train = bench("train")
    job = train.make_job(tmp_path, "cpu", patch_size=32, batch_size=2, validation=0.0)
    assert train.first_step(job, 0) > 0


def test_exported_networks_are_timed(bench, tmp_path):
    pytest.importorskip("onnxruntime")
    export = bench("export", ROUNDS=1, TILES=1)
    folder = export.model_folder(tmp_path, "resnet18")
    export.fast_network(folder, 1)
    assert set(export.tiles_per_second(folder)) == {
        f"resnet18 {side} px x {batch}: {name}"
        for side in (256, 512) for batch in (1, 4) for name in ("torch", "onnxruntime")
    }  # fmt: skip


@pytest.mark.parametrize("way", ["flow", "border"])
def test_large_images_are_predicted_with_the_objects_that_are_there(bench, monkeypatch, way):
    predict = bench("predict", ROUNDS=1, SIDE=640)
    monkeypatch.setattr(predict.predictor, "__defaults__", predict.NARROW)
    found = predict.compare(way)
    assert found["tiles"] == 4
    assert np.isclose(found["objects"], found["objects there"], rtol=0.05)


def test_models_are_scored_in_all_three_tasks(bench, tmp_path):
    accuracy = bench("accuracy")
    found, truth = tmp_path / "found", tmp_path / "test"
    for folder in (found, truth / "labels"):
        folder.mkdir(parents=True)
        masks = np.zeros((20, 20), np.uint8)
        masks[2:8, 2:8] = 1
        masks[10:16, 10 : 16 if folder == found else 17] = 2
        tifffile.imwrite(folder / "a.tif", masks)
    values = accuracy.score_masks(tmp_path, "found")
    assert values["AP@0.5 pooled"] == 1
    assert values["AP pooled, mean of IoU 0.5 to 0.9"] == pytest.approx((8 + 1 / 3) / 9)  # IoU 1 and 36 / 42

    (truth / "labels.csv").write_text("image,frame,y,x,class\na.tif,0,5,5,cell\na.tif,0,15,5,cell\n")
    (found / "points.csv").write_text("image,frame,y,x,class\na.tif,0,5,6,cell\n")
    points = accuracy.score_points(tmp_path, "found")
    assert (points["precision"], points["recall"], points["count_mae"]) == (1, 0.5, 1)

    (truth / "labels.csv").write_text("image,frame,class\n1.png,0,a\n2.png,0,b\n")
    (found / "classes.csv").write_text("image,frame,class\n1.png,0,a\n2.png,0,a\n")
    assert accuracy.score_classes(tmp_path, "found")["accuracy"] == 0.5
