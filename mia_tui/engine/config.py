"""What a person can ask of a training or a prediction. Free of torch, so that the form and the command line can use it.

Every option has a default that suits a beginner, bounds, and a one-line help text; the training form, `--set key=value`
and `config.json` of a run all come from these two models.
"""

import re
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mia_tui.errors import MiaError


class TrainConfig(BaseModel):
    """One training. Fields marked `basic` stand at the top of the form, the others below "advanced"."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    architecture: str = Field(
        "Unet", description="Network family of segmentation-models-pytorch", json_schema_extra={"basic": True}
    )
    encoder: str = Field(
        "resnet18",
        description="Encoder of the network, any that smp lists (tu-... for timm)",
        json_schema_extra={"basic": True},
    )
    epochs: int = Field(
        60, ge=1, le=100_000, description="Rounds through the training images", json_schema_extra={"basic": True}
    )
    max_minutes: float | None = Field(
        None, gt=0, description="Bound by wall time; the schedule is fitted to it", json_schema_extra={"basic": True}
    )
    patch_size: int = Field(
        256,
        ge=32,
        le=4096,
        description="Side of the square training patches in pixels",
        json_schema_extra={"basic": True},
    )
    batch_size: int = Field(8, ge=1, le=4096, description="Patches per step", json_schema_extra={"basic": True})
    learning_rate: float = Field(
        2e-3, gt=0, le=1, description="Highest learning rate of the schedule", json_schema_extra={"basic": True}
    )
    augmentation: Literal["fluorescence", "histology", "none"] = Field(
        "fluorescence", description="Preset of random changes to the patches", json_schema_extra={"basic": True}
    )
    touching: Literal["border", "off"] = Field(
        "border",
        description="border: inside and border classes, parted by a watershed; off: touching objects fuse",
        json_schema_extra={"basic": True},
    )

    decoder_channels: list[int] | None = Field(
        None, description="Widths of a Unet decoder, deepest first; empty = a light default"
    )
    encoder_weights: str | None = Field(
        None, description="Pre-trained encoder: a name like imagenet or a weights file; empty = from scratch"
    )
    channels: list[int] | None = Field(None, description="Image channels to use (0-based); empty = all")
    border_width: float = Field(
        3.0, gt=0, le=50, description="Width of the border class in pixels; thinner in small objects"
    )
    border_weight: float = Field(0.0, ge=0, le=1000, description="w0 of the weight map between close objects; 0 = off")
    border_sigma: float = Field(5.0, gt=0, le=100, description="sigma of the weight map in pixels")
    cross_entropy: float = Field(1.0, ge=0, le=100, description="Weight of the cross entropy in the loss")
    dice: float = Field(1.0, ge=0, le=100, description="Weight of the Dice loss")
    weight_decay: float = Field(1e-2, ge=0, le=10, description="Weight decay of AdamW")
    warmup: float = Field(0.05, ge=0, le=0.9, description="Share of the training in which the learning rate rises")
    ema: float = Field(0.99, ge=0, lt=1, description="Decay of the averaged weights that validate and predict; 0 = off")
    steps_per_epoch: int | None = Field(
        None, ge=1, description="Steps per epoch; empty = enough to cover all images once, at least 50"
    )
    prefer_labelled: int = Field(4, ge=0, le=50, description="How often a patch without labels is drawn again")
    validation: float = Field(
        0.15, ge=0, lt=1, description="Share of the images kept for validation, whole sequences together"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of split, weights, patches and augmentation")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    amp: Literal["auto", "off", "bf16", "fp16"] = Field(
        "auto", description="Mixed precision; auto = where the device has it"
    )
    workers: int | None = Field(None, ge=0, le=64, description="Loader processes; empty = none on CPU, up to 8 on GPU")
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads of torch; empty = all cores")

    @model_validator(mode="after")
    def _check(self) -> "TrainConfig":
        if self.patch_size % 32:
            raise ValueError(f"patch_size must be a multiple of 32, not {self.patch_size}")
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise ValueError(f"device must be auto, cpu, cuda or cuda:N, not {self.device!r}")
        if self.cross_entropy == 0 and self.dice == 0:
            raise ValueError("cross_entropy and dice are both 0: nothing would be learnt")
        return self


class PredictConfig(BaseModel):
    """One prediction run over images of a project."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(description="Name of the model in models/")
    images: list[str] | None = Field(None, description="Image keys; empty = the predict images, else all")
    tta: bool = Field(False, description="Average over 8 flips and turns")
    probabilities: bool = Field(False, description="Also keep the probabilities as TIFF")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")


def parse_settings(pairs: list[str], base: dict[str, Any] | None = None) -> TrainConfig:
    """A `TrainConfig` from `base` and `key=value` strings (`--set`).

    Raises
    ------
    MiaError
        Naming every unknown key and every value out of bounds.
    """
    values: dict[str, Any] = dict(base or {})
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign:
            raise MiaError(f"--set {pair}: write key=value")
        values[key.strip()] = parse_value(text.strip(), key.strip())
    return make_config(values)


def make_config(values: dict[str, Any]) -> TrainConfig:
    """A checked `TrainConfig`; all that is wrong is named in one `MiaError`."""
    try:
        return TrainConfig(**values)
    except ValidationError as error:
        raise MiaError("the training settings are not right:\n" + "\n".join(_explain(error))) from None


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            known = ", ".join(sorted(TrainConfig.model_fields))
            lines.append(f"  {key}: unknown setting (known: {known})")
        else:
            lines.append(f"  {key + ': ' if key else ''}{item['msg'].removeprefix('Value error, ')}")
    return lines


def parse_value(text: str, key: str) -> Any:
    """The text of one setting as pydantic should see it: "" and "none" are None, lists are comma separated.

    A setting that offers "none" itself (augmentation) keeps it.
    """
    setting = TrainConfig.model_fields.get(key)
    if setting is not None and text in get_args(setting.annotation):
        return text
    if text.lower() in ("", "none"):
        return None
    if key in ("channels", "decoder_channels"):
        return [part.strip() for part in text.split(",")]
    return text
