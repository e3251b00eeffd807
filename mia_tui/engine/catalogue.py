"""Networks by name: segmentation networks of segmentation-models-pytorch, encoders and classifiers of timm."""

import difflib
import inspect
import re
from functools import cache
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch

from mia_tui.engine import plain_unet
from mia_tui.engine.networks import CLASSIFIER, NetworkSpec, reason_of
from mia_tui.errors import MiaError

TIMM_NAMES = {
    r"mobilenet_v2": "mobilenetv2_100",
    r"efficientnet-(b\d)": r"efficientnet_\1",
    r"timm-efficientnet-(\w+)": r"tf_efficientnet_\1",
    r"timm-mobilenetv3_(\w+)": r"tf_mobilenetv3_\1",
    r"timm-(\w+)": r"\1",
    r"(senet154|xception)": r"legacy_\1",
    r"se_(resnet\w+|resnext\w+)": r"legacy_se\1",
    r"inceptionresnetv2": "inception_resnet_v2",
    r"inceptionv(\d)": r"inception_v\1",
    r"resnet(\d+)v2": r"resnetv2_\1",
    r"mobilenet(v2)?": "mobilenetv2_100",
    r"nasnetlarge": "nasnetalarge",
}
"""timm's name of encoders that smp or MIA call otherwise."""


def architectures() -> dict[str, type[torch.nn.Module]]:
    """Segmentation networks by name, as segmentation-models-pytorch lists them."""
    return {cls.__name__: cls for cls in smp.MODEL_ARCHITECTURES_MAPPING.values()}


def known_encoders(architecture: str) -> list[str]:
    """Names of encoders that `architecture` can be tried with. smp's own come first; `tu-` marks those of timm."""
    if architecture.lower() == CLASSIFIER:
        return list(timm.list_models())
    own = [] if architecture.lower() == "dpt" else list(smp.encoders.encoders)
    if architecture.lower() == "unet":
        own.insert(0, plain_unet.ENCODER)
    return own + [f"tu-{name}" for name in timm.list_models()]


def timm_name(architecture: str, encoder: str) -> str | None:
    """timm's name of the encoder, with its tag if it has one; None when the encoder is ours or one of smp's own.

    Raises
    ------
    MiaError
        For a name that neither smp nor timm knows; the message gives the closest ones.
    """
    if architecture.lower() not in (CLASSIFIER, "dpt") and encoder in (*smp.encoders.encoders, plain_unet.ENCODER):
        return None
    name = encoder.removeprefix("tu-")
    if name.split(".")[0] not in timm.list_models():
        name = next((re.sub(old, new, name) for old, new in TIMM_NAMES.items() if re.fullmatch(old, name)), name)
    if not timm.is_model(name):
        raise _unknown_encoder(architecture, encoder)
    return name


def own_size(architecture: str, encoder: str) -> int | None:
    """Height and width (pixels) of the images that the network was made for; None when it takes any size."""
    name = timm_name(architecture, encoder)
    if name is None or not _is_fixed(name):
        return None
    if architecture.lower() != CLASSIFIER and _flexible(name):
        return None
    return usual_size(architecture, encoder)


def usual_size(architecture: str, encoder: str) -> int | None:
    """Height and width (pixels) of the images that timm's network learnt from; None for one that is not timm's."""
    name = timm_name(architecture, encoder)
    return None if name is None else int(timm.get_pretrained_cfg(name).input_size[-1])


def build_segmenter(spec: NetworkSpec) -> torch.nn.Module:
    """smp's network of the spec with random weights."""
    cls = _architecture(spec.architecture)
    if spec.encoder == plain_unet.ENCODER:
        raise MiaError(f"encoder {spec.encoder} goes with architecture Unet, not with {spec.architecture}")
    arguments: dict[str, Any] = {
        "encoder_name": spec.encoder, "encoder_weights": None,
        "in_channels": spec.in_channels, "classes": spec.out_channels,
    }  # fmt: skip
    name = timm_name(spec.architecture, spec.encoder)
    if name is not None:
        arguments |= {"encoder_name": f"tu-{name}", **timm_arguments(spec)}
    if spec.decoder_channels is not None:
        if "decoder_channels" not in inspect.signature(cls.__init__).parameters:
            raise MiaError(f"{spec.architecture} has no decoder_channels. Leave the setting empty.")
        arguments["decoder_channels"] = list(spec.decoder_channels)
    try:
        return cls(**arguments)
    except Exception as error:
        raise MiaError(f"{spec.architecture} cannot be built with encoder {spec.encoder}: {_why_not(error)}") from None


def build_timm(spec: NetworkSpec, **arguments: Any) -> torch.nn.Module:
    """timm's whole network of the spec's encoder; `arguments` of timm.create_model over those of the spec."""
    values = {"in_chans": spec.in_channels, "pretrained": False, **timm_arguments(spec)}
    if spec.dropout:
        values["drop_rate"] = spec.dropout
    try:
        model: torch.nn.Module = timm.create_model(
            timm_name(spec.architecture, spec.encoder), **{**values, **arguments}
        )
    except Exception as error:
        raise MiaError(f"a network with encoder {spec.encoder} cannot be built: {reason_of(error)}") from error
    return model


def timm_arguments(spec: NetworkSpec) -> dict[str, Any]:
    """What timm.create_model must be told about the size of the images, if anything."""
    name = timm_name(spec.architecture, spec.encoder)
    if name is None or not _is_fixed(name):
        return {}
    flexible = None if spec.is_classifier else _flexible(name)
    if flexible is not None:
        return {flexible[0]: flexible[1]}
    return {"img_size": spec.image_size or own_size(spec.architecture, spec.encoder)}


def _architecture(name: str) -> type[torch.nn.Module]:
    cls = smp.MODEL_ARCHITECTURES_MAPPING.get(name.lower())
    if cls is None:
        raise MiaError(f"unknown architecture {name!r}: choose one of {', '.join([*architectures(), CLASSIFIER])}")
    return cls  # type: ignore[no-any-return]


def _is_fixed(name: str) -> bool:
    try:
        return bool(timm.get_pretrained_cfg(name).fixed_input_size)
    except (RuntimeError, AttributeError):  # an unknown tag, or a network that timm has no table entry for
        raise MiaError(
            f"timm has no {name!r}. It has {', '.join(_tags(name)) or 'no weights of this network'}."
        ) from None


def _tags(name: str) -> list[str]:
    return [str(found) for found in timm.list_models(f"{name.split('.')[0]}.*", pretrained=True)]


@cache
def _flexible(name: str) -> tuple[str, bool] | None:
    """The argument that frees a timm network from its image size, None when there is none."""
    for argument in (("dynamic_img_size", True), ("strict_img_size", False)):
        try:
            with torch.device("meta"):
                timm.create_model(name, **dict([argument]))
        except TypeError:  # timm's way to say that the network has no such argument
            continue
        return argument
    return None


def _unknown_encoder(architecture: str, encoder: str) -> MiaError:
    known = known_encoders(architecture)
    close = difflib.get_close_matches(encoder, known, n=5, cutoff=0.5) or known[:5]
    return MiaError(
        f"unknown encoder {encoder!r} for {architecture}. Close to it: {', '.join(close)}. {len(known)} are known: "
        "those of segmentation-models-pytorch and of timm."
    )


def _why_not(error: Exception) -> str:
    """Why smp cannot join a decoder and an encoder, and what to take instead."""
    reason = reason_of(error)
    if "downsampling pattern" in reason:
        return "its features come in one size, a decoder needs several. Take DPT, or an encoder such as resnet18."
    if "output_stride" in reason:
        return (
            "this decoder needs an encoder that can be dilated, such as resnet18. Take that, or Unet, FPN or UPerNet."
        )
    return f"{reason}. Take another encoder, such as resnet18."
