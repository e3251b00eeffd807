"""Plots of motion say what the tables say; a report is a folder of files that open."""

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from moving import line, tracks_from
from PIL import Image

from mia_tui.analysis.figure_svg import svg
from mia_tui.analysis.figure_text import as_lines
from mia_tui.analysis.lineage_plot import draw_lineage, lineage
from mia_tui.analysis.motion_plots import Shown, around, msd, rose, speed
from mia_tui.analysis.motion_report import figures, motion_report, summary, summary_lines, text_plots
from mia_tui.analysis.motion_results import measure_motion
from mia_tui.analysis.tables import read_table
from mia_tui.errors import MiaError
from mia_tui.imaging.source import Calibration

CALIBRATION = Calibration((0.5, 0.5), None, 60.0)


def two_kinds():
    """1 (round) divides at frame 4 into 2 and 3, of which 3 is lost; 4 (long) goes straight on; 30 frames."""
    paths = {
        1: {f: (0.0, float(f)) for f in range(4)},
        2: {f: (0.0, 4.0 + 2 * (f - 4)) for f in range(4, 30)},
        3: {f: (4.0, 4.0 + 3 * (f - 4)) for f in range(4, 12)},
        4: line(30, (-3.0, 4.0)),
    }
    return tracks_from(paths, mothers={2: 1, 3: 1}, labels={4: 1})


def found(tracks=None, **options):
    motion = measure_motion(tracks or two_kinds(), options.pop("calibration", CALIBRATION), **options)
    return motion, Shown(motion, {"long": "#FFFF00"})


def by_name(figure):
    return {curve.name: curve for curve in figure.curves if curve.name}


def test_a_rose_begins_all_paths_at_the_origin() -> None:
    shown = rose(*found())
    long = by_name(shown)["long"]
    np.testing.assert_allclose(np.stack([long.xs, long.ys], 1), np.arange(30)[:, None] * [2.0, -1.5])
    round_ = by_name(shown)["round"]
    starts = np.flatnonzero(np.isnan(round_.xs)) + 1
    assert [(round_.xs[k], round_.ys[k]) for k in (0, *starts)] == [(0, 0)] * 3
    assert shown.x.limits == shown.y.limits
    assert shown.x.limits[1] > 58  # the farthest is 29 * 2 um away
    assert shown.y.down


def test_a_rose_of_very_many_tracks_shows_some_of_each_kind(monkeypatch) -> None:
    monkeypatch.setattr("mia_tui.analysis.motion_plots.MOST_PATHS", 2)
    assert rose(*found()).notes == ("2 of 4 tracks",)


def test_the_fit_of_a_straight_walk_lies_on_its_msd() -> None:
    shown = msd(*found())
    fits = [curve for curve in shown.curves if curve.kind == "dashed"]
    straight = fits[1]
    assert straight.name.startswith("α 2.00, D ")
    np.testing.assert_allclose(straight.ys, (2.5 * np.array([1, 7])) ** 2)  # 2.5 um a minute; a quarter of 29 lags
    np.testing.assert_allclose(straight.xs, [1, 7])
    long = by_name(shown)["long"]
    np.testing.assert_allclose(long.ys, (2.5 * np.asarray(long.xs)) ** 2)


def test_speeds_over_time_are_means_of_a_class() -> None:
    shown = by_name(speed(*found()))
    np.testing.assert_allclose(np.asarray(shown["long"].ys)[1:], 2.5)
    expected = [np.nan, *[0.5] * 3, np.nan, *[1.25] * 7, *[1.0] * 18]
    np.testing.assert_allclose(shown["round"].ys, expected)
    np.testing.assert_allclose(np.asarray(shown["round"].high)[5], 1.25 + np.std([1, 1.5], ddof=1))


def test_speeds_around_divisions_break_at_the_division() -> None:
    shown = around(*found(window=3))
    assert list(by_name(shown)) == ["round"]
    curve = by_name(shown)["round"]
    at = dict(zip(np.asarray(curve.xs).tolist(), np.asarray(curve.ys).tolist(), strict=True))
    assert at[1] == pytest.approx(1.25)
    assert at.get(0) is None or np.isnan(at[0])
    assert shown.rules == (0,)
    assert shown.notes == ("3 frames before: 0.5 µm/min, after: 1.25 µm/min (1 division)",)


@pytest.mark.parametrize(
    ("interval", "time", "factor"), [(5.0, "s", 1), (60.0, "min", 60), (1800.0, "h", 3600), (None, "frame", 1)]
)
def test_times_are_shown_in_a_unit_that_fits(interval, time, factor) -> None:
    motion, shown = found(calibration=Calibration((0.5, 0.5), None, interval))
    assert shown.time == time
    assert speed(motion, shown).y.label == f"speed (µm/{time})"
    assert shown.times(7200.0) == 7200 / factor
    assert shown.speeds(0.5) == 0.5 * factor


def test_a_lineage_joins_mothers_and_daughters() -> None:
    shown = lineage(*found())
    points = np.stack([by_name(shown)["round"].xs, by_name(shown)["round"].ys], 1)
    pieces = {tuple(map(tuple, points[k : k + 2].tolist())) for k in range(0, len(points), 3)}
    assert pieces == {
        ((0, 0.5), (4, 0.5)), ((4, 0), (4, 1)), ((4, 0), (29, 0)), ((4, 1), (11, 1))
    }  # fmt: skip
    assert {label.text for label in shown.labels} == {"1", "2", "3", "4"}
    lost = by_name(shown)["lost"]
    assert (list(lost.xs), list(lost.ys)) == ([11], [1])


def test_a_lineage_in_characters() -> None:
    motion, shown = found()
    assert as_lines(draw_lineage(motion, shown, 34, 9)) == [
        "Lineage  ── round   ── long",
        "2      ┌─────────────────────────",
        "1  ────┤",
        "3      └──────x",
        "4  ──────────────────────────────",
        "   ┴──────────────────────────────",
        "   0                    time (min)",
        "",
        "",
    ]


def test_of_a_lineage_too_large_the_largest_families_are_drawn(monkeypatch) -> None:
    motion, shown = found()
    text = as_lines(draw_lineage(motion, shown, 60, 8))
    assert text[-1] == "not drawn: 1 more of 2 families, with 1 track"
    assert len(text) == 8
    monkeypatch.setattr("mia_tui.analysis.lineage_plot.MOST_ROWS", 2)
    page = lineage(motion, shown)
    assert {label.text for label in page.labels} == {"1", "2", "3"}
    assert page.notes == ("not drawn: 1 more of 2 families, with 1 track",)
    for width, height in ((3, 2), (200, 1), (30, 0), (24, 6), (24, 7)):
        grid = draw_lineage(motion, shown, width, height)
        assert [len(row) for row in grid] == [width] * height


def test_a_report_is_a_folder_of_tables_and_plots(tmp_path) -> None:
    masks = {f: np.zeros((4, 4), int) for f in range(30)}
    masks[5][0, :2] = 2, 3  # tracks 2 and 3 touch once
    report = motion_report(two_kinds(), CALIBRATION, masks.__getitem__, out=tmp_path / "deep" / "out")
    names = sorted(path.name for path in report.files)
    tables = ("around_divisions", "classes", "contacts", "divisions", "msd", "objects", "tracks")
    plots = ("around_divisions", "lineage", "msd", "rose", "speed")
    assert names == sorted([f"{n}.csv" for n in tables] + [f"{n}.{kind}" for n in plots for kind in ("png", "svg")])
    for path in report.files:
        if path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
        if path.suffix == ".png":
            with Image.open(path) as opened:
                assert len(set(opened.convert("RGB").resize((80, 80)).tobytes())) > 20
    data = summary(report)
    assert (data["tracks"], data["divisions"], data["contacts"]) == (4, 1, 1)
    assert data["around_division"]["after"] == pytest.approx(1.25 / 60)
    assert data["around_division"]["before_sem"] is None
    lines = summary_lines(report)
    assert lines[0] == "4 tracks, 1 division, 30 frames"
    assert [line.split()[:4] for line in lines[2:4]] == [["round", "3", "1", "±"], ["long", "1", "2.5", "1"]]
    assert lines[5:] == [
        "mean ± standard error between tracks; alpha and D of the MSD of all tracks of a class",
        "speed around division: 5 frames before: 0.5 µm/min, after: 1.25 µm/min (1 division)",
        "1 contact of 1 pair of tracks within 1.5 px",
    ]


def test_no_tracks_are_a_report_that_says_so(tmp_path) -> None:
    report = motion_report(tracks_from({}, frames=3), Calibration(), out=tmp_path)
    assert summary_lines(report) == ["no tracks on 3 frames"]
    assert summary(report)["around_division"]["p"] is None
    assert all("nothing to show" in svg(shown) for shown in figures(report.motion, report.shown).values())
    assert "\n".join(text_plots(report.motion, report.shown, 60, 10)).count("nothing to show") == 4


def test_every_plot_also_in_three_dimensions_and_of_single_frames(tmp_path) -> None:
    deep = tracks_from({1: line(9, (1.0, 2.0, 0.0)), 2: {3: (0.0, 0.0, 0.0)}}, labels={2: 1})
    report = motion_report(deep, Calibration((0.5, 0.5), 2.0, 1.0), out=tmp_path)
    assert "4 tracks" not in summary_lines(report)[0]
    for shown in figures(report.motion, report.shown).values():
        assert "nan" not in svg(shown)
    np.testing.assert_allclose(by_name(rose(report.motion, report.shown))["round"].ys, np.arange(9))


def test_a_folder_that_cannot_be_written_is_named(tmp_path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(MiaError, match=r"out.* cannot be written"):
        motion_report(two_kinds(), CALIBRATION, out=tmp_path / "out")


def test_classes_without_a_colour_get_one() -> None:
    tracks = replace(two_kinds(), classes=("round", "new"))
    motion = measure_motion(tracks, CALIBRATION)
    assert set(Shown(motion, {"round": "#000000"}).colors) == {"round", "new"}


def test_of_a_family_too_large_the_first_generations_are_drawn(monkeypatch) -> None:
    """1 divides into 2 and 3, and these into 4 to 7."""
    paths = {n: {2 * (n.bit_length() - 1) + k: (0.0, 0.0) for k in (0, 1)} for n in range(1, 8)}
    motion, shown = found(tracks_from(paths, mothers={n: n // 2 for n in range(2, 8)}))
    assert {label.text for label in lineage(motion, shown).labels} == set("1234567")
    text = as_lines(draw_lineage(motion, shown, 60, 11))
    assert [line.split()[0] for line in text[1:4]] == ["2", "1", "3"]
    assert text[-1] == "drawn: generations 0 to 1 of 2 of the largest family"
    monkeypatch.setattr("mia_tui.analysis.lineage_plot.MOST_ROWS", 3)
    page = lineage(motion, shown)
    assert {label.text for label in page.labels} == set("123")
    assert page.notes == ("drawn: generations 0 to 1 of 2 of the largest family",)


def test_what_all_move_together_is_subtracted_and_pointed_out(tmp_path) -> None:
    """Three cells walk apart by 1 px a frame while the stage jumps by (40, -30) px on frame 5."""
    jump = {f: np.array([40.0, -30.0]) * (f >= 5) for f in range(10)}
    paths = {
        number: {f: tuple(jump[f] + f * np.array(step) + number * 50.0) for f in range(10)}
        for number, step in enumerate([(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0), (0.0, 0.0)], 1)
    }
    tracks = tracks_from(paths)
    jumping = motion_report(tracks, Calibration(), out=tmp_path)
    assert jumping.motion.jump == 50
    assert "all move 50 px together" in summary_lines(jumping)[-1]
    still = motion_report(tracks, Calibration(), out=tmp_path, subtract_drift=True)
    np.testing.assert_allclose(still.motion.whole.path, [9, 9, 9, 9, 0], atol=1e-9)
    assert "subtract-drift" not in "".join(summary_lines(still))
    assert summary(still)["drift_subtracted"] is True
    rows = read_table(tmp_path / "objects.csv").to_pylist()
    assert (rows[9]["y"], rows[9]["position_y"]) == (99, 59)  # where it is in the image, and without the jump
