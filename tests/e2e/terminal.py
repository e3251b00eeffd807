"""The real app in a real pseudo-terminal: press keys, wait until something can be read on the screen."""

import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pexpect
import pyte

ROOT = Path(__file__).parents[2]
KEYS = {
    "enter": "\r", "tab": "\t", "escape": "\x1b", "space": " ", "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C",
    "left": "\x1b[D", "home": "\x1b[H", "end": "\x1b[F", "f1": "\x1bOP", "f5": "\x1b[15~",
}  # fmt: skip
DEADLINE_S = 60.0
"""How long a text may take to come, on a machine that is busy with something else."""


class Terminal:
    """`mia-tui ARGUMENTS` in a terminal of `columns` x `lines`, which knows 24-bit colour and no graphics.

    Parameters
    ----------
    environment : mapping
        Variables beside those of this process, of which NO_COLOR, TMUX and STY are left out.
    """

    def __init__(
        self, *arguments: object, columns: int = 120, lines: int = 40, environment: Mapping[str, str] | None = None
    ) -> None:
        known = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TMUX", "STY")}
        known |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "OMP_NUM_THREADS": "1", **(environment or {})}
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.sent = bytearray()
        self.child = pexpect.spawn(
            sys.executable, ["-m", "mia_tui.cli", *map(str, arguments)],
            dimensions=(lines, columns), env=known, cwd=str(ROOT), timeout=DEADLINE_S,
        )  # fmt: skip

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.child.close(force=True)

    # ---- keys -------------------------------------------------------------------------------------------------------

    def press(self, *keys: str) -> None:
        """Press keys: characters, names of `KEYS`, or `ctrl+` and a letter.

        Wait for what a key does before pressing one that depends on it: as with any Textual program, of keys that come
        in one packet, characters may overtake those that are bound to an action.
        """
        for key in keys:
            plain = key.removeprefix("ctrl+")
            self.child.send(chr(ord(plain) - ord("a") + 1) if plain != key else KEYS.get(key, key))

    def write(self, text: str) -> None:
        """Type a text."""
        self.child.send(text)

    # ---- screen -----------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """What is in sight, line by line."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def is_bold(self, text: str) -> bool:
        """Whether a line begins with this text and a gap, in bold."""
        for number, line in enumerate(self.screen.display):
            if line.lstrip().startswith(f"{text}  "):
                return bool(self.screen.buffer[number][len(line) - len(line.lstrip())].bold)
        return False

    def wait(self, what: str, condition: Callable[[], object], seconds: float = DEADLINE_S) -> None:
        """Let the app run until it has drawn all it wants to and the condition holds; after `seconds` fail.

        Without waiting for the end of the drawing a half-drawn screen would show parts of the one before.
        """
        deadline = time.monotonic() + seconds
        while True:
            drawn = self._read()
            assert drawn is not None, f"{what}: the app has ended. It said:\n{bytes(self.sent[-3000:]).decode()}"
            if drawn == 0 and condition():
                return
            assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s. In sight:\n{self.text}"

    def see(self, pattern: str, seconds: float = DEADLINE_S) -> "re.Match[str]":
        """Wait until a regular expression is found on the screen; `^` and `$` are the ends of a line."""
        self.wait(pattern, lambda: re.search(pattern, self.text, re.MULTILINE), seconds)
        found = re.search(pattern, self.text, re.MULTILINE)
        assert found is not None
        return found

    def see_no(self, pattern: str, seconds: float = DEADLINE_S) -> None:
        """Wait until a regular expression is no more found on the screen."""
        self.wait(f"no {pattern}", lambda: not re.search(pattern, self.text, re.MULTILINE), seconds)

    def end(self, key: str = "q") -> int:
        """Press the key that quits, wait for the end; the exit code."""
        self.press(key)
        deadline = time.monotonic() + DEADLINE_S
        while self._read() is not None:
            assert time.monotonic() < deadline, f"{key} does not end the app. In sight:\n{self.text}"
        self.child.close()
        return int(self.child.exitstatus if self.child.exitstatus is not None else -(self.child.signalstatus or 0))

    def _read(self) -> int | None:
        """Take in what the app has drawn: how many bytes, 0 after a tenth of a second without, None at its end."""
        try:
            data = self.child.read_nonblocking(65536, timeout=0.1)
        except pexpect.TIMEOUT:
            return 0
        except pexpect.EOF:
            return None
        self.sent += data
        self._stream.feed(data)
        return len(data)
