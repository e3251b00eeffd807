"""Settings against mistakes."""

from typing import get_args

import pytest

from mia_tui.engine.config import TrainConfig, make_config, parse_settings
from mia_tui.errors import MiaError


def test_every_setting_has_a_help_text() -> None:
    assert all(field.description for field in TrainConfig.model_fields.values())


def test_settings_are_read_from_text() -> None:
    config = parse_settings(["epochs=7", "max_minutes=2.5", "channels=0,2", "encoder_weights=none"], {"batch_size": 3})
    assert (config.epochs, config.max_minutes, config.channels, config.batch_size) == (7, 2.5, [0, 2], 3)
    assert config.encoder_weights is None
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
