"""Settings against mistakes, and what they mean for each task."""

from typing import get_args

import pytest

from mia_tui.engine.config import (
    TrainConfig,
    check_for_task,
    encoder_of,
    make_config,
    parse_settings,
    strengths_of,
    with_whole_paths,
)
from mia_tui.errors import MiaError


def test_every_setting_has_a_help_text() -> None:
    assert all(field.description for field in TrainConfig.model_fields.values())


def test_settings_are_read_from_text() -> None:
    config = parse_settings(
        ["epochs=7", "max_minutes=2.5", "channels=0,2", "encoder_weights=none", "compile=yes"], {"batch_size": 3}
    )
    assert (config.epochs, config.max_minutes, config.channels, config.batch_size) == (7, 2.5, [0, 2], 3)
    assert config.encoder_weights is None
    assert config.compile
    assert parse_settings(["augmentation=none"]).augmentation == "none"


def test_everything_that_a_setting_offers_can_be_written() -> None:
    offers = {name: get_args(field.annotation) for name, field in TrainConfig.model_fields.items()}
    for name, offered in offers.items():
        for text in (value for value in offered if isinstance(value, str)):
            assert getattr(parse_settings([f"{name}={text}"]), name) == text


@pytest.mark.parametrize(
    ("pair", "named"),
    [("epoch=3", "epoch: unknown setting"), ("epochs=0", "epochs"), ("patch_size=100", "multiple of 32"),
     ("epochs", "key=value"), ("touching=maybe", "touching")],
)  # fmt: skip
def test_bad_settings_are_named(pair: str, named: str) -> None:
    with pytest.raises(MiaError, match=named):
        parse_settings([pair])


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(MiaError) as caught:
        make_config({"epochs": -1, "batch_size": "many", "bogus": 1})
    assert all(word in str(caught.value) for word in ("epochs", "batch_size", "bogus"))


@pytest.mark.parametrize(
    ("task", "classes", "values", "named"),
    [
        ("classification", 2, {"touching": "off"}, "touching: not for classification"),
        ("detection", 1, {"border_weight": 3}, "border_weight: not for detection"),
        ("segmentation", 1, {"point_size": 3}, "point_size: not for segmentation"),
        ("segmentation", 1, {"loss": "mse"}, "unknown loss 'mse'"),
        ("segmentation", 2, {"class_weights": "1,2"}, "class_weights has 2 numbers, 3 are needed"),
        ("classification", 1, {}, "at least two classes"),
        ("segmentation", 1, {"schedule": "plateau", "validation": 0}, "schedule=plateau: needs validation"),
        ("segmentation", 1, {"stop_after": 3, "validation": 0}, "stop_after: needs validation"),
        ("segmentation", 1, {"frozen_epochs": 2}, "frozen_epochs"),
        ("segmentation", 1, {"architecture": "FPN", "decoder_channels": [8, 8]}, "decoder_channels"),
        ("detection", 1, {"amp": "fp16", "device": "cpu"}, "amp=fp16"),
    ],
)
def test_impossible_mixes_are_named_before_anything_starts(task: str, classes: int, values: dict, named: str) -> None:
    with pytest.raises(MiaError, match=named):
        check_for_task(make_config(values), task, classes)


@pytest.mark.parametrize(("task", "classes"), [("segmentation", 1), ("detection", 1), ("classification", 2)])
def test_the_defaults_are_right_for_every_task(task: str, classes: int) -> None:
    check_for_task(make_config({}), task, classes)


def test_several_problems_are_named_together() -> None:
    with pytest.raises(MiaError) as caught:
        check_for_task(make_config({"loss": "bogus", "point_size": 3}), "segmentation", 1)
    assert "bogus" in str(caught.value)
    assert "point_size" in str(caught.value)


def test_switches_replace_those_of_the_preset() -> None:
    plain = strengths_of(make_config({}))
    assert plain.rotate == 180
    changed = strengths_of(make_config({"augmentation_strength": 0.5, "augment_rotate": 20}))
    assert changed.rotate == 20
    assert changed.blur == pytest.approx(plain.blur / 2)
    nothing = strengths_of(make_config({"augmentation": "none"}))
    assert all(value == 0 for value in vars(nothing).values())


def test_files_are_those_of_the_folder_where_one_stands(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.safetensors").touch()
    wish = {"encoder_weights": "weights.safetensors", "validation_images": ["a", "@held.txt"]}
    config = with_whole_paths(make_config(wish))
    assert config.encoder_weights == str(tmp_path / "weights.safetensors")
    assert config.validation_images == ["a", f"@{tmp_path / 'held.txt'}"]
    assert with_whole_paths(make_config({"encoder_weights": "imagenet"})).encoder_weights == "imagenet"


@pytest.mark.parametrize(
    ("task", "settings", "encoder"),
    [
        ("segmentation", {}, "plain"), ("detection", {}, "plain"), ("classification", {}, "resnet18"),
        ("segmentation", {"architecture": "FPN"}, "resnet18"), ("detection", {"start_from": "old"}, "plain"),
        ("segmentation", {"encoder_weights": "imagenet"}, "resnet18"), ("detection", {"encoder": "vgg11"}, "vgg11"),
    ],
)  # fmt: skip
def test_the_automatic_encoder_is_plain_where_that_can_be_trained(task, settings, encoder) -> None:
    assert encoder_of(make_config(settings), task) == encoder
