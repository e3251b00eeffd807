"""Our own bundle in one file: `model.safetensors` and `model.json` in a zip, every bit kept."""

import shutil
import tempfile
import zipfile
from pathlib import Path

from mia_tui.engine.bundle import load_model
from mia_tui.engine.exchange import parity
from mia_tui.engine.exchange.source import Source
from mia_tui.errors import MiaError

MEMBERS = ("model.safetensors", "model.onnx", "model.pt2", "model.json")
"""What a model folder may hold; the card comes last."""


def write(source: Source, target: Path) -> None:
    """Write the zip. Weights hardly compress, so nothing is compressed."""
    with zipfile.ZipFile(target, "w") as archive:
        for name in ("model.safetensors", "model.json"):
            archive.write(source.folder / name, name)


def outputs(path: Path) -> parity.Outputs:
    """What the written file computes."""
    with tempfile.TemporaryDirectory() as folder:
        unpack(path, Path(folder))
        return parity.outputs_of(load_model(Path(folder))[1])


def unpack(path: Path, folder: Path) -> None:
    """A model folder from a zip of ours, or from a copy of a model folder."""
    if path.is_dir():
        for name in MEMBERS:
            if (path / name).exists():
                shutil.copyfile(path / name, folder / name)
        return
    with zipfile.ZipFile(path) as archive:
        for name in MEMBERS:
            if name in archive.namelist():
                extract(archive, name, folder / name, path)


def extract(archive: zipfile.ZipFile, member: str, target: Path, path: Path) -> None:
    """One member of the archive at `path` as a file."""
    try:
        with archive.open(member) as stream, target.open("wb") as out:
            shutil.copyfileobj(stream, out)
    except KeyError:
        raise MiaError(f"{path} lacks {member}") from None
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise MiaError(f"{path} is damaged at {member}: {error}") from None
