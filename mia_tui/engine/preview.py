"""The small picture that shows a network learning: one image with what is found in it."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mia_tui.engine.data import TrainingFrame
from mia_tui.engine.predictor import Predictor
from mia_tui.engine.tasks import Annotation
from mia_tui.storage import write_bytes

SIDE = 256
"""Largest side of the preview in pixels; a larger image is cut to its middle, never scaled."""


def write_preview(path: Path, predictor: Predictor, frame: TrainingFrame) -> None:
    """Draw the middle of `frame` with what is labelled (orange) under what is predicted (blue) into a PNG."""
    height, width = frame.shape
    top, left = max(0, (height - SIDE) // 2), max(0, (width - SIDE) // 2)
    plane = np.ascontiguousarray(frame.plane[:, top : top + SIDE, left : left + SIDE])
    normalization = predictor.card.normalization
    shown = normalization.apply(plane, frame.limits if normalization.unit else _stretch(plane))
    found = predictor.find(plane if predictor.task.dense else frame.plane, frame.limits).found
    picture = predictor.task.draw(grey_or_rgb(shown), _cut(frame.annotation, top, left), found)
    stream = BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    write_bytes(path, stream.getvalue())


def grey_or_rgb(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(Y, X, 3) uint8: the first channel, or RGB, of a (C, Y, X) image in 0..1."""
    base = image.transpose(1, 2, 0) if len(image) == 3 else np.repeat(image[:1].transpose(1, 2, 0), 3, axis=2)
    picture: NDArray[np.uint8] = np.ascontiguousarray(np.rint(base.clip(0, 1) * 255), np.uint8)
    return picture


def _stretch(plane: NDArray[np.generic]) -> NDArray[np.float32]:
    flat = plane.reshape(len(plane), -1)
    limits = np.stack([flat.min(1), flat.max(1) + (flat.max(1) == flat.min(1))], 1)
    return limits.astype(np.float32)


def _cut(annotation: Annotation, top: int, left: int) -> Annotation:
    labels, points = annotation.labels, annotation.points
    return replace(
        annotation,
        labels=None if labels is None else labels[top : top + SIDE, left : left + SIDE],
        points=None if points is None else points - np.array([top, left], np.float32),
    )
