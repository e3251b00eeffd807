"""Exported models, TorchScript or `torch.export`: extreme points to a mask, clicks to a mask, picture to edges.

The input is (1, C, size, size) float32: the picture, 0..1 and then (value - mean) / std, followed for "dextr" by a map
of the extreme points (Maninis et al., Deep Extreme Cut, CVPR 2018) and for "points" by a map of the positive and one of
the negative clicks (Xu et al., Deep Interactive Object Selection, CVPR 2016). A map is the maximum of Gaussians of
height 1. The output is (1, 1, size, size).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mia_tui.engine.assist.ladders import level_sets
from mia_tui.engine.assist.messages import AssistAnswer, AssistRequest, Box, EdgeMap, Prompt, Proposal
from mia_tui.engine.assist.models import Tell, check_real, one_line
from mia_tui.engine.assist.planes import Plane, clip_box
from mia_tui.engine.assist.registry import Card, read_card
from mia_tui.engine.assist.windows import edges_by_tiles
from mia_tui.errors import MiaError

CHECK_CARD = "Does its card (kind, size, mean) say what it was made for?"
Points = Sequence[tuple[float, float]]


class Exported:
    """An exported model with its card."""

    def __init__(self, card: Card, network: Any, device: torch.device) -> None:
        self.card = card
        self.network = network
        self.device = device

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "Exported":
        """Load the model that the card at `path` names."""
        card = read_card(path)
        check_real(card.file)
        try:
            if card.file.suffix == ".pt2":
                network = torch.export.load(str(card.file)).module().to(device)
            else:
                network = torch.jit.load(str(card.file), map_location=device).eval()  # type: ignore[no-untyped-call]
        except Exception as error:  # zip, pickle, JSON and C++ errors of many kinds
            kind = "torch.export (.pt2)" if card.file.suffix == ".pt2" else "TorchScript (.pt)"
            raise MiaError(f"{card.file} cannot be read as a {kind} file: {one_line(error)}") from None
        return cls(card, network, device)

    def answer(self, request: AssistRequest, plane: Plane, tell: Tell) -> AssistAnswer:
        """Edges of the view, or the object at the prompt."""
        if self.card.kind == "edges":
            box = clip_box(request.view, plane.shape)
            values = edges_by_tiles(
                lambda tile: self._run(plane.picture(tile, request.channels, len(self.card.mean))),
                box, self.card.size, tell,
            )  # fmt: skip
            return AssistAnswer(edges=EdgeMap(values, box[:2]))
        find = self._from_extremes if self.card.kind == "dextr" else self._from_clicks
        found = find(request, plane)
        return AssistAnswer((found,) if found is not None else ())

    def _from_extremes(self, request: AssistRequest, plane: Plane) -> Proposal | None:
        points = request.prompt.extremes
        if len(points) < 3:
            raise MiaError(f"{request.entry.name} needs the four extreme points of an object, got {len(points)}")
        y, x = np.transpose(points)
        margin = self.card.margin * max(np.ptp(y), np.ptp(x)) + 1
        box = _box_of(y.min() - margin, x.min() - margin, y.max() + margin, x.max() + margin)
        probability = self._mask(request, plane, box, [points])
        hull = cv2.convexHull(np.array([(px - box[1], py - box[0]) for py, px in points], np.float32))
        seeds = np.zeros(probability.shape, np.uint8)
        cv2.fillConvexPoly(seeds, np.rint(hull - 0.5).astype(np.int32), 1)
        return self._on_plane(probability, seeds > 0, box, plane, every=False)

    def _from_clicks(self, request: AssistRequest, plane: Plane) -> Proposal | None:
        positive, negative = clicks_of(request.prompt)
        if not positive:
            raise MiaError(f"{request.entry.name} needs at least one point inside the object")
        box = self._window(positive, request.view)
        probability = self._mask(request, plane, box, [positive, negative])
        height, width = probability.shape
        seeds = np.zeros((height, width), bool)
        for y, x in positive:
            row, column = int(y) - box[0], int(x) - box[1]
            if 0 <= row < height and 0 <= column < width:
                seeds[row, column] = True
        return self._on_plane(probability, seeds, box, plane, every=True)

    def _window(self, positive: Points, view: Box | None) -> Box:
        """The square that is looked at: unscaled around the clicks, wider where they (or the view asked for) are."""
        y, x = np.transpose(positive)
        if view is not None:
            return view
        side = max(self.card.size, int(2 * max(np.ptp(y), np.ptp(x))))
        top, left = round((y.min() + y.max() - side) / 2), round((x.min() + x.max() - side) / 2)
        return top, left, top + side, left + side

    def _mask(self, request: AssistRequest, plane: Plane, box: Box, groups: Sequence[Points]) -> NDArray[np.float32]:
        """Probability (Y, X) in a box, from the picture there and one map for each group of points."""
        size, height, width = self.card.size, box[2] - box[0], box[3] - box[1]
        picture = plane.picture(box, request.channels, len(self.card.mean))
        resized = np.stack([cv2.resize(channel, (size, size), interpolation=cv2.INTER_LINEAR) for channel in picture])
        fy, fx = size / height, size / width
        scaled = [[((y - box[0]) * fy, (x - box[1]) * fx) for y, x in group] for group in groups]
        maps = [gaussians(group, size, self.card.sigma) for group in scaled]
        out = self._run(resized, np.stack(maps))
        full: NDArray[np.float32] = cv2.resize(out, (width, height), interpolation=cv2.INTER_LINEAR)
        return full

    def _run(self, picture: NDArray[np.float32], maps: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """(C, size, size) picture 0..1 and maps -> (size, size) probability."""
        mean, std = (np.array(v, np.float32)[:, None, None] for v in (self.card.mean, self.card.std))
        values = (picture - mean) / std
        if maps is not None:
            values = np.concatenate([values, maps])
        tensor = torch.from_numpy(np.ascontiguousarray(values, np.float32))[None].to(self.device)
        try:
            with torch.inference_mode():
                out = self.network(tensor)
            result = out.float().cpu()
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a stranger's network throws
            text = f"{self.card.file} failed on an input of shape {tuple(tensor.shape)}: {one_line(error)}"
            raise MiaError(f"{text}. {CHECK_CARD}") from error
        expected = (1, 1, self.card.size, self.card.size)
        if tuple(result.shape) != expected:
            text = f"{self.card.file} answered with shape {tuple(result.shape)} instead of {expected}"
            raise MiaError(f"{text}. {CHECK_CARD}")
        if self.card.output == "logits":
            result = result.sigmoid()
        found: NDArray[np.float32] = np.nan_to_num(result[0, 0].numpy(), nan=0.0).clip(0, 1)
        return found

    def _on_plane(
        self, probability: NDArray[np.float32], seeds: NDArray[np.bool_], box: Box, plane: Plane, *, every: bool
    ) -> Proposal | None:
        """The object at the seeds, cut to the plane."""
        inner = clip_box(box, plane.shape)
        cut = (slice(inner[0] - box[0], inner[2] - box[0]), slice(inner[1] - box[1], inner[3] - box[1]))
        return level_sets(probability[cut], seeds[cut], inner[:2], every=every)


def clicks_of(prompt: Prompt) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Positive and negative points (y, x) of a prompt: its points, and its strokes a point every 8 pixels."""
    both: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for click in prompt.points:
        both[click.positive].append((click.y, click.x))
    for stroke in prompt.strokes:
        both[stroke.positive].extend(_along(stroke.path))
    return both[True], both[False]


def _along(path: Points, step: float = 8.0) -> list[tuple[float, float]]:
    corners = np.array(path, np.float64)
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
    at = np.linspace(0, length[-1], 1 + int(length[-1] // step))
    return list(zip(np.interp(at, length, corners[:, 0]), np.interp(at, length, corners[:, 1]), strict=True))


def gaussians(points: Points, size: int, sigma: float) -> NDArray[np.float32]:
    """(size, size) map of points (y, x): the maximum of Gaussians of height 1, 0 without points."""
    centre = np.arange(size, dtype=np.float32) + 0.5
    out = np.zeros((size, size), np.float32)
    for y, x in points:
        bell = np.exp(-((centre - np.float32(y)) ** 2) / (2 * sigma**2))
        out = np.maximum(out, np.outer(bell, np.exp(-((centre - np.float32(x)) ** 2) / (2 * sigma**2))))
    return out


def _box_of(top: float, left: float, bottom: float, right: float) -> Box:
    return int(np.floor(top)), int(np.floor(left)), int(np.ceil(bottom)), int(np.ceil(right))
