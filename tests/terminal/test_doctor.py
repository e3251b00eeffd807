"""`mia-tui doctor`: what it says with and without a terminal, and that nothing broken stops it."""

import json
import os
import subprocess
import sys

from answering import KITTY, ROOT, AnsweringTerminal

from mia_tui import doctor


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "mia_tui.cli", "doctor", *arguments],
        capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, cwd=ROOT,
        env={**os.environ, **environment},
    )  # fmt: skip


def test_without_a_terminal_it_says_so_and_goes_on(tmp_path) -> None:
    (tmp_path / "keymap.toml").write_text("preset = 'emacs'\n")
    done = run("--quick", "--json", MIA_TUI_CONFIG=str(tmp_path), LC_ALL="C.UTF-8")
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert lines[0].startswith("terminal    none here")
    assert any(line.startswith("torch       not asked") for line in lines)
    assert any("no preset 'emacs'" in line for line in lines)
    found = json.loads(last)
    assert found["terminal"] is None
    assert found["torch"] is None
    assert found["locale"]["utf8"] is True
    assert found["image formats"]["tifffile"]
    assert found["keys"]


def test_an_unknown_way_of_drawing_is_refused() -> None:
    done = run("--graphics", "gold")
    assert done.returncode == 1
    assert "choose one of auto, kitty" in done.stderr


def test_in_a_terminal_it_says_what_is_used_and_why() -> None:
    arguments = ["-m", "mia_tui.cli", "doctor", "--quick", "--json"]
    with AnsweringTerminal(arguments, KITTY, environment={"SSH_TTY": "/dev/pts/0"}) as terminal:
        while terminal.run(0.1):
            pass
    text = bytes(terminal.sent[terminal.sent.index(b"terminal ") :]).decode()
    lines = text.split("\r\n")
    assert lines[0].startswith("terminal    kitty(0.35.2), 120 x 40 cells, 10 x 20 pixels each, over SSH, answered in")
    assert "pictures    kitty: kitty(0.35.2) answered the kitty graphics question with OK" in lines
    assert "            not placeholders: only used inside tmux" in lines
    record = json.loads(next(line for line in lines if line.startswith("{")))["terminal"]
    assert (record["painter"], record["colors"], record["glyphs"]) == ("kitty", "truecolor", "sextant")
    assert record["ssh"] is True


def test_torch_that_does_not_work_is_said(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "ASK_TORCH", "raise ImportError('libcudart.so.13 is missing')")
    assert doctor.ask_torch() == {"problem": "torch does not work: ImportError: libcudart.so.13 is missing"}
    monkeypatch.setattr(doctor, "ASK_TORCH", "import os; os.abort()")
    assert "does not work" in doctor.ask_torch()["problem"]
    monkeypatch.setattr(
        doctor, "ASK_TORCH", 'print(\'a warning\'); print(\'{"version": "2.9", "cuda": null, "devices": []}\')'
    )
    assert doctor.ask_torch() == {"version": "2.9", "cuda": None, "devices": []}
