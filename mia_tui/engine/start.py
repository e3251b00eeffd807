"""With which weights a training starts: from scratch, with a pre-trained encoder, or with those of a model."""

import torch

from mia_tui.engine.bundle import load_model
from mia_tui.engine.config import TrainConfig
from mia_tui.engine.networks import NetworkSpec, build_network
from mia_tui.engine.tasks import get_task
from mia_tui.errors import MiaError
from mia_tui.project import Project


def first_weights(project: Project, config: TrainConfig, spec: NetworkSpec) -> tuple[torch.nn.Module, str]:
    """The network of `spec`, and a sentence about its weights for the log ("" from scratch).

    With `start_from` all weights that have the same name and shape are kept; the rest (the last layer, when there are
    other classes) starts anew.

    Raises
    ------
    MiaError
        When the model is of another architecture, or the weights cannot be had.
    """
    model = build_network(spec)
    get_task(project.task).first_weights(model)
    if config.start_from:
        return model, _keep(project, config.start_from, spec, model)
    if config.encoder_weights:
        from mia_tui.engine.weights import load_encoder_weights

        said: list[str] = []
        folders = [project.folder / "weights"]
        model = load_encoder_weights(spec, config.encoder_weights, model, folders=folders, say=said.append)
        return model, " ".join(said)
    return model, ""


def _keep(project: Project, name: str, spec: NetworkSpec, model: torch.nn.Module) -> str:
    card, old = load_model(project.models_folder / name)
    if (card.network.architecture, card.network.encoder) != (spec.architecture, spec.encoder):
        raise MiaError(
            f"start_from={name} is a {card.network.architecture} with {card.network.encoder}; this training asks for "
            f"a {spec.architecture} with {spec.encoder}. Set architecture and encoder like the model's."
        )
    own, known = model.state_dict(), old.state_dict()
    kept = {key: known[key] for key, value in own.items() if key in known and known[key].shape == value.shape}
    model.load_state_dict({**own, **kept})
    anew = len(own) - len(kept)
    return f"starts with the weights of {name}" + (f"; {anew} of {len(own)} tensors start anew" if anew else "")
