"""Losses by name, and sums of them as text: "cross_entropy + 0.5 * dice". Free of torch."""

from collections.abc import Collection

SEGMENTATION_LOSSES = ("cross_entropy", "focal", "dice", "jaccard", "lovasz", "tversky", "kl")
DETECTION_LOSSES = ("mse", "mae", "msle", "rmse", "focal")
CLASSIFICATION_LOSSES = ("cross_entropy", "focal", "kl")


LOSSES = {"segmentation": SEGMENTATION_LOSSES, "detection": DETECTION_LOSSES, "classification": CLASSIFICATION_LOSSES}


def parse_loss(text: str, known: Collection[str]) -> tuple[tuple[str, float], ...]:
    terms = []
    for part in text.split("+"):
        weight, star, name = part.rpartition("*")
        terms.append((name.strip(), float(weight) if star else 1.0))
        if terms[-1][0] not in known:
            raise ValueError(f"unknown loss {terms[-1][0]!r}: choose {', '.join(known)}")
    return tuple(terms)
