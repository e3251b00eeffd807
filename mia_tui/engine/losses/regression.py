import torch.nn.functional as F

FLOW_SCALE = 5.0


def distance_loss(pred, target, known):
    l = F.binary_cross_entropy_with_logits(pred.float(), target, reduction="none")[:, 0]
    return (l * known).sum() / known.sum().clamp(min=1)


def flow_loss(pred, target, known):
    l = ((pred.float() - FLOW_SCALE * target) ** 2).mean(1)
    return (l * known).sum() / known.sum().clamp(min=1)
