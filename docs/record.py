"""Makes the pictures of docs/labelling.md and docs/tracking.md: real keys into the screens, frames as SVG files.

`python docs/record.py [NAME ...]` writes `docs/tools/NAME.svg` (all of them without a name), `docs/labelling.svg` and
`docs/tracking.svg`.
The images are simulated, so that anybody can make the pictures again.
"""

import asyncio
import base64
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import tifffile
from PIL import Image
from rich.color import Color

HERE = Path(__file__).parent
SIZE = (84, 26)
"""Columns and lines of the terminal that is recorded."""
CELL = (6, 12)
"""Pixels of a cell: (wide, high)."""
PLAIN, BACK = (213, 218, 223), (20, 23, 26)
BLOCKS = {
    "▀": 0b1100, "▄": 0b0011, "▌": 0b1010, "▐": 0b0101, "█": 0b1111, "▘": 0b1000, "▝": 0b0100, "▖": 0b0010,
    "▗": 0b0001, "▙": 0b1011, "▛": 0b1110, "▜": 0b1101, "▟": 0b0111, "▚": 0b1001, "▞": 0b0110,
}  # fmt: skip
"""Quarters of a cell that a block character fills: upper left, upper right, lower left, lower right."""
DOTS = ((0, 3), (1, 4), (2, 5), (6, 7))
"""Bits of a braille character, by rows of dots."""


# ---- a picture of the terminal ---------------------------------------------------------------------------------------


@dataclass
class Shot:
    """What the terminal showed: a picture of its cells, and the texts over it as (row, column, text, colour, bold)."""

    pixels: np.ndarray
    texts: list[tuple[int, int, str, str, bool]] = field(default_factory=list)


def shoot(app: Any) -> Shot:
    """The screen of the app. Blocks and braille dots become pixels, so that they look the same with every font."""
    strips = app.screen._compositor.render_strips()
    wide, high = CELL
    shot = Shot(np.full((len(strips) * high, app.size.width * wide, 3), BACK, np.uint8))
    for row, strip in enumerate(strips):
        column = 0
        for segment in strip:
            fore, back, bold = colours(segment.style)
            run = ""
            for char in segment.text:
                box = shot.pixels[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
                box[:] = back
                if paint(box, char, fore):
                    char = " "
                run += char
                column += 1
            start = column - len(run)
            for text, offset in words(run):
                shot.texts.append((row, start + offset, text, "#{:02x}{:02x}{:02x}".format(*fore), bold))
    return shot


def words(run: str) -> list[tuple[str, int]]:
    """Texts of a run that are parted by two spaces or more, with where they start."""
    found, at = [], 0
    for piece in run.split("  "):
        text = piece.strip()
        if text:
            found.append((text, at + piece.index(text[0])))
        at += len(piece) + 2
    return found


def colours(style: Any) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    """(text, background, bold) of a style, dimmed and reversed as a terminal would."""
    fore = rgb(style.color, PLAIN) if style else PLAIN
    back = rgb(style.bgcolor, BACK) if style else BACK
    if style and style.reverse:
        fore, back = back, fore
    if style and style.dim:
        fore = tuple((a + b) // 2 for a, b in zip(fore, back, strict=True))
    return fore, back, bool(style and style.bold)


def rgb(color: Color | None, default: tuple[int, ...]) -> tuple[int, ...]:
    return default if color is None or color.is_default else tuple(color.get_truecolor())


def paint(box: np.ndarray, char: str, fore: tuple[int, ...]) -> bool:
    """Draw a block or braille character into the pixels of its cell; False for any other one."""
    high, wide = box.shape[:2]
    if char in BLOCKS:
        for bit, (y, x) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
            if BLOCKS[char] >> (3 - bit) & 1:
                box[y * high // 2 : (y + 1) * high // 2, x * wide // 2 : (x + 1) * wide // 2] = fore
        return True
    if "\u2800" <= char <= "\u28ff":
        bits = ord(char) - 0x2800
        for y, line in enumerate(DOTS):
            for x, bit in enumerate(line):
                if bits >> bit & 1:
                    box[y * 3 + 1 : y * 3 + 3, x * 3 : x * 3 + 2] = fore
        return True
    return False


def as_svg(shots: list[tuple[str, Shot]], across: int = 2) -> str:
    """Frames with their captions, side by side and below each other."""
    high, wide = shots[0][1].pixels.shape[:2]
    gap, top = 12, 20
    rows = -(-len(shots) // across)
    width = min(across, len(shots)) * (wide + gap) + gap
    height = rows * (high + top + gap)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        "<style>text{font:10px Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}"
        ".c{font:bold 11px sans-serif;fill:#d5dadf}.b{font-weight:bold}image{image-rendering:pixelated}</style>",
        f'<rect width="{width}" height="{height}" fill="#0c0e10"/>',
    ]
    for number, (caption, shot) in enumerate(shots):
        x, y = gap + number % across * (wide + gap), top + number // across * (high + top + gap)
        parts.append(f'<text class="c" x="{x}" y="{y - 6}">{number + 1}  {escape(caption)}</text>')
        parts.append(f'<g transform="translate({x} {y})">{picture(shot)}{"".join(map(text, shot.texts))}</g>')
    return "\n".join([*parts, "</svg>\n"])


def picture(shot: Shot) -> str:
    data = io.BytesIO()
    Image.fromarray(shot.pixels).quantize(64, dither=Image.Dither.NONE).save(data, "PNG", optimize=True)
    high, wide = shot.pixels.shape[:2]
    href = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    return f'<image width="{wide}" height="{high}" href="{href}"/>'


def text(entry: tuple[int, int, str, str, bool]) -> str:
    row, column, chars, color, bold = entry
    wide, high = CELL
    place = f'x="{column * wide}" y="{row * high + 9}" textLength="{len(chars) * wide}" fill="{color}"'
    kind = 'class="b" ' if bold else ""
    return f"<text {kind}{place}>{escape(chars)}</text>"


# ---- a person with a keyboard ----------------------------------------------------------------------------------------


class Person:
    """Presses keys in the labelling screen and keeps frames of it."""

    def __init__(self, app: Any, pilot: Any, cells: np.ndarray) -> None:
        self.app, self.pilot, self.cells = app, pilot, cells
        self.shots: list[tuple[str, Shot]] = []

    @property
    def screen(self) -> Any:
        return self.app.screen

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await until(self.pilot, lambda: ready(self.screen))

    async def keep(self, caption: str, *keys: str) -> None:
        """Press keys and keep what is seen then."""
        await self.press(*keys)
        await settle(self.pilot, self.app)
        self.shots.append((caption, shoot(self.app)))

    async def go(self, y: float, x: float) -> None:
        """Move the cursor to an image pixel with the arrow keys."""
        for axis, (less, more) in ((0, ("up", "down")), (1, ("left", "right"))):
            goal, near = (y, x)[axis], None
            for _ in range(200):
                off = goal - self.screen.canvas.cursor[axis]
                if abs(off) < 0.5 or (near is not None and abs(off) >= near):
                    break
                near = abs(off)
                await self.press(more if off > 0 else less)

    async def near(self, number: int, steps: int = 2) -> None:
        """Zoom in around a simulated cell: a step of the cursor is a pixel then, or nearly so."""
        await self.go(*self.middle(number))
        await self.press(*["plus"] * steps)

    def middle(self, number: int) -> tuple[float, float]:
        """(y, x) in the middle of a simulated cell."""
        y, x = np.nonzero(self.cells == number)
        return float(y.mean()), float(x.mean())

    def ends(self, number: int, widen: float = 0.0) -> list[tuple[float, float]]:
        """Its top, right, bottom and left end, each moved out by `widen` pixels."""
        y, x = np.nonzero(self.cells == number)
        middle_y, middle_x = self.middle(number)
        return [
            (y.min() - widen, middle_x),
            (middle_y, x.max() + widen),
            (y.max() + widen, middle_x),
            (middle_y, x.min() - widen),
        ]

    async def grid_to(self, number: int) -> None:
        """Type the letters of the grid's cells over the middle of a simulated cell, until one place is left."""
        y, x = self.middle(number)
        mode = self.screen._desk.mode
        for _ in range(4):
            left, top, right, bottom = mode.box
            column, row = int((x - left) / (right - left) * 5), int((y - top) / (bottom - top) * 5)
            before = len(self.screen._desk.labels.objects)
            await self.press("abcdefghijklmnopqrstuvwxy"[row * 5 + column])
            if len(self.screen._desk.labels.objects) > before:
                return
            self.shots.append(("the letters again inside of the chosen part", shoot(self.app)))

    async def letters(self, number: int) -> None:
        """Type the letters that an object near the middle of a simulated cell wears."""
        y, x = self.middle(number)
        hints = self.screen._desk.sketch().hints
        hint = min(hints, key=lambda hint: np.hypot(hint.target.place[0] - y, hint.target.place[1] - x))
        await self.press(*hint.letters)


def ready(screen: Any) -> bool:
    return not (screen._loading or screen._pumping or screen._queue or screen._leaving)


async def until(pilot: Any, condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the screen did not get there")
        await pilot.pause(0.02)


async def settle(pilot: Any, app: Any) -> None:
    """Wait until the picture does not change any more."""
    before = None
    while True:
        await pilot.pause(0.15)
        now = shoot(app)
        if before is not None and np.array_equal(now.pixels, before.pixels) and now.texts == before.texts:
            return
        before = now


# ---- one object of each tool -----------------------------------------------------------------------------------------

ONE, TWO = 1, 2
"""Simulated cells that the recordings work on; see `images`."""


async def propose(do: Person) -> None:
    await do.keep("space proposes objects", "space")
    await do.keep("A accepts all in view", "A")
    await do.keep("d shows letters; typing one deletes that object", "d")
    await do.letters(ONE)
    await do.keep("esc ends it, N shows the next image")


async def ladder(do: Person) -> None:
    await do.press("space", "A", "apostrophe")
    await do.letters(ONE)
    await do.keep("' and its letter choose an object")
    await do.keep("w: the next larger outline of its ladder", "w", "w")
    await do.keep("s: smaller", "s", "s", "s", "s")


async def outline(do: Person) -> None:
    await do.go(*do.middle(ONE))
    await do.keep("the cursor is on an object (tool Outline)")
    await do.keep("enter outlines it", "enter")
    await do.keep("w makes it larger, s smaller", "w", "w")


async def spline(do: Person) -> None:
    await do.press("t", "s")
    await do.go(*do.middle(ONE))
    await do.keep("t s, then enter: eight handles", "enter")
    await do.keep("e e e pulls one out, in capitals in", "e", "e", "e")
    await do.keep("space: done", "space")


async def ellipse(do: Person) -> None:
    await do.press("t", "e")
    await do.go(*do.middle(ONE))
    await do.keep("t e, then enter: an ellipse", "enter")
    await do.keep("w longer, d wider, e and q turn it", "w", "w", "e", "e")
    await do.keep("space: done", "space")


async def polygon(do: Person) -> None:
    await do.near(ONE, 1)
    await do.press("t", "p")
    for place in do.ends(ONE, 1):
        await do.go(*place)
        await do.press("enter")
    await do.keep("t p: enter sets corners")
    await do.keep("space closes it: a new object", "space")
    top, right, _bottom, _left = do.ends(ONE, 3)
    for place in (top, (top[0], right[1]), (do.middle(ONE)[0], right[1]), do.middle(ONE)):
        await do.go(*place)
        await do.press("enter")
    await do.keep("another one over a part of it")
    await do.keep("d closes it: taken away from what is there", "d")


async def cut(do: Person) -> None:
    await do.press("space", "A")
    await do.near(ONE, 1)
    await do.press("t", "p")
    top, _, bottom, _ = do.ends(ONE, 3)
    for place in (top, bottom):
        await do.go(*place)
        await do.press("enter")
    await do.keep("t p: a line across an object")
    await do.keep("s cuts along it", "s")


async def livewire(do: Person) -> None:
    await do.near(ONE)
    await do.press("t", "l")
    places = do.ends(ONE)
    await do.go(*places[0])
    await do.press("enter")
    await do.go(*places[1])
    await do.keep("t l, enter on the edge: the line follows it")
    for place in places[1:]:
        await do.go(*place)
        await do.press("enter")
    await do.keep("enter holds it, place by place")
    await do.keep("space closes it", "space")


async def extremes(do: Person) -> None:
    await do.near(ONE)
    await do.press("t", "x")
    for place in do.ends(ONE)[:3]:
        await do.go(*place)
        await do.press("enter")
    await do.keep("t x: enter on its top, right and bottom end")
    await do.go(*do.ends(ONE)[3])
    await do.keep("enter on the fourth end: its outline", "enter")


async def smart(do: Person) -> None:
    await do.press("t", "g")
    await do.go(*do.middle(ONE))
    await do.keep("t g, enter marks the inside", "enter")
    top, *_ = do.ends(ONE, 6)
    await do.press("o")
    await do.go(*top)
    await do.keep("o, then enter marks the outside", "enter")
    await do.keep("space makes it an object", "space")


async def wand(do: Person) -> None:
    await do.press("t", "w")
    await do.go(*do.middle(ONE))
    await do.keep("t w, enter: all that is as bright", "enter")
    await do.keep("w takes more, s less", "w", "w")


async def brush(do: Person) -> None:
    await do.press("t", "b", *["left_square_bracket"] * 5)
    await do.go(*do.middle(ONE))
    await do.keep("t b: enter paints a disc, [ ] its size", "enter")
    y, x = do.middle(ONE)
    await do.go(y, x + 5)
    await do.keep("move, enter again: more of the same object", "enter")
    await do.go(y - 4, x)
    await do.keep("space, then enter erases", "space", "enter")


async def corners(do: Person) -> None:
    await do.press("space", "A", "apostrophe")
    await do.letters(ONE)
    await do.keep("an object is chosen; e: letters on its corners", "e")
    hint = do.screen._desk.sketch().hints[0]
    await do.press(*hint.letters)
    await do.keep("a letter chooses a corner, arrows move it", "shift+right", "shift+up")
    await do.keep("+ inserts one behind it, - deletes it; esc ends", "escape")


async def merge(do: Person) -> None:
    await do.press("space", "A")
    await do.keep("m: letters on the first", "m")
    await do.letters(ONE)
    await do.keep("then on what belongs to it")
    await do.letters(TWO)
    await do.keep("one object")


async def split(do: Person) -> None:
    await do.press("space", "A", "m")
    await do.letters(ONE)
    await do.letters(TWO)
    await do.keep("/: letters on objects to split", "slash")
    await do.letters(ONE)
    await do.keep("parted at its waist")


async def grid(do: Person) -> None:
    await do.keep("a: a letter for each part of the view", "a")
    await do.grid_to(ONE)
    await do.keep("after the last letter the object is there; esc ends")


async def area(do: Person) -> None:
    await do.press("space", "A", "t", "p")
    for place in ((5, 5), (5, 60), (60, 60), (60, 5)):
        await do.go(*place)
        await do.press("enter")
    await do.keep("t p: corners around the part that is labelled")
    await do.keep("r closes it: only here the training learns", "r")


async def points(do: Person) -> None:
    await do.keep("in a detection project: space proposes points", "space")
    await do.keep("A accepts all", "A")
    await do.press("d")
    await do.letters(ONE)
    await do.keep("d and letters delete", "escape")
    await do.go(*do.middle(ONE))
    await do.keep("enter adds one, in the class of the digit", "2", "enter")


POINTS = frozenset({"points"})
"""Recordings in a project of the task detection."""
RECORDINGS = {
    do.__name__: do
    for do in (
        propose, ladder, outline, spline, ellipse, polygon, cut, livewire, extremes, smart, wand, brush, corners,
        merge, split, grid, area, points,
    )
}  # fmt: skip


def images(folder: Path) -> np.ndarray:
    """Two simulated images; (Y, X) of the first one's cells, 1 being one in the middle and 2 the one beside it."""
    from mia_tui.simulate import simulate

    made = simulate(2, 76, 112, 9, seed=5, density="medium", radius=10.0)
    folder.mkdir()
    for index, image in enumerate(made.images):
        tifffile.imwrite(folder / f"nuclei-{index + 1}.tif", image)
    cells = made.masks[0]
    numbers = [n for n in np.unique(cells) if n and not (_border(cells) == n).any()]
    middles = {n: np.argwhere(cells == n).mean(axis=0) for n in numbers}
    one = min(numbers, key=lambda n: np.hypot(*(middles[n] - np.array(cells.shape) / 2)))
    two = min((n for n in numbers if n != one), key=lambda n: np.hypot(*(middles[n] - middles[one])))
    named = np.zeros_like(cells)
    named[cells == one], named[cells == two] = ONE, TWO
    return named


def _border(cells: np.ndarray) -> np.ndarray:
    return np.concatenate([cells[0], cells[-1], cells[:, 0], cells[:, -1]])


async def record(name: str, size: tuple[int, int] = SIZE) -> list[tuple[str, Shot]]:
    """Frames of one recording, in a fresh project."""
    from mia_tui.app import MiaApp
    from mia_tui.project import Project

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for kind in ("CONFIG", "STATE", "CACHE"):
            os.environ[f"MIA_TUI_{kind}"] = str(folder / kind.lower())
        cells = images(folder / "images")
        task = "detection" if name in POINTS else "segmentation"
        made = Project.create(folder / "nuclei", images=folder / "images", classes=["nucleus", "mitosis"], task=task)
        app = MiaApp(made.folder)
        async with app.run_test(size=size) as pilot:
            await pilot.pause(0.5)
            app.go("labeling")
            await until(pilot, lambda: app.current_mode == "labeling" and app.screen.shown is not None)
            await until(pilot, lambda: ready(app.screen) and app.screen._desk is not None)
            person = Person(app, pilot, cells)
            await RECORDINGS[name](person)
        return person.shots


async def tracks(size: tuple[int, int]) -> Shot:
    """The tracks screen on a simulated time lapse, with a track in hand that has divided."""
    from mia_tui.app import MiaApp
    from mia_tui.labeling.objects import FrameLabels, LabelObject
    from mia_tui.labeling.raster import shapes_from_labels
    from mia_tui.labeling.store import write_frame
    from mia_tui.project import Project
    from mia_tui.simulate import simulate
    from mia_tui.tracking.options import LinkOptions
    from mia_tui.tracking.sequence import find_sequence
    from mia_tui.tracking.strip import family
    from mia_tui.tracking.track import track_sequence

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for kind in ("CONFIG", "STATE", "CACHE"):
            os.environ[f"MIA_TUI_{kind}"] = str(folder / kind.lower())
        made = simulate(40, 150, 260, 5, seed=4, density="sparse", speed=2.0, drift=(0.5, 1.0), cycle=13, radius=8)
        (folder / "images").mkdir()
        tifffile.imwrite(folder / "images" / "movie.tif", made.images, imagej=True, metadata={"axes": "TYX"})
        project = Project.create(folder / "nuclei", images=folder / "images", classes=["nucleus"])
        for t, mask in enumerate(made.masks):
            items = [LabelObject(int(n), shape, "nucleus") for n, shape in shapes_from_labels(mask).items()]
            write_frame(project.labels_path("movie.tif", f"t{t:04d}z0000"), FrameLabels.of(*mask.shape, items))
        track_sequence(project, find_sequence(project, "movie.tif"), "labels", LinkOptions())
        app = MiaApp(project.folder)
        async with app.run_test(size=size) as pilot:
            await pilot.pause(0.5)
            app.go("tracking")
            await until(pilot, lambda: app.current_mode == "tracking" and app.screen.shown is not None)
            book = app.screen._desk.book
            mother = max(set(book.mothers.values()), key=lambda n: (len(family(book, n)), -n))
            for key in ("slash", *str(book.daughters(mother)[0]), "enter", "end"):
                await pilot.press(key)
                await until(pilot, lambda: not (app.screen._pumping or app.screen._queue))
            await settle(pilot, app)
            return shoot(app)


async def main(names: list[str]) -> None:
    (HERE / "tools").mkdir(exist_ok=True)
    for name in names or [*RECORDINGS, "labelling", "tracking"]:
        if name == "labelling":
            caption, shot = (await record("propose", (110, 34)))[2]
            path, svg = HERE / "labelling.svg", as_svg([(caption, shot)], across=1)
        elif name == "tracking":
            path, svg = (
                HERE / "tracking.svg",
                as_svg([("a daughter in hand, with her family below", await tracks((110, 36)))], across=1),
            )
        else:
            path, svg = HERE / "tools" / f"{name}.svg", as_svg(await record(name))
        path.write_text(svg, encoding="utf-8")
        print(f"{path.relative_to(HERE.parent)}  {len(svg) // 1000} kB")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
