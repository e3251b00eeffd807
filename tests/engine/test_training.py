"""Training on small real data: exact resume, splits, errors, and a network that really learns."""

import json
import shutil

import numpy as np
import pytest
import torch
from engine_helpers import Recorder, disks, labels_of, make_project, new_run, tiny_config

from mia_tui.engine import train as training
from mia_tui.engine.bundle import load_model
from mia_tui.engine.checkpoint import load_checkpoint
from mia_tui.engine.tasks.segmentation import SegmentationTask
from mia_tui.engine.train import Job, train
from mia_tui.errors import MiaError
from mia_tui.labeling.store import write_frame
from mia_tui.project import Project
from mia_tui.runfolder import RunFolder


def run_training(project: Project, name: str, stop_after: int | None = None, **changes: object) -> tuple[Recorder, Job]:
    there = RunFolder(project.runs_folder / name)
    run = there if there.path.exists() else new_run(project, name)
    job = Job(project, tiny_config(**changes), run, name, Recorder())
    calls = {"n": 0}

    def should_stop() -> bool:
        calls["n"] += 1
        return stop_after is not None and calls["n"] >= stop_after

    train(job, should_stop=should_stop)
    return job.reporter, job  # type: ignore[return-value]


def weights(project: Project, name: str) -> dict[str, torch.Tensor]:
    return load_checkpoint(project.runs_folder / name / "checkpoints" / "last.pt")["learner"]["model"]


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_resumed_run_is_the_same_with_accumulated_gradients(tmp_path, stop_after: int) -> None:
    """Five batches an epoch in steps of two: the last step of an epoch is of one batch."""
    project = make_project(tmp_path)
    wish = {"accumulate": 2, "steps_per_epoch": 5, "patch_size": 32, "schedule": "one_cycle"}
    run_training(project, "whole", **wish)
    run_training(project, "parts", stop_after=stop_after, **wish)
    run_training(project, "parts", **wish)
    whole, parts = weights(project, "whole"), weights(project, "parts")
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


@pytest.mark.parametrize("stop_after", [1, 3, 4])
def test_a_resumed_run_is_the_run_that_was_never_stopped(tmp_path, stop_after: int) -> None:
    project = make_project(tmp_path)
    run_training(project, "whole")
    run_training(project, "parts", stop_after=stop_after)
    run_training(project, "parts")
    whole, parts = weights(project, "whole"), weights(project, "parts")
    assert whole.keys() == parts.keys()
    for key in whole:
        assert torch.equal(whole[key], parts[key]), key
    models = [load_model(project.models_folder / name)[1].state_dict() for name in ("whole", "parts")]
    assert all(torch.equal(models[0][key], models[1][key]) for key in models[0])


def test_another_seed_gives_another_run(tmp_path) -> None:
    project = make_project(tmp_path)
    run_training(project, "a", epochs=1)
    run_training(project, "b", epochs=1, seed=5)
    a, b = weights(project, "a"), weights(project, "b")
    assert any(not torch.equal(a[key], b[key]) for key in a)


def test_what_a_training_leaves_behind(tmp_path) -> None:
    project = make_project(tmp_path)
    reporter, job = run_training(project, "one")
    card = json.loads((project.models_folder / "one" / "model.json").read_text())
    assert card["classes"] == [{"name": "cell", "color": project.classes[0].color}]
    assert card["network"]["out_channels"] == 4  # background, cell, and the flow along y and x
    held, learnt = card["training"]["validation_images"], card["training"]["train_images"]
    assert len(held) == 1
    assert sorted(held + learnt) == ["im0.tif", "im1.tif", "im2.tif"]
    epochs = reporter.of("epoch")
    assert [e["epoch"] for e in epochs] == [1, 2]
    assert all(np.isfinite([e["train_loss"], e["val_loss"], e["metrics"]["ap50"]]).all() for e in epochs)
    assert (job.run.path / "preview" / "epoch_0002.png").exists()
    assert reporter.of("start")[0]["steps_per_epoch"] == 3


def test_a_network_learns_disks(tmp_path) -> None:
    project = make_project(tmp_path, images=4)
    reporter, _ = run_training(
        project, "learn", epochs=5, steps_per_epoch=16, batch_size=4, learning_rate=5e-3, 
        encoder="mobilenet_v2", ema=0.9,
    )  # fmt: skip
    scores = [e["metrics"]["ap50"] for e in reporter.of("epoch")]
    assert max(scores) > 0.5
    losses = [e["train_loss"] for e in reporter.of("epoch")]
    assert losses[-1] < 0.7 * losses[0]


def test_wall_time_bounds_a_training(tmp_path, monkeypatch) -> None:
    project = make_project(tmp_path)
    now = {"t": 0.0}

    def monotonic() -> float:
        now["t"] += 0.5
        return now["t"]

    monkeypatch.setattr(training.time, "monotonic", monotonic)
    reporter, _ = run_training(project, "short", epochs=500, max_minutes=0.5)
    assert now["t"] < 40
    assert 1 <= len(reporter.of("epoch")) < 20
    assert "short" in project.models()


def test_nothing_to_learn_from_is_said(tmp_path) -> None:
    project = make_project(tmp_path)
    shutil.rmtree(project.folder / "labels")
    with pytest.raises(MiaError, match="no labels to learn from"):
        run_training(project, "none")


def test_labels_of_another_size_are_refused(tmp_path) -> None:
    project = make_project(tmp_path)
    write_frame(project.labels_path("im0.tif", "image"), labels_of(disks(0, size=64)[1]))
    with pytest.raises(MiaError, match="64 x 64"):
        run_training(project, "wrong")


def test_a_loss_that_is_no_number_leaves_the_best_weights_alone(tmp_path, monkeypatch) -> None:
    project = make_project(tmp_path)
    run_training(project, "m", epochs=1)
    run = RunFolder(project.runs_folder / "m")
    before = run.best_checkpoint.read_bytes(), run.last_checkpoint.read_bytes()
    real = SegmentationTask.loss
    monkeypatch.setattr(SegmentationTask, "loss", lambda *values: real(*values) * float("nan"))
    monkeypatch.setattr(training, "validate", lambda predictor, *_: ({"ap": 1.0}, 0.0, predictor.card.decoding))
    with pytest.raises(MiaError, match="no longer a number"):
        run_training(project, "m", epochs=2)
    assert (run.best_checkpoint.read_bytes(), run.last_checkpoint.read_bytes()) == before


# ---- three ways to go on ---------------------------------------------------------------------------------------------


def test_an_extended_run_is_the_run_that_was_to_be_longer(tmp_path) -> None:
    project = make_project(tmp_path)
    run_training(project, "long", epochs=3, schedule="constant", warmup=0)
    run_training(project, "short", epochs=1, schedule="constant", warmup=0)
    run_training(project, "short", epochs=3, schedule="constant", warmup=0)
    long, short = weights(project, "long"), weights(project, "short")
    assert all(torch.equal(long[key], short[key]) for key in long)


def test_a_new_run_can_keep_the_weights_of_a_model(tmp_path) -> None:
    project = make_project(tmp_path)
    run_training(project, "first", epochs=1, ema=0)
    reporter, _ = run_training(
        project, "second", epochs=1, start_from="first", learning_rate=1e-9, weight_decay=0, ema=0
    )
    first, second = (load_model(project.models_folder / name)[1].state_dict() for name in ("first", "second"))
    learnt = [key for key in first if key.endswith("weight")]
    assert all(torch.allclose(first[key], second[key], atol=1e-6) for key in learnt)
    assert any("weights of first" in event["text"] for event in reporter.of("message"))
    with pytest.raises(MiaError, match="is a Unet with"):
        run_training(project, "other", start_from="first", architecture="FPN", decoder_channels=None)


def test_a_run_goes_on_without_the_model_it_started_from(tmp_path) -> None:
    project = make_project(tmp_path)
    run_training(project, "first", epochs=1)
    run_training(project, "second", start_from="first", stop_after=2)
    shutil.rmtree(project.models_folder / "first")
    reporter, _ = run_training(project, "second", start_from="first")
    assert len(reporter.of("epoch")) == 2


def test_a_model_can_be_taken_to_other_classes_and_other_ways_of_parting(tmp_path) -> None:
    project = make_project(tmp_path)
    run_training(project, "first", epochs=1, ema=0)
    more = Project.create(tmp_path / "more", images=tmp_path / "train", classes=["cell", "dead", "dust"])
    for number in range(3):
        write_frame(more.labels_path(f"im{number}.tif", "image"), labels_of(disks(number)[1], "dust"))
    shutil.copytree(project.models_folder / "first", more.models_folder / "first")
    for touching, outputs in (("border", 5), ("flow", 6)):
        wish = {"touching": touching, "epochs": 1, "learning_rate": 1e-9, "weight_decay": 0, "ema": 0}
        run_training(more, touching, start_from="first", **wish)
        first, second = (load_model(more.models_folder / name)[1].state_dict() for name in ("first", touching))
        head = {"segmentation_head.0.weight", "segmentation_head.0.bias"}
        assert {key for key in first if first[key].shape != second[key].shape} == head
        assert len(second["segmentation_head.0.bias"]) == outputs
        learnt = [key for key in first if key.endswith("weight") and key not in head]
        assert all(torch.allclose(first[key], second[key], atol=1e-6) for key in learnt)


# ---- schedules and stopping ------------------------------------------------------------------------------------------


def test_early_stopping_ends_a_training_that_gets_no_better(tmp_path) -> None:
    project = make_project(tmp_path)
    reporter, _ = run_training(project, "early", epochs=40, steps_per_epoch=1, learning_rate=1e-9, stop_after=2, ema=0)
    assert len(reporter.of("epoch")) < 40
    assert "early" in project.models()


def test_plateau_lowers_the_rate_and_survives_a_resume(tmp_path) -> None:
    project = make_project(tmp_path)
    wish = {"epochs": 6, "steps_per_epoch": 1, "learning_rate": 1e-9, "schedule": "plateau", "patience": 1, "warmup": 0}
    run_training(project, "whole", **wish)
    run_training(project, "parts", stop_after=4, **wish)
    run_training(project, "parts", **wish)
    states = [
        load_checkpoint(project.runs_folder / name / "checkpoints" / "last.pt")["progress"]["plateau"]
        for name in ("whole", "parts")
    ]
    assert states[0] == states[1]
    assert states[0]["multiplier"] < 1


def test_a_frozen_encoder_does_not_learn_until_it_is_thawed(tmp_path) -> None:
    project = make_project(tmp_path)
    run_training(project, "base", epochs=1, ema=0)
    wish = {"start_from": "base", "epochs": 1, "ema": 0, "learning_rate": 0.01}
    run_training(project, "frozen", frozen_epochs=1, **wish)
    run_training(project, "free", **wish)
    base, frozen, free = (load_model(project.models_folder / n)[1].state_dict() for n in ("base", "frozen", "free"))
    encoder = [key for key in base if key.startswith("encoder.")]
    assert encoder
    assert all(torch.equal(base[key], frozen[key]) for key in encoder), "batch norm statistics stay, too"
    assert any(not torch.equal(base[key], free[key]) for key in encoder)
    rest = [key for key in base if key.startswith("decoder.") and key.endswith("weight")]
    assert any(not torch.equal(base[key], frozen[key]) for key in rest)


def test_accumulated_gradients_are_those_of_the_large_batch(tmp_path) -> None:
    project = make_project(tmp_path)
    # no batch norm statistics in the way: the loss is what is compared after one step of each
    wish = {
        "epochs": 1,
        "ema": 0,
        "optimizer": "sgd",
        "weight_decay": 0,
        "clip": 0,
        "warmup": 0,
        "loss": "cross_entropy",
    }
    large, _ = run_training(project, "large", batch_size=4, steps_per_epoch=1, **wish)
    small, _ = run_training(project, "small", batch_size=2, accumulate=2, steps_per_epoch=2, **wish)
    losses = [reporter.of("epoch")[0]["train_loss"] for reporter in (large, small)]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)


def test_the_batch_size_is_chosen_and_kept_on_resume(tmp_path, monkeypatch) -> None:
    from mia_tui.engine import batch_size

    monkeypatch.setattr(batch_size, "fit_batch_size", lambda measure, free: 3 if measure(2) > 0 else 0)
    project = make_project(tmp_path)
    reporter, _ = run_training(project, "auto", batch_size=None, epochs=1)
    assert any("batch size 3" in event["text"] for event in reporter.of("message"))
    monkeypatch.setattr(batch_size, "fit_batch_size", lambda measure, free: 5)
    _, job = run_training(project, "auto", batch_size=None, epochs=2)
    saved = load_checkpoint(job.run.last_checkpoint)
    assert saved["progress"]["batch_size"] == 3


# ---- what the network sees -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"normalization": "zscore"},
        {"normalization": "dataset"},
        {"normalization": "imagenet", "color": "rgb"},
        {"downscale": 0.5, "patch_size": 32},
        {"touching": "distance"},
        {"touching": "flow"},
        {"touching": "off"},
        {"loss": "focal + lovasz", "class_weights": "auto"},
        {"border_weight": 5.0, "class_weights": "1,2"},
        {"optimizer": "sgd", "schedule": "one_cycle"},
        {"oversample": 0.5, "architecture": "FPN", "decoder_channels": None},
    ],
)
def test_settings_train_and_predict(tmp_path, changes: dict) -> None:
    from mia_tui.engine.predict import predict_project

    project = make_project(tmp_path)
    reporter, _ = run_training(project, "m", epochs=1, **changes)
    assert np.isfinite(reporter.of("epoch")[0]["train_loss"])
    summary = predict_project(project, "m", device="cpu", tta=True, uncertainty=True)
    assert summary.failed == {}
    assert summary.images == 1


def test_z_neighbours_are_channels(tmp_path) -> None:
    import tifffile

    folder = tmp_path / "stacks"
    folder.mkdir()
    for number in range(2):
        planes = np.stack([disks(10 * number + z)[0] for z in range(3)])
        tifffile.imwrite(folder / f"s{number}.tif", planes, imagej=True, metadata={"axes": "ZYX"})
    project = Project.create(tmp_path / "p", images=folder)
    for number in range(2):
        write_frame(project.labels_path(f"s{number}.tif", "t0000z0001"), labels_of(disks(10 * number + 1)[1]))
    run_training(project, "z", epochs=1, neighbours=1)
    card, _ = load_model(project.models_folder / "z")
    assert card.network.in_channels == 3
    flat = make_project(tmp_path / "flat")
    with pytest.raises(MiaError, match="needs z-stacks"):
        run_training(flat, "z", neighbours=1)
