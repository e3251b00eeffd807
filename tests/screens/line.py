"""A pseudo-terminal at the end of a line: it counts what the app writes, answers where its cursor is, and may be slow.

A slow line is played as SSH is: what the app has written is taken at once and waits in a buffer without end; it is
shown, and questions in it are answered, when its turn on the line has come.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path

ASK, ANSWER = b"\x1b[6n", b"\x1b[1;1R"
RIGHT, LEFT, UP, DOWN = b"\x1b[C", b"\x1b[D", b"\x1b[A", b"\x1b[B"


@dataclass
class Reaction:
    """What came after a key: bytes, and seconds until the last of them was shown."""

    data: bytes
    seconds: float

    @property
    def size(self) -> int:
        return len(self.data)


@dataclass
class SlowLine:
    """Runs `python ARGUMENTS` in a terminal of `rows` x `columns`; `rate`: bytes per second, None without limit."""

    arguments: list[str]
    rows: int = 40
    columns: int = 120
    rate: float | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> "SlowLine":
        known = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TMUX", "STY", "SSH_TTY")}
        known |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", **self.environment}
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.execve(sys.executable, [sys.executable, *self.arguments], known)
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))
        self._free_at = 0.0
        self._answers: list[float] = []
        self._tail = b""
        self.shown = bytearray()
        return self

    def __exit__(self, *_error: object) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.file)
        os.waitpid(self.pid, 0)

    def press(self, keys: bytes, quiet: float = 0.4, limit: float = 20.0) -> Reaction:
        """Type, and take in what comes until the line has been quiet for `quiet` seconds."""
        start = time.monotonic()
        os.write(self.file, keys)
        return self.take(quiet, limit, start)

    def hold(self, key: bytes, seconds: float = 2.0, per_second: int = 30) -> Reaction:
        """A key that is held; the reaction is that after its last repeat."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            os.write(self.file, key)
            self._take_for(1 / per_second)
        start = time.monotonic()
        return self.take(0.4, 60.0, start)

    def take(self, quiet: float = 0.4, limit: float = 20.0, start: float | None = None) -> Reaction:
        start = time.monotonic() if start is None else start
        data, last = b"", start
        while time.monotonic() - max(last, self._free_at) < quiet and time.monotonic() - start < limit:
            some = self._take_for(0.005)
            if some:
                data += some
                last = time.monotonic()
        return Reaction(data, max(last, self._free_at) - start if data else 0.0)

    def wait_for(self, text: bytes, limit: float = 60.0) -> None:
        """Take in what comes until a text has come."""
        deadline = time.monotonic() + limit
        while text not in self.shown:
            assert time.monotonic() < deadline, bytes(self.shown[-2000:])
            self._take_for(0.05)

    def _take_for(self, seconds: float) -> bytes:
        """Everything written within some time; answers that are due are sent."""
        data, end = b"", time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._answers:
                left = min(left, max(0.0, self._answers[0] - time.monotonic()))
            ready, _, _ = select.select([self.file], [], [], left)
            if ready:
                try:
                    data += self._arrived(os.read(self.file, 1 << 16))
                except OSError:  # the app has ended
                    break
            while self._answers and self._answers[0] <= time.monotonic():
                self._answers.pop(0)
                os.write(self.file, ANSWER)
        return data

    def _arrived(self, data: bytes) -> bytes:
        """Put data on the line; each question in it is answered when it has passed."""
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + (len(data) / self.rate if self.rate else 0.0)
        for _ in range((self._tail + data).count(ASK)):
            self._answers.append(self._free_at)
        self._tail = data[-len(ASK) + 1 :]
        self.shown += data
        return data


def app_arguments(project: Path) -> list[str]:
    """Arguments for `python` that open the real app on a project."""
    return ["-c", f"from mia_tui.app import run; from pathlib import Path; run(Path({str(project)!r}), 'cells')"]
