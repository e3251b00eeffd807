"""The terminal in front of the program: what it can do, found out before the app starts. No Textual here.

`probe` asks it, `tmux` asks tmux instead, `record` decides from the answers, `advice` explains the decision, and
`answers` keeps late answers from being read as keys. `examine` does all of it.
"""

import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from mia_tui.terminal.answers import AnswerFilter
from mia_tui.terminal.probe import Conversation, questions
from mia_tui.terminal.record import Capabilities, Facts, decide
from mia_tui.terminal.tmux import ask_tmux

__all__ = ["AnswerFilter", "Capabilities", "Examined", "examine", "window_size"]


@dataclass
class Examined:
    """The record, and what is left of the conversation with the terminal.

    Attributes
    ----------
    record : Capabilities
        What it can do.
    filter : AnswerFilter
        What the app reads its keys through.
    typed : str
        What a person typed while the terminal was asked.
    conversation : Conversation, optional
        To be restored when the app takes the terminal over, and at the end.
    """

    record: Capabilities
    filter: AnswerFilter
    typed: str = ""
    conversation: Conversation | None = None

    def restore(self) -> None:
        """Give the terminal's input line back as it was found."""
        if self.conversation is not None:
            self.conversation.restore()


def examine(
    wanted: str = "auto", environment: Mapping[str, str] | None = None, source: int = 0, target: int = 1
) -> Examined:
    """Find out what the terminal can do.

    Where cells or letters are asked for, and inside tmux, the terminal itself is not asked: nothing depends on it.

    Parameters
    ----------
    wanted : str
        One of `record.GRAPHICS`.
    environment : mapping, optional
        Environment variables, of this process by default.
    source, target : int
        File descriptors of the terminal to read from and to write to.

    Raises
    ------
    MiaError
        For an unknown `wanted`.
    """
    known = os.environ if environment is None else environment
    tmux, window = ask_tmux(known), window_size(target)
    without = decide(Facts(known, None, tmux, window), wanted)  # an unknown name is refused before anything is asked
    quiet = tmux is not None or wanted in ("cells", "ascii") or (wanted == "auto" and without.painter == "ascii")
    if quiet or not (os.isatty(source) and os.isatty(target)):
        return Examined(without, AnswerFilter())
    talk = Conversation(source, target)
    answers = talk.ask(questions(known))
    return Examined(decide(Facts(known, answers, None, window), wanted), talk.filter, talk.typed_text(), talk)


def window_size(target: int) -> tuple[int, int, int, int]:
    """Columns, rows, width and height in pixels of a terminal, from the kernel; zeros where it does not know."""
    import fcntl
    import termios

    with suppress(OSError):
        rows, columns, width, height = struct.unpack("HHHH", fcntl.ioctl(target, termios.TIOCGWINSZ, bytes(8)))
        return columns, rows, width, height
    return 0, 0, 0, 0
