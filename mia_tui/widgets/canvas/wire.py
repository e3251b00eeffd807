"""The way of what is large to the terminal: one heavy frame at a time, no large write, and all by Textual's writer.

A frame that is sent before the one before it has arrived only makes a slow line slower. So after each heavy frame the
terminal is asked where its text cursor is (`ESC [ 6 n`); its answer says that the frame has arrived. Textual's parser
knows the answer, it never becomes a key press.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from textual.app import App
from textual.driver import Driver
from textual.events import CursorPosition
from textual.timer import Timer

ASK = "\x1b[6n"
PATIENCE_S = 2.0
PIECE = 16_000
"""Characters per write: at most 64 kB when each takes four bytes."""
BURST = 4
"""Control strings in flight."""
SYNC_START, SYNC_END = "\x1b[?2026h", "\x1b[?2026l"


class Wire:
    """Sends control strings, and knows whether something heavy is under way."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._waiting: dict[object, Callable[[], None]] = {}
        self._queue: list[str] = []
        self._timer: Timer | None = None
        self._asked = 0
        self._answers = self._silent = False

    @property
    def busy(self) -> bool:
        """Whether a heavy frame may still be on its way."""
        return self._timer is not None

    def write(self, text: str) -> None:
        """Send a control string now, behind what Textual has written."""
        driver: Driver | None = self._app._driver
        if driver is not None and text:
            driver.write(text)

    def send(self, strings: Sequence[str], *, heavy: bool) -> None:
        """Send control strings as one update; of many only some are in flight at a time.

        A lone short update is kept together in the terminal by its own synchronized-output mode.
        """
        if not strings:
            pass
        elif len(strings) <= BURST and not self._queue:
            self.write(SYNC_START + "".join(strings) + SYNC_END)
        else:
            self._queue += strings
            self._send_some()
        if heavy:
            self.ask()

    def _send_some(self) -> None:
        burst = len(self._queue) if self._silent else BURST  # nobody would say when the rest may go
        some, self._queue = self._queue[:burst], self._queue[burst:]
        for text in some:
            self.write(text)
        if self._queue:
            self.ask()

    def reserve(self) -> None:
        """A heavy frame is about to be written: nothing else heavy before it has arrived."""
        if self._silent or self._app.is_headless:
            return
        if self._timer is not None:
            self._timer.stop()
        self._timer = self._app.set_timer(PATIENCE_S, self._given_up)

    def ask(self) -> None:
        """A heavy frame was written: ask whether it has arrived."""
        if not (self._silent or self._app.is_headless):
            self.reserve()
            self._asked += 1
            self.write(ASK)

    def when_free(self, who: object, what: Callable[[], None]) -> None:
        """Call `what` when nothing heavy is under way, now or later; of several wishes of `who` the last counts."""
        if self.busy:
            self._waiting[who] = what
        else:
            what()

    def answered(self) -> None:
        """The terminal has said where its cursor is."""
        self._silent, self._answers = False, True
        if self._asked > 0:
            self._asked -= 1
            if self._asked == 0:
                self._free()

    def _given_up(self) -> None:
        """No answer. A terminal that has never given one is not asked again: keys are not held back twice."""
        self._silent, self._asked = self._asked > 0 and not self._answers, 0
        self._free()

    def _free(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._queue:
            self._send_some()
            return
        waiting, self._waiting = self._waiting, {}
        for what in waiting.values():
            what()


class Wired:
    """Mixed into an app: its `wire`, and a driver that cuts what it writes into pieces."""

    _wire: Wire | None = None

    @property
    def wire(self) -> Wire:
        if self._wire is None:
            assert isinstance(self, App)
            self._wire = Wire(self)
        return self._wire

    def on_cursor_position(self, _event: CursorPosition) -> None:
        self.wire.answered()

    def get_driver_class(self) -> type[Driver]:
        """The driver that Textual chooses, with small writes."""
        return in_pieces(super().get_driver_class())  # type: ignore[misc]


def in_pieces(driver: type[Driver]) -> type[Driver]:
    """The same driver that never writes more than `PIECE` characters at once."""

    class Pieces(driver):  # type: ignore[misc, valid-type]
        def write(self, data: str) -> None:
            for piece in pieces(data):
                super().write(piece)

    return Pieces


def pieces(data: str) -> Iterator[str]:
    """A text in parts of at most `PIECE` characters."""
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]
