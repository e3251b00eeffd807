"""What a person can ask of a training or a prediction. Free of torch, so that the form and the command line can use it.

Every option has a default that suits a beginner, bounds, a one-line help text and a place in the form: a group, basic
or advanced, and the tasks it is for. Training form, `--set key=value` and `config.json` of a run all come from here.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mia_tui.engine.augment.strengths import BOUNDS, HELP

SEGMENTATION, DETECTION, CLASSIFICATION = "segmentation", "detection", "classification"
DENSE = (SEGMENTATION, DETECTION)


def option(
    default: Any, text: str, group: str, *, basic: bool = False, tasks: Sequence[str] | None = None, **bounds: Any
) -> Any:
    """A setting with its help text and its place in the form; `tasks` None is all of them."""
    place: dict[str, Any] = {"group": group, "basic": basic}
    if tasks is not None:
        place["tasks"] = list(tasks)
    return Field(default, description=text, json_schema_extra=place, **bounds)


def strength(switch: str) -> Any:
    """The setting of one switch of the augmentation; None leaves it to the preset."""
    low, high = BOUNDS[switch]
    return option(None, f"{HELP[switch]}; empty = preset", "Augmentation", ge=low, le=high)


class TrainConfig(BaseModel):
    """One training."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    # ---- Network
    architecture: str = option(
        "Unet", "Network family of segmentation-models-pytorch", "Network", basic=True, tasks=DENSE
    )
    encoder: str = option(
        "auto",
        "Name of smp or timm (tu-...), or plain: small, full resolution; auto: plain from scratch, else resnet18",
        "Network",
        basic=True,
    )
    encoder_weights: str | None = option(
        None, "Pre-trained encoder: imagenet, a weights file or folder; empty = from scratch", "Network"
    )
    start_from: str | None = option(
        None, "Model of this project whose weights are kept to start with; empty = none", "Network"
    )
    frozen_epochs: int = option(0, "First epochs in which the encoder does not learn", "Network", ge=0, le=100_000)
    encoder_rate: float = option(
        1.0, "Learning rate of the encoder as a share of that of the rest", "Network", gt=0, le=1
    )
    decoder_channels: list[int] | None = option(
        None, "Widths of a Unet decoder, deepest first; empty = a light default", "Network", tasks=DENSE
    )
    dropout: float = option(0.0, "Dropout before the last layer", "Network", tasks=[CLASSIFICATION], ge=0, lt=1)

    # ---- Input
    channels: list[int] | None = option(None, "Image channels to use (0-based); empty = all", "Input")
    color: Literal["auto", "grey", "rgb"] = option(
        "auto", "auto: as the images are; grey: one channel; rgb: three", "Input"
    )
    neighbours: int = option(0, "Planes below and above in z that the network sees too, each way", "Input", ge=0, le=20)
    normalization: Literal["percentile", "dataset", "zscore", "imagenet"] = option(
        "percentile", "percentile: per frame; dataset: percentiles of all; zscore; imagenet", "Input"
    )
    low_percentile: float = option(1.0, "Percentile that becomes 0", "Input", ge=0, lt=50)
    high_percentile: float = option(99.8, "Percentile that becomes 1", "Input", gt=50, le=100)
    downscale: float = option(1.0, "Images are shrunk to this share of their side", "Input", ge=0.05, le=1)

    # ---- Patches
    patch_size: int = option(
        256, "Side of the square training patches in pixels", "Patches", basic=True, tasks=DENSE, ge=32, le=4096
    )
    image_size: int = option(
        224, "Side in pixels to which whole images are fitted", "Patches", basic=True, tasks=[CLASSIFICATION],
        ge=16, le=4096,
    )  # fmt: skip
    batch_size: int | None = option(
        8, "Patches per step; empty = as many as the memory takes", "Patches", basic=True, ge=1, le=4096
    )
    accumulate: int = option(1, "Batches whose gradients are added up for one step", "Patches", ge=1, le=1024)
    steps_per_epoch: int | None = option(
        None, "Batches per epoch; empty = enough to cover all images once, at least 50", "Patches", ge=1
    )
    prefer_labelled: int = option(
        4, "How often a patch without enough labels is drawn again", "Patches", tasks=DENSE, ge=0, le=50
    )
    min_labelled: int = option(
        1, "Labelled pixels (points in detection) that are enough", "Patches", tasks=DENSE, ge=1, le=10**6
    )
    oversample: float = option(0.0, "0: classes as often as they are; 1: all equally often", "Patches", ge=0, le=1)

    # ---- Target
    touching: Literal["border", "distance", "flow", "off"] = option(
        "flow", "How touching objects are parted: border class, distance map, flow; off: they fuse", "Target",
        basic=True, tasks=[SEGMENTATION],
    )  # fmt: skip
    border_width: float = option(
        3.0, "Width of the border class in pixels; thinner in small objects", "Target", tasks=[SEGMENTATION],
        gt=0, le=50,
    )  # fmt: skip
    border_weight: float = option(
        0.0, "w0 of the weight map between close objects; 0 = off", "Target", tasks=[SEGMENTATION], ge=0, le=1000
    )
    border_sigma: float = option(5.0, "sigma of the weight map in pixels", "Target", tasks=[SEGMENTATION], gt=0, le=100)
    point_size: float = option(
        9.0, "Width of the peak at each point in pixels of the image, about half an object", "Target", basic=True,
        tasks=[DETECTION], ge=1, le=255,
    )  # fmt: skip
    match_radius: float = option(
        6.0,
        "A point this near to a true one counts as found (pixels of the image)",
        "Target",
        tasks=[DETECTION],
        gt=0,
        le=1000,
    )

    # ---- Loss
    loss: str = option("auto", "Sum of losses such as cross_entropy + 0.5*dice; auto = what suits the task", "Loss")
    focal_gamma: float = option(2.0, "gamma of the focal loss", "Loss", ge=0, le=10)
    tversky_alpha: float = option(
        0.5, "Weight of false positives in the Tversky loss, 1 - alpha that of misses", "Loss", tasks=[SEGMENTATION],
        ge=0, le=1,
    )  # fmt: skip
    label_smoothing: float = option(
        0.0, "Share of certainty given to the other classes", "Loss", tasks=[SEGMENTATION, CLASSIFICATION], ge=0, lt=1
    )
    class_weights: str = option(
        "off", "off, auto (rare classes weigh more) or a number per class; outlines: background first", "Loss"
    )

    # ---- Optimiser
    optimizer: Literal["adamw", "adam", "adamax", "adadelta", "adagrad", "sgd", "muon"] = option(
        "adamw", "How weights follow gradients", "Optimiser"
    )
    learning_rate: float | None = option(
        None, "Highest learning rate; empty = what suits the optimiser (adamw 0.002)", "Optimiser", basic=True,
        gt=0, le=10,
    )  # fmt: skip
    weight_decay: float | None = option(
        None, "Weight decay; empty = what suits the optimiser (adamw 0.01)", "Optimiser", ge=0, le=10
    )
    clip: float = option(5.0, "Longest gradient; 0 = no limit", "Optimiser", ge=0, le=1e6)
    ema: float = option(
        0.99, "Decay of the averaged weights that validate and predict; 0 = off", "Optimiser", ge=0, lt=1
    )

    # ---- Schedule
    epochs: int = option(60, "Rounds through the training images", "Schedule", basic=True, ge=1, le=100_000)
    max_minutes: float | None = option(
        None, "Bound by wall time; the schedule is fitted to it", "Schedule", basic=True, gt=0
    )
    schedule: Literal["cosine", "constant", "step", "plateau", "one_cycle"] = option(
        "cosine", "How the learning rate changes; plateau watches the validation", "Schedule"
    )
    warmup: float = option(0.05, "Share of the training in which the learning rate rises", "Schedule", ge=0, le=0.9)
    step_epochs: int = option(25, "Epochs after which schedule=step lowers the rate", "Schedule", ge=1, le=100_000)
    rate_factor: float = option(0.5, "Factor by which step and plateau lower the rate", "Schedule", gt=0, lt=1)
    patience: int = option(5, "Epochs without progress before plateau lowers the rate", "Schedule", ge=1, le=10_000)
    stop_after: int = option(
        0,
        "Epochs without progress in validation after which the training ends; 0 = never",
        "Schedule",
        ge=0,
        le=100_000,
    )

    # ---- Validation
    validation: float = option(
        0.15, "Share of the images kept for validation, whole sequences together", "Validation", basic=True, ge=0, lt=1
    )
    validation_images: list[str] | None = option(
        None, "Images that validate: keys, folders, patterns with *, or @FILE; empty = by share", "Validation"
    )
    folds: int = option(
        0, "Cut the images into this many parts, one of which validates; 0 = off", "Validation", ge=0, le=100
    )
    fold: int = option(1, "Which of the parts validates, 1 to folds", "Validation", ge=1, le=100)
    seed: int = option(0, "Seed of split, weights, patches and augmentation", "Validation", ge=0, le=2**31 - 1)

    # ---- Augmentation
    augmentation: Literal["fluorescence", "phase", "histology", "none"] = option(
        "fluorescence", "Preset of random changes to the images", "Augmentation", basic=True
    )
    augmentation_strength: float = option(1.0, "Factor on all strengths of the preset", "Augmentation", ge=0, le=2)
    augment_flip: float | None = strength("flip")
    augment_turn: float | None = strength("turn")
    augment_rotate: float | None = strength("rotate")
    augment_scale: float | None = strength("scale")
    augment_stretch: float | None = strength("stretch")
    augment_shear: float | None = strength("shear")
    augment_translate: float | None = strength("translate")
    augment_elastic: float | None = strength("elastic")
    augment_blur: float | None = strength("blur")
    augment_noise: float | None = strength("noise")
    augment_shot: float | None = strength("shot")
    augment_dropout: float | None = strength("dropout")
    augment_brightness: float | None = strength("brightness")
    augment_contrast: float | None = strength("contrast")
    augment_gamma: float | None = strength("gamma")
    augment_channel: float | None = strength("channel")
    augment_stain: float | None = strength("stain")

    # ---- Machine
    device: str = option("auto", "auto, cpu, cuda or cuda:N", "Machine")
    amp: Literal["auto", "off", "bf16", "fp16"] = option(
        "auto", "Mixed precision; auto = where the device has it", "Machine"
    )
    compile: bool = option(False, "Compile the network first: minutes to start, pays on GPUs in long runs", "Machine")
    channels_last: bool = option(True, "Memory layout that is faster nearly everywhere", "Machine")
    deterministic: bool = option(False, "The same bits on GPUs too; slower", "Machine")
    workers: int | None = option(None, "Loader processes; empty = none on CPU, up to 8 on GPU", "Machine", ge=0, le=64)
    threads: int | None = option(None, "CPU threads of torch; empty = all cores", "Machine", ge=1, le=1024)
    cache_gb: float | None = option(
        None, "Memory for decoded images; empty = a quarter of what is free", "Machine", ge=0, le=10_000
    )

    @model_validator(mode="after")
    def _check(self) -> "TrainConfig":
        if self.patch_size % 32:
            raise ValueError(f"patch_size must be a multiple of 32, not {self.patch_size}")
        if any(channel < 0 for channel in self.channels or ()):
            raise ValueError(f"channels are numbered from 0, not {min(self.channels or ())}")
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise ValueError(f"device must be auto, cpu, cuda or cuda:N, not {self.device!r}")
        if self.folds == 1 or (self.folds and self.fold > self.folds):
            raise ValueError(f"folds must be 0 or at least 2, and fold 1 to folds; not {self.folds} and {self.fold}")
        if self.encoder_weights and self.start_from:
            raise ValueError("start_from keeps all weights of a model: leave encoder_weights empty")
        if not re.fullmatch(r"off|auto|\d[\d., ]*", self.class_weights):
            raise ValueError(f"class_weights must be off, auto or numbers like 1,2,0.5, not {self.class_weights!r}")
        return self

    @property
    def validates(self) -> bool:
        """Whether images are kept for validation."""
        return bool(self.validation or self.folds or self.validation_images)


class PredictConfig(BaseModel):
    """One prediction run over images of a project."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(description="Name of the model in models/")
    images: list[str] | None = Field(None, description="Image keys; empty = the predict images, else all")
    tta: bool = Field(False, description="Average over 8 flips and turns")
    probabilities: bool = Field(False, description="Also keep the probabilities as TIFF")
    uncertainty: bool = Field(False, description="Also measure how unsure the model is of each object")
    onnx: bool = Field(False, description="Compute with ONNX Runtime on the CPU")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
