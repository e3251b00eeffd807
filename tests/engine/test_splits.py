"""Which images validate."""

from pathlib import Path

import pytest

from mia_tui.engine.config import TrainConfig, make_config
from mia_tui.engine.splits import split_frames
from mia_tui.errors import MiaError
from mia_tui.project import ImageRef


def refs(*keys: str) -> list[tuple[ImageRef, str]]:
    return [(ImageRef(key, Path(), "train"), "image") for key in keys]


def wish(**values: object) -> TrainConfig:
    return make_config(values)


def test_frames_of_a_sequence_stay_together() -> None:
    movies = [ImageRef(f"movie{m}", Path(), "train") for m in range(6)]
    frames = [(movie, f"t{t:04d}z0000") for movie in movies for t in range(5)]
    for seed in range(10):
        learnt, held = split_frames(frames, wish(validation=0.3, seed=seed))
        assert {r.key for r, _ in learnt}.isdisjoint({r.key for r, _ in held})
        assert len({r.key for r, _ in held}) == 2
        assert len(learnt) + len(held) == len(frames)
    assert split_frames(frames, wish(validation=0.3, seed=1)) == split_frames(frames, wish(validation=0.3, seed=1))


@pytest.mark.parametrize(
    ("count", "share", "held"), [(2, 0.01, 1), (2, 0.99, 1), (1, 0.5, 0), (10, 0.0, 0), (10, 0.2, 2)]
)
def test_split_sizes(count: int, share: float, held: int) -> None:
    learnt, validation = split_frames(refs(*map(str, range(count))), wish(validation=share))
    assert (len(learnt), len(validation)) == (count - held, held)


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_folds_hold_each_image_once(folds: int) -> None:
    frames = refs(*(f"im{n}" for n in range(7)))
    held = [key for fold in range(1, folds + 1) for key in _keys(split_frames(frames, wish(folds=folds, fold=fold))[1])]
    assert sorted(held) == sorted(_keys(frames))


def test_validation_by_folder_pattern_and_list(tmp_path) -> None:
    frames = refs("a/1.tif", "a/2.tif", "b/1.tif", "c.tif", "ab.tif")
    listed = tmp_path / "held.txt"
    listed.write_text("c.tif\n\nb/1.tif\n")
    for patterns, held in (
        (["a"], ["a/1.tif", "a/2.tif"]), (["a/"], ["a/1.tif", "a/2.tif"]), (["*1.tif"], ["a/1.tif", "b/1.tif"]),
        ([f"@{listed}"], ["b/1.tif", "c.tif"]), (["c.tif", "a"], ["a/1.tif", "a/2.tif", "c.tif"]),
    ):  # fmt: skip
        learnt, validation = split_frames(frames, wish(validation_images=patterns))
        assert sorted(_keys(validation)) == held
        assert sorted(_keys(learnt) + held) == sorted(_keys(frames))


def test_splits_that_cannot_be_are_said(tmp_path) -> None:
    frames = refs("a", "b")
    for values, reason in (
        ({"validation_images": ["x"]}, "x fits no labelled image"), ({"validation_images": ["*"]}, "none is left"),
        ({"folds": 3}, "2 labelled images cannot be cut into 3"),
        ({"validation_images": ["@/no/where"]}, "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(MiaError, match=reason):
            split_frames(frames, wish(**values))


def _keys(frames: list[tuple[ImageRef, str]]) -> list[str]:
    return [ref.key for ref, _ in frames]
