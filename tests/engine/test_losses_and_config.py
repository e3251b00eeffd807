"""Losses against their formulas; settings against mistakes."""

from typing import get_args

import pytest
import torch

from mia_tui.engine.config import TrainConfig, make_config, parse_settings
from mia_tui.engine.losses import dice_loss, segmentation_loss, weighted_cross_entropy
from mia_tui.engine.tasks.segmentation import IGNORED
from mia_tui.errors import MiaError


def example() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, 5, 7, generator=generator), torch.randint(0, 3, (2, 5, 7), generator=generator)


def test_cross_entropy_is_torchs_and_ignored_pixels_do_not_count() -> None:
    logits, target = example()
    assert weighted_cross_entropy(logits, target) == pytest.approx(
        torch.nn.functional.cross_entropy(logits, target).item(), rel=1e-5
    )
    hidden = target.clone()
    hidden[0] = IGNORED
    alone = torch.nn.functional.cross_entropy(logits[1:], target[1:]).item()
    assert weighted_cross_entropy(logits, hidden).item() == pytest.approx(alone, rel=1e-5)
    logits2 = logits.clone()
    logits2[0] = 100 * torch.rand(3, 5, 7)
    assert dice_loss(logits2, hidden).item() == pytest.approx(dice_loss(logits, hidden).item(), rel=1e-5)


def test_weights_scale_their_pixels() -> None:
    logits, target = example()
    weights = torch.ones(2, 5, 7)
    weights[1] = 3
    parts = [weighted_cross_entropy(logits[i : i + 1], target[i : i + 1]).item() for i in (0, 1)]
    assert weighted_cross_entropy(logits, target, weights).item() == pytest.approx(
        (parts[0] + 3 * parts[1]) / 2, rel=1e-5
    )


def test_dice_by_hand() -> None:
    logits = torch.full((1, 2, 1, 4), 0.0)
    target = torch.tensor([[[0, 0, 1, 1]]])
    # every probability is 0.5: overlap 1, sums 2 + 2, smooth 1 -> (2 + 1) / (4 + 1) for both classes
    assert dice_loss(logits, target, smooth=1.0).item() == pytest.approx(1 - 3 / 5)


def test_a_perfect_answer_costs_nothing() -> None:
    _, target = example()
    logits = 50.0 * torch.nn.functional.one_hot(target, 3).permute(0, 3, 1, 2).float()
    assert segmentation_loss(logits, target, None, cross_entropy=1, dice=1).item() < 0.01


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
