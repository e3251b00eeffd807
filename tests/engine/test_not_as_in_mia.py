"""What the engine does right where the original MIA does not; the numbers are those of its bugs in our inventory.

Bugs that other test files cover are not repeated here.
"""

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest
import shapely
import tifffile
import torch
from engine_helpers import Recorder, card, disks, labels_of, make_project, new_run, tiny_config

from mia_tui.engine import train as training
from mia_tui.engine.bundle import load_model, save_model
from mia_tui.engine.config import make_config
from mia_tui.engine.data import fit_normalization, load_frames, with_limits
from mia_tui.engine.device import Precision
from mia_tui.engine.inputs import Inputs
from mia_tui.engine.loader import Loader, patches_of
from mia_tui.engine.material import prepare
from mia_tui.engine.networks import NetworkSpec, build_network
from mia_tui.engine.normalize import Normalization
from mia_tui.engine.planes import PlaneCache
from mia_tui.engine.predict import predict_project
from mia_tui.engine.predictor import Predictor
from mia_tui.engine.separation.border import Options, border_weights
from mia_tui.engine.splits import labelled_frames, split_frames
from mia_tui.engine.tasks import get_task
from mia_tui.engine.tasks.segmentation import Decoding, SegmentationTask, paint
from mia_tui.engine.tasks.task import IGNORED, Annotation, quantize
from mia_tui.engine.tiling import TiledNetwork, Tiling
from mia_tui.engine.train import Job, train
from mia_tui.imaging.image import open_ref
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import read_frame, write_frame
from mia_tui.project import Project

SEGMENTATION, DETECTION = get_task("segmentation"), get_task("detection")


# ---- 3, 4: labels and predictions are kept apart, and predictions are those of the last run -------------------------


class Constant(torch.nn.Module):
    """Says the same of every pixel: logits of background, inside and border."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = torch.ones_like(x[:, :1])
        return torch.cat([one * value for value in self.logits], 1)


@pytest.fixture
def model_says(monkeypatch):
    """Lets `predict_project` use stand-in networks."""

    def say(network: torch.nn.Module, **changes: object) -> None:
        predictor = Predictor(card(**changes), network.eval(), device="cpu")
        monkeypatch.setattr(Predictor, "load", lambda *_, **__: predictor)

    return say


def test_training_and_prediction_never_touch_labels(tmp_path) -> None:  # 3
    project = make_project(tmp_path)
    files = {path: path.read_bytes() for path in (project.folder / "labels").rglob("*") if path.is_file()}
    train(Job(project, tiny_config(epochs=1, steps_per_epoch=1), new_run(project), "m", Recorder()))
    keys = [ref.key for ref in project.images("train")]
    assert predict_project(project, "m", images=keys, device="cpu").images == 3
    assert {path: path.read_bytes() for path in (project.folder / "labels").rglob("*") if path.is_file()} == files


def test_an_empty_prediction_replaces_the_old_one(tmp_path, model_says) -> None:  # 4
    project = make_project(tmp_path, images=1)
    path = project.prediction_path("m", "@predict/im0.tif", "image")
    maps = path.with_name("image.probabilities.tif")
    model_says(Constant(-9, 9, -9))
    assert predict_project(project, "m", device="cpu", probabilities=True).objects == 1
    assert len(read_frame(path).objects) == 1
    assert tifffile.imread(path.with_suffix(".tif")).max() == 1
    assert maps.exists()
    model_says(Constant(9, -9, -9))
    assert predict_project(project, "m", device="cpu").objects == 0
    assert read_frame(path).objects == {}
    assert tifffile.imread(path.with_suffix(".tif")).max() == 0
    assert not maps.exists(), "probabilities of the prediction before would be taken for those of this one"


# ---- 9, 10: images and labels belong together by name ---------------------------------------------------------------

NAMES = ["exp.tif", "exp-2.tif", "exp 2.tif", "exp.v2.tif", "exp_001.tif", "exp.tif.tif", "EXP.tiff"]


def test_every_image_gets_its_own_labels_whatever_its_name(tmp_path) -> None:  # 9, 10
    """Stacks whose every frame shows one square at a place of its own, labelled there."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        stack = np.zeros((3, 40, 48), np.uint8)
        for t in range(3):
            stack[t, 8 * t : 8 * t + 6, 6 * number : 6 * number + 4] = 200
        tifffile.imwrite(folder / name, stack, imagej=True, metadata={"axes": "TYX"})
    project = Project.create(tmp_path / "p", images=folder)
    for number, name in enumerate(NAMES):
        for t in (0, 2):
            square = shapely.box(6 * number, 8 * t, 6 * number + 4, 8 * t + 6)
            labels = FrameLabels.of(40, 48, [LabelObject(1, square, "cell")])
            write_frame(project.labels_path(name, f"t{t:04d}z0000"), labels)
    listed = labelled_frames(project)
    frames = load_frames(project, listed, SEGMENTATION, Inputs(1), make_config({}), PlaneCache())
    assert len(frames) == 2 * len(NAMES)
    for frame in frames:
        np.testing.assert_array_equal(frame.plane[0] > 0, frame.annotation.labels > 0, frame.name)


def test_frames_beyond_the_thousandth_are_read(tmp_path) -> None:  # 10
    folder = tmp_path / "images"
    folder.mkdir()
    values = np.arange(10_002, dtype=np.uint16)[:, None, None] * np.ones((4, 4), np.uint16)
    tifffile.imwrite(folder / "long.tif", values, imagej=True, metadata={"axes": "TYX"})
    project = Project.create(tmp_path / "p", images=folder)
    wanted = ["t0999z0000", "t1000z0000", "t10001z0000"]
    for name in wanted:
        write_frame(project.labels_path("long.tif", name), labels_of(np.ones((4, 4), np.uint16)))
    listed = labelled_frames(project)
    assert sorted(name for _, name in listed) == sorted(wanted)
    frames = load_frames(project, listed, SEGMENTATION, Inputs(1), make_config({}), PlaneCache())
    assert {frame.frame: int(frame.plane[0, 0, 0]) for frame in frames} == dict(
        zip(wanted, (999, 1000, 10_001), strict=True)
    )


# ---- 12 to 14: values and channels ----------------------------------------------------------------------------------


def test_one_hot_pixel_does_not_dim_the_image() -> None:  # 12
    plane = np.random.default_rng(0).integers(100, 1000, (1, 64, 64)).astype(np.uint16)
    hot = plane.copy()
    hot[0, 5, 7] = 65535
    normalization = Normalization()
    clean, spoilt = (normalization.apply(p, normalization.limits(p))[0] for p in (plane, hot))
    rest = np.ones((64, 64), bool)
    rest[5, 7] = False
    np.testing.assert_allclose(spoilt[rest], clean[rest], atol=0.01)
    assert spoilt.max() == 1


def test_a_dim_frame_of_a_stack_is_not_hidden_by_a_bright_one(tmp_path) -> None:  # 12
    folder = tmp_path / "images"
    folder.mkdir()
    image, masks = disks(0)
    tifffile.imwrite(
        folder / "s.tif", np.stack([image // 20, image * 20]), imagej=True, metadata={"axes": "TYX"}
    )  # the second is 400 times as bright
    project = Project.create(tmp_path / "p", images=folder)
    for t in range(2):
        write_frame(project.labels_path("s.tif", f"t{t:04d}z0000"), labels_of(masks))
    frames = prepare(project, tiny_config(validation=0)).train
    dim, bright = (Normalization().apply(f.plane, f.limits)[0] for f in frames)
    for seen in (dim, bright):
        assert seen[masks > 0].mean() - seen[masks == 0].mean() > 0.5


def test_one_hot_pixel_does_not_move_the_limits_of_a_whole_set(tmp_path) -> None:  # 12
    project = make_project(tmp_path, images=2)
    material = prepare(project, tiny_config(validation=0, normalization="dataset"))
    hot = [replace(frame, plane=np.array(frame.plane)) for frame in material.train]
    hot[0].plane[0, 0, 0] = 65535
    config = tiny_config(validation=0, normalization="dataset")
    spoilt = with_limits(hot, fit_normalization(config, hot))
    for one, two in zip(material.train, spoilt, strict=True):
        np.testing.assert_allclose(one.limits, two.limits, rtol=0.01)


def test_16_bits_are_scaled_before_the_statistics_of_imagenet(tmp_path) -> None:  # 13
    plane = np.random.default_rng(0).integers(0, 60000, (3, 40, 40)).astype(np.uint16)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    normalization = Normalization(kind="imagenet", mean=mean, std=std)
    found = normalization.finish(normalization.apply(plane, normalization.limits(plane)))
    lowest, highest = -np.array(mean) / std, (1 - np.array(mean)) / std
    np.testing.assert_allclose(found.min((1, 2)), lowest, atol=1e-3)
    np.testing.assert_allclose(found.max((1, 2)), highest, atol=1e-3)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colour_reaches_the_network_as_red_green_blue(tmp_path, suffix: str) -> None:  # 13
    folder = tmp_path / "images"
    folder.mkdir()
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[..., 0], picture[..., 1], picture[..., 2] = 255, 128, 0
    if suffix == ".png":
        cv2.imwrite(str(folder / "a.png"), picture[..., ::-1])
    else:
        tifffile.imwrite(folder / "a.tif", picture, photometric="rgb")
    project = Project.create(tmp_path / "p", images=folder)
    labels = labels_of(np.ones((64, 64), np.uint16))
    write_frame(project.labels_path(f"a{suffix}", "image"), labels)
    config = tiny_config(validation=0, normalization="imagenet", augmentation="none")
    material = prepare(project, config)
    assert material.rgb
    seen = patches_of(material, config, 1, 1)[0]["image"].mean((1, 2))
    expected = (torch.tensor([1, 128 / 255, 0]) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor(
        [0.229, 0.224, 0.225]
    )
    torch.testing.assert_close(seen, expected, atol=1e-3, rtol=0)


def test_the_channels_asked_for_are_those_seen_in_training_and_prediction(tmp_path) -> None:  # 14
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    planes = np.stack([rng.integers(1000 * c, 1000 * c + 900, (64, 64)) for c in range(4)]).astype(np.uint16)
    tifffile.imwrite(folder / "a.tif", planes, imagej=True, metadata={"axes": "CYX"})
    project = Project.create(tmp_path / "p", images=folder)
    write_frame(project.labels_path("a.tif", "image"), labels_of(disks(0, 64, 3)[1]))
    material = prepare(project, tiny_config(validation=0, channels=[3, 1]))
    np.testing.assert_array_equal(material.train[0].plane, planes[[3, 1]])
    assert material.spec.in_channels == 2
    seen: list[np.ndarray] = []

    class Eye(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.numpy().copy())
            return torch.cat([x, x[:, :1]], 1)

    with open_ref(project, project.images()[0]) as image:
        whole = Tiling(64, 16, 1)
        Predictor(card(inputs=material.inputs, tiling=whole), Eye(), device="cpu").frame(image, "image", "a.tif")
    frame = material.train[0]
    np.testing.assert_array_equal(seen[0][0], material.normalization.apply(frame.plane, frame.limits))


# ---- 16, 18: metrics ------------------------------------------------------------------------------------------------


def test_the_last_class_is_scored_as_the_others_are() -> None:  # 16
    """Three classes; one half of the objects of the last is missed, which only its scores may tell."""
    labels = np.zeros((40, 60), np.int32)
    for number, (y, x) in enumerate([(2, 2), (2, 22), (2, 42), (22, 42)], 1):
        labels[y : y + 10, x : x + 10] = number
    truth = Annotation(np.array([0, 1, 2, 3, 3], np.uint8), labels=labels)
    maps = np.zeros((5, 40, 60), np.uint8)
    found = np.where(labels == 4, 0, truth.classes[labels])
    for number in range(4):
        maps[number] = np.where(found == number, 255, 0)
    task = SegmentationTask()
    decoding = Decoding("border", 4, Options())
    score = task.score("x", task.decode(maps, decoding), truth, decoding, 3)
    classes = task.report([score], ["a", "b", "c"])["classes"]["pooled"]["classes"]
    assert [classes[name]["iou"] for name in ("a", "b", "c")] == [1, 1, pytest.approx(0.5)]
    assert [classes[name]["dice"] for name in ("a", "b", "c")] == [1, 1, pytest.approx(2 / 3)]
    assert task.summarize([score])["ap50"] == pytest.approx(3 / 4)


def test_points_are_scored_in_objects_and_pixels() -> None:  # 18
    """Two of three points are found, 3 and 1 pixels away, and one that is none; a second frame misses two."""
    config = make_config({"point_size": 5, "match_radius": 4})
    decoding = replace(DETECTION.decoding(config, []), threshold=0.5, distance=2.0)

    def frame(true: list, seen: list):
        truth = Annotation(np.ones(len(true), np.uint8), points=np.array(true, np.float32).reshape(-1, 2))
        drawn = Annotation(np.ones(len(seen), np.uint8), points=np.array(seen, np.float32).reshape(-1, 2))
        found = DETECTION.decode(quantize(DETECTION.target(drawn, (50, 60), config, 1)["heat"]), decoding)
        return DETECTION.score("x", found, truth, decoding, 1)

    scores = DETECTION.summarize([
        frame([(10, 10), (30, 10), (40, 50)], [(10, 13), (31, 10), (10, 50)]), frame([(10, 10), (30, 30)], []),
    ])  # fmt: skip
    assert scores["f1"] == pytest.approx(2 * 2 / (5 + 3))
    assert scores["precision"] == pytest.approx(2 / 3)
    assert scores["recall"] == pytest.approx(2 / 5)
    assert scores["localization"] == pytest.approx(2, abs=0.1)
    assert scores["count_mae"] == pytest.approx((0 + 2) / 2)


# ---- 21: weight map -------------------------------------------------------------------------------------------------


def test_border_weights_are_fractions_and_take_memory_by_pixels_not_by_objects() -> None:  # 21
    few, many = np.zeros((400, 400), np.int32), np.zeros((400, 400), np.int32)
    few[10:16, 10:16], few[10:16, 20:26] = 1, 2
    for number in range(1600):
        y, x = divmod(number, 40)
        many[10 * y + 1 : 10 * y + 7, 10 * x + 1 : 10 * x + 7] = number + 1
    weights = border_weights(few, 2.0, 3.0)
    assert 0 < np.abs(weights - np.rint(weights)).max() <= 0.5
    between = weights[13, 16:20]  # distances 1 + 4, 2 + 3, 3 + 2, 4 + 1
    np.testing.assert_allclose(between, 1 + 2 * np.exp(-(5**2) / (2 * 3**2)), rtol=0.02)
    tracemalloc.start()
    border_weights(many, 10.0, 5.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * many.size, "a map per object would take 1600 times 4 bytes a pixel"


def test_labelled_parts_are_preferred_with_a_weight_map_too(tmp_path) -> None:  # 21
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", np.zeros((512, 512), np.uint8))
    masks = np.zeros((512, 512), np.uint16)
    masks[246:266, 246:266] = 1
    project = Project.create(tmp_path / "p", images=folder)
    write_frame(project.labels_path("a.tif", "image"), labels_of(masks))
    hits = {}
    for redraws in (0, 50):
        config = tiny_config(
            validation=0, patch_size=64, prefer_labelled=redraws, border_weight=10, augmentation="none"
        )
        patches = patches_of(prepare(project, config), config, 1, 40)
        hits[redraws] = sum(bool((patches[i]["target"] > 0).any()) for i in range(40))
        assert all(patches[i]["weights"].min() >= 1 for i in range(3))
    assert hits[0] < 6
    assert hits[50] > 20


# ---- 23, 24: splits, the best weights, validation -------------------------------------------------------------------


def test_the_split_is_drawn_by_the_seed_and_keeps_stacks_whole(tmp_path) -> None:  # 23
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(5):
        stack = np.stack([disks(number + t, 32, 2)[0] for t in range(3)])
        tifffile.imwrite(folder / f"s{number}.tif", stack, imagej=True, metadata={"axes": "TYX"})
    project = Project.create(tmp_path / "p", images=folder)
    for number in range(5):
        for t in range(3):
            write_frame(project.labels_path(f"s{number}.tif", f"t{t:04d}z0000"), labels_of(disks(number + t, 32, 2)[1]))
    held = []
    for seed in (0, 0, 1, 2, 3):
        learnt, validation = split_frames(labelled_frames(project), tiny_config(validation=0.4, seed=seed))
        assert {ref.key for ref, _ in learnt}.isdisjoint(ref.key for ref, _ in validation)
        assert (len(learnt), len(validation)) == (9, 6)
        held.append(frozenset(ref.key for ref, _ in validation))
    assert held[0] == held[1]
    assert len(set(held)) > 1


def test_the_best_weights_by_validation_are_kept_and_plateau_watches_it(tmp_path, monkeypatch) -> None:  # 23
    """The training loss has no say: what the validation calls best in the middle of a training becomes the model."""
    project = make_project(tmp_path)
    values = iter([0.2, 0.9, 0.1, 0.3])
    seen: list[dict[str, torch.Tensor]] = []

    def validate(predictor, frames, config, class_count):
        seen.append({key: value.clone() for key, value in predictor.network.model.state_dict().items()})
        return {"ap": next(values)}, 0.0, predictor.card.decoding

    monkeypatch.setattr(training, "validate", validate)
    reporter = Recorder()
    config = tiny_config(epochs=4, steps_per_epoch=1, schedule="plateau", patience=1, warmup=0, rate_factor=0.1)
    train(Job(project, config, new_run(project), "m", reporter))
    info, model = load_model(project.models_folder / "m")
    assert info.training["best_epoch"] == 2
    assert info.metrics == {"ap": 0.9}
    own = model.state_dict()
    assert all(torch.equal(own[key], value) for key, value in seen[1].items())
    assert any(not torch.equal(own[key], value) for key, value in seen[3].items())
    assert [event["best"] for event in reporter.of("epoch")] == [True, True, False, False]


def test_validation_looks_at_every_pixel_once_with_any_number_of_workers(tmp_path, monkeypatch) -> None:  # 24
    project = make_project(tmp_path)
    frame = tiny_config(validation_images=["im2.tif"], epochs=1, steps_per_epoch=2)
    results, pixels = [], []
    real = SegmentationTask.summarize

    def summarize(self, scores, pixel=1.0):
        pixels.append([int(score.confusion.sum()) for score in scores])
        return real(self, scores, pixel)

    monkeypatch.setattr(SegmentationTask, "summarize", summarize)
    for workers in (0, 2):
        reporter = Recorder()
        config = frame.model_copy(update={"workers": workers})
        train(Job(project, config, new_run(project, f"w{workers}"), f"w{workers}", reporter))
        results.append({name: reporter.of("epoch")[0][name] for name in ("train_loss", "val_loss", "metrics")})
    assert results[0] == results[1]
    assert pixels == [[96 * 96]] * 2


def test_batches_are_the_same_with_any_number_of_workers(tmp_path) -> None:  # 24
    project = make_project(tmp_path)
    drawn = []
    for workers in (0, 2):
        config = tiny_config(validation=0, steps_per_epoch=4, workers=workers)
        loader = Loader(prepare(project, config), config, 1, torch.device("cpu"))
        drawn.append([batch["image"] for batch in loader.batches(3, 1)])
    assert len(drawn[0]) == len(drawn[1]) == 3
    assert all(torch.equal(one, two) for one, two in zip(*drawn, strict=True))


# ---- 25: annotated areas --------------------------------------------------------------------------------------------


def test_annotated_areas_mask_the_loss_and_leave_the_image_alone(tmp_path) -> None:  # 25
    project = make_project(tmp_path, images=1)
    path = project.labels_path("im0.tif", "image")
    config = tiny_config(validation=0, augmentation="none", patch_size=96, border_weight=5, touching="border")
    images, items = [], []
    for areas in ((), (shapely.box(0, 0, 48, 96),)):
        write_frame(path, replace(labels_of(disks(0)[1]), areas=areas))
        items.append(patches_of(prepare(project, config), config, 1, 1)[0])
        images.append(items[-1]["image"])
    assert torch.equal(*images)
    unknown = items[1]["target"] == IGNORED
    assert unknown.any()
    assert not (items[0]["target"] == IGNORED).any()
    output = torch.randn(1, 3, 96, 96, generator=torch.manual_seed(0)).requires_grad_()
    batch = {name: tensor[None] for name, tensor in items[1].items()}
    loss = SEGMENTATION.loss(output, batch, config, torch.tensor([1.0, 2.0, 3.0]))
    (slope,) = torch.autograd.grad(loss, output)
    assert (slope[0][:, unknown] == 0).all()
    assert (slope[0][:, ~unknown] != 0).any()


def test_areas_shrink_with_the_image(tmp_path) -> None:  # 25
    project = make_project(tmp_path, images=1)
    areas = (shapely.box(0, 0, 48, 96),)
    write_frame(project.labels_path("im0.tif", "image"), replace(labels_of(disks(0)[1]), areas=areas))
    config = tiny_config(validation=0, downscale=0.5)
    annotation = prepare(project, config).train[0].annotation
    expected = np.zeros((48, 48), bool)
    expected[:, :24] = True
    np.testing.assert_array_equal(annotation.known, expected)
    target = paint(annotation, config, 1)
    assert (target[:, :24] != IGNORED).all()
    assert (target[:, 24:][annotation.labels[:, 24:] == 0] == IGNORED).all()


# ---- 28 to 30: sizes ------------------------------------------------------------------------------------------------


class Identity(torch.nn.Module):
    """What goes in comes out. Remembers the tiles that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.tiles: list[np.ndarray] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.tiles.append(x.numpy().copy())
        return x


def through(network: torch.nn.Module, image: np.ndarray, **tiling: int) -> np.ndarray:
    tiled = TiledNetwork(
        network, torch.device("cpu"), Precision("cpu", None, False), Tiling(**tiling), activate=lambda output: output
    )
    bands = tiled.bands(*image.shape, lambda rows, columns: image[None, rows, columns])
    return np.concatenate([values for _, values in bands], axis=1)[0]


@pytest.mark.parametrize(
    ("shape", "size"),
    [((150, 400), 224), ((223, 1000), 224), ((450, 1200), 512), ((400, 150), 224), ((225, 224), 224), ((96, 640), 96)],
)
def test_nothing_is_shifted_whatever_the_size(shape: tuple[int, int], size: int) -> None:  # 28, 29
    image = np.random.default_rng(0).random(shape, np.float32)
    found = through(Identity(), image, size=size, overlap=size // 4, batch=2, least=size)
    assert found.shape == shape
    np.testing.assert_allclose(found, image, atol=1e-6)


@pytest.mark.parametrize("shape", [(40, 70), (7, 9), (100, 20)])
def test_small_images_are_mirrored_not_stretched(shape: tuple[int, int]) -> None:  # 30
    image = np.random.default_rng(0).random(shape, np.float32)
    network = Identity()
    found = through(network, image, size=128, overlap=16, batch=1, least=128)
    np.testing.assert_allclose(found, image, atol=1e-6)
    (tile,) = network.tiles
    assert tile.shape == (1, 1, 128, 128)
    missing = [(0, 128 - side) for side in shape]
    np.testing.assert_array_equal(tile[0, 0], np.pad(image, missing, mode="symmetric"))


# ---- 31, 32: objects ------------------------------------------------------------------------------------------------


class Ramp(torch.nn.Module):
    """Logits of an image that is 1 on objects: background or inside, no border."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sure = 40 * (x - 0.5)
        return torch.cat([-sure, sure, torch.full_like(x, -60)], 1)


def test_more_objects_than_8_bits_can_count_survive_to_the_files(tmp_path, model_says) -> None:  # 31
    yy, xx = np.mgrid[:250, :250]
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", (((yy % 10) < 6) & ((xx % 10) < 6)).astype(np.uint8) * 200)
    project = Project.create(tmp_path / "p", images=folder)
    model_says(Ramp(), decoding=Decoding("border", 4, Options()), normalization=Normalization(0, 100))
    assert predict_project(project, "m", device="cpu", out=tmp_path / "out").objects == 625
    predict_project(project, "m", device="cpu")
    path = project.prediction_path("m", "a.tif", "image")
    assert len(read_frame(path).objects) == 625
    expected = np.arange(626)
    assert (np.unique(tifffile.imread(path.with_suffix(".tif"))) == expected).all()
    assert (np.unique(tifffile.imread(tmp_path / "out" / "a.tif.tif")) == expected).all()


def test_more_objects_than_16_bits_can_count_survive_to_the_files(tmp_path) -> None:  # 31
    side, count = 3 * 257, 257**2
    yy, xx = np.mgrid[:side, :side]
    inside = (((yy % 3) < 2) & ((xx % 3) < 2)).astype(np.uint8) * 255
    maps = np.stack([255 - inside, inside, np.zeros_like(inside)])
    found = SEGMENTATION.decode(maps, Decoding("border", 4, Options(min_seed=4)))
    assert SEGMENTATION.count(found) == count > 2**16
    assert (np.bincount(found.labels.ravel())[1:] == 4).all()
    SEGMENTATION.write_out(tmp_path, "a", [found], ["image"], (), ["cell"])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), found.labels)
    labels = SEGMENTATION.to_labels(found, (side, side), ["cell"])
    assert len(labels.objects) == count
    y, x = np.argwhere(found.labels == count)[0]
    assert labels.objects[count].geometry.equals(shapely.box(x, y, x + 2, y + 2))


@pytest.mark.parametrize("touching", ["border", "distance", "flow"])
def test_objects_along_the_image_border_are_found_and_parted(touching: str) -> None:  # 32
    """Touching squares of 12 pixels all along the border and in the corners, nothing farther in."""
    labels = np.zeros((96, 96), np.int32)
    number = 0
    for y in range(0, 96, 12):
        for x in range(0, 96, 12):
            if y in (0, 84) or x in (0, 84):
                number += 1
                labels[y : y + 12, x : x + 12] = number
    truth = Annotation(np.r_[0, np.ones(number)].astype(np.uint8), labels=labels)
    config = make_config({"touching": touching})
    targets = SEGMENTATION.target(truth, labels.shape, config, 1)
    channels = 2 + (touching == "border")
    maps = [np.where(targets["target"] == c, 255, 0).astype(np.uint8) for c in range(channels)]
    if touching == "distance":
        maps += list(quantize(targets["distance"].reshape(-1, 96, 96)))
    elif touching == "flow":
        maps += list(quantize((targets["flow"].reshape(-1, 96, 96) + 1) / 2))
    decoding = SEGMENTATION.decoding(config, [truth])
    found = SEGMENTATION.decode(np.stack(maps), decoding)
    assert SEGMENTATION.count(found) == number == 28
    scores = SEGMENTATION.summarize([SEGMENTATION.score("x", found, truth, decoding, 1)])
    assert scores["ap50"] == 1
    assert scores["pq"] > 0.95


# ---- 33: thresholds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [1, 3])
def test_thresholds_are_those_of_the_model_file_with_any_number_of_classes(tmp_path, classes: int) -> None:  # 33
    """A faint object counts or not as the model file says, not by a fixed half."""
    maps = np.zeros((classes + 2, 40, 40), np.uint8)
    maps[classes, 10:20, 10:20] = 100  # the last class, with a probability of 0.39
    maps[0] = 255 - maps[classes]
    strict, lenient = Options(), Options(foreground=0.3, inside=0.35)
    network = NetworkSpec("Unet", "tu-mobilenetv3_small_050", 1, classes + 2, (16, 8, 8, 8, 8))
    for options, expected in ((strict, 0), (lenient, 1)):
        names = tuple((f"c{n}", "#000000") for n in range(classes))
        written = card(decoding=Decoding("border", 4, options), network=network, classes=names)
        save_model(tmp_path / "m", written, build_network(network).state_dict())
        loaded, _ = load_model(tmp_path / "m")
        found = SEGMENTATION.decode(maps, loaded.decoding)
        assert SEGMENTATION.count(found) == expected
        assert found.classes[1:].tolist() == [classes] * expected
