"""A model ready for frames of any size."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mia_tui.engine.bundle import ModelCard, load_model
from mia_tui.engine.device import pick_device, pick_precision
from mia_tui.engine.fitting import fit
from mia_tui.engine.tasks import get_task
from mia_tui.engine.tasks.task import quantize
from mia_tui.engine.tiling import TiledNetwork
from mia_tui.errors import MiaError
from mia_tui.imaging.image import Image

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FramePrediction:
    """What a model sees in one frame: what the task decodes, and the maps it comes from.

    `maps` is (C, Y, X) uint8, 255 = certain; (K, 1, 1) float32 in classification. `disagreement` (Y, X) uint8 of the
    eight views where it was asked for.
    """

    found: Any
    maps: NDArray[Any]
    disagreement: NDArray[np.uint8] | None = None


class Predictor:
    """A model on a device. The same model and frame give the same bits."""

    def __init__(
        self, card: ModelCard, model: Any, *, device: str = "auto", tta: bool = False, uncertainty: bool = False
    ) -> None:
        self.card = card
        self.task = get_task(card.task)
        self.uncertainty = uncertainty
        torch_device = pick_device(device)
        # float32 on the CPU always: a model must not answer differently on a CPU that happens to have bf16
        precision = pick_precision(torch_device, "auto" if torch_device.type == "cuda" else "off")
        self.network = TiledNetwork(
            model, torch_device, precision, card.tiling, tta,
            activate=lambda output: self.task.activate(output, card.decoding),
            turned=lambda maps, turns, flip: self.task.turned(maps, turns, flip, card.decoding),
            disagreement=uncertainty,
        )  # fmt: skip

    @classmethod
    def load(
        cls, folder: Path, *, device: str = "auto", tta: bool = False, uncertainty: bool = False, onnx: bool = False
    ) -> "Predictor":
        """A model folder; with `onnx` computed by ONNX Runtime on the CPU.

        Raises
        ------
        MiaError
            When it is no model, or with `onnx` when the library is missing or a GPU was asked for.
        """
        if onnx and device not in ("auto", "cpu"):
            raise MiaError(f"ONNX Runtime computes on the CPU here, not on {device}. Leave out one of the two.")
        card, model = load_model(folder, fast=onnx)
        return cls(card, model, device="cpu" if onnx else device, tta=tta, uncertainty=uncertainty)

    def frame(self, image: Image, frame: str, name: str, progress: Progress | None = None) -> FramePrediction:
        """What is found in a frame of an open image; `name` is for error messages."""
        size = image.info.sizes[3], image.info.sizes[4]
        plane = self.card.inputs.read(image, frame, name)
        return self._enlarged(self.find(plane, self.card.normalization.limits(plane), progress), size)

    def part(
        self, plane: NDArray[Any], limits: NDArray[np.float32], progress: Progress | None = None
    ) -> FramePrediction:
        """What is found in a part (C, Y, X) of a frame at full resolution, with the `limits` of the whole frame."""
        return self._enlarged(self.find(self.card.inputs.shrink(plane), limits, progress), plane.shape[1:])

    def find(
        self, plane: NDArray[Any], limits: NDArray[np.float32], progress: Progress | None = None
    ) -> FramePrediction:
        """The same for the (C, Y, X) planes at the size that the network sees."""
        maps, disagreement = self.maps(plane, limits, progress)
        return FramePrediction(self.task.decode(maps, self.card.decoding), maps, disagreement)

    def maps(
        self, plane: NDArray[Any], limits: NDArray[np.float32], progress: Progress | None = None
    ) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
        """What the network says of the (C, Y, X) planes, not decoded, and the disagreement of its views."""
        normalization = self.card.normalization
        if not self.task.dense:
            return self._whole(plane)
        height, width = plane.shape[1:]

        def read(rows: slice, columns: slice) -> NDArray[np.float32]:
            return normalization.finish(normalization.apply(np.asarray(plane[:, rows, columns]), limits))

        channels = self.card.network.out_channels
        out = np.empty((channels, height, width), np.uint8)
        extra = np.empty((height, width), np.uint8) if self.network.disagreement else None
        for rows, band in self.network.bands(height, width, read, progress):
            out[:, rows] = quantize(band[:channels])
            if extra is not None:
                extra[rows] = quantize(band[channels])
        return out, extra

    def _whole(self, plane: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
        """Probabilities (K, 1, 1) of a whole image, and the disagreement (1, 1) of its views."""
        assert self.card.image_size is not None
        fitted = fit(plane, self.card.image_size)
        normalization = self.card.normalization
        image = normalization.finish(normalization.apply(fitted, normalization.limits(fitted)))
        tensor = torch.from_numpy(np.ascontiguousarray(image[None])).to(self.network.device)
        answer = self.network.answer(tensor)
        values: NDArray[np.float32] = answer[0].float().cpu().numpy()
        channels = self.card.network.out_channels
        spread = quantize(values[channels:, None]) if self.network.disagreement else None
        return values[:channels, None, None], spread

    def _enlarged(self, prediction: FramePrediction, size: tuple[int, ...]) -> FramePrediction:
        """The prediction of a shrunk frame on the frame of its full size."""
        shape = prediction.maps.shape[1:]
        if not self.task.dense or shape == size:
            return prediction
        height, width = size
        found = self.task.enlarge(prediction.found, (shape[0], shape[1]), (height, width))

        def larger(layer: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return np.asarray(cv2.resize(layer, (width, height), interpolation=cv2.INTER_LINEAR))

        spread = None if prediction.disagreement is None else larger(prediction.disagreement)
        return FramePrediction(found, np.stack([larger(layer) for layer in prediction.maps]), spread)
