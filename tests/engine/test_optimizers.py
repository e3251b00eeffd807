"""Optimisers learn, go on exactly from a checkpoint, and leave alone what is to be left alone."""

import io
import math

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F

from mia_tui.engine.optimizer_names import DEFAULT_DECAYS, DEFAULT_RATES, OPTIMIZERS
from mia_tui.engine.optimizers import encoder_modules, freeze_encoder, make_optimizer, set_learning_rate
from mia_tui.errors import MiaError


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 3, padding=1, groups=8), torch.nn.ReLU(), torch.nn.Conv2d(8, 2, 1),
    )  # fmt: skip


def batch(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise, and where its neighbourhood is bright."""
    image = torch.randn(4, 1, 12, 12, generator=torch.Generator().manual_seed(number))
    return image, (F.avg_pool2d(image, 3, 1, 1)[:, 0] > 0).long()


def steps(model: torch.nn.Module, optimizer: torch.optim.Optimizer, numbers: range) -> list[float]:
    losses = []
    for number in numbers:
        image, target = batch(number)
        loss = F.cross_entropy(model(image), target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    return losses


def tuned(name: str, model: torch.nn.Module) -> torch.optim.Optimizer:
    return make_optimizer(name, model, learning_rate=DEFAULT_RATES[name], weight_decay=DEFAULT_DECAYS[name])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_learns_with_its_default_rate(name: str) -> None:
    model = network()
    losses = steps(model, tuned(name, model), range(150))
    assert sum(losses[-10:]) / 10 < 0.6 * losses[0]
    assert all(math.isfinite(loss) for loss in losses)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_optimiser_goes_on_bit_by_bit(name: str) -> None:
    model = network()
    optimizer = tuned(name, model)
    set_learning_rate(optimizer, 0.5 * DEFAULT_RATES[name])
    steps(model, optimizer, range(3))
    stream = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, stream)
    expected = steps(model, optimizer, range(3, 6))
    stream.seek(0)
    saved = torch.load(stream, weights_only=True)
    other = network(seed=1)
    resumed = tuned(name, other)
    other.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["optimizer"])
    assert steps(other, resumed, range(3, 6)) == expected
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_unknown_names_are_named() -> None:
    with pytest.raises(MiaError, match=r"'adm'.*adamw"):
        make_optimizer("adm", network(), learning_rate=1e-3, weight_decay=0)
    assert set(DEFAULT_RATES) == set(DEFAULT_DECAYS) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_decay_is_for_weights_alone(name: str) -> None:
    model = network()
    before = {key: value.clone() for key, value in model.named_parameters()}
    optimizer = make_optimizer(name, model, learning_rate=1e-2, weight_decay=0.5)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for key, value in model.named_parameters():
        if value.ndim == 1:
            assert torch.equal(value, before[key])
        else:
            assert value.norm() < before[key].norm()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_first_step_is_that_of_torch(name: str) -> None:
    references = {
        "adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "adamax": torch.optim.Adamax,
        "adadelta": torch.optim.Adadelta, "adagrad": torch.optim.Adagrad,
        "sgd": lambda p, **kw: torch.optim.SGD(p, momentum=0.9, nesterov=True, **kw),
        "muon": lambda p, **kw: torch.optim.Muon(p, adjust_lr_fn="match_rms_adamw", **kw),
    }  # fmt: skip
    models = [torch.nn.Linear(6, 4, bias=False) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [
        make_optimizer(name, models[0], learning_rate=0.01, weight_decay=0.1),
        references[name](models[1].parameters(), lr=0.01, weight_decay=0.1),  # type: ignore[operator]
    ]
    for model, optimizer in zip(models, optimizers, strict=True):
        for number in range(4):
            model.weight.grad = torch.randn(4, 6, generator=torch.Generator().manual_seed(number))
            optimizer.step()
    tolerance = 3e-3 if name == "muon" else 1e-6  # torch's Muon iterates in bfloat16
    torch.testing.assert_close(models[0].weight, models[1].weight, atol=tolerance, rtol=0)


# ---- the encoder ----------------------------------------------------------------------------------------------------


def unet() -> torch.nn.Module:
    torch.manual_seed(0)
    return smp.Unet(
        "tu-mobilenetv3_small_050", encoder_weights=None, in_channels=1, classes=2, decoder_channels=(8, 8, 8, 8, 8)
    )


def classifier(name: str = "resnet10t") -> torch.nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, pretrained=False, in_chans=1, num_classes=3)


def state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


@pytest.mark.parametrize("make", [unet, classifier])
def test_a_frozen_encoder_stays_as_it_is_and_learns_when_thawed(make: object) -> None:
    model = make()  # type: ignore[operator]
    optimizer = make_optimizer("adamw", model, learning_rate=1e-2, weight_decay=0.1)
    image = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    prefix = ("segmentation_head.", "decoder.") if hasattr(model, "encoder") else ("fc.",)

    def step() -> set[str]:
        """Names of what changed."""
        before = state(model)
        loss = model(image).square().mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        return {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}

    model.train()
    freeze_encoder(model, True)
    changed = step()
    assert changed
    assert all(key.startswith(prefix) for key in changed)
    model.train()
    freeze_encoder(model, False)
    changed = step()
    assert any(key.endswith("running_mean") and not key.startswith(prefix) for key in changed)
    assert any(key.endswith("weight") and not key.startswith(prefix) for key in changed)
    model.eval()
    freeze_encoder(model, False)
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto"])
def test_the_encoder_of_a_classifier_is_all_but_its_head(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False, num_classes=3)
    encoder = {id(p) for module in encoder_modules(model) for p in module.parameters()}
    head = [p for p in model.parameters() if id(p) not in encoder]
    own = list(model.get_classifier().parameters())
    embeddings = list(model.parameters(recurse=False))
    assert {id(p) for p in head} == {id(p) for p in own + embeddings}


def test_a_slowed_encoder_learns_at_its_share_of_the_rate() -> None:
    model = unet()
    optimizer = make_optimizer("sgd", model, learning_rate=1.0, weight_decay=0.0, encoder_factor=0.1)
    set_learning_rate(optimizer, 0.5)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for key, parameter in model.named_parameters():
        assert rates[id(parameter)] == pytest.approx(0.05 if key.startswith("encoder.") else 0.5)
    assert len(rates) == len(list(model.parameters()))


def test_position_embeddings_are_not_decayed() -> None:
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=3, depth=1)
    optimizer = make_optimizer("muon", model, learning_rate=1.0, weight_decay=0.1)
    decays = {id(p): (g["weight_decay"], g["use_fallback"]) for g in optimizer.param_groups for p in g["params"]}
    assert decays[id(model.pos_embed)] == decays[id(model.cls_token)] == (0.0, True)
    assert decays[id(model.head.weight)] == (0.1, False)
