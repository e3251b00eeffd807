"""Tables of image classes: CSV with the columns image, frame, class, and on the way out probability.

`image` is the path of the image below its root, with its ending; `frame` counts its frames from 0 (t before z).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from mia_tui.errors import MiaError
from mia_tui.formats.pairing import ImageNames, frame_named
from mia_tui.formats.report import (
    ExportReport,
    ImportReport,
    checked_file,
    exported_frames,
    exported_name,
    numbered_frames,
)
from mia_tui.labeling.image_class import Frame, classify_frames, frames_of, image_label
from mia_tui.project import ImageRef, Project
from mia_tui.written_table import read_written, write_written

FILE_NAME = "classes.csv"
COLUMNS = ("image", "frame", "class", "probability")

# ---- import ----------------------------------------------------------------------------------------------------------


def import_classes(project: Project, source: Path, *, split: str = "train", replace: bool = False) -> ImportReport:
    """Import a table of image classes as labels.

    Separators may be commas, semicolons or tabs; columns may come in any order, others are left aside. Without `frame`
    all frames of an image get the class. Images are found as `pairing.ImageNames` says.

    Parameters
    ----------
    source : Path
        A CSV file, or a folder with `classes.csv`.
    split : str
        The images to import for: "train" or "predict".
    replace : bool
        Replace the class of frames that have one; else those are left alone.

    Returns
    -------
    ImportReport
        With every image without a class, every name without an image, and every row that was left out.

    Raises
    ------
    MiaError
        For a project that is not for classification, and when there is no table or no image of the project in it.
    """
    refs = checked_images(project, split)
    source = source.expanduser().resolve()
    path = source / FILE_NAME if source.is_dir() else source
    table = read_written(path, ("image", "class"), "A table of image classes has the columns image, frame, class.")
    report = ImportReport(project)
    wanted: dict[Frame, str] = {}
    names = ImageNames(refs)
    frames: dict[str, list[Frame]] = {}
    for number, row in enumerate(table.rows, 2):
        fitting = names.of(row["image"])
        if not fitting:
            report.unpaired_files.append(f"{path}: {row['image']}")
            continue
        try:
            _take(wanted, frames, project, fitting, row)
        except ValueError as error:
            report.problems.append(f"{path}: line {number} left out: {error}")
    if not wanted and not report.problems:
        raise MiaError(f"{path} holds no image of {project.roots[split]} (such as {refs[0].key}).")
    give_classes(report, wanted, replace=replace, text="import classes")
    served = {key for key, _ in wanted}
    report.unpaired_images = [ref.key for ref in refs if ref.key not in served]
    return report.finish(replace)


def checked_images(project: Project, split: str) -> list[ImageRef]:
    """The images whose classes are imported.

    Raises
    ------
    MiaError
        For a project that is not for classification, an unknown root, and one without images.
    """
    if project.task != "classification":
        raise MiaError(
            f"project {project.name} is for {project.task}; whole images have classes in projects for classification. "
            "Make one with: mia-tui new PROJECT --images DIR --task classification"
        )
    if split not in project.roots:
        raise MiaError(f"project {project.name} has no {split!r} images: choose one of {', '.join(project.roots)}")
    refs = project.images(split)
    if not refs:
        raise MiaError(f"{project.roots[split]} holds no images, so there is nothing to import for.")
    return refs


def _take(
    wanted: dict[Frame, str],
    frames: dict[str, list[Frame]],
    project: Project,
    fitting: list[ImageRef],
    row: Mapping[str, str],
) -> None:
    """Note the class of the frames that a row means."""
    name, text = row["class"].strip(), row.get("frame", "").strip()
    if not name:
        raise ValueError(f"{row['image']} has no class")
    if len(fitting) > 1:
        keys = " and ".join(ref.key for ref in fitting)
        raise ValueError(f"{row['image']} fits the images {keys}; give it with its folder")
    ref = fitting[0]
    if ref.key not in frames:
        frames[ref.key] = frames_of(project, [ref])
    own = frames[ref.key]
    chosen = [(ref.key, frame_named(text, [frame for _, frame in own], ref))] if text else own
    for frame in chosen:
        if wanted.setdefault(frame, name) != name:
            raise ValueError(f"{ref.key} {frame[1]} is {wanted[frame]} in a line above, and {name} here")


def give_classes(report: ImportReport, wanted: Mapping[Frame, str], *, replace: bool, text: str) -> None:
    """Give frames their classes, adding to the project those it does not have; what is done goes into the report."""
    names = sorted(set(wanted.values()))
    report.add_classes(names)
    for name in names:
        own = [frame for frame, label in wanted.items() if label == name]
        done = classify_frames(report.project, own, name, text, replace=replace)
        report.frames += [f"{key} {frame}" for key, frame in done.done]
        report.skipped += [f"{key} {frame}" for key, frame in done.skipped]
        report.problems += done.problems
        report.objects += len(done.done)


# ---- export ----------------------------------------------------------------------------------------------------------


def export_classes(project: Project, dest: Path, *, source: str = "labels", split: str | None = None) -> ExportReport:
    """Write one table of image classes, `dest/classes.csv` (or `dest` itself when it ends in .csv).

    Parameters
    ----------
    source : str
        "labels", or "predictions:MODEL" (with probabilities; without the predictions that a person rejected).
    split : str, optional
        Only the images of this root.

    Raises
    ------
    MiaError
        When there is nothing to export or nowhere to write it; what goes wrong with one image is in the report.
    """
    path = checked_file(project, dest, FILE_NAME)
    report = ExportReport()
    rows: list[list[object]] = []
    for key, frames in exported_frames(project, source, split).items():
        try:
            rows += _rows(project, key, frames, exported_name(key, split), source)
        except MiaError as error:
            report.problems.append(f"{key}: {error}")
    if not rows and not report.problems:
        raise MiaError(f"no image of project {project.name} has a class under {source}.")
    write_written(path, COLUMNS, rows)
    report.files.append(str(path))
    report.objects = len(rows)
    return report


def _rows(project: Project, key: str, frames: list[str], name: str, source: str) -> Iterator[list[object]]:
    for number, labels in numbered_frames(project, key, frames, source):
        item = image_label(labels)
        if item is not None:
            yield [name, number, item.label_class, "" if item.score is None else item.score]


import_ = import_classes
export = export_classes
