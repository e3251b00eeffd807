"""Measures of the Cell Tracking Challenge: equal to py-ctcmetrics, by hand, and what is said of broken folders."""

import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from ctc_movies import damaged, movie, with_table, write

from mia_tui.analysis.ctc.biological import divisions
from mia_tui.analysis.ctc.match import match_sequences, overlaps
from mia_tui.analysis.ctc.report import score_ctc, track_report
from mia_tui.analysis.scores import format_score
from mia_tui.cli import main
from mia_tui.errors import MiaError

DATA = Path(os.environ.get("MIA_TUI_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
BACTERIA = DATA / "bacteria_vanvliet_ctc"
METRICS = ["Valid", "CHOTA", "BC", "CT", "CCA", "TF", "TRA", "DET", "LNK", "BIO", "OP_CLB"]


def reference(res: Path, gt: Path, *metrics: str, without: str = "") -> dict:
    from ctc_metrics.scripts.evaluate import evaluate_sequence

    return evaluate_sequence(str(res), str(gt), [m for m in METRICS if m != without] + list(metrics), threads=1)


def ours(report: dict) -> dict:
    """Our report under the names of py-ctcmetrics."""
    scores, steps = report["scores"], report["operations"]
    named = {name: scores[name] for name in ("SEG", "DET", "TRA", "LNK", "CHOTA", "CT", "TF", "CCA")}
    named |= {name: scores[name] for name in ("OP_CSB", "OP_CTB")}
    named |= {name if name.startswith("AOGM") else f"AOGM_{name}": value for name, value in steps.items()}
    for i, split in enumerate(report["divisions"]):
        named |= {f"{kind}_div({i})": count for kind, count in split.items()}
        named |= {f"{name}({i})": scores[name][i] for name in ("BC", "BIO", "OP_CLB")}
    return named


def assert_equal(report: dict, expected: dict) -> None:
    assert expected["Valid"] == 1
    mine, compared = ours(report), 0
    for name, value in expected.items():
        if name in mine and value is not None:
            assert mine[name] == pytest.approx(float(value), abs=1e-9), name
            compared += 1
        elif name in mine and name not in ("BC", "BIO", "OP_CLB"):
            assert mine[name] is None, name
    assert compared >= 20


# ---- equal to the reference ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(15))
def test_random_movies_score_as_with_py_ctcmetrics(tmp_path, seed) -> None:
    rng = np.random.default_rng(seed)
    masks, table = movie(rng, int(rng.integers(4, 12)))
    harmed, found = damaged(rng, masks, table, harm=(0.1, 0.4, 1.0)[seed % 3])
    gt, res = tmp_path / "01_GT", tmp_path / "01_RES"
    write(gt, masks, table, truth=True)
    write(res, harmed, found)
    (gt / "SEG").mkdir()
    for t in range(0, len(masks), 2):  # not every frame is segmented
        grown = np.maximum(masks[t], np.roll(masks[t], 1, 1))
        tifffile.imwrite(gt / "SEG" / f"man_seg{t:03d}.tif", grown.astype("uint16"))
    report = score_ctc(res, gt)
    assert_equal(report, reference(res, gt, "SEG", "OP_CSB", "OP_CTB"))
    json.dumps(report, allow_nan=False)


def test_damage_of_every_kind_was_in_the_random_movies() -> None:
    """What the comparison above is worth: all operations, late divisions and cycles of other lengths occur in it."""
    seen = dict.fromkeys(("NS", "FN", "FP", "ED", "EA", "EC"), 0)
    differ = cycles = 0
    for seed in range(15):
        rng = np.random.default_rng(seed)
        masks, table = movie(rng, int(rng.integers(4, 12)))
        harmed, found = damaged(rng, masks, table, harm=(0.1, 0.4, 1.0)[seed % 3])
        report = track_report(match_sequences(zip(masks, harmed, strict=True), table, found))
        for name in seen:
            seen[name] += report["operations"][name] > 0
        differ += report["divisions"][0] != report["divisions"][1]
        cycles += report["scores"]["CCA"] not in (None, 0, 1)
    assert min(seen.values()) >= 4, seen
    assert differ >= 4
    assert cycles >= 4


@pytest.fixture(scope="module")
def bacteria() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Part of the frames 40 to 45 of the real clip: masks and table of the truth, and of its example result."""
    if not BACTERIA.is_dir():
        pytest.skip(f"{BACTERIA} is not there")
    sides = []
    for folder, prefix, table in (
        ("01_GT/TRA", "man_track", "man_track.txt"),
        ("01_RES_example", "mask", "res_track.txt"),
    ):
        planes = [tifffile.imread(BACTERIA / folder / f"{prefix}{t:03d}.tif") for t in range(40, 46)]
        rows = np.loadtxt(BACTERIA / folder / table, dtype=np.int64)
        parents = {int(row[0]): int(row[3]) for row in rows}
        sides += with_table(np.stack(planes)[:, 400:650, 400:800].astype(np.int64), parents)
    return tuple(sides)


@pytest.mark.parametrize("harm", [0, 0.3])
def test_the_real_clip_scores_as_with_py_ctcmetrics(tmp_path, bacteria, harm) -> None:
    masks, table, found, rows = bacteria
    if harm:
        found, rows = damaged(np.random.default_rng(5), found, rows, harm)
    gt, res = tmp_path / "01_GT", tmp_path / "01_RES"
    write(gt, masks, table, truth=True)
    write(res, found, rows)
    report = score_ctc(res, gt)
    assert report["counts"]["true"]["divisions"] > 5
    assert_equal(report, reference(res, gt))


def test_an_empty_first_frame_scores_as_with_py_ctcmetrics(tmp_path) -> None:
    """Without CHOTA, at which py-ctcmetrics ends with an IndexError when a true frame is empty."""
    rng = np.random.default_rng(3)
    masks, table = movie(rng, 6)
    harmed, found = damaged(rng, masks, table, 0.4)
    empty = np.zeros_like(masks[:1])
    for plane, rows in ((masks, table), (harmed, found)):
        rows[:, 1:3] += 1
        write(
            tmp_path / ("01_GT" if plane is masks else "01_RES"),
            np.concatenate([empty, plane]),
            rows,
            truth=plane is masks,
        )
    report = score_ctc(tmp_path / "01_RES", tmp_path / "01_GT")
    assert_equal(report, reference(tmp_path / "01_RES", tmp_path / "01_GT", without="CHOTA"))
    assert any("nothing in frame 0" in note for note in report["notes"])


# ---- by hand and by property -----------------------------------------------------------------------------------------


def line_movie(*rows: list[int]) -> np.ndarray:
    """(T, 3, 3N) masks: object n of a frame is 3 x 2 pixels with the number given, 0 for none."""
    return np.stack(
        [np.repeat(np.pad(np.repeat(row, 2).reshape(-1, 2), ((0, 0), (0, 1))).reshape(1, -1), 3, 0) for row in rows]
    )


def test_a_missed_division_by_hand() -> None:
    truth = line_movie([1, 0], [1, 0], [2, 3], [2, 3])
    table = np.array([[1, 0, 1, 0], [2, 2, 3, 1], [3, 2, 3, 1]])
    found = line_movie([7, 0], [7, 0], [7, 9], [7, 9])
    rows = np.array([[7, 0, 3, 0], [9, 2, 3, 0]])
    report = track_report(match_sequences(zip(truth, found, strict=True), table, rows))
    # links of the truth: 1-1, 2-2, 3-3 and two to daughters; of the result: 7-7 three times, 9-9
    steps = report["operations"]
    assert (steps["NS"], steps["FN"], steps["FP"], steps["ED"], steps["EA"], steps["EC"]) == (0, 0, 0, 0, 1, 1)
    scores = report["scores"]
    assert scores["LNK"] == pytest.approx(1 - 2.5 / 7.5)
    assert scores["TRA"] == pytest.approx(1 - 2.5 / (60 + 7.5))
    assert scores["CT"] == pytest.approx(2 * 1 / 5)
    assert scores["BC"] == [0, 0, 0, 0]
    # of relatives: 7 shares 4 of 4 + 2 objects with 1 and her daughters, and 4 with 2 and her mother; 9 with 3 and hers
    weights = [2 * 4 / 6, 2 * 4 / 4, 2 * 2 / 4]
    assert scores["CHOTA"] == pytest.approx(math.sqrt(sum(weights) / 6))


def test_an_object_over_two_is_one_to_split() -> None:
    truth = line_movie([1, 2], [1, 2])
    table = np.array([[1, 0, 1, 0], [2, 0, 1, 0]])
    found = np.where(truth > 0, 5, 0)
    report = track_report(match_sequences(zip(truth, found, strict=True), table, np.array([[5, 0, 1, 0]])))
    assert report["operations"]["NS"] == 2
    assert report["scores"]["DET"] == pytest.approx(1 - 2 * 5 / 40)
    assert report["scores"]["LNK"] == 0
    assert report["scores"]["TF"] == 0


def test_a_division_a_frame_late_counts_from_one_frame_on() -> None:
    truth = line_movie([1, 0], [2, 3], [2, 3], [2, 3])
    table = np.array([[1, 0, 0, 0], [2, 1, 3, 1], [3, 1, 3, 1]])
    found = line_movie([1, 0], [1, 0], [2, 3], [2, 3])
    rows = np.array([[1, 0, 1, 0], [2, 2, 3, 1], [3, 2, 3, 1]])
    matched = match_sequences(zip(truth, found, strict=True), table, rows)
    assert [divisions(matched, i).tp for i in range(3)] == [0, 1, 1]


@pytest.mark.parametrize("seed", range(4))
def test_the_truth_itself_is_perfect_and_numbers_do_not_matter(seed) -> None:
    rng = np.random.default_rng(seed)
    masks, table = movie(rng, 8)
    names = np.append(0, rng.permutation(np.arange(70_000, 70_000 + masks.max())) * 3).astype(np.uint32)
    rows = table.copy()
    rows[:, [0, 3]] = names[table[:, [0, 3]]]
    scores = track_report(match_sequences(zip(masks, names[masks], strict=True), table, rows), seg=1.0)["scores"]
    values = [value for value in np.hstack(list(scores.values())) if value is not None]
    assert values == pytest.approx([1.0] * len(values))


def test_a_merged_track_keeps_the_mother_of_its_first_part_whatever_the_order_of_the_table() -> None:
    """py-ctcmetrics takes the mother of the part that stands first in the table, and so loses ancestors in CHOTA."""
    rng = np.random.default_rng(8)
    masks, table = movie(rng, 10)
    harmed, rows = damaged(rng, masks, table, 0.4)
    reports = [
        track_report(match_sequences(zip(masks, harmed, strict=True), table, order)) for order in (rows, rows[::-1])
    ]
    assert reports[0] == reports[1]


def test_overlaps_are_those_of_pixel_by_pixel_counting() -> None:
    rng = np.random.default_rng(1)
    truth, found = rng.integers(0, 5, (2, 30, 40)).astype(np.uint32) * 30_000_000
    both = overlaps(truth, found)
    for (i, j), shared, iou in zip(both.pairs, both.shared, both.iou, strict=True):
        one, other = truth == both.true[i], found == both.found[j]
        assert shared == (one & other).sum()
        assert iou == pytest.approx((one & other).sum() / (one | other).sum())
    assert len(both.pairs) == 16
    assert len(overlaps(np.zeros((4, 4), int), np.zeros((4, 4), int)).pairs) == 0


def test_a_frame_without_background_loses_no_object() -> None:
    """py-ctcmetrics takes the lowest value of a frame for background, also where there is none."""
    full = np.repeat([[1, 2]], 4, 0)[None].repeat(2, 0)
    table = np.array([[1, 0, 1, 0], [2, 0, 1, 0]])
    assert track_report(match_sequences(zip(full, full, strict=True), table, table))["scores"]["TRA"] == 1


def test_one_frame_and_no_object_have_no_scores_where_there_is_nothing_to_score(tmp_path) -> None:
    one = line_movie([1, 2])
    table = np.array([[1, 0, 0, 0], [2, 0, 0, 0]])
    scores = track_report(match_sequences(zip(one, one, strict=True), table, table))["scores"]
    assert (scores["DET"], scores["TRA"], scores["LNK"], scores["CT"]) == (1, 1, None, 1)
    nothing, no_table = np.zeros_like(one), np.empty((0, 4), np.int64)
    write(tmp_path / "gt", one, table, truth=True)
    report = score_ctc(write(tmp_path / "res", nothing, no_table), tmp_path / "gt")
    assert report["scores"]["TRA"] == report["scores"]["CHOTA"] == report["scores"]["CT"] == 0
    assert any("no object at all" in note for note in report["notes"])
    write(tmp_path / "empty", nothing, no_table, truth=True)
    report = score_ctc(tmp_path / "res", tmp_path / "empty")
    assert set(np.hstack(list(report["scores"].values()))) == {None}
    assert "-" in format_score(report)


# ---- folders ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """A result and a truth of four frames with one division."""
    masks = line_movie([1, 0], [1, 0], [2, 3], [2, 3])
    table = np.array([[1, 0, 1, 0], [2, 2, 3, 1], [3, 2, 3, 1]])
    write(tmp_path / "01_GT", masks, table, truth=True)
    return write(tmp_path / "01_RES", masks, table), tmp_path / "01_GT"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("1 0 1 0\n2 2 3 1\n3 2 3 7\n", r"res_track.txt: line 3: track 3 has the mother 7"),
        ("1 0 1 0\n2 2 3 -1\n3 2 3 1\n", r"line 2: track 2 has the mother -1"),
        ("1 0 1 0\n2 2 3 3\n3 2 3 1\n", r"line 2: track 2 begins in frame 2, its mother 3 only ends in 3"),
        ("1 0 1 0\n2 2 3 1\n3 2 3 1\n1 0 1 0\n", r"line 4: track 1 stands on line 1 already"),
        ("1 0 1 0\n2 3 2 1\n3 2 3 1\n", r"line 2: track 2 ends in frame 2, before it begins in 3"),
        ("1 0 1 0\n2 2 4 1\n3 2 3 1\n", r"line 2: track 2 is not within the frames 0 to 3"),
        ("0 0 1 0\n2 2 3 1\n3 2 3 1\n", r"line 1: 0 is no number"),
        ("1 0 1 0\n3 2 3 1\n", r"mask002.tif: track 2 is there, but not in res_track.txt"),
        ("1 0 1 0\n2 2 3 1\n3 2 3 1\n\n4 1 1 0\n", r"mask001.tif: track 4 is missing.*line 5"),
        ("1 0 1\n", r"line 1 is '1 0 1', not four whole numbers"),
        ("1 0 1 x\n", r"line 1 is '1 0 1 x'"),
        ("1 0 1 1e400\n", r"line 1 is"),
        (b"\xff\xfe", r"res_track.txt is no text"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_line(folders, table, said) -> None:
    (folders[0] / "res_track.txt").write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(MiaError, match=said):
        score_ctc(*folders)


def test_frames_that_are_missing_twice_there_or_more_than_the_truth_has_are_named(folders) -> None:
    res, gt = folders
    kept = (res / "mask001.tif").read_bytes()
    (res / "mask0001.tif").write_bytes(kept)
    with pytest.raises(MiaError, match=r"mask0001.tif and mask001.tif are the same frame"):
        score_ctc(res, gt)
    (res / "mask0001.tif").unlink()
    (res / "mask001.tif").unlink()
    with pytest.raises(MiaError, match=r"1 frame is missing between 0 and 3: mask001.tif"):
        score_ctc(res, gt)
    (res / "mask001.tif").write_bytes(kept)
    (res / "mask004.tif").write_bytes((res / "mask003.tif").read_bytes())
    with pytest.raises(MiaError, match=r"TRA has the frames 0 to 3.*01_RES 0 to 4.*without a mask here: 4"):
        score_ctc(res, gt)


def test_frames_are_ordered_by_number_with_three_and_four_digits(folders) -> None:
    res, gt = folders
    (res / "mask002.tif").rename(res / "mask0002.tif")
    assert score_ctc(res, gt)["scores"]["TRA"] == 1


def test_frames_may_begin_with_another_number(folders, tmp_path) -> None:
    for folder, prefix in ((folders[0], "mask"), (folders[1] / "TRA", "man_track")):
        for t in (3, 2, 1, 0):
            (folder / f"{prefix}{t:03d}.tif").rename(folder / f"{prefix}{t + 150:03d}.tif")
        table = next(folder.glob("*_track.txt"))
        table.write_text("1 150 151 0\n2 152 153 1\n3 152 153 1\n")
    assert score_ctc(*folders)["scores"]["TRA"] == 1


def test_folders_that_are_none_are_named(folders, tmp_path) -> None:
    res, gt = folders
    with pytest.raises(MiaError, match="nowhere is no folder"):
        score_ctc(tmp_path / "nowhere", gt)
    with pytest.raises(MiaError, match=r"neither res_track.txt nor man_track.txt"):
        score_ctc(tmp_path, gt)
    tifffile.imwrite(res / "mask002.tif", np.zeros((5, 5), "uint16"))
    with pytest.raises(MiaError, match=r"man_track002.tif has 3 x 6 pixels, .*mask002.tif has 5 x 5"):
        score_ctc(res, gt)
    (res / "mask002.tif").write_bytes(b"II*\0")
    with pytest.raises(MiaError, match=r"mask002.tif"):
        score_ctc(res, gt)
    for path in res.glob("mask*.tif"):
        path.unlink()
    with pytest.raises(MiaError, match=r"but no mask000.tif"):
        score_ctc(res, gt)


def test_single_planes_of_volumes_are_segmented_truth(tmp_path) -> None:
    volume = np.stack([line_movie([1, 2])[0]] * 3)[None].repeat(2, 0)
    table = np.array([[1, 0, 1, 0], [2, 0, 1, 0]])
    write(tmp_path / "01_GT", volume, table, truth=True)
    harmed = volume.copy()
    harmed[1, 2][harmed[1, 2] == 2] = 0
    write(tmp_path / "01_RES", harmed, table)
    seg = tmp_path / "01_GT" / "SEG"
    seg.mkdir()
    for t, z in ((0, 1), (1, 2)):
        tifffile.imwrite(seg / f"man_seg_{t:03d}_{z:03d}.tif", volume[t, z].astype("uint16"))
    report = score_ctc(tmp_path / "01_RES", tmp_path / "01_GT")
    assert report["scores"]["SEG"] == pytest.approx(0.75)
    assert_equal(report, reference(tmp_path / "01_RES", tmp_path / "01_GT", "SEG", "OP_CSB", "OP_CTB"))
    tifffile.imwrite(seg / "man_seg_001_003.tif", volume[0, 0].astype("uint16"))
    with pytest.raises(MiaError, match=r"man_seg_001_003.tif is plane 003"):
        score_ctc(tmp_path / "01_RES", tmp_path / "01_GT")


def test_the_command_prints_the_scores(folders, monkeypatch, capsys) -> None:
    """In this process, which is quicker."""
    res, gt = folders
    monkeypatch.setattr(sys, "argv", ["mia-tui", "score", str(res), str(gt), "--metric", "ctc", "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    *text, line = capsys.readouterr().out.splitlines()
    assert json.loads(line)["scores"]["TRA"] == 1
    assert any("TRA 1.0000" in row for row in text)
    assert max(map(len, text)) < 80
    (res / "res_track.txt").write_text("1 0 1 0\n2 2 3 9\n3 2 3 1\n")
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    assert "line 2: track 2 has the mother 9" in capsys.readouterr().err
