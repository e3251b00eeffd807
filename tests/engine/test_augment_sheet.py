"""The sheet of augmented samples: the patches that a training draws, for every task, as a PNG."""

import cv2
import numpy as np
import pytest
import shapely
from engine_helpers import make_project, tiny_config
from PIL import Image

from mia_tui.engine.augment_sheet import augmented_samples, write_sheet
from mia_tui.engine.loader import patches_of
from mia_tui.engine.material import prepare
from mia_tui.errors import MiaError
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import write_frame
from mia_tui.project import Project

ORANGE = (230, 159, 0)


def labelled(folder, task: str) -> Project:
    """Two noisy colour images; one object, or class, on each."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    shape = shapely.Point(20.5, 30.5) if task == "detection" else shapely.box(0, 0, 60, 48)
    for number in range(2):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), rng.integers(0, 255, (48, 60, 3), np.uint8))
    project = Project.create(folder / "p", images=folder / "images", classes=["a", "b"], task=task)
    for number, name in enumerate("ab"):
        frame = FrameLabels.of(48, 60, [LabelObject(1, shape, name)])
        write_frame(project.labels_path(f"{number}.png", "image"), frame)
    return project


def test_the_samples_are_the_first_patches_of_the_training(tmp_path) -> None:
    project = make_project(tmp_path)
    config = tiny_config(validation=0)
    samples = augmented_samples(project, config, 5)
    patches = patches_of(prepare(project, config), config, 1, 5)
    for index, sample in enumerate(samples):
        np.testing.assert_array_equal(sample.image, patches.sample(index)[0].image)
        np.testing.assert_array_equal(sample.labels, patches.sample(index)[0].labels)


def test_samples_of_points_and_of_whole_images(tmp_path) -> None:
    for task in ("detection", "classification"):
        (tmp_path / task).mkdir()
        project = labelled(tmp_path / task, task)
        own = {"patch_size": 64} if task == "detection" else {"patch_size": 256, "image_size": 32}
        samples = augmented_samples(project, tiny_config(decoder_channels=None, **own), 4)
        side = 64 if task == "detection" else 32
        assert [sample.image.shape for sample in samples] == [(side, side, 3)] * 4
        assert all(sample.labels is None for sample in samples)
        assert all((sample.points is not None) == (task == "detection") for sample in samples)


def test_the_picture_holds_sixteen_samples_with_their_outlines(tmp_path) -> None:
    project = make_project(tmp_path)
    out = tmp_path / "new" / "sheet.png"
    found = write_sheet(project, tiny_config(augment_flip=0, augment_blur=3), out, with_prices=True)
    picture = np.asarray(Image.open(out))
    assert picture.shape == (4 * 64 + 3 * 2, 4 * 64 + 3 * 2, 3)
    assert (picture == ORANGE).all(2).sum() > 1000
    assert (found["samples"], found["size"], found["channels"]) == (16, [64, 64], 1)
    assert (found["strengths"]["flip"], found["strengths"]["blur"], found["strengths"]["rotate"]) == (0, 3, 180)
    assert set(found["prices"]) == set(found["strengths"]) - {"channel", "stain"}
    assert min(found["prices"].values()) > 0


def test_what_cannot_be_drawn_is_said(tmp_path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((40, 40), np.uint8))
    project = Project.create(tmp_path / "p", images=tmp_path / "images", classes=["a", "b"], task="classification")
    config = tiny_config(decoder_channels=None, patch_size=256)
    with pytest.raises(MiaError, match="no labels yet"):
        augmented_samples(project, config)
    write_frame(project.labels_path("a.png", "image"), FrameLabels.of(40, 40, []))
    with pytest.raises(MiaError, match="hold nothing for classification"):
        augmented_samples(project, config)
    with pytest.raises(MiaError, match="decoder_channels: not for classification"):
        augmented_samples(project, config.model_copy(update={"decoder_channels": [8]}))
    with pytest.raises(MiaError, match=r"end its name with .png"):
        write_sheet(project, config, tmp_path / "sheet.jpg")
