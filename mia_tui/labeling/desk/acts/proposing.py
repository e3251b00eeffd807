"""Proposals made from the image itself: on and off, how sure, what size; all with what they cost to scrub."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.desk.candidates import Candidate, Proposed
from mia_tui.labeling.desk.rows import OUTLINED, row
from mia_tui.labeling.ladder import Ladder
from mia_tui.labeling.proposals.masks import LIMIT, MaskProposer, Proposal, Settings

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

GROUP = "Propose"
SIZE_STEP = 1.15
DOUBTFUL = -6
"""Steps of the threshold below the proposed ones down to which the grid snaps to what might be an object."""
SAME = 0.5
"""A proposal that shares more than this of its area with a label, or with one that was rejected, is not made again."""


@dataclass
class Proposer:
    """The proposals of the frame on the desk."""

    masks: MaskProposer
    found: dict[int, Proposal] = field(default_factory=dict)
    rejected: list[BaseGeometry] = field(default_factory=list)
    doubtful: NDArray[np.float64] | None = None


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
    if isinstance(desk.candidates, Proposed):
        gone = desk.candidates.rejected
        proposer.rejected += [desk.candidates.candidates[number].geometry for number in gone]
    found = proposer.masks.propose(settings)
    proposer.found = {item.number: item for item in found.items}
    points = desk.project.task == "detection"
    candidates = [_candidate(item, points) for item in _new(desk, found.items, proposer.rejected)]
    desk.take_candidates(Proposed(candidates, "proposals", desk.time, lambda number, labels: _ladders(desk, number)))
    size = f"size {'' if settings.size else '~'}{found.size:.0f} px"
    wider = f", {settings.grow:+d} wider" if settings.grow else ""
    more = "A accepts all." if candidates else "] takes more doubtful ones."
    desk.say(f"{len(candidates)} proposed: sureness {settings.threshold:+d} [ ], {size} {{ }}{wider}. {more}")


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


def _ladders(desk: "Desk", number: int) -> tuple[Ladder, ...]:
    """Outlines of a proposal, none over the labels that are not made from it: other sizes, then other shapes."""
    proposer = proposer_of(desk)
    item = proposer.found.get(number)
    if item is None or desk.project.task != "segmentation":
        return ()
    own = desk.label_from(number)
    taken = [each.geometry for each in desk.labels.objects.values() if each.id != own]
    made = proposer.masks.ladders(item, taken)
    return tuple(Ladder(ladder.outlines, ladder.chosen) for ladder in made if ladder.outlines)


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


# ---- what the grid snaps to ------------------------------------------------------------------------------------------


def places(desk: "Desk") -> NDArray[np.float64]:
    """(N, 2) of (y, x): where objects may be that are neither labelled nor proposed."""
    proposer, settings = proposer_of(desk), settings_of(desk)
    if proposer.doubtful is None:
        found = proposer.masks.propose(replace(settings, threshold=DOUBTFUL))
        proposer.doubtful = np.array([(item.y, item.x) for item in found.items], float).reshape(-1, 2)
    known = [item.geometry for item in desk.labels.objects.values()] + [item.geometry for item in desk.pending]
    if not known or not len(proposer.doubtful):
        return proposer.doubtful
    reach = (desk.diameter or settings.size or 8.0) / 2
    points = [shapely.Point(x, y) for y, x in proposer.doubtful.tolist()]
    shapes = [shape.buffer(reach) if shape.geom_type == "Point" else shape for shape in known]
    covered = np.unique(shapely.STRtree(points).query(shapes, predicate="intersects")[1])
    return np.delete(proposer.doubtful, covered, axis=0)
