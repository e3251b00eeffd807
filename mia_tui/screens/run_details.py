"""What a run's view opens on top of itself: the whole log, and the preview picture in full size."""

import asyncio
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Log, Static

from mia_tui.runfolder import RunFolder
from mia_tui.widgets.picture import Picture

PERIOD_S = 0.4
"""Seconds between two looks at the run's files."""
LOG_WHOLE = 4_000_000
"""Bytes of the log's end that the full log shows."""


def log_lines(run: RunFolder, limit: int) -> list[str]:
    """Lines of the last `limit` bytes of a run's log, without terminal codes; a line rewritten in place counts once."""
    try:
        with open(run.log, "rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - limit))
            text = stream.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    lines = text.split("\n")[1 if size > limit else 0 :]
    plain = [Text.from_ansi(line.rstrip("\r").rpartition("\r")[2]).plain.rstrip() for line in lines]
    return plain[:-1] if plain and not plain[-1] else plain


class LogScreen(ModalScreen[None]):
    """The whole log of a run; follows it while it grows."""

    DEFAULT_CSS = """
    LogScreen { align: center middle; }
    LogScreen > Vertical {
        width: 96%; height: 92%; background: $surface; border: round $border; border-title-color: $text; padding: 0 1;
    }
    LogScreen Log { height: 1fr; background: $surface; }
    LogScreen .hint { height: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[Any]] = [("escape,q,l", "dismiss", "Close")]

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        self._run_folder = run
        self._count = 0

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = f"Log of {self._run_folder.id}"
            yield Log()
            yield Static("esc closes   home end page up page down scroll", classes="hint")

    def on_mount(self) -> None:
        self._follow()

    @work(group="log", exclusive=True)
    async def _follow(self) -> None:
        log, shown = self.query_one(Log), None
        log.focus()
        while True:
            lines = await asyncio.to_thread(log_lines, self._run_folder, LOG_WHOLE)
            if lines != shown:
                if shown is not None and lines[: len(shown)] == shown:
                    log.write_lines(lines[len(shown) :])
                else:
                    log.clear()
                    log.write_lines(lines or ["The log is empty so far."])
                shown = lines
            await asyncio.sleep(PERIOD_S)


class PictureScreen(ModalScreen[None]):
    """A preview as large as the terminal."""

    DEFAULT_CSS = """
    PictureScreen > Vertical { background: $background; border: round $border; border-title-color: $text; }
    """
    BINDINGS: ClassVar[list[Any]] = [("escape,q,v,enter", "dismiss", "Close")]

    def __init__(self, title: str, path: Path) -> None:
        super().__init__()
        self._title, self._path = title, path

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._title
            box.border_subtitle = "labels orange, prediction blue   esc closes"
            yield Picture()

    def on_mount(self) -> None:
        self.query_one(Picture).show(self._path)
