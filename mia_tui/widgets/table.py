"""Filling a `DataTable` in one go, with columns as wide as what they hold."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text
from textual.app import App
from textual.widgets import DataTable


def cell_text(app: App[Any], text: str, token: str = "", *, right: bool = False) -> Text:
    """A table cell: `text` as it is (never read as markup), in the theme colour `token`, e.g. "text-error"."""
    color = app.theme_variables.get(token, "") if token else ""
    style = color if color.startswith("#") and len(color) == 7 else ""
    return Text(text, style=style, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")


def fill_table(
    table: DataTable[Text],
    columns: Sequence[tuple[str, str]],
    rows: Mapping[str, Sequence[Text]],
    *,
    least: Mapping[str, int] | None = None,
    most: int = 60,
) -> None:
    """Replace columns and rows.

    Parameters
    ----------
    columns : sequence of (label, key)
        A label is right-aligned when the first row's cell below it is.
    rows : mapping
        Row key -> one cell per column.
    least : mapping, optional
        Column key -> least width, for columns whose cells will change.
    most : int
        Greatest width of a column; longer cells are cut with an ellipsis.
    """
    table.clear(columns=True)
    first = next(iter(rows.values()), ())
    for number, (label, key) in enumerate(columns):
        widths = [len(label), (least or {}).get(key, 0), *(cells[number].cell_len for cells in rows.values())]
        justify = first[number].justify if first else "left"
        table.add_column(Text(label, justify=justify or "left"), key=key, width=min(max(widths), most))
    for key, cells in rows.items():
        table.add_row(*cells, key=key)
