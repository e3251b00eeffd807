"""A pseudo-terminal that answers questions like a real one, as late and in as many pieces as wanted.

It draws nothing: what the program writes is kept in `sent`.
"""

import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pexpect

ROOT = Path(__file__).parents[1]
QUERIES = re.compile(
    rb"\x1b\[c|\x1b\[>c|\x1b\[>0?q|\x1b\[16t|\x1b\[6n|\x1b\[\?(?P<mode>\d+)\$p|\x1bP\$qm\x1b\\|\x1b_Gi=31,s=1,v=1,a=q[^\x1b]*\x1b\\"
)
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Kind:
    """What a terminal answers: its name, whether it has kitty graphics, its device attributes, cell size, modes."""

    name: str = "XTerm(390)"
    kitty: bool = False
    attributes: str = "64;22"
    cell: tuple[int, int] | None = (10, 20)
    modes: Mapping[int, int] = field(default_factory=lambda: {2026: 2})


XTERM = Kind()
KITTY = Kind("kitty(0.35.2)", kitty=True, attributes="62")
SIXEL = Kind("foot(1.18.1)", attributes="62;4;22")


class AnsweringTerminal:
    """A program in a terminal that answers.

    Parameters
    ----------
    arguments : sequence of str
        Command line of Python, e.g. ["-m", "mia_tui.cli", "PROJECT"].
    delay : float
        Seconds from a question to the first byte of its answer; None never answers.
    pieces : int
        Each answer arrives in this many parts, `gap` seconds apart; they do not overlap.
    """

    def __init__(
        self,
        arguments: Sequence[object],
        kind: Kind = XTERM,
        *,
        delay: float | None = 0.0,
        pieces: int = 1,
        gap: float = 0.05,
        columns: int = 120,
        lines: int = 40,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        left_out = ("NO_COLOR", "TMUX", "STY", "COLORTERM", "SSH_CONNECTION", "SSH_TTY")
        known = {key: value for key, value in os.environ.items() if key not in left_out}
        known |= {"TERM": "xterm-256color", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **(environment or {})}
        self._kind, self._delay, self._pieces, self._gap = kind, delay, pieces, gap
        self._todo: list[tuple[float, bytes]] = []
        self._seen = 0
        self.questions: list[bytes] = []
        self.sent = bytearray()
        self.child = pexpect.spawn(
            sys.executable, [str(argument) for argument in arguments],
            dimensions=(lines, columns), env=known, cwd=str(ROOT), timeout=DEADLINE_S,
        )  # fmt: skip
        self.child.delaybeforesend = None

    def __enter__(self) -> "AnsweringTerminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.child.close(force=True)

    def type(self, text: str) -> None:
        """Press keys; between two answers, not inside of one, as a terminal sends each as a whole."""
        at = max((when for when, _ in self._todo if when - time.monotonic() < self._gap), default=None)
        if at is None:
            self.child.send(text)
        else:
            self._todo.append((at, text.encode()))

    def run(self, seconds: float) -> bool:
        """Let the program go on, answering, for so long; whether it is still there."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            if not self._step(min(end - now, 0.02)):
                return False
        return True

    def wait(self, what: str, condition, seconds: float = DEADLINE_S) -> None:
        """Go on until a condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{what}: not within {seconds} s. Sent last: {bytes(self.sent[-500:])!r}"
            assert self._step(0.02), f"{what}: the program has ended. It said {bytes(self.sent[-2000:])!r}"

    def quiet(self, seconds: float = 0.3, limit: float = DEADLINE_S) -> bytes:
        """Go on until nothing is written for so long and all is answered; what was written meanwhile."""
        start, end = len(self.sent), time.monotonic() + limit
        length, since = start, time.monotonic()
        while time.monotonic() - since < seconds or self._todo:
            assert time.monotonic() < end, "never quiet"
            if not self._step(0.02):
                break
            if len(self.sent) != length:
                length, since = len(self.sent), time.monotonic()
        return bytes(self.sent[start:])

    def answered(self) -> bool:
        """Whether all questions so far have their answers."""
        return not self._todo

    def _step(self, seconds: float) -> bool:
        now = time.monotonic()
        due = [text for when, text in self._todo if when <= now]
        self._todo = [(when, text) for when, text in self._todo if when > now]
        for text in due:
            self.child.send(text)
        try:
            self.sent += self.child.read_nonblocking(65536, timeout=seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self._listen()
        return True

    def _listen(self) -> None:
        for query in QUERIES.finditer(self.sent, self._seen):
            self._seen = query.end()
            self.questions.append(query[0])
            answer = self._answer(query)
            if self._delay is not None and answer:
                self._schedule(answer)

    def _schedule(self, answer: bytes) -> None:
        """Answers go out in order; the next one begins when the one before is through."""
        last = max((when for when, _ in self._todo), default=0.0)
        begin = max(time.monotonic() + (self._delay or 0.0), last)
        length = -(-len(answer) // self._pieces)
        for number, start in enumerate(range(0, len(answer), length)):
            self._todo.append((begin + number * self._gap, answer[start : start + length]))

    def _answer(self, query: "re.Match[bytes]") -> bytes:
        kind, text = self._kind, query[0]
        if query["mode"]:
            number = int(query["mode"])
            return b"\x1b[?%d;%d$y" % (number, kind.modes.get(number, 0))
        if text == b"\x1b[16t":
            return b"" if kind.cell is None else b"\x1b[6;%d;%dt" % (kind.cell[1], kind.cell[0])
        if text.startswith(b"\x1b_G"):
            return b"\x1b_Gi=31;OK\x1b\\" if kind.kitty else b""
        fixed = {
            b"\x1b[c": b"\x1b[?%sc" % kind.attributes.encode(),
            b"\x1b[>c": b"\x1b[>1;4000;29c",
            b"\x1b[>0q": b"\x1bP>|%s\x1b\\" % kind.name.encode(),
            b"\x1b[>q": b"\x1bP>|%s\x1b\\" % kind.name.encode(),
            b"\x1b[6n": b"\x1b[1;1R",
            b"\x1bP$qm\x1b\\": b"\x1bP1$r0;48:2::1:2:3m\x1b\\",
        }
        return fixed[text]
