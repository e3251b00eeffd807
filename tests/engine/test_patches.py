"""What a network is shown: frames as arrays, and patches of them."""

import os
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from engine_helpers import disks, labels_of, make_project, tiny_config
from shapely.geometry import box

from mia_tui.engine.augment.geometry import margins
from mia_tui.engine.config import TrainConfig
from mia_tui.engine.inputs import Inputs, choose_channels
from mia_tui.engine.loader import patches_of
from mia_tui.engine.material import Material, prepare
from mia_tui.engine.patches import Patches
from mia_tui.engine.planes import PlaneCache
from mia_tui.engine.tasks.task import IGNORED
from mia_tui.errors import MiaError
from mia_tui.imaging.image import open_image, open_ref
from mia_tui.labeling.store import write_frame
from mia_tui.project import Project


def material_of(project: Project, config: TrainConfig) -> Material:
    return prepare(project, config.model_copy(update={"validation": 0.0}))


def patches_in(project: Project, config: TrainConfig, length: int) -> Patches:
    return patches_of(material_of(project, config), config, len(project.classes), length)


def test_patches_depend_on_seed_epoch_and_number_only(tmp_path) -> None:
    project = make_project(tmp_path)
    one, two = (patches_in(project, tiny_config(), 10) for _ in range(2))
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
    patches = patches_in(project, tiny_config(prefer_labelled=20), 40)
    contrasts = []
    for index in range(30):
        item = patches[index]
        cells = (item["target"] == 1).numpy()
        if 20 < cells.sum() < cells.size - 20:
            image = item["image"][0].numpy()
            contrasts.append(image[cells].mean() - image[(item["target"] == 0).numpy()].mean())
    assert len(contrasts) > 10
    assert min(contrasts) > 0.1


def test_images_smaller_than_a_patch_are_mirrored_and_nothing_is_learnt_there(tmp_path) -> None:
    (tmp_path / "small").mkdir()
    image, masks = disks(3, size=40, count=4)
    tifffile.imwrite(tmp_path / "small" / "a.tif", image)
    project = Project.create(tmp_path / "p", images=tmp_path / "small")
    write_frame(project.labels_path("a.tif", "image"), labels_of(masks))
    item = patches_in(project, tiny_config(augmentation="none"), 1)[0]
    assert item["image"].shape == (1, 64, 64)
    assert torch.equal(item["image"][0, :, 40:], item["image"][0, :, 16:40].flip(1))
    assert (item["target"][40:] == IGNORED).all()
    assert not (item["target"][:40, :40] == IGNORED).any()


def test_patches_show_what_is_around_them_in_corners_that_a_turn_brings_in(tmp_path) -> None:
    """Only a patch at the rim of its image has pixels that nobody knows."""
    folder = tmp_path / "images"
    folder.mkdir()
    image, masks = disks(3, size=320, count=60)
    tifffile.imwrite(folder / "a.tif", image)
    project = Project.create(tmp_path / "p", images=folder)
    write_frame(project.labels_path("a.tif", "image"), labels_of(masks))
    patches = patches_in(project, tiny_config(augment_rotate=180), 40)
    known = []
    for index in range(40):
        rng = np.random.default_rng([0, 0, index])
        _, top, left = patches._place(rng)
        sides = np.array(margins(patches._augment.warp(int(rng.integers(2**31)), (64, 64))))
        inside = (sides <= [top, 320 - 64 - top, left, 320 - 64 - left]).all()
        whole = bool((patches[index]["target"] != IGNORED).all())
        assert whole or not inside
        known.append(whole)
    assert 10 < sum(known) < 40


def test_the_rim_of_a_frame_is_drawn_as_often_as_its_middle(tmp_path) -> None:
    """A third of the frame lies nearer to a side than half a patch: these patches are moved to that side."""
    patches = patches_in(make_project(tmp_path), tiny_config(augmentation="none"), 1)
    places = np.array([patches._place(np.random.default_rng(seed))[1:] for seed in range(900)])
    for first in (0, 96 - 64):
        np.testing.assert_allclose((places == first).mean(axis=0), 1 / 3, atol=0.06)
    assert places.min() == 0
    assert places.max() == 96 - 64


@pytest.mark.parametrize("augmentation", ["none", "fluorescence"])
def test_points_are_not_learnt_where_a_patch_is_cut_out_of_its_frame(tmp_path, augmentation) -> None:
    """At the sides of the frame they are: what is marked there is the middle of what is seen."""
    project = make_project(tmp_path, task="detection")
    config = tiny_config(augmentation=augmentation, point_size=6, downscale=0.5)
    patches = patches_in(project, config.model_copy(update={"patch_size": 32}), 60)
    assert patches.task.rim(config) == 3
    for index in range(60):
        known = patches[index]["known"].numpy()
        assert known[3:-3, 3:-3].mean() > 0.6
        rng = np.random.default_rng([0, 0, index])
        frame, top, left = patches._place(rng)
        warp = patches._augment.warp(int(rng.integers(2**31)), (32, 32))
        sides = [top == 0, top + 32 == frame.shape[0], left == 0, left + 32 == frame.shape[1]]
        if warp is not None and warp.resampled:
            sides = [False] * 4
        seen = [known[0], known[-1], known[:, 0], known[:, -1]]
        assert sorted(bool(side[3:-3].all()) for side in seen) == sorted(sides)
        inner = known[3:-3, 3:-3]
        assert inner.all() or (warp is not None and warp.resampled)


def test_large_points_leave_the_middle_of_a_patch(tmp_path) -> None:
    project = make_project(tmp_path, task="detection")
    patches = patches_in(project, tiny_config(augmentation="none", point_size=100, patch_size=32), 10)
    for index in range(10):
        assert patches[index]["known"][8:-8, 8:-8].all()


def test_annotated_area_masks_the_loss(tmp_path) -> None:
    project = make_project(tmp_path, images=1)
    frame = labels_of(disks(0)[1])
    write_frame(project.labels_path("im0.tif", "image"), replace(frame, areas=(box(0, 0, 48, 96),)))
    patches = patches_in(project, tiny_config(augmentation="none", patch_size=96), 1)
    target, labels = patches[0]["target"].numpy(), disks(0)[1]
    outside = np.zeros((96, 96), bool)
    outside[:, 48:] = True
    assert (target[outside & (labels == 0)] == IGNORED).all()
    assert not (target[~outside] == IGNORED).any()


def test_rare_classes_can_be_drawn_as_often_as_common_ones(tmp_path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    image = np.zeros((400, 400), np.uint8)
    tifffile.imwrite(folder / "a.tif", image)
    masks = np.zeros((400, 400), np.uint16)
    for number in range(1, 41):
        y, x = divmod(number - 1, 8)
        masks[20 + 70 * y : 30 + 70 * y, 20 + 48 * x : 30 + 48 * x] = number
    project = Project.create(tmp_path / "p", images=folder, classes=["common", "rare"])
    labels = labels_of(masks, "common")
    rare = replace(labels.objects[40], label_class="rare")
    write_frame(project.labels_path("a.tif", "image"), replace(labels, objects={**labels.objects, 40: rare}))
    seen: Counter[float] = Counter()
    for oversample in (0.0, 1.0):
        config = tiny_config(augmentation="none", oversample=oversample, patch_size=32, touching="off")
        patches = patches_in(project, config, 200)
        seen[oversample] = sum(bool((patches[i]["target"] == 2).any()) for i in range(200))
    assert seen[0.0] < 30
    assert seen[1.0] > 80


def test_grey_and_colour_are_mixed_and_oddities_named(tmp_path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(folder / "grey.tif", np.zeros((32, 32), np.uint8))
    tifffile.imwrite(folder / "rgb.tif", np.zeros((32, 32, 3), np.uint8), photometric="rgb")
    project = Project.create(tmp_path / "p", images=folder)
    assert choose_channels(project, project.images(), None) == (3, None)
    assert choose_channels(project, project.images(), None, "grey") == (1, None)
    tifffile.imwrite(folder / "two.tif", np.zeros((2, 32, 32), np.uint16), imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(MiaError, match=r"two\.tif: 2"):
        choose_channels(project, project.images(), None)
    with pytest.raises(MiaError, match="neither"):
        choose_channels(project, project.images(), None, "rgb")
    assert choose_channels(project, project.images(), [0]) == (1, (0,))


def test_neighbours_come_lowest_first_and_the_last_plane_is_repeated(tmp_path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    planes = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((4, 8, 8), np.uint8)
    tifffile.imwrite(folder / "z.tif", planes, imagej=True, metadata={"axes": "ZYX"})
    project = Project.create(tmp_path / "p", images=folder)
    with open_ref(project, project.images()[0]) as image:
        inputs = Inputs(1, None, neighbours=1)
        assert inputs.channels == 3
        assert [int(c[0, 0]) for c in inputs.read(image, "t0000z0002", "z")] == [1, 2, 3]
        assert [int(c[0, 0]) for c in inputs.read(image, "t0000z0003", "z")] == [2, 3, 3]


def test_with_little_memory_planes_come_from_the_disk_and_are_the_same(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MIA_TUI_CACHE", str(tmp_path / "cache"))
    project = make_project(tmp_path)
    config = tiny_config()
    in_memory, on_disk = material_of(project, config), material_of(project, config.model_copy(update={"cache_gb": 0.0}))
    for one, two in zip(in_memory.train, on_disk.train, strict=True):
        assert isinstance(two.plane, np.memmap)
        assert isinstance(two.annotation.labels, np.memmap)
        np.testing.assert_array_equal(one.plane, two.plane)
        np.testing.assert_array_equal(one.annotation.labels, two.annotation.labels)
    assert in_memory.fingerprint() == on_disk.fingerprint()
    limited = PlaneCache(1e-5)
    kept = [limited.keep(np.ones(4000, np.uint8)) for _ in range(4)]
    assert [isinstance(array, np.memmap) for array in kept] == [False, False, True, True]


def test_cached_planes_are_those_of_the_image_as_it_is_now(tmp_path, monkeypatch) -> None:
    """A frame of a series that changes in place, and axes given anew, are not served from the cache."""
    monkeypatch.setenv("MIA_TUI_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "images" / "movie"
    folder.mkdir(parents=True)
    for t in range(2):
        tifffile.imwrite(folder / f"t{t}.tif", np.full((8, 8), t, np.uint8))
    tifffile.imwrite(tmp_path / "images" / "stack.tif", np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8),
                     photometric="minisblack")  # fmt: skip
    project = Project.create(tmp_path / "p", images=tmp_path / "images", series=["movie"])

    def read(key: str, frame: str, axes: str | None = None) -> np.ndarray:
        ref = next(ref for ref in project.images() if ref.key == key)
        with open_image(ref.path, axes=axes) as image:
            return np.array(PlaneCache(0.0).read(image, ref, frame, Inputs(1, chosen=(0,))))

    assert (read("movie", "t0001z0000") == 1).all()
    stat = folder.stat()
    tifffile.imwrite(folder / "t1.tif", np.full((8, 8), 9, np.uint8))
    os.utime(folder / "t1.tif", ns=(stat.st_mtime_ns + 10**9, stat.st_mtime_ns + 10**9))
    assert (read("movie", "t0001z0000") == 9).all()
    np.testing.assert_array_equal(read("stack.tif", "t0001z0000", "TYX")[0].ravel(), np.arange(64, 128))
    turned = read("stack.tif", "t0001z0000", "YXT")  # four rows, eight columns, eight frames
    assert turned.shape == (1, 4, 8)
