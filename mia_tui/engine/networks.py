"""What a network is, and building it: the plain U-Net here, those of smp and timm by `catalogue`."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from mia_tui.engine import plain_unet
from mia_tui.errors import MiaError

CLASSIFIER = "classifier"
"""The architecture of whole-image classification: any timm network."""

LIGHT_DECODER = (128, 64, 48, 32, 16)
"""Decoder widths of a Unet unless others are asked for: half of smp's, 1.7 x the training steps per second on a CPU."""

SIZE_MULTIPLE = 32
"""Height and width of every input are multiples of this."""


@dataclass(frozen=True)
class NetworkSpec:
    """Everything needed to build the same network again; stored in `model.json`.

    `image_size` is the height and width in pixels of networks that take one size only, None for the others;
    `dropout` is the share of features that a classifier drops before its last layer while it learns.
    """

    architecture: str
    encoder: str
    in_channels: int
    out_channels: int
    decoder_channels: tuple[int, ...] | None = None
    image_size: int | None = None
    dropout: float = 0.0

    @property
    def is_classifier(self) -> bool:
        return self.architecture.lower() == CLASSIFIER

    @property
    def is_plain(self) -> bool:
        """Whether it is the `plain_unet`, which needs neither smp nor timm: both take seconds to be imported."""
        return self.encoder == plain_unet.ENCODER and self.architecture.lower() == "unet"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "NetworkSpec":
        decoder = values.get("decoder_channels")
        return cls(**{**values, "decoder_channels": None if decoder is None else tuple(decoder)})


def make_spec(
    architecture: str, encoder: str, in_channels: int, out_channels: int, decoder: list[int] | None = None,
    *, image_size: int | None = None, dropout: float = 0.0,
) -> NetworkSpec:  # fmt: skip
    """The spec for a new network; a Unet gets `LIGHT_DECODER` (`plain_unet.WIDTHS`) unless `decoder` says otherwise.

    `image_size` (pixels) is kept for networks that take one size only; without it they get the one they were made for.
    """
    light = plain_unet.WIDTHS if encoder == plain_unet.ENCODER else LIGHT_DECODER
    widths = tuple(decoder) if decoder else (light if architecture.lower() == "unet" else None)
    spec = NetworkSpec(architecture, encoder, in_channels, out_channels, widths, None, dropout)
    if spec.is_plain:
        return spec
    from mia_tui.engine.catalogue import own_size

    own = own_size(architecture, encoder)
    return spec if own is None else replace(spec, image_size=image_size or own)


def build_network(spec: NetworkSpec) -> torch.nn.Module:
    """A network with random weights: (B, in_channels, H, W) -> logits, (B, out_channels) of a classifier, else
    (B, out_channels, H, W).

    Raises
    ------
    MiaError
        For an unknown architecture or encoder, or a pair that does not fit.
    """
    if spec.is_plain:
        return plain_unet.PlainUnet(spec.in_channels, spec.out_channels, spec.decoder_channels or plain_unet.WIDTHS)
    from mia_tui.engine.catalogue import build_segmenter, build_timm

    return build_timm(spec, num_classes=spec.out_channels) if spec.is_classifier else build_segmenter(spec)


def check_image_size(spec: NetworkSpec, height: int, width: int, batch: int | None = None) -> None:
    """Run the network on shapes alone (no memory, no weights), to know before a training that it takes such images;
    also batches of one, which have no variance where a network comes down to one pixel.

    Raises
    ------
    MiaError
        When it does not, with the reason.
    """
    if spec.image_size is not None and (height, width) != (spec.image_size, spec.image_size):
        raise MiaError(
            f"{spec.encoder} takes images of {spec.image_size} x {spec.image_size} pixels only, not {height} x {width}"
        )
    model = _on_meta(spec)
    with torch.device("meta"), torch.inference_mode():
        try:
            found = tuple(model(torch.zeros(2, spec.in_channels, height, width)).shape)
        except Exception as error:
            raise MiaError(
                f"{spec.architecture} with encoder {spec.encoder} cannot take images of {height} x {width} pixels: "
                f"{reason_of(error)}. Try larger images, or multiples of 32.{_made_for(spec)}"
            ) from None
    wanted = (2, spec.out_channels) if spec.is_classifier else (2, spec.out_channels, height, width)
    if found != wanted:
        raise MiaError(
            f"{spec.architecture} with encoder {spec.encoder} answers images of {height} x {width} pixels with an "
            f"array of shape {found}, not {wanted}. Choose another encoder."
        )
    if batch == 1:
        with torch.device("meta"), torch.no_grad():
            try:
                model.train()(torch.zeros(1, spec.in_channels, height, width))
            except ValueError as error:
                raise MiaError(
                    f"{spec.architecture} with encoder {spec.encoder} cannot learn from {height} x "
                    f"{width} pixels, one at a time: {reason_of(error)}. Set batch_size=2 or more."
                ) from None


def _made_for(spec: NetworkSpec) -> str:
    """For which size the network was made, as a sentence to add; empty when it has none of its own."""
    if spec.is_plain:
        return ""
    from mia_tui.engine.catalogue import usual_size

    size = usual_size(spec.architecture, spec.encoder)
    return f" It was made for {size} pixels." if size else ""


def _on_meta(spec: NetworkSpec) -> torch.nn.Module:
    try:
        with torch.device("meta"):
            return build_network(spec).eval()
    except MiaError:  # some networks compute with numbers while they are built (mit_b0), which meta tensors have not
        return build_network(spec).eval().to("meta")


def place(model: torch.nn.Module, device: torch.device, *, channels_last: bool = True) -> torch.nn.Module:
    """The network on `device`; channels last are a third faster than the default layout on CPUs, and what GPUs want."""
    model.to(device)
    if channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def reason_of(error: Exception) -> str:
    """The first line of what an exception says."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
