"""Model folders, normalisation and prediction."""

import numpy as np
import pytest
import tifffile
import torch
from engine_helpers import Recorder, disks, make_project, new_run, tiny_config

from mia_tui.engine.bundle import ModelCard, load_model, save_model
from mia_tui.engine.data import Channels
from mia_tui.engine.evaluate import evaluate_project
from mia_tui.engine.networks import NetworkSpec, build_network
from mia_tui.engine.normalize import Normalization, apply_limits, match_channels
from mia_tui.engine.predict import Predictor, predict_project
from mia_tui.engine.tasks.segmentation import Decoding
from mia_tui.engine.tiling import Tiling
from mia_tui.engine.train import Job, train
from mia_tui.errors import MiaError
from mia_tui.labeling.raster import label_image
from mia_tui.labeling.store import read_frame
from mia_tui.project import Project

SPEC = NetworkSpec("Unet", "tu-mobilenetv3_small_050", 1, 3, (16, 8, 8, 8, 8))


def card(**changes: object) -> ModelCard:
    values = {
        "task": "segmentation", "classes": (("cell", "#56B4E9"),), "network": SPEC, "channels": Channels(1),
        "normalization": Normalization(), "decoding": Decoding(), "tiling": Tiling(64, 16, 2),
    }  # fmt: skip
    return ModelCard(**{**values, **changes})  # type: ignore[arg-type]


def tiny_network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build_network(SPEC)


# ---- model folders --------------------------------------------------------------------------------------------------


def test_a_model_comes_back_bit_for_bit(tmp_path) -> None:
    model = tiny_network()
    save_model(tmp_path / "m", card(channels=Channels(2, (0, 3))), model.state_dict())
    loaded_card, loaded = load_model(tmp_path / "m")
    assert loaded_card == card(channels=Channels(2, (0, 3)))
    state = loaded.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_damaged_models_are_named(tmp_path) -> None:
    save_model(tmp_path / "m", card(), tiny_network().state_dict())
    with pytest.raises(MiaError, match="no model"):
        load_model(tmp_path / "other")
    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(MiaError, match="damaged"):
        load_model(tmp_path / "m")
    (tmp_path / "m" / "model.json").write_text("{")
    with pytest.raises(MiaError, match=r"model\.json is damaged"):
        load_model(tmp_path / "m")


# ---- normalisation --------------------------------------------------------------------------------------------------


def test_limits_are_numpys_percentiles_of_the_whole_frame() -> None:
    plane = np.random.default_rng(0).integers(0, 4096, (2, 300, 200)).astype(np.uint16)
    limits = Normalization().limits(plane)
    for channel, found in zip(plane, limits, strict=True):
        np.testing.assert_allclose(found, np.percentile(channel, [1, 99.8]), rtol=1e-6)
    scaled = apply_limits(plane, limits)
    assert scaled.dtype == np.float32
    assert scaled.min() == 0
    assert scaled.max() == 1


def test_flat_and_broken_values_are_survived() -> None:
    flat = np.full((1, 8, 8), 7, np.uint16)
    assert np.isfinite(apply_limits(flat, Normalization().limits(flat))).all()
    broken = np.ones((1, 8, 8), np.float32)
    broken[0, 0, :3] = np.nan, np.inf, -np.inf
    assert np.isfinite(apply_limits(broken, Normalization().limits(broken))).all()


def test_channels_are_matched_or_refused() -> None:
    grey, rgb = np.ones((1, 4, 4), np.uint8), np.stack([np.full((4, 4), v, np.uint8) for v in (0, 3, 6)])
    assert match_channels(grey, 3, False, "x").shape == (3, 4, 4)
    assert (match_channels(rgb, 1, True, "x") == 3).all()
    with pytest.raises(MiaError, match="x has 3 channels"):
        match_channels(rgb, 1, False, "x")


# ---- prediction -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (17, 200), (96, 96), (130, 65)])
def test_prediction_of_any_size_is_the_same_bits_each_time(shape: tuple[int, int]) -> None:
    plane = np.random.default_rng(1).integers(0, 1000, (1, *shape)).astype(np.uint16)
    predictors = [Predictor(card(), tiny_network(3), device="cpu") for _ in range(2)]
    found = [p.frame(plane, rgb=False, name="x") for p in predictors]
    assert found[0].objects.labels.shape == shape
    assert (found[0].probabilities == found[1].probabilities).all()
    assert (found[0].objects.labels == found[1].objects.labels).all()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Project:
    project = make_project(tmp_path_factory.mktemp("trained"), images=3, predict=2)
    train(Job(project, tiny_config(encoder="mobilenet_v2", decoder_channels=None, epochs=3, steps_per_epoch=12,
                                   batch_size=4, ema=0.8, learning_rate=5e-3),
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
