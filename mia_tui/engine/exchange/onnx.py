"""ONNX: the network as one self-contained file for ONNX Runtime and everything that reads the format."""

import io
import json
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mia_tui.engine.bundle import ModelCard, load_model
from mia_tui.engine.exchange import parity
from mia_tui.engine.exchange.graphs import parse_card
from mia_tui.engine.exchange.onnx_runtime import CARD, INSTALL, WEIGHTS, OnnxNetwork, weights_hash
from mia_tui.engine.exchange.source import Source, example_input
from mia_tui.errors import MiaError
from mia_tui.storage import write_bytes


def write(source: Source, target: Path) -> None:
    """Write the `.onnx` file, its weights and `model.json` inside."""
    write_bytes(target, graph_of(source))


def outputs(path: Path) -> parity.Outputs:
    """What the written file computes."""
    return OnnxNetwork(path, torch.get_num_threads())


def unpack(path: Path, folder: Path) -> None:
    """A model folder from a file of ours: the graph as it is, and the card from its metadata."""
    card = parse_card(OnnxNetwork(path).metadata.get(CARD), path)
    write_bytes(folder / "model.onnx", path.read_bytes())
    (folder / "model.json").write_text(json.dumps(card, indent=1) + "\n")


def graph_of(source: Source) -> bytes:
    """The ONNX file with the present card; a graph that lies in the model folder for these weights is used again."""
    onnx = _onnx()
    stamp = weights_hash(source.folder)
    proto = _kept(source.folder / "model.onnx", stamp) or _export(source.card, source.model)
    entries = {CARD: json.dumps(source.values), **({WEIGHTS: stamp} if stamp else {})}
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, entries)
    serialized: bytes = proto.SerializeToString()
    return serialized


def checked_graph(folder: Path) -> bytes:
    """The ONNX file of a model folder, after its outputs were compared with the model's."""
    card, model = load_model(folder)
    graph = graph_of(Source.of(folder, card, model))
    found = parity.compare(
        parity.outputs_of(model), OnnxNetwork(graph, torch.get_num_threads()), parity.sample_tiles(card)
    )
    parity.check(found, f"the ONNX graph of {folder.name}")
    return graph


def opset(graph: bytes) -> int:
    """Version of the standard operators a graph needs."""
    return int(next(entry.version for entry in _onnx().load_from_string(graph).opset_import if entry.domain == ""))


def _export(card: ModelCard, model: torch.nn.Module) -> Any:
    """Batch, height and width stay free where the network allows it (transformers have a fixed size)."""
    auto = torch.export.Dim.AUTO
    example = torch.from_numpy(np.zeros(example_input(card), np.float32))
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model, (example,), dynamo=True, dynamic_shapes=({0: auto, 2: auto, 3: auto},), external_data=False,
                input_names=["input"], output_names=["output"], verbose=False,
            )  # fmt: skip
    except Exception as error:  # torch.export, its decompositions and onnxscript each have their own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        name = f"{card.network.architecture}/{card.network.encoder}"
        raise MiaError(f"{name} cannot be exported to ONNX: {reason}") from None
    assert program is not None
    return program.model_proto


def _kept(path: Path, stamp: str | None) -> Any:
    """The graph that lies in the model folder, when it is of these weights (or there are no others)."""
    try:
        proto = _onnx().load(path)
    except Exception:  # not there, or damaged: it is made again
        return None
    made_from = {entry.key: entry.value for entry in proto.metadata_props}.get(WEIGHTS)
    return proto if stamp is None or made_from == stamp else None


def _onnx() -> Any:
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch.onnx needs it)
    except ImportError as error:
        raise MiaError(f"the ONNX exporter is not installed ({error}). Install it: {INSTALL}") from None
    return onnx
