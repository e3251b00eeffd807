"""Which file belongs to which image: by its exact name, with everything left over named."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mia_tui.errors import MiaError
from mia_tui.project import IMAGE_SUFFIXES, PREDICT_PREFIX, ImageRef, Project, natural_key

_FRAME = re.compile(r"image|t\d{4,}z\d{4,}")
_ENDING = re.compile(r"_((cp_)?(masks?|labels?)|rois?|RoiSet)$")
_SUFFIXES = frozenset({*IMAGE_SUFFIXES, ".geojson", ".json", ".zip", ".roi", ".csv"})


@dataclass(frozen=True)
class Pair:
    """A file that belongs to an image; to one `frame` of it when it is not ""."""

    ref: ImageRef
    path: Path
    frame: str = ""


@dataclass
class Pairs:
    """Images with their files, and what is left over. `problems` name files or images that fit more than once."""

    pairs: list[Pair] = field(default_factory=list)
    unpaired_images: list[str] = field(default_factory=list)
    unpaired_files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    note: str = ""


def pair(project: Project, source: Path, split: str, suffixes: frozenset[str], *, per_frame: bool = False) -> Pairs:
    """Find the file of each image of a root.

    A file belongs to an image when its path below `source` without its suffix is the image's key, with or without the
    key's own suffix: `a/x.tif` and `a/x.png.tif` both fit the image `a/x.png`. For a series of frames it may also be
    a folder. Only when no file fits, the endings that Cellpose and ImageJ give (`_masks`, `_cp_masks`, `_mask`,
    `_label(s)`, `_roi(s)`, `_RoiSet`) are taken off the files' names. An image never is its own file. With `per_frame`
    also `<key>/<frame>.<suffix>` fits, the layout of the folder labels/ of a project.

    Raises
    ------
    MiaError
        When the source is missing, the root has no images, or nothing fits.
    """
    source = source.expanduser().resolve()
    if not source.exists():
        raise MiaError(f"{source} does not exist. Give the folder with the files to import.")
    if split not in project.roots:
        raise MiaError(f"project {project.name} has no {split!r} images: choose one of {', '.join(project.roots)}")
    refs = project.images(split)
    if not refs:
        raise MiaError(f"{project.roots[split]} holds no images, so there is nothing to import for.")
    files = dict(_candidates(refs, source, suffixes))
    found = _pair_by(refs, files, lambda name: name, per_frame)
    if not found.pairs and not found.problems:
        found = _pair_by(refs, files, lambda name: _ENDING.sub("", name), per_frame)
        found.note = (
            "no file has exactly an image's name: endings such as _masks, _cp_masks, _labels and _rois were taken off"
        )
    if not found.pairs and not found.problems:
        example = f" (such as {next(iter(files.values())).name})" if files else ""
        raise MiaError(
            f"none of the {len(files)} files in {source}{example} has the name of an image of {project.roots[split]} "
            f"(such as {refs[0].key}). Give the files the images' names."
        )
    return found


def _candidates(refs: list[ImageRef], source: Path, suffixes: frozenset[str]) -> Iterator[tuple[str, Path]]:
    """(path below the source, path) of everything that may belong to an image."""
    if source.is_file():
        yield source.name, source
        return
    series = {_plain(ref.key) for ref in refs if ref.path.is_dir() and suffixes & IMAGE_SUFFIXES}
    folders = [source / name for name in sorted(series) if (source / name).is_dir()]
    own = {ref.path for ref in refs}
    yield from ((folder.relative_to(source).as_posix(), folder) for folder in folders if folder not in own)
    for path in sorted(source.rglob("*"), key=lambda p: natural_key(p.relative_to(source).as_posix())):
        relative = path.relative_to(source)
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or path.suffix.lower() not in suffixes or not path.is_file():
            continue
        if not any(folder in path.parents for folder in folders):
            yield relative.as_posix(), path


def _plain(key: str) -> str:
    return key.removeprefix(PREDICT_PREFIX)


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.with_suffix("").as_posix() if path.suffix.lower() in _SUFFIXES else name


def _pair_by(refs: list[ImageRef], files: dict[str, Path], clean: Callable[[str], str], per_frame: bool) -> Pairs:
    """Pair by the cleaned stems of the files."""
    fitting = _Names(refs)
    pairs = Pairs()
    chosen: dict[tuple[str, str], list[Path]] = {}
    for name, path in files.items():
        stem, frame = clean(_stem(name)), ""
        found = fitting.of(stem, path)
        folder, _, last = stem.rpartition("/")
        if not found and per_frame and _FRAME.fullmatch(last):
            found, frame = fitting.of(folder, path), last
        if len(found) > 1:
            keys = " and ".join(ref.key for ref in found)
            pairs.problems.append(f"{path}: fits the images {keys}. Add the image's own suffix to its name.")
        elif found:
            chosen.setdefault((found[0].key, frame), []).append(path)
        elif all(ref.path != path for ref in refs):
            pairs.unpaired_files.append(str(path))
    _settle(refs, chosen, pairs)
    return pairs


class _Names:
    """Which images a file's stem fits: the one with exactly that key, else all whose key without suffix it is."""

    def __init__(self, refs: list[ImageRef]) -> None:
        self._by_key = {name: ref for ref in refs for name in (ref.key, _plain(ref.key))}
        self._by_stem: dict[str, list[ImageRef]] = {}
        for ref in refs:
            self._by_stem.setdefault(_stem(_plain(ref.key)), []).append(ref)

    def of(self, stem: str, path: Path) -> list[ImageRef]:
        fitting = [self._by_key[stem]] if stem in self._by_key else self._by_stem.get(stem, [])
        return [ref for ref in fitting if ref.path != path]


class ImageNames:
    """Which images a name in a table or list means.

    The image with exactly that key; else all whose key ends with the name or the other way round, folder by folder;
    else all that have the same base name; else all that do without their suffix, as after a conversion.
    """

    def __init__(self, refs: list[ImageRef]) -> None:
        self._by_key = {name: ref for ref in refs for name in (ref.key, _plain(ref.key))}
        self._by_base: dict[str, list[ImageRef]] = {}
        self._by_stem: dict[str, list[ImageRef]] = {}
        for ref in refs:
            self._by_base.setdefault(PurePosixPath(ref.key).name, []).append(ref)
            self._by_stem.setdefault(_stem(PurePosixPath(ref.key).name), []).append(ref)

    def of(self, name: str) -> list[ImageRef]:
        """All images that the name may mean."""
        name = name.strip().replace("\\", "/").removeprefix("./")
        if name in self._by_key:
            return [self._by_key[name]]
        same_base = self._by_base.get(PurePosixPath(name).name, [])
        if same_base:
            return [ref for ref in same_base if _same_end(name, _plain(ref.key))] or same_base
        stem = _stem(name)
        same_stem = self._by_stem.get(PurePosixPath(stem).name, [])
        return [ref for ref in same_stem if _same_end(stem, _stem(_plain(ref.key)))] or same_stem


def _same_end(name: str, key: str) -> bool:
    """Whether one path is the end of the other, folder by folder."""
    return f"/{name}".endswith(f"/{key}") or f"/{key}".endswith(f"/{name}")


def frame_named(text: str, frames: list[str], ref: ImageRef) -> str:
    """The frame that a table means, by its number from 0 or its name; nothing means the only frame of an image.

    Raises
    ------
    ValueError
        When the image has no such frame.
    """
    text = text.strip()
    if text in frames:
        return text
    if not text and len(frames) == 1:
        return frames[0]
    if not text:
        raise ValueError(f"no frame, and {ref.key} has {len(frames)}")
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"frame is {text!r}, which is no number") from None
    if number != int(number) or not 0 <= number < len(frames):
        raise ValueError(f"frame {text} is not one of {ref.key}, which has 0 to {len(frames) - 1}")
    return frames[int(number)]


def _settle(refs: list[ImageRef], chosen: dict[tuple[str, str], list[Path]], pairs: Pairs) -> None:
    """One file per image, or per frame of it."""
    by_key = {ref.key: ref for ref in refs}
    for (key, frame), paths in chosen.items():
        if len(paths) > 1:
            names = " and ".join(str(path) for path in paths)
            pairs.problems.append(f"{key}: several files have its name: {names}. Leave one of them.")
        else:
            pairs.pairs.append(Pair(by_key[key], paths[0], frame))
    served = {key for key, _ in chosen}
    used = {path for paths in chosen.values() for path in paths}
    pairs.unpaired_images += [ref.key for ref in refs if ref.key not in served and ref.path not in used]
