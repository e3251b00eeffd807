"""Folders of classes: one sub-folder per class with its images. Only in; the way out is a table (`formats.classes`)."""

from pathlib import Path, PurePosixPath

from mia_tui.errors import MiaError
from mia_tui.formats.classes import checked_images, give_classes
from mia_tui.formats.pairing import ImageNames
from mia_tui.formats.report import ExportReport, ImportReport
from mia_tui.labeling.image_class import frames_of
from mia_tui.project import IMAGE_SUFFIXES, ImageRef, Project, natural_key


def import_folders(project: Project, source: Path, *, split: str = "train", replace: bool = False) -> ImportReport:
    """Give images the class whose folder they, or files of their names, lie in: `SOURCE/<class>/<image>`.

    `source` may be the folder of the project's images or one inside it; then the images themselves are meant. Else the
    files below `source` stand for the images of the same name, found as `pairing.ImageNames` says (a path may or may
    not begin with the class). All frames of a stack get the class of their file. Classes that the project does not
    have are added.

    Parameters
    ----------
    source : Path
        The folder whose sub-folders are the classes. They may have sub-folders of their own.
    split : str
        The images to import for: "train" or "predict".
    replace : bool
        Replace the class of frames that have one; else those are left alone.

    Returns
    -------
    ImportReport
        With every image without a class, every file without an image, and images that stand in two classes.

    Raises
    ------
    MiaError
        For a project that is not for classification, and for a folder without classes or without images of the project.
    """
    refs = checked_images(project, split)
    source = source.expanduser().resolve()
    if not source.is_dir():
        raise MiaError(f"{source} is no folder. Give the folder whose sub-folders are the classes.")
    report = ImportReport(project)
    root = project.roots[split]
    found = _own_images(refs, source) if source == root or root in source.parents else _copies(report, refs, source)
    if found or not report.problems:
        _check_classes(project, source, split, list(found))
    classes: dict[str, str] = {}
    by_key = {ref.key: ref for ref in refs}
    for path, ref in found.items():
        first = classes.setdefault(ref.key, path.parts[0])
        if first != path.parts[0]:
            report.problems.append(f"{ref.key} is in the folders of {first} and {path.parts[0]}. Leave it in one.")
            classes[ref.key] = ""
    wanted = {
        frame: name for key, name in classes.items() for frame in (frames_of(project, [by_key[key]]) if name else ())
    }
    give_classes(report, wanted, replace=replace, text="import folders")
    report.unpaired_images = [ref.key for ref in refs if ref.key not in classes]
    return report.finish(replace)


def _own_images(refs: list[ImageRef], source: Path) -> dict[PurePosixPath, ImageRef]:
    """Path below `source`, beginning with the class -> image, for the images that lie in a sub-folder of it."""
    below = {PurePosixPath(ref.path.relative_to(source)): ref for ref in refs if source in ref.path.parents}
    return {path: ref for path, ref in below.items() if len(path.parts) > 1}


def _copies(report: ImportReport, refs: list[ImageRef], source: Path) -> dict[PurePosixPath, ImageRef]:
    """The same for files elsewhere that have the names of images."""
    names = ImageNames(refs)
    found: dict[PurePosixPath, ImageRef] = {}
    for file in sorted(source.rglob("*"), key=lambda p: natural_key(p.relative_to(source).as_posix())):
        path = PurePosixPath(file.relative_to(source))
        hidden = any(part.startswith(".") for part in path.parts)
        if hidden or file.suffix.lower() not in IMAGE_SUFFIXES or not file.is_file():
            continue
        fitting = names.of(path.as_posix())
        if len(path.parts) == 1 or not fitting:
            report.unpaired_files.append(str(file))
        elif len(fitting) > 1:
            keys = " and ".join(ref.key for ref in fitting)
            report.problems.append(f"{file} fits the images {keys}. Give it the folder of one of them.")
        else:
            found[path] = fitting[0]
    return found


def _check_classes(project: Project, source: Path, split: str, paths: list[PurePosixPath]) -> None:
    """Raise when there is no class, or when the folders of the classes are rather one level farther down."""
    if not paths:
        raise MiaError(
            f"{source} has no sub-folder with images of {project.roots[split]}. Give the folder whose sub-folders "
            "are the classes; files elsewhere must have the images' names."
        )
    if any(len(path.parts) == 2 for path in paths):
        return
    known = {entry.name for entry in project.classes}
    first, second = ({path.parts[level] for path in paths} for level in (0, 1))
    if len(first) == 1 or (second & known and not first & known):
        raise MiaError(
            f"{source} has no image right in a sub-folder; the classes rather are {', '.join(sorted(second)[:5])}. "
            f"Give {source / min(first)} (one folder at a time)."
        )


def _export(project: Project, dest: Path, *, source: str = "labels", split: str | None = None) -> ExportReport:
    raise MiaError("images are not copied into folders. Export their classes as a table with --format classes.")


import_ = import_folders
export = _export
