"""Losses of one choice among classes, one value for each element: shared by pixels and whole images.

Logits are (B, C, ...); a target is (B, ...) int64 class numbers, or (B, C, ...) probabilities. All is computed in
float32 at least, whatever the autocast: softmax and logarithm of bf16 numbers are too coarse to learn from.
"""

import torch
import torch.nn.functional as F

SMALLEST_BASE = 1e-7
"""(1 - p)^gamma with gamma below 1 has no finite slope at p = 1: smaller bases than this are taken for it."""


def at_least_float32(values: torch.Tensor) -> torch.Tensor:
    """`values` as float32, or as they are when they are float64."""
    return values if values.dtype == torch.float64 else values.float()


def or_one(total: torch.Tensor) -> torch.Tensor:
    """A sum of weights to divide by: 1 where it is 0, so that nothing known is a loss of 0 and not 0 / 0."""
    return torch.where(total > 0, total, 1)


def cross_entropy(
    logits: torch.Tensor,
    target: torch.Tensor,
    class_weights: torch.Tensor | None = None,
    smoothing: float = 0.0,
    ignored: int = -100,
) -> torch.Tensor:
    """Cross entropy of every element, 0 where the class number is `ignored`; label smoothing of Szegedy et al. 2016."""
    if target.dtype.is_floating_point:  # torch refuses an ignore_index for probabilities
        return F.cross_entropy(logits, target, class_weights, reduction="none", label_smoothing=smoothing)
    return F.cross_entropy(
        logits, target, class_weights, ignore_index=ignored, reduction="none", label_smoothing=smoothing
    )


def power(base: torch.Tensor, exponent: float) -> torch.Tensor:
    """`base` ** `exponent` for a base in 0..1, with a finite slope everywhere."""
    return base.clamp(min=SMALLEST_BASE) ** exponent


def focal(logits: torch.Tensor, target: torch.Tensor, gamma: float, ignored: int = -100) -> torch.Tensor:
    """Focal loss (1 - p)^gamma * -log p of the true class (Lin et al. 2017, eq. 4); cross entropy with gamma 0.

    For a target of probabilities q it is the mean over the classes, sum of q (1 - p)^gamma * -log p.
    """
    if target.dtype.is_floating_point:
        log_p = logits.log_softmax(1)
        return -(target * power(-torch.expm1(log_p), gamma) * log_p).sum(1)
    surprise = cross_entropy(logits, target, ignored=ignored)
    return power(-torch.expm1(-surprise), gamma) * surprise


def kl_divergence(
    logits: torch.Tensor, target: torch.Tensor, smoothing: float = 0.0, ignored: int = -100
) -> torch.Tensor:
    """Kullback-Leibler divergence KL(q || p) of the softmax p from the label-smoothed target q.

    It is the cross entropy less the entropy of q, hence 0 for a perfect answer also with smoothing, and the cross
    entropy itself for class numbers without smoothing. Elements of class `ignored` hold no meaningful value.
    """
    classes = logits.shape[1]
    surprise = cross_entropy(logits, target, smoothing=smoothing, ignored=ignored)
    if not target.dtype.is_floating_point:
        target = F.one_hot(torch.zeros((), dtype=torch.long, device=logits.device), classes)[None].to(logits)
    smooth = target * (1 - smoothing) + smoothing / classes
    return surprise + torch.xlogy(smooth, smooth).sum(1)
