"""Which of two folders' files belong together, by name."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from mia_tui.errors import MiaError
from mia_tui.project import IMAGE_SUFFIXES, natural_key

LABEL_SUFFIXES = frozenset({".png", ".tif", ".tiff"})


@dataclass(frozen=True)
class Pair:
    """A true label image and the prediction of the same name (None where there is none)."""

    name: str
    truth: Path
    pred: Path | None


@dataclass(frozen=True)
class Pairing:
    """Which files belong together; the rest by their paths relative to the folders."""

    pairs: tuple[Pair, ...]
    unpaired_truth: tuple[str, ...]
    unpaired_pred: tuple[str, ...]


def pair_files(pred: Path, truth: Path) -> Pairing:
    """Pair the label images of two folders, or two files.

    Folders are searched with all they hold. Two files belong together when their paths inside the folders are the same
    after all image suffixes are taken off: `a.png.tif` goes with `a.tif` and with `a.png`. Two files given by name
    belong together whatever they are called.

    Raises
    ------
    MiaError
        When one is a file and the other a folder, when something is missing, when the true folder holds no label
        image, or when several files of one folder have the same name without suffixes.
    """
    for path in (pred, truth):
        if not path.exists():
            raise MiaError(f"{path} does not exist. Give a folder of label images or one label image.")
    if pred.is_file() and truth.is_file():
        return Pairing((Pair(truth.name, truth, pred),), (), ())
    if pred.is_file() or truth.is_file():
        raise MiaError(f"{pred} and {truth}: one is a file, the other a folder. Give two files or two folders.")
    truths, preds = _by_bare_name(truth), _by_bare_name(pred)
    if not truths:
        raise MiaError(f"{truth} holds no label image ({', '.join(sorted(LABEL_SUFFIXES))}).")
    pairs = tuple(
        Pair(name, _only(truth, files), _only(pred, preds[name]) if name in preds else None)
        for name, files in truths.items()
    )
    extra = [path for name, files in preds.items() if name not in truths for path in files]
    return Pairing(
        pairs,
        unpaired_truth=tuple(pair.truth.relative_to(truth).as_posix() for pair in pairs if pair.pred is None),
        unpaired_pred=tuple(path.relative_to(pred).as_posix() for path in extra),
    )


def bare_name(path: PurePath) -> str:
    """A relative path without its image suffixes: `x/a.png.tif` becomes `x/a`."""
    while path.suffix.lower() in IMAGE_SUFFIXES:
        path = path.with_suffix("")
    return path.as_posix()


def _by_bare_name(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.suffix.lower() in LABEL_SUFFIXES and not hidden and path.is_file():
            found[bare_name(relative)].append(path)
    return {name: sorted(found[name]) for name in sorted(found, key=natural_key)}


def _only(folder: Path, files: Sequence[Path]) -> Path:
    if len(files) > 1:
        names = ", ".join(path.relative_to(folder).as_posix() for path in files)
        raise MiaError(f"{folder}: {names} have one name without their suffixes. Leave only the one to score.")
    return files[0]
