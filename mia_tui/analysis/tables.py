"""Tables on disk: CSV or Parquet, with the unit and the type of every column beside them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mia_tui.errors import MiaError
from mia_tui.storage import atomic_writer, write_json

UNIT = b"unit"
NOTES = b"mia_tui"


def column(name: str, kind: str, unit: str = "") -> pa.Field:
    """A column of a table; its unit travels in the metadata of the field.

    Parameters
    ----------
    kind : str
        Name of an Arrow type, such as "string", "int64" or "double".
    unit : str
        Unit of the values, "" for none.
    """
    return pa.field(name, pa.type_for_alias(kind), metadata={UNIT: unit.encode()})


def units(table: pa.Table) -> dict[str, str]:
    """Column name -> unit ("" for none)."""
    return {field.name: (field.metadata or {}).get(UNIT, b"").decode() for field in table.schema}


def notes(table: pa.Table) -> dict[str, Any]:
    """What the maker of the table wrote about it as a whole."""
    return dict(json.loads((table.schema.metadata or {}).get(NOTES, b"{}")))


def with_notes(table: pa.Table, about: dict[str, Any]) -> pa.Table:
    """The table with JSON-able notes about it as a whole."""
    return table.replace_schema_metadata({NOTES: json.dumps(about).encode()})


def units_path(path: Path) -> Path:
    """The side-car of a table: `cells.csv` has `cells.units.json`."""
    return path.with_suffix(".units.json")


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as CSV or Parquet, by the suffix of `path`, atomically.

    Beside it stands `<name>.units.json` with type and unit of every column and the notes of the table; Parquet files
    carry them inside as well. Numbers in a CSV are written such that reading them gives the same double; a missing
    value is an empty field.

    Raises
    ------
    MiaError
        For another suffix, and where the file cannot be written.
    """
    suffix = _suffix(path)
    about = {
        "columns": {
            field.name: {"type": str(field.type), "unit": unit}
            for field, unit in zip(table.schema, units(table).values(), strict=True)
        },
        "notes": notes(table),
    }
    try:
        write_json(units_path(path), about)
        with atomic_writer(path) as stream:
            if suffix == ".csv":
                pa_csv.write_csv(table, stream)
            else:
                pq.write_table(table, stream)
    except OSError as error:
        raise MiaError(f"{path} cannot be written: {error.strerror or error}. Give another place with --out.") from None


def read_table(path: Path) -> pa.Table:
    """Read a table that `write_table` wrote, or any other CSV or Parquet file.

    Types and units of a CSV come from its side-car; without one they are guessed from the text.

    Raises
    ------
    MiaError
        For another suffix, and for a file that is missing or no such table.
    """
    suffix = _suffix(path)
    try:
        return pq.read_table(path) if suffix == ".parquet" else _read_csv(path)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MiaError(f"{path} cannot be read as a table: {error}") from None


def summarise(table: pa.Table) -> pa.Table:
    """One row per image of a table of `measure_project`.

    Columns: image, frames (how many were measured), objects, objects_per_frame, median and standard deviation of the
    area in pixels, and for every column of areas and mean intensities its mean over the objects (`area_mean`, ...). An
    image on which nothing was found has 0 objects and no means; values that are missing or not a number are left out.
    """
    frames: dict[str, int] = notes(table).get("frames", {})
    measured = [
        name for name in table.column_names if name in ("area", "area_um2") or name.startswith("intensity_mean")
    ]
    values = {name: table[name].to_numpy() for name in measured}
    names = table["image"].to_numpy()
    rows = []
    for image in dict.fromkeys([*frames, *names.tolist()]):
        own = {name: known[~np.isnan(known)] for name, known in ((n, v[names == image]) for n, v in values.items())}
        count, of_frames, area = int((names == image).sum()), frames.get(image), own["area"]
        rows.append(
            {
                "image": image,
                "frames": of_frames,
                "objects": count,
                "objects_per_frame": count / of_frames if of_frames else None,
                "area_median": float(np.median(area)) if area.size else None,
                "area_std": float(area.std()) if area.size else None,
            }
            | {f"{name}_mean": float(known.mean()) if known.size else None for name, known in own.items()}
        )
    return pa.Table.from_pylist(rows, schema=_summary_schema(table, measured))


def _summary_schema(table: pa.Table, measured: list[str]) -> pa.Schema:
    unit = units(table)
    fixed = [
        column("image", "string"), column("frames", "int64"), column("objects", "int64"),
        column("objects_per_frame", "double"), column("area_median", "double", unit["area"]),
        column("area_std", "double", unit["area"]),
    ]  # fmt: skip
    return pa.schema(fixed + [column(f"{name}_mean", "double", unit[name]) for name in measured])


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise MiaError(f"{path}: tables are written as .csv or .parquet, not {suffix or 'without a suffix'}")
    return suffix


def _read_csv(path: Path) -> pa.Table:
    about: dict[str, Any] = {}
    if units_path(path).is_file():
        about = json.loads(units_path(path).read_text(encoding="utf-8"))
    known = {name: column(name, entry["type"], entry["unit"]) for name, entry in about.get("columns", {}).items()}
    options = pa_csv.ConvertOptions(
        column_types={name: field.type for name, field in known.items()},
        # Our own files leave missing values empty; "nan" there is a number. Others write what they like.
        null_values=[""] if known else None,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    table = pa_csv.read_csv(path, parse_options=parse, convert_options=options)
    schema = pa.schema([known.get(field.name, field) for field in table.schema])
    return with_notes(table.cast(schema), about["notes"]) if about.get("notes") else table.cast(schema)
