"""What stands on the desk, by name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ref:
    """An object on the desk: a label by its id, or a candidate by its number."""

    kind: str
    number: int


def label(number: int) -> Ref:
    """The label with this id."""
    return Ref("label", number)


def candidate(number: int) -> Ref:
    """The candidate with this number."""
    return Ref("candidate", number)
