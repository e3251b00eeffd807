"""Losses of segmentation: per pixel (cross entropy, focal, KL) and per region (Dice, Jaccard, Tversky, Lovász).

Everywhere logits are (B, C, H, W) and the target is (B, H, W) int64 class numbers with `IGNORED` where nothing is
known. Classes are treated alike, background and the last one included. Every loss is a mean, so that it does not grow
with the patch, and 0 (with a gradient of 0) where nothing is known.
"""

import torch
import torch.nn.functional as F

from mia_tui.engine.losses import categorical
from mia_tui.engine.tasks.task import IGNORED


def pixel_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    terms: tuple[tuple[str, float], ...],
    *,
    weights: torch.Tensor | None = None,
    class_weights: torch.Tensor | None = None,
    gamma: float = 2.0,
    alpha: float = 0.5,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Weighted sum of segmentation losses.

    Parameters
    ----------
    logits : (B, C, H, W) float
        Scores of the classes.
    target : (B, H, W) int64
        Class of each pixel, or `IGNORED`.
    terms : tuple of (name, weight)
        Names of `loss_terms.SEGMENTATION_LOSSES`, as `loss_terms.parse_loss` returns them.
    weights : (B, H, W) float, optional
        Weight map. It counts in the losses per pixel alone: a region has no border to weigh.
    class_weights : (C,) float, optional
        Weights of the true classes in the losses per pixel, of the classes in the mean of the losses per region. Only
        their ratios matter.
    gamma : float
        Focus of the focal loss, 0 or more.
    alpha : float
        Weight of false positives in the Tversky loss, 0..1; false negatives weigh 1 - alpha.
    smoothing : float
        Label smoothing of cross entropy and KL, 0..1.

    Returns
    -------
    scalar float32 (float64 for float64 logits)
    """
    logits = categorical.at_least_float32(logits)
    class_weights = None if class_weights is None else class_weights.to(logits)
    total = logits.new_zeros(())
    for name, factor in terms:
        match name:
            case "cross_entropy":
                loss = weighted_cross_entropy(logits, target, weights, class_weights, smoothing)
            case "focal":
                losses = categorical.focal(logits, target, gamma, ignored=IGNORED)
                loss = _mean_over_pixels(losses, target, weights, class_weights, class_weights)
            case "kl":
                losses = categorical.kl_divergence(logits, target, smoothing, ignored=IGNORED)
                loss = _mean_over_pixels(losses, target, weights, class_weights, class_weights)
            case "dice":
                loss = dice_loss(logits, target, class_weights=class_weights)
            case "jaccard":
                loss = region_loss(logits, target, 1.0, 1.0, class_weights=class_weights)
            case "tversky":
                loss = region_loss(logits, target, alpha, 1 - alpha, class_weights=class_weights)
            case "lovasz":
                loss = lovasz_loss(logits, target, class_weights)
            case _:
                raise ValueError(f"{name!r} is no segmentation loss")
        total = total + factor * loss
    return total


# ---- per pixel ------------------------------------------------------------------------------------------------------


def weighted_cross_entropy(
    logits: torch.Tensor,
    target: torch.Tensor,
    weights: torch.Tensor | None = None,
    class_weights: torch.Tensor | None = None,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Mean cross entropy over the known pixels, each times its weight (B, H, W) when a weight map is given.

    With `class_weights` the mean is weighted by the true class, as torch does it.
    """
    logits = categorical.at_least_float32(logits)
    losses = categorical.cross_entropy(logits, target, class_weights, smoothing, IGNORED)
    return _mean_over_pixels(losses, target, weights, None, class_weights)


def _mean_over_pixels(
    losses: torch.Tensor,
    target: torch.Tensor,
    weights: torch.Tensor | None,
    factors: torch.Tensor | None,
    class_weights: torch.Tensor | None,
) -> torch.Tensor:
    """Sum of losses x `factors` of the class x weight map, divided by the sum of the class weights of known pixels.

    The weight map is not divided out: it says "more here", and 1 is its neutral value.
    """
    known = target != IGNORED
    safe = torch.where(known, target, 0)
    share = known.to(losses) if class_weights is None else class_weights[safe] * known
    scaled = losses * known if factors is None else losses * factors[safe] * known
    if weights is not None:
        scaled = scaled * weights
    return scaled.sum() / categorical.or_one(share.sum())


# ---- per region -----------------------------------------------------------------------------------------------------


def region_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    false_positive: float,
    false_negative: float,
    *,
    smooth: float = 1.0,
    class_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """1 - mean soft Tversky index over the classes that occur, pooled over the batch.

    (TP + s) / (TP + a FP + b FN + s) with a = `false_positive`, b = `false_negative`, s = `smooth` in pixels (Salehi et
    al. 2017, eq. 3). a = b = 1/2 is Dice, a = b = 1 is Jaccard. Counts are sums of probabilities over the known pixels
    of the whole batch: an image without a class says nothing about its overlap.
    """
    probability, truth = _class_maps(logits, target)
    hit = (probability * truth).sum(1)
    claimed, there = probability.sum(1), truth.sum(1)
    index = (hit + smooth) / (hit + false_positive * (claimed - hit) + false_negative * (there - hit) + smooth)
    return _mean_over_classes(1 - index, there > 0, class_weights)


def dice_loss(
    logits: torch.Tensor, target: torch.Tensor, smooth: float = 1.0, class_weights: torch.Tensor | None = None
) -> torch.Tensor:
    """1 - mean soft Dice (2 TP + s) / (2 TP + FP + FN + s) over the classes that occur (Milletari et al. 2016)."""
    return region_loss(logits, target, 0.5, 0.5, smooth=smooth / 2, class_weights=class_weights)


def lovasz_loss(logits: torch.Tensor, target: torch.Tensor, class_weights: torch.Tensor | None = None) -> torch.Tensor:
    """Lovász-softmax: the convex closure of 1 - IoU, averaged over the classes that occur (Berman et al. 2018).

    Errors of all known pixels of the batch are sorted; each is weighted by how much the Jaccard loss of the set of
    worst pixels rises when this pixel joins the set (algorithm 1 of the paper).
    """
    probability, truth = _class_maps(logits, target)
    known = (target != IGNORED).flatten()
    # -1 puts unknown pixels behind all others, where they add nothing
    errors = (truth - probability).abs().masked_fill(~known, -1.0)
    errors, order = errors.sort(dim=1, descending=True)
    truth = truth.gather(1, order)
    there = truth.sum(1, keepdim=True)
    union = there + (1 - truth).cumsum(1)
    jaccard = 1 - (there - truth.cumsum(1)) / union
    rises = torch.diff(jaccard, dim=1, prepend=torch.zeros_like(there))
    losses = (errors.clamp(min=0) * rises).sum(1)
    return _mean_over_classes(losses, there[:, 0] > 0, class_weights)


def _class_maps(logits: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Probability and truth of every class, (C, pixels of the batch) each, 0 where nothing is known."""
    logits = categorical.at_least_float32(logits)
    known = target != IGNORED
    probability = logits.softmax(1) * known[:, None]
    truth = F.one_hot(torch.where(known, target, 0), logits.shape[1]).movedim(-1, 1).to(logits) * known[:, None]
    return probability.transpose(0, 1).flatten(1), truth.transpose(0, 1).flatten(1)


def _mean_over_classes(losses: torch.Tensor, there: torch.Tensor, class_weights: torch.Tensor | None) -> torch.Tensor:
    """Mean of the losses (C,) of the classes that are `there`; 0 when none is."""
    share = there.to(losses) if class_weights is None else there * class_weights
    return (losses * share).sum() / categorical.or_one(share.sum())
