"""Training on small real data: exact resume, splits, errors, and a network that really learns."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from engine_helpers import Recorder, disks, labels_of, make_project, new_run, tiny_config

from mia_tui.engine import train as training
from mia_tui.engine.bundle import load_model
from mia_tui.engine.checkpoint import load_checkpoint
from mia_tui.engine.config import TrainConfig
from mia_tui.engine.data import Patches, TrainingFrame, choose_channels, labelled_frames, load_frames, split_frames
from mia_tui.engine.normalize import Normalization
from mia_tui.engine.train import Job, train
from mia_tui.errors import MiaError
from mia_tui.labeling.store import write_frame
from mia_tui.project import ImageRef, Project
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
    assert card["network"]["out_channels"] == 3
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


def test_learning_rate_rises_then_falls() -> None:
    config = tiny_config(learning_rate=0.1, warmup=0.1)
    rates = [training.learning_rate(config, done) for done in np.linspace(0, 1, 101)]
    assert rates[10] == max(rates) == pytest.approx(0.1)
    assert rates[0] < 0.01
    assert rates[-1] == pytest.approx(0.001)
    assert all(a >= b for a, b in pairwise(rates[10:]))


# ---- data -----------------------------------------------------------------------------------------------------------


def refs(*keys: str) -> list[tuple[ImageRef, str]]:
    return [(ImageRef(key, Path(), "train"), "image") for key in keys]


def test_frames_of_a_sequence_stay_together() -> None:
    movies = [ImageRef(f"movie{m}", Path(), "train") for m in range(6)]
    frames = [(movie, f"t{t:04d}z0000") for movie in movies for t in range(5)]
    for seed in range(10):
        learnt, held = split_frames(frames, 0.3, seed)
        assert {r.key for r, _ in learnt}.isdisjoint({r.key for r, _ in held})
        assert len({r.key for r, _ in held}) == 2
        assert len(learnt) + len(held) == len(frames)
    assert split_frames(frames, 0.3, 1) == split_frames(frames, 0.3, 1)


@pytest.mark.parametrize(
    ("count", "share", "held"), [(2, 0.01, 1), (2, 0.99, 1), (1, 0.5, 0), (10, 0.0, 0), (10, 0.2, 2)]
)
def test_split_sizes(count: int, share: float, held: int) -> None:
    learnt, validation = split_frames(refs(*map(str, range(count))), share, 0)
    assert (len(learnt), len(validation)) == (count - held, held)


def loaded_frames(project: Project, config: TrainConfig) -> list[TrainingFrame]:
    channels = choose_channels(project, project.images("train"), None)
    return list(load_frames(project, labelled_frames(project), channels, config, Normalization(), with_truth=True))


def test_patches_depend_on_seed_epoch_and_number_only(tmp_path) -> None:
    project = make_project(tmp_path)
    config = tiny_config()
    frames = loaded_frames(project, config)
    one, two = Patches(frames, config, 5), Patches(frames, config, 5)
    later = [one[i]["image"] for i in range(6)][5]
    assert torch.equal(later, two[5]["image"])
    two.epoch = 1
    assert not torch.equal(later, two[5]["image"])
    item = one[0]
    assert item["image"].shape == (1, 64, 64)
    assert item["target"].shape == (64, 64)
    assert 0 <= item["image"].min() <= item["image"].max() <= 1


def test_objects_stay_on_their_pixels_under_augmentation(tmp_path) -> None:
    project = make_project(tmp_path)
    config = tiny_config(prefer_labelled=20)
    frames = loaded_frames(project, config)
    patches = Patches(frames, config, 20)
    contrasts = []
    for index in range(30):
        item = patches[index]
        cells = (item["target"] == 1).numpy()
        if 20 < cells.sum() < cells.size - 20:
            image = item["image"][0].numpy()
            contrasts.append(image[cells].mean() - image[(item["target"] == 0).numpy()].mean())
    assert len(contrasts) > 10
    assert min(contrasts) > 0.1


def test_images_smaller_than_a_patch_are_mirrored(tmp_path) -> None:
    (tmp_path / "small").mkdir()
    image, masks = disks(3, size=40, count=4)
    tifffile.imwrite(tmp_path / "small" / "a.tif", image)
    project = Project.create(tmp_path / "p", images=tmp_path / "small")
    write_frame(project.labels_path("a.tif", "image"), labels_of(masks))
    config = tiny_config(augmentation="none")
    frames = loaded_frames(project, config)
    item = Patches(frames, config, 1)[0]
    assert item["image"].shape == (1, 64, 64)
    assert torch.equal(item["image"][0, :, 40:], item["image"][0, :, 16:40].flip(1))


def test_grey_and_colour_are_mixed_and_oddities_named(tmp_path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(folder / "grey.tif", np.zeros((32, 32), np.uint8))
    tifffile.imwrite(folder / "rgb.tif", np.zeros((32, 32, 3), np.uint8), photometric="rgb")
    project = Project.create(tmp_path / "p", images=folder)
    assert choose_channels(project, project.images(), None).count == 3
    tifffile.imwrite(folder / "two.tif", np.zeros((2, 32, 32), np.uint16), imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(MiaError, match=r"two\.tif: 2"):
        choose_channels(project, project.images(), None)
    assert choose_channels(project, project.images(), [0]).count == 1


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


def test_annotated_area_masks_the_loss(tmp_path) -> None:
    from dataclasses import replace

    from shapely.geometry import box

    project = make_project(tmp_path, images=1)
    frame = labels_of(disks(0)[1])
    write_frame(project.labels_path("im0.tif", "image"), replace(frame, areas=(box(0, 0, 48, 96),)))
    loaded = loaded_frames(project, tiny_config())[0]
    outside = np.zeros((96, 96), bool)
    outside[:, 48:] = True
    assert (loaded.target[outside & (loaded.truth.instances == 0)] == 255).all()
    assert not (loaded.target[~outside] == 255).any()
