"""`mia-tui doctor`: what the program finds on this machine and in this terminal, and what could be better."""

import json
import locale
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mia_tui.keymap import load_keymap
from mia_tui.settings import config_folder, load_settings
from mia_tui.terminal import examine, window_size
from mia_tui.terminal.advice import Line, as_dict, describe, hints, table, tmux_settings
from mia_tui.terminal.record import Capabilities

TORCH_S = 90
ASK_TORCH = """
import json, torch
names = [f"cuda:{n} {torch.cuda.get_device_name(n)}" for n in range(torch.cuda.device_count())]
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "devices": names}))
"""
"""Asked in a process of its own: importing torch takes seconds, and a broken driver may end it."""


def report(graphics: str = "auto", *, quick: bool = False, key_problems: Sequence[str] | None = None) -> dict[str, Any]:
    """Everything that is found, for programs; `text` makes lines of it.

    Parameters
    ----------
    graphics : str
        As for the interface.
    quick : bool
        Leave torch out.
    key_problems : sequence of str, optional
        What is wrong with the user's keys, when all screens were looked at; else only the file itself is checked.

    Raises
    ------
    MiaError
        For an unknown `graphics`.
    """
    settings, problem = load_settings()
    wanted = settings.graphics if graphics == "auto" else graphics
    examined = examine(wanted)
    examined.restore()
    record = examined.record if os.isatty(0) and os.isatty(1) else None
    return {
        "terminal": record,
        "locale": _locale(os.environ),
        "python": platform.python_version(),
        "torch": None if quick else ask_torch(),
        "image formats": {name: _version(name) for name in ("tifffile", "imagecodecs", "pillow")},
        "slurm": shutil.which("sbatch"),
        "settings": {"file": str(config_folder() / "settings.toml"), "problem": problem},
        "keys": list(load_keymap().problems) if key_problems is None else list(key_problems),
    }


def text(found: Mapping[str, Any]) -> str:
    """The report as a person reads it."""
    record: Capabilities | None = found["terminal"]
    if record is None:
        lines: list[Line] = [("terminal", "none here: input or output is not a terminal. Everything else works.")]
    else:
        lines = describe(record, window_size(1))
    lines += [
        ("locale", _locale_text(found["locale"])),
        ("python", found["python"]),
        ("torch", _torch_text(found["torch"])),
        ("images", ", ".join(f"{name} {got or 'is missing'}" for name, got in found["image formats"].items())),
        ("slurm", found["slurm"] or "no sbatch here: runs are started on this machine"),
        ("settings", found["settings"]["problem"] or found["settings"]["file"]),
        *_listed("keys", found["keys"], "no problems (mia-tui keys lists them)"),
    ]
    advice = hints(record) if record is not None else []
    lines += _listed("hints", advice, "none")
    snippet = tmux_settings(record.tmux) if record is not None and record.tmux is not None else []
    return "\n".join([table(lines), *([""] if snippet else []), *snippet])


def for_programs(found: Mapping[str, Any]) -> dict[str, Any]:
    """The report as plain values."""
    record: Capabilities | None = found["terminal"]
    return {**found, "terminal": None if record is None else as_dict(record)}


def _listed(heading: str, entries: Sequence[str], nothing: str) -> list[Line]:
    return [(heading if n == 0 else "", entry) for n, entry in enumerate(entries or [nothing])]


# ---- what is asked --------------------------------------------------------------------------------------------------


def ask_torch() -> dict[str, Any]:
    """Version and devices of torch, or under "problem" why it does not work."""
    command = [sys.executable, "-c", ASK_TORCH]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TORCH_S, stdin=subprocess.DEVNULL)
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        return {"problem": f"torch could not be asked: {error}"}
    if not answer:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return {"problem": f"torch does not work: {last[0]}"}
    return answer


def _torch_text(answer: Mapping[str, Any] | None) -> str:
    if answer is None:
        return "not asked (--quick)"
    if "problem" in answer:
        return str(answer["problem"])
    built = f"CUDA {answer['cuda']}" if answer["cuda"] else "CPU only"
    devices = ", ".join(answer["devices"]) or f"no GPU, {len(os.sched_getaffinity(0))} CPU cores"
    return f"{answer['version']} ({built}): {devices}"


def _locale(environment: Mapping[str, str]) -> dict[str, Any]:
    name = next((environment[key] for key in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(key)), "")
    return {"name": name, "encoding": locale.getencoding(), "utf8": "utf" in locale.getencoding().lower()}


def _locale_text(found: Mapping[str, Any]) -> str:
    name = found["name"] or "not set"
    if found["utf8"]:
        return f"{name}, {found['encoding']}"
    return f"{name}, {found['encoding']}: set LANG=C.UTF-8, or blocks and lines cannot be written"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
