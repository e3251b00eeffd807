"""Tables as people and programs write them: CSV with commas, semicolons or tabs, the last two with decimal commas."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mia_tui.errors import MiaError
from mia_tui.storage import write_bytes


@dataclass(frozen=True)
class WrittenTable:
    """A table as text.

    Attributes
    ----------
    columns : tuple of str
        Their names in small letters, but for what follows a colon (`p:Mast cell`).
    rows : list of dict
        Column -> text; missing fields are empty. Row `i` stands on the line `i` + 2, but for empty lines above it.
    decimal : str
        What stands before the decimals: a point, or a comma where commas do not separate.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[dict[str, str]]
    decimal: str

    def number(self, row: dict[str, str], name: str) -> float:
        """The number in a field.

        Raises
        ------
        ValueError
            When there is no finite one.
        """
        text = row[name].strip()
        try:
            value = float(text.replace(self.decimal, "."))
        except ValueError:
            raise ValueError(f"{name} is {text!r}, which is no number") from None
        if not math.isfinite(value):
            raise ValueError(f"{name} is {text!r}, which is no number")
        return value


def read_written(path: Path, needed: Sequence[str], what: str) -> WrittenTable:
    """Read a table.

    Parameters
    ----------
    needed : sequence of str
        Columns without which it is not the table that is meant.
    what : str
        Said when one of them is missing: what such a table looks like.

    Raises
    ------
    MiaError
        When it is no table, or a needed column is missing.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MiaError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MiaError(f'{path} is no text in UTF-8. Save it as "CSV UTF-8".') from None
    head = text.split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise MiaError(f"{path} is no table: {error}") from None
    columns = tuple(_column(name) for name in lines[0]) if lines else ()
    missing = [name for name in needed if name not in columns]
    if missing:
        raise MiaError(
            f"{path} has no column {' and no column '.join(missing)} (it has {', '.join(columns) or 'none'}). {what}"
        )
    rows = [dict(zip(columns, (*line, *[""] * len(columns)), strict=False)) for line in lines[1:] if any(line)]
    return WrittenTable(path, columns, rows, "." if separator == "," else ",")


def _column(heading: str) -> str:
    kind, colon, rest = heading.strip().partition(":")
    return kind.lower() + colon + rest


def write_written(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV with commas, atomically.

    Raises
    ------
    MiaError
        When it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    try:
        write_bytes(path, text.getvalue().encode())
    except OSError as error:
        raise MiaError(f"{path} cannot be written: {error.strerror}. Free space or rights and try again.") from None
