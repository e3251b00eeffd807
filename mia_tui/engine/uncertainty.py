"""How unsure a model is of each object: entropy of its probabilities, and how much eight views of it disagree."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia_tui.engine.predictor import FramePrediction
from mia_tui.engine.tasks import Task
from mia_tui.labeling.objects import LabelObject


def entropy(probabilities: NDArray[Any]) -> NDArray[np.float32]:
    """-sum p log p over the first axis of probabilities that add up to 1, over its largest value: 0 sure, 1 no idea."""
    p = np.clip(probabilities, 1e-7, 1).astype(np.float32)
    spread: NDArray[np.float32] = -(p * np.log(p)).sum(0) / np.float32(np.log(max(len(p), 2)))
    return np.clip(spread, 0, 1)


def measured(
    task: Task, objects: Mapping[int, LabelObject], prediction: FramePrediction, decoding: Any
) -> dict[int, LabelObject]:
    """The objects of a prediction with `uncertainty: entropy` (and `uncertainty: disagreement`) among the measurements
    that QuPath shows; 0 is sure, 1 is not at all."""
    layers: dict[str, NDArray[Any]] = {"entropy": entropy(task.probabilities(prediction.maps, decoding))}
    if prediction.disagreement is not None:
        layers["disagreement"] = prediction.disagreement / np.float32(255)
    values = {f"uncertainty: {name}": task.at_objects(prediction.found, layer) for name, layer in layers.items()}
    return {
        number: _with_measurements(item, {name: round(float(value[number - 1]), 4) for name, value in values.items()})
        for number, item in objects.items()
    }


def _with_measurements(item: LabelObject, found: dict[str, float]) -> LabelObject:
    properties = item.extra.get("properties", {})
    measurements = {**properties.get("measurements", {}), **found}
    return replace(item, extra={**item.extra, "properties": {**properties, "measurements": measurements}})
