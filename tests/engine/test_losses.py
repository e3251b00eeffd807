"""Losses against torch, smp, brute force and hand-worked cases."""

import itertools
import math

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mia_tui.engine.loss_terms import CLASSIFICATION_LOSSES, DETECTION_LOSSES, SEGMENTATION_LOSSES, parse_loss
from mia_tui.engine.losses.class_weights import auto_weights
from mia_tui.engine.losses.heatmap import MOST_BALANCE, heatmap_loss
from mia_tui.engine.losses.image import image_loss
from mia_tui.engine.losses.pixel import dice_loss, lovasz_loss, pixel_loss, region_loss, weighted_cross_entropy
from mia_tui.engine.losses.regression import FLOW_SCALE, distance_loss, flow_loss
from mia_tui.engine.tasks.task import IGNORED


def example(classes: int = 3, height: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (2, height, 7)
    return torch.randn(2, classes, *shape[1:], generator=generator), torch.randint(
        0, classes, shape, generator=generator
    )


def one(name: str) -> tuple[tuple[str, float], ...]:
    return ((name, 1.0),)


# ---- expressions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "terms"),
    [("dice", (("dice", 1.0),)),
     ("cross_entropy + 0.5 * dice", (("cross_entropy", 1.0), ("dice", 0.5))),
     (" 2*dice+kl ", (("dice", 2.0), ("kl", 1.0))),
     ("1e-2*dice + 1e+2 * kl + 5.*focal", (("dice", 0.01), ("kl", 100.0), ("focal", 5.0)))],
)  # fmt: skip
def test_a_loss_is_read(text: str, terms: tuple[tuple[str, float], ...]) -> None:
    assert parse_loss(text, SEGMENTATION_LOSSES) == terms


@given(
    st.dictionaries(st.sampled_from(SEGMENTATION_LOSSES), st.floats(1e-30, 1e30), min_size=1),
    st.sampled_from(["", " ", "  "]),
)
def test_every_sum_that_can_be_written_is_read(weights: dict[str, float], blank: str) -> None:
    text = f"{blank}+{blank}".join(f"{value!r}{blank}*{blank}{name}" for name, value in weights.items())
    assert dict(parse_loss(text, SEGMENTATION_LOSSES)) == weights


@pytest.mark.parametrize(
    ("text", "named"),
    [("dise", "'dise'.*cross_entropy, focal, dice"), ("", "unknown loss ''"), ("dice +", "unknown loss ''"),
     ("dice + 2*dice", "twice"), ("0*dice", "'0' is no weight"), ("-1*dice", "no weight"), ("x*dice", "'x' is no"),
     ("nan*dice", "no weight"), ("inf*dice", "no weight"), ("dice*2", "unknown loss '2'")],
)  # fmt: skip
def test_what_is_wrong_with_a_loss_is_said(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_loss(text, SEGMENTATION_LOSSES)


def test_every_name_has_its_loss_and_no_other_has() -> None:
    logits, target = example()
    image, heat = (logits[:, :, 0, 0], target[:, 0, 0]), (logits, torch.rand(2, 3, 5, 7))
    for losses, function, arguments in (
        (SEGMENTATION_LOSSES, pixel_loss, (logits, target)),
        (CLASSIFICATION_LOSSES, image_loss, image),
        (DETECTION_LOSSES, heatmap_loss, heat),
    ):
        for name in losses:
            assert math.isfinite(function(*arguments, one(name)))
        with pytest.raises(ValueError, match="bogus"):
            function(*arguments, one("bogus"))


# ---- pixels ---------------------------------------------------------------------------------------------------------


def test_cross_entropy_is_torchs_and_ignored_pixels_do_not_count() -> None:
    logits, target = example()
    assert weighted_cross_entropy(logits, target) == pytest.approx(F.cross_entropy(logits, target).item(), rel=1e-5)
    hidden = target.clone()
    hidden[0] = IGNORED
    changed = logits.clone()
    changed[0] = 100 * torch.rand(3, 5, 7)
    for name in SEGMENTATION_LOSSES:
        alone = pixel_loss(logits[1:], target[1:], one(name), smoothing=0.1).item()
        assert pixel_loss(changed, hidden, one(name), smoothing=0.1).item() == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_class_weights_and_smoothing_are_torchs(smoothing: float) -> None:
    logits, target = example()
    target[0, :2] = IGNORED
    weights = torch.tensor([0.2, 1.0, 3.0])
    own = pixel_loss(logits, target, one("cross_entropy"), class_weights=weights, smoothing=smoothing)
    truth = F.cross_entropy(logits, target, weights, ignore_index=IGNORED, label_smoothing=smoothing)
    assert own.item() == pytest.approx(truth.item(), rel=1e-5)


def test_only_ratios_of_class_weights_matter() -> None:
    logits, target = example()
    weights = torch.tensor([0.2, 1.0, 3.0])
    for name in SEGMENTATION_LOSSES:
        small, large = (pixel_loss(logits, target, one(name), class_weights=f * weights).item() for f in (1, 50))
        assert small == pytest.approx(large, rel=1e-5)
        assert small != pytest.approx(pixel_loss(logits, target, one(name)).item(), rel=1e-4)
        equal = pixel_loss(logits, target, one(name), class_weights=torch.full((3,), 0.25)).item()
        assert equal == pytest.approx(pixel_loss(logits, target, one(name)).item(), rel=1e-5)


def test_a_weight_map_scales_its_pixels() -> None:
    logits, target = example()
    weights = torch.ones(2, 5, 7)
    weights[1] = 3
    for name in ("cross_entropy", "focal", "kl"):
        parts = [pixel_loss(logits[i : i + 1], target[i : i + 1], one(name)).item() for i in (0, 1)]
        whole = pixel_loss(logits, target, one(name), weights=weights).item()
        assert whole == pytest.approx((parts[0] + 3 * parts[1]) / 2, rel=1e-5)


def test_focal_loss_by_its_formula_and_by_hand() -> None:
    logits, target = example()
    p = logits.softmax(1).gather(1, target[:, None])
    for gamma in (0.5, 2.0, 5.0):
        expected = ((1 - p) ** gamma * -p.log()).mean().item()
        assert pixel_loss(logits, target, one("focal"), gamma=gamma).item() == pytest.approx(expected, rel=1e-4)
    # one pixel, probabilities 1/4 and 3/4: (3/4)^2 log 4
    logits = torch.tensor([0.0, math.log(3)])[None, :, None, None]
    assert pixel_loss(logits, torch.zeros(1, 1, 1, dtype=torch.long), one("focal")).item() == pytest.approx(
        9 / 16 * math.log(4), rel=1e-5
    )


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    logits, target = example()
    own = pixel_loss(logits, target, one("focal"), gamma=0.0)
    assert own.item() == pytest.approx(F.cross_entropy(logits, target).item(), rel=1e-5)


def test_binary_focal_loss_is_smps_without_its_alpha_and_classes_are_alike() -> None:
    """MIA halves or quarters the foreground by default (its bug 19)."""
    logits, target = example(2)
    reference = smp.losses.FocalLoss("binary", alpha=None, gamma=2.0)
    expected = reference((logits[:, 1] - logits[:, 0])[:, None], target[:, None].float()).item()
    own = pixel_loss(logits, target, one("focal")).item()
    assert own == pytest.approx(expected, rel=1e-4)
    assert pixel_loss(logits.flip(1), 1 - target, one("focal")).item() == pytest.approx(own, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_kl_is_torchs(smoothing: float) -> None:
    logits, target = example()
    q = F.one_hot(target, 3).movedim(-1, 1) * (1 - smoothing) + smoothing / 3
    expected = F.kl_div(logits.log_softmax(1), q, reduction="none").sum(1).mean().item()
    assert pixel_loss(logits, target, one("kl"), smoothing=smoothing).item() == pytest.approx(expected, rel=1e-4)
    if smoothing:
        assert pixel_loss(q.log(), target, one("kl"), smoothing=smoothing).item() == pytest.approx(0, abs=1e-5)


def test_regions_by_hand() -> None:
    logits = torch.zeros(1, 2, 2, 2)
    target = torch.tensor([[[0, 0], [1, 1]]])
    # all probabilities 1/2: in both classes 1 of 2 pixels is hit, 1 is false positive, 1 false negative
    assert dice_loss(logits, target, smooth=1.0).item() == pytest.approx(1 - (2 + 1) / (4 + 1))
    assert pixel_loss(logits, target, one("dice")).item() == pytest.approx(1 - 3 / 5)
    assert pixel_loss(logits, target, one("jaccard")).item() == pytest.approx(1 - (1 + 1) / (3 + 1))
    assert pixel_loss(logits, target, one("tversky"), alpha=0.3).item() == pytest.approx(1 - 2 / (1 + 0.3 + 0.7 + 1))
    # three pixels of class 1, one of class 0
    target = torch.tensor([[[0, 1], [1, 1]]])
    first, second = 1.5 / (0.5 + 0.3 * 1.5 + 0.7 * 0.5 + 1), 2.5 / (1.5 + 0.3 * 0.5 + 0.7 * 1.5 + 1)
    own = pixel_loss(logits, target, one("tversky"), alpha=0.3).item()
    assert own == pytest.approx(1 - (first + second) / 2)


def test_regions_are_those_of_smp() -> None:
    logits, target = example()
    for name, reference in (
        ("dice", smp.losses.DiceLoss("multiclass", smooth=0.5)),
        ("jaccard", smp.losses.JaccardLoss("multiclass", smooth=1.0)),
        ("tversky", smp.losses.TverskyLoss("multiclass", smooth=1.0, alpha=0.2, beta=0.8)),
    ):
        own = pixel_loss(logits, target, one(name), alpha=0.2).item()
        assert own == pytest.approx(reference(logits, target).item(), rel=1e-5)


def test_every_class_counts_the_last_too() -> None:
    """MIA's Dice and IoU leave out the last class (its bug 16)."""
    _, target = example()
    right = 30.0 * F.one_hot(target, 3).movedim(-1, 1).float()
    for name, lost in itertools.product(SEGMENTATION_LOSSES, range(3)):
        wrong = torch.where((target == lost)[:, None], right.roll(1, dims=1), right)
        assert pixel_loss(right, target, one(name)).item() < 0.01
        assert pixel_loss(wrong, target, one(name)).item() > 0.2


def test_dice_is_of_regions_not_of_pixels() -> None:
    """MIA's "Dice" is taken pixel by pixel (its bug 20): there a class that is missed in 1 of 8 pixels costs 1/8."""
    logits = torch.tensor([[8.0, -8.0], [8.0, -8.0]]).T[None, :, None, :].repeat(1, 1, 1, 4)
    target = torch.tensor([[[0, 0, 0, 0, 0, 0, 0, 1]]])
    # class 0 hits 7 of 8, class 1 hits nothing: region overlaps, not the share of right pixels
    assert dice_loss(logits, target, smooth=0.0).item() == pytest.approx(1 - (14 / 15 + 0) / 2, abs=1e-3)


def brute_lovasz(probability: np.ndarray, truth: np.ndarray) -> float:
    """Lovász extension of the Jaccard loss by its definition: sum of error x rise of J by one more of the worst."""
    losses = []
    for c in np.unique(truth[truth != IGNORED]):
        pixels = [(abs((t == c) - p[c]), t == c) for p, t in zip(probability, truth, strict=True) if t != IGNORED]
        pixels.sort(key=lambda pair: -pair[0])
        inside = sum(there for _, there in pixels)
        total, before, missed, extra = 0.0, 0.0, 0, 0
        for error, there in pixels:
            missed, extra = missed + there, extra + (not there)
            now = 1 - (inside - missed) / (inside + extra)
            total, before = total + error * (now - before), now
        losses.append(total)
    return float(np.mean(losses))


def test_lovasz_is_its_definition_and_smps() -> None:
    logits, target = example(4)
    target[target == 2] = 1
    reference = smp.losses.LovaszLoss("multiclass", ignore_index=IGNORED)
    for hidden in (0, 3):
        target[0, :hidden] = IGNORED
        own = lovasz_loss(logits, target).item()
        p = logits.softmax(1).movedim(1, -1).reshape(-1, 4).numpy()
        assert own == pytest.approx(brute_lovasz(p, target.flatten().numpy()), rel=1e-5)
        assert own == pytest.approx(reference(logits, target).item(), rel=1e-5)


def test_lovasz_of_certain_answers_is_one_minus_mean_iou() -> None:
    _, target = example()
    answer = target.roll(1, 2)
    logits = 60.0 * F.one_hot(answer, 3).movedim(-1, 1).float()
    ious = [((answer == c) & (target == c)).sum() / ((answer == c) | (target == c)).sum() for c in range(3)]
    assert lovasz_loss(logits, target).item() == pytest.approx(1 - float(sum(ious)) / 3, rel=1e-5)


def test_the_loss_does_not_grow_with_the_patch() -> None:
    """MIA's binary loss is summed over the rows of a tile (its bug 19)."""
    logits, target = example(2, height=64)
    for name in SEGMENTATION_LOSSES:
        small = pixel_loss(logits, target, one(name)).item()
        high = pixel_loss(logits.repeat(1, 1, 4, 1), target.repeat(1, 4, 1), one(name)).item()
        assert high == pytest.approx(small, rel=2e-3)


def test_the_order_of_the_batch_does_not_matter() -> None:
    logits, target = example()
    weights = torch.rand(2, 5, 7)
    text = "cross_entropy + focal + dice + jaccard + lovasz + tversky + kl"
    losses = [
        pixel_loss(logits[order], target[order], parse_loss(text, SEGMENTATION_LOSSES), weights=weights[order]).item()
        for order in ([0, 1], [1, 0])
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_terms_are_weighed_and_added() -> None:
    logits, target = example()
    parts = [pixel_loss(logits, target, one(name)).item() for name in ("focal", "dice")]
    whole = pixel_loss(logits, target, (("focal", 0.5), ("dice", 2.0))).item()
    assert whole == pytest.approx(0.5 * parts[0] + 2 * parts[1], rel=1e-5)


@pytest.mark.parametrize("name", SEGMENTATION_LOSSES)
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_extreme_and_unknown_pixels_give_finite_gradients(name: str, gamma: float) -> None:
    base, target = example()
    for size, hidden in itertools.product((0.0, 1.0, 1e4), (False, True)):
        logits = (size * base.sign()).requires_grad_()
        truth = torch.full_like(target, IGNORED) if hidden else target
        loss = pixel_loss(
            logits, truth, one(name), class_weights=torch.tensor([1.0, 2.0, 3.0]), gamma=gamma, smoothing=0.1
        )
        (slope,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite()
        assert slope.isfinite().all()
        if hidden:
            assert loss.item() == 0
            assert not slope.any()


@pytest.mark.parametrize("name", SEGMENTATION_LOSSES)
def test_autocast_and_half_numbers_change_nothing(name: str) -> None:
    logits, target = example()
    coarse = logits.bfloat16()
    expected = pixel_loss(coarse.float(), target, one(name))
    with torch.autocast("cpu", torch.bfloat16):
        own = pixel_loss(coarse, target, one(name))
    assert own.dtype == torch.float32
    assert own.item() == expected.item()


@pytest.mark.parametrize("name", SEGMENTATION_LOSSES)
def test_gradients_of_pixel_losses(name: str) -> None:
    logits, target = example()
    target[0, 0] = IGNORED
    weights = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)

    def loss(values: torch.Tensor) -> torch.Tensor:
        return pixel_loss(values, target, one(name), class_weights=weights, smoothing=0.1, alpha=0.3)

    assert torch.autograd.gradcheck(loss, logits.double().requires_grad_())


# ---- images ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_image_losses_are_torchs(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(6, 4, generator=generator)
    target = torch.randint(0, 4, (6,), generator=generator)
    soft = torch.rand(6, 4, generator=generator).softmax(1)
    weights = torch.tensor([1.0, 2.0, 0.5, 4.0])
    own = image_loss(logits, target, one("cross_entropy"), class_weights=weights, smoothing=smoothing)
    assert own.item() == pytest.approx(
        F.cross_entropy(logits, target, weights, label_smoothing=smoothing).item(), rel=1e-5
    )
    own = image_loss(logits, soft, one("cross_entropy"), smoothing=smoothing)
    assert own.item() == pytest.approx(F.cross_entropy(logits, soft, label_smoothing=smoothing).item(), rel=1e-5)
    own = image_loss(logits, soft, one("kl"), smoothing=smoothing)
    smooth = soft * (1 - smoothing) + smoothing / 4
    truth = F.kl_div(logits.log_softmax(1), smooth, reduction="batchmean").item()
    assert own.item() == pytest.approx(truth, rel=1e-4)


@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
def test_a_hard_label_is_a_soft_one_that_is_certain(name: str) -> None:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(300, 260, generator=generator)  # class 255 is a class here
    target = torch.arange(300) % 260
    options = {"class_weights": torch.rand(260, generator=generator), "smoothing": 0.1, "gamma": 1.5}
    hard = image_loss(logits, target, one(name), **options).item()
    assert image_loss(logits, F.one_hot(target, 260).float(), one(name), **options).item() == pytest.approx(
        hard, rel=1e-4
    )
    assert image_loss(logits.flip(0), target.flip(0), one(name), **options).item() == pytest.approx(hard, rel=1e-5)


@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
@pytest.mark.parametrize("soft", [False, True])
def test_gradients_of_image_losses(name: str, soft: bool) -> None:
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.rand(3, 4, generator=generator).softmax(1) if soft else torch.tensor([0, 3, 3])

    def loss(values: torch.Tensor) -> torch.Tensor:
        return image_loss(values, target, one(name), smoothing=0.1)

    assert torch.autograd.gradcheck(loss, logits)
    extreme = (1e4 * logits.detach().sign().float()).requires_grad_()
    (slope,) = torch.autograd.grad(loss(extreme), extreme)
    assert slope.isfinite().all()


# ---- heat maps ------------------------------------------------------------------------------------------------------


def heat(points: list[tuple[int, int]], size: int = 32, sigma: float = 2.0) -> torch.Tensor:
    """(1, 1, size, size) Gaussian peaks."""
    yy, xx = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    maps = [torch.exp(-((yy - y) ** 2 + (xx - x) ** 2) / (2 * sigma**2)) for y, x in points]
    return (torch.stack(maps).amax(0) if maps else torch.zeros(size, size))[None, None]


def test_heat_map_losses_by_a_loop() -> None:
    generator = torch.Generator().manual_seed(6)
    target = heat([(1, 1)], 4)
    logits, known = torch.randn(1, 1, 4, 4, generator=generator), torch.ones(1, 4, 4, dtype=torch.bool)
    known[0, 3] = False
    pairs = [(1 / (1 + math.exp(-z)), t) for z, t, k in zip(
        logits.flatten().tolist(), target.flatten().tolist(), known.flatten().tolist(), strict=True) if k]  # fmt: skip
    c = min(len(pairs) / sum(t for _, t in pairs), MOST_BALANCE)

    def mean(error: object) -> float:
        return sum((1 + c * t) * error(p, t) for p, t in pairs) / sum(1 + c * t for _, t in pairs)  # type: ignore[operator]

    squares = mean(lambda p, t: (p - t) ** 2)
    expected = {
        "mse": squares, "rmse": math.sqrt(squares), "mae": mean(lambda p, t: abs(p - t)),
        "msle": mean(lambda p, t: (math.log(1 + p) - math.log(1 + t)) ** 2),
        "focal": -sum(
            (1 - p) ** 2 * math.log(p) if t == 1 else (1 - t) ** 4 * p**2 * math.log(1 - p) for p, t in pairs
        ),
    }  # fmt: skip
    for name, value in expected.items():
        own = heatmap_loss(logits, target, one(name), known=known).item()
        assert own == pytest.approx(value, rel=1e-4, abs=2e-6)


def test_class_weights_of_heat_maps_by_a_loop() -> None:
    generator = torch.Generator().manual_seed(7)
    target = torch.cat([heat([(1, 1), (2, 3)], 4), heat([(3, 0)], 4)], 1)
    logits, weights = torch.randn(1, 2, 4, 4, generator=generator), torch.tensor([1.0, 3.0])
    listed = [
        (1 / (1 + math.exp(-logits[0, k, y, x].item())), target[0, k, y, x].item(), w)
        for k, w in enumerate((0.5, 1.5)) for y in range(4) for x in range(4)
    ]  # fmt: skip
    c = sum(w for *_, w in listed) / sum(w * t for _, t, w in listed)
    squares = sum(w * (1 + c * t) * (p - t) ** 2 for p, t, w in listed) / sum(w * (1 + c * t) for _, t, w in listed)
    focal = -sum(
        w * ((1 - p) ** 2 * math.log(p) if t == 1 else (1 - t) ** 4 * p**2 * math.log(1 - p)) for p, t, w in listed
    ) / (0.5 * 2 + 1.5)
    for name, value in (("mse", squares), ("focal", focal)):
        for factor in (1, 40):  # only their ratios matter
            own = heatmap_loss(logits, target, one(name), class_weights=factor * weights).item()
            assert own == pytest.approx(value, rel=1e-4)
        alone = heatmap_loss(logits[:, 1:], target[:, 1:], one(name)).item()
        only = heatmap_loss(logits, target, one(name), class_weights=torch.tensor([0.0, 1.0])).item()
        assert only == pytest.approx(alone, rel=1e-4)


def test_first_loss_is_of_one_size_for_few_and_many_points() -> None:
    flat = torch.zeros(1, 1, 64, 64)
    # half the weight is background, (1/2)^2; half are peaks, where the mean of (t - 1/2)^2 is 1/12
    for points in ([(9, 9)], [(5, 5), (9, 45), (40, 9), (25, 25), (50, 50)]):
        loss = heatmap_loss(flat, heat(points, 64), one("mse")).item()
        assert loss == pytest.approx((1 / 4 + 1 / 12) / 2, rel=0.05)
    assert heatmap_loss(flat, heat([], 64), one("mse")).item() == pytest.approx(1 / 4)


def test_focal_loss_is_per_point_and_not_per_pixel() -> None:
    target = heat([(16, 16)])
    logits = 6 * target - 3
    once = heatmap_loss(logits, target, one("focal")).item()
    twice = heatmap_loss(logits.repeat(2, 1, 1, 1), target.repeat(2, 1, 1, 1), one("focal")).item()
    assert twice == pytest.approx(once, rel=1e-5)
    empty = heatmap_loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), one("focal")).item()
    assert empty == pytest.approx(16 * 0.25 * math.log(2), rel=1e-5)


@pytest.mark.parametrize("name", DETECTION_LOSSES)
def test_a_perfect_heat_map_costs_little_and_a_missed_point_much(name: str) -> None:
    target = heat([(8, 8), (24, 20)])
    right = torch.logit(target, 1e-4)
    missed = torch.logit(heat([(8, 8)]), 1e-4)
    costs = [heatmap_loss(logits, target, one(name)).item() for logits in (right, missed)]
    assert costs[1] > costs[0] + 0.03
    if name != "focal":  # which has no target below the peak
        assert costs[0] < 1e-3


@pytest.mark.parametrize("name", DETECTION_LOSSES)
def test_gradients_of_heat_map_losses(name: str) -> None:
    generator = torch.Generator().manual_seed(7)
    target = torch.cat([heat([(2, 3)], 6), heat([(4, 1)], 6)], 1)
    known = torch.ones(1, 6, 6, dtype=torch.bool)
    known[0, :2] = False
    logits = torch.randn(1, 2, 6, 6, generator=generator, dtype=torch.float64, requires_grad=True)

    def loss(values: torch.Tensor, mask: torch.Tensor | None = known) -> torch.Tensor:
        return heatmap_loss(values, target, one(name), known=mask)

    assert torch.autograd.gradcheck(loss, logits)
    for size, mask in itertools.product((0.0, 1e4), (None, known, torch.zeros_like(known))):
        extreme = (size * logits.detach().sign().float()).requires_grad_()
        value = loss(extreme, mask)
        (slope,) = torch.autograd.grad(value, extreme)
        assert value.isfinite()
        assert slope.isfinite().all()
        if mask is not None and not mask.any():
            assert value.item() == 0
            assert not slope.any()


# ---- distances and flows --------------------------------------------------------------------------------------------


def test_distance_loss_is_cross_entropy_less_what_the_target_leaves_open() -> None:
    generator = torch.Generator().manual_seed(8)
    pred = torch.randn(2, 1, 4, 5, generator=generator)
    target = torch.rand(2, 1, 4, 5, generator=generator)
    target[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    known = torch.rand(2, 4, 5, generator=generator) > 0.3
    p, q = pred.sigmoid()[known[:, None]], target[known[:, None]]
    expected = F.binary_cross_entropy(p, q) - F.binary_cross_entropy(q, q)
    assert distance_loss(pred, target, known).item() == pytest.approx(expected.item(), rel=1e-4)
    assert distance_loss(torch.logit(target, 1e-6), target, known).item() == pytest.approx(0, abs=1e-5)


def test_flow_loss_by_hand() -> None:
    target = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.6]]]])
    pred = torch.tensor([[[[3.0, 7.0]], [[0.0, 1.0]]]])
    known = torch.tensor([[[True, True]]])
    # differences from 5 x flow: y -2 and 7, x 0 and -2
    assert flow_loss(pred, target, known).item() == pytest.approx((4 + 49 + 0 + 4) / 4 / 2)
    known[0, 0, 1] = False
    assert flow_loss(pred, target, known).item() == pytest.approx((4 + 0) / 2 / 2)
    assert flow_loss(FLOW_SCALE * target, target, known).item() == 0


@pytest.mark.parametrize(("loss", "channels"), [(distance_loss, 1), (flow_loss, 2)])
def test_gradients_of_maps(loss: object, channels: int) -> None:
    generator = torch.Generator().manual_seed(9)
    pred = torch.randn(1, channels, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.rand(1, channels, 3, 3, generator=generator)
    target[0, 0, 1] = torch.tensor([0.0, 1.0, 0.0])
    known = torch.ones(1, 3, 3, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda values: loss(values, target, known), pred)  # type: ignore[operator]
    for size, mask in ((1e4, known), (1.0, torch.zeros_like(known))):
        extreme = (size * pred.detach().sign().float()).requires_grad_()
        value = loss(extreme, target, mask)  # type: ignore[operator]
        (slope,) = torch.autograd.grad(value, extreme)
        assert value.isfinite()
        assert slope.isfinite().all()
        assert mask.any() or (value.item() == 0 and not slope.any())


# ---- class weights --------------------------------------------------------------------------------------------------


def test_class_weights_by_hand() -> None:
    # 1/90 : 1/9 : 1/1 = 1 : 10 : 90, mean 101/3
    assert auto_weights([90, 9, 1]) == pytest.approx(np.array([1, 10, 90]) * 3 / 101)
    # MIA gives every class the same weight when one is absent
    assert auto_weights([90, 0, 10]) == pytest.approx([0.2, 1.0, 1.8])
    assert auto_weights([0, 0]).tolist() == [1, 1]


@given(st.lists(st.one_of(st.just(0), st.integers(1, 10**12)), min_size=1, max_size=8))
@settings(max_examples=50)
def test_class_weights_have_mean_one_and_balance_the_classes(counts: list[int]) -> None:
    weights = auto_weights(counts)
    there = np.array(counts) > 0
    assert np.isfinite(weights).all()
    assert (weights[~there] == 1).all()
    if there.any():
        assert weights[there].mean() == pytest.approx(1)
        shares = weights[there] * np.array(counts)[there]
        assert shares == pytest.approx(shares[0])


def test_region_losses_without_a_class_leave_it_out() -> None:
    logits, target = example()
    target[target == 2] = 0
    both = region_loss(logits, target, 1.0, 1.0)
    heavy = region_loss(logits, target, 1.0, 1.0, class_weights=torch.tensor([1.0, 1.0, 1e6]))
    assert heavy.item() == pytest.approx(both.item(), rel=1e-5)
