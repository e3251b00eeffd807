"""Segmentation: targets and decoding, exact where they can be, by hand where they are small."""

import numpy as np
import pytest
from engine_helpers import disks

from mia_tui.analysis.matching import match
from mia_tui.engine.config import make_config
from mia_tui.engine.separation.border import Options, border_weights, rim_distance
from mia_tui.engine.tasks.segmentation import Decoding, Objects, SegmentationTask, paint, smallest_size
from mia_tui.engine.tasks.task import IGNORED, Annotation, quantize
from mia_tui.simulate import simulate

TASK = SegmentationTask()


def target_of(
    labels: np.ndarray, classes: list[int], touching: str = "border", known: np.ndarray | None = None
) -> np.ndarray:
    annotation = Annotation(np.array([0, *classes], np.uint8), labels=labels, known=known)
    return paint(annotation, make_config({"touching": touching}), max(classes, default=1))


def decode(maps: np.ndarray, touching: str = "border", min_size: int = 10, **options: float) -> Objects:
    return TASK.decode(maps, Decoding(touching, min_size, Options(**options) if options else None))


def one_hot(target: np.ndarray, channels: int) -> np.ndarray:
    return quantize((np.arange(channels)[:, None, None] == target).astype(np.float32))


def test_rim_distance_by_hand() -> None:
    labels = np.zeros((7, 9), int)
    labels[1:6, 1:6] = 1
    labels[1:6, 6:8] = 2
    distance = rim_distance(labels)
    assert distance[3, 3] == pytest.approx(3, abs=0.1)
    assert (distance[1:6, 1] == 1).all()
    assert (distance[1:6, 5:8] == 1).all(), "both sides of a contact are rim"
    assert (distance[labels == 0] == 0).all()


def test_touching_objects_get_a_border_between_them() -> None:
    labels = np.zeros((20, 40), int)
    labels[2:18, 2:20] = 1
    labels[2:18, 20:38] = 2
    target = target_of(labels, [1, 1])
    assert (target[10, 17:23] == 2).all()
    assert target[10, 10] == 1
    assert target[0, 0] == 0


def test_a_small_object_keeps_an_inside() -> None:
    labels = np.zeros((20, 20), int)
    labels[5:12, 5:12] = 1
    target = target_of(labels, [1])
    assert (target == 1).sum() >= 9
    assert (target[5, 5:12] == 2).all()


def test_off_leaves_the_classes_as_they_are() -> None:
    labels = np.array([[0, 1, 1, 2, 2, 0]])
    assert (target_of(labels, [2, 1], "off") == np.array([[0, 2, 2, 1, 1, 0]])).all()


@pytest.mark.parametrize(("touching", "channels"), [("off", 3), ("border", 4), ("distance", 4), ("flow", 5)])
def test_outputs(touching: str, channels: int) -> None:
    assert TASK.outputs(make_config({"touching": touching}), 2) == channels


def test_outside_the_annotated_area_only_objects_are_known() -> None:
    labels = np.zeros((10, 20), int)
    labels[2:6, 8:12] = 1
    known = np.zeros((10, 20), bool)
    known[:, :10] = True
    target = target_of(labels, [1], "off", known)
    assert (target[labels > 0] == 1).all()
    assert (target[~known & (labels == 0)] == IGNORED).all()
    assert (target[known & (labels == 0)] == 0).all()


@pytest.mark.parametrize("density", ["sparse", "touching"])
def test_exact_targets_decode_to_the_truth(density: str) -> None:
    masks = simulate(1, 160, 160, seed=3, density=density).masks[0]
    target = target_of(masks, [1] * int(masks.max()))
    whole = decode(one_hot(target, 3), min_size=1, min_seed=1, waist=1)
    assert match(masks, whole.labels, (0.8,))[0].ap == 1.0
    parted = decode(one_hot(target, 3), min_size=1, min_seed=1)
    assert match(masks, parted.labels, (0.8,))[0].ap > 0.9


def test_what_the_network_left_joined_is_parted_at_its_waist() -> None:
    yy, xx = np.mgrid[:40, :70]
    left, right = (np.hypot(yy - 20, xx - x) <= 12 for x in (22, 44))
    probabilities = np.zeros((3, 40, 70), np.float32)
    probabilities[1] = left | right
    probabilities[0] = 1 - probabilities[1]
    found = decode(quantize(probabilities))
    assert found.labels.max() == 2
    assert match(np.where(left, 1, np.where(right, 2, 0)), found.labels, (0.9,))[0].ap == 1.0
    assert decode(quantize(probabilities), waist=1).labels.max() == 1
    stick = np.zeros((3, 40, 70), np.float32)
    stick[1, 15:25, 5:65] = 1
    stick[0] = 1 - stick[1]
    assert decode(quantize(stick)).labels.max() == 1, "a long object without a waist stays one"


def test_classes_and_scores_are_those_of_the_pixels() -> None:
    probabilities = np.zeros((4, 10, 20), np.float32)
    probabilities[0] = 1
    probabilities[:, 2:8, 2:8] = np.array([0.1, 0.2, 0.7, 0.0])[:, None, None]
    probabilities[:, 2:8, 12:18] = np.array([0.3, 0.6, 0.1, 0.0])[:, None, None]
    found = decode(quantize(probabilities))
    assert list(found.classes[1:]) == [2, 1]
    assert found.scores[1:] == pytest.approx([0.9, 0.7], abs=0.01)
    assert (found.labels[2:8, 2:8] == 1).all()


def test_off_parts_by_class_not_by_contact() -> None:
    target = np.zeros((10, 20), int)
    target[2:8, 2:10] = 1
    target[2:8, 10:18] = 2
    found = decode(one_hot(target, 3), "off")
    assert found.labels.max() == 2
    assert list(found.classes[1:]) == [1, 2]


def test_small_things_are_dropped_and_the_rest_renumbered() -> None:
    target = np.zeros((20, 30), int)
    target[2:5, 2:5] = 1
    target[8:18, 8:18] = 1
    found = decode(one_hot(target, 3), min_size=20)
    assert sorted(np.unique(found.labels)) == [0, 1]
    assert (found.labels[8:18, 8:18] == 1).all()


def test_nothing_found_is_no_error() -> None:
    found = decode(one_hot(np.zeros((8, 8), int), 3))
    assert found.labels.max() == 0
    assert len(found.scores) == 1


def test_border_weights_follow_the_formula() -> None:
    _, masks = disks(4)
    w0, sigma = 10.0, 5.0
    weights = border_weights(masks, w0, sigma)
    rng = np.random.default_rng(0)
    inside = {number: np.argwhere(masks == number) for number in np.unique(masks) if number}
    for y, x in rng.integers(0, 96, (60, 2)):
        if masks[y, x]:
            assert weights[y, x] == 1
            continue
        distances = sorted(np.hypot(*(pixels - (y, x)).T).min() for pixels in inside.values())
        expected = 1 + w0 * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2))
        assert weights[y, x] == pytest.approx(expected, rel=0.06, abs=0.02)


def test_one_object_alone_has_no_border_weight() -> None:
    labels = np.zeros((30, 30), int)
    labels[10:20, 10:20] = 1
    assert (border_weights(labels, 10, 5) == 1).all()


def test_smallest_size_is_learnt_from_the_labels() -> None:
    assert smallest_size(np.full(50, 100)) == 25
    assert smallest_size(np.array([6])) == 4
    assert smallest_size(np.array([])) == 4


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_flows_of_a_view_are_turned_back(turns: int, flip: bool) -> None:
    """A field that points at a place must point there again after the view is undone."""
    import torch

    yy, xx = torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing="ij")

    def pointing(y: float, x: float) -> torch.Tensor:
        """Maps with a flow towards (y, x), quantised as (v + 1) / 2."""
        field = torch.stack([y - yy, x - xx])
        field = field / field.norm(dim=0).clamp(min=1)
        return torch.cat([torch.zeros(2, 7, 7), (field + 1) / 2])[None]

    mark = torch.zeros(1, 1, 7, 7)
    mark[0, 0, 1, 5] = 1
    seen = torch.rot90(mark, turns, (2, 3))
    seen = seen.flip(3) if flip else seen
    y, x = (int(v) for v in seen[0, 0].nonzero()[0])
    back = torch.rot90(pointing(y, x).flip(3) if flip else pointing(y, x), -turns, (2, 3))
    found = TASK.turned(back, turns, flip, Decoding("flow"))
    torch.testing.assert_close(found, pointing(1, 5), atol=1e-5, rtol=0)
