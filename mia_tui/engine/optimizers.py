"""Optimisers by name; slowing and freezing the encoder."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch
from torch.nn.modules.batchnorm import _NormBase

from mia_tui.engine.optimizer_names import OPTIMIZERS
from mia_tui.errors import MiaError


def make_optimizer(
    name: str,
    model: torch.nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    encoder_factor: float = 1.0,
) -> torch.optim.Optimizer:
    """An optimiser for all parameters of `model`.

    Parameters
    ----------
    name : str
        One of `optimizer_names.OPTIMIZERS`. muon orthogonalises the steps of all weight matrices and convolution
        kernels (Jordan et al. 2024, scaled as Liu et al. 2025 so that rates of AdamW fit) and uses AdamW for the rest.
    model : Module
        The network, on the device where it will be trained: fused steps are taken where there are any.
    learning_rate : float
        Rate of decoder and head.
    weight_decay : float
        For weights alone: biases, norms and position embeddings are never decayed. adamw and muon decouple it
        (Loshchilov & Hutter 2019), the others add it to the gradient.
    encoder_factor : float
        The encoder learns at this times the rate. Each parameter group keeps its factor as `rate_factor`, which
        `set_learning_rate` honours.

    Raises
    ------
    MiaError
        For an unknown name.
    """
    groups = parameter_groups(model, learning_rate, weight_decay, encoder_factor)
    fused = next(model.parameters()).device.type in ("cpu", "cuda")
    match name:
        case "adamw":
            return torch.optim.AdamW(groups, fused=fused)
        case "adam":
            return torch.optim.Adam(groups, fused=fused)
        case "adamax":
            return torch.optim.Adamax(groups)
        case "adadelta":
            return torch.optim.Adadelta(groups)
        case "adagrad":
            return torch.optim.Adagrad(groups)
        case "sgd":
            return torch.optim.SGD(groups, momentum=0.9, nesterov=True, fused=fused)
        case "muon":
            import timm.optim

            muon: torch.optim.Optimizer = timm.optim.Muon(groups, nesterov=True, adjust_lr_fn="match_rms_adamw")
            return muon
    raise MiaError(f"unknown optimiser {name!r}: choose one of {', '.join(OPTIMIZERS)}")


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of the next step; groups keep their `rate_factor`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]


def parameter_groups(
    model: torch.nn.Module, learning_rate: float, weight_decay: float, encoder_factor: float
) -> list[dict[str, Any]]:
    """Parameters of `model` by encoder or rest, and by weights or what is never decayed; empty groups are left out."""
    encoder = {id(p) for module in encoder_modules(model) for p in module.parameters()}
    bare = _undecayed(model)
    groups = []
    for inside in (True, False):
        factor = encoder_factor if inside else 1.0
        for decayed in (True, False):
            chosen = [p for p in model.parameters() if (id(p) in encoder) == inside and (id(p) not in bare) == decayed]
            group = {
                "params": chosen, "lr": learning_rate * factor, "rate_factor": factor,
                "weight_decay": weight_decay if decayed else 0.0, "use_fallback": not decayed,
            }  # fmt: skip
            groups.append(group)
    return [group for group in groups if group["params"]]


def _undecayed(model: torch.nn.Module) -> set[int]:
    """Ids of biases, of norms' factors, and of what timm's networks name as not to be decayed (embeddings)."""
    found = {id(p) for p in model.parameters() if p.ndim <= 1}
    for module in model.modules():
        listed: Callable[[], Collection[str]] = getattr(module, "no_weight_decay", tuple)
        own = dict(module.named_parameters())
        found |= {id(own[name]) for name in listed() if name in own}
    return found


# ---- the encoder ----------------------------------------------------------------------------------------------------


def encoder_modules(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Modules of the encoder: `model.encoder` of an smp network; for a timm network all children but the classifier.

    A network with neither has no encoder.
    """
    if hasattr(model, "encoder"):
        yield model.get_submodule("encoder")
    elif hasattr(model, "get_classifier"):
        head: torch.nn.Module = getattr(model, "get_classifier")()  # noqa: B009
        yield from _children_without(model, set(head.modules()))


def _children_without(module: torch.nn.Module, left_out: set[torch.nn.Module]) -> Iterator[torch.nn.Module]:
    """The largest submodules of `module` that hold none of `left_out`."""
    for child in module.children():
        if child in left_out:
            continue
        if left_out.isdisjoint(child.modules()):
            yield child
        else:
            yield from _children_without(child, left_out)


def freeze_encoder(model: torch.nn.Module, frozen: bool) -> None:
    """Keep the encoder as it is, or let it learn again.

    A frozen encoder gets no gradients, and its batch norms neither use nor update the statistics of the batch. Call it
    after every `model.train()`, which sets all batch norms to training.
    """
    for module in encoder_modules(model):
        module.requires_grad_(not frozen)
        for norm in module.modules():
            if isinstance(norm, _NormBase):
                norm.train(model.training and not frozen)
