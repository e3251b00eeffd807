"""ONNX Runtime on the CPU, free of torch: an exported graph is ready long before torch would be imported."""

import hashlib
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia_tui.errors import MiaError
from mia_tui.storage import write_bytes

CARD = "mia_tui.card"
"""Entry of the graph's metadata that holds `model.json`."""
WEIGHTS = "mia_tui.weights"
"""Entry with the SHA-256 of the `model.safetensors` that the graph was made from."""
INSTALL = "pip install 'mia-tui[onnx]'"


class OnnxNetwork:
    """A network in an ONNX file: (B, C, H, W) float32 -> raw outputs (B, K, H, W) or (B, K).

    The same tile gives the same bits with any batch size and at every run (`tests/engine/test_exchange.py`).

    Parameters
    ----------
    graph : Path or bytes
        The file or what is in it.
    threads : int, optional
        CPU threads; None takes all cores this process may use.
    """

    def __init__(self, graph: Path | bytes, threads: int | None = None) -> None:
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.use_deterministic_compute = True
        options.log_severity_level = 3  # errors; they are raised as well
        named = "the exported graph" if isinstance(graph, bytes) else str(graph)
        try:
            source = graph if isinstance(graph, bytes) else str(graph)
            self.session = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has an exception class for each status
            raise MiaError(f"{named} cannot be run as an ONNX model: {_first_line(error)}") from None
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type != "tensor(float)":
            raise MiaError(
                f"{named} takes {len(inputs)} inputs and gives {len(outputs)} outputs; "
                "a model here takes one float32 image (batch, channel, y, x) and gives one output"
            )
        self.named = named
        self.input_channels, self.output_channels = _channels(inputs[0]), _channels(outputs[0])
        self._input = inputs[0].name

    @property
    def metadata(self) -> dict[str, str]:
        """The entries written into the file."""
        return dict(self.session.get_modelmeta().custom_metadata_map)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            found: NDArray[np.float32] = self.session.run(None, {self._input: np.ascontiguousarray(batch)})[0]
        except Exception as error:
            raise MiaError(f"{self.named} failed on an input of shape {batch.shape}: {_first_line(error)}") from None
        return found


def available() -> bool:
    """Whether ONNX Runtime is installed; without importing it."""
    return importlib.util.find_spec("onnxruntime") is not None


def fast_network(folder: Path, threads: int | None = None) -> OnnxNetwork:
    """The network of a model folder for ONNX Runtime, from `model.onnx` beside its weights.

    The first call exports it (some seconds, with torch) and checks that it says the same; later ones only read it,
    until the weights change.

    Raises
    ------
    MiaError
        When ONNX Runtime is not installed, the network cannot be exported, or says something else than the model.
    """
    _runtime()
    path, stamp = folder / "model.onnx", weights_hash(folder)
    if stamp is None and not path.exists():
        raise MiaError(f"the model in {folder} has neither weights nor an ONNX graph that ONNX Runtime could run")
    if stamp is None:
        return OnnxNetwork(path, threads)
    network = _usable(path, stamp, threads)
    if network is not None:
        return network
    from mia_tui.engine.exchange.onnx import checked_graph

    graph = checked_graph(folder)
    try:
        write_bytes(path, graph)
    except OSError:  # a model folder that is shared and read-only: it is exported again the next time
        return OnnxNetwork(graph, threads)
    return OnnxNetwork(path, threads)


def _usable(path: Path, stamp: str, threads: int | None) -> OnnxNetwork | None:
    """The graph made from these weights; None when there is none, or an old or damaged one."""
    if not path.exists():
        return None
    try:
        network = OnnxNetwork(path, threads)
    except MiaError:
        return None
    return network if network.metadata.get(WEIGHTS) == stamp else None


def weights_hash(folder: Path) -> str | None:
    """SHA-256 of `model.safetensors`; None in a model folder that holds an exported graph alone."""
    path = folder / "model.safetensors"
    if not path.exists():
        return None
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MiaError(f"ONNX Runtime is not installed ({error}). Install it: {INSTALL}") from None
    return onnxruntime


def _channels(value: Any) -> int | None:
    size = value.shape[1] if value.shape is not None and len(value.shape) > 1 else None
    return size if isinstance(size, int) else None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
