"""Reading files of weights that others have made: all formats of PyTorch's users, no code run, bad files named."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from mia_tui.errors import MiaError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")

USUAL_NAMES = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
"""What the weights are called in a folder of the Hugging Face hub, of `save_pretrained`, or of a model of ours."""

WRAPPERS = (
    "state_dict_ema", "model_ema", "averaged", "state_dict", "model_state_dict", "model", "teacher", "student",
    "learner",
)  # fmt: skip
"""Keys under which training programs keep the weights; running averages first."""


def weights_in(folder: Path) -> Path:
    """The file of weights in a folder: a usual name, the snapshot of a Hugging Face cache, or the only file of weights.

    Raises
    ------
    MiaError
        When there is none, or several that could be meant.
    """
    for name in USUAL_NAMES:
        if (folder / name).is_file():
            return folder / name
    snapshots = sorted((folder / "snapshots").glob("*"), key=lambda path: path.stat().st_mtime)
    if snapshots:
        return weights_in(snapshots[-1])
    found = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found[:5])
        raise MiaError(f"{folder} has {len(found)} files of weights ({names}). Name one of them.")
    raise MiaError(f"{folder} has no weights: put {' or '.join(USUAL_NAMES[:2])} there, or name a file.")


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors in a file of weights, by name, on the CPU. Nothing in the file is executed.

    Wrappers of training programs (`state_dict`, `model`, ..) and of parallel or compiled models (`module.`,
    `_orig_mod.`) are taken off.

    Raises
    ------
    MiaError
        When the file is missing, not of weights, damaged, or would have to run code.
    """
    head = _head(path)
    if complaint := _not_weights(head):
        raise MiaError(f"{path} holds no weights: {complaint}")
    try:
        if _is_safetensors(head):
            found: Any = load_file(path)
        else:
            with path.open("rb") as file:  # given a path, torch goes by its suffix, which may be wrong
                found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise a dozen kinds, all for a bad file
        raise MiaError(_unreadable(path, error)) from None
    tensors = _unwrap(found)
    if not tensors:
        raise MiaError(f"{path} holds no weights: there is no table of named tensors in it.")
    return tensors


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(512)
    except FileNotFoundError:
        raise MiaError(f"the weights {path} are not there. Give the file or folder that holds them.") from None
    except OSError as error:
        raise MiaError(f"the weights {path} cannot be read: {error.strerror}") from None


def _is_safetensors(head: bytes) -> bool:
    """8 bytes with the length of the header, then the header, which is JSON."""
    return len(head) > 8 and head[8:9] == b"{"


def _not_weights(head: bytes) -> str:
    """What the first bytes say that it is instead; empty when they do not."""
    if not head:
        return "it is empty. Copy it again."
    if head.lstrip()[:1] == b"<":
        return "it is a web page, saved in their place (a login or error page). Fetch the file itself."
    if head.startswith(b"version https://git-lfs"):
        return "it is a git-lfs pointer. Fetch the real file (git lfs pull, or hf download)."
    if head.startswith(b"\x89HDF"):
        return "it is an HDF5 file of Keras. Weights of PyTorch are needed."
    if head.startswith(b"PK\x03\x04") and b".npy" in head:
        return "it is an archive of NumPy. Weights of PyTorch are needed."
    return ""


def _unreadable(path: Path, error: Exception) -> str:
    """Why a file could not be read. torch's own words advise to run the file's code: they are not passed on."""
    code = re.search(r"GLOBAL (\S+)", str(error))
    if code:
        return (
            f"{path} is refused: it holds code ({code[1]}), not only weights. "
            "Take a .safetensors file, or have its maker save the state_dict alone."
        )
    return (
        f"{path} is damaged or cut short: it cannot be read as weights ({path.stat().st_size:,} bytes). Copy it again."
    )


def _unwrap(found: Any) -> dict[str, torch.Tensor]:
    if not isinstance(found, Mapping):
        return {}
    tensors = {str(key): value for key, value in found.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        inner = next((found[key] for key in WRAPPERS if isinstance(found.get(key), Mapping)), None)
        return _unwrap(inner)
    for prefix in ("_orig_mod.", "module.", "_orig_mod."):
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors
