"""The oracle with masks: accept all, then mend what is wrong, each object by the cheapest way that works."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from labelling_hand import Hand
from labelling_scrub import scrub
from labelling_truth import GOOD, Truth
from labelling_ways import Way, by_hints, grid_ways, hint_of
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling import outline
from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.modes import GridMode, HintMode
from mia_tui.labeling.desk.refs import Ref, candidate, label
from mia_tui.labeling.desk.tools.shaped import COMPASS, SplineTool
from mia_tui.labeling.ladder import Ladder

ROUNDS = 4
TRIED = 10
"""So many keys for shape and size a person tries on an object before giving it up."""
SHARE = 0.25
"""An object is a wrong label's business when this share of it lies under the label."""
HINT_S, KEY_S, ADD_S = 0.8, 0.28, 2.0
"""Expected costs, by which the cheapest way is chosen: of a hint, of a key, and of adding an object anew."""
PROMISING, FEW = 0.3, 4
"""What overlaps an object so much is worth so many keys to have it right."""
ROOM = 0.15
"""Share of an object that a neighbour may keep."""
CHECKED, LEAST = 3, 0.4
"""So many ways are tried out; an outline that overlaps less than this does not become good by what neighbours keep."""
PULLS = 40
"""So many keys a person gives a drawing."""
ARROWS = {"w": "up", "s": "down", "v": "right"}
"""What these keys are while letters are hints or the grid."""


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
    resize: list[tuple[Ref, tuple[str, ...]]] = field(default_factory=list)


@dataclass(frozen=True)
class Choice:
    """A way to deal with a wrong label: what it costs, with what it leaves to do, in seconds."""

    seconds: float
    kind: str
    argument: object = None


def label_masks(hand: Hand, truth: Truth) -> dict[str, int]:
    """Label an image; how many objects were hit untouched, and what became of the others."""
    hand.press("space")
    scrub(hand, lambda: expected(hand, truth))
    hand.purpose = "propose"
    if hand.desk.pending:
        hand.press("A")
    counts = {"untouched": len(look(hand, truth).hits), "deleted": 0, "split": 0, "merged": 0, "resized": 0,
              "added by hint": 0, "added": 0}  # fmt: skip
    for turn in range(ROUNDS):
        picture = look(hand, truth)
        if not picture.wrong and not picture.missing:
            break
        plan = plan_for(hand, picture)
        if turn:
            make_room(hand, picture, plan)
        carry_out(hand, plan)
        for key, done in (("deleted", plan.delete), ("split", plan.split), ("merged", plan.merge),
                          ("resized", plan.resize)):  # fmt: skip
            counts[key] += len(done)
        counts["added by hint"] += add_doubtful(hand, truth)
        counts["added"] += add_missing(hand, truth)
    picture = look(hand, truth)
    hand.purpose = "delete"
    by_hints(hand, "d", [label(key) for key in picture.wrong])
    counts["deleted"] += len(picture.wrong)
    counts["left to drawing"] = len(look(hand, truth).missing)
    draw(hand, truth)
    counts["never good"] = len(look(hand, truth).missing)
    return counts


def expected(hand: Hand, truth: Truth) -> float:
    """Seconds that mending the present proposals would take, roughly."""
    overlaps = np.array([truth.overlaps(item.geometry) for item in hand.desk.pending]).reshape(-1, truth.count + 1)
    best = overlaps.max(axis=0, initial=0.0)[1:]
    close = int(((best < GOOD) & (best > PROMISING)).sum())
    lost = int((best <= PROMISING).sum())
    false = int((overlaps.max(axis=1, initial=0.0) <= PROMISING).sum())
    return HINT_S * false + (HINT_S + 2 * KEY_S) * close + ADD_S * lost


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
            plan.resize.append((label(key), cast(tuple[str, ...], chosen.argument)))
        else:
            other = int(str(chosen.argument))
            done.add(other)
            plan.merge.append((label(key), label(other)))
    return plan


def make_room(hand: Hand, picture: Picture, plan: Plan) -> None:
    """Good labels that spread over objects that are missing: split off, or of another shape or size, but still good."""
    hits, done = picture.hits, set()
    for number in picture.missing:
        for key, own in hits.items():
            if picture.shares[key][number] <= SHARE or key in done:
                continue
            parts = splits(hand, picture, key, [number, own])
            keys = None if parts and parts[0].seconds < ADD_S else mending(hand, picture.truth, key, own, number)
            if parts and parts[0].seconds < ADD_S:
                plan.split.append(label(key))
            elif keys:
                plan.resize.append((label(key), tuple(keys)))
            done.add(key)


def mending(
    hand: Hand, truth: Truth, number: int, goal: int | None = None, beside: int | None = None
) -> list[str] | None:
    """The fewest keys (v: other shape, w: larger, s: smaller) that make a label a good mask of an object.

    Of any object, without `goal`; and one that leaves room for the object `beside`. A person sees where each key leads;
    None when `TRIED` keys lead nowhere.
    """
    desk, ref = hand.desk, label(number)

    def leaves_room(shape: BaseGeometry) -> bool:
        return beside is None or bool(truth.under(shape)[0][beside] <= ROOM * truth.areas[beside])

    with hand.trial() as trial:
        ways = list(_outlines(hand, ref))
        ways = [(keys, shape) for keys, shape in ways if leaves_room(shape)]
        good = [keys for keys, shape in ways if _free_overlap(hand, truth, shape, number, goal) >= GOOD]
        shapes, ladder = desk.shapes_of(ref), desk.ladders.get(ref)
        at = 0 if shapes is None else shapes.at
        for keys in sorted(good, key=len)[:CHECKED]:
            desk.current = ref
            trial.press(*keys)
            if number in desk.labels.objects and _overlap(truth, desk.labels.objects[number].geometry, goal) >= GOOD:
                return keys
            trial.back()
            if shapes is not None:
                shapes.at = at
            desk.ladders.pop(ref, None)
            if ladder is not None:
                desk.ladders[ref] = ladder
    return None


def _outlines(hand: Hand, ref: Ref) -> Iterator[tuple[list[str], BaseGeometry]]:
    """All that at most `TRIED` of the keys v, w and s can make of a label, with the keys."""
    ladder, shapes = hand.desk.ladder_of(ref), hand.desk.shapes_of(ref)
    start = 0 if shapes is None else shapes.at
    for count in range(TRIED + 1):
        if ladder is None:
            break
        for step, rung in _sizes(hand, ladder, TRIED - count):
            if step or count:
                yield ["v"] * count + ["w" if step > 0 else "s"] * abs(step), rung
        ladder = None if shapes is None else shapes.step(1)
        if shapes is not None and shapes.at == start:
            break
    if shapes is not None:
        shapes.at = start


def _free_overlap(hand: Hand, truth: Truth, shape: BaseGeometry, number: int, goal: int | None) -> float:
    """Overlap of an outline without what belongs to other labels."""
    if _overlap(truth, shape, goal) < LEAST:
        return 0.0
    left = edits.without_others(hand.desk, shape, (number,))
    return 0.0 if left is None else _overlap(truth, left, goal)


def _sizes(hand: Hand, ladder: Ladder, most: int) -> Iterator[tuple[int, BaseGeometry]]:
    """The rungs of a ladder by the steps to them; past its ends it goes on pixel by pixel."""
    last = len(ladder.rungs) - 1
    for step in range(-most, most + 1):
        index = ladder.best + step
        rung = ladder.rungs[min(max(index, 0), last)]
        beyond = index - min(max(index, 0), last)
        grown = outline.grow(rung, beyond, hand.desk.opened.size) if beyond else rung
        if grown is not None:
            yield step, grown


def _overlap(truth: Truth, geometry: object, goal: int | None) -> float:
    found = truth.overlaps(geometry)  # type: ignore[arg-type]
    return float(found.max() if goal is None else found[goal])


def resizes(hand: Hand, picture: Picture, key: int, here: list[int]) -> list[Choice]:
    """Another shape, larger or smaller, until it is one of the objects."""
    keys = mending(hand, picture.truth, key)
    if not keys:
        return []
    return [Choice(HINT_S + KEY_S * len(keys) + ADD_S * (len(here) - 1), "resize", tuple(keys))]


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
            keys = mending(hand, picture.truth, piece)
            cost += HINT_S + KEY_S * len(keys or ())
            good += keys is not None
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
    for key, enter in (("w", "W"), ("s", "S")):
        keys = {ref: found[1:] for ref, found in plan.resize if found[0] == key}
        by_hints(hand, enter, keys, lambda ref, keys=keys: change_last(hand, keys[ref]))
    for ref, found in plan.resize:
        if found[0] == "v":
            hand.press("apostrophe")
            hand.type(hint_of(hand, ref).letters)
            hand.press(*found)


def change_last(hand: Hand, keys: Sequence[str]) -> None:
    """Press v, w and s, or the arrows that stand for them while letters are hints or the grid."""
    for key in keys:
        hand.press(ARROWS[key] if isinstance(hand.desk.mode, HintMode | GridMode) else key)


@dataclass(frozen=True)
class Addition:
    """How an object can be added by the grid: where, and what changes it then."""

    way: Way
    keys: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return self.way.seconds + KEY_S * len(self.keys)


def add_doubtful(hand: Hand, truth: Truth) -> int:
    """Add by hint what may be an object, where that is right or can be made right; how many."""
    missing = look(hand, truth).missing
    if not missing:
        return 0
    hand.purpose = "add by hint"
    with hand.trial():
        hand.press("Y")
        pending = {item.number: truth.overlaps(item.geometry) for item in hand.desk.pending}
        wanted: dict[Ref, tuple[str, ...]] = {}
        for number in missing:
            best = max(pending, key=lambda key: pending[key][number], default=0)
            if best and pending[best][number] > PROMISING and candidate(best) not in wanted:
                keys = doubtful_keys(hand, truth, best, number) if pending[best][number] < GOOD else ()
                if keys is not None:
                    wanted[candidate(best)] = keys
    by_hints(hand, "Y", wanted, lambda ref: change_last(hand, wanted[ref]))
    return len(wanted)


def doubtful_keys(hand: Hand, truth: Truth, key: int, number: int) -> tuple[str, ...] | None:
    """Keys that make something doubtful a good mask of an object."""
    with hand.trial() as trial:
        before = set(hand.desk.labels.objects)
        chosen = [item for item in hand.desk.pending if item.number == key]
        trial.do(lambda: edits.accept(hand.desk, chosen, "accept 1"))
        new = set(hand.desk.labels.objects) - before
        keys = mending(hand, truth, new.pop(), number) if new else None
    return None if keys is None or len(keys) > FEW else tuple(keys)


def add_missing(hand: Hand, truth: Truth) -> int:
    """Add missing objects by the grid, then change shape and size; how many became good."""
    hand.purpose, added = "add", 0
    for number in look(hand, truth).missing:
        found = addition(hand, truth, number)
        if found is None:
            continue
        if not added:
            hand.press("a")
        hand.press(*found.way.keys)
        change_last(hand, found.keys)
        added += 1
    if added:
        hand.press("escape")
    return added


def addition(hand: Hand, truth: Truth, number: int) -> Addition | None:
    """The cheapest way to add an object that works."""
    middle, *others = truth.aims(number)
    return _addition(hand, truth, number, [middle]) or _addition(hand, truth, number, others)


def _addition(hand: Hand, truth: Truth, number: int, aims: list[tuple[float, float]]) -> Addition | None:
    """The cheapest way towards one of these points of the object that works."""
    found: list[Addition] = []
    ways = [way for way in grid_ways(hand, aims) if _within(truth, way.place, number)]
    for way in {way.place: way for way in reversed(ways)}.values():
        if found and way.seconds >= min(item.seconds for item in found):
            continue
        with hand.trial() as trial:
            before = set(hand.desk.labels.objects)
            hand.press("a")
            trial.press(*way.keys)
            new = set(hand.desk.labels.objects) - before
            if not new:
                continue
            key = new.pop()
            hand.press("escape")
            keys: list[str] | None = []
            if _overlap(truth, hand.desk.labels.objects[key].geometry, number) < GOOD:
                keys = mending(hand, truth, key, number)
            if keys is not None:
                found.append(Addition(way, tuple(keys)))
    return min(found, key=lambda item: item.seconds) if found else None


# ---- drawing ---------------------------------------------------------------------------------------------------------


def draw(hand: Hand, truth: Truth) -> None:
    """Draw what could not be had otherwise with the spline; then take the first tool in hand again."""
    missing = look(hand, truth).missing
    if not missing:
        return
    hand.purpose = "draw"
    hand.press("t", "s")
    for number in missing:
        if not isinstance(hand.desk.mode, GridMode):
            hand.press("a")
        ways = grid_ways(hand, [tuple(truth.middles[number].tolist())])
        inside = [way for way in ways if _within(truth, way.place, number)] or ways[-1:]
        hand.press(*inside[0].keys)
        tool = hand.desk.mode
        if not isinstance(tool, SplineTool):
            raise ValueError(f"no spline at {inside[0].place}: {hand.desk.message}")
        pull_handles(hand, truth, number, tool)
        hand.press("enter")
    while hand.desk.modes:
        hand.press("escape")
    hand.press("t", "o")


def pull_handles(hand: Hand, truth: Truth, number: int, tool: SplineTool) -> None:
    """Pull the handles, the one that helps most first, until the curve is a good mask."""
    for _ in range(PULLS):
        shape = tool.geometry(hand.desk)
        best, key = (0.0 if shape is None else _overlap(truth, shape, number)), ""
        if best >= GOOD:
            return
        radii = tool.radii
        for index, letter in enumerate([*COMPASS, "s"]):
            for way, name in ((1.0, letter), (-1.0, letter.upper())):
                for pixels in (1, 2, 4):
                    chosen = slice(None) if index == len(COMPASS) else slice(index, index + 1)
                    tool.radii = radii.copy()
                    tool.radii[chosen] = np.maximum(tool.radii[chosen] + way * pixels, 0.5)
                    shape = tool.geometry(hand.desk)
                    found = 0.0 if shape is None else _overlap(truth, shape, number)
                    if found - 0.004 * pixels > best:
                        best, key = found - 0.004 * pixels, name
        tool.radii = radii
        if not key:
            return
        hand.press(key)


def _within(truth: Truth, place: tuple[float, float], number: int) -> bool:
    y, x = (min(int(at), size - 1) for at, size in zip(place, truth.pixels.shape, strict=True))
    return bool(truth.pixels[y, x] == number)
