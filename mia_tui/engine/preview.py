"""The small picture that shows a network learning: one image with what is found in it."""

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mia_tui.engine.data import TrainingFrame
from mia_tui.engine.normalize import apply_limits
from mia_tui.engine.predict import Predictor
from mia_tui.engine.tasks.segmentation import IGNORED, rim_distance
from mia_tui.storage import write_bytes

SIDE = 256
"""Largest side of the preview in pixels; a larger image is cut to its middle, never scaled."""

TRUTH = (230, 159, 0)
FOUND = (86, 180, 233)


def write_preview(path: Path, predictor: Predictor, frame: TrainingFrame) -> None:
    """Draw the middle of `frame` with labelled outlines (orange) under predicted ones (blue) into a PNG."""
    height, width = frame.shape
    top, left = max(0, (height - SIDE) // 2), max(0, (width - SIDE) // 2)
    box = (slice(top, top + SIDE), slice(left, left + SIDE))
    plane = np.ascontiguousarray(frame.plane[:, box[0], box[1]])
    found = predictor.find(plane, frame.limits)
    labelled = (frame.target % IGNORED > 0).astype(int) if frame.truth is None else frame.truth.instances
    picture = draw(apply_limits(plane, frame.limits), labelled[box], found.objects.labels)
    stream = BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    write_bytes(path, stream.getvalue())


def draw(image: NDArray[np.float32], truth: NDArray[np.integer], found: NDArray[np.integer]) -> NDArray[np.uint8]:  # type: ignore[type-arg]
    """(Y, X, 3) uint8: the first channel (or RGB) of a (C, Y, X) image in 0..1 with both outlines."""
    base = image.transpose(1, 2, 0) if len(image) == 3 else np.repeat(image[:1].transpose(1, 2, 0), 3, axis=2)
    picture: NDArray[np.uint8] = np.rint(base * 255).astype(np.uint8)
    for labels, color in ((truth, TRUTH), (found, FOUND)):
        picture[rim_distance(labels) == 1] = color
    return picture
