"""How every bench ends: a small table on the screen and a JSON file in bench/results/."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def show(name: str, values: Mapping[str, float], goal: str) -> None:
    """Print `values` and write them to `results/<name>.json`."""
    print(f"{name} (goal: {goal})")
    for key, value in values.items():
        print(f"  {key:38}{value:12.3f}" if isinstance(value, float) else f"  {key:38}{value:12}")
    RESULTS.mkdir(exist_ok=True)
    record = {"goal": goal, "machine": platform.processor() or platform.machine(), **values}
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
