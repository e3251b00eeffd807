"""torch.export: the network as a `.pt2` file that PyTorch runs without any model code."""

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import torch

from mia_tui.engine.bundle import ModelCard, save_model
from mia_tui.engine.exchange import parity
from mia_tui.engine.exchange.graphs import CARD_FILE, ProgramModule, read_program
from mia_tui.engine.exchange.source import Source, example_input
from mia_tui.engine.networks import build_network
from mia_tui.errors import MiaError
from mia_tui.storage import write_bytes

LEAST = 64
"""Smaller sides are refused by an exported program: at 32 px its deepest layer would have a single pixel."""


def write(source: Source, target: Path) -> None:
    """Write the `.pt2` file with the card inside; a model that was imported as one is passed on."""
    held = source.folder / "model.pt2"
    if held.exists() and not (source.folder / "model.safetensors").exists():
        shutil.copyfile(held, target)
        return
    auto = torch.export.Dim.AUTO
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                source.model, (torch.zeros(example_input(source.card)),),
                dynamic_shapes=({0: auto, 2: auto, 3: auto},),
            )  # fmt: skip
            torch.export.save(program, str(target), extra_files={CARD_FILE: json.dumps(source.values)})
    except Exception as error:  # torch.export has many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise MiaError(f"{source.folder.name} cannot be exported with torch.export: {reason}") from None


def outputs(path: Path) -> parity.Outputs:
    """What the written file computes."""
    return parity.outputs_of(ProgramModule(read_program(path)[0]))


def unpack(path: Path, folder: Path) -> None:
    """A model folder from a file of ours: the weights themselves where this version builds their network."""
    program, values = read_program(path)
    card = ModelCard.from_json(values)
    try:
        build_network(card.network).load_state_dict(program.state_dict)
        save_model(folder, card, program.state_dict)
    except (MiaError, RuntimeError):  # built otherwise in this version: the program itself still runs
        card = replace(card, tiling=replace(card.tiling, least=max(card.tiling.least, LEAST)))
        write_bytes(folder / "model.pt2", path.read_bytes())
        values = {**values, "tiling": card.to_json()["tiling"]}
    (folder / "model.json").write_text(json.dumps(values, indent=1) + "\n")
