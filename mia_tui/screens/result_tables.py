"""Tables of the results screen: found, read, sorted, summed up, written. Called in threads; Arrow, slow to import, is
imported when the first table is shown."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

if TYPE_CHECKING:
    import pyarrow as pa

TABLE_SUFFIXES = (".csv", ".parquet")
SCORES = {
    "ap": "accuracy", "f1": "f1", "precision": "precision", "recall": "recall", "panoptic": "panoptic_quality",
}  # fmt: skip
"""Column of the table of scores of objects -> metric of `analysis.matching`."""
POINT_SCORES = {
    "f1": "f1", "precision": "precision", "recall": "recall", "error_px": "mean_distance", "count_mae": "count_mae",
    "count_error": "relative_count_error", "found": "tp", "false": "fp", "missed": "fn",
}  # fmt: skip
"""Column of the table of scores of points -> metric of `analysis.points`."""
CLASS_SCORES = {
    "f1": "f1", "precision": "precision", "recall": "recall", "auc": "auc", "images": "support",
    "predicted": "predicted",
}  # fmt: skip
"""Column of the table of scores of image classes -> metric of `analysis.classification`."""


def table_files(folder: Path) -> list[Path]:
    """Tables in a folder and those below it, the newest first."""
    found = [path for path in folder.rglob("*") if path.suffix.lower() in TABLE_SUFFIXES and path.is_file()]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def predicted_models(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*") if path.is_dir())


def read(path: Path) -> "pa.Table":
    from mia_tui.analysis.tables import read_table

    return read_table(path)


def write(table: "pa.Table", path: Path) -> None:
    from mia_tui.analysis.tables import write_table

    write_table(table, path)


def per_image(table: "pa.Table") -> "pa.Table":
    from mia_tui.analysis.tables import summarise

    return summarise(table)


def in_order(table: "pa.Table", order: str) -> "pa.Table":
    name = order.removeprefix("-")
    return table.sort_by([(name, "descending" if order.startswith("-") else "ascending")])


def score_table(answer: dict[str, Any]) -> "pa.Table":
    """The scores of `mia-tui evaluate` as a table.

    Segmentation: one row per IoU threshold and way of averaging. Detection: one row for all points, and one per class
    where there are several. Classification: one row per class, with the confusion matrix in the columns "as <class>".
    """
    import pyarrow as pa

    rows = {"points": _point_rows, "image_classes": _class_rows}.get(answer["metric"], _instance_rows)(answer)
    return pa.Table.from_pylist(rows)


def score_note(answer: dict[str, Any]) -> str:
    """What a table of scores says as a whole, beside its title."""
    if answer["metric"] == "points":
        return f"paired within {answer['radius']:g} px"
    if answer["metric"] == "image_classes":
        named = (("accuracy", "accuracy"), ("macro F1", "macro_f1"), ("balanced", "balanced_accuracy"))
        found = ((name, answer["totals"][key]) for name, key in named)
        return "  ".join(f"{name} {value:.3f}" for name, value in found if value is not None)
    return ""


def _instance_rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"iou": total["threshold"], "over": over, **{name: total[kind].get(key) for name, key in SCORES.items()}}
        for kind, over in (("pooled", "objects"), ("mean_over_images", "images"))
        for total in answer["totals"]
    ]


def _point_rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [("all", answer["pooled"])]
    if len(answer["classes"]) > 1:
        rows += [*answer["classes"].items(), ("whatever class", answer["any_class"])]
    return [{"class": name, **{column: found[key] for column, key in POINT_SCORES.items()}} for name, found in rows]


def _class_rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    names, totals = answer["names"], answer["totals"]
    return [
        {
            "class": name, **{column: totals["classes"][name][key] for column, key in CLASS_SCORES.items()},
            **{f"as {other}": count for other, count in zip(names, confused, strict=True)},
        }
        for name, confused in zip(names, totals["confusion"], strict=True)
    ]  # fmt: skip


def not_a_table(text: str) -> str | None:
    """What is wrong with a path that a table should be written to."""
    path = Path(text).expanduser().absolute()
    if path.suffix.lower() not in TABLE_SUFFIXES:
        return "end the name with .csv or .parquet"
    if path.is_dir():
        return "is a folder: give a file name"
    return None if path.parent.is_dir() else f"no such folder: {path.parent}"


def page_cells(table: "pa.Table", start: int, count: int) -> dict[str, list[Text]]:
    """Row number -> cells of the rows from `start` on; the numbers of a column share one format."""
    page = table.slice(start, count)
    columns = [_cells(column.to_pylist()) for column in page.columns]
    return {str(start + row): [column[row] for column in columns] for row in range(page.num_rows)}


def _cells(values: list[Any]) -> list[Text]:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if not numbers:
        return [Text("" if value is None else str(value), no_wrap=True, overflow="ellipsis") for value in values]
    form = _number_format(numbers)
    return [Text("" if value is None else f"{value:{form}}", justify="right", no_wrap=True) for value in values]


def _number_format(numbers: list[float]) -> str:
    """A format with one number of decimals: three or four digits of the largest number, none for whole numbers."""
    finite = [abs(number) for number in numbers if math.isfinite(number)]
    largest = max(finite, default=0.0)
    if all(number == int(number) for number in finite) and largest < 1e15:
        return ".0f"
    if not 1e-3 <= largest < 1e7:
        return ".3e"
    power = math.floor(math.log10(largest))
    return f".{max(0, 3 - power) if power >= 0 else 2 - power}f"
