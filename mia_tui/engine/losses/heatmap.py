"""Losses of detection: heat maps with a Gaussian of height 1 at every point."""

import torch
import torch.nn.functional as F

from mia_tui.engine.losses.categorical import at_least_float32, or_one, power

PEAK = 1 - 1e-4
"""Pixels of at least this height are points for the focal loss; neighbours are lower up to a sigma of 70 pixels."""

NEAR = 4.0
"""beta of the penalty-reduced focal loss: how much less a pixel close to a point counts as background."""

MOST_BALANCE = 200.0
"""Largest extra weight of a peak in the losses per pixel: see `balance`."""


def heatmap_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    terms: tuple[tuple[str, float], ...],
    *,
    known: torch.Tensor | None = None,
    class_weights: torch.Tensor | None = None,
    gamma: float = 2.0,
) -> torch.Tensor:
    """Weighted sum of heat map losses.

    Parameters
    ----------
    logits : (B, K, H, W) float
        Their sigmoid is the heat map of each class.
    target : (B, K, H, W) float
        0..1, exactly 1 at the pixel of a point.
    terms : tuple of (name, weight)
        Names of `loss_terms.DETECTION_LOSSES`: mse, mae, msle (of log(1 + value)) and rmse are means over the known
        pixels with the weights of `balance`; focal is described at `focal_loss`.
    known : (B, H, W) bool, optional
        Pixels that count; all without it.
    class_weights : (K,) float, optional
        What each class counts, peaks and background of its map; only their ratios matter.
    gamma : float
        Focus of the focal loss (alpha of the CornerNet paper), 0 or more.

    Returns
    -------
    scalar float32 (float64 for float64 logits)
        0 with a gradient of 0 when nothing is known.
    """
    logits = at_least_float32(logits)
    target = target.to(logits)
    mask = torch.ones_like(target) if known is None else known[:, None].to(logits).expand_as(target)
    if class_weights is not None:
        mask = mask * (class_weights.to(logits) / or_one(class_weights.to(logits).mean()))[:, None, None]
    heat, weights = logits.sigmoid(), mask * balance(target, mask)
    total = logits.new_zeros(())
    for name, factor in terms:
        match name:
            case "mse":
                loss = _mean((heat - target) ** 2, weights)
            case "rmse":
                # the root has no slope at 0
                loss = (_mean((heat - target) ** 2, weights) + 1e-12).sqrt() - 1e-6
            case "mae":
                loss = _mean((heat - target).abs(), weights)
            case "msle":
                loss = _mean((heat.log1p() - target.log1p()) ** 2, weights)
            case "focal":
                loss = focal_loss(logits, target, mask, gamma)
            case _:
                raise ValueError(f"{name!r} is no loss of heat maps")
        total = total + factor * loss
    return total


def balance(target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Weights 1 + c t of the pixels, with c such that peaks and background weigh the same, at most `MOST_BALANCE`.

    A heat map is nearly empty: in a plain mean the points hardly count, and "no point anywhere" is the first thing that
    is learnt and may be the last, above all with the absolute error, whose optimum is the median. Weighted so, the
    first squared error is about 1/6 for one point and for many, and default learning rates work. c is bounded because
    heights of doubtful points are lifted with it: one that is there with probability q is painted at (1 + c) q / (1 + c
    q); the order of the heights, which the threshold cuts, stays.
    """
    factor = (mask.sum() / (target * mask).sum().clamp(min=1)).clamp(max=MOST_BALANCE)
    return 1 + factor * target


def focal_loss(logits: torch.Tensor, target: torch.Tensor, mask: torch.Tensor, gamma: float) -> torch.Tensor:
    """Penalty-reduced focal loss (Law & Deng 2018, eq. 1; Zhou et al. 2019, eq. 1), per point (at least 1).

    At points -(1 - p)^gamma log p, elsewhere -(1 - t)^4 p^gamma log(1 - p), summed with the weights of `mask` (B, K, H,
    W; 0 or more) and divided by the weights of the points.
    """
    heat = logits.sigmoid()
    points = (target >= PEAK).to(logits) * mask
    hits = power(1 - heat, gamma) * F.logsigmoid(logits) * points
    misses = (1 - target) ** NEAR * power(heat, gamma) * F.logsigmoid(-logits) * (mask - points)
    return -(hits + misses).sum() / points.sum().clamp(min=1)


def _mean(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (losses * weights).sum() / or_one(weights.sum())
