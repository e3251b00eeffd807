import torch
import torch.nn.functional as F

from mia_tui.engine.tasks.task import IGNORED


def pixel_loss(logits, target, terms, *, weights=None, class_weights=None, gamma=2.0, alpha=0.5, smoothing=0.0):
    logits = logits.float()
    valid = target != IGNORED
    loss = logits.sum() * 0
    for name, weight in terms:
        if name in ("cross_entropy", "kl"):
            l = F.cross_entropy(
                logits, target, weight=class_weights, ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
            )
            if weights is not None:
                l = l * weights
            l = l.sum() / valid.sum().clamp(min=1)
        elif name == "focal":
            l = F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="none")
            l = (1 - torch.exp(-l)) ** gamma * l
            l = l.sum() / valid.sum().clamp(min=1)
        else:
            p = logits.softmax(1) * valid[:, None]
            t = F.one_hot(torch.where(valid, target, 0), logits.shape[1]).permute(0, 3, 1, 2) * valid[:, None]
            ax = (0, 2, 3)
            o, total = (p * t).sum(ax), p.sum(ax) + t.sum(ax)
            present = t.sum(ax) > 0
            d = (2 * o + 1) / (total + 1)
            l = 1 - (d * present).sum() / present.sum().clamp(min=1)
        loss = loss + weight * l
    return loss
