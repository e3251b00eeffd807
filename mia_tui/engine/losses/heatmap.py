import torch
import torch.nn.functional as F


def heatmap_loss(logits, target, terms, *, known=None, gamma=2.0):
    logits = logits.float()
    mask = torch.ones_like(target) if known is None else known[:, None].float()
    n = (target >= 1).sum().clamp(min=1)
    loss = 0
    for name, w in terms:
        if name == "focal":
            pos = (target >= 0.999).float()
            lp, ln = F.logsigmoid(logits), F.logsigmoid(-logits)
            p = logits.sigmoid()
            l = -(pos * (1 - p) ** 2 * lp + (1 - pos) * (1 - target) ** 4 * p**2 * ln) * mask
            l = l.sum() / n
        else:
            l = ((logits.sigmoid() - target) ** 2 * mask).sum() / n
        loss = loss + w * l
    return loss
