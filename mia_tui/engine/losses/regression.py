"""Losses of maps that say how objects come apart: distance to the boundary, and flows to the centre."""

import torch
import torch.nn.functional as F

from mia_tui.engine.losses.categorical import at_least_float32

FLOW_SCALE = 5.0
"""Networks predict flows times this (Stringer et al. 2021): errors then are as large as those of the class head."""


def distance_loss(pred: torch.Tensor, target: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Mean binary cross entropy of a normalised distance, less the entropy of the target.

    The distance is taken for a soft label, as StarDist does with its object probability (Schmidt et al. 2018): the
    gradient, sigmoid(pred) - target, does not fade where the sigmoid is saturated, as that of a squared or absolute
    error would. The entropy has no gradient; without it a perfect map costs 0.

    Parameters
    ----------
    pred : (B, 1, H, W) float
        Logits; their sigmoid is the distance.
    target : (B, 1, H, W) float
        Distance to the boundary, 0..1.
    known : (B, H, W) bool
        Pixels that count.
    """
    pred = at_least_float32(pred)
    target = target.to(pred)
    losses = F.binary_cross_entropy_with_logits(pred, target, reduction="none")
    losses = losses + torch.xlogy(target, target) + torch.xlogy(1 - target, 1 - target)
    return _masked_mean(losses, known)


def flow_loss(pred: torch.Tensor, target: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Half the mean squared error against `FLOW_SCALE` x flow, as Cellpose's (Stringer et al. 2021).

    The outputs are left as they are: a tanh would flatten the gradient just where flows are long, which is nearly
    everywhere, as they have length 1 within objects.

    Parameters
    ----------
    pred : (B, 2, H, W) float
        Raw outputs, (y, x); divided by `FLOW_SCALE` they are flows.
    target : (B, 2, H, W) float
        Flows (y, x) of length 1 within objects and 0 outside.
    known : (B, H, W) bool
        Pixels that count.
    """
    pred = at_least_float32(pred)
    return _masked_mean((pred - FLOW_SCALE * target.to(pred)) ** 2, known) / 2


def _masked_mean(losses: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Mean of losses (B, K, H, W) over the known pixels (B, H, W); 0 when there are none."""
    chosen = losses * known[:, None]
    return chosen.sum() / (known.sum() * losses.shape[1]).clamp(min=1)
