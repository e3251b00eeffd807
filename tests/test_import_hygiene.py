"""What may be imported where, seen from outside: in fresh processes, and by the layers' contracts.

The process that draws never computes: importing torch takes seconds, so a single careless import would be felt at every
start.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "torchvision", "timm", "albumentations", "segmentation_models_pytorch")
UI_SIDE = (
    "mia_tui.app",
    "mia_tui.cli",
    "mia_tui.commands",
    "mia_tui.screens",
    "mia_tui.widgets",
    "mia_tui.labeling",
    "mia_tui.tracking",
    "mia_tui.analysis",
    "mia_tui.formats",
    "mia_tui.jobs",
    "mia_tui.imaging",
    "mia_tui.simulate",
    "mia_tui.terminal",
    "mia_tui.engine.config",
)
ROOT = Path(__file__).parents[1]

WALK = """
import importlib, json, pkgutil, sys
imported = []
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    imported.append(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), name + "."):
        importlib.import_module(found.name)
        imported.append(found.name)
print(json.dumps({"imported": imported, "modules": sorted(sys.modules)}))
"""

HELP = """
import json, runpy, sys
sys.argv = ["mia-tui", "--help"]
try:
    runpy.run_module("mia_tui.cli", run_name="__main__", alter_sys=True)
    code = 0
except SystemExit as end:
    code = end.code or 0
print()
print(json.dumps({"code": code, "modules": sorted(sys.modules)}))
"""


def run_python(program, *arguments):
    """Run a program in a fresh interpreter; its output and the JSON in its last line."""
    result = subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL, cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    *lines, last = result.stdout.splitlines()
    return "\n".join(lines), json.loads(last)


@pytest.mark.parametrize("name", UI_SIDE)
def test_nothing_outside_the_engine_imports_torch(name):
    _, found = run_python(WALK, name)
    assert found["imported"][0] == name
    assert set(HEAVY) & set(found["modules"]) == set()


def test_every_package_of_the_house_is_watched():
    packages = {f"mia_tui.{path.parent.name}" for path in (ROOT / "mia_tui").glob("*/__init__.py")}
    assert packages - set(UI_SIDE) == {"mia_tui.engine"}


def test_help_imports_neither_torch_nor_textual():
    text, found = run_python(HELP)
    assert found["code"] == 0
    assert "Usage" in text
    assert "train" in text
    assert {*HEAVY, "textual"} & set(found["modules"]) == set()


def test_the_supervisor_is_free_of_everything_large():
    _, found = run_python(WALK, "mia_tui.jobs.supervise")
    assert {*HEAVY, "textual", "numpy", "pydantic", "typer"} & set(found["modules"]) == set()


def test_the_layers_hold():
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
