"""Commands of the kitty graphics protocol, as strings (https://sw.kovidgoyal.net/kitty/graphics-protocol/)."""

import base64
import io
import itertools
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mia_tui.widgets.canvas.graphics import MAX_STRING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CHUNK = 4096
"""Characters of payload per command, by the protocol."""


def command(keys: str, payload: str = "", *, tmux: bool = False) -> str:
    """One graphics command; with `tmux` in the envelope that tmux passes on to the terminal in front of it."""
    text = f"\x1b_G{keys};{payload}\x1b\\" if payload else f"\x1b_G{keys}\x1b\\"
    return "\x1bPtmux;" + text.replace("\x1b", "\x1b\x1b") + "\x1b\\" if tmux else text


def png(picture: "npt.NDArray[np.uint8]", *, transparent: bool = False) -> bytes:
    """A PNG of (H, W) or (H, W, 3); with `transparent` black is seen through."""
    from PIL import Image

    file = io.BytesIO()
    options = {"transparency": 0 if picture.ndim == 2 else (0, 0, 0)} if transparent else {}
    Image.fromarray(picture).save(file, "PNG", compress_level=6, **options)
    return file.getvalue()


def upload(data: bytes, keys: str, *, more: str = "", tmux: bool = False) -> list[str]:
    """Commands that send the bytes of a PNG, in strings shorter than `MAX_STRING`.

    Parameters
    ----------
    keys : str
        Of the first command, e.g. "a=t,i=7"; `f=100` and `q=2` (say nothing) are added.
    more : str
        Of the others, beside `m`: "a=f" for an edit in place.
    """
    text = base64.standard_b64encode(data).decode()
    parts = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    commands = []
    for number, part in enumerate(parts):
        last = int(number == len(parts) - 1)
        head = f"{keys},f=100,q=2" if number == 0 else ",".join(filter(None, [more, "q=2"]))
        commands.append(command(f"{head},m={1 - last}", part, tmux=tmux))
    return joined(commands)


def joined(commands: Iterable[str]) -> list[str]:
    """Short strings joined to fewer ones that are still shorter than `MAX_STRING`."""
    strings: list[str] = []
    for text in commands:
        if strings and len(strings[-1]) + len(text) < MAX_STRING:
            strings[-1] += text
        else:
            strings.append(text)
    return strings


def delete(number: int, *, tmux: bool = False) -> str:
    """Take a picture away, its placements and its data."""
    return command(f"a=d,d=I,i={number},q=2", tmux=tmux)


class Numbers:
    """Numbers for the pictures of this process, and which of them the terminal keeps.

    They begin at a number made of the process id, so that two programs in one terminal do not meet, and stay below
    2^24, so that a colour can carry them.
    """

    def __init__(self, process: int | None = None) -> None:
        self._base = ((os.getpid() if process is None else process) % 0xFFFF + 1) << 8
        self._next = itertools.cycle(range(1, 256))
        self.kept: set[int] = set()

    def take(self) -> int:
        """A number that is free."""
        number = next(self._base + low for low in self._next if self._base + low not in self.kept)
        self.kept.add(number)
        return number

    def farewell(self, *, tmux: bool = False) -> list[str]:
        """Commands that take all pictures away."""
        numbers, self.kept = sorted(self.kept), set()
        return [delete(number, tmux=tmux) for number in numbers]
