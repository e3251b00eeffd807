"""The real app in terminals that answer as kitty and foot do: pictures are shown, moved by few bytes, cleaned up."""

import re
import signal

import numpy as np
import pytest
import tifffile
from answering import KITTY, SIXEL, XTERM, AnsweringTerminal
from kitty_screen import COMMAND, KittyScreen

from mia_tui.project import Project

PLACED = re.compile(rb"(?:\x1b\[\d+;\d+H)?\x1b_G[^\x1b]*\x1b\\")
CRASH = """
from pathlib import Path
from mia_tui import app
from mia_tui.widgets.canvas.widget import ImageCanvas

def fail(self):
    raise RuntimeError("broken on purpose")

ImageCanvas.zoom_fit = fail
app.run(Path({project!r}))
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for name in ("first.tif", "second.tif"):
        tifffile.imwrite(tmp_path / "images" / name, rng.integers(0, 4000, (512, 512)).astype(np.uint16))
    return Project.create(tmp_path / "project", images=tmp_path / "images").folder


class Viewer:
    """The app, what the terminal shows of it, and what each key costs."""

    def __init__(self, terminal: AnsweringTerminal) -> None:
        self.terminal, self.screen, self._fed = terminal, KittyScreen(), 0

    def settle(self) -> bytes:
        self.terminal.quiet()
        new = bytes(self.terminal.sent[self._fed :])
        self._fed = len(self.terminal.sent)
        self.screen.feed(new)
        return new

    def until(self, what, condition) -> None:
        def look() -> bool:
            self.settle()
            return bool(condition())

        self.terminal.wait(what, look)

    def press(self, key: str) -> bytes:
        self.terminal.type(key)
        return self.settle()

    @property
    def text(self) -> str:
        return "\n".join(self.screen.screen.display)

    def share_shown(self) -> float:
        """How much of the terminal shows a picture."""
        return float((self.screen.pixels()[..., 3] > 0).mean())


def test_kitty(project) -> None:
    with AnsweringTerminal(["-m", "mia_tui.cli", project], KITTY) as terminal:
        viewer = Viewer(terminal)
        viewer.until("a picture", lambda: viewer.screen.placements)
        assert "first.tif" in viewer.text
        assert viewer.share_shown() > 0.4
        assert len(terminal.sent) < 250_000
        viewer.press("z")
        for key in ("L", "L", "J"):
            cost = sum(map(len, PLACED.findall(viewer.press(key)))) + len("\x1b[?2026h\x1b[?2026l")
            assert 0 < cost <= 110, f"{cost} bytes of graphics for a pan"
        assert not PLACED.findall(viewer.press("\x1b[C")), "the picture is not touched by a cursor key"
        shown = viewer.share_shown()
        viewer.press("?")
        viewer.until("help", lambda: "Keys: Images" in viewer.text)
        assert viewer.share_shown() < 0.6 * shown, "the picture shines through the help"
        viewer.press("\x1b")
        viewer.until("no help", lambda: "Keys: Images" not in viewer.text)
        assert viewer.share_shown() == pytest.approx(shown, rel=0.02)
        viewer.press("g")
        viewer.press("r")
        viewer.until("runs", lambda: "Runs" in viewer.text.splitlines()[0])
        viewer.until("its picture is gone", lambda: not viewer.screen.placements)
        viewer.press("\x1b")
        viewer.until("a picture again", lambda: viewer.screen.placements and viewer.share_shown() > 0.4)
        terminal.type("q")
        while terminal.run(0.2):
            pass
        viewer.settle()
        assert not viewer.screen.images, "pictures are left in the terminal"


def test_pictures_are_taken_away_when_the_app_breaks(project) -> None:
    with AnsweringTerminal(["-c", CRASH.format(project=str(project))], KITTY) as terminal:
        viewer = Viewer(terminal)
        viewer.until("a picture", lambda: viewer.screen.placements)
        terminal.type("f")
        while terminal.run(0.2):
            pass
        viewer.settle()
        assert "broken on purpose" in bytes(terminal.sent[-20_000:]).decode()
        assert not viewer.screen.images


def test_a_suspended_app_takes_its_pictures_along_and_brings_them_again(project) -> None:
    with AnsweringTerminal(["-m", "mia_tui.cli", project], KITTY) as terminal:
        viewer = Viewer(terminal)
        viewer.until("a picture", lambda: viewer.screen.placements)
        terminal.child.kill(signal.SIGTSTP)
        viewer.until("no picture", lambda: not viewer.screen.images)
        terminal.child.kill(signal.SIGCONT)
        viewer.until("a picture again", lambda: viewer.screen.placements and viewer.share_shown() > 0.4)


def test_sixel(project) -> None:
    with AnsweringTerminal(["-m", "mia_tui.cli", project], SIXEL) as terminal:
        terminal.wait("a picture", lambda: b"\x1bP0;1q" in terminal.sent)
        terminal.quiet(0.6)
        start = len(terminal.sent)
        terminal.type("\x1b[C")
        moved = terminal.quiet(0.4)
        patches = re.findall(rb"\x1bP0;1q[^\x1b]*\x1b\\", moved)
        assert len(patches) == 1, "the cell that the cursor has left is drawn again, and no other"
        assert patches[0].startswith(b'\x1bP0;1q"1;1;10;20#')
        assert len(patches[0]) < 900
        assert "┼".encode() in moved
        terminal.type("z")
        terminal.quiet(0.6)
        frame = bytes(terminal.sent[start + len(moved) :])
        last_picture = frame.rindex(b"\x1bP0;1q")
        assert "┼".encode() in frame[last_picture:], "the cursor is written over the picture, not below it"
        assert not COMMAND.search(terminal.sent[terminal.sent.index(b"\x1b[?1049h") :])


def test_a_terminal_without_graphics_gets_cells(project) -> None:
    with AnsweringTerminal(["-m", "mia_tui.cli", project], XTERM) as terminal:
        terminal.wait("first.tif", lambda: b"first.tif" in terminal.sent)
        terminal.wait("cells", lambda: "▀".encode() in terminal.sent or "▄".encode() in terminal.sent)
        drawn = terminal.sent[terminal.sent.index(b"\x1b[?1049h") :]
        assert b"\x1b_G" not in drawn
        assert b"\x1bP" not in drawn
