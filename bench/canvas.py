"""Bytes and milliseconds from a key press to the last byte on the terminal, for what one does on the image canvas.

An app with the canvas and a read-out runs on a pseudo-terminal of 120 x 40; the terminal answers where its cursor is.
"At 2 Mbit/s" plays SSH: what the app writes waits in a buffer without end until the line has carried it, and the time
runs until the last byte is through. Each painter is measured with the same 1024 x 1024 picture of 300 noisy nuclei.
Prints tables and writes results/canvas.json.

    python bench/canvas.py [--painters quadrant,kitty] [--runs 5]
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "canvas.json"
sys.path.insert(0, str(ROOT / "tests" / "screens"))  # the terminal that the tests of bytes use

CELLS = ("half", "quadrant", "sextant", "octant", "ascii")
PIXELS = ("kitty", "placeholders", "sixel")
RATE = 250_000
"""Bytes per second of 2 Mbit/s."""
GOALS = {"cursor": 500, "vertex": 1000, "start": 250_000}
PAN_GOALS = {"kitty": 110, **dict.fromkeys(CELLS, 100_000)}
LAG_GOAL_S = 0.6

EVENTS = (
    # name, key, key that takes it back, view to start from
    ("cursor", b"\x1b[C", b"\x1b[D", b"z"),
    ("cursor down", b"\x1b[B", b"\x1b[A", b"z"),
    ("vertex", b"v", b"", b"z"),
    ("hints on", b"i", b"i", b"f"),
    ("accept 300", b"a", b"a", b"f"),
    ("pan", b"L", b"H", b"z"),
    ("pan, no overlay", b"L", b"H", b"omz"),
    ("zoom in", b"+", b"-", b"z"),
    ("next image", b"n", b"n", b"f"),
)


# ---- measuring -------------------------------------------------------------------------------------------------------


def open_line(painter: str, rate: float | None, objects: int = 300) -> Any:
    from line import SlowLine

    arguments = [str(ROOT / "bench" / "_canvas_app.py"), painter, str(objects)]
    state = tempfile.mkdtemp()
    environment = {"MIA_TUI_STATE": state, "MIA_TUI_CONFIG": state, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return SlowLine(arguments, rate=rate, environment=environment)


def measure(painter: str, rate: float | None, runs: int) -> dict[str, dict[str, float]]:
    """Median bytes and milliseconds of each event."""
    found: dict[str, dict[str, float]] = {}
    with open_line(painter, rate) as line:
        line.wait_for(b"zoom fit")
        line.take(1.0)
        found["start"] = {"bytes": len(line.shown)}
        view = b""
        for name, key, back, wanted in EVENTS:
            if wanted != view:
                line.press(wanted, quiet=0.6)
                view = wanted
            reactions = []
            for _ in range(runs):
                reactions.append(line.press(key, quiet=0.4))
                if back:
                    line.press(back, quiet=0.4)
            found[name] = {
                "bytes": statistics.median(one.size for one in reactions),
                "most bytes": max(one.size for one in reactions),
                "ms": round(1000 * statistics.median(one.seconds for one in reactions), 1),
            }
        for key in (b"b", b"z", b"+"):
            line.press(key, quiet=0.6)
        for name, key in (("pan held 2 s", b"L"), ("cursor held 2 s", b"\x1b[D")):
            found[name] = {"lag ms": round(1000 * line.hold(key).seconds, 1)}
            line.take(0.5)
    return found


def crowd(painter: str) -> dict[str, float]:
    """Milliseconds of a cursor key with 10 and with 5,000 objects."""
    found = {}
    for objects in (10, 5000):
        with open_line(painter, None, objects) as line:
            line.wait_for(b"zoom fit")
            line.take(1.0)
            line.press(b"z", quiet=0.8)
            found[f"{objects} objects"] = round(
                1000 * statistics.median(line.press(b"\x1b[C", quiet=0.2).seconds for _ in range(15)), 2
            )
    return found


def show(painter: str, rates: dict[str, dict[str, dict[str, float]]]) -> None:
    print(f"\n{painter}")
    print(f"  {'':18}{'bytes':>10}{'most':>10}{'ms':>9}{'ms at 2 Mbit/s':>17}")
    fast, slow = rates["unlimited"], rates["2 Mbit/s"]
    for name, values in fast.items():
        if "lag ms" in values:
            print(f"  {name:18}{'lag':>20}{values['lag ms']:>9}{slow[name]['lag ms']:>17}")
        else:
            ms = (values.get("ms", ""), slow[name].get("ms", ""))
            print(f"  {name:18}{values['bytes']:>10.0f}{values.get('most bytes', 0):>10.0f}{ms[0]:>9}{ms[1]:>17}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--painters", default=",".join((*CELLS, *PIXELS)))
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    os.environ.pop("NO_COLOR", None)
    results: dict[str, Any] = {}
    for painter in options.painters.split(","):
        rates = {"unlimited": None, "2 Mbit/s": RATE}
        results[painter] = {name: measure(painter, rate, options.runs) for name, rate in rates.items()}
        show(painter, results[painter])
    results["cursor ms, many objects"] = crowd("quadrant")
    print(f"\ncursor ms: {results['cursor ms, many objects']} (goal: at most twice as much)")
    goals = {**GOALS, "pan": PAN_GOALS, "lag s": LAG_GOAL_S, "cursor ms": 15}
    RESULTS.parent.mkdir(exist_ok=True)
    record = {"goals": goals, "machine": platform.processor() or platform.machine(), **results}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
