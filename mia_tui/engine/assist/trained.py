"""A trained model of the project proposes the objects of one frame, or of the part in view. Nothing is written."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.measure import label
from skimage.segmentation import watershed

from mia_tui.engine.assist.ladders import LEVELS, MIN_AREA, ladder, moved
from mia_tui.engine.assist.messages import AssistAnswer, AssistRequest, Box, Proposal, Rung
from mia_tui.engine.assist.models import Tell
from mia_tui.engine.assist.planes import Plane, clip_box
from mia_tui.engine.predictor import FramePrediction, Predictor
from mia_tui.errors import MiaError
from mia_tui.labeling.raster import shapes_from_labels

MARGIN = 128
"""Pixels around the view that are predicted too, so that objects at its rim are whole."""
LADDER_PIXELS = 2**24
"""Larger parts (4096 x 4096) get the predicted outline alone: nobody climbs ladders at that zoom."""


class Trained:
    """A model folder on a device."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "Trained":
        """Load `models/<name>/`."""
        predictor = Predictor.load(path, device=str(device))
        if predictor.card.task != "segmentation":
            raise MiaError(f"the model in {path} is for {predictor.card.task}; only segmentation gives outlines")
        return cls(predictor)

    def answer(self, request: AssistRequest, plane: Plane, tell: Tell) -> AssistAnswer:
        """Objects of the view, those that predicting the whole frame would give (but for what a margin cannot show)."""
        card = self.predictor.card
        view = clip_box(request.view, plane.shape)
        box = clip_box((view[0] - MARGIN, view[1] - MARGIN, view[2] + MARGIN, view[3] + MARGIN), plane.shape)
        if card.inputs.neighbours:
            raise MiaError(
                "this model looks at neighbouring planes, too: predict the image (g p), then correct it (g v)"
            )
        picked = card.inputs.pick(plane.values, plane.rgb, plane.name)
        limits = card.normalization.limits(picked)  # of the whole frame, as in training
        part = np.ascontiguousarray(picked[:, box[0] : box[2], box[1] : box[3]])
        found = self.predictor.part(part, limits, lambda done, total: tell(f"tile {done} of {total}"))
        tell("outlines")
        labels = _in_view(found.found.labels, box, view, plane.shape)
        return AssistAnswer(tuple(_ladders(found, labels, box, [name for name, _ in card.classes])))


def _in_view(labels: NDArray[np.int32], box: Box, view: Box, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Only the objects with a pixel in the view that the cut around it has not clipped."""
    top, left = view[0] - box[0], view[1] - box[1]
    seen = np.zeros(int(labels.max(initial=0)) + 1, bool)
    seen[np.unique(labels[top : view[2] - box[0], left : view[3] - box[1]])] = True
    rims = [
        (box[0] > 0, labels[0]), (box[1] > 0, labels[:, 0]),
        (box[2] < shape[0], labels[-1]), (box[3] < shape[1], labels[:, -1]),
    ]  # fmt: skip
    for is_cut, rim in rims:
        if is_cut:
            seen[np.unique(rim)] = False
    seen[0] = False
    kept: NDArray[np.int32] = np.where(seen[labels], labels, 0).astype(np.int32)
    return kept


def _ladders(found: FramePrediction, labels: NDArray[np.int32], box: Box, classes: Sequence[str]) -> list[Proposal]:
    """Each object with its level sets of foreground probability; the predicted outline is the chosen rung.

    A level set grows into background but not into the basin of a neighbour (watershed of the probability from all
    predicted objects), so that no rung swallows another object. `labels` are the objects wanted.
    """
    foreground = 255 - found.maps[0]
    decided = 0.5  # where a pixel becomes foreground: the threshold, or with touching = "off" the more probable of two
    rungs = {index: [rung] for index, rung in _rungs(labels, foreground, decided, box).items()}
    if labels.size <= LADDER_PIXELS and rungs:
        for level, masks in _level_labels(found.found.labels, labels, foreground):
            for index, rung in _rungs(masks, foreground, level, box).items():
                known = rungs.get(index, [rung])
                if all(rung[0] != area for area, _ in known):  # nested: the same area is the same mask
                    known.append(rung)
    named = ((rungs[index], classes[int(found.found.classes[index]) - 1]) for index in rungs)
    return [proposal for proposal in (ladder(*pair) for pair in named) if proposal is not None]


def _level_labels(
    everything: NDArray[np.int32], labels: NDArray[np.int32], foreground: NDArray[np.uint8]
) -> Iterator[tuple[float, NDArray[np.int32]]]:
    """(level, label image) of all levels but the one that made `labels`: stricter ones, then looser ones."""
    masks = labels
    for level in LEVELS:
        if level > 0.5:
            masks = _main_parts(np.where(foreground > 255 * level, masks, 0), labels)
            yield level, masks
    reach = (foreground > 255 * LEVELS[0]) | (everything > 0)
    basins = watershed(-foreground.astype(np.int16), everything, mask=reach)
    wanted = np.zeros(int(everything.max()) + 1, bool)
    wanted[np.unique(labels)] = True
    wanted[0] = False
    basins = np.where(wanted[basins], basins, 0)
    for level in reversed(LEVELS):
        if level < 0.5:
            yield level, _main_parts(np.where((foreground > 255 * level) | (labels > 0), basins, 0), labels)


def _main_parts(masks: NDArray[np.int32], labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Of each object in `masks` only the connected part that has most pixels of the same object in `labels`."""
    parts = label(masks, connectivity=1)
    count = int(parts.max())
    owner = np.zeros(count + 1, np.int64)
    owner[parts] = masks
    weight = np.bincount(parts[labels > 0], minlength=count + 1)
    order = np.lexsort((weight, owner))  # the heaviest part of each owner comes last
    last = np.append(owner[order][1:] != owner[order][:-1], True)
    keep = np.zeros(count + 1, bool)
    keep[order[last]] = True
    keep[0] = False
    kept: NDArray[np.int32] = np.where(keep[parts], masks, 0).astype(np.int32)
    return kept


def _rungs(
    masks: NDArray[np.int32], foreground: NDArray[np.uint8], level: float, box: Box
) -> dict[int, tuple[int, Rung]]:
    """Object id -> area and rung of each object in a label image; its score is the mean foreground probability."""
    areas = np.bincount(masks.ravel())
    sums = np.bincount(masks.ravel(), foreground.ravel())
    return {
        index: (int(areas[index]), Rung(moved(shape, box[:2]), round(sums[index] / areas[index] / 255, 4), level))
        for index, shape in shapes_from_labels(masks).items()
        if areas[index] >= MIN_AREA
    }
