"""Models for other programs, and back.

A format is a module with `write(source, target)`, `outputs(path)` (what the written file computes, for the comparison
with the model) and `unpack(path, folder)`, and a line in `FORMATS`. torch is imported when something is exported, not
with this package: `exchange.onnx_runtime` predicts without it.
"""

import importlib
import os
import shutil
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mia_tui.errors import MiaError
from mia_tui.storage import fsync_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Format:
    """Module, file name ending and purpose of an export format."""

    module: str
    suffix: str
    help: str

    def load(self) -> Any:
        return importlib.import_module(f"mia_tui.engine.exchange.{self.module}")


FORMATS = {
    "safetensors": Format("safetensors", ".zip", "the model itself, bit for bit"),
    "onnx": Format("onnx", ".onnx", "for ONNX Runtime and other programs"),
    "pt2": Format("pt2", ".pt2", "for PyTorch without model code"),
    "bioimageio": Format("bioimageio", ".bioimageio.zip", "a package for the BioImage Model Zoo and its readers"),
}


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how far its raw outputs are from the model's.

    `max_difference` of raw outputs and `agreement` (0..1, share of equal argmax) were measured on `tiles` tiles with
    the written file, not with the network in memory.
    """

    format: str
    files: tuple[Path, ...]
    max_difference: float
    agreement: float
    tiles: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def export_model(
    folder: Path,
    destination: Path,
    format: str,
    *,
    samples: "NDArray[np.float32] | None" = None,
    license: str = "CC-BY-4.0",
    authors: tuple[str, ...] = (),
) -> ExportReport:
    """Write the model in `folder` as one file, after the written file was found to say the same.

    Parameters
    ----------
    folder : Path
        A model folder.
    destination : Path
        The file to write; one that is there is replaced.
    format : str
        A name in `FORMATS`.
    samples : (N, C, H, W) float32, optional
        Normalised tiles to compare on; None simulates three of cells.
    license, authors : str and tuple of str
        Of the weights: an SPDX identifier and names, for formats that carry them (bioimageio).

    Raises
    ------
    MiaError
        For an unknown format, a missing library, a network that cannot be exported, and when the outputs differ
        (`parity.check`). Nothing is left behind then.
    """
    kind = FORMATS.get(format)
    if kind is None:
        raise MiaError(f"unknown format {format!r}: choose one of {', '.join(FORMATS)}")
    if destination.is_dir():
        raise MiaError(f"{destination} is a folder: give the name of the file to write")
    ending = f".{kind.suffix.rpartition('.')[2]}"
    if destination.suffix != ending:  # an import goes by it, and so do other programs
        raise MiaError(f"{destination} should end in {ending}: that is what format {format} writes")
    from mia_tui.engine.bundle import load_model
    from mia_tui.engine.exchange import parity
    from mia_tui.engine.exchange.source import Source

    card, model = load_model(folder)
    if not (folder / "model.safetensors").exists() and not (folder / f"model{kind.suffix}").exists():
        held = "model.onnx" if (folder / "model.onnx").exists() else "model.pt2"
        raise MiaError(
            f"model {folder.name} was imported as {held}: it can only be exported to {Path(held).suffix[1:]}"
        )
    tiles = parity.sample_tiles(card) if samples is None else samples
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".export-") as draft_folder:
        draft = Path(draft_folder) / destination.name
        module = kind.load()
        module.write(Source.of(folder, card, model, license=license, authors=authors), draft)
        found = parity.compare(parity.outputs_of(model), module.outputs(draft), tiles)
        parity.check(found, str(destination))
        os.replace(draft, destination)
    fsync_folder(destination.parent)
    return ExportReport(format, (destination,), **asdict(found))


def import_model(source: Path, models_folder: Path, name: str) -> Path:
    """Make a model folder `models_folder/name` from an exported file (or a copied model folder); its path.

    Raises
    ------
    MiaError
        When the name is taken or unfit, the file is damaged, of an unknown kind, or has no card of ours.
    """
    target = models_folder / name
    if not name or name != Path(name).name or name.startswith("."):
        raise MiaError(f"{name!r} cannot be the name of a model: give --name NAME, a single word")
    if target.exists():
        raise MiaError(f"there is a model {name!r} already. Give another --name, or remove it with models rm {name}")
    module = _kind_of(source).load()
    from mia_tui.engine.bundle import load_model

    models_folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=models_folder, prefix=".import-"))
    try:
        module.unpack(source, draft)
        try:
            load_model(draft)
        except MiaError as error:
            raise MiaError(str(error).replace(str(draft), str(source))) from None
        draft.chmod(0o777 & ~_umask())
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    fsync_folder(models_folder)
    return target


def default_name(source: Path) -> str:
    """The name of an imported model unless one is given: that of the file without its ending."""
    endings = sorted((kind.suffix for kind in FORMATS.values()), key=len, reverse=True)
    ending = next((ending for ending in endings if source.name.endswith(ending)), "")
    return source.name.removesuffix(ending)


def _kind_of(source: Path) -> Format:
    """Which format a file has, by its ending and, for a zip, by what is in it."""
    if not source.exists():
        raise MiaError(f"{source} is not there")
    if source.is_dir():
        if not (source / "model.json").exists():
            raise MiaError(f"{source} is no model folder: it has no model.json")
        return FORMATS["safetensors"]
    if source.suffix == ".zip":
        try:
            with zipfile.ZipFile(source) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, OSError) as error:
            raise MiaError(f"{source} is damaged: {error}") from None
        if any(name in ("rdf.yaml", "bioimageio.yaml") for name in names):
            return FORMATS["bioimageio"]
        if "model.json" in names:
            return FORMATS["safetensors"]
        raise MiaError(f"{source} holds no model: neither model.json nor rdf.yaml is in it")
    found = next((kind for kind in FORMATS.values() if kind.suffix == source.suffix), None)
    if found is None:
        endings = ", ".join(sorted({kind.suffix for kind in FORMATS.values()}))
        raise MiaError(f"{source} is no exported model: import reads {endings} and model folders")
    return found


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
