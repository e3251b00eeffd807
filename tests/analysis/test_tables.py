"""Tables survive the disk: every double, every missing value, every unit."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mia_tui.analysis.measure import measurement_schema
from mia_tui.analysis.tables import column, notes, read_table, summarise, units, with_notes, write_table
from mia_tui.errors import MiaError


def measured(**columns):
    """A table of measurements with the given columns; the others are empty."""
    rows = len(next(iter(columns.values())))
    schema = measurement_schema(1)
    return pa.table({name: columns.get(name, [None] * rows) for name in schema.names}, schema=schema)


AWKWARD = measured(
    image=["007", 'a "quoted", name\nin two lines.tif', "größe µm.tif"],
    frame=["image", "t0000z0001", ""],
    area=[1, 2**60 + 1, 3],
    perimeter=[0.1, 1e-300, np.nan],
    track=[None, 5, 2],
    score=[1 / 3, None, np.nextafter(1, 2)],
    **{"class": ["1", "", None]},
)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV"])
def test_a_table_comes_back_as_it_was(tmp_path, suffix):
    path = tmp_path / "new" / f"table{suffix}"
    table = with_notes(AWKWARD, {"source": "labels", "frames": {"007": 2}})
    write_table(table, path)
    back = read_table(path)
    assert back.schema.equals(table.schema)
    for name in table.column_names:
        ours, theirs = table[name].to_pylist(), back[name].to_pylist()
        np.testing.assert_equal(theirs, ours, err_msg=name)  # NaN equals NaN, None only None
    assert notes(back) == notes(table)
    assert units(back)["axis_major_length_um"] == "um"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_csv_keeps_every_double(tmp_path, values):
    table = pa.table({"x": values}, schema=pa.schema([column("x", "double", "px")]))
    write_table(table, tmp_path / "x.csv")
    assert read_table(tmp_path / "x.csv")["x"].to_pylist() == values


def test_units_stand_beside_the_table_and_inside_parquet(tmp_path):
    write_table(AWKWARD, tmp_path / "cells.parquet")
    beside = json.loads((tmp_path / "cells.units.json").read_text())
    assert beside["columns"]["area_um2"] == {"type": "double", "unit": "um2"}
    assert list(beside["columns"]) == AWKWARD.column_names
    assert pq.read_schema(tmp_path / "cells.parquet").field("area").metadata[b"unit"] == b"px"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.parquet", "cells.units.json"]


def test_a_csv_of_another_program_is_read_too(tmp_path):
    (tmp_path / "points.csv").write_text("image,y,x\na.tif,1,2.5\nb.tif,3,\n")
    assert read_table(tmp_path / "points.csv").to_pylist() == [
        {"image": "a.tif", "y": 1, "x": 2.5},
        {"image": "b.tif", "y": 3, "x": None},
    ]


def test_bad_paths_and_files_are_named(tmp_path):
    with pytest.raises(MiaError, match=r"written as \.csv or \.parquet, not \.xlsx"):
        write_table(AWKWARD, tmp_path / "table.xlsx")
    (tmp_path / "file").write_text("")
    with pytest.raises(MiaError, match=r"t\.csv cannot be written"):
        write_table(AWKWARD, tmp_path / "file" / "t.csv")
    for name in ("missing.csv", "missing.parquet"):
        with pytest.raises(MiaError, match=f"{name} cannot be read"):
            read_table(tmp_path / name)
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    (tmp_path / "bad.csv").write_bytes(b"a,b\n1\n")
    (tmp_path / "odd.csv").write_bytes(b"a\n1\n")
    (tmp_path / "odd.units.json").write_text("[1]")
    for name in ("bad.parquet", "bad.csv", "odd.csv"):
        with pytest.raises(MiaError, match=f"{name} cannot be read"):
            read_table(tmp_path / name)


def test_a_failed_write_leaves_the_old_table(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    write_table(AWKWARD, path)
    before = path.read_bytes()

    def full_disk(_table, stream):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mia_tui.analysis.tables.pa_csv.write_csv", full_disk)
    with pytest.raises(MiaError, match="No space left"):
        write_table(AWKWARD, path)
    assert path.read_bytes() == before


def test_summary_counts_images_without_objects_too():
    table = with_notes(
        measured(image=["b", "b", "b", "a"], area=[1, 2, 9, 5], intensity_mean_c0=[1.0, 3.0, np.nan, 7.0]),
        {"frames": {"empty": 2, "b": 2, "a": 1}},
    )
    summary = summarise(table)
    rows = {row["image"]: row for row in summary.to_pylist()}
    assert list(rows) == ["empty", "b", "a"]
    assert {name: row["objects"] for name, row in rows.items()} == {"empty": 0, "b": 3, "a": 1}
    b = rows["b"]
    assert (b["frames"], b["objects_per_frame"], b["area_mean"], b["area_median"]) == (2, 1.5, 4.0, 2.0)
    assert b["area_std"] == pytest.approx(np.std([1, 2, 9]))
    assert (b["intensity_mean_c0_mean"], b["area_um2_mean"]) == (2.0, None)
    assert rows["empty"]["area_mean"] is rows["empty"]["area_std"] is None
    assert units(summary)["area_median"] == "px"
