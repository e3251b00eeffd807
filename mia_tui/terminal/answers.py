"""The terminal's answers, taken out of what comes from the keyboard.

A terminal answers questions on the line on which keys come. Over a slow link the answers arrive late, and in pieces:
read as keys they would be `[`, `?`, `6`, which change labels. `AnswerFilter` stands before whatever reads keys, holds
back what may become an answer, and lets everything else through in its order.
"""

import re
from collections import deque

ESC = "\x1b"
PASTE_START, PASTE_END = "\x1b[200~", "\x1b[201~"

ESCAPE_S = 0.1
"""How long a single escape character is held: is it the key, or the begin of something?"""
ESCAPE_OWED_S = 0.5
"""The same while answers are to come, which may have been cut right there."""
PIECE_S, PIECE_OWED_S = 0.5, 2.0
"""How long the first two characters of a sequence are held (Alt and `[` are the same two)."""
REST_S = 5.0
"""How long the rest of a longer sequence is waited for; no person types such a thing."""
OWED_S = 10.0
"""How long an answer may be on its way."""

_CSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_CSI_BEGIN = re.compile(r"\x1b\[[0-?]*[ -/]*")
_PRIVATE = re.compile(r"\x1b\[[?>=]")
_MODE = re.compile(r"\x1b\[\?\d+;\d\$y")
_SIZE = re.compile(r"\x1b\[(?!48;)[\d;]+t")
_STRING_BEGIN = re.compile(r"\x1b(_G|P[>01!]|\]\d)")
_ORPHAN_BEGIN = ("[", "_", "P", "]")
_MAX_STRING = 4096
CURSOR = re.compile(r"\x1b\[\d+;\d+R")
_QUERIES = ("\x1b[6n", "$p")


def is_answer(sequence: str) -> bool:
    """Whether a whole escape sequence answers a question that no one who reads keys has asked.

    Cursor positions, mode reports and sizes of the window (`48;..t`) are answers too, but Textual reads these.
    """
    if _STRING_BEGIN.match(sequence):
        return True
    return bool(_PRIVATE.match(sequence) and not _MODE.fullmatch(sequence)) or bool(_SIZE.fullmatch(sequence))


class AnswerFilter:
    """Takes answers out of a stream of characters.

    Call `feed` with what was read and `tick` when `deadline` has passed; both return what is to be read as keys.
    Sequences are passed on whole, so that the next reader need not wait for their rest. Times are those of any steady
    clock, in seconds.

    Attributes
    ----------
    answers : deque of str
        The last answers taken out, and copies of the cursor positions and mode reports passed on.
    """

    def __init__(self) -> None:
        self.answers: deque[str] = deque(maxlen=64)
        self._held = ""
        self._since = 0.0
        self._pasting = False
        self._owed_until = float("-inf")
        self._orphan_until = float("-inf")
        self._orphaned = False

    # ---- what is to come --------------------------------------------------------------------------------------------

    def asked(self, text: str, now: float) -> None:
        """Say what is written to the terminal: when it asks something, answers are to come."""
        if ESC in text and any(query in text for query in _QUERIES):
            self._owed_until = now + OWED_S

    def _owed(self, now: float) -> bool:
        return now < self._owed_until

    @property
    def deadline(self) -> float | None:
        """When `tick` is due, None when nothing is held."""
        return self._since + self._patience() if self._held else None

    def _patience(self) -> float:
        if self._held == ESC:
            return ESCAPE_OWED_S if self._owed(self._since) else ESCAPE_S
        if len(self._held) == 2:
            return PIECE_OWED_S if self._owed(self._since) else PIECE_S
        return REST_S

    # ---- reading ----------------------------------------------------------------------------------------------------

    def feed(self, text: str, now: float) -> str:
        """Take in what was read; what of it is not an answer."""
        passed = [self.tick(now)]
        for character in text:
            passed.append(self._one(character, now))
        return "".join(passed)

    def tick(self, now: float) -> str:
        """Give up waiting for the rest of what is held, when its time is over."""
        deadline = self.deadline
        return "" if deadline is None or now < deadline else self._give_up(now)

    def _one(self, character: str, now: float) -> str:
        if self._pasting:
            return self._paste(character, now)
        if not self._held:
            self._orphaned = now < self._orphan_until and character in _ORPHAN_BEGIN
            self._orphan_until = float("-inf")
            if character != ESC and not self._orphaned:
                return character
            self._held, self._since = (ESC + character if self._orphaned else ESC), now
            return ""
        if character == ESC and not _STRING_BEGIN.match(self._held):
            passed = self._give_up(now)
            self._held, self._since = ESC, now
            return passed
        self._held, self._since = self._held + character, now
        return self._decide(now)

    def _decide(self, now: float) -> str:
        """Pass on, drop, or hold what is held, now that it is one character longer."""
        held = self._held
        if len(held) == 3 and _STRING_BEGIN.match(held) and not self._owed(now):
            return self._release()  # Alt and a capital letter, then something else
        if not _whole(held):
            return "" if _may_go_on(held) else self._release()
        if is_answer(held):
            self.answers.append(held)
            self._forget()
            return ""
        if CURSOR.fullmatch(held) or _MODE.fullmatch(held):
            self.answers.append(held)
            if CURSOR.fullmatch(held):  # answers come in the order of the questions, and this question is the last
                self._owed_until = float("-inf")
            if self._orphaned:  # its escape character has gone its way as a key: nobody can read the rest
                self._forget()
                return ""
        self._pasting = held == PASTE_START
        return self._release()

    def _give_up(self, now: float) -> str:
        """The held characters as keys; a sequence cut in the middle is nothing that was typed, and is dropped."""
        typed = len(self._held) <= 2 or (self._orphaned and not _PRIVATE.match(self._held))
        if not typed and not self._pasting:
            self._forget()
            return ""
        if self._held == ESC and self._owed(now):
            self._orphan_until = now + REST_S
        return self._release()

    def _release(self) -> str:
        held = self._held[1:] if self._orphaned else self._held
        self._forget()
        return held

    def _forget(self) -> None:
        self._held, self._orphaned = "", False

    def _paste(self, character: str, now: float) -> str:
        """Pass a pasted text on as it is, but its end mark in one piece."""
        self._held, self._since = self._held + character, now
        if self._held == PASTE_END:
            self._pasting = False
            return self._release()
        if PASTE_END.startswith(self._held):
            return ""
        if character == ESC:
            self._held = self._held[:-1]
            passed = self._release()
            self._held = ESC
            return passed
        return self._release()


def _whole(sequence: str) -> bool:
    """Whether a sequence that begins with an escape character is complete."""
    if _STRING_BEGIN.match(sequence):
        ended = sequence.endswith("\x1b\\") or (sequence[1] == "]" and sequence.endswith("\x07"))
        return ended or len(sequence) > _MAX_STRING
    if sequence.startswith("\x1b[M"):  # the oldest mouse report: three characters follow
        return len(sequence) == 6
    if sequence.startswith("\x1b[["):  # function keys of the Linux console
        return len(sequence) == 4
    if sequence.startswith("\x1b["):
        return bool(_CSI.fullmatch(sequence))
    if sequence[1:2] == "O":
        return len(sequence) == 3
    return len(sequence) > 1 and sequence[1] not in "_P]"


def _may_go_on(sequence: str) -> bool:
    """Whether an incomplete sequence can still become one."""
    if _STRING_BEGIN.match(sequence) or len(sequence) <= 2:
        return True
    return sequence.startswith(("\x1b[M", "\x1b[[")) or bool(_CSI_BEGIN.fullmatch(sequence))
