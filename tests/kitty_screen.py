"""A terminal with kitty graphics, written from the protocol's text: it keeps text, pictures and placements.

It fails on what a terminal would answer with an error, and on what the protocol leaves open.
"""

import base64
import io
import re
from dataclasses import dataclass

import numpy as np
import pyte
from PIL import Image

COMMAND = re.compile(rb"\x1b_G([^;\x1b]*);?([^\x1b]*)\x1b\\")
OTHER_STRING = re.compile(rb"\x1bP[^\x1b]*\x1b\\")
KEYS = set("aipfqmxywhcrzCUdXsvt")
DOTS = (16, 8)
"""Pixels of a cell, high and wide, in `pixels`."""


@dataclass
class Placement:
    """Source rectangle (x, y, w, h) shown in `columns` x `rows` cells at (row, column), below the text if z < 0."""

    source: tuple[int, int, int, int]
    row: int
    column: int
    rows: int
    columns: int
    z: int


class KittyScreen:
    """Feed it everything that is written to the terminal."""

    def __init__(self, columns: int = 120, lines: int = 40) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._rest = b""
        self._loading: tuple[dict[str, str], list[bytes]] | None = None
        self.images: dict[int, np.ndarray] = {}
        self.placements: dict[tuple[int, int], Placement] = {}
        self.virtual: dict[int, tuple[int, int]] = {}
        self.commands = 0
        self.uploaded = 0

    def feed(self, data: bytes | str) -> None:
        data = self._rest + (data.encode() if isinstance(data, str) else data)
        data, self._rest = _whole(data)
        at = 0
        for match in COMMAND.finditer(data):
            self._text(data[at : match.start()])
            self._command(match[1].decode(), match[2])
            at = match.end()
        self._text(data[at:])

    def _text(self, data: bytes) -> None:
        self._stream.feed(OTHER_STRING.sub(b"", data))

    # ---- commands ---------------------------------------------------------------------------------------------------

    def _command(self, keys: str, payload: bytes) -> None:
        self.commands += 1
        found = dict(part.split("=", 1) for part in keys.split(",") if part)
        assert set(found) <= KEYS, f"unknown keys: {keys}"
        assert len(payload) <= 4096, "a chunk is at most 4096 characters"
        if self._loading is not None:
            assert set(found) <= {"m", "q", "a"}, f"another command in the middle of an upload: {keys}"
            assert (found.get("a") == "f") == (self._loading[0]["a"] == "f"), "an edit goes on with a=f"
            return self._load(self._loading[0], payload, found.get("m") == "1")
        action = found.get("a", "t")
        if action == "q":
            return None
        assert found.get("q") == "2", f"the terminal would answer: {keys}"
        if action in "tTf":
            return self._load(found, payload, found.get("m") == "1")
        assert not payload
        return {"p": self._place, "d": self._delete}[action](found)

    def _load(self, keys: dict[str, str], payload: bytes, more: bool) -> None:
        self.uploaded += len(payload)
        parts = [*(self._loading[1] if self._loading else []), payload]
        assert not more or len(payload) % 4 == 0
        if more:
            self._loading = keys, parts
            return
        self._loading = None
        assert keys["f"] == "100"
        with Image.open(io.BytesIO(base64.b64decode(b"".join(parts), validate=True))) as image:
            picture = np.asarray(image.convert("RGBA"))
        number = int(keys["i"])
        assert 0 < number < 2**32
        if keys["a"] == "f":
            assert keys["r"] == "1", "there is one frame"
            assert keys["X"] == "1", "replaced, not blended"
            assert picture.shape == self.images[number].shape, "the frame has the size of the picture"
            self.images[number] = picture
            return
        self._forget(number)
        self.images[number] = picture
        if keys["a"] == "T":
            self._place(keys)

    def _place(self, keys: dict[str, str]) -> None:
        number = int(keys["i"])
        assert number in self.images, f"ENOENT: picture {number} is placed and was never sent"
        height, width = self.images[number].shape[:2]
        if keys.get("U") == "1":
            self.virtual[number] = int(keys["r"]), int(keys["c"])
            return
        x, y, w, h = (int(keys[name]) for name in "xywh")
        assert x >= 0
        assert y >= 0
        assert w > 0
        assert h > 0
        assert x + w <= width, f"source {x}+{w} of {width}"
        assert y + h <= height, f"source {y}+{h} of {height}"
        assert keys["C"] == "1", "the cursor would move, and the screen scroll"
        row, column = self.screen.cursor.y, self.screen.cursor.x
        rows, columns = int(keys["r"]), int(keys["c"])
        assert row + rows <= self.screen.lines
        assert column + columns <= self.screen.columns
        self.placements[number, int(keys["p"])] = Placement((x, y, w, h), row, column, rows, columns, int(keys["z"]))

    def _delete(self, keys: dict[str, str]) -> None:
        number = int(keys["i"])
        if keys["d"] == "I":
            self._forget(number)
        else:
            assert keys["d"] == "i"
            del self.placements[number, int(keys["p"])]

    def _forget(self, number: int) -> None:
        self.images.pop(number, None)
        self.virtual.pop(number, None)
        self.placements = {key: value for key, value in self.placements.items() if key[0] != number}

    # ---- what is seen -----------------------------------------------------------------------------------------------

    def pixels(self) -> np.ndarray:
        """(lines * 16, columns * 8, 4): what is seen of the placements where no text or background is in front."""
        lines, columns = self.screen.lines, self.screen.columns
        seen = np.zeros((lines * DOTS[0], columns * DOTS[1], 4), np.uint8)
        for (number, _), place in sorted(self.placements.items(), key=lambda item: item[1].z):
            x, y, w, h = place.source
            high, wide = place.rows * DOTS[0], place.columns * DOTS[1]
            ys = y + ((np.arange(high) + 0.5) * h / high).astype(int)
            xs = x + ((np.arange(wide) + 0.5) * w / wide).astype(int)
            part = self.images[number][ys][:, xs]
            top, left = place.row * DOTS[0], place.column * DOTS[1]
            target = seen[top : top + high, left : left + wide]
            target[part[..., 3] > 0] = part[part[..., 3] > 0]
        for row in range(lines):
            for column in range(columns):
                cell = self.screen.buffer[row][column]
                if cell.bg != "default" or cell.data.strip():
                    seen[row * DOTS[0] : (row + 1) * DOTS[0], column * DOTS[1] : (column + 1) * DOTS[1]] = 0
        return seen


def _whole(data: bytes) -> tuple[bytes, bytes]:
    """The part that ends with a whole sequence, and the rest."""
    for begin in (b"\x1b_", b"\x1bP"):
        at = data.rfind(begin)
        if at >= 0 and b"\x1b\\" not in data[at:]:
            return data[:at], data[at:]
    return (data[:-1], data[-1:]) if data.endswith(b"\x1b") else (data, b"")
