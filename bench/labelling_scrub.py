"""Before accepting: whether surer or more doubtful, larger, smaller, wider or narrower proposals save more keys."""

from collections.abc import Callable

from labelling_hand import KNOWN_S, Hand

KEYS = ("left_square_bracket", "right_square_bracket", "left_parenthesis", "right_parenthesis", "left_curly_bracket",
        "right_curly_bracket", "asterisk")  # fmt: skip
FURTHEST = 3
"""So many presses of one key a person tries."""
WORTH = 1.5
"""A key has to save so many times what it costs: the next image may want it back."""


def scrub(hand: Hand, seconds: Callable[[], float]) -> None:
    """Press one key, then perhaps another, as often as pays; `seconds` is what the present proposals leave to do."""
    hand.purpose = "scrub"
    for _ in range(2):
        now = seconds()
        best, chosen = now, ""
        for key in KEYS:
            with hand.trial() as trial:
                for count in range(1, FURTHEST + 1):
                    if not hand.desk.knows(key):
                        break
                    trial.press(key)
                    found = seconds() + WORTH * KNOWN_S * count
                    if found < best:
                        best, chosen = found, " ".join([key] * count)
        if not chosen:
            return
        hand.press(*chosen.split())
