"""Exported graphs as torch modules, so that prediction need not know what computes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mia_tui.engine.exchange.onnx_runtime import OnnxNetwork, fast_network
from mia_tui.errors import MiaError

CARD_FILE = "model.json"
"""Name of the card inside a `.pt2` archive."""


class OnnxModule(torch.nn.Module):
    """An `OnnxNetwork` that takes and gives tensors. It computes on the CPU wherever they are."""

    def __init__(self, network: OnnxNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.network(batch.float().cpu().numpy())).to(batch.device)


class ProgramModule(torch.nn.Module):
    """A `torch.export` program. It knows no training mode, and is kept out of the modules that `eval` would visit."""

    def __init__(self, program: Any) -> None:
        super().__init__()
        self.program = [program.module()]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "ProgramModule":
        self.program[0]._apply(fn)
        return self

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.program[0](batch)
        return found


def read_program(path: Path) -> tuple[Any, dict[str, Any]]:
    """The exported program in a `.pt2` file and the card in it.

    Raises
    ------
    MiaError
        When the file is damaged or has no card of ours.
    """
    extra = {CARD_FILE: ""}
    try:
        program = torch.export.load(str(path), extra_files=extra)
    except Exception as error:  # zip, pickle, JSON and C++ errors of many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise MiaError(f"{path} cannot be read as a torch.export (.pt2) file: {reason}") from None
    return program, parse_card(extra[CARD_FILE], path)


def parse_card(text: str | None, path: Path) -> dict[str, Any]:
    """The card in an exported file."""
    if not text:
        raise MiaError(
            f"{path} holds a network but no card of mia-tui (classes, channels, normalisation, decoding), without "
            "which its outputs mean nothing here. Only files written by mia-tui models export can be imported."
        )
    try:
        values = json.loads(text)
    except ValueError as error:
        raise MiaError(f"the card in {path} is damaged: {error}") from None
    if not isinstance(values, dict):
        raise MiaError(f"the card in {path} is damaged: it is no JSON object")
    return values


def fast_graph(folder: Path) -> OnnxModule:
    """The network of a model folder on ONNX Runtime, exported when that was not done for these weights."""
    return OnnxModule(fast_network(folder, torch.get_num_threads()))


def load_graph(folder: Path, in_channels: int, out_channels: int) -> torch.nn.Module | None:
    """The exported graph of a model folder, None when there is none.

    Raises
    ------
    MiaError
        When it is damaged, or made for other channels than its card says.
    """
    if (folder / "model.onnx").exists():
        network = OnnxNetwork(folder / "model.onnx", torch.get_num_threads())
        for what, found, wanted in (
            ("input", network.input_channels, in_channels), ("output", network.output_channels, out_channels),
        ):  # fmt: skip
            if found not in (None, wanted):
                raise MiaError(f"{folder / 'model.onnx'} has {found} {what} channels, its card says {wanted}")
        return OnnxModule(network)
    if (folder / "model.pt2").exists():
        return ProgramModule(read_program(folder / "model.pt2")[0])
    return None
