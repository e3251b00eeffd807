"""A package for the BioImage Model Zoo (bioimage.io, model specification 0.5) that `bioimageio.core` runs and tests.

It holds the network as ONNX and, for networks of segmentation-models-pytorch, as a PyTorch state dict; a test image
with the expected output; the normalisation as processing steps; a cover, a README; and our `model.json`, so that the
package comes back as a model here.
"""

import json
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mia_tui.engine.bundle import ModelCard, save_model
from mia_tui.engine.catalogue import architectures
from mia_tui.engine.exchange import onnx, parity
from mia_tui.engine.exchange.graphs import parse_card
from mia_tui.engine.exchange.onnx_runtime import OnnxNetwork
from mia_tui.engine.exchange.safetensors import extract
from mia_tui.engine.exchange.source import Source, example_input
from mia_tui.engine.networks import SIZE_MULTIPLE, NetworkSpec
from mia_tui.engine.normalize import Normalization
from mia_tui.engine.plain_unet import ENCODER as PLAIN
from mia_tui.errors import MiaError

INSTALL = "pip install 'mia-tui[bioimageio,onnx]'"
PAPER = ("Körber N. MIA is an open-source standalone deep learning application for microscopic image analysis. "
         "Cell Reports Methods 3 (2023)", "10.1016/j.crmeth.2023.100517")  # fmt: skip
COVER_SIDE = 256
SOFTMAX_PARTINGS = ("border", "off", None)
"""Ways of parting touching objects whose output channels are classes alone."""


def write(source: Source, target: Path) -> None:
    """Write the package."""
    spec = _spec()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = _weights(source, folder)
        plane = parity.sample_planes(source.card, _test_side(source.card), 1)[0]
        expected = _test_arrays(source, plane, folder)
        Image.fromarray(_cover(plane, expected)).save(folder / "cover.png")
        (folder / "README.md").write_text(_readme(source), encoding="utf-8")
        (folder / "model.json").write_text(json.dumps(source.values, indent=1) + "\n")
        try:
            spec.save_bioimageio_package(_describe(source, weights, folder), output_path=target)
        except ValueError as error:  # pydantic's ValidationError is one
            raise MiaError(f"{source.folder.name} makes no valid bioimage.io package: {_first(error)}") from None


def outputs(path: Path) -> parity.Outputs:
    """What the ONNX weights in the package compute."""
    with zipfile.ZipFile(path) as archive:
        return OnnxNetwork(archive.read("model.onnx"), torch.get_num_threads())


def unpack(path: Path, folder: Path) -> None:
    """A model folder from a package of ours: weights where there are some, else the ONNX graph."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        values = parse_card(archive.read("model.json").decode() if "model.json" in names else None, path)
        if "weights.pt" in names:
            extract(archive, "weights.pt", folder / "weights.pt", path)
            try:
                state = torch.load(folder / "weights.pt", map_location="cpu", weights_only=True)
                save_model(folder, ModelCard.from_json(values), state)
            except Exception as error:  # torch.load: zip, pickle and C++ errors of many kinds
                raise MiaError(f"the weights in {path} are damaged: {type(error).__name__}") from None
            (folder / "weights.pt").unlink()
        else:
            extract(archive, "model.onnx", folder / "model.onnx", path)
    (folder / "model.json").write_text(json.dumps(values, indent=1) + "\n")


# ---- the description -------------------------------------------------------------------------------------------------


def _describe(source: Source, weights: Any, folder: Path) -> Any:
    v = _spec().model.v0_5
    card = source.card
    return v.ModelDescr(
        name=_plain_name(source.folder.name),
        description=_summary(card),
        authors=[v.Author(name=name) for name in source.authors],
        cite=[v.CiteEntry(text=PAPER[0], doi=v.Doi(PAPER[1]))],
        license=source.license,
        documentation=v.FileDescr(source=folder / "README.md"),
        covers=[v.FileDescr(source=folder / "cover.png")],
        attachments=[v.FileDescr(source=folder / "model.json")],
        tags=[card.task, "microscopy", card.network.architecture.lower(), card.network.encoder, "mia-tui"],
        inputs=[_input(source, folder)],
        outputs=[_output(source, folder)],
        weights=weights,
    )


def _input(source: Source, folder: Path) -> Any:
    v = _spec().model.v0_5
    card = source.card
    names = [f"channel{index}" for index in range(card.network.in_channels)]
    whole = card.image_size
    least = example_input(card)[2]
    size = whole or v.ParameterizedSize(min=least, step=SIZE_MULTIPLE)
    space = [v.SpaceInputAxis(id=v.AxisId(axis), size=size, **_scale(card)) for axis in "yx"]
    return v.InputTensorDescr(
        id=v.TensorId("input"),
        description="camera values, any scale",
        axes=[v.BatchAxis(), v.ChannelAxis(channel_names=names), *space],
        test_tensor=v.FileDescr(source=folder / "test-input.npy"),
        data=v.IntervalOrRatioDataDescr(type="float32"),
        preprocessing=_preprocessing(card),
    )


def _output(source: Source, folder: Path) -> Any:
    v = _spec().model.v0_5
    card = source.card
    axes: list[Any] = [v.BatchAxis(), v.ChannelAxis(channel_names=_output_channels(card))]
    if card.task != "classification":
        axes += [
            v.SpaceOutputAxis(
                id=v.AxisId(axis), size=v.SizeReference(tensor_id=v.TensorId("input"), axis_id=v.AxisId(axis)),
                **_scale(card),
            ) for axis in "yx"
        ]  # fmt: skip
    steps = {"softmax": [v.SoftmaxDescr()], "sigmoid": [v.SigmoidDescr()], "none": []}[_activation(card)]
    return v.OutputTensorDescr(
        id=v.TensorId("output"),
        description="raw network output; model.json says how it is decoded" if not steps else "probabilities",
        axes=axes,
        test_tensor=v.FileDescr(source=folder / "test-output.npy"),
        data=v.IntervalOrRatioDataDescr(type="float32"),
        postprocessing=steps,
    )


def _preprocessing(card: ModelCard) -> list[Any]:
    """The normalisation as steps.

    Raises
    ------
    MiaError
        For imagenet, which treats images of 8 and of 16 bits differently, as no step does.
    """
    v = _spec().model.v0_5
    normalization = card.normalization
    axes = (v.AxisId("y"), v.AxisId("x"))
    clip = v.ClipDescr(kwargs=v.ClipKwargs(min=0.0, max=1.0))
    if normalization.kind == "zscore":
        return [v.ZeroMeanUnitVarianceDescr(kwargs=v.ZeroMeanUnitVarianceKwargs(axes=axes))]
    if normalization.kind == "dataset":
        return [_fixed_scale(normalization, card.network.in_channels), clip]
    if normalization.kind != "percentile":
        raise MiaError(
            f"normalisation {normalization.kind!r} cannot be stated in a bioimage.io package. Export to onnx, or train "
            "with normalization=percentile, dataset or zscore."
        )
    stretch = v.ScaleRangeKwargs(axes=axes, min_percentile=normalization.low, max_percentile=normalization.high)
    return [v.ScaleRangeDescr(kwargs=stretch), clip]


def _fixed_scale(normalization: Normalization, channels: int) -> Any:
    """The percentiles of the training data as a linear step for each channel."""
    v = _spec().model.v0_5
    fixed = normalization.limits(np.zeros((channels, 1, 1), np.float32)).tolist()
    gain = [1 / (high - low) for low, high in fixed]
    offset = [-low / (high - low) for low, high in fixed]
    if channels == 1:
        return v.ScaleLinearDescr(kwargs=v.ScaleLinearKwargs(gain=gain[0], offset=offset[0]))
    return v.ScaleLinearDescr(
        kwargs=v.ScaleLinearAlongAxisKwargs(axis=v.NonBatchAxisId("channel"), gain=gain, offset=offset)
    )


def _activation(card: ModelCard) -> str:
    """What makes probabilities of raw outputs: "softmax", "sigmoid", or "none" where channels are of several kinds."""
    if card.task == "detection":
        return "sigmoid"
    parting = card.to_json()["decoding"].get("touching") if card.task == "segmentation" else None
    return "softmax" if parting in SOFTMAX_PARTINGS else "none"


def _output_channels(card: ModelCard) -> list[str]:
    names = [name for name, _ in card.classes]
    if card.task == "segmentation":
        names = ["background", *names]
    extra = card.network.out_channels - len(names)
    more = ["border"] if extra == 1 and _activation(card) == "softmax" else [f"extra{i}" for i in range(extra)]
    return names + more


def _scale(card: ModelCard) -> dict[str, Any]:
    return {} if card.pixel_size is None else {"unit": "micrometer", "scale": card.pixel_size}


# ---- the files ------------------------------------------------------------------------------------------------------


def _weights(source: Source, folder: Path) -> Any:
    """ONNX, and the state dict it comes from where a public library builds the network from a name."""
    v = _spec().model.v0_5
    graph = onnx.graph_of(source)
    (folder / "model.onnx").write_bytes(graph)
    architecture = _architecture(source.card.network)
    if architecture is not None and (source.folder / "model.safetensors").exists():
        torch.save(source.model.state_dict(), folder / "weights.pt")
        state = v.PytorchStateDictWeightsDescr(
            source=folder / "weights.pt", architecture=architecture,
            pytorch_version=v.Version(torch.__version__.partition("+")[0]),
        )  # fmt: skip
    else:
        state = None
    parent = None if state is None else "pytorch_state_dict"
    graph_entry = v.OnnxWeightsDescr(source=folder / "model.onnx", opset_version=onnx.opset(graph), parent=parent)
    return v.WeightsDescr(onnx=graph_entry, pytorch_state_dict=state)


def _architecture(spec: NetworkSpec) -> Any:
    cls = architectures().get(spec.architecture)
    if cls is None or spec.encoder == PLAIN:
        return None
    arguments: dict[str, Any] = {
        "encoder_name": spec.encoder, "encoder_weights": None,
        "in_channels": spec.in_channels, "classes": spec.out_channels,
    }  # fmt: skip
    if spec.decoder_channels is not None:
        arguments["decoder_channels"] = list(spec.decoder_channels)
    return _spec().model.v0_5.ArchitectureFromLibraryDescr(
        callable=cls.__name__, import_from="segmentation_models_pytorch", kwargs=arguments
    )


def _test_side(card: ModelCard) -> int:
    """The test image is as small as inputs may be, but at least 128 px, so that there are cells in it."""
    return card.image_size or max(128, example_input(card)[2])


def _test_arrays(source: Source, plane: NDArray[np.uint16], folder: Path) -> NDArray[np.float32]:
    """Write the test image as the camera gave it and what our own prediction makes of it; the latter (K, ...)."""
    card = source.card
    values = parity.normalized(card, plane)
    raw = torch.from_numpy(parity.outputs_of(source.model)(values[None]))
    activation = _activation(card)
    if activation != "none":
        raw = raw.softmax(1) if activation == "softmax" else raw.sigmoid()
    expected: NDArray[np.float32] = raw.numpy()
    np.save(folder / "test-input.npy", plane[None].astype(np.float32))
    np.save(folder / "test-output.npy", expected)
    first: NDArray[np.float32] = expected[0]
    return first


def _cover(plane: NDArray[np.uint16], expected: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(S, 2 S) grey picture: the test image beside the most probable channel (of an image class: its bar)."""
    low, high = np.percentile(plane[0], [1, 99.8])
    image = np.clip((plane[0] - low) / max(high - low, 1), 0, 1)
    if expected.ndim == 1:
        bars = np.clip((expected - expected.min()) / max(float(np.ptp(expected)), 1e-6), 0, 1)
        found = np.repeat(bars[None], image.shape[0], axis=0)
        found = found[:, np.arange(image.shape[1]) * len(bars) // image.shape[1]]
    elif len(expected) == 1:
        found = np.clip(expected[0], 0, 1)
    else:
        found = expected.argmax(0) / (len(expected) - 1)
    both = [Image.fromarray(np.rint(part * 255).astype(np.uint8)) for part in (image, found)]
    return np.hstack([np.asarray(part.resize((COVER_SIDE, COVER_SIDE), Image.Resampling.NEAREST)) for part in both])


def _summary(card: ModelCard) -> str:
    classes = ", ".join(name for name, _ in card.classes)
    return f"{card.task.capitalize()} of {classes}: {card.network.architecture} with encoder {card.network.encoder}"


def _readme(source: Source) -> str:
    card = source.card
    metrics = "\n".join(
        f"- {key}: {value}" for key, value in card.metrics.items() if not isinstance(value, dict | list)
    )
    size = f"{card.pixel_size:g} µm" if card.pixel_size else "not recorded"
    side = card.image_size
    sizes = (
        f"Images are fitted to {side} x {side} px." if side
        else f"Sides are multiples of {SIZE_MULTIPLE} px, at least {example_input(card)[2]}; larger images are tiled."
    )  # fmt: skip
    return f"""# {source.folder.name}

{_summary(card)}. Trained and exported with mia-tui. Licence of the weights: {source.license}.

## Input

{card.network.in_channels} channel(s), values as the camera gives them. Each channel of the whole frame is scaled by its
percentiles before it is cut into tiles. Pixel size: {size}. {sizes}

## Output

Channels: {", ".join(_output_channels(card))}. How objects are made of them is in `model.json` under `decoding`;
`mia-tui models PROJECT import FILE` brings the model back with it.

## Validation

{metrics or "No metrics were recorded."}

Compare with your own labels before you rely on the model: `mia-tui evaluate PROJECT --model NAME --split all`.
"""


def _plain_name(name: str) -> str:
    """A name as the specification allows it: letters, digits, a few signs, 5 to 128 characters."""
    plain = re.sub(r"[^A-Za-z0-9_+\- ()]", "_", name)[:100]
    return plain if len(plain) >= 5 else f"model {plain}"


def _first(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _spec() -> Any:
    try:
        import bioimageio.spec
        from loguru import logger
    except ImportError as error:
        raise MiaError(f"the bioimage.io writer is not installed ({error}). Install it: {INSTALL}") from None
    logger.disable("bioimageio")  # it reports each step and every wish on stderr
    return bioimageio.spec
