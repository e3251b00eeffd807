"""Tables of motion: hand-worked rows, units, and a file that reads back as it was."""

from dataclasses import replace

import numpy as np
import pytest
from moving import line, tracks_from

from mia_tui.analysis.motion_results import measure_motion
from mia_tui.analysis.motion_tables import motion_tables
from mia_tui.analysis.tables import notes, read_table, units, write_table
from mia_tui.errors import MiaError
from mia_tui.imaging.source import Calibration

CALIBRATION = Calibration((0.5, 0.5), None, 60.0)


def family():
    """1 (round) walks 2 px a frame and divides at frame 4 into 2 and 3, which divides at 7 into 4 and 5; 6 is long."""
    paths = {
        1: {f: (0.0, 2.0 * f) for f in range(4)},
        2: {f: (4.0, 8.0 + 6 * (f - 4)) for f in range(4, 9)},
        3: {f: (0.0, 8.0 + 4 * (f - 4)) for f in range(4, 7)},
        4: {7: (0.0, 18.0), 8: (0.0, 18.0)},
        5: {7: (3.0, 22.0), 8: (3.0, 22.0)},
        6: {0: (90.0, 90.0), 1: ((90.0, 92.0), None), 2: (90.0, 94.0)},
    }
    return tracks_from(paths, mothers={2: 1, 3: 1, 4: 3, 5: 3}, labels={6: 1})


@pytest.fixture
def tables():
    return motion_tables(measure_motion(family(), CALIBRATION, window=2, contact_distance=4.5))


def row(table, **wanted):
    found = [r for r in table.to_pylist() if all(r[name] == value for name, value in wanted.items())]
    assert len(found) == 1
    return found[0]


def test_objects(tables) -> None:
    assert tables["objects"].num_rows == len(family())
    found = row(tables["objects"], track=2, frame=5)
    assert (found["time"], found["object"], found["class"], found["y"], found["x"]) == (300, 2, "round", 4, 14)
    assert (found["position_x"], found["displacement_x"], found["step"], found["speed"]) == (7, 3, 3, 0.05)
    assert (found["turning"], found["path"], found["distance_from_start"], found["step_frames"]) == (0, 3, 3, 1)
    gap = row(tables["objects"], track=6, frame=1)
    assert (gap["interpolated"], gap["object"], gap["position_x"]) == (True, None, 46)
    assert {gap[name] for name in ("step", "speed", "turning", "path", "step_frames")} == {None}
    assert row(tables["objects"], track=6, frame=2)["step_frames"] == 2


def test_tracks(tables) -> None:
    assert tables["tracks"]["fate"].to_pylist() == ["divided", "end of movie", "divided"] + ["end of movie"] * 2 + [
        "lost"
    ]
    found = row(tables["tracks"], track=3)
    assert (found["mother"], found["founder"], found["generation"], found["daughters"]) == (1, 1, 1, 2)
    assert (found["first_frame"], found["last_frame"], found["frames"], found["duration"]) == (4, 6, 3, 120)
    assert (found["division_time"], found["net_displacement"], found["directionality"]) == (180, 4, 1)
    assert row(tables["tracks"], track=1)["division_time"] is None  # nobody saw its birth
    assert row(tables["tracks"], track=1)["msd_alpha"] == pytest.approx(2)
    assert row(tables["tracks"], track=4)["msd_alpha"] is None
    lost = row(tables["tracks"], track=6)
    assert (lost["missing_frames"], lost["speed_mean"], lost["net_displacement"], lost["class"]) == (1, None, 2, "long")


def test_classes(tables) -> None:
    assert tables["classes"]["class"].to_pylist() == ["round", "long", None]
    found = row(tables["classes"], **{"class": "round"})
    speeds = np.array([1, 3, 2, 0, 0]) / 60
    assert found["speed_mean"] == pytest.approx(speeds.mean())
    assert found["speed_median"] == pytest.approx(1 / 60)
    assert found["speed_std"] == pytest.approx(speeds.std(ddof=1))
    assert found["speed_sem"] == pytest.approx(speeds.std(ddof=1) / np.sqrt(5))
    assert (found["tracks"], found["objects"], found["divisions"], found["speed_count"]) == (5, 16, 2, 5)
    assert (found["division_time_mean"], found["division_time_count"]) == (180, 1)
    everything = row(tables["classes"], **{"class": None})
    assert (everything["tracks"], everything["objects"], everything["speed_count"]) == (6, 18, 5)


def test_msd_of_tracks_classes_and_all(tables) -> None:
    assert row(tables["msd"], track=2, lag_frames=4)["msd"] == pytest.approx(12.0**2)
    assert row(tables["msd"], track=6, lag_frames=2)["lag"] == 120
    # windows of one frame: 3 of 1, 4 of 3, 2 of 2, two of 0
    found = row(tables["msd"], track=None, lag_frames=1, **{"class": "round"})
    assert (found["windows"], found["tracks"]) == (11, 5)
    assert found["msd"] == pytest.approx((3 * 1 + 4 * 9 + 2 * 4) / 11)
    assert row(tables["msd"], track=None, lag_frames=2, **{"class": None})["tracks"] == 4


def test_divisions(tables) -> None:
    assert tables["divisions"]["mother"].to_pylist() == [1, 3]
    found = row(tables["divisions"], mother=1)
    assert (found["daughters"], found["frame"], found["time"], found["y"], found["x"]) == ("2 3", 4, 240, 0, 6)
    assert (found["daughter_distance"], found["division_time"]) == (2, None)
    assert found["speed_before"] == pytest.approx(1 / 60)
    assert found["speed_after"] == pytest.approx((3 + 3 + 2 + 2) / 4 / 60)
    assert row(tables["divisions"], mother=3)["daughter_distance"] == 2.5
    after = row(tables["around_divisions"], frames_from_division=1, **{"class": "round"})
    assert (after["time_from_division"], after["cells"]) == (60, 4)
    assert after["speed_mean"] == pytest.approx((3 + 2 + 0 + 0) / 4 / 60)


def test_contacts_know_sisters(tables) -> None:
    """Within 4.5 px: 2 and 3 on frames 4 (4 px) and 5 (4.47 px), and 2 and 5 on frame 7 (4.12 px)."""
    names = ("track_a", "track_b", "first_frame", "last_frame", "duration", "sisters")
    assert [tuple(r[name] for name in names) for r in tables["contacts"].to_pylist()] == [
        (2, 3, 4, 5, 120, True), (2, 5, 7, 7, 60, False)
    ]  # fmt: skip


def test_units_are_on_the_columns_and_survive_the_file(tables, tmp_path) -> None:
    found = units(tables["tracks"])
    assert (found["duration"], found["path"], found["speed_mean"], found["diffusion"]) == ("s", "um", "um/s", "um2/s")
    plain = units(motion_tables(measure_motion(family(), Calibration()))["tracks"])
    assert (plain["duration"], plain["path"], plain["speed_mean"]) == ("frame", "px", "px/frame")
    for name, table in tables.items():
        write_table(table, tmp_path / f"{name}.csv")
        back = read_table(tmp_path / f"{name}.csv")
        assert back.to_pylist() == table.to_pylist()
        assert units(back) == units(table)
        assert notes(back) == notes(table)


def test_three_dimensions_have_three_columns() -> None:
    flat = Calibration((0.5, 0.5), 2.0, 1.0)
    found = motion_tables(measure_motion(tracks_from({1: line(4, (1.0, 0.0, 0.0))}), flat))
    assert row(found["objects"], frame=3)["position_z"] == 6
    assert row(found["tracks"])["turning_mean"] == 0
    assert row(found["tracks"])["turning_signed_mean"] is None


def test_no_tracks_are_tables_without_rows() -> None:
    found = motion_tables(measure_motion(tracks_from({}, frames=5), CALIBRATION, contact_distance=3))
    assert {name: table.num_rows for name, table in found.items()} == dict.fromkeys(found, 0)
    assert "contacts" in found
    assert "contacts" not in motion_tables(measure_motion(family(), CALIBRATION))


def test_tracks_that_cannot_be_are_named() -> None:
    with pytest.raises(MiaError, match="track 1 is the mother of 2"):
        measure_motion(replace(tracks_from({1: line(4), 2: line(4)}), mothers={2: 1}), CALIBRATION)
