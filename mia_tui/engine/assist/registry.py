"""Which assists there are: trained models of the project, and files that a person put into one of two folders.

Nothing here imports torch or opens weights: the interface lists the entries, ready or with the sentence that says which
file to put where. How the files look is in `docs/assist.md`.
"""

import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mia_tui.errors import MiaError
from mia_tui.project import Project
from mia_tui.settings import APP

EXPORTED = ("dextr", "points", "edges")
"""Kinds of exported models, told by a card beside the file."""
PROMPTS: dict[str, tuple[str, ...]] = {
    "model": (),
    "sam": ("points", "box", "extremes", "strokes"),
    "dextr": ("extremes",),
    "points": ("points", "strokes"),
    "edges": (),
    "hed": (),
}
"""Kind -> the parts of a prompt that it understands. Those without are asked about a view alone."""
SAM_CLASSES = {
    "sam": "SamModel",
    "sam2": "Sam2Model",
    "sam2_video": "Sam2Model",
    "edgetam": "EdgeTamModel",
    "edgetam_video": "EdgeTamModel",
}
"""`model_type` in the `config.json` of a SAM folder -> class in transformers."""
WEIGHTS = (".safetensors", ".pth", ".pt", ".bin", ".pytorch")


@dataclass(frozen=True)
class AssistEntry:
    """One assist of the list.

    Attributes
    ----------
    name : str
        What it is called, unique in its list.
    kind : str
        A key of `PROMPTS`. "edges" and "hed" answer with an edge map, all others with outlines.
    file : Path, optional
        The card of an exported model, a weights file, or a folder; None when there is none yet.
    ready : bool
        Whether it can be asked.
    reason : str
        Why not, and what to do about it; "" when ready.
    """

    name: str
    kind: str
    file: Path | None
    ready: bool = True
    reason: str = ""

    @property
    def prompts(self) -> tuple[str, ...]:
        return PROMPTS[self.kind]

    @property
    def gives_edges(self) -> bool:
        return self.kind in ("edges", "hed")


@dataclass(frozen=True)
class Card:
    """What an exported model needs to know about itself, read from the JSON file beside it.

    Attributes
    ----------
    kind : str
        One of `EXPORTED`.
    file : Path
        The TorchScript (`.pt`) or `torch.export` (`.pt2`) file.
    size : int
        Side of its square input in pixels.
    mean, std : tuple of float
        Per image channel, of values 0..1; their length (1 or 3) is the number of image channels.
    output : str
        "logits" or "probability": what its (1, 1, size, size) output means.
    sigma : float
        dextr, points: radius (standard deviation) of the Gaussian drawn at each point, in pixels of the input.
    margin : float
        dextr: how much is cut around the extreme points, as a share of their box's longer side.
    """

    kind: str
    file: Path
    size: int
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    output: str = "logits"
    sigma: float = 10.0
    margin: float = 0.25


def read_card(path: Path) -> Card:
    """Read the card of an exported model.

    Raises
    ------
    MiaError
        When the card cannot be read, an entry is missing, unknown or out of range, or the model is not there.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MiaError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise MiaError(f"{path} is no card of a model, it is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise MiaError(f"{path} is no card of a model: it must hold a JSON object. See docs/assist.md")
    try:
        card = _make_card(path, values)
    except KeyError as error:
        raise MiaError(f"{path}: the entry {error} is missing. See docs/assist.md") from None
    except (TypeError, ValueError) as error:
        raise MiaError(f"{path}: {error}. See docs/assist.md") from None
    if not card.file.is_file():
        raise MiaError(f"{card.file} is not there, which {path.name} names as its model: put it there")
    return card


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


_READERS: dict[str, Callable[[Any], Any]] = {
    "size": int, "mean": _numbers, "std": _numbers, "output": str, "sigma": float, "margin": float,
}  # fmt: skip


def _make_card(path: Path, values: Mapping[str, Any]) -> Card:
    unknown = sorted(values.keys() - {field.name for field in fields(Card)})
    if unknown:
        raise ValueError(f"unknown entry {', '.join(unknown)}")
    given = {key: read(values[key]) for key, read in _READERS.items() if key in values or key == "size"}
    card = Card(kind=str(values["kind"]), file=path.parent / str(values["file"]), **given)
    if card.kind not in EXPORTED:
        raise ValueError(f"kind {card.kind!r} is none of {', '.join(EXPORTED)}")
    if card.output not in ("logits", "probability"):
        raise ValueError(f"output {card.output!r} is neither logits nor probability")
    if len(card.mean) not in (1, 3) or len(card.mean) != len(card.std):
        raise ValueError("mean and std must both hold 1 number (grey) or 3 (colour)")
    if not (8 <= card.size <= 4096 and card.sigma > 0 and card.margin >= 0 and min(card.std) > 0):
        raise ValueError("size must be 8 to 4096, sigma and std above 0, margin 0 or more")
    return card


# ---- the list --------------------------------------------------------------------------------------------------------


def user_folder() -> Path:
    """Where a user's own assists lie, for all projects: `$MIA_TUI_ASSIST`, else the platform's data folder."""
    if folder := os.environ.get("MIA_TUI_ASSIST"):
        return Path(folder).expanduser()
    from platformdirs import user_data_path

    return Path(user_data_path(APP, appauthor=False)) / "assist"


def assists(project: Project | None) -> list[AssistEntry]:
    """All assists: the project's models (newest first), then files of the project, files of the user, then a line for
    each kind of which there is nothing yet. Of two with one name the first counts."""
    found: dict[str, AssistEntry] = {}
    folders = [user_folder()]
    if project is not None:
        folders.insert(0, project.models_folder / "assist")
        for name in project.models():
            found[name] = AssistEntry(name, "model", project.models_folder / name)
    for folder in folders:
        for entry in _in_folder(folder):
            found.setdefault(entry.name, entry)
    kinds = {entry.kind for entry in found.values()}
    missing = (AssistEntry(kind, kind, None, False, text) for kind, text in _how_to_get(project, folders[0]).items())
    return [*found.values(), *(entry for entry in missing if entry.kind not in kinds)]


def _how_to_get(project: Project | None, folder: Path) -> dict[str, str]:
    """Kind -> what to do to get one."""
    card = '{"kind": "KIND", "file": "FILE.pt2", "size": 256}'
    exported = f"put its .pt or .pt2 file into {folder}, and beside it a card NAME.json: {card} (docs/assist.md)"
    sam = (
        "on a machine with internet: hf download yonigozlan/EdgeTAM-hf --local-dir edgetam (the quickest without a "
        f"GPU; or facebook/sam-vit-base), then copy that folder into {folder}"
    )
    texts = {
        "sam": sam if _has_transformers() else f'pip install "mia-tui[sam]"; then {sam}',
        "dextr": f"a network from four extreme points to a mask: {exported.replace('KIND', 'dextr')}",
        "points": f"a network from clicks to a mask: {exported.replace('KIND', 'points')}",
        "hed": f"the weights of HED edges as a PyTorch file: put hed.safetensors or hed.pth into {folder}",
    }
    if project is None:
        return texts
    train = f"no model has been trained in this project yet: mia-tui train {project.folder}. Then it proposes objects"
    return {"model": train, **texts}


def _has_transformers() -> bool:
    return importlib.util.find_spec("transformers") is not None


def _in_folder(folder: Path) -> Iterator[AssistEntry]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:  # no such folder: the usual case
        return
    claimed = set()
    for path in paths:
        if path.suffix == ".json" and not path.name.startswith("."):
            entry, model = _carded(path)
            claimed.add(model)
            yield entry
    for path in paths:
        if path.is_dir():
            if entry_of_folder := _sam(path):
                yield entry_of_folder
        elif path.stem.lower().startswith("hed") and path.suffix in WEIGHTS and path not in claimed:
            yield AssistEntry(path.stem, "hed", path)
        elif path.suffix in (".pt", ".pt2") and path not in claimed:
            text = f'{path.name} has no card: write {path.stem}.json beside it, such as {{"kind": "dextr", "file": '
            yield AssistEntry(path.stem, "dextr", path, False, f'{text}"{path.name}", "size": 256}} (docs/assist.md)')


def _carded(path: Path) -> tuple[AssistEntry, Path]:
    """The entry of a card, and the model that it claims. A faulty card keeps the kind that it names."""
    try:
        card = read_card(path)
    except MiaError as error:
        kind, file = _claims(path)
        return AssistEntry(
            path.stem, kind if kind in EXPORTED else "dextr", path, False, str(error)
        ), path.parent / file
    return AssistEntry(path.stem, card.kind, path), card.file


def _claims(path: Path) -> tuple[str, str]:
    """Kind and file that a faulty card names, if it names any."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return str(values.get("kind")), str(values.get("file", path.stem + ".pt2"))
    except (OSError, ValueError, AttributeError):
        return "", path.stem + ".pt2"


def _sam(folder: Path) -> AssistEntry | None:
    """A folder as `hf download` makes it; None for any other folder."""
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if kind not in SAM_CLASSES:
        return AssistEntry(
            folder.name, "sam", folder, False,
            f"{folder} holds a {kind} model; known are {', '.join(SAM_CLASSES)}",
        )  # fmt: skip
    if not list(folder.glob("*.safetensors")):
        return AssistEntry(folder.name, "sam", folder, False, f"{folder} holds no *.safetensors: copy it whole")
    if not _has_transformers():
        return AssistEntry(folder.name, "sam", folder, False, 'transformers is missing: pip install "mia-tui[sam]"')
    return AssistEntry(folder.name, "sam", folder)
