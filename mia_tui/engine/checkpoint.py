"""Checkpoints: one file with all that a training is, so that a resumed run is the run that was never stopped."""

from pathlib import Path
from typing import Any

import torch

from mia_tui.errors import MiaError
from mia_tui.storage import atomic_writer


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain values) so that a kill at any moment leaves the old file or the new one."""
    with atomic_writer(path) as stream:
        torch.save(state, stream)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; never runs code from it.

    Raises
    ------
    MiaError
        When it is missing or damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise MiaError(f"{path} is missing: this run has no checkpoint to go on from. Start a new one.") from None
    except Exception as error:
        raise MiaError(f"{path} is damaged ({type(error).__name__}). Start a new run.") from None
    return state


def rng_state(device: torch.device) -> dict[str, torch.Tensor]:
    """State of torch's random numbers (dropout and the like draw from them; patches do not)."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_rng(state: dict[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
