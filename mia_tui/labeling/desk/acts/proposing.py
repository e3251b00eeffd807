"""Proposals made from the image itself: on and off, how sure, what size; all with what they cost to scrub."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.candidates import Candidate, Candidates, Proposed
from mia_tui.labeling.desk.hints import Target
from mia_tui.labeling.desk.modes import HintMode
from mia_tui.labeling.desk.refs import Ref, label
from mia_tui.labeling.desk.rows import OUTLINED, row
from mia_tui.labeling.ladder import Ladder, Shapes
from mia_tui.labeling.objects import FrameLabels
from mia_tui.labeling.proposals.ladders import Ladder as ProposedLadder
from mia_tui.labeling.proposals.masks import LIMIT, MaskProposer, Proposal, Settings
from mia_tui.labeling.wand import outline_of_flood

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

GROUP = "Propose"
SIZE_STEP = 1.15
DOUBTFUL = -6
"""Steps of the threshold below the proposed ones down to which the grid snaps to what might be an object."""
FLOODED = 1
"""Place of the flood among the shapes."""
SAME = 0.5
"""A proposal that shares more than this of its area with a label, or with one that was rejected, is not made again."""


@dataclass
class Proposer:
    """The proposals of the frame on the desk."""

    masks: MaskProposer
    rejected: list[BaseGeometry] = field(default_factory=list)
    doubtful: tuple[Settings, FrameLabels, int, tuple[Proposal, ...]] | None = None
    """Settings, labels and number of rejected outlines, and what may be an object with these."""


def settings_of(desk: "Desk") -> Settings:
    """What was scrubbed last; it is kept over images."""
    found: Settings = desk.memory.get("proposals", Settings())
    return found


def proposer_of(desk: "Desk") -> Proposer:
    """The proposer of the frame; it looks at the image once, of a very large one at what is in view."""
    if "proposer" not in desk.scratch:
        height, width = desk.opened.size
        box = None
        if height * width > LIMIT:
            left, top, right, bottom = (int(value) for value in desk.view_box)
            box = (top, left, bottom, right)
        desk.scratch["proposer"] = Proposer(MaskProposer(desk.opened.plane, box=box))
    found: Proposer = desk.scratch["proposer"]
    return found


# ---- on and off ------------------------------------------------------------------------------------------------------


@row("propose", "space", "Propose", GROUP, more="Propose objects, or take the proposals away")
def propose(desk: "Desk") -> None:
    if isinstance(desk.candidates, Proposed):
        desk.take_candidates(None)
        desk.say("No proposals. space brings them back.")
    else:
        make(desk)


def make(desk: "Desk") -> None:
    """Propose anew with the present settings; what is labelled or was rejected is left out."""
    proposer, settings = proposer_of(desk), settings_of(desk)
    proposer.rejected = _rejected(desk)
    found = proposer.masks.propose(settings)
    desk.take_candidates(proposed(desk, _new(desk, found.items, proposer.rejected)))
    size = f"size {'' if settings.size else '~'}{found.size:.0f} px"
    wider = f", {settings.grow:+d} wider" if settings.grow else ""
    more = "A accepts all." if desk.pending else "] takes more doubtful ones."
    desk.say(f"{len(desk.pending)} proposed: sureness {settings.threshold:+d} [ ], {size} {{ }}{wider}. {more}")


def _rejected(desk: "Desk") -> list[BaseGeometry]:
    """What was rejected, of the proposals on the desk and of those before."""
    gone = proposer_of(desk).rejected
    if isinstance(desk.candidates, Proposed):
        gone = gone + [desk.candidates.candidates[number].geometry for number in desk.candidates.rejected]
    return gone


def proposed(desk: "Desk", items: Sequence[Proposal]) -> Proposed:
    """Proposals as candidates."""
    known = {item.number: item for item in items}
    points = desk.project.task == "detection"
    candidates = [_candidate(item, points) for item in items]
    return Proposed(candidates, "proposals", desk.time, lambda number, own: _ladders(desk, known[number], own))


def _candidate(item: Proposal, points: bool) -> Candidate:
    geometry = shapely.Point(item.x, item.y) if points else item.outline
    return Candidate(item.number, geometry, score=item.score)


def _new(desk: "Desk", items: tuple[Proposal, ...], rejected: list[BaseGeometry]) -> list[Proposal]:
    """The proposals that are neither labelled nor rejected already."""
    known = [*(item.geometry for item in desk.labels.objects.values()), *rejected]
    if not known:
        return list(items)
    tree = shapely.STRtree(known)
    near = ([known[index] for index in tree.query(item.outline, predicate="intersects")] for item in items)
    return [item for item, others in zip(items, near, strict=True) if not is_known(item.outline, others)]


def is_known(outline: BaseGeometry, others: Sequence[BaseGeometry]) -> bool:
    """Whether an outline holds one of the points, or shares more than `SAME` of its area with one of the outlines."""
    return any(
        outline.intersects(other)
        if other.geom_type == "Point"
        else outline.intersection(other).area > SAME * outline.area
        for other in others
    )


def _ladders(desk: "Desk", item: Proposal, own: int | None) -> Iterator[Ladder]:
    """Outlines of a proposal, none over labels but the one with the id `own`: other sizes, then other shapes."""
    if desk.project.task == "segmentation":
        yield from with_flood(desk, item.y, item.x, proposer_of(desk).masks.ladders(item, _taken(desk, own)))


def _taken(desk: "Desk", own: int | None) -> list[BaseGeometry]:
    others = [item.geometry for item in desk.labels.objects.values() if item.id != own]
    return [geometry for geometry in others if geometry.geom_type != "Point"]


def shapes_at(desk: "Desk", y: float, x: float) -> Shapes:
    """Outlines of what is at a place, in several shapes, none over labels.

    Raises
    ------
    MiaError
        Where the proposer does not look: in a very large image it looks at one view.
    """
    masks, taken, size = proposer_of(desk).masks, _taken(desk, None), settings_of(desk).size

    def ladders() -> Iterator[Ladder]:
        return with_flood(desk, y, x, masks.outlines_at(y, x, taken, size))

    return Shapes(ladders)


def with_flood(desk: "Desk", y: float, x: float, made: Iterator[ProposedLadder]) -> Iterator[Ladder]:
    """Ladders of a proposal as those of the desk; the second is what is as bright as a place, whatever its shape."""
    for number, ladder in enumerate(made):
        if number == FLOODED:
            yield outline_of_flood(desk.image, (y, x))
        yield Ladder(ladder.outlines, ladder.chosen)


# ---- scrubbing -------------------------------------------------------------------------------------------------------


def scrub(desk: "Desk", threshold: int, size: int, grow: int) -> None:
    """Change the settings by steps and propose anew."""
    now = settings_of(desk)
    diameter = now.size
    if size:
        diameter = (now.size or proposer_of(desk).masks.propose(now).size) * SIZE_STEP**size
    desk.memory["proposals"] = replace(now, threshold=now.threshold + threshold, size=diameter, grow=now.grow + grow)
    make(desk)


for _name, _key, _text, _args in (
    ("surer", "left_square_bracket", "Surer ones only", (1, 0, 0)),
    ("more", "right_square_bracket", "More doubtful ones", (-1, 0, 0)),
    ("size_smaller", "left_curly_bracket", "Look for smaller ones", (0, -1, 0)),
    ("size_larger", "right_curly_bracket", "Look for larger ones", (0, 1, 0)),
):
    row(f"propose_{_name}", _key, _text, GROUP, args=_args, repeats=True)(scrub)
for _name, _key, _text, _args in (
    ("narrower", "left_parenthesis", "All narrower", (0, 0, -1)),
    ("wider", "right_parenthesis", "All wider", (0, 0, 1)),
):
    row(f"propose_{_name}", _key, _text, GROUP, args=_args, repeats=True, tasks=OUTLINED)(scrub)


@row("propose_anew", "asterisk", "Guess anew", GROUP, more="Sureness, size and width as guessed from the image")
def guess(desk: "Desk") -> None:
    desk.memory.pop("proposals", None)
    make(desk)


# ---- what may be an object -------------------------------------------------------------------------------------------


@dataclass
class DoubtfulMode(HintMode):
    """Letters on what may be an object and is no label; those typed become labels, and what was pending comes back."""

    before: Candidates | None = None

    def entered(self, desk: "Desk") -> None:
        self.before = desk.candidates
        desk.take_candidates(proposed(desk, doubtful(desk)))
        super().entered(desk)

    def left(self, desk: "Desk") -> None:
        desk.take_candidates(self.before)


@row("add_hints", "Y", "Add by hint", GROUP, more="Add what may be an object by hint, until escape", edits=True)
def add_hints(desk: "Desk") -> None:
    desk.enter(DoubtfulMode("add: type hints, esc ends", _surest, _add, sticky=True))


def _surest(desk: "Desk") -> list[Target]:
    return desk.targets(labels=False)[::-1]


def _add(desk: "Desk", target: Target) -> None:
    number = cast(Ref, target.what).number
    if not edits.accept(desk, [item for item in desk.pending if item.number == number], "accept 1"):
        desk.warn("Its place is labelled already.")
        return
    new = desk.label_from(number)
    desk.choose(None if new is None else label(new), reveal=False)


def doubtful(desk: "Desk") -> tuple[Proposal, ...]:
    """All that may be an object beside the labels: where an outline was rejected, another one."""
    proposer, settings, rejected = proposer_of(desk), settings_of(desk), _rejected(desk)
    known = proposer.doubtful
    if known is None or known[0] != settings or known[1] is not desk.labels or known[2] != len(rejected):
        least = replace(settings, threshold=min(settings.threshold, 0) + DOUBTFUL)
        points = desk.project.task == "detection"
        found = proposer.masks.propose(least) if points else proposer.masks.propose(least, _taken(desk, None), rejected)
        items = _new(desk, found.items, rejected) if points else found.items
        known = proposer.doubtful = settings, desk.labels, len(rejected), tuple(items)
    return known[3]


def places(desk: "Desk") -> NDArray[np.float64]:
    """(N, 2) of (y, x): where objects may be that are neither labelled nor proposed."""
    centres = np.array([(item.y, item.x) for item in doubtful(desk)], float).reshape(-1, 2)
    known = [item.geometry for item in desk.labels.objects.values()] + [item.geometry for item in desk.pending]
    if not known or not len(centres):
        return centres
    reach = (desk.diameter or settings_of(desk).size or 8.0) / 2
    points = [shapely.Point(x, y) for y, x in centres.tolist()]
    shapes = [shape.buffer(reach) if shape.geom_type == "Point" else shape for shape in known]
    covered = np.unique(shapely.STRtree(points).query(shapes, predicate="intersects")[1])
    return np.delete(centres, covered, axis=0)
