"""Names of the losses, and how a sum of them is written: "cross_entropy + 0.5 * dice". Knows no torch."""

from collections.abc import Collection

SEGMENTATION_LOSSES = ("cross_entropy", "focal", "dice", "jaccard", "lovasz", "tversky", "kl")
CLASSIFICATION_LOSSES = ("cross_entropy", "focal", "kl")
DETECTION_LOSSES = ("mse", "mae", "msle", "rmse", "focal")


def parse_loss(text: str, known: Collection[str]) -> tuple[tuple[str, float], ...]:
    """Terms and weights of a loss such as "cross_entropy + 0.5 * dice".

    Parameters
    ----------
    text : str
        Terms joined by +, each a name or WEIGHT * NAME with a weight above 0 (1 when left out). Blanks do not matter.
    known : collection of str
        Names that may be used.

    Returns
    -------
    tuple of (name, weight)
        In the order of the text.

    Raises
    ------
    ValueError
        For an empty text, an unknown or repeated name, or a weight that is no positive finite number.
    """
    terms: dict[str, float] = {}
    for part in _split_terms(text):
        factor, star, rest = part.partition("*")
        name = (rest if star else part).strip()
        if name not in known:
            raise ValueError(f"unknown loss {name!r} in {text!r}: choose from {', '.join(known)}")
        if name in terms:
            raise ValueError(f"loss {name} is named twice in {text!r}: give it one weight")
        terms[name] = _weight(factor, text) if star else 1.0
    return tuple(terms.items())


def _split_terms(text: str) -> list[str]:
    """Split at each + except the sign of an exponent, as in 1e+2."""
    parts: list[str] = []
    for piece in text.split("+"):
        mantissa = parts[-1].strip() if parts else ""
        if mantissa[-1:] in ("e", "E") and mantissa[:1] in set("0123456789.") and "*" not in mantissa:
            parts[-1] += "+" + piece
        else:
            parts.append(piece)
    return parts


def _weight(factor: str, text: str) -> float:
    try:
        weight = float(factor)
    except ValueError:
        weight = 0.0
    if not 0 < weight < float("inf"):
        raise ValueError(f"{factor.strip()!r} is no weight in {text!r}: write a number above 0, as in 0.5 * dice")
    return weight
