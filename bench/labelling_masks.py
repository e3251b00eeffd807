"""The oracle with masks: accept all, then mend what is wrong, each object by the cheapest way that works."""

from dataclasses import dataclass, field

import numpy as np
from labelling_hand import Hand
from labelling_truth import GOOD, Truth
from labelling_ways import Way, by_hints, grid_ways, hint_of
from numpy.typing import NDArray

from mia_tui.labeling.desk.modes import HintMode
from mia_tui.labeling.desk.refs import Ref, label

ROUNDS = 3
RUNGS = 4
"""So many rungs up or down a person tries before giving an object up."""
SHARE = 0.25
"""An object is a wrong label's business when this share of it lies under the label."""
HINT_S, KEY_S, ADD_S = 0.8, 0.28, 2.0
"""Expected costs, by which the cheapest way is chosen: of a hint, of a key, and of adding an object anew."""
WAYS = 6
"""Ways by the grid that are looked at for an object."""


@dataclass
class Picture:
    """What is labelled, compared with the truth."""

    truth: Truth
    overlaps: dict[int, NDArray[np.float64]]
    shares: dict[int, NDArray[np.float64]]

    @property
    def hits(self) -> dict[int, int]:
        """Label id -> number of the object that it is a good mask of."""
        best = {key: int(found.argmax()) for key, found in self.overlaps.items()}
        return {key: number for key, number in best.items() if self.overlaps[key][number] >= GOOD}

    @property
    def wrong(self) -> list[int]:
        hits = self.hits
        return [key for key in self.overlaps if key not in hits]

    @property
    def missing(self) -> list[int]:
        found = set(self.hits.values())
        return [number for number in range(1, self.truth.count + 1) if number not in found]


def look(hand: Hand, truth: Truth) -> Picture:
    """Compare all labels with the truth."""
    overlaps, shares = {}, {}
    for key, item in hand.desk.labels.objects.items():
        shared, area = truth.under(item.geometry)
        found = shared / np.maximum(truth.areas + area - shared, 1)
        found[0] = 0
        overlaps[key], shares[key] = found, shared / np.maximum(truth.areas, 1)
        shares[key][0] = 0
    return Picture(truth, overlaps, shares)


@dataclass
class Plan:
    """What is to be done in one round, by the mode it is done in."""

    delete: list[Ref] = field(default_factory=list)
    split: list[Ref] = field(default_factory=list)
    merge: list[tuple[Ref, Ref]] = field(default_factory=list)
    resize: list[tuple[Ref, int]] = field(default_factory=list)
    """Rungs up, below 0 down."""


@dataclass(frozen=True)
class Choice:
    """A way to deal with a wrong label: what it costs, with what it leaves to do, in seconds."""

    seconds: float
    kind: str
    argument: object = None


def label_masks(hand: Hand, truth: Truth) -> dict[str, int]:
    """Label an image; how many objects were hit untouched, and what became of the others."""
    hand.press("space")
    if hand.desk.pending:
        hand.press("A")
    counts = {"untouched": len(look(hand, truth).hits), "deleted": 0, "split": 0, "merged": 0, "resized": 0, "added": 0}
    for _ in range(ROUNDS):
        picture = look(hand, truth)
        if not picture.wrong and not picture.missing:
            break
        plan = plan_for(hand, picture)
        carry_out(hand, plan)
        for key, done in (("deleted", plan.delete), ("split", plan.split), ("merged", plan.merge),
                          ("resized", plan.resize)):  # fmt: skip
            counts[key] += len(done)
        counts["added"] += add_missing(hand, truth)
    picture = look(hand, truth)
    hand.purpose = "delete"
    by_hints(hand, "d", [label(key) for key in picture.wrong])
    counts["deleted"] += len(picture.wrong)
    counts["left"] = len(look(hand, truth).missing)
    return counts


# ---- planning --------------------------------------------------------------------------------------------------------


def plan_for(hand: Hand, picture: Picture) -> Plan:
    """The cheapest way for every wrong label."""
    plan, done, missing = Plan(), set(), set(picture.missing)
    for key in picture.wrong:
        if key in done:
            continue
        here = [int(n) for n in np.flatnonzero(picture.shares[key] > SHARE) if int(n) in missing]
        best = int(picture.overlaps[key].argmax())
        if picture.overlaps[key][best] > 0.3 and best in missing and best not in here:
            here.append(best)
        choices = [Choice(HINT_S + ADD_S * len(here), "delete")]
        if here:
            choices += [*resizes(hand, picture, key, here), *splits(hand, picture, key, here)]
            choices += merges(hand, picture, key, best, done)
        chosen = min(choices, key=lambda choice: choice.seconds)
        done.add(key)
        if chosen.kind == "delete":
            plan.delete.append(label(key))
        elif chosen.kind == "split":
            plan.split.append(label(key))
        elif chosen.kind == "resize":
            plan.resize.append((label(key), int(str(chosen.argument))))
        else:
            other = int(str(chosen.argument))
            done.add(other)
            plan.merge.append((label(key), label(other)))
    return plan


def rungs_to(hand: Hand, truth: Truth, number: int, goal: int | None = None) -> tuple[int, float]:
    """Rungs up (or, below 0, down) at which a label is a good mask of an object (of any, without `goal`).

    Returns 0 and the overlap when none is good.
    """
    start = hand.desk.labels.objects[number].geometry
    best = _overlap(truth, start, goal)
    for key, sign in (("w", 1), ("s", -1)):
        with hand.trial() as trial:
            hand.desk.current = label(number)
            last = _overlap(truth, start, goal)
            for step in range(1, RUNGS + 1):
                if not trial.press(key) or number not in hand.desk.labels.objects:
                    break
                found = _overlap(truth, hand.desk.labels.objects[number].geometry, goal)
                best = max(best, found)
                if found >= GOOD:
                    return sign * step, found
                if found < last - 0.02:
                    break
                last = found
    return 0, best


def _overlap(truth: Truth, geometry: object, goal: int | None) -> float:
    found = truth.overlaps(geometry)  # type: ignore[arg-type]
    return float(found.max() if goal is None else found[goal])


def resizes(hand: Hand, picture: Picture, key: int, here: list[int]) -> list[Choice]:
    """Larger or smaller until it is one of the objects."""
    steps, _ = rungs_to(hand, picture.truth, key)
    if not steps:
        return []
    return [Choice(HINT_S + KEY_S * (abs(steps) - 1) + ADD_S * (len(here) - 1), "resize", steps)]


def splits(hand: Hand, picture: Picture, key: int, here: list[int]) -> list[Choice]:
    """Split in two, of which one at least is good or can be made so."""
    with hand.trial() as trial:
        before = set(hand.desk.labels.objects)
        hand.desk.view = hand.eyes.view
        hand.press("slash")
        trial.press(*hint_of(hand, label(key)).letters)
        pieces = [key, *(set(hand.desk.labels.objects) - before)]
        if len(pieces) < 2 or key not in hand.desk.labels.objects:
            return []
        hand.press("escape") if isinstance(hand.desk.mode, HintMode) else None
        cost, good = HINT_S, 0
        for piece in pieces:
            found = picture.truth.overlaps(hand.desk.labels.objects[piece].geometry)
            if found.max() >= GOOD:
                good += 1
                continue
            steps, _ = rungs_to(hand, picture.truth, piece)
            cost += HINT_S + KEY_S * (abs(steps) - 1) if steps else HINT_S
            good += bool(steps)
    if not good:
        return []
    return [Choice(cost + ADD_S * max(len(here) - good, 0), "split")]


def merges(hand: Hand, picture: Picture, key: int, number: int, done: set[int]) -> list[Choice]:
    """Joined with another wrong label that lies in the same object."""
    objects, found = hand.desk.labels.objects, []
    for other in picture.wrong:
        if other == key or other in done or picture.shares[other][number] < 0.1:
            continue
        whole = objects[key].geometry.union(objects[other].geometry)
        if picture.truth.overlaps(whole)[number] >= GOOD:
            found.append(Choice(HINT_S + KEY_S, "merge", other))
    return found


# ---- doing -----------------------------------------------------------------------------------------------------------


def carry_out(hand: Hand, plan: Plan) -> None:
    """All deletions, all splits, all merges, then all that becomes larger, all that becomes smaller."""
    hand.purpose = "delete"
    by_hints(hand, "d", plan.delete)
    hand.purpose = "split"
    by_hints(hand, "slash", plan.split)
    hand.purpose = "merge"
    for one, other in plan.merge:
        if one.number in hand.desk.labels.objects and other.number in hand.desk.labels.objects:
            hand.press("m")
            hand.type(hint_of(hand, one).letters)
            hand.type(hint_of(hand, other).letters)
    hand.purpose = "resize"
    for key, enter, sign in (("w", "W", 1), ("s", "S", -1)):
        once = [ref for ref, steps in plan.resize if steps == sign]
        by_hints(hand, enter, once)
        for ref, steps in plan.resize:
            if steps * sign > 1:
                hand.press("apostrophe")
                hand.type(hint_of(hand, ref).letters)
                hand.press(*[key] * abs(steps))


@dataclass(frozen=True)
class Addition:
    """How an object can be added: where, and so many rungs up (below 0: down) afterwards."""

    way: Way
    steps: int

    @property
    def seconds(self) -> float:
        return self.way.seconds + (KEY_S * (abs(self.steps) + 2) if self.steps else 0)


def add_missing(hand: Hand, truth: Truth) -> int:
    """Add missing objects by the grid, then make them larger or smaller; how many became good."""
    hand.purpose, added, open_ = "add", 0, False
    for number in look(hand, truth).missing:
        found = addition(hand, truth, number)
        if found is None:
            continue
        if not open_:
            hand.press("a")
        hand.press(*found.way.keys)
        open_ = not found.steps
        if found.steps:
            hand.press("escape", *(["w"] * found.steps if found.steps > 0 else ["s"] * -found.steps))
        added += 1
    if open_:
        hand.press("escape")
    return added


def addition(hand: Hand, truth: Truth, number: int) -> Addition | None:
    """The cheapest way to add an object that works."""
    found: list[Addition] = []
    ways = grid_ways(hand, [tuple(truth.middles[number].tolist())])
    for way in ways[:WAYS]:
        if found and way.seconds >= min(item.seconds for item in found):
            break
        with hand.trial() as trial:
            before = set(hand.desk.labels.objects)
            hand.press("a")
            if not trial.press(*way.keys):
                continue
            new = set(hand.desk.labels.objects) - before
            if not new:
                continue
            key = new.pop()
            hand.press("escape")
            if _overlap(truth, hand.desk.labels.objects[key].geometry, number) >= GOOD:
                found.append(Addition(way, 0))
                continue
            steps, _ = rungs_to(hand, truth, key, number)
            if steps:
                found.append(Addition(way, steps))
    return min(found, key=lambda item: item.seconds) if found else None
