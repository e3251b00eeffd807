"""What `mia-tui info` says about an image, a folder of images or a project."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from mia_tui.errors import MiaError
from mia_tui.imaging.image import Image, ImageInfo, open_image, open_ref
from mia_tui.project import FILE_NAME, IMAGE_SUFFIXES, PREDICT_PREFIX, ImageRef, Project, natural_key

SERIES_LENGTH = 5
"""A folder with this many equal frames with running numbers is pointed out as a possible series."""

Report = dict[str, Any]
_Listed = tuple[str, Path, ImageInfo]


def describe(what: Path | Project) -> Report:
    """Everything that `mia-tui info` prints, as plain values for JSON.

    Parameters
    ----------
    what : Path or Project
        An image file, a project folder, or any other folder of images.

    Returns
    -------
    dict
        `kind` is "image", "folder" or "project". A file that cannot be read is listed under `problems` with its reason
        and the rest goes on.

    Raises
    ------
    MiaError
        When a single image cannot be read, or the path does not exist.
    """
    if isinstance(what, Project):
        return _describe_project(what)
    path = Path(what)
    if (path / FILE_NAME).is_file():
        return _describe_project(Project.load(path))
    if path.is_dir():
        return _describe_folder(path)
    with open_image(path) as image:
        return {"kind": "image", "path": str(path), **describe_image(image.info)}


def describe_image(info: ImageInfo) -> Report:
    """One image's facts: axes as stored, TCZYX sizes, pixel type, calibration (um, s), channels."""
    return {
        "axes": info.axes,
        "axes_source": info.axes_source,
        "shape": list(info.shape),
        "dtype": info.dtype,
        "sizes": dict(zip("TCZYX", info.sizes, strict=True)),
        "rgb": info.rgb,
        "channels": list(info.channel_names),
        "pixel_size_um": None if info.pixel_size is None else list(info.pixel_size),
        "z_step_um": info.z_step,
        "frame_interval_s": info.frame_interval,
        "flavour": info.flavour,
        "warnings": list(info.warnings),
    }


def _describe_folder(folder: Path) -> Report:
    files = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    ]
    refs = [ImageRef(path.relative_to(folder).as_posix(), path, "") for path in files if path.is_file()]
    if not refs:
        raise MiaError(f"{folder} has no images in it (PNG, JPEG, BMP or TIFF) and is no project.")
    refs.sort(key=lambda ref: natural_key(ref.key))
    images, problems = _inspect(refs, lambda ref: open_image(ref.path))
    return {
        "kind": "folder",
        "path": str(folder),
        "images": len(refs),
        **_summary(images),
        "problems": problems,
        "hints": _series_hints(images),
    }


def _describe_project(project: Project) -> Report:
    refs, problems = [], []
    for split in project.roots:
        try:
            found = project.images(split)
            refs += found
            if not found:
                problems.append({"file": str(project.roots[split]), "problem": "holds no images"})
        except MiaError as error:
            problems.append({"file": str(project.roots[split]), "problem": str(error)})
    images, unreadable = _inspect(refs, lambda ref: open_ref(project, ref))
    labelled = project.frames_under("labels")
    known = {ref.key for ref in refs}
    lost = sorted({key for key, _ in labelled if key not in known}, key=natural_key)
    problems += unreadable + [{"file": key, "problem": "has labels, but no such image is there"} for key in lost]
    return {
        "kind": "project",
        "path": str(project.folder),
        "name": project.name,
        "task": project.task,
        "classes": [c.name for c in project.classes],
        "images": {split: sum(ref.split == split for ref in refs) for split in project.roots},
        "labelled_frames": len(labelled),
        "labelled_images": len({key for key, _ in labelled}),
        "models": project.models(),
        "calibration": {"pixel_size_um": project.pixel_size, "frame_interval_s": project.frame_interval},
        **_summary(images),
        "problems": problems,
        "hints": _series_hints(images, project.series),
    }


def _inspect(
    refs: Iterable[ImageRef], opened: Callable[[ImageRef], Image]
) -> tuple[list[_Listed], list[dict[str, str]]]:
    """Facts of every image that opens, and the reason for every one that does not."""
    images: list[_Listed] = []
    problems: list[dict[str, str]] = []
    for ref in refs:
        try:
            with opened(ref) as image:
                images.append((ref.key, ref.path, image.info))
        except MiaError as error:
            problems.append({"file": ref.key, "problem": str(error)})
        else:
            problems += [{"file": ref.key, "problem": warning} for warning in images[-1][2].warnings]
    return images, problems


def _summary(images: Sequence[_Listed]) -> Report:
    infos = [info for _, _, info in images]
    return {
        "frames": sum(info.sizes[0] * info.sizes[2] for info in infos),
        "axes": dict(Counter(info.axes for info in infos)),
        "axes_guessed": [key for key, _, info in images if info.axes_source == "guess"],
        "dtypes": dict(Counter(info.dtype for info in infos)),
        "channels": {str(count): n for count, n in Counter(info.sizes[1] for info in infos).items()},
        "flavours": dict(Counter(info.flavour for info in infos)),
        "pixel_sizes_um": dict(Counter(_text_size(info.pixel_size) for info in infos)),
    }


def _text_size(size: tuple[float, float] | None) -> str:
    return "unknown" if size is None else f"{size[0]:.4g} x {size[1]:.4g}"


def _series_hints(images: Sequence[_Listed], declared: Iterable[str] = ()) -> list[Report]:
    """Folders whose files all look like the frames of one movie: one name with a counter, one size and pixel type."""
    folders: dict[str, list[_Listed]] = defaultdict(list)
    for listed in images:
        folders[listed[0].rpartition("/")[0]].append(listed)
    hints = []
    for folder, members in folders.items():
        if len(members) >= SERIES_LENGTH and folder not in declared and _one_series(members):
            hints.append({"series": folder or ".", "files": len(members), "hint": _hint(folder, members)})
    return hints


def _one_series(members: Sequence[_Listed]) -> bool:
    same = {(info.axes, info.shape, info.dtype, path.suffix) for _, path, info in members}
    if len(same) > 1 or members[0][2].sizes[0] > 1:
        return False
    texts = [re.split(r"(\d+)", path.stem) for _, path, _ in members]
    if len({len(parts) for parts in texts}) > 1:
        return False
    varying = [i for i, values in enumerate(zip(*texts, strict=True)) if len(set(values)) > 1]
    if len(varying) != 1 or varying[0] % 2 == 0:
        return False
    numbers = sorted(int(parts[varying[0]]) for parts in texts)
    return len({b - a for a, b in pairwise(numbers)}) == 1


def _hint(folder: str, members: Sequence[_Listed]) -> str:
    names = f"{len(members)} files, {members[0][1].name} to {members[-1][1].name}, look like the frames of one movie."
    if folder in ("", PREDICT_PREFIX.rstrip("/")):
        parent = members[0][1].parent
        return f'{names} If so, make {parent.parent} the image folder, with series = ["{parent.name}"] in {FILE_NAME}.'
    return f'{folder}: {names} If so, write series = ["{folder}"] into {FILE_NAME}.'
