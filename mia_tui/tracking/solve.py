"""Linking again where something changed: around a decision, or the frames that are new. The rest stays as it is."""

from itertools import pairwise

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.tracking.book import Draft, TrackBook
from mia_tui.tracking.detections import Array, Detections
from mia_tui.tracking.edits import fill_between
from mia_tui.tracking.link import Masks, extend, relink
from mia_tui.tracking.options import LinkOptions
from mia_tui.tracking.pins import Pins
from mia_tui.tracking.points import Motion
from mia_tui.tracking.store import Link, TrackStore
from mia_tui.tracking.tracks import COLUMNS, chains


def edges_of(book: TrackBook) -> Array:
    """(E, 2) int64: the links of a book, from row to row, those from mothers to daughters and of merges included."""
    held = np.flatnonzero(book.track)
    order = held[np.lexsort((book.detections.frame[held], book.track[held]))]
    same = np.diff(book.track[order]) == 0
    plain = np.stack([order[:-1][same], order[1:][same]], 1)
    more = [
        (int(book.rows(mother)[-1]), int(book.rows(daughter)[0]))
        for daughter, mother in book.mothers.items()
        if len(book.rows(mother)) and len(book.rows(daughter))
    ]
    for part, whole in book.merged.items():
        last, rows = book.rows(part)[-1:], book.rows(whole)
        more += [(int(last[0]), int(row)) for row in rows[book.detections.frame[rows] > book.last(part)][:1]]
    return np.concatenate([plain, np.array(more, np.int64).reshape(-1, 2)])


def standing_links(book: TrackBook) -> list[tuple[int, int]]:
    """The links that a person made and that are still there: nothing was put in between since."""
    return [(a, b) for (a, b), together in book.pins.items() if together and is_link(book, a, b)]


def is_link(book: TrackBook, one: int, other: int) -> bool:
    """Whether a row is directly followed by another: in its track, or as the first of a daughter."""
    before, after = int(book.track[one]), int(book.track[other])
    if not (before and after):
        return False
    rows = book.rows(before)
    if before == after:
        at = int(np.searchsorted(rows, one))
        return at + 1 < len(rows) and int(rows[at + 1]) == other
    return book.mothers.get(after) == before and int(rows[-1]) == one and int(book.rows(after)[0]) == other


def solve_around(store: TrackStore, rows: list[int], masks: Masks | None) -> str:
    """Link again what has to do with these objects, around all decisions; one correction, which can be undone.

    Raises
    ------
    MiaError
        When the tracks were not linked by this program, and for decisions that contradict each other.
    """
    some = _Some.of(store.book)
    motion, options = _learnt(store.link)
    found = relink(
        some.detections, some.inward(edges_of(store.book)), motion, some.inward(np.array(rows)), options,
        None if options.method == "points" else masks, some.pins(store.book),
    )  # fmt: skip
    return store.do(follow_links, some.rows[found])


def solve_new_frames(store: TrackStore, masks: Masks | None) -> str:
    """Link the frames that came since; the links of the others stay as they are. One correction, which can be undone.

    Raises
    ------
    MiaError
        When no frames came, or the tracks were not linked by this program.
    """
    motion, options = _learnt(store.link)
    if len(motion.drift) >= store.book.detections.frames:
        raise MiaError(f"no frames were added to {store.sequence.name} since it was linked.")
    some = _Some.of(store.book)
    found, motion = extend(
        some.detections, some.inward(edges_of(store.book)), motion, options,
        None if options.method == "points" else masks, some.pins(store.book),
    )  # fmt: skip
    text = store.do(follow_links, some.rows[found])
    store.link = Link(store.link.options, motion.as_json())
    return text


def _learnt(link: Link) -> tuple[Motion, LinkOptions]:
    if not link.state:
        raise MiaError("these tracks came from elsewhere: link the sequence first (mia-tui track --keep).")
    return Motion.of_json(link.state), LinkOptions(**link.options)


class _Some:
    """The detections that may be linked: those that are there and were not put aside. `rows` are theirs in the book."""

    def __init__(self, detections: Detections, rows: Array, place: Array) -> None:
        self.detections, self.rows, self._place = detections, rows, place

    @classmethod
    def of(cls, book: TrackBook) -> "_Some":
        there = ~book.gone
        for one, other in book.pins:
            there[one] &= one != other or book.track[one] > 0
        rows = np.flatnonzero(there)
        place = np.cumsum(there) - 1
        place[~there] = -1
        found = book.detections
        columns = {name: getattr(found, name)[rows] for name in COLUMNS}
        return cls(Detections(**columns, classes=found.classes, frames=found.frames), rows, place)

    def inward(self, rows: Array) -> Array:
        """Rows of the book as rows of these detections; pairs and single ones that are not all here are left out."""
        inside = self._place[rows.astype(np.int64)]
        kept: Array = inside[(inside >= 0).all(1)] if inside.ndim == 2 else inside[inside >= 0]
        return kept

    def pins(self, book: TrackBook) -> Pins:
        apart = [pair for pair, together in book.pins.items() if not together and pair[0] != pair[1]]
        return Pins(*(self.inward(np.array(pairs, np.int64).reshape(-1, 2)) for pairs in (standing_links(book), apart)))


def follow_links(book: TrackBook, draft: Draft, edges: Array) -> str:
    """Make the tracks those that these links give; tracks of which no link changes stay as they are.

    A track that is cut keeps its number on the side where it begins.

    Parameters
    ----------
    edges : (E, 2) int64
        All links, as `edges_of` lists them, in any order.
    """
    count = len(book.track)
    codes = np.sort(np.concatenate([links[:, 0] * count + links[:, 1] for links in (edges_of(book), edges)]))
    twin = np.append(codes[1:] == codes[:-1], False)
    changed = codes[~(twin | np.roll(twin, 1))]  # the links that are only in one of both
    if not len(changed):
        raise MiaError("linking again changes nothing here.")
    ends = np.unique(np.concatenate([changed // count, changed % count]))
    # a link that stays becomes a division, or is none any more, when another one at its end comes or goes
    ends = np.unique(np.append(ends, edges[np.isin(edges, ends).any(1)]))
    touched = sorted(set(book.track[ends].tolist()) - {0})
    rows = np.unique(np.concatenate([*(book.rows(track) for track in touched), ends[book.track[ends] == 0]]))
    inside = np.zeros(count, bool)
    inside[rows] = True
    near = edges[inside[edges].any(1)]
    numbers, mothers, merged = _numbered(book, rows, near)
    for before in (0, *touched):
        of = book.track[rows] == before
        own, new = rows[of], numbers[of]
        for number in np.unique(new).tolist():
            draft.move(own[new == number], number)
    for number in sorted({*touched, *numbers.tolist()}):
        draft.mother(number, mothers.get(number, 0))
        draft.merged(number, merged.get(number, 0))
        if book.exists(number):
            _fill_again(book, draft, number)
    for daughter, mother in mothers.items():
        draft.mother(daughter, mother)
    return f"{len(changed)} links changed by linking again"


def _numbered(book: TrackBook, rows: Array, edges: Array) -> tuple[Array, dict[int, int], dict[int, int]]:
    """The track of each row, and who comes from whom or becomes part of whom, by the links that touch the rows."""
    out = np.bincount(edges[:, 0], minlength=len(book.track))
    into = np.bincount(edges[:, 1], minlength=len(book.track))
    place = np.full(len(book.track), -1)
    place[rows] = np.arange(len(rows))
    previous = np.full(len(rows), -1)
    partings: list[tuple[int, int]] = []
    for one, other in edges.tolist():
        plain = out[one] == 1 and into[other] == 1 and not _lone(book, one, other)
        if plain and place[one] >= 0 and place[other] >= 0:
            previous[place[other]] = place[one]
        else:
            partings.append((one, other))
    number_of: dict[int, int] = {}
    used: set[int] = set()
    fresh = book.next_number
    chain = chains(previous)
    for row, which in zip(rows.tolist(), chain.tolist(), strict=True):
        if which not in number_of:
            wanted = int(book.track[row])
            if not wanted or wanted in used:
                wanted, fresh = fresh, fresh + 1
            number_of[which] = wanted
            used.add(wanted)
    numbers = np.array([number_of[which] for which in chain.tolist()], np.int64)

    def number(row: int) -> int:
        return int(numbers[place[row]] if place[row] >= 0 else book.track[row])

    mothers = {number(other): number(one) for one, other in partings if into[other] == 1}
    merged = {number(one): number(other) for one, other in partings if into[other] > 1}
    return numbers, mothers, merged


def _lone(book: TrackBook, one: int, other: int) -> bool:
    """Whether this is a division of which one daughter is known: a track does not go on through it."""
    before, after = int(book.track[one]), int(book.track[other])
    return book.mothers.get(after) == before and is_link(book, one, other) and book.daughters(before) == [after]


def _fill_again(book: TrackBook, draft: Draft, track: int) -> None:
    """Fill the gaps of a track, and nothing else of it."""
    frames = book.detections.frame[book.rows(track)].tolist()
    gaps = {frame for a, b in pairwise(frames) for frame in range(a + 1, b)}
    for frame in book.filled.get(track, {}).keys() - gaps:
        draft.fill(track, frame, None)
    for earlier, later in pairwise(frames):
        fill_between(book, draft, track, earlier, later)
