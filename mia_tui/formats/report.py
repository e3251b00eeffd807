"""What an import or export did, file by file: everything that was not done is named."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mia_tui.errors import MiaError
from mia_tui.imaging.image import open_ref
from mia_tui.labeling.objects import FrameLabels
from mia_tui.labeling.store import class_colors, open_labels, read_frame, write_frame
from mia_tui.project import PREDICT_PREFIX, Project
from mia_tui.tracking.numbers import track_numbers, with_numbers


@dataclass
class ImportReport:
    """What an import did.

    Attributes
    ----------
    project : Project
        With the classes that the import added.
    kind, reason : str
        How masks were understood, and why ("" for formats that say themselves what they hold).
    frames : list of str
        "<image key> <frame>" of every frame written.
    objects : int
        How many objects were written.
    skipped : list of str
        Frames left alone because they have labels already.
    unpaired_images, unpaired_files : list of str
        Images without a file, files without an image.
    problems : list of str
        What could not be imported, by file, with the reason.
    notes : list of str
        What a person should know.
    """

    project: Project
    kind: str = ""
    reason: str = ""
    frames: list[str] = field(default_factory=list)
    objects: int = 0
    skipped: list[str] = field(default_factory=list)
    new_classes: list[str] = field(default_factory=list)
    unpaired_images: list[str] = field(default_factory=list)
    unpaired_files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        values = {key: value for key, value in vars(self).items() if key != "project"}
        return {"project": str(self.project.folder), **values}

    def add_classes(self, names: Iterable[str]) -> None:
        """Add classes to the project and save it, before the first label needs them."""
        before = len(self.project.classes)
        project = self.project.with_classes(list(names))
        if len(project.classes) > before:
            project.save()
            self.project = project
            self.new_classes += [entry.name for entry in project.classes[before:]]

    def put(self, key: str, frame: str, labels: FrameLabels, *, replace: bool, text: str) -> None:
        """Write the labels of one frame. Labels that are there are replaced, as one undo step, only if `replace`."""
        path = self.project.labels_path(key, frame)
        old = read_frame(path)
        if old is not None and (old.objects or old.areas) and not replace:
            self.skipped.append(f"{key} {frame}")
            return
        if old is None:
            write_frame(path, labels, class_colors(self.project))
        else:
            with open_labels(self.project, key, frame, labels.height, labels.width) as store:
                store.replace_all(text, labels.objects.values(), labels.areas)
        self.frames.append(f"{key} {frame}")
        self.objects += len(labels.objects)

    def finish(self, replace: bool) -> "ImportReport":
        """Say how to go on when frames were left alone."""
        if self.skipped and not replace:
            self.notes.append(
                f"{len(self.skipped)} frames have labels already and were left alone (replace was not asked for)"
            )
        return self


@dataclass
class ExportReport:
    """What an export did: the files written, how many objects they hold, and what could not be written and why."""

    files: list[str] = field(default_factory=list)
    objects: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def numbered_classes(project: Project, count: int) -> list[str]:
    """Names for the class numbers up to `count` that the project has no classes for."""
    known = {entry.name for entry in project.classes}
    missing = range(len(known) + 1, count + 1)
    fresh = (f"class {number}" for number in range(len(known) + 1, 2 * (len(known) + count) + 2))
    names = (name for name in fresh if name not in known)
    return [next(names) for _ in missing]


def exported_frames(project: Project, source: str, split: str | None) -> dict[str, list[str]]:
    """Image key -> frames that `source` ("labels" or "predictions:MODEL") has something for, in one root or all.

    Raises
    ------
    MiaError
        When there is nothing.
    """
    by_key: dict[str, list[str]] = {}
    for key, frame in project.frames_under(source):
        if split is None or key.startswith(PREDICT_PREFIX) == (split == "predict"):
            by_key.setdefault(key, []).append(frame)
    if not by_key:
        raise MiaError(f"project {project.name} has nothing under {source} to export: {project.source_folder(source)}")
    return by_key


def exported_name(key: str, split: str | None) -> str:
    """The path of an image's export: its path below its root when one root is exported, else its key."""
    return key.removeprefix(PREDICT_PREFIX) if split == "predict" else key


def checked_destination(project: Project, dest: Path) -> Path:
    """The folder to export into.

    Raises
    ------
    MiaError
        When files would land among the project's images or own files, or `dest` is a file.
    """
    dest = dest.expanduser().resolve()
    kept = [*project.roots.values(), project.folder / "labels", project.folder / "predictions"]
    for folder in kept:
        if dest == folder or folder in dest.parents:
            raise MiaError(f"{dest} is inside {folder}, which is not written to. Export into another folder.")
    if dest.exists() and not dest.is_dir():
        raise MiaError(f"{dest} is a file. Give a folder to export into.")
    return dest


def checked_file(project: Project, dest: Path, name: str) -> Path:
    """The one file to export into: `dest` itself when it has the suffix of `name`, else the file `name` in it.

    Raises
    ------
    MiaError
        As `checked_destination`.
    """
    if dest.suffix.lower() == Path(name).suffix and not dest.is_dir():
        return checked_destination(project, dest.parent) / dest.name
    return checked_destination(project, dest) / name


def numbered_frames(
    project: Project, key: str, frames: Sequence[str], source: str
) -> Iterator[tuple[int, FrameLabels]]:
    """(number, labels) of the frames of an image that have some, as they are exported: numbers from 0, t before z.

    Raises
    ------
    MiaError
        For labels of a frame that the image has not.
    """
    order = ["image"]
    if list(frames) != order:
        with open_ref(project, project.image(key)) as image:
            order = image.frames
    for frame in frames:
        labels = read_frame(project.source_folder(source) / key / f"{frame}.geojson")
        if frame not in order:
            raise MiaError(
                f"the labels of {frame} do not fit the image, which has the frames {order[0]} to {order[-1]}."
            )
        if labels is not None:
            yield order.index(frame), shown(labels, source)


def shown(labels: FrameLabels, source: str) -> FrameLabels:
    """The frame without the predictions that a person rejected."""
    if source == "labels" or not labels.rejected:
        return labels
    kept = [item for number, item in labels.objects.items() if number not in labels.rejected]
    return FrameLabels.of(labels.height, labels.width, kept)


FrameReader = Callable[[str, str], FrameLabels | None]


def frame_reader(project: Project, source: str) -> FrameReader:
    """What reads a frame as it is exported, by image key and frame: see `shown`; with the numbers of its tracks.

    Raises
    ------
    MiaError
        When tracks of the project are damaged.
    """
    tracks = track_numbers(project, source)

    def read(key: str, frame: str) -> FrameLabels | None:
        labels = read_frame(project.source_folder(source) / key / f"{frame}.geojson")
        if labels is None:
            return None
        labels = shown(labels, source)
        return with_numbers(labels, tracks[key, frame]) if (key, frame) in tracks else labels

    return read
