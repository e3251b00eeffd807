"""Building networks from names, and starting them from pre-trained encoder weights."""

import inspect
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file

from mia_tui.errors import MiaError

LIGHT_DECODER = (128, 64, 48, 32, 16)
"""Decoder widths of a Unet unless others are asked for: half of smp's, 1.7 x the training steps per second on a CPU."""

SIZE_MULTIPLE = 32
"""Height and width of every input are multiples of this."""


@dataclass(frozen=True)
class NetworkSpec:
    """Everything needed to build the same network again; stored in `model.json`."""

    architecture: str
    encoder: str
    in_channels: int
    out_channels: int
    decoder_channels: tuple[int, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "NetworkSpec":
        decoder = values.get("decoder_channels")
        return cls(**{**values, "decoder_channels": None if decoder is None else tuple(decoder)})


def architectures() -> dict[str, type[torch.nn.Module]]:
    """Network families by name, as segmentation-models-pytorch lists them."""
    return {cls.__name__: cls for cls in smp.MODEL_ARCHITECTURES_MAPPING.values()}


def build_network(spec: NetworkSpec) -> torch.nn.Module:
    """A network with random weights: (B, in_channels, H, W) -> (B, out_channels, H, W) logits.

    Raises
    ------
    MiaError
        For an unknown architecture or encoder, or a pair that does not fit.
    """
    known = {name.lower(): cls for name, cls in architectures().items()}
    cls = known.get(spec.architecture.lower())
    if cls is None:
        raise MiaError(f"unknown architecture {spec.architecture!r}: choose one of {', '.join(architectures())}")
    arguments: dict[str, Any] = {
        "encoder_name": spec.encoder, "encoder_weights": None,
        "in_channels": spec.in_channels, "classes": spec.out_channels,
    }  # fmt: skip
    if spec.decoder_channels is not None:
        if "decoder_channels" not in inspect.signature(cls.__init__).parameters:
            raise MiaError(f"{spec.architecture} has no decoder_channels. Leave the setting empty.")
        arguments["decoder_channels"] = list(spec.decoder_channels)
    try:
        return cls(**arguments)
    except KeyError:
        raise MiaError(
            f"unknown encoder {spec.encoder!r}: smp knows {', '.join(sorted(smp.encoders.encoders))}, "
            "and every timm encoder as tu-NAME"
        ) from None
    except Exception as error:
        raise MiaError(f"{spec.architecture} cannot be built with encoder {spec.encoder}: {error}") from None


def place(model: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """The network on `device`, channels last: a third faster than the default layout on CPUs, and what GPUs want."""
    model.to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def make_spec(
    architecture: str, encoder: str, in_channels: int, out_channels: int, decoder: list[int] | None
) -> NetworkSpec:
    """The spec for a new network; a Unet gets `LIGHT_DECODER` unless `decoder` says otherwise."""
    widths = tuple(decoder) if decoder else (LIGHT_DECODER if architecture.lower() == "unet" else None)
    return NetworkSpec(architecture, encoder, in_channels, out_channels, widths)


def load_encoder_weights(spec: NetworkSpec, weights: str, model: torch.nn.Module) -> torch.nn.Module:
    """Start the encoder from `weights`: a file (.safetensors, .pth) of a 3-channel encoder, or a name such as imagenet.

    Kernels of the first layer are adapted to `spec.in_channels`. Returns the network to use.
    """
    path = Path(weights).expanduser()
    if path.suffix in (".safetensors", ".pth", ".pt", ".bin"):
        state = _read_weights(path)
        three = smp.encoders.get_encoder(spec.encoder, in_channels=3, weights=None)
        try:
            three.load_state_dict(state)
        except RuntimeError as error:
            summary = str(error).splitlines()[0]
            raise MiaError(f"{path} does not fit encoder {spec.encoder}: {summary}") from None
    else:
        three = _named_encoder(spec.encoder, weights)
    if spec.in_channels != 3:
        three.set_in_channels(spec.in_channels, pretrained=True)
    model.get_submodule("encoder").load_state_dict(three.state_dict())
    return model


def _named_encoder(encoder: str, weights: str) -> Any:
    try:
        return smp.encoders.get_encoder(encoder, in_channels=3, weights=weights)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MiaError(
            f"encoder weights {weights!r} of {encoder} cannot be had: {reason}. Looked in the Hugging Face cache; "
            "nothing is downloaded here. Give a local file with encoder_weights=FILE.safetensors or leave it empty."
        ) from None


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise MiaError(f"encoder weights {path} are not there")
    head = path.open("rb").read(32)
    if head.lstrip()[:1] == b"<" or head.startswith(b"version https://git-lfs"):
        raise MiaError(f"{path} holds no weights but a web page or a git-lfs pointer. Copy the real file.")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise MiaError(f"{path} cannot be read as weights ({type(error).__name__}); it may be damaged") from None
    return dict(state.get("state_dict", state))
