"""What the terminal says about itself, asked once before the app starts.

One batch of questions, closed by one that every terminal answers (the cursor position): a fast terminal costs one round
trip, and when the last answer is there, no other can be on its way. When it does not come in time, the `AnswerFilter`
that has read so far goes on reading in the app.
"""

import os
import re
import select
import termios
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from mia_tui.terminal.answers import CURSOR, AnswerFilter

TIMEOUT_S = 1.5

ATTRIBUTES = "\x1b[c"
VERSION = "\x1b[>0q"
KITTY = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
CELL_SIZE = "\x1b[16t"
MODES = "\x1b[?2026$p\x1b[?1016$p"
TRUE_COLOR = "\x1b[48;2;1;2;3m\x1bP$qm\x1b\\\x1b[0m"
"""Sets a colour and asks which one is set."""
END = "\x1b[6n"


@dataclass(frozen=True)
class Answers:
    """What the terminal answered; None or empty where it was silent.

    Attributes
    ----------
    attributes : tuple of int
        Its device attributes; 4 is sixel.
    kitty : str
        "OK", or the error, from the kitty graphics protocol.
    cell : (int, int), optional
        Width and height of a cell in pixels.
    modes : mapping
        Mode number -> state: 0 unknown to the terminal, 1 set, 2 reset, 3 and 4 the same for good.
    version : str
        Name and version as it tells them.
    true_color : bool, optional
        Whether it kept a 24-bit colour.
    round_trip_s : float, optional
        Seconds until the last answer; None when it did not come.
    """

    attributes: tuple[int, ...] = ()
    kitty: str = ""
    cell: tuple[int, int] | None = None
    modes: Mapping[int, int] = field(default_factory=dict)
    version: str = ""
    true_color: bool | None = None
    round_trip_s: float | None = None


def questions(environment: Mapping[str, str]) -> str:
    """The batch for a terminal. What a known one would print instead of answering it is not asked."""
    if environment.get("TERM_PROGRAM") == "Apple_Terminal":
        return ATTRIBUTES + END
    if environment.get("TERM", "").startswith(("screen", "tmux")):  # these take the kitty question for a title
        return ATTRIBUTES + VERSION + MODES + END
    return KITTY + VERSION + CELL_SIZE + MODES + TRUE_COLOR + ATTRIBUTES + END


def read_answers(answers: Iterable[str], round_trip_s: float | None = None) -> Answers:
    """The meaning of the terminal's answers."""
    found: dict[str, Any] = {"modes": {}}
    for answer in answers:
        if match := re.fullmatch(r"\x1b\[\?([\d;]*)c", answer):
            found["attributes"] = tuple(int(number) for number in match[1].split(";") if number)
        elif match := re.match(r"\x1b_Gi=31;([^\x1b]*)", answer):
            found["kitty"] = match[1]
        elif match := re.fullmatch(r"\x1b\[6;(\d+);(\d+)t", answer):
            height, width = int(match[1]), int(match[2])
            found["cell"] = (width, height) if width and height else None
        elif match := re.fullmatch(r"\x1b\[\?(\d+);(\d)\$y", answer):
            found["modes"][int(match[1])] = int(match[2])
        elif match := re.match(r"\x1bP>\|([^\x1b]*)", answer):
            found["version"] = match[1].strip()
        elif match := re.match(r"\x1bP[01]\$r([^\x1b]*)", answer):
            found["true_color"] = bool(re.search(r"48[:;]2[:;](\d*:)?1[:;]2[:;]3", match[1]))
    return Answers(**found, round_trip_s=round_trip_s)


class Conversation:
    """The terminal asked, and its input line kept quiet meanwhile.

    As long as answers may still come, the line stays without echo, so that they are not printed: `restore` gives it
    back as it was, at the latest when the program ends.

    Attributes
    ----------
    filter : AnswerFilter
        What has read so far, and goes on reading.
    typed : str
        What a person typed meanwhile, in order.
    complete : bool
        Whether the last answer came.
    """

    def __init__(self, source: int, target: int) -> None:
        self._source, self._target = source, target
        self._before: list[Any] | None = None
        self.filter = AnswerFilter()
        self.typed = ""
        self.complete = False

    def ask(self, batch: str, timeout_s: float = TIMEOUT_S) -> Answers:
        """Write the batch and read until the answer to its last question, or until the time is over."""
        self._quiet()
        begin = time.monotonic()
        try:
            self.filter.asked(batch, begin)
            os.write(self._target, batch.encode())
            taken = self._read_until_end(begin + timeout_s)
        except BaseException:
            self.restore()
            raise
        self.complete = any(CURSOR.fullmatch(answer) for answer in taken)
        if self.complete:
            self.restore()
        return read_answers(taken, time.monotonic() - begin if self.complete else None)

    def _read_until_end(self, deadline: float) -> list[str]:
        taken: list[str] = []
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([self._source], [], [], min(left, 0.05))
            data = os.read(self._source, 4096) if ready else b""
            if ready and not data:
                break
            now = time.monotonic()
            # Latin-1 keeps every byte a character; the app decodes what was typed.
            passed = self.filter.feed(data.decode("latin-1"), now) if data else self.filter.tick(now)
            self.typed += _without_reports(passed)
            taken += self.filter.answers
            self.filter.answers.clear()
            if any(CURSOR.fullmatch(answer) for answer in taken):
                break
        return taken

    def _quiet(self) -> None:
        with suppress(termios.error):
            self._before = termios.tcgetattr(self._source)
            quiet = [*self._before]
            quiet[3] &= ~(termios.ECHO | termios.ICANON)
            quiet[0] &= ~termios.ICRNL
            termios.tcsetattr(self._source, termios.TCSANOW, quiet)

    def restore(self) -> None:
        """Give the input line back as it was found."""
        if self._before is not None:
            with suppress(termios.error):
                termios.tcsetattr(self._source, termios.TCSANOW, self._before)
            self._before = None

    def typed_text(self) -> str:
        """What was typed, decoded."""
        return self.typed.encode("latin-1").decode("utf-8", "replace")


def _without_reports(text: str) -> str:
    return re.sub(r"\x1b\[\d+;\d+R|\x1b\[\?\d+;\d\$y", "", text)
