"""Detection: from labels to targets, from maps to points, and the threshold that validation chooses."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import shapely
import tifffile
from engine_helpers import Recorder, new_run
from typer.testing import CliRunner

from mia_tui.cli import app
from mia_tui.engine.config import make_config
from mia_tui.engine.evaluate import evaluate_project
from mia_tui.engine.predict import predict_project
from mia_tui.engine.tasks.detection import DetectionTask, PointDecoding
from mia_tui.engine.tasks.task import Annotation, quantize
from mia_tui.engine.train import Job, train
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import read_frame, write_frame
from mia_tui.project import LabelClass, Project

TASK = DetectionTask()
CLASSES = (LabelClass("a", "#000000"), LabelClass("b", "#ffffff"))


def points_of(*rows: tuple[float, float, str]) -> FrameLabels:
    """(x, y, class) as files have them."""
    return FrameLabels.of(48, 64, [LabelObject(n, shapely.Point(x, y), name) for n, (x, y, name) in enumerate(rows, 1)])


def test_files_count_from_the_corner_arrays_from_the_centre_of_the_first_pixel() -> None:
    annotation = TASK.annotate(points_of((0.5, 0.5, "a"), (10.5, 20.5, "b")), CLASSES)
    np.testing.assert_allclose(annotation.points, [[0, 0], [20, 10]])
    assert annotation.classes.tolist() == [1, 2]
    config = make_config({"point_size": 5})
    target = TASK.target(annotation, (48, 64), config, 2)["heat"]
    assert np.unravel_index(target[0].argmax(), (48, 64)) == (0, 0)
    assert np.unravel_index(target[1].argmax(), (48, 64)) == (20, 10)
    found = TASK.decode(quantize(target), PointDecoding(0.5, 2.0))
    labels = TASK.to_labels(found, (48, 64), ["a", "b"])
    places = {item.label_class: (item.geometry.x, item.geometry.y) for item in labels.objects.values()}
    assert places["a"] == pytest.approx((0.5, 0.5), abs=0.3)
    assert places["b"] == pytest.approx((10.5, 20.5), abs=0.3)
    assert all(item.source == "predicted" for item in labels.objects.values())


def test_outlines_teach_by_their_centres() -> None:
    labels = FrameLabels.of(48, 64, [LabelObject(1, shapely.box(10, 20, 14, 26), "a")])
    np.testing.assert_allclose(TASK.annotate(labels, CLASSES).points, [[22.5, 11.5]])


def test_a_shrunk_frame_gives_places_of_the_full_one() -> None:
    small = TASK.decode(quantize(_peak(24, 32, 10, 12)), PointDecoding(0.5, 2.0))
    large = TASK.enlarge(small, (24, 32), (48, 64))
    np.testing.assert_allclose(large.positions, [[20.5, 24.5]], atol=0.6)


def _peak(height: int, width: int, y: int, x: int) -> np.ndarray:
    annotation = Annotation(np.ones(1, np.uint8), points=np.array([[y, x]], np.float32))
    return TASK.target(annotation, (height, width), make_config({"point_size": 5}), 1)["heat"]


def test_lengths_are_those_of_the_image_however_much_it_is_shrunk() -> None:
    full, half = (make_config({"point_size": 12, "match_radius": 6, "downscale": scale}) for scale in (1, 0.5))
    annotation = Annotation(np.ones(1, np.uint8), points=np.array([[20, 20]], np.float32))
    widths = [int((TASK.target(annotation, (41, 41), c, 1)["heat"][0, 20] >= 0.5).sum()) for c in (full, half)]
    assert widths == [13, 7]
    decoding = TASK.decoding(half, [])
    assert (decoding.distance, decoding.radius) == (3, 3)


def test_the_threshold_is_chosen_by_the_validation() -> None:
    truth = Annotation(np.ones(2, np.uint8), points=np.array([[10, 10], [30, 40]], np.float32))
    heat = np.maximum(_peak(48, 64, 10, 10) * 0.9, _peak(48, 64, 30, 40) * 0.75)
    heat = np.maximum(heat, _peak(48, 64, 40, 10) * 0.5)  # a false one
    start = PointDecoding(0.1, 2.0, 3.0)
    candidates = TASK.candidates(quantize(heat), start)
    tuned = TASK.tune(start, [(candidates, truth)])
    assert 0.5 < tuned.threshold < 0.75
    found = TASK.decode(quantize(heat), tuned)
    assert TASK.summarize([TASK.score("x", found, truth, tuned, 1)])["f1"] == 1
    np.testing.assert_array_equal(TASK.chosen(candidates, tuned).positions, found.positions)


def test_only_what_is_annotated_counts() -> None:
    known = np.zeros((48, 64), bool)
    known[:, :32] = True
    truth = Annotation(np.ones(1, np.uint8), points=np.array([[10, 10]], np.float32), known=known)
    heat = np.maximum(_peak(48, 64, 10, 10), _peak(48, 64, 30, 50))
    decoding = PointDecoding(0.5, 2.0, 3.0)
    scores = TASK.summarize([TASK.score("x", TASK.decode(quantize(heat), decoding), truth, decoding, 1)])
    assert scores["precision"] == 1
    target = TASK.target(truth, (48, 64), make_config({}), 1)
    assert target["known"][10, 10]
    assert not target["known"][30, 50]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Project:
    """Bright spots of two sizes are two classes: learnt in a few steps."""
    folder = tmp_path_factory.mktemp("spots")
    rng = np.random.default_rng(0)
    for split in ("train", "predict"):
        (folder / split).mkdir()
    project = None
    for number in range(4):
        split = "predict" if number == 3 else "train"
        places = [(y, x) for y in range(12, 90, 24) for x in range(12, 90, 24)]
        yy, xx = np.mgrid[:96, :96]
        image = rng.normal(100, 5, (96, 96))
        rows = []
        for index, (y, x) in enumerate(places):
            y, x = y + rng.integers(-4, 5), x + rng.integers(-4, 5)
            image += 300 * np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / (2 * (2.0 if index % 2 else 4.0) ** 2))
            rows.append((x + 0.5, y + 0.5, "a" if index % 2 else "b"))
        tifffile.imwrite(folder / split / f"im{number}.tif", image.clip(0).astype(np.uint16))
        if project is None:
            project = Project.create(
                folder / "p", images=folder / "train", predict_images=folder / "predict", classes=["a", "b"],
                task="detection",
            )  # fmt: skip
        key = f"im{number}.tif" if split == "train" else f"@predict/im{number}.tif"
        labels = FrameLabels.of(
            96, 96, [LabelObject(n, shapely.Point(x, y), name) for n, (x, y, name) in enumerate(rows, 1)]
        )
        if split == "train":
            write_frame(project.labels_path(key, "image"), labels)
    config = make_config({
        "encoder": "mobilenet_v2", "patch_size": 64, "batch_size": 4, "steps_per_epoch": 25, "epochs": 4, "ema": 0.9,
        "threads": 1, "device": "cpu", "validation_images": ["im2.tif"], "point_size": 5, "learning_rate": 5e-3,
        "augmentation": "none", "match_radius": 3,
    })  # fmt: skip
    train(Job(project, config, new_run(project), "spots", Recorder()))
    write_frame(project.labels_path(key, "image"), labels)  # of the last image, which is to be predicted
    return project


def test_spots_are_found_with_their_class(trained: Project) -> None:
    report = evaluate_project(trained, "spots", split="new", device="cpu")
    assert report["pooled"]["f1"] > 0.7
    assert report["pooled"]["mean_distance"] < 1.5
    shown = CliRunner().invoke(app, ["evaluate", str(trained.folder), "--model", "spots", "--split", "new"])
    assert shown.exit_code == 0
    assert "3 px" in shown.output


def test_predicted_points_as_shapes_and_as_tables(trained: Project, tmp_path) -> None:
    predict_project(trained, "spots", device="cpu", uncertainty=True, tta=True)
    frame = read_frame(trained.prediction_path("spots", "@predict/im3.tif", "image"))
    assert len(frame.objects) > 5
    one = frame.objects[1]
    assert one.geometry.geom_type == "Point"
    assert set(one.extra["properties"]["measurements"]) == {"uncertainty: entropy", "uncertainty: disagreement"}
    predict_project(trained, "spots", out=tmp_path / "out", device="cpu", tta=True)
    rows = list(csv.DictReader((tmp_path / "out" / "im3.tif.csv").read_text().splitlines()))
    assert len(rows) == len(frame.objects)
    assert float(rows[0]["x"]) == pytest.approx(one.geometry.x, abs=0.01)
    assert rows[0]["class"] == one.label_class


def test_the_radius_is_one_in_the_image_however_much_it_is_shrunk() -> None:
    """A point 5 pixels off in the image is found at match_radius 6 and not at 4, in validation as in evaluation."""
    for radius, found in ((6, 1), (4, 0)):
        config = make_config({"downscale": 0.5, "match_radius": radius, "point_size": 4})
        decoding = TASK.decoding(config, [])
        small = Annotation(np.ones(1, np.uint8), points=np.array([[10, 10]], np.float32))
        near = TASK.decode(quantize(_peak(24, 32, 10, 12)), decoding)
        near = replace(near, positions=near.positions + np.array([0, 0.5], np.float32))  # 2.5 of the small pixels
        large = TASK.enlarge(near, (24, 32), (48, 64))
        full = Annotation(np.ones(1, np.uint8), points=np.array([[20.5, 20.5]], np.float32))
        scores = [
            TASK.score("x", near, small, decoding, 1),
            TASK.score("x", large, full, TASK.enlarged(decoding, config.downscale), 1),
        ]
        assert [score.matching.right_class.tp for score in scores] == [found, found]


def test_frames_of_a_stack_are_predicted_one_by_one(tmp_path) -> None:
    """A stand-in that finds what is bright; the frames of the stack have one, none and two points."""
    import torch
    from engine_helpers import card

    from mia_tui.engine import predict as prediction
    from mia_tui.engine.normalize import Normalization
    from mia_tui.engine.predictor import Predictor

    class Heat(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.logit(x.clamp(1e-4, 1 - 1e-4))

    places = [[(12.0, 20.0)], [], [(40.0, 9.0), (8.0, 33.0)]]
    folder = tmp_path / "images"
    folder.mkdir()
    stack = [
        TASK.target(Annotation(np.ones(len(p), np.uint8), points=np.array(p, np.float32).reshape(-1, 2)), (48, 64),
                    make_config({"point_size": 6}), 1)["heat"][0]
        for p in places
    ]  # fmt: skip
    tifffile.imwrite(folder / "s.tif", np.rint(255 * np.stack(stack)).astype(np.uint8), imagej=True,
                     metadata={"axes": "ZYX"})  # fmt: skip
    project = Project.create(tmp_path / "p", images=folder, task="detection")
    one = card(
        task="detection", decoding=PointDecoding(0.5, 3.0), network=replace(card().network, out_channels=1),
        normalization=Normalization(kind="dataset", fixed=((0.0, 255.0),)),
    )  # fmt: skip
    predictor = Predictor(one, Heat(), device="cpu", tta=True, uncertainty=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction.Predictor, "load", lambda *_, **__: predictor)
        predict_project(project, "m", device="cpu", probabilities=True)
        summary = predict_project(project, "m", out=tmp_path / "out", device="cpu")
    assert (summary.frames, summary.objects) == (3, 3)
    for z, expected in enumerate(places):
        path = project.prediction_path("m", "s.tif", f"t0000z{z:04d}")
        objects = read_frame(path).objects.values()
        found = sorted((item.geometry.y - 0.5, item.geometry.x - 0.5) for item in objects)
        np.testing.assert_allclose(np.reshape(found, (-1, 2)), np.reshape(sorted(expected), (-1, 2)), atol=0.05)
        assert all(i.extra["properties"]["measurements"]["uncertainty: disagreement"] < 0.01 for i in objects)
        maps = tifffile.imread(path.with_name(f"{path.stem}.probabilities.tif"))
        np.testing.assert_allclose(np.squeeze(maps) / 255, stack[z], atol=0.01)
    rows = list(csv.DictReader((tmp_path / "out" / "s.tif.csv").read_text().splitlines()))
    assert [row["frame"] for row in rows] == ["0", "2", "2"]
