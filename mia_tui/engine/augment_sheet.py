"""Augmented samples of a project as a training would draw them, for people to look at before it starts."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mia_tui.engine.augment.sample import Sample
from mia_tui.engine.augment.sheet import contact_sheet, prices
from mia_tui.engine.config import TrainConfig, check_for_task, strengths_of
from mia_tui.engine.data import TrainingFrame, fit_normalization, load_frames, with_limits
from mia_tui.engine.inputs import choose_inputs
from mia_tui.engine.patches import Patches
from mia_tui.engine.planes import PlaneCache
from mia_tui.engine.splits import Frame, labelled_frames, split_frames
from mia_tui.engine.tasks import get_task
from mia_tui.errors import MiaError
from mia_tui.project import Project

SAMPLES = 16
FRAMES = 4
"""Labelled frames that the samples are drawn from, evenly spread over those that train."""


def augmented_samples(project: Project, config: TrainConfig, count: int = SAMPLES) -> list[Sample]:
    """The first `count` patches of a training with these settings (whole images in classification), augmented.

    They are drawn from `FRAMES` frames, so that this takes seconds with any number of images; with
    normalization=dataset the percentiles are those of these frames. No network is made.

    Returns
    -------
    list of Sample
        Images as the network sees them, but for the statistics of ImageNet.

    Raises
    ------
    MiaError
        When the settings do not fit the task, or there are no labels.
    """
    task = get_task(project.task)
    classes = len(project.classes)
    check_for_task(config, project.task, classes)
    listed = labelled_frames(project)
    if not listed:
        raise MiaError(f"project {project.name} has no labels yet: samples are drawn where objects are labelled")
    chosen = _spread(split_frames(listed, config)[0], FRAMES)
    inputs, rgb = choose_inputs(project, chosen, config)
    frames = load_frames(project, chosen, task, inputs, config, PlaneCache(config.cache_gb))
    if not frames:
        raise MiaError(f"the labels of project {project.name} hold nothing for {project.task}")
    normalization = fit_normalization(config, frames)
    ready: list[TrainingFrame] = with_limits(frames, normalization)
    patches = Patches(ready, task, config, normalization, classes, count, rgb)
    return [patches.sample(index)[0] for index in range(count)]


def _spread(frames: Sequence[Frame], count: int) -> list[Frame]:
    """At most `count` of the frames, evenly spread."""
    count = min(count, len(frames))
    return [frames[index * len(frames) // count] for index in range(count)]


def write_sheet(project: Project, config: TrainConfig, out: Path, *, with_prices: bool = False) -> dict[str, Any]:
    """Write a picture of augmented samples as PNG.

    Returns
    -------
    dict
        JSON-able. `file`; `samples`: how many; `size`: (height, width) of each in pixels; `channels`; `strengths`:
        switch -> strength; with `with_prices` also `prices`: switch -> samples per second of one core with only this
        switch on.

    Raises
    ------
    MiaError
        As `augmented_samples`; when the file cannot be written.
    """
    from PIL import Image

    if out.suffix.lower() != ".png":
        raise MiaError(f"{out} cannot be written: the picture is a PNG, end its name with .png")
    samples = augmented_samples(project, config)
    height, width, channels = samples[0].image.shape
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(contact_sheet(samples)).save(out)
    except OSError as error:
        raise MiaError(f"{out} cannot be written: {error}") from None
    found: dict[str, Any] = {
        "file": str(out), "samples": len(samples), "size": [height, width], "channels": channels,
        "strengths": asdict(strengths_of(config)),
    }  # fmt: skip
    return {**found, "prices": dict(prices(height, channels))} if with_prices else found
