import torch.nn.functional as F


def image_loss(logits, target, terms, *, class_weights=None, gamma=2.0, smoothing=0.0):
    return F.cross_entropy(logits.float(), target, weight=class_weights, label_smoothing=smoothing)
