"""The results screen: measures through the real command, pages, sorts, sums up, exports, opens again."""

import asyncio
import csv
import sys
import time

import numpy as np
import pyarrow as pa
import pytest
from driving import screen_text, type_text, until
from PIL import Image
from standin import ROOT
from textual.widgets import Input

from mia_tui.analysis.classification import classification_report
from mia_tui.analysis.points import match_classes, point_report
from mia_tui.analysis.tables import read_table, write_table
from mia_tui.app import MiaApp
from mia_tui.errors import MiaError
from mia_tui.formats import masks
from mia_tui.project import Project
from mia_tui.runfolder import process_start
from mia_tui.screens import command, results
from mia_tui.screens.result_tables import page_cells, score_note, score_table
from mia_tui.screens.results import PAGE, ResultsScreen
from mia_tui.widgets.choose import ChooseScreen


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for number in (1, 2):
        mask = np.zeros((40, 60), np.uint8)
        mask[5:15, 5:25] = 1
        if number == 2:
            mask[20:30, 30:35] = 2
        Image.fromarray(mask * 100).save(tmp_path / "images" / f"im{number}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"im{number}.png")
    project = Project.create(tmp_path / "project", images=tmp_path / "images", name="cells")
    masks.import_masks(project, tmp_path / "masks", kind="instance")
    return project


def fake_table(rows) -> pa.Table:
    return pa.table({
        "image": [f"im{n % 7}.tif" for n in range(rows)],
        "id": list(range(rows)),
        "area": [float((n * 7919) % 1000) for n in range(rows)],
    })  # fmt: skip


async def open_results(pilot) -> ResultsScreen:
    pilot.app.go("results")
    await until(
        pilot, lambda: isinstance(pilot.app.screen, ResultsScreen) and "m measures labels" in screen_text(pilot.app)
    )
    return pilot.app.screen


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_measuring_shows_and_writes_the_table(project, size) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=size) as pilot:
        screen = await open_results(pilot)
        assert "Nothing measured yet" in screen_text(app)
        await pilot.press("m")
        await until(pilot, lambda: screen.sheet is not None, 60)
        await pilot.pause()
        assert sorted(screen.sheet.table["area"].to_pylist()) == [50, 200, 200]
        text = screen_text(app)
        assert "objects-labels.csv   3 rows   m measures labels" in text
        assert "im1.png" in text
        assert screen._busy_with == ""
        await pilot.press("i")
        await until(pilot, lambda: "per image" in screen_text(app))
        assert screen.sheet.table["objects"].to_pylist() == [1, 2]
        await pilot.press("i")
        await until(pilot, lambda: screen.sheet.rows == 3)
    rows = list(csv.DictReader((project.results_folder / "objects-labels.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == ["im1.png", "im2.png", "im2.png"]


async def test_a_hundred_thousand_rows_open_at_once_and_page(project) -> None:
    write_table(fake_table(100_000), project.results_folder / "big.csv")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_results(pilot)
        await until(pilot, lambda: screen.sheet is not None)
        assert screen.table.row_count == PAGE
        assert "rows 1–500 of 100,000" in screen_text(app)
        await pilot.press("right_square_bracket")
        await pilot.pause()
        assert "rows 501–1,000 of 100,000" in screen_text(app)
        assert screen.table.get_cell_at((0, 1)).plain == "500"
        screen.table.move_cursor(column=2)
        began = time.monotonic()
        await pilot.press("s", "s")
        await until(pilot, lambda: "sorted by area ↓" in screen_text(app))
        assert time.monotonic() - began < 5
        assert [screen.table.get_cell_at((n, 2)).plain for n in range(3)] == ["999"] * 3
        assert "rows 1–500" in screen_text(app)
        await pilot.press("left_square_bracket")
        await pilot.pause()
        assert any("first page" in n.message for n in app._notifications)


async def test_export_asks_for_a_path_and_writes_csv_or_parquet(project, tmp_path) -> None:
    write_table(fake_table(40), project.results_folder / "some.csv")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_results(pilot)
        await until(pilot, lambda: screen.sheet is not None)
        await pilot.press("w")
        await pilot.pause()
        assert app.screen.query_one(Input).value == str(tmp_path / "some.csv")
        await pilot.press("end", "ctrl+u")
        await type_text(pilot, "a.xls")
        await pilot.press("enter")
        await pilot.pause()
        assert "end the name with .csv or .parquet" in screen_text(app)
        await pilot.press("end", "ctrl+u")
        await type_text(pilot, "a.parquet")
        await pilot.press("enter")
        await until(pilot, lambda: (tmp_path / "a.parquet").exists())
        await until(pilot, lambda: any("40 rows written" in n.message for n in app._notifications))
    assert read_table(tmp_path / "a.parquet")["area"].to_pylist() == fake_table(40)["area"].to_pylist()


async def test_tables_in_results_are_opened_again_and_damage_is_named(project) -> None:
    write_table(fake_table(3), project.results_folder / "first.csv")
    write_table(fake_table(4), project.results_folder / "second.parquet")
    (project.results_folder / "odd.parquet").write_text("no table")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_results(pilot)
        await until(pilot, lambda: any("odd.parquet cannot be read" in n.message for n in app._notifications))
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, ChooseScreen))
        await pilot.press("down", "enter")
        await until(pilot, lambda: screen.sheet is not None)
        assert (screen.sheet.title, screen.sheet.rows) == ("second.parquet", 4)


async def test_a_command_can_be_cancelled_and_its_process_ends(project, tmp_path, monkeypatch) -> None:
    script = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    real = asyncio.create_subprocess_exec

    async def slow(*_arguments, **options):
        return await real(sys.executable, "-c", script, **options)

    monkeypatch.setattr(command.asyncio, "create_subprocess_exec", slow)
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_results(pilot)
        await pilot.press("m")
        await until(pilot, lambda: "measuring labels" in screen_text(app) and (tmp_path / "pid").exists())
        await until(pilot, lambda: (tmp_path / "pid").read_text())
        await pilot.press("m")
        await pilot.pause()
        assert any("Busy: measuring labels" in n.message for n in app._notifications)
        await pilot.press("c")
        await until(pilot, lambda: screen._busy_with == "")
        assert "measuring" not in screen_text(app).splitlines()[-2]
    pid = int((tmp_path / "pid").read_text())
    assert process_start(pid) is None


async def test_a_failed_command_says_why(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_results(pilot)
        screen.source = "predictions:nowhere"
        await pilot.press("m")
        await until(
            pilot, lambda: any("no predictions of model 'nowhere'" in n.message for n in app._notifications), 60
        )
        await pilot.press("e")
        await pilot.pause()
        assert any("no model yet" in n.message for n in app._notifications)


async def test_commands_hand_on_progress_and_raise_what_they_said(monkeypatch) -> None:
    real = asyncio.create_subprocess_exec

    def act(script) -> None:
        async def run(*_arguments, **options):
            return await real(sys.executable, "-c", script, **options)

        monkeypatch.setattr(command.asyncio, "create_subprocess_exec", run)

    lines = []
    act("import sys; print('hello'); sys.stderr.write('1/2 a\\r2/2 b\\r'); print('{\"a\": 1}')")
    assert await command.run_command(["x"], lines.append) == {"a": 1}
    assert sorted(lines) == ["1/2 a", "2/2 b", "hello"]
    act('import sys; print(\'{"error": "the disk is full"}\'); sys.exit(1)')
    with pytest.raises(MiaError, match="the disk is full"):
        await command.run_command(["x"], lines.append)
    act("import sys; sys.exit('boom')")
    with pytest.raises(MiaError, match="boom"):
        await command.run_command(["x"], lines.append)
    act("print('done')")
    with pytest.raises(MiaError, match="did not say"):
        await command.run_command(["x"], lines.append)


def test_scores_become_one_row_per_threshold_and_average() -> None:
    def totals(value) -> dict:
        return {"accuracy": value, "f1": 0.6, "precision": 0.7, "recall": 0.5, "panoptic_quality": 0.4}

    rows = [{"threshold": t, "pooled": totals(t), "mean_over_images": totals(t / 2)} for t in (0.5, 0.75)]
    answer = {"metric": "ap", "totals": rows}
    table = score_table(answer)
    assert table.column_names == ["iou", "over", "ap", "f1", "precision", "recall", "panoptic"]
    assert table["ap"].to_pylist() == [0.5, 0.75, 0.25, 0.375]
    assert table["over"].to_pylist() == ["objects", "objects", "images", "images"]


def test_scores_of_points_become_a_row_for_all_and_one_per_class() -> None:
    true, found = np.array([[10.0, 10.0], [30, 30], [50, 50]]), np.array([[10.0, 13.0], [30, 30], [90, 90]])
    matching = match_classes(true, ["a", "b", "b"], found, ["a", "b", "a"], 6)
    answer = point_report({"one": matching})
    table = score_table(answer)
    assert table["class"].to_pylist() == ["all", "a", "b", "whatever class"]
    assert [table[name].to_pylist()[:3] for name in ("found", "false", "missed")] == [[2, 1, 1], [1, 1, 0], [1, 0, 1]]
    assert table["error_px"].to_pylist() == [1.5, 3, 0, 1.5]
    assert score_note(answer) == "paired within 6 px"
    single = point_report({"one": match_classes(true, ["a"] * 3, found, ["a"] * 3, 6)})
    assert score_table(single)["class"].to_pylist() == ["all"]


def test_scores_of_image_classes_become_a_row_per_class_with_the_confusion_matrix() -> None:
    truth, found = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    answer = classification_report("wxyz", truth, found, ["cat", "dog", "owl"])
    table = score_table(answer)
    assert table.column_names[:4] == ["class", "f1", "precision", "recall"]
    assert [table[f"as {name}"].to_pylist() for name in ("cat", "dog", "owl")] == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert table["precision"].to_pylist() == [1, 0.5, None]
    assert table["images"].to_pylist() == [3, 1, 0]
    assert score_note(answer).startswith("accuracy 0.750  macro F1 0.733")
    assert score_note(answer).endswith("balanced 0.833")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_scoring_a_model_shows_what_the_command_found(project, monkeypatch, size) -> None:
    asked = []

    async def scored(arguments, _on_line) -> dict:
        asked.append(arguments)
        return classification_report("wxyz", np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), ["cat", "dog"])

    monkeypatch.setattr(results, "run_command", scored)
    (project.models_folder / "m").mkdir(parents=True)
    (project.models_folder / "m" / "model.json").write_text("{}")
    app = MiaApp(project.folder)
    async with app.run_test(size=size) as pilot:
        await open_results(pilot)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ChooseScreen))
        await pilot.press("enter")
        await until(pilot, lambda: "accuracy 0.750" in screen_text(app))
        assert "as dog" in screen_text(app)
    assert asked == [["evaluate", str(project.folder), "--model", "m", "--split", "val"]]


def test_numbers_of_a_column_share_their_decimals_and_stand_right() -> None:
    table = pa.table({
        "image": ["a[b].tif", None], "area": [12.0, None], "width": [0.125, 12.5], "tiny": [1e-7, 2e-5],
        "odd": [float("nan"), 1.5],
    })  # fmt: skip
    rows = page_cells(table, 0, 10)
    assert [[cell.plain for cell in row] for row in rows.values()] == [
        ["a[b].tif", "12", "0.12", "1.000e-07", "nan"],
        ["", "", "12.50", "2.000e-05", "1.500"],
    ]
    assert [cell.justify for cell in rows["0"]] == [None, "right", "right", "right", "right"]


async def test_tables_of_motion_in_folders_of_their_own_are_offered(project) -> None:
    folder = project.results_folder / "motion" / "labels" / "movie"
    folder.mkdir(parents=True)
    write_table(fake_table(3), folder / "tracks.csv")
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await open_results(pilot)
        await until(pilot, lambda: "tracks.csv   3 rows" in screen_text(app))
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, ChooseScreen))
        assert "motion/labels/movie/tracks.csv" in screen_text(app)
