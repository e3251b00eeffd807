"""What is drawn over a frame of a sequence: outlines and trails in the colours of tracks, numbers, digits, letters."""

import colorsys
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mia_tui.tracking.desk.modes import Choosing
from mia_tui.widgets.canvas.scene import Layer, Mark, Outlines, Rgb

if TYPE_CHECKING:
    from mia_tui.screens.frames import Overlay
    from mia_tui.tracking.book import TrackBook
    from mia_tui.tracking.desk.desk import TrackDesk
    from mia_tui.widgets.canvas.view import View

GOLDEN = 0.618033988749895
"""Steps of the hue: numbers that follow each other get colours far apart."""
LOOSE: Rgb = (150, 150, 150)
ALARM: Rgb = (255, 120, 90)
MOST_NUMBERS = 250
"""With more objects in view only the numbers of what is in hand are written."""


@lru_cache(maxsize=65536)
def track_color(track: int) -> Rgb:
    """The colour of a track, always the same for one number; grey for none."""
    if not track:
        return LOOSE
    red, green, blue = colorsys.hls_to_rgb(track * GOLDEN % 1, (0.62, 0.74, 0.54)[track % 3], 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


def outlines_layer(desk: "TrackDesk", overlay: "Overlay", frame: int, plane: int) -> Layer:
    """The objects of a frame in the colours of their tracks; those in no track dashed."""
    book = desk.book
    rows = book.at(frame)
    rows = rows[book.detections.plane[rows] == plane]
    number = dict(zip(book.detections.object[rows].tolist(), book.track[rows].tolist(), strict=True))
    tracks = [number.get(i, 0) for i in overlay.ids]
    colors = np.array([track_color(track) for track in tracks], np.uint8).reshape(len(tracks), 3)
    loose = np.array([track == 0 for track in tracks], bool)
    return Layer(overlay.outlines, colors, loose, np.ones(len(tracks), bool))


def trails_layer(book: "TrackBook", frame: int, length: int, held: int) -> Layer:
    """Where the tracks were on the `length` frames before; of the one in hand all of its way, the future dashed.

    A daughter's trail begins at her mother's last place.
    """
    found = book.detections
    segments, owners = _segments(book, _of_frames(book, max(0, frame - length), frame))
    parts, names, dashed = [segments], [owners], [np.zeros(len(owners), bool)]
    if held:
        own = book.rows(held)
        for chosen, future in ((found.frame[own] <= frame, False), (found.frame[own] >= frame, True)):
            more, of = _segments(book, own[chosen])
            parts, names, dashed = [*parts, more], [*names, of], [*dashed, np.full(len(of), future)]
    joined, tracks, gaps = np.concatenate(parts), np.concatenate(names), np.concatenate(dashed)
    keys, owner = np.unique(np.stack([tracks, gaps], 1), axis=0, return_inverse=True)
    colors = np.array([track_color(int(track)) for track, _ in keys], np.uint8).reshape(len(keys), 3)
    boxes = np.zeros((len(keys), 4), np.float32)
    outlines = Outlines(joined.astype(np.float32), owner.reshape(-1).astype(np.intp), boxes)
    return Layer(outlines, colors, keys[:, 1].astype(bool), np.ones(len(keys), bool))


def _of_frames(book: "TrackBook", first: int, last: int) -> np.ndarray:
    starts = book.detections.starts
    rows = np.arange(starts[first], starts[last + 1])
    return rows[book.track[rows] > 0]


def _segments(book: "TrackBook", rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) lines x0, y0, x1, y1 between following places of the same track, and the track of each."""
    found = book.detections
    order = rows[np.lexsort((found.frame[rows], book.track[rows]))]
    track = book.track[order]
    first = np.flatnonzero(np.diff(track, prepend=-1))
    before = np.roll(order, 1)
    before[first] = [_mothers_last(book, int(order[i])) for i in first]
    good = before >= 0
    one, other = found.position[before[good], -2:], found.position[order[good], -2:]
    return np.concatenate([one[:, ::-1], other[:, ::-1]], 1), track[good]


def _mothers_last(book: "TrackBook", row: int) -> int:
    """The last row of the mother when this is the first row of a daughter; -1 otherwise."""
    track = int(book.track[row])
    mother = book.rows(book.mothers.get(track, 0))
    return int(mother[-1]) if len(mother) and book.rows(track)[0] == row else -1


def marks_of(desk: "TrackDesk", frame: int, view: "View | None", *, numbers: bool) -> tuple[Mark, ...]:
    """Numbers of tracks, the digits of candidates, the letters of hints, a sign at the problem looked at."""
    book = desk.book
    marks: list[Mark] = []
    rows = desk.here().tolist() if frame == desk.frame else []
    choosing = frame == desk.frame and isinstance(desk.mode, Choosing)  # letters stand where the numbers do
    seen = [r for r in rows if view is None or view.holds(*view.to_cell(*desk.at(r)))]
    for row in seen:
        track = int(book.track[row])
        if track and not choosing and (track == desk.track or (numbers and len(seen) <= MOST_NUMBERS)):
            marks.append(Mark(*desk.at(row), str(track), track_color(track)))
    for track, places in book.filled.items():
        if frame in places:
            y, x = places[frame][-2:]
            marks.append(Mark(y, x, "○", track_color(track), kind="handle"))
    if frame != desk.frame:
        return tuple(marks)
    if desk.problem is not None:
        y, x = desk.problem.position[-2:]
        marks.append(Mark(y, x, "!", ALARM, kind="handle"))
    if isinstance(desk.mode, Choosing):
        marks += [Mark(*hint.place, hint.letters, kind="hint") for hint in desk.mode.shown]
    else:
        marks += [Mark(*candidate.place, str(candidate.digit), kind="hint") for candidate in desk.candidates()]
    return tuple(marks)
