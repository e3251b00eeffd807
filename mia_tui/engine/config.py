"""From texts (`--set key=value`, a form, a file) to a checked `TrainConfig`. Free of torch."""

import typing
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mia_tui.engine.augment.strengths import PRESETS, Strengths
from mia_tui.engine.loss_terms import CLASSIFICATION_LOSSES, DETECTION_LOSSES, SEGMENTATION_LOSSES, parse_loss
from mia_tui.engine.optimizer_names import DEFAULT_DECAYS, DEFAULT_RATES
from mia_tui.engine.options import CLASSIFICATION, DENSE, DETECTION, SEGMENTATION, PredictConfig, TrainConfig
from mia_tui.errors import MiaError

__all__ = [
    "PredictConfig",
    "TrainConfig",
    "check_for_task",
    "make_config",
    "parse_settings",
    "parse_value",
    "with_whole_paths",
]

MOST_CLASSES = 250
"""Targets are bytes: background, the classes, a border, and 255 for pixels that do not count."""

LOSSES = {
    SEGMENTATION: SEGMENTATION_LOSSES, DETECTION: DETECTION_LOSSES, CLASSIFICATION: CLASSIFICATION_LOSSES,
}  # fmt: skip
DEFAULT_LOSS = {SEGMENTATION: "cross_entropy + dice", DETECTION: "focal", CLASSIFICATION: "cross_entropy"}


# ---- texts ----------------------------------------------------------------------------------------------------------


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
            lines.append(f"  {key}: unknown setting{_suggest(key, TrainConfig.model_fields)}")
        else:
            lines.append(f"  {key + ': ' if key else ''}{item['msg'].removeprefix('Value error, ')}")
    return lines


def _suggest(name: str, known: Collection[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=3)
    return f" (did you mean {' or '.join(close)}?)" if close else f" (known: {', '.join(sorted(known))})"


def parse_value(text: str, key: str) -> Any:
    """The text of one setting as pydantic should see it: "" and "none" are None, lists are comma separated.

    A setting that offers "none" itself (augmentation) keeps it.
    """
    setting = TrainConfig.model_fields.get(key)
    kinds = () if setting is None else typing.get_args(setting.annotation)
    if text in kinds:
        return text
    if text.lower() in ("", "none"):
        return None
    if any(typing.get_origin(kind) is list for kind in kinds):
        return [part.strip() for part in text.split(",")]
    return text


def with_whole_paths(config: TrainConfig) -> TrainConfig:
    """Relative paths as seen from the present folder made absolute: the training runs in another one."""
    changes: dict[str, Any] = {}
    if config.encoder_weights and Path(config.encoder_weights).expanduser().exists():
        changes["encoder_weights"] = str(Path(config.encoder_weights).expanduser().resolve())
    if config.validation_images:
        changes["validation_images"] = [
            f"@{Path(text[1:]).expanduser().resolve()}" if text.startswith("@") else text
            for text in config.validation_images
        ]
    return config.model_copy(update=changes)


# ---- what depends on the task ---------------------------------------------------------------------------------------


def applies(name: str, task: str) -> bool:
    """Whether a setting is for this task."""
    place = TrainConfig.model_fields[name].json_schema_extra
    tasks = place.get("tasks") if isinstance(place, dict) else None
    return tasks is None or task in typing.cast(list[str], tasks)


def loss_of(config: TrainConfig, task: str) -> tuple[tuple[str, float], ...]:
    """Names and weights of the losses that are added up."""
    return parse_loss(DEFAULT_LOSS[task] if config.loss == "auto" else config.loss, LOSSES[task])


def encoder_of(config: TrainConfig, task: str) -> str:
    """The encoder: as set, else the network that learns most from scratch in the same time, or one with known weights.

    `plain` is a Unet of its own without published weights, and no classifier.
    """
    if config.encoder != "auto":
        return config.encoder
    can_be_plain = task in DENSE and config.architecture.lower() == "unet" and not config.encoder_weights
    return "plain" if can_be_plain else "resnet18"


def rate_of(config: TrainConfig) -> float:
    """The highest learning rate: as set, else what suits the optimiser."""
    return config.learning_rate or DEFAULT_RATES[config.optimizer]


def decay_of(config: TrainConfig) -> float:
    """The weight decay: as set, else what suits the optimiser."""
    return DEFAULT_DECAYS[config.optimizer] if config.weight_decay is None else config.weight_decay


def strengths_of(config: TrainConfig) -> Strengths:
    """The augmentation: the preset times its strength, single switches replaced by those set."""
    preset = PRESETS[config.augmentation].scaled(config.augmentation_strength)
    return preset.replaced({
        name.removeprefix("augment_"): value
        for name, value in config
        if name.startswith("augment_") and value is not None
    })  # fmt: skip


def class_weights_of(config: TrainConfig, task: str, class_count: int) -> list[float] | None:
    """Weights written down by hand, one per output class; None with off and auto."""
    if config.class_weights in ("off", "auto"):
        return None
    try:
        weights = [float(part) for part in config.class_weights.split(",")]
    except ValueError:
        raise MiaError(f"class_weights {config.class_weights!r}: write numbers like 1,2,0.5") from None
    if not any(weights):
        raise MiaError("class_weights are all 0: nothing would be learnt")
    wanted = class_count + (task == SEGMENTATION)
    if len(weights) != wanted:
        order = "background first, then " if task == SEGMENTATION else ""
        raise MiaError(f"class_weights has {len(weights)} numbers, {wanted} are needed: {order}one per class")
    return weights


def check_for_task(config: TrainConfig, task: str, class_count: int) -> None:
    """Name every setting that cannot be for this task, before anything starts.

    Raises
    ------
    MiaError
        With all that is wrong.
    """
    problems = [
        f"{name}: not for {task}"
        for name, value in config
        if not applies(name, task) and value != TrainConfig.model_fields[name].default
    ]
    try:
        loss_of(config, task)
    except ValueError as error:
        problems.append(f"loss: {error}")
    try:
        class_weights_of(config, task, class_count)
    except MiaError as error:
        problems.append(str(error))
    if class_count > MOST_CLASSES:
        problems.append(f"the project has {class_count} classes, at most {MOST_CLASSES} can be learnt together")
    if task == CLASSIFICATION and class_count < 2:
        problems.append("classification needs at least two classes: add some with mia-tui classes")
    if config.decoder_channels and not config.architecture.lower().startswith(("unet", "manet")):
        problems.append(f"decoder_channels: {config.architecture} has none, only Unet, UnetPlusPlus and MAnet do")
    if not config.validates:
        problems += [
            f"{name}: needs validation images, and none are kept"
            for name, wanted in (
                ("schedule=plateau", config.schedule == "plateau"),
                ("stop_after", config.stop_after > 0),
            )
            if wanted
        ]
    if config.frozen_epochs and not (config.encoder_weights or config.start_from):
        problems.append("frozen_epochs: an encoder from scratch that never learns teaches nothing; set encoder_weights")
    if config.amp == "fp16" and config.device == "cpu":
        problems.append("amp=fp16: needs a GPU")
    if problems:
        raise MiaError("the training settings do not go together:\n" + "\n".join(f"  {text}" for text in problems))
