"""Tables of points: CSV with the columns image, frame, y, x, class, and on the way out score and id.

`image` is the path of the image below its root, with its ending; `frame` counts its frames from 0 (t before z). `y` and
`x` are pixels in the coordinates of all labels: (0, 0) is the corner of the top-left pixel, (0.5, 0.5) its centre.
"""

from collections.abc import Iterator
from pathlib import Path

import shapely

from mia_tui.errors import MiaError
from mia_tui.formats.gather import Found, check_inside
from mia_tui.formats.pairing import ImageNames, frame_named, pair
from mia_tui.formats.report import (
    ExportReport,
    ImportReport,
    checked_file,
    exported_frames,
    exported_name,
    numbered_frames,
)
from mia_tui.imaging.image import open_ref
from mia_tui.labeling.objects import LabelObject
from mia_tui.project import ImageRef, Project
from mia_tui.written_table import WrittenTable, read_written, write_written

FILE_NAME = "points.csv"
COLUMNS = ("image", "frame", "y", "x", "class", "score", "id")
_SHOWN = 5
"""So many bad rows of one kind are named one by one; of the others the number is said."""

# ---- import ----------------------------------------------------------------------------------------------------------


def import_points(project: Project, source: Path, *, split: str = "train", replace: bool = False) -> ImportReport:
    """Import tables of points as labels.

    Separators may be commas, semicolons or tabs (the last two also with decimal commas); columns may come in any order,
    others are left aside. A table without the column `image` is for the image whose name it has, as `a.csv` for
    `a.png`. Without `class` points are of the first class, without `frame` they lie on the only frame. Images are
    found as `pairing.ImageNames` says; a name that fits several is a problem, not a guess.

    Parameters
    ----------
    source : Path
        A CSV file, or a folder of them.
    split : str
        The images to import for: "train" or "predict".
    replace : bool
        Replace the labels of frames that have some (as one undo step); else those frames are left alone.

    Returns
    -------
    ImportReport
        With every image without points, every table and name without an image, and every row that was left out.

    Raises
    ------
    MiaError
        When there is no table, or no point of one of the project's images.
    """
    source = source.expanduser().resolve()
    if split not in project.roots:
        raise MiaError(f"project {project.name} has no {split!r} images: choose one of {', '.join(project.roots)}")
    refs = project.images(split)
    report = ImportReport(project)
    gathered = _Gathered(report, ImageNames(refs))
    alone: list[Path] = []
    for path in _tables(source):
        try:
            table = _read(path)
            if "image" in table.columns:
                gathered.take(table)
            else:
                alone.append(path)
        except MiaError as error:
            report.problems.append(str(error))
    if alone:
        _take_alone(gathered, alone, source, split)
    if not gathered.found and not report.problems:
        raise MiaError(f"{source} holds no point of an image of {project.roots[split]}.")
    gathered.put(replace)
    served = {key for key, _ in gathered.found}
    report.unpaired_images = [ref.key for ref in refs if ref.key not in served]
    return report.finish(replace)


def _tables(source: Path) -> list[Path]:
    if not source.exists():
        raise MiaError(f"{source} does not exist. Give the CSV file to import, or a folder of them.")
    found = [source] if source.is_file() else sorted(path for path in source.rglob("*.csv") if path.name[0] != ".")
    if not found:
        raise MiaError(f"{source} holds no .csv files.")
    return found


def _read(path: Path) -> WrittenTable:
    return read_written(path, ("y", "x"), "A table of points has the columns image, frame, y, x, class.")


class _Gathered:
    """The points found so far, by image and frame; rows that are left out are counted by reason."""

    def __init__(self, report: ImportReport, names: ImageNames) -> None:
        self.report = report
        self.found: dict[tuple[str, str], Found] = {}
        self._names = names
        self._images: dict[str, tuple[list[str], tuple[int, int]]] = {}
        self._unreadable: dict[str, str] = {}

    def take(self, table: WrittenTable, image: ImageRef | None = None) -> None:
        """Take all points of a table, which may be for one image as a whole."""
        bad: dict[str, list[int]] = {}
        strangers: dict[str, None] = {}
        for number, row in enumerate(table.rows, 2):
            fitting = [image] if image is not None else self._names.of(row["image"])
            try:
                if not fitting:
                    strangers[row["image"]] = None
                elif len(fitting) > 1:
                    keys = " and ".join(ref.key for ref in fitting)
                    raise ValueError(f"{row['image']} fits the images {keys}; give it with its folder")
                else:
                    self._take_row(fitting[0], row, table)
            except ValueError as error:
                bad.setdefault(str(error), []).append(number)
        self.report.unpaired_files += [f"{table.path}: {name}" for name in strangers]
        for reason, numbers in bad.items():
            lines = ", ".join(map(str, numbers[:_SHOWN])) + (
                f" and {len(numbers) - _SHOWN} more" * (len(numbers) > _SHOWN)
            )
            self.report.problems.append(f"{table.path}: line {lines} left out: {reason}")

    def _take_row(self, ref: ImageRef, row: dict[str, str], table: WrittenTable) -> None:
        frames, size = self._image(ref)
        y, x = (table.number(row, name) for name in ("y", "x"))
        point = shapely.Point(x, y)
        try:
            check_inside(point, size)
        except ValueError:
            raise ValueError(f"outside the image {ref.key} of {size[0]} x {size[1]} pixels (y, x)") from None
        frame = frame_named(row.get("frame", ""), frames, ref)
        score = table.number(row, "score") if row.get("score", "").strip() else None
        number = int(row["id"]) if row.get("id", "").strip().isdecimal() else 0
        item = LabelObject(number, point, row.get("class", "").strip(), "imported", score=score)
        self.found.setdefault((ref.key, frame), Found()).objects.append(item)

    def _image(self, ref: ImageRef) -> tuple[list[str], tuple[int, int]]:
        if ref.key not in self._images and ref.key not in self._unreadable:
            try:
                with open_ref(self.report.project, ref) as image:
                    self._images[ref.key] = (image.frames, image.info.sizes[3:])
            except MiaError as error:
                self._unreadable[ref.key] = str(error)
        if ref.key in self._unreadable:
            raise ValueError(self._unreadable[ref.key])
        return self._images[ref.key]

    def put(self, replace: bool) -> None:
        """Write all that was found."""
        classes = {item.label_class for each in self.found.values() for item in each.objects}
        self.report.add_classes(sorted(classes - {""}))
        for (key, frame), each in self.found.items():
            labels = each.labels(self._images[key][1], self.report.project.classes[0].name)
            try:
                self.report.put(key, frame, labels, replace=replace, text="import points")
            except MiaError as error:
                self.report.problems.append(str(error))


def _take_alone(gathered: _Gathered, paths: list[Path], source: Path, split: str) -> None:
    """Tables without the column `image`: each is for the image whose name it has."""
    report = gathered.report
    try:
        pairs = pair(report.project, source, split, frozenset({".csv"}))
    except MiaError as error:
        report.problems += [f"{path} has no column image, and no image has its name: {error}" for path in paths]
        return
    report.problems += pairs.problems
    report.unpaired_files += [path for path in pairs.unpaired_files if Path(path) in paths]
    for paired in pairs.pairs:
        if paired.path in paths:
            gathered.take(_read(paired.path), paired.ref)


# ---- export ----------------------------------------------------------------------------------------------------------


def export_points(project: Project, dest: Path, *, source: str = "labels", split: str | None = None) -> ExportReport:
    """Write one table of all points, `dest/points.csv` (or `dest` itself when it ends in .csv). Outlines are centroids.

    Parameters
    ----------
    source : str
        "labels", or "predictions:MODEL" (with scores; without the predictions that a person rejected).
    split : str, optional
        Only the images of this root.

    Raises
    ------
    MiaError
        For a classification project, and when there is nothing to export or nowhere to write it; what goes wrong with
        one image is in the report.
    """
    if project.task == "classification":
        raise MiaError(f"project {project.name} has classes of images, not points. Export as geojson or mia.")
    path = checked_file(project, dest, FILE_NAME)
    report = ExportReport()
    rows: list[list[object]] = []
    empty = 0
    for key, frames in exported_frames(project, source, split).items():
        try:
            made = list(_rows(project, key, frames, exported_name(key, split), source))
        except MiaError as error:
            report.problems.append(f"{key}: {error}")
            continue
        rows += made
        empty += not made
    write_written(path, COLUMNS, rows)
    report.files.append(str(path))
    report.objects = len(rows)
    if empty:
        report.notes.append(f"{empty} labelled images hold no object, which a table of points cannot say")
    return report


def _rows(project: Project, key: str, frames: list[str], name: str, source: str) -> Iterator[list[object]]:
    for number, labels in numbered_frames(project, key, frames, source):
        for item in labels.objects.values():
            center = item.geometry.centroid
            score = "" if item.score is None else item.score
            yield [name, number, center.y, center.x, item.label_class, score, item.id]


import_ = import_points
export = export_points
