"""A terminal that answers late, in pieces, or never: no answer is ever a key press, and no key press is lost."""

import json

import numpy as np
import pytest
import tifffile
from answering import KITTY, SIXEL, XTERM, AnsweringTerminal, Kind

from mia_tui.project import Project

PROGRAM = """
import json, sys
from pathlib import Path
from textual import events
from mia_tui import app
from mia_tui.widgets.driver import GuardedDriver

handed_on = GuardedDriver.process_message

def spy(self, message):
    if isinstance(message, events.Key):
        with open({log!r}, "a") as log:
            log.write(json.dumps(message.key) + "\\n")
    handed_on(self, message)

GuardedDriver.process_message = spy
app.run(Path({project!r}))
"""
"""The app as it is, with every key that reaches it written down."""


@pytest.fixture
def program(tmp_path):
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "grey.tif", np.arange(4096, dtype=np.uint16).reshape(64, 64))
    made = Project.create(tmp_path / "project", images=tmp_path / "images")
    log = tmp_path / "keys.jsonl"

    def keys() -> list[str]:
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    return ["-c", PROGRAM.format(log=str(log), project=str(made.folder))], keys


@pytest.mark.parametrize(
    ("kind", "delay", "pieces", "gap"),
    [
        (KITTY, 0.0, 1, 0.0), (KITTY, 0.05, 1, 0.0), (KITTY, 0.15, 1, 0.0), (KITTY, 0.3, 1, 0.0), (KITTY, 2.0, 1, 0.0),
        (KITTY, 0.15, 3, 0.05), (KITTY, 0.3, 2, 0.2), (SIXEL, 2.0, 4, 0.3), (SIXEL, 0.15, 1, 0.0),
        (XTERM, 0.3, 3, 0.05), (XTERM, 2.0, 1, 0.0),
    ],
    ids=lambda value: value.name.split("(")[0] if isinstance(value, Kind) else str(value),
)  # fmt: skip
def test_no_answer_becomes_a_key_press(program, kind, delay, pieces, gap) -> None:
    arguments, keys = program
    with AnsweringTerminal(arguments, kind, delay=delay, pieces=pieces, gap=gap) as terminal:
        terminal.wait("asked", lambda: b"\x1b[6n" in terminal.questions)
        terminal.type("w")  # while the terminal is asked
        terminal.wait("grey.tif", lambda: b"grey.tif" in terminal.sent)
        terminal.quiet()
        typed = ["w"]
        for key, name in (("w", "w"), ("\x1b[5~", "pageup"), ("\x1b", "escape"), ("w", "w")):
            terminal.type(key)
            typed.append(name)
            terminal.wait(f"{name} arrives", lambda: len(keys()) >= len(typed))
        terminal.quiet()
        assert keys() == typed
        assert {b"\x1b[c", b"\x1b[6n", b"\x1b[?2026$p"} <= set(terminal.questions)


def test_a_terminal_that_never_answers_gets_its_keys_through(program) -> None:
    arguments, keys = program
    with AnsweringTerminal(arguments, delay=None) as terminal:
        terminal.wait("asked", lambda: b"\x1b[6n" in terminal.questions)
        terminal.type("w")
        terminal.wait("grey.tif", lambda: b"grey.tif" in terminal.sent)
        terminal.type("w")
        terminal.wait("both keys", lambda: keys() == ["w", "w"])


def test_the_line_is_given_back_as_it_was(program) -> None:
    """After a terminal that answered too late: the app ends, and the shell's line has its echo."""
    import termios

    arguments, keys = program
    with AnsweringTerminal(arguments, delay=2.5) as terminal:
        before = termios.tcgetattr(terminal.child.child_fd)
        terminal.wait("asked", lambda: b"\x1b[6n" in terminal.questions)
        terminal.wait("grey.tif", lambda: b"grey.tif" in terminal.sent)
        assert termios.tcgetattr(terminal.child.child_fd)[3] != before[3], "the app reads keys without echo"
        terminal.quiet()
        terminal.type("q")
        while terminal.run(0.2):
            assert keys() in ([], ["q"])
        assert termios.tcgetattr(terminal.child.child_fd)[3] == before[3]
