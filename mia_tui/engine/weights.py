"""Starting a network from pre-trained encoder weights: by name, file or folder, for any number of channels."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import segmentation_models_pytorch as smp
import timm
import torch
from timm.models import adapt_input_conv

from mia_tui.engine.catalogue import build_timm, timm_name
from mia_tui.engine.networks import CLASSIFIER, NetworkSpec
from mia_tui.engine.plain_unet import ENCODER as PLAIN
from mia_tui.engine.weight_files import SUFFIXES, read_weights, weights_in
from mia_tui.engine.weight_search import fetch, local_files, not_found, online, search_folders, sources
from mia_tui.errors import MiaError

Tensors = dict[str, torch.Tensor]
Value = TypeVar("Value")

COUNTER = "num_batches_tracked"
"""Tensors that count batches: older files have none, and nothing depends on them."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

HEADS = ("fc", "_fc", "classifier", "head", "head_dist", "last_linear", "linear")
"""First part of the names of last layers, which belong to the classes that were learnt and not to the encoder."""


def load_encoder_weights(
    spec: NetworkSpec, weights: str, model: torch.nn.Module, *, folders: Sequence[Path] = (),
    say: Callable[[str], None] = lambda text: None,
) -> torch.nn.Module:  # fmt: skip
    """Start the encoder of `model` (built from `spec`) from `weights`; decoder and last layer stay as they are.

    Parameters
    ----------
    weights
        A name that smp or timm list ("imagenet" is their default), a file (.safetensors, .pth, .pt, .bin) or a folder
        (snapshot of the Hugging Face hub, `save_pretrained`, a model of ours, also as "local-dir:FOLDER"). A relative
        path is looked for in `folders`, in `$MIA_WEIGHTS`, then in the working folder. A file may hold an encoder, a
        classifier or a whole segmentation network.
    folders
        Where names are looked for first, such as the project's `weights/`; then `$MIA_WEIGHTS`, the caches of Hugging
        Face and torch, and the hub if `MIA_ONLINE=1`.
    say
        Gets one sentence: which file was taken, and what of it.

    First layers are fitted to `spec.in_channels` as smp and timm do: kernels of RGB are summed for one channel,
    repeated in turn and scaled by 3 / n for n, so that the answers keep their size.

    Raises
    ------
    MiaError
        When the weights are not to be had, damaged, or of another network.
    """
    path = _as_path(spec, weights, folders)
    if path is not None:
        say(_load(spec, path, model))
    else:
        say(_load_named(spec, weights, model, folders))
    return model


def input_statistics(spec: NetworkSpec, weights: str = "imagenet") -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each input channel that the published weights expect, for values of 0 to 1.

    From the tables of timm (no network). For one channel the mean over R, G and B; for n channels R, G, B in turn, as
    the kernels of the first layer are.
    """
    try:
        name = timm_name(CLASSIFIER, spec.encoder)
        tag = {"advprop": "ap_in1k"}.get(weights, weights)
        listed = name is not None and "." not in name and timm.models.is_model_pretrained(f"{name}.{tag}")
        config = timm.get_pretrained_cfg(f"{name}.{tag}" if listed else name)
        mean, deviation = (config.mean, config.std) if config else IMAGENET
    except MiaError:  # encoders of smp that timm has not (mit_b0 ..) were trained with the usual values
        mean, deviation = IMAGENET
    return _per_channel(mean, spec.in_channels), _per_channel(deviation, spec.in_channels)


def _per_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    if channels == 1:
        return (sum(values) / len(values),)
    return tuple(float(values[i % len(values)]) for i in range(channels))


# ---- finding --------------------------------------------------------------------------------------------------------


def _as_path(spec: NetworkSpec, weights: str, folders: Sequence[Path]) -> Path | None:
    """The file or folder that `weights` points at; None when it is a name."""
    text = weights.removeprefix("local-dir:")
    path = Path(text).expanduser()
    looks_like_one = text != weights or path.suffix in SUFFIXES or "/" in text or text.startswith("~")
    places = [path] if path.is_absolute() else [folder / path for folder in (*search_folders(folders), Path.cwd())]
    there = next((place for place in places if place.exists()), None)
    if looks_like_one:
        if there is None:
            raise MiaError(
                f"encoder weights {weights} of {spec.encoder} are not there. Looked for: "
                f"{', '.join(map(str, places))}. Give the file or folder that holds them."
            )
        return there
    return there if there is not None and there.is_dir() and not _is_tag(spec, weights) else None


def _is_tag(spec: NetworkSpec, weights: str) -> bool:
    try:
        return bool(sources(spec, weights))
    except MiaError:
        return False


def _load_named(spec: NetworkSpec, tag: str, model: torch.nn.Module, folders: Sequence[Path]) -> str:
    wanted = sources(spec, tag)
    tried: list[str] = []
    for source in wanted:
        for path in local_files(source, folders):
            try:
                return _load(spec, path, model)
            except MiaError as error:
                tried.append(str(error))
    for source in wanted if online() else ():
        try:
            return _load(spec, fetch(source), model)
        except MiaError as error:
            tried.append(str(error))
    raise not_found(spec, tag, wanted, folders, tried)


# ---- fitting --------------------------------------------------------------------------------------------------------


def _load(spec: NetworkSpec, path: Path, model: torch.nn.Module) -> str:
    """Read the file, put its encoder into the model, and say so."""
    if spec.encoder == PLAIN:
        raise MiaError(
            "encoder plain has no pre-trained weights. Leave encoder_weights empty; start_from keeps a model's."
        )
    file = weights_in(path) if path.is_dir() else path
    state = read_weights(file)
    encoder = model if spec.is_classifier else model.get_submodule("encoder")
    fit = _fit_smp if timm_name(spec.architecture, spec.encoder) is None else _fit_timm
    fitted, whole = fit(spec, state, encoder, file)
    encoder.load_state_dict({**encoder.state_dict(), **fitted})
    part = "the encoder of the whole network in " if whole else ""
    return f"{spec.encoder} starts from {part}{file} ({len(fitted)} tensors)"


def _fit_smp(spec: NetworkSpec, state: Tensors, encoder: torch.nn.Module, file: Path) -> tuple[Tensors, bool]:
    """Tensors for one of smp's own encoders, and whether the file holds more than an encoder."""
    names = encoder.state_dict()
    found = _without_heads(_below(state, _prefix(state, names)), names)
    whole = len(found) < len(state)
    channels = _file_channels(found, names, spec.in_channels)
    twin = smp.encoders.get_encoder(spec.encoder, in_channels=channels, weights=None)
    try:
        twin.load_state_dict(found)  # knows the layer names of older releases, and changes them in `found`
    except RuntimeError:
        raise _other_network(spec, file, found, twin.state_dict()) from None
    fitted = {key: value for key, value in twin.state_dict().items() if key in names}
    return _fit_channels(spec, fitted, names, channels, file), whole


def _fit_timm(spec: NetworkSpec, state: Tensors, encoder: torch.nn.Module, file: Path) -> tuple[Tensors, bool]:
    """Tensors for a timm network, whole or as smp's `tu-` encoder, and whether the file holds more than an encoder."""
    bare = build_timm(spec, num_classes=0).state_dict()
    targets = _targets(spec, encoder, bare)
    flat = {_flat(key): key for key in bare}
    given = {_flat(key): key for key in state}
    inner = _below(given, _prefix(given, flat))
    found = _without_heads({flat.get(key, name): state[name] for key, name in inner.items()}, bare)
    if all(key in found or key.endswith(COUNTER) for key in targets.values()):
        channels = _file_channels(found, bare, spec.in_channels)
        loaded = _through_timm(spec, {**bare, **found}, channels, file, bare)
        return {key: loaded[partner] for key, partner in targets.items()}, len(found) < len(state)
    # perhaps the names of its first authors, which timm knows to translate; their networks are for RGB
    loaded = _through_timm(spec, _without_heads(state, bare), 3, file, bare)
    if not _comes_from(loaded, state):
        raise _other_network(spec, file, found, bare)
    return {key: loaded[partner] for key, partner in targets.items()}, False


def _targets(spec: NetworkSpec, encoder: torch.nn.Module, bare: Tensors) -> dict[str, str]:
    """For each tensor of the encoder its name in timm's whole network; last layers are left out."""
    flat = {_flat(key): key for key in bare}
    partners = {key: _partner(key, flat) for key in encoder.state_dict()}
    lost = [key for key, partner in partners.items() if partner is None and not _is_head(key.removeprefix("model."))]
    if lost:
        raise MiaError(
            f"encoder {spec.encoder} has {len(lost)} tensors ({', '.join(lost[:3])}) that published weights have not. "
            "Leave encoder_weights empty, or choose another encoder."
        )
    return {key: partner for key, partner in partners.items() if partner is not None}


def _through_timm(spec: NetworkSpec, state: Tensors, channels: int, file: Path, bare: Tensors) -> Tensors:
    """Let timm fit the tensors: names of other releases, grids of positions for other image sizes, first layers."""
    # first layers that take several pixels at once are fitted to one channel only; timm would leave them at random
    if spec.in_channels > 1 and any(state[key].shape[1] != channels for key in _channel_keys(state, bare)):
        raise MiaError(
            f"{file} is of {channels} channels and the first layer of {spec.encoder} cannot be fitted to "
            f"{spec.in_channels}. Train with {channels} channels, or take another encoder."
        )
    config = timm.get_pretrained_cfg(timm_name(spec.architecture, spec.encoder))
    overlay = {
        "state_dict": dict(state), "num_classes": 0, "label_offset": 0,
        "input_size": (channels, *config.input_size[1:]),
    }  # fmt: skip
    try:
        return build_timm(spec, num_classes=0, pretrained=True, pretrained_cfg_overlay=overlay).state_dict()
    except MiaError:
        raise _other_network(spec, file, state, bare) from None


def _comes_from(loaded: Tensors, state: Tensors) -> bool:
    """Whether at least half of the kernels are from the file: some networks of timm skip names unknown to them."""
    known = {(value.numel(), float(value.max())) for value in state.values() if value.ndim > 1}
    kernels = [value for value in loaded.values() if value.ndim > 1]
    return sum((value.numel(), float(value.max())) in known for value in kernels) >= len(kernels) / 2


def _flat(name: str) -> str:
    """Names of layers without their nesting: timm's feature networks write `stages_0.x` for `stages.0.x`."""
    return name.replace(".", "_")


def _partner(key: str, flat: Mapping[str, str]) -> str | None:
    """The name in the whole network of a layer of its feature network, which smp and timm wrap."""
    for wrapper in ("", "model.", "model.model.", "model.body."):
        if key.startswith(wrapper) and (found := flat.get(_flat(key.removeprefix(wrapper)))):
            return found
    return None


def _prefix(state: Mapping[str, Any], names: Iterable[str]) -> str:
    """What stands before the encoder's names in the file ("encoder." in a whole network); the one that fits most."""
    wanted = set(names)
    counts: dict[str, int] = {}
    for key in state:
        starts = [0, *[i + 1 for i, sign in enumerate(key) if sign in "._"][:4]]
        for start in starts:
            if key[start:] in wanted:
                counts[key[:start]] = counts.get(key[:start], 0) + 1
    return max(counts, key=lambda prefix: (counts[prefix], -len(prefix)), default="")


def _below(state: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _is_head(key: str) -> bool:
    return any(_flat(key).startswith(f"{head}_") for head in HEADS)


def _without_heads(state: Tensors, names: Mapping[str, Any]) -> Tensors:
    """The tensors without last layers, which are those of other classes."""
    return {key: value for key, value in state.items() if key in names or not _is_head(key)}


def _file_channels(state: Tensors, names: Tensors, channels: int) -> int:
    """Input channels of the network in the file: those of a kernel that differs from ours in nothing else."""
    key = next(iter(_channel_keys(state, names)), None)
    return channels if key is None else channels * state[key].shape[1] // names[key].shape[1]


def _channel_keys(state: Tensors, names: Tensors) -> list[str]:
    return [key for key, ours in names.items() if key in state and _differs_in_channels(state[key], ours)]


def _differs_in_channels(theirs: torch.Tensor, ours: torch.Tensor) -> bool:
    return theirs.shape != ours.shape and theirs.ndim == ours.ndim == 4 and _rest(theirs) == _rest(ours)


def _rest(kernel: torch.Tensor) -> tuple[int, ...]:
    return (kernel.shape[0], *kernel.shape[2:])


def _fit_channels(spec: NetworkSpec, state: Tensors, names: Tensors, channels: int, file: Path) -> Tensors:
    fitted = dict(state)
    for key, value in state.items():
        if value.shape != names[key].shape:
            fitted[key] = adapt_input_conv(spec.in_channels, value, base_chans=channels)
            if fitted[key].shape != names[key].shape:
                raise _other_network(spec, file, state, names)
    return fitted


def _other_network(spec: NetworkSpec, file: Path, state: Tensors, names: Tensors) -> MiaError:
    """The error for weights of another network: how many names and shapes differ, and the first of them."""
    missing = [key for key in names if key not in state and not key.endswith(COUNTER)]
    unexpected = [key for key in state if key not in names and not key.endswith(COUNTER)]
    fitting = _channel_keys(state, names)
    shapes = [k for k in names if k in state and state[k].shape != names[k].shape and k not in fitting]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    said = [f"{len(keys)} {kind} ({', '.join(keys[:3])})" for kind, keys in kinds.items() if keys]
    return MiaError(
        f"{file} does not fit encoder {spec.encoder}: of {len(names)} tensors {'; '.join(said) or 'none fits'}. "
        "Choose the encoder that the file was made with, or another file."
    )
