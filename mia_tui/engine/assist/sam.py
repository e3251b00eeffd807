"""Models of the SAM family (SAM, SAM 2, EdgeTAM) through transformers, from a local folder.

The slow part, the embedding of a picture, is made once per window of the plane and kept; a click then costs a tenth of
a second. Windows are squares of the model's own input size on a fixed half-overlapping grid, not scaled, because cells
that are shrunk to a few pixels cannot be found. A prompt that is larger gets windows of twice, four times ... the size.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mia_tui.engine.assist.exported import clicks_of
from mia_tui.engine.assist.ladders import MIN_AREA, ladder, outline_of
from mia_tui.engine.assist.messages import AssistAnswer, AssistRequest, Box, Prompt, Proposal, Rung
from mia_tui.engine.assist.models import Tell, one_line
from mia_tui.engine.assist.planes import Plane, Recent, clip_box
from mia_tui.engine.assist.registry import SAM_CLASSES
from mia_tui.errors import MiaError

MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
STD = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
"""Of ImageNet, RGB 0..1; the whole family was trained with them."""
EMBEDDINGS = 16
"""Windows whose embeddings are kept (SAM: 4 MB each, SAM 2: 26 MB)."""


class Sam:
    """A model of the family on a device, with the embeddings made so far."""

    def __init__(self, network: Any, side: int, device: torch.device) -> None:
        self.network = network.to(device).eval()
        self.side = side
        self.device = device
        self._embeddings: Recent[Any] = Recent(EMBEDDINGS)

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "Sam":
        """Load a folder that holds `config.json` and weights as `hf download` leaves them; never asks the network."""
        try:
            import transformers
        except ImportError:
            raise MiaError('SAM models need transformers: pip install "mia-tui[sam]"') from None
        transformers.utils.logging.disable_progress_bar()
        try:
            config = transformers.AutoConfig.from_pretrained(path, local_files_only=True)
            model_class = getattr(transformers, SAM_CLASSES[config.model_type])
            network = model_class.from_pretrained(path, local_files_only=True, dtype=torch.float32)
            side = network.config.prompt_encoder_config.image_size
        except Exception as error:  # OSError, KeyError, safetensors' own, AttributeError of an old transformers
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise MiaError(f"the SAM model in {path} cannot be loaded ({reason}). Copy the folder again.") from None
        return cls(network, side if isinstance(side, int) else int(side[0]), device)

    def answer(self, request: AssistRequest, plane: Plane, tell: Tell) -> AssistAnswer:
        """The object at a prompt, as a ladder of the masks that the model offers; nothing for an empty prompt, which
        only makes the embedding of the view's middle."""
        prompt = with_box(request.prompt)
        centre, extent = _where(prompt, clip_box(request.view, plane.shape))
        window = choose_window(centre, extent, plane.shape, self.side)
        key = (plane.key, window, request.channels)
        embedding = self._embeddings.get(key, lambda: self._embed(plane, window, request, tell))
        if prompt.empty:
            return AssistAnswer()
        tell("mask")
        masks, scores = self._masks(embedding, prompt, window)
        found = self._proposal(masks, scores, window, plane)
        return AssistAnswer((found,) if found is not None else ())

    def _embed(self, plane: Plane, window: Box, request: AssistRequest, tell: Tell) -> Any:
        tell("embedding the picture, once")
        inner = clip_box(window, plane.shape)
        picture = (plane.picture(inner, request.channels, 3) - MEAN) / STD
        full = np.zeros((3, window[2] - window[0], window[3] - window[1]), np.float32)  # 0 is the mean: SAM's padding
        full[:, : picture.shape[1], : picture.shape[2]] = picture
        resized = np.stack([cv2.resize(channel, (self.side, self.side)) for channel in full])
        with torch.inference_mode():
            return self.network.get_image_embeddings(torch.from_numpy(resized)[None].to(self.device))

    def _masks(
        self, embedding: Any, prompt: Prompt, window: Box
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
        """Logits (masks, y, x) at the model's own resolution, and its estimates of their IoU."""
        scale, origin = self.side / (window[2] - window[0]), np.array([window[1], window[0]])
        positive, negative = clicks_of(prompt)
        inputs: dict[str, torch.Tensor] = {}
        if positive or negative:
            xy = (np.array([(x, y) for y, x in [*positive, *negative]]) - origin) * scale
            inputs["input_points"] = torch.tensor(xy, dtype=torch.float32)[None, None]
            inputs["input_labels"] = torch.tensor([1] * len(positive) + [0] * len(negative))[None, None]
        if prompt.box is not None:
            top, left, bottom, right = prompt.box
            corners = (np.array([[left, top], [right, bottom]]) - origin) * scale
            inputs["input_boxes"] = torch.tensor(corners.ravel(), dtype=torch.float32)[None, None]
        inputs = {name: value.to(self.device) for name, value in inputs.items()}
        with torch.inference_mode():
            out = self.network(image_embeddings=embedding, multimask_output=True, **inputs)
        return out.pred_masks[0, 0].float().cpu().numpy(), out.iou_scores[0, 0].float().cpu().numpy()

    def _proposal(
        self, logits: NDArray[np.float32], scores: NDArray[np.float32], window: Box, plane: Plane
    ) -> Proposal | None:
        side, inner = window[2] - window[0], clip_box(window, plane.shape)
        rungs: list[tuple[int, Rung]] = []
        for index in np.argsort(-scores, kind="stable"):
            mask = cv2.resize(logits[index], (side, side), interpolation=cv2.INTER_LINEAR) > 0
            mask = mask[: inner[2] - inner[0], : inner[3] - inner[1]]
            area = int(mask.sum())
            if area >= MIN_AREA:
                score = round(min(max(float(scores[index]), 0.0), 1.0), 4)
                rungs.append((area, Rung(outline_of(mask, inner[:2]), score)))
        return ladder(rungs)


def with_box(prompt: Prompt) -> Prompt:
    """A prompt whose extreme points became a box."""
    if not prompt.extremes:
        return prompt
    y, x = np.transpose(prompt.extremes)
    box = prompt.box or (float(y.min()), float(x.min()), float(y.max()), float(x.max()))
    return Prompt(prompt.points, box, (), prompt.strokes)


def _where(prompt: Prompt, view: Box) -> tuple[tuple[float, float], float]:
    """Middle (y, x) and longer side of what a prompt points at; the middle of the view for an empty one."""
    positive, negative = clicks_of(prompt)
    points = [*(positive or negative)]
    if prompt.box is not None:
        points += [prompt.box[:2], prompt.box[2:]]
    if not points:
        return ((view[0] + view[2]) / 2, (view[1] + view[3]) / 2), 0.0
    y, x = np.transpose(points)
    return (float(y.min() + y.max()) / 2, float(x.min() + x.max()) / 2), float(max(np.ptp(y), np.ptp(x)))


def choose_window(centre: tuple[float, float], extent: float, shape: tuple[int, int], side: int) -> Box:
    """The square of pixels that the model looks at.

    Parameters
    ----------
    centre : (y, x)
        What should be in its middle.
    extent : float
        What must fit into it, with as much again around it.
    shape : (height, width)
        Of the plane.
    side : int
        Side of the model's input.

    Returns
    -------
    Box
        A plane no larger than `side` is one window, as large as its longer side. Else `side` squares whose corners
        are multiples of half a side or lie at the far edges; a larger square when `extent` asks for it. It begins on
        the plane and may end beyond it.
    """
    longest = max(shape)
    width = side
    while width < min(2 * extent, longest):
        width *= 2
    width = min(width, longest)
    corner = []
    for middle, length in zip(centre, shape, strict=True):
        last = max(length - width, 0)
        step = max(width // 2, 1)
        corner.append(int(min(max(round((middle - width / 2) / step) * step, 0), last)))
    return corner[0], corner[1], corner[0] + width, corner[1] + width
