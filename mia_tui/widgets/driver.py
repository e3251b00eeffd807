"""Textual's driver for Linux and macOS with a guard before its keyboard: an answer of the terminal is never a key."""

import os
import select
import time
from codecs import getincrementaldecoder
from contextlib import suppress
from typing import Any

from textual._parser import ParseError, Read1
from textual._xterm_parser import XTermParser
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver

from mia_tui.terminal.answers import AnswerFilter

LAST_QUESTION = "\x1b[6n"
"""Closes Textual's own questions at the start: when it is answered, nothing else is on its way."""


class WholeSequences(XTermParser):
    """Textual's parser for input whose escape sequences come whole: it need not wait for the rest of one."""

    @staticmethod
    def read1(timeout: float | None = None) -> Read1:  # type: ignore[override]
        return Read1(None if timeout is None else 0.0)


class GuardedDriver(LinuxDriver):
    """Reads keys through an `AnswerFilter`, and takes the app's pictures off the terminal when it lets go of it.

    The app may have an attribute `examined` (`mia_tui.terminal.Examined`): its filter, and what was typed before the
    app started, are gone on with. It may have a method `farewell() -> list of str`: what is written last, at the end,
    before the program is suspended, and after an error.
    """

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self._examined = getattr(app, "examined", None)
        self._filter = self._examined.filter if self._examined is not None else AnswerFilter()

    def start_application_mode(self) -> None:
        if self._examined is not None:
            self._examined.restore()  # Textual remembers the state it finds, and leaves it behind at the end
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if self._writer_thread is not None and self.input_tty:
            self.write(LAST_QUESTION)

    def stop_application_mode(self) -> None:
        farewell = getattr(self._app, "farewell", None)
        if farewell is not None and self._writer_thread is not None:
            for text in farewell():
                self.write(text)
        super().stop_application_mode()

    def write(self, data: str) -> None:
        self._filter.asked(data, time.monotonic())
        super().write(data)

    def run_input_thread(self) -> None:
        """Read, filter, parse, and post events until the driver stops."""
        parser = WholeSequences(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        try:
            self._parse(parser, self._typed_before())
            while not self.exit_event.is_set():
                ready, _, _ = select.select([self.fileno], [], [], self._patience())
                now = time.monotonic()
                self._parse(parser, self._filter.tick(now))
                if ready:
                    data = os.read(self.fileno, 4096)
                    if not data:
                        break
                    self._parse(parser, self._filter.feed(decode(data), now))
        finally:
            with suppress(ParseError):
                list(parser.feed(""))

    def _typed_before(self) -> str:
        if self._examined is None:
            return ""
        typed: str = self._examined.typed
        self._examined.typed = ""
        return typed

    def _patience(self) -> float:
        deadline = self._filter.deadline
        return 0.1 if deadline is None else min(0.1, max(0.0, deadline - time.monotonic()))

    def _parse(self, parser: XTermParser, text: str) -> None:
        for event in parser.feed(text) if text else ():
            self.process_message(event)
        for event in parser.tick():
            self.process_message(event)


class Guarded:
    """Mixed into an app: where Textual would talk to a real terminal by its own driver, the guard stands before it."""

    def get_driver_class(self) -> type[Driver]:
        found: type[Driver] = super().get_driver_class()  # type: ignore[misc]
        return GuardedDriver if found is LinuxDriver else found
