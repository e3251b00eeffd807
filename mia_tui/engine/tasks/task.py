"""The seam between the engine and its tasks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from mia_tui.engine.options import TrainConfig
from mia_tui.errors import MiaError
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.project import LabelClass

Maps = NDArray[np.uint8]
"""What a network says of a frame, (C, Y, X), quantised: 0 is 0 and 255 is 1. Classification: (C, 1, 1)."""

Batch = dict[str, torch.Tensor]

IGNORED = 255
"""Target value of pixels outside the annotated area: they do not count in the loss."""


@dataclass(frozen=True)
class Annotation:
    """What people said of one frame, as arrays; what a task does not use is None.

    Attributes
    ----------
    labels : (Y, X) int, optional
        Label image, 0 is background.
    points : (N, 2) float32, optional
        (y, x) in array coordinates: the centre of pixel [0, 0] is (0, 0).
    classes : (N + 1,) or (N,) uint8
        Class 1..K of each label (index 0 is the background), of each point, or of the image.
    known : (Y, X) bool, optional
        Where the frame is annotated; None is everywhere.
    cut : (Y, X) bool, optional
        Of a patch: the pixels within the task's `rim` of a side where the frame goes on. None is nowhere.
    """

    classes: NDArray[np.uint8]
    labels: NDArray[Any] | None = None
    points: NDArray[np.float32] | None = None
    known: NDArray[np.bool_] | None = None
    cut: NDArray[np.bool_] | None = None

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.classes) - (self.labels is not None)


class Task(ABC):
    """What makes a task a task. Objects have no state; settings come with each call.

    `Decoding` is a frozen dataclass with what turns maps into objects; it is kept in the model file.
    """

    name: ClassVar[str]
    dense: ClassVar[bool]
    """True: every pixel has an output, and images are tiled. False: a whole image has one."""
    headline: ClassVar[str]
    """The metric of `summarize` that chooses the best weights."""
    tunes: ClassVar[bool] = False
    """Whether a threshold is chosen on the validation frames."""

    # ---- before training

    @abstractmethod
    def annotate(self, labels: FrameLabels, classes: Sequence[LabelClass]) -> Annotation | None:
        """The labels of a frame as arrays, without `known`; None when this task can learn nothing from them."""

    @abstractmethod
    def outputs(self, config: TrainConfig, class_count: int) -> int:
        """Output channels of the network."""

    @abstractmethod
    def decoding(self, config: TrainConfig, annotations: Sequence[Annotation]) -> Any:
        """The decoding to start with, from the settings and what objects look like."""

    @abstractmethod
    def decoding_from_json(self, values: dict[str, Any]) -> Any:
        """The decoding of a model file."""

    def decoding_to_json(self, decoding: Any) -> dict[str, Any]:
        """The decoding as a model file holds it."""
        return asdict(decoding)

    @abstractmethod
    def class_counts(self, annotation: Annotation, config: TrainConfig, class_count: int) -> NDArray[np.float64]:
        """How much of each output class there is, for automatic class weights: pixels, points or images."""

    def first_weights(self, model: torch.nn.Module) -> None:  # noqa: B027
        """Change what random weights a new network starts with, where the task knows better."""

    # ---- training

    def rim(self, config: TrainConfig) -> int:
        """Pixels from the side of a patch within which objects that the side cuts through would be learnt wrongly."""
        return 0

    @abstractmethod
    def target(
        self, annotation: Annotation, shape: tuple[int, int], config: TrainConfig, class_count: int
    ) -> dict[str, NDArray[Any]]:
        """What the network should answer to a patch of this shape, as arrays that `loss` understands."""

    @abstractmethod
    def loss(
        self, output: torch.Tensor, batch: Batch, config: TrainConfig, class_weights: torch.Tensor | None
    ) -> torch.Tensor:
        """The loss (scalar, float32) of raw outputs against the targets of a batch."""

    # ---- prediction

    @abstractmethod
    def activate(self, output: torch.Tensor, decoding: Any) -> torch.Tensor:
        """Raw outputs -> 0..1, which is what tiles blend and maps hold."""

    def turned(self, maps: torch.Tensor, turns: int, flip: bool, decoding: Any) -> torch.Tensor:
        """Activated outputs (B, C, H, W) of a flipped and turned view, already turned back in space: what points
        somewhere must point back, too. `view = flip(rot90(image, turns))`, flip along x."""
        return maps

    @abstractmethod
    def decode(self, maps: Maps, decoding: Any) -> Any:
        """What is found in a frame."""

    @abstractmethod
    def count(self, found: Any) -> int:
        """How many objects were found."""

    @abstractmethod
    def probabilities(self, maps: NDArray[Any], decoding: Any) -> NDArray[np.float32]:
        """(N, Y, X) of maps: probabilities of the choices at each pixel, which add up to 1."""

    @abstractmethod
    def at_objects(self, found: Any, layer: NDArray[Any]) -> NDArray[np.float64]:
        """Mean of a (Y, X) layer over each object, in the order of their ids."""

    def enlarge(self, found: Any, shape: tuple[int, int], size: tuple[int, int]) -> Any:
        """What was found in a frame shrunk to `shape`, on the frame of its full `size`, (height, width) each."""
        return found

    def enlarged(self, decoding: Any, downscale: float) -> Any:
        """The decoding with the lengths that scores need in pixels of the full frame, not of the shrunk one."""
        return decoding

    @abstractmethod
    def to_labels(self, found: Any, size: tuple[int, int], classes: Sequence[str]) -> FrameLabels:
        """What was found as shapes of a frame, source "predicted"."""

    def write_beside(self, path: Path, found: Any) -> None:  # noqa: B027
        """Write what belongs beside the shapes of a frame in `predictions/`; `path` is their file."""

    def start_out(self, out: Path, classes: Sequence[str]) -> None:  # noqa: B027
        """Begin a folder of result files (`predict --out`)."""

    @abstractmethod
    def write_out(
        self, out: Path, key: str, found: Sequence[Any], frames: Sequence[str], stack: tuple[int, ...],
        classes: Sequence[str],
    ) -> None:  # fmt: skip
        """Write what was found in all frames of an image; `stack` is the shape of its T and Z axes longer than 1."""

    # ---- scores

    @abstractmethod
    def map_loss(
        self, maps: Maps, annotation: Annotation, config: TrainConfig, class_count: int
    ) -> tuple[float, float]:
        """(sum, weight) of a validation loss: comparable over epochs, not with the training loss."""

    @abstractmethod
    def score(self, name: str, found: Any, truth: Annotation, decoding: Any, class_count: int) -> Any:
        """The score of one frame; only the annotated area counts."""

    @abstractmethod
    def summarize(self, scores: Sequence[Any], pixel: float = 1.0) -> dict[str, float]:
        """The few numbers that a training shows and keeps, `headline` first; lengths in pixels of the image, `pixel` of
        which are one of the scored frame."""

    @abstractmethod
    def report(self, scores: Sequence[Any], classes: Sequence[str]) -> dict[str, Any]:
        """All that is to be said about a model on many frames."""

    def candidates(self, maps: Maps, decoding: Any) -> Any:
        """With `tunes`: all that the loosest threshold finds in a frame."""
        raise NotImplementedError

    def chosen(self, candidates: Any, decoding: Any) -> Any:
        """With `tunes`: the candidates that the decoding's threshold leaves."""
        raise NotImplementedError

    def tune(self, decoding: Any, validated: Sequence[tuple[Any, Annotation]]) -> Any:
        """With `tunes`: the decoding whose threshold suits the candidates of the validation frames best."""
        raise NotImplementedError

    # ---- pictures

    @abstractmethod
    def draw(self, picture: NDArray[np.uint8], truth: Annotation | None, found: Any) -> NDArray[np.uint8]:
        """A (Y, X, 3) picture with what is true (orange) and what was found (blue) drawn over it."""


TRUTH = (230, 159, 0)
FOUND = (86, 180, 233)


def quantize(values: NDArray[np.float32]) -> Maps:
    """0..1 as 0..255: a quarter of the memory, and 10,000 x 10,000 pixels fit."""
    quantized: Maps = torch.from_numpy(values).mul(255).round_().to(torch.uint8).numpy()
    return quantized


def class_numbers(objects: Sequence[LabelObject], classes: Sequence[LabelClass]) -> NDArray[np.uint8]:
    """Class 1..K of each object.

    Raises
    ------
    MiaError
        For an object of a class that is not among `classes`.
    """
    number = {entry.name: index for index, entry in enumerate(classes, 1)}
    for item in objects:
        if item.label_class not in number:
            raise MiaError(
                f"object {item.id} has the class {item.label_class!r}, which the project does not know "
                f"({', '.join(number)}). Add it to project.toml or give the object another class."
            )
    return np.array([number[item.label_class] for item in objects], np.uint8)
