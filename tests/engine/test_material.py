"""What is derived from the labelled frames before the first step: class weights, normalisation of a set, tiles."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
import tifffile
from engine_helpers import Recorder, disks, labels_of, make_project, new_run, tiny_config

from mia_tui.engine import data
from mia_tui.engine.config import check_for_task, make_config
from mia_tui.engine.inputs import match_channels
from mia_tui.engine.material import prepare
from mia_tui.engine.networks import make_spec
from mia_tui.engine.tiling import starts
from mia_tui.engine.train import Job, tiling_of, train
from mia_tui.errors import MiaError
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import write_frame
from mia_tui.project import Project


def test_pixels_that_do_not_count_are_not_counted_for_class_weights(tmp_path) -> None:
    """Half of the background is not annotated: it weighs as if there were only the other half."""
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", np.zeros((40, 100), np.uint8))
    project = Project.create(tmp_path / "p", images=folder, classes=["a", "b", "c"])
    masks = np.zeros((40, 100), np.uint16)
    masks[0:10, 0:10], masks[20:30, 0:20] = 1, 2
    labels = labels_of(masks, "a")
    objects = {**labels.objects, 2: replace(labels.objects[2], label_class="c")}
    path = project.labels_path("a.tif", "image")
    write_frame(path, replace(labels, objects=objects, areas=(shapely.box(0, 0, 50, 40),)))
    config = tiny_config(validation=0, touching="off", class_weights="auto", patch_size=32)
    material = prepare(project, config)
    (annotation,) = [frame.annotation for frame in material.train]
    assert material.task.class_counts(annotation, config, 3).tolist() == [40 * 50 - 300, 100, 0, 200]
    background, a, _, c = material.class_weights
    assert a / c == pytest.approx(2)
    assert a / background == pytest.approx(17)


def test_rare_classes_of_points_weigh_more(tmp_path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", np.zeros((64, 64), np.uint8))
    project = Project.create(tmp_path / "p", images=folder, task="detection", classes=["common", "rare"])
    points = {n: LabelObject(n, shapely.Point(5 * n, 9), "rare" if n == 4 else "common") for n in range(1, 5)}
    write_frame(project.labels_path("a.tif", "image"), FrameLabels.of(64, 64, points.values()))
    common, rare = prepare(project, tiny_config(validation=0, class_weights="auto", patch_size=32)).class_weights
    assert rare / common == pytest.approx(3)
    assert prepare(project, tiny_config(validation=0, class_weights="1,2", patch_size=32)).class_weights == [1, 2]


@pytest.mark.parametrize(
    ("touching", "expected"), [("border", [1, 2, 1]), ("flow", [1, 2]), ("distance", [1, 2]), ("off", [1, 2])]
)
def test_weights_by_hand_are_for_background_and_classes(tmp_path, touching: str, expected: list[float]) -> None:
    project = make_project(tmp_path, images=1)
    assert prepare(project, tiny_config(validation=0, touching=touching, class_weights="1,2")).class_weights == expected


def test_limits_of_a_whole_set_come_from_a_bounded_number_of_pixels(tmp_path, monkeypatch) -> None:
    project = make_project(tmp_path, images=3)
    config = tiny_config(validation=0, normalization="dataset")
    whole = np.concatenate([disks(number)[0].ravel() for number in range(3)])
    exact = prepare(project, config).normalization.fixed
    np.testing.assert_allclose(exact[0], np.percentile(whole, [1, 99.8]))
    taken: list[int] = []

    def sample(channel: np.ndarray, most: float) -> np.ndarray:
        values = real(channel, most)
        taken.append(len(values))
        return values

    real = data.sample
    monkeypatch.setattr(data, "POOLED", 6000)
    monkeypatch.setattr(data, "sample", sample)
    np.testing.assert_allclose(prepare(project, config).normalization.fixed[0], exact[0], rtol=0.15)
    assert sum(taken) < 2 * 6000 < whole.size


def test_settings_that_cannot_be_are_named() -> None:
    with pytest.raises(MiaError, match="numbered from 0, not -2"):
        make_config({"channels": [0, -2]})
    with pytest.raises(MiaError, match="all 0"):
        check_for_task(make_config({"class_weights": "0,0"}), "segmentation", 1)
    with pytest.raises(MiaError, match="300 classes, at most 250"):
        check_for_task(make_config({}), "segmentation", 300)


def test_colour_made_grey_keeps_its_type() -> None:
    """So that 8-bit colour and 8-bit grey images are scaled alike."""
    rgb = np.stack([np.full((4, 4), v, np.uint8) for v in (10, 20, 31)])
    grey = match_channels(rgb, 1, True, "x")
    assert grey.dtype == np.uint8
    assert (grey == 20).all()


def test_tiles_of_a_small_network_of_one_size_overlap_by_less_than_their_side(tmp_path) -> None:
    project = make_project(tmp_path, images=1)
    material = prepare(project, tiny_config(validation=0))
    for size in (32, 64, 256):
        config = tiny_config(patch_size=size)
        spec = replace(make_spec("FPN", "tu-maxvit_nano_rw_256", 1, 2), image_size=size)
        tiling = tiling_of(config, replace(material, spec=spec))
        assert tiling.size == tiling.least == size
        first = starts(1000, tiling.size, tiling.overlap)
        assert first[0] == 0
        assert first[-1] == 1000 - size


def test_a_validation_frame_is_decoded_once(tmp_path, monkeypatch) -> None:
    from mia_tui.engine.tasks.segmentation import SegmentationTask

    project = make_project(tmp_path)
    shapes = []
    real = SegmentationTask.decode

    def decode(self, maps, decoding):
        shapes.append(maps.shape)
        return real(self, maps, decoding)

    monkeypatch.setattr(SegmentationTask, "decode", decode)
    train(Job(project, tiny_config(epochs=1, steps_per_epoch=1), new_run(project), "m", Recorder()))
    assert len(shapes) == 2, "one validation frame and the preview"
