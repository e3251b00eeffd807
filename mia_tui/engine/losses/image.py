"""Losses of classification: one choice for each image."""

import torch

from mia_tui.engine.losses import categorical


def image_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    terms: tuple[tuple[str, float], ...],
    *,
    class_weights: torch.Tensor | None = None,
    gamma: float = 2.0,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Weighted sum of classification losses, each a mean over the images.

    Parameters
    ----------
    logits : (B, C) float
        Scores of the classes.
    target : (B,) int64 or (B, C) float
        Class of each image, or its soft label: probabilities that sum to 1.
    terms : tuple of (name, weight)
        Names of `loss_terms.CLASSIFICATION_LOSSES`. KL is the divergence of the answer from the label; for hard labels
        without smoothing it is the cross entropy.
    class_weights : (C,) float, optional
        The mean is weighted by those of the labels; only their ratios matter.
    gamma : float
        Focus of the focal loss, 0 or more.
    smoothing : float
        Label smoothing of cross entropy and KL, 0..1.

    Returns
    -------
    scalar float32 (float64 for float64 logits)
    """
    logits = categorical.at_least_float32(logits)
    if target.dtype.is_floating_point:
        target = target.to(logits)
    class_weights = None if class_weights is None else class_weights.to(logits)
    share = _label_weights(logits, target, class_weights)
    total = logits.new_zeros(())
    for name, factor in terms:
        match name:
            case "cross_entropy":
                losses = categorical.cross_entropy(logits, target, class_weights, smoothing)
            case "focal":
                losses = categorical.focal(logits, target, gamma) * share
            case "kl":
                losses = categorical.kl_divergence(logits, target, smoothing) * share
            case _:
                raise ValueError(f"{name!r} is no classification loss")
        total = total + factor * losses.sum() / categorical.or_one(share.sum())
    return total


def _label_weights(logits: torch.Tensor, target: torch.Tensor, class_weights: torch.Tensor | None) -> torch.Tensor:
    """Weight (B,) of each image: that of its class, or the mean over its soft label."""
    if class_weights is None:
        return logits.new_ones(len(logits))
    return (target * class_weights).sum(1) if target.dtype.is_floating_point else class_weights[target]
