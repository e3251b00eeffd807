"""The real app in a real tmux, in front of which something answers as kitty does: pictures pass through it."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from answering import KITTY, AnsweringTerminal
from kitty_screen import KittyScreen

from mia_tui.project import Project
from mia_tui.widgets.canvas.placeholders import MARKS, PLACEHOLDER

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

SETTINGS = """
set -g allow-passthrough {passthrough}
set -g focus-events on
set -as terminal-features ',*:RGB'
set -g default-terminal tmux-256color
set -g status off
set -sg escape-time 10
"""


@pytest.fixture
def in_tmux(tmp_path):
    """Start `mia-tui ARGUMENTS` in a tmux of its own, seen through a kitty of 120 x 40 cells."""
    socket = tmp_path / "tmux"

    def start(*arguments, passthrough="on"):
        (tmp_path / "tmux.conf").write_text(SETTINGS.format(passthrough=passthrough))
        inside = " ".join([sys.executable, "-m", "mia_tui.cli", *map(str, arguments), "; sleep 60"])
        command = ["tmux", "-S", str(socket), "-f", str(tmp_path / "tmux.conf"), "new-session", inside]
        return AnsweringTerminal(["-c", f"import os; os.execvp('tmux', {command!r})"], KITTY)

    yield start
    subprocess.run(["tmux", "-S", str(socket), "kill-server"], capture_output=True, check=False)


def test_placeholders_stand_where_the_picture_is_and_its_pixels_pass(in_tmux, tmp_path) -> None:
    (tmp_path / "images").mkdir()
    plane = np.random.default_rng(0).integers(0, 4000, (512, 512)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "images" / "noise.tif", plane)
    project = Project.create(tmp_path / "project", images=tmp_path / "images").folder
    with in_tmux(project) as terminal:
        screen, at = KittyScreen(), 0

        def look() -> None:
            nonlocal at
            terminal.quiet(0.2)
            screen.feed(bytes(terminal.sent[at:]))
            at = len(terminal.sent)

        def until(what, condition) -> None:
            terminal.wait(what, lambda: (look(), condition())[1])

        until("a picture", lambda: screen.virtual)
        (number, (rows, columns)), = screen.virtual.items()  # fmt: skip
        cells = screen.screen.buffer
        top = next(row for row in range(40) if any(cells[row][c].data.startswith(PLACEHOLDER) for c in range(120)))
        left = next(column for column in range(120) if cells[top][column].data.startswith(PLACEHOLDER))
        held = 0
        for row in range(rows):
            for column in range(columns):
                cell = cells[top + row][left + column]
                if cell.data.startswith(PLACEHOLDER):
                    held += 1
                    assert cell.data == PLACEHOLDER + MARKS[row] + MARKS[column]
                    assert cell.fg == f"{number:06x}"
        assert held >= 0.95 * rows * columns, "all cells but those of cursor and map"
        before = screen.images[number]
        terminal.type("z")
        until("other pixels", lambda: not np.array_equal(screen.images[number], before))
        assert list(screen.virtual) == [number], "the same picture, changed in place"
        terminal.type("q")
        until("no picture", lambda: not screen.images)


def test_doctor_asks_tmux_and_says_what_to_set(in_tmux) -> None:
    with in_tmux("doctor", "--quick", passthrough="off") as terminal:
        screen = KittyScreen()

        def text() -> str:
            return "\n".join(screen.screen.display)

        terminal.wait("the report", lambda: b"hints" in terminal.sent)
        terminal.quiet()
        screen.feed(bytes(terminal.sent))
        assert "kitty(0.35.2), behind tmux" in text()
        assert "pictures    cells:" in text()
        assert "not placeholders: tmux allow-passthrough is off" in text()
        assert "set -g allow-passthrough on" in text()
        assert "escape-time" not in text(), "what is set already is not advised"
