import numpy as np
def classification_report(truth, predicted, classes, probabilities):
    f = []
    for k in range(len(classes)):
        tp = ((truth == k) & (predicted == k)).sum(); d = (truth == k).sum() + (predicted == k).sum()
        if d: f.append(2 * tp / d)
    return {"macro_f1": float(np.mean(f)), "accuracy": float((truth == predicted).mean()), "balanced_accuracy": None, "auc": None}
