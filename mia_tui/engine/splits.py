"""Which labelled frames train and which validate. Whole images go to one side, so sequences are never torn apart."""

import fnmatch
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mia_tui.engine.options import TrainConfig
from mia_tui.errors import MiaError
from mia_tui.project import ImageRef, Project

Frame = tuple[ImageRef, str]


def labelled_frames(project: Project) -> list[Frame]:
    """Every frame of the project that has labels and whose image is there."""
    refs = {ref.key: ref for ref in project.images()}
    return [(refs[key], frame) for key, frame in project.frames_under("labels") if key in refs]


def split_frames(frames: Sequence[Frame], config: TrainConfig) -> tuple[list[Frame], list[Frame]]:
    """Training and validation frames: by list, by fold or by share, in this order of precedence.

    By share, with two images or more at least one validates and one trains. Shares and folds are drawn by the seed, so
    that all folds together hold each image once.

    Raises
    ------
    MiaError
        When a pattern of the list fits no labelled image, when nothing is left to train, when there are fewer images
        than folds.
    """
    keys = sorted({ref.key for ref, _ in frames})
    if config.validation_images:
        held = _listed(keys, config.validation_images)
    else:
        order = [keys[i] for i in np.random.default_rng(config.seed).permutation(len(keys))]
        held = _fold(order, config.folds, config.fold) if config.folds else _share(order, config.validation)
    if held and len(held) == len(keys):
        raise MiaError("all labelled images validate and none is left to learn from: hold fewer back")
    return [f for f in frames if f[0].key not in held], [f for f in frames if f[0].key in held]


def _share(order: Sequence[str], share: float) -> set[str]:
    if share == 0 or len(order) < 2:
        return set()
    return set(order[: min(max(round(share * len(order)), 1), len(order) - 1)])


def _fold(order: Sequence[str], folds: int, fold: int) -> set[str]:
    if len(order) < folds:
        raise MiaError(f"{len(order)} labelled images cannot be cut into {folds} folds. Set folds lower.")
    return set(order[fold - 1 :: folds])


def _listed(keys: Sequence[str], wanted: Sequence[str]) -> set[str]:
    """Keys that are named, lie in a named folder, or fit a pattern; `@FILE` stands for the lines of a file."""
    held: set[str] = set()
    for pattern in _lines(wanted):
        found = {key for key in keys if _fits(key, pattern)}
        if not found:
            raise MiaError(f"validation_images: {pattern} fits no labelled image of the project")
        held |= found
    return held


def _fits(key: str, pattern: str) -> bool:
    return key == pattern or key.startswith(pattern.rstrip("/") + "/") or fnmatch.fnmatchcase(key, pattern)


def _lines(wanted: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for text in wanted:
        if not text.startswith("@"):
            lines.append(text)
            continue
        try:
            content = Path(text[1:]).expanduser().read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise MiaError(f"validation_images: {text[1:]} cannot be read: {error}") from None
        lines += [line.strip() for line in content.splitlines() if line.strip()]
    return lines
