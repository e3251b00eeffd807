import numpy as np


def auto_weights(counts):
    w = np.where(counts > 0, counts.sum() / np.maximum(counts, 1), 0)
    return np.where(counts > 0, w / w[counts > 0].mean(), 1)
