"""Scores of the Cell Tracking Challenge: ours beside py-ctcmetrics, on a whole real clip and on a damaged copy of it.

CPU seconds of one thread, reading the masks included, of the second run. "Greatest difference" is over all measures
that both give. Needs the `test` extra and the clip in `$MIA_TUI_DATA/bacteria_vanvliet_ctc` (default ../shared/data).

    python bench/ctc_scores.py
"""

import contextlib
import io
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from _output import show

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "analysis"))

from ctc_movies import damaged, with_table, write
from test_ctc import ours, reference

from mia_tui.analysis.ctc.report import score_ctc

CLIP = Path(os.environ.get("MIA_TUI_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CLIP /= "bacteria_vanvliet_ctc"


def main() -> None:
    values: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (gt, res) in {
            "clip": (CLIP / "01_GT", CLIP / "01_RES_example"),
            "damaged": harmed(Path(folder)),
        }.items():
            values |= {f"{name}: {key}": value for key, value in compare(gt, res).items()}
    show("ctc_scores", values, goal="equal to py-ctcmetrics, 30 times as fast")


def harmed(folder: Path) -> tuple[Path, Path]:
    """Truth, and the result that comes with the clip, its objects merged, split, missed and moved, mothers wrong."""
    masks = np.stack([tifffile.imread(path) for path in sorted((CLIP / "01_RES_example").glob("mask*.tif"))])
    rows = np.loadtxt(CLIP / "01_RES_example" / "res_track.txt", dtype=np.int64)
    whole, table = with_table(masks.astype(np.int64), {int(row[0]): int(row[3]) for row in rows})
    return CLIP / "01_GT", write(folder / "01_RES", *damaged(np.random.default_rng(0), whole, table, 0.2))


def compare(gt: Path, res: Path) -> dict[str, float]:
    """CPU seconds of both, their ratio, and how far the measures lie apart."""
    seconds, report = timed(lambda: score_ctc(res, gt))
    with contextlib.redirect_stdout(io.StringIO()):
        theirs, expected = timed(lambda: reference(res, gt))
    mine = ours(report)
    shared = [key for key, value in expected.items() if value is not None and mine.get(key) is not None]
    tracemalloc.start()
    score_ctc(res, gt)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {
        "ours, CPU s": seconds,
        "py-ctcmetrics, CPU s": theirs,
        "times as fast": theirs / seconds,
        "measures compared": len(shared),
        "greatest difference, 1e-12": 1e12 * max(abs(mine[key] - float(expected[key])) for key in shared),
        "ours, peak MB": peak / 1e6,
        "TRA": mine["TRA"],
        "LNK": mine["LNK"],
        "CHOTA": mine["CHOTA"],
    }


def timed(work: Callable[[], dict]) -> tuple[float, dict]:
    """CPU seconds of the second run, and what it gave."""
    work()
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


if __name__ == "__main__":
    main()
