"""How soon the terminal user interface paints, beside an empty Textual app with one DataTable.

Each run is a process of its own on a pseudo-terminal of 120 x 40; the clock runs from its start until a text of the
first screen has been written. Runs of all candidates take turns. Prints a table and writes results/first_paint.json.

    python bench/first_paint.py [--runs 15]
"""

import argparse
import fcntl
import json
import os
import platform
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "first_paint.json"
ASKED = b"\x1b[6n"
"""The question where the cursor is, with which the program ends its questions to the terminal."""
LIMIT_S = 60.0
GOAL = 1.6

EMPTY = """
from textual.app import App
from textual.widgets import DataTable

class Empty(App):
    def compose(self):
        yield DataTable()

    def on_mount(self):
        self.query_one(DataTable).add_columns("first paint")

Empty().run()
"""
UI = "from mia_tui.app import run; from pathlib import Path; run({project})"


def first_paint(command: list[str], marker: bytes, environment: dict[str, str]) -> float:
    """Seconds from the start of `command` until it has written `marker` to its terminal."""
    start = time.perf_counter()
    pid, master = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        os.chdir(ROOT)
        os.execve(command[0], command, environment)
    try:
        return _wait_for(master, marker, start)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(master)


def _wait_for(master: int, marker: bytes, start: float) -> float:
    seen, asked = b"", 0
    while time.perf_counter() - start < LIMIT_S:
        if select.select([master], [], [], 1.0)[0]:
            try:
                seen += os.read(master, 65536)
            except OSError:
                break
            while seen.count(ASKED) > asked:  # as every terminal does; one that is silent costs 1.5 s
                asked += 1
                os.write(master, b"\x1b[1;1R")
            if marker in seen:
                return time.perf_counter() - start
    raise SystemExit(f"{marker!r} was never painted; the last output was: {seen[-2000:].decode(errors='replace')}")


def candidates(folder: Path) -> dict[str, tuple[list[str], bytes]]:
    """Name -> (command, text that its first screen shows)."""
    python = sys.executable
    found = {
        "empty": ([python, "-c", EMPTY], b"first paint"),
        "projects": ([python, "-c", UI.format(project="None")], b"No projects yet"),
        "browser": ([python, "-c", UI.format(project=f"Path({str(folder)!r})")], b"Images"),
    }
    if (ROOT / "mia_tui" / "cli.py").exists():
        found["command mia-tui"] = ([python, "-m", "mia_tui.cli"], b"No projects yet")
    return found


def make_project(folder: Path) -> None:
    from mia_tui.project import Project

    (folder / "images").mkdir()
    Project.create(folder / "project", images=folder / "images")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_project(folder)
        environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TMUX")}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
        # Compiled modules are kept, as in any installation; the first round makes them.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = str(folder / "pycache")
        environment |= {"MIA_TUI_STATE": str(folder / "state"), "MIA_TUI_CONFIG": str(folder / "config")}
        chosen = candidates(folder / "project")
        times: dict[str, list[float]] = {name: [] for name in chosen}
        for round_number in range(runs + 1):
            for name, (command, marker) in chosen.items():
                # A fresh memory of projects for each run: opening a project puts it on the list.
                (folder / "state" / "recent.json").unlink(missing_ok=True)
                seconds = first_paint(command, marker, environment)
                if round_number:  # the first round fills the caches of the disk and of Python
                    times[name].append(seconds)
    report(times)


def report(times: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in times.items()}
    rows = {
        name: {
            "median_s": round(median, 4),
            "min_s": round(min(times[name]), 4),
            "max_s": round(max(times[name]), 4),
            "ratio": round(median / medians["empty"], 3),
        }
        for name, median in medians.items()
    }
    print(f"{'first paint':<18}{'median':>10}{'min':>10}{'max':>10}{'ratio':>8}   (goal: at most {GOAL})")
    for name, row in rows.items():
        print(f"{name:<18}{row['median_s']:>9.3f}s{row['min_s']:>9.3f}s{row['max_s']:>9.3f}s{row['ratio']:>8.2f}")
    result = {
        "bench": "first_paint",
        "goal_ratio": GOAL,
        "runs": len(times["empty"]),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "rows": rows,
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
