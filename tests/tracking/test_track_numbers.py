"""Tables and exports of single frames carry the tracks as they are corrected now."""

import json
from pathlib import Path

from movies import LAPSE, linked, movie, opened

from mia_tui.analysis.measure import measure_project
from mia_tui.formats.geojson import export_geojson
from mia_tui.tracking import edits


def test_measurements_and_geojson_have_the_corrected_numbers(tmp_path: Path) -> None:
    project = movie(tmp_path, [{k: (30.0 * k, 60.0) for k in (1, 2)} for _ in range(3)])
    assert measure_project(project, "labels").table["track"].to_pylist() == [None] * 6
    sequence = linked(project, {t: [(1, 1), (2, 2)] for t in range(2)})
    with opened(project, sequence) as store:
        store.do(edits.reassign, store.book.row((1, 0, 1)), 40)
        store.do(edits.drop, store.book.row((2, 0, 2)))
    table = measure_project(project, "labels").table
    assert list(zip(table["t"].to_pylist(), table["id"].to_pylist(), table["track"].to_pylist(), strict=True)) == [
        (0, 1, 1), (0, 2, 2), (1, 1, 40), (1, 2, 2), (2, 1, 40), (2, 2, None),
    ]  # fmt: skip
    export_geojson(project, tmp_path / "out")
    written = json.loads((tmp_path / "out" / f"{LAPSE}.geojson").read_text())
    assert [feature["properties"].get("track") for feature in written["features"]] == [1, 2, 40, 2, 40, None]


def test_tracks_that_cannot_be_read_are_named_and_the_rest_is_measured(tmp_path: Path) -> None:
    project = movie(tmp_path, [{k: (30.0 * k, 60.0) for k in (1, 2)} for _ in range(3)])
    linked(project, {})
    (project.folder / "tracks" / "labels" / f"{LAPSE}.csv").write_text("nonsense")
    found = measure_project(project, "labels")
    assert found.table.num_rows == 6
    assert "the tracks are left out" in found.problems[0]
