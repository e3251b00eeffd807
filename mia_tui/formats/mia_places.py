"""Where the original MIA keeps the labels of an image: which file in which folder holds which frame.

Label folders lie in the folder of the images. An image of one page has `<stem>.npz` in it; one of several pages has a
folder `<stem>` with `<stem>_000.npz` and so on (pages from 0), or one `<stem>_<number of pages>u.npz` for all.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.imaging.image import ImageInfo
from mia_tui.imaging.series import frame_files
from mia_tui.project import PREDICT_PREFIX, ImageRef, Project, frame_name, natural_key

FOLDERS = {
    "segmentation": "Segmentation_labels",
    "detection": "Object_Counting_labels",
    "classification": "Classification_labels",
}
"""Task -> name of the label folder."""

BACKGROUND = "background"
"""The class of an image that the original numbers 0. In the other tasks 0 marks annotated regions instead."""


def class_names(project: Project) -> list[str]:
    """Names of the classes that are numbered 1, 2, ... in files of the original."""
    names = [entry.name for entry in project.classes]
    return [name for name in names if name != BACKGROUND] if project.task == "classification" else names


@dataclass(frozen=True)
class Slot:
    """An image file as the original knows it: the folder it lies in (below its root, "" for the root) and its stem.

    For a file of a series `t` is its frame, else None.
    """

    ref: ImageRef
    folder: str
    stem: str
    t: int | None = None

    @property
    def name(self) -> str:
        """What a person would call it."""
        return self.ref.key if self.t is None else f"{self.ref.key} frame {self.t}"


def slots_of(ref: ImageRef) -> list[Slot]:
    """The file behind an image, or the files of a series."""
    key = PurePosixPath(ref.key.removeprefix(PREDICT_PREFIX))
    if not ref.path.is_dir():
        return [Slot(ref, _text(key.parent), key.stem)]
    return [Slot(ref, _text(key), path.stem, t) for t, path in enumerate(frame_files(ref.path))]


def _text(path: PurePosixPath) -> str:
    return "" if path == PurePosixPath() else path.as_posix()


def pages_of(slot: Slot, info: ImageInfo) -> list[str]:
    """The frame on every page of a slot's file, in the order of the pages.

    `info` is of the slot's image. Several pages lie on one frame when the file keeps its channels on pages of their
    own: the original, which knows no channels, counts each.
    """
    leading = list(zip(info.axes, info.shape, strict=True))[: info.axes.index("Y")]
    paged = [(axis, size) for axis, size in leading[slot.t is not None :] if axis != "S"]
    single = info.sizes[0] * info.sizes[2] == 1
    pages = []
    for index in np.ndindex(*(size for _, size in paged)):
        at = dict(zip((axis for axis, _ in paged), index, strict=True))
        pages.append(frame_name(at.get("T", 0) if slot.t is None else slot.t, at.get("Z", 0), single=single))
    return pages


# ---- finding the files -----------------------------------------------------------------------------------------------


@dataclass
class Found:
    """The label files of one slot: of a single image, by page, and for all pages by the number of pages they state."""

    slot: Slot
    single: Path | None = None
    by_page: dict[int, list[Path]] = field(default_factory=dict)
    collective: dict[int, Path] = field(default_factory=dict)


@dataclass
class Labels:
    """What a source holds: files by slot, files without an image, and how many files the other tasks have."""

    found: list[Found] = field(default_factory=list)
    unpaired_files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)


def find_labels(project: Project, source: Path, split: str) -> Labels:
    """Look for the label folders of the project's task below a folder (which may be one itself).

    Raises
    ------
    MiaError
        When the source is no folder, the root has no images, or there is no label folder for the task.
    """
    source = source.expanduser().resolve()
    if not source.is_dir():
        raise MiaError(f"{source} is not a folder. Give the folder of the images, or one with MIA's label folders.")
    if split not in project.roots:
        raise MiaError(f"project {project.name} has no {split!r} images: choose one of {', '.join(project.roots)}")
    refs = project.images(split)
    if not refs:
        raise MiaError(f"{project.roots[split]} holds no images, so there is nothing to import for.")
    labels = Labels(others=_count_others(project.task, source))
    wanted = FOLDERS[project.task]
    folders = [source] if source.name == wanted else []
    folders += sorted(path for path in source.rglob(wanted) if path.is_dir())
    if not folders:
        seen = "".join(f"; it has {count} files in {name}" for name, count in labels.others.items())
        raise MiaError(f"{source} holds no folder {wanted}, where MIA keeps the labels for {project.task}{seen}.")
    slots = _Slots(refs)
    for folder in folders:
        _sort_in(folder, _folder_below_root(project.roots[split], source, folder, split), slots, labels)
    labels.found = sorted(slots.found.values(), key=lambda found: slots.order[found.slot.name])
    return labels


def _count_others(task: str, source: Path) -> dict[str, int]:
    counts = {}
    for other, name in FOLDERS.items():
        count = 0 if other == task else sum(name in path.parts[:-1] for path in source.rglob("*.npz"))
        if count:
            counts[name] = count
    return counts


def _folder_below_root(root: Path, source: Path, folder: Path, split: str) -> str:
    """The folder of the images that a label folder belongs to: below the root, or as below the source."""
    images = folder.parent
    if images == root or root in images.parents:
        return _text(PurePosixPath(images.relative_to(root).as_posix()))
    if folder == source:
        return ""
    relative = _text(PurePosixPath(images.relative_to(source).as_posix()))
    return f"{relative}/".removeprefix(PREDICT_PREFIX).removesuffix("/") if split == "predict" else relative


class _Slots:
    """All slots of a root by folder and stem, and the label files found for them."""

    def __init__(self, refs: list[ImageRef]) -> None:
        slots = [slot for ref in refs for slot in slots_of(ref)]
        self.order = {slot.name: number for number, slot in enumerate(slots)}
        self.found: dict[str, Found] = {}
        self._by_place: dict[tuple[str, str], list[Slot]] = {}
        for slot in slots:
            self._by_place.setdefault((slot.folder, slot.stem), []).append(slot)

    def of(self, folder: str, stem: str, path: Path, labels: Labels) -> Found | None:
        """What was found for the one slot of this name; None, and said why, when there is none or more than one."""
        slots = self._by_place.get((folder, stem), [])
        if len(slots) > 1:
            names = " and ".join(slot.name for slot in slots)
            labels.problems.append(f"{path}: fits the images {names}, and MIA's names do not say which.")
        elif not slots:
            labels.unpaired_files.append(str(path))
        return self.found.setdefault(slots[0].name, Found(slots[0])) if len(slots) == 1 else None


def _sort_in(folder: Path, below: str, slots: _Slots, labels: Labels) -> None:
    """Sort the files of one label folder into the slots of its images."""
    for path in sorted(folder.iterdir(), key=lambda p: natural_key(p.name)):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            _sort_in_stack(path, below, slots, labels)
        elif path.suffix == ".npz":
            found = slots.of(below, path.name[:-4], path, labels)
            if found is not None:
                found.single = path
        else:
            labels.unpaired_files.append(str(path))


def _sort_in_stack(folder: Path, below: str, slots: _Slots, labels: Labels) -> None:
    name = re.compile(re.escape(folder.name) + r"_(\d{3,})(u?)\.npz")
    for path in sorted(folder.iterdir(), key=lambda p: natural_key(p.name)):
        match = name.fullmatch(path.name)
        if match is None:
            labels.unpaired_files += [] if path.name.startswith(".") else [str(path)]
            continue
        found = slots.of(below, folder.name, path, labels)
        if found is not None and match[2]:
            found.collective[int(match[1])] = path
        elif found is not None:
            found.by_page.setdefault(int(match[1]), []).append(path)
