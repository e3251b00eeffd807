"""The model folder: `model.safetensors` and `model.json`, all that is needed to predict, the same bits every time.

A model that was imported as an exported graph holds `model.onnx` or `model.pt2` instead of weights.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from mia_tui import __version__
from mia_tui.engine.inputs import Inputs
from mia_tui.engine.networks import NetworkSpec, build_network
from mia_tui.engine.normalize import Normalization
from mia_tui.engine.tasks import get_task
from mia_tui.engine.tiling import Tiling
from mia_tui.errors import MiaError
from mia_tui.storage import write_bytes, write_json

FORMAT = 1


@dataclass(frozen=True)
class ModelCard:
    """What `model.json` holds.

    `classes` are (name, colour) in the order of the output channels; `decoding` is that of the task; `image_size` the
    side to which whole images are fitted (classification); `pixel_size` micrometres or None; `training` a record of how
    the weights came to be; `metrics` of the weights kept.
    """

    task: str
    classes: tuple[tuple[str, str], ...]
    network: NetworkSpec
    inputs: Inputs
    normalization: Normalization
    decoding: Any
    tiling: Tiling
    image_size: int | None = None
    pixel_size: float | None = None
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "task": self.task,
            "classes": [{"name": name, "color": color} for name, color in self.classes],
            "network": self.network.to_json(),
            "inputs": asdict(self.inputs),
            "normalization": self.normalization.to_json(),
            "decoding": get_task(self.task).decoding_to_json(self.decoding),
            "tiling": asdict(self.tiling),
            "image_size": self.image_size,
            "pixel_size": self.pixel_size,
            "training": self.training,
            "metrics": self.metrics,
            "versions": {"mia-tui": __version__, "torch": torch.__version__},
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "ModelCard":
        inputs = values["inputs"] if "inputs" in values else values["channels"]  # the name in version 0.1
        return cls(
            task=values["task"],
            classes=tuple((c["name"], c["color"]) for c in values["classes"]),
            network=NetworkSpec.from_json(values["network"]),
            inputs=Inputs.from_json(inputs),
            normalization=Normalization.from_json(values["normalization"]),
            decoding=get_task(values["task"]).decoding_from_json(values["decoding"]),
            tiling=Tiling(**values["tiling"]),
            image_size=values.get("image_size"),
            pixel_size=values["pixel_size"],
            training=values["training"],
            metrics=values["metrics"],
        )


def save_model(folder: Path, card: ModelCard, state: dict[str, torch.Tensor]) -> None:
    """Write a model folder; `model.json` comes last, so a folder with it is whole."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    write_bytes(folder / "model.safetensors", save(tensors))
    write_json(folder / "model.json", card.to_json())


def load_model(folder: Path, *, fast: bool = False) -> tuple[ModelCard, torch.nn.Module]:
    """The card and the network with its weights, in evaluation mode on the CPU.

    With `fast` ONNX Runtime computes, on the CPU whatever the device: `model.onnx` is made beside the weights at the
    first call, and when they have changed.

    Raises
    ------
    MiaError
        When the folder is no model, damaged, or written by a newer version; with `fast` also when ONNX Runtime is not
        installed or the network cannot be exported.
    """
    path = folder / "model.json"
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise MiaError(f"there is no model in {folder}. mia-tui models PROJECT lists them.") from None
    except ValueError as error:
        raise MiaError(f"{path} is damaged: {error}") from None
    if values.get("format") != FORMAT:
        raise MiaError(f"{path} has format {values.get('format')}, this version reads {FORMAT}. Update mia-tui.")
    try:
        card = ModelCard.from_json(values)
        model = _network(folder, card.network, fast)
    except (KeyError, TypeError, OSError, SafetensorError, RuntimeError) as error:
        raise MiaError(f"the model in {folder} is damaged: {str(error).splitlines()[0]}") from None
    return card, model.eval()


def _network(folder: Path, spec: NetworkSpec, fast: bool) -> torch.nn.Module:
    """The network built from its spec with the weights there, else (or with `fast`) an exported graph."""
    if fast or not (folder / "model.safetensors").exists():
        from mia_tui.engine.exchange import graphs

        if fast:
            return graphs.fast_graph(folder)
        graph = graphs.load_graph(folder, spec.in_channels, spec.out_channels)
        if graph is not None:
            return graph
    model = build_network(spec)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model
