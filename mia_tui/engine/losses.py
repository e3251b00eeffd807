"""Losses of segmentation."""

import torch
import torch.nn.functional as F

from mia_tui.engine.tasks.segmentation import IGNORED


def dice_loss(logits: torch.Tensor, target: torch.Tensor, smooth: float = 1.0) -> torch.Tensor:
    """1 - mean soft Dice over the classes that occur in the batch (Milletari et al. 2016, pooled over the batch).

    logits (B, C, H, W), target (B, H, W) with `IGNORED` where nothing is known.
    """
    valid = target != IGNORED
    probability = logits.float().softmax(1) * valid[:, None]
    truth = F.one_hot(torch.where(valid, target, 0), logits.shape[1]).permute(0, 3, 1, 2) * valid[:, None]
    axes = (0, 2, 3)
    overlap = (probability * truth).sum(axes)
    total = probability.sum(axes) + truth.sum(axes)
    present = truth.sum(axes) > 0
    dice = (2 * overlap + smooth) / (total + smooth)
    return 1 - (dice * present).sum() / present.sum().clamp(min=1)


def weighted_cross_entropy(
    logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean cross entropy over the known pixels, each times its weight (B, H, W) when a weight map is given."""
    losses = F.cross_entropy(logits.float(), target, ignore_index=IGNORED, reduction="none")
    if weights is not None:
        losses = losses * weights
    return losses.sum() / (target != IGNORED).sum().clamp(min=1)


def segmentation_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    weights: torch.Tensor | None,
    *,
    cross_entropy: float,
    dice: float,
) -> torch.Tensor:
    """`cross_entropy` x cross entropy + `dice` x Dice loss."""
    loss = logits.new_zeros((), dtype=torch.float32)
    if cross_entropy:
        loss = loss + cross_entropy * weighted_cross_entropy(logits, target, weights)
    if dice:
        loss = loss + dice * dice_loss(logits, target)
    return loss
