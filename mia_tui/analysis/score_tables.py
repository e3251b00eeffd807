"""Scores of tables: found points against true ones, predicted classes of images against true ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mia_tui.analysis.classification import classification_report
from mia_tui.analysis.pairing import bare_name
from mia_tui.analysis.points import RADIUS, match_classes, point_report
from mia_tui.errors import MiaError
from mia_tui.project import natural_key
from mia_tui.written_table import WrittenTable, read_written

CLASS_TABLE = "classes.csv"
POINT_TABLE_TEXT = "A table of points has the columns y, x and, as it may be, image, frame, class and score."
CLASS_TABLE_TEXT = "A table of image classes has the columns image, frame, class and probability."
_PROBABILITY = "p:"
"""Columns with the probabilities of all classes are called this and the class."""
_SHOWN = 5

Frame = tuple[str, str]
"""Name of an image without its suffix, and its frame."""
Report = dict[str, Any]

# ---- points ----------------------------------------------------------------------------------------------------------


@dataclass
class _Side:
    """The points of one side, frame by frame, in pixels from the corner of the image.

    Attributes
    ----------
    complete : bool
        A table for many images says nothing of those without a point; tables of one image each say that there is none.
    classes : bool
        Whether points have classes.
    """

    points: dict[Frame, list[tuple[float, float, str]]] = field(default_factory=dict)
    complete: bool = True
    classes: bool = True


def score_points(pred: Path, truth: Path, *, radius: float = RADIUS, allow_missing: bool = False) -> Report:
    """Score tables of found points against tables of true ones.

    Parameters
    ----------
    pred, truth : Path
        A CSV file, or a folder that is searched for them with all it holds. A table with the column `image` is for the
        images named there; one without is for the image of its own name (`x/a.png.csv` and `x/a.csv` are for
        `x/a.png`). Two files without the column belong together whatever they are called. Without `frame`, points lie
        on frame 0. Scores are not looked at: leave out what is below your threshold.
    radius : float
        Greatest distance of a pair in pixels.
    allow_missing : bool
        Count a true image without a table of its own as one in which nothing was found; without it that is an error.

    Returns
    -------
    dict
        The report of `points.point_report`, and `pred`, `truth`, `unpaired` (as in `scores.score_folders`) and `notes`.
        When one side has no classes, they are left aside on the other.

    Raises
    ------
    MiaError
        For a radius that is not positive, missing predictions, and files that cannot be read or hold no numbers.
    """
    if not radius > 0:
        raise MiaError(f"the radius is {radius:g} px. Give a number above 0 with --radius.")
    tables = [[read_written(file, ("y", "x"), POINT_TABLE_TEXT) for file in _tables(path)] for path in (pred, truth)]
    together = all(
        path.is_file() and "image" not in own[0].columns for path, own in zip((pred, truth), tables, strict=True)
    )
    found, true = (_read_side(path, own, together=together) for path, own in zip((pred, truth), tables, strict=True))
    missing = [frame for frame in true.points if frame not in found.points]
    if found.complete and missing and not allow_missing:
        raise MiaError(_missing_text(pred, truth, missing, len(true.points)))
    notes = []
    if not (true.classes and found.classes):
        if true.classes or found.classes:
            notes.append(f"{truth if found.classes else pred} has no column class: classes were left aside")
        for side in (true, found):
            side.points = {frame: [(y, x, "") for y, x, _ in own] for frame, own in side.points.items()}
    report = point_report(
        {_shown(frame): _match(true.points[frame], found.points.get(frame, []), radius) for frame in _sorted(true)}
    )
    extra = [frame for frame in _sorted(found) if frame not in true.points]
    return report | {
        "pred": str(pred),
        "truth": str(truth),
        "unpaired": {"truth": [_shown(frame) for frame in missing], "pred": [_shown(frame) for frame in extra]},
        "notes": notes,
    }


def _match(true: Sequence[tuple[float, float, str]], found: Sequence[tuple[float, float, str]], radius: float) -> Any:
    places = [np.array([row[:2] for row in rows], np.float64).reshape(-1, 2) for rows in (true, found)]
    names = [[row[2] for row in rows] for rows in (true, found)]
    return match_classes(places[0], names[0], places[1], names[1], radius)


def _read_side(path: Path, tables: Sequence[WrittenTable], *, together: bool) -> _Side:
    side = _Side(
        complete=all("image" not in table.columns for table in tables),
        classes=all("class" in table.columns for table in tables),
    )
    names: dict[str, str] = {}
    for table in tables:
        file, alone = table.path, "image" not in table.columns
        own = "" if together else file.relative_to(path if path.is_dir() else path.parent).with_suffix("").as_posix()
        if alone and not table.rows:
            side.points[_known(names, own, file), "0"] = []
        for number, row in enumerate(table.rows, 2):
            image = _known(names, own if alone else row["image"], file)
            try:
                place = table.number(row, "y"), table.number(row, "x")
            except ValueError as error:
                raise MiaError(f"{file}: line {number}: {error}") from None
            frame = image, _frame_name(row.get("frame", ""))
            side.points.setdefault(frame, []).append((*place, row.get("class", "").strip()))
    if not side.points:
        raise MiaError(f"{path} holds no point and no table of an image without points.")
    return side


def _known(names: dict[str, str], name: str, file: Path) -> str:
    """The name of an image without its suffix; two images must not come to have one name by that."""
    bare = _image_name(name)
    first = names.setdefault(bare, name.strip())
    if first != name.strip():
        raise MiaError(f"{file}: {first} and {name.strip()} have one name without their suffixes. Score them apart.")
    return bare


def _tables(path: Path) -> list[Path]:
    if not path.exists():
        raise MiaError(f"{path} does not exist. Give a CSV file or a folder of them.")
    if path.is_file():
        return [path]
    found = [file for file in path.rglob("*.csv") if not any(p[0] == "." for p in file.relative_to(path).parts)]
    if not found:
        raise MiaError(f"{path} holds no .csv files.")
    return sorted(found)


def _image_name(text: str) -> str:
    return bare_name(PurePosixPath(text.strip().replace("\\", "/")))


def _frame_name(text: str) -> str:
    """Frames by number; nothing and the name of the only frame of an image mean the first."""
    text = text.strip()
    return "0" if text in ("", "image") else str(int(text)) if text.isdecimal() else text


def _shown(frame: Frame) -> str:
    image, number = frame
    return image if number == "0" else f"{image}[{number}]"


def _sorted(side: _Side) -> list[Frame]:
    return sorted(side.points, key=lambda frame: (natural_key(frame[0]), natural_key(frame[1])))


def _missing_text(pred: Path, truth: Path, missing: Sequence[Frame], count: int) -> str:
    listed = ", ".join(map(_shown, missing[:_SHOWN])) + (f" and {len(missing) - _SHOWN} more" * (len(missing) > _SHOWN))
    return (
        f"{pred} has no prediction for {len(missing)} of the {count} images in {truth}: {listed}. Predict them, or go "
        "on without with --allow-missing."
    )


# ---- classes of images -----------------------------------------------------------------------------------------------


def is_class_table(path: Path) -> bool:
    """Whether a path is (or holds) a table of image classes rather than label images."""
    return path.suffix.lower() == ".csv" or (path / CLASS_TABLE).is_file()


def score_image_classes(pred: Path, truth: Path, *, allow_missing: bool = False) -> Report:
    """Score a table of predicted image classes against one of true ones.

    Parameters
    ----------
    pred, truth : Path
        A CSV file, or a folder with `classes.csv`: the columns image and class, and, as it may be, frame and
        probability. When the predictions have a column `p:<class>` for every class, those are scored, too.
    allow_missing : bool
        Leave out true images without a prediction (they are named); without it that is an error.

    Returns
    -------
    dict
        The report of `classification.classification_report`, and `pred`, `truth`, `unpaired` and `notes`.

    Raises
    ------
    MiaError
        For tables that cannot be read, an image that stands there twice, missing predictions, and bad probabilities.
    """
    tables = [
        read_written(path if path.is_file() else path / CLASS_TABLE, ("image", "class"), CLASS_TABLE_TEXT)
        for path in (pred, truth)
    ]
    found, true = (_classes_by_frame(table) for table in tables)
    missing = [frame for frame in true if frame not in found]
    if missing and not allow_missing:
        raise MiaError(_missing_text(pred, truth, missing, len(true)))
    both = sorted((frame for frame in true if frame in found), key=lambda f: (natural_key(f[0]), natural_key(f[1])))
    if not both:
        raise MiaError(f"{pred} and {truth} have no image in common.")
    given = [column.removeprefix(_PROBABILITY) for column in tables[0].columns if column.startswith(_PROBABILITY)]
    used = {side[frame]["class"].strip() for side in (true, found) for frame in both}
    names = [*given, *sorted(used - set(given), key=natural_key)]
    probabilities, notes = None, []
    if given and used <= set(given):
        probabilities = _probabilities(tables[0], [found[frame] for frame in both], names)
    elif given:
        absent = ", ".join(sorted(used - set(given)))
        notes.append(f"{tables[0].path} has no probabilities of {absent}: probabilities were not scored")
    if missing:
        listed = ", ".join(map(_shown, missing[:_SHOWN])) + " and more" * (len(missing) > _SHOWN)
        notes.append(f"{len(missing)} images without a prediction were left out: {listed}")
    places = {name: i for i, name in enumerate(names)}
    codes = [np.array([places[side[frame]["class"].strip()] for frame in both]) for side in (true, found)]
    report = classification_report([_shown(frame) for frame in both], codes[0], codes[1], names, probabilities)
    return report | {
        "pred": str(pred),
        "truth": str(truth),
        "unpaired": {"truth": [], "pred": [_shown(frame) for frame in found if frame not in true]},
        "notes": notes,
    }


def _classes_by_frame(table: WrittenTable) -> dict[Frame, dict[str, str]]:
    rows: dict[Frame, dict[str, str]] = {}
    for number, row in enumerate(table.rows, 2):
        frame = _image_name(row["image"]), _frame_name(row.get("frame", ""))
        if frame in rows:
            raise MiaError(
                f"{table.path}: line {number}: {_shown(frame)} stands there twice. Leave one line per frame."
            )
        if not row["class"].strip():
            raise MiaError(f"{table.path}: line {number}: {_shown(frame)} has no class. Give it one or leave it out.")
        rows[frame] = row
    return rows


def _probabilities(table: WrittenTable, rows: Sequence[dict[str, str]], names: Sequence[str]) -> Any:
    try:
        values = np.array([[table.number(row, _PROBABILITY + name) for name in names] for row in rows])
    except ValueError as error:
        raise MiaError(f"{table.path}: {error}") from None
    if values.min() < 0 or values.max() > 1:
        raise MiaError(f"{table.path}: probabilities are 0 to 1, not {values.min():g} to {values.max():g}")
    return values
