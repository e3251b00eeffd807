"""The corrections of tracks. Each makes one change in a `Draft`: links as a person says, and pins to remember it by.

A track goes by its number. "From frame f on" is its tail: what it has on frame f and later. Whoever comes from a track,
or merges with one, does so at its end and therefore goes with the tail.
"""

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.tracking.book import Draft, TrackBook
from mia_tui.tracking.detections import Array


def reassign(book: TrackBook, draft: Draft, row: int, track: int) -> str:
    """From this object's frame on, it and what follows it are the track with this number.

    When that track is there from this frame on, what it had gets a new number, as in MIA, but not on this frame only.
    """
    if track < 1:
        raise MiaError("a track's number is 1 or more.")
    frame, own = int(book.detections.frame[row]), int(book.track[row])
    if own == track:
        raise MiaError(f"the object is in track {track} already.")
    _pin_apart(book, draft, own, frame)
    _pin_apart(book, draft, track, frame)
    existed, mother, former = book.exists(track), book.mothers.get(track, 0), book.next_number
    if existed and book.last(track) >= frame:
        move_tail(book, draft, track, frame, former)
        draft.mother(former, 0)
    if own:
        move_tail(book, draft, own, frame, track)
    else:
        draft.move(_one(row), track)
    if existed:
        draft.mother(track, mother)
    _unmother(book, draft, track)
    _fill_before(book, draft, track, frame)
    _pin_before(book, draft, track, frame)
    return f"object {book.detections.object[row]} is track {track} from frame {frame + 1} on"


def swap(book: TrackBook, draft: Draft, one: int, other: int, frame: int) -> str:
    """From this frame on, two tracks have each other's objects."""
    if one == other or not (book.exists(one) and book.exists(other)):
        raise MiaError("a swap needs two tracks.")
    for track in (one, other):
        if book.last(track) < frame:
            raise MiaError(f"track {track} ends before frame {frame + 1}: join it instead.")
        _pin_apart(book, draft, track, frame)
    mothers = {track: book.mothers.get(track, 0) for track in (one, other)}
    aside = book.next_number
    move_tail(book, draft, one, frame, aside)
    move_tail(book, draft, other, frame, one)
    move_tail(book, draft, aside, frame, other)
    book.next_number = aside  # nobody has it
    for track in (one, other):
        draft.mother(track, mothers[track])
        _pin_before(book, draft, track, frame)
    return f"tracks {one} and {other} swapped from frame {frame + 1} on"


def cut(book: TrackBook, draft: Draft, track: int, frame: int) -> str:
    """The track ends before this frame; what it has from there on gets a new number."""
    if not book.exists(track) or not book.first(track) < frame <= book.last(track):
        raise MiaError(f"track {track} has nothing before frame {frame + 1} to be cut from.")
    fresh = book.next_number
    _pin_apart(book, draft, track, frame)
    move_tail(book, draft, track, frame, fresh)
    return f"track {track} cut: from frame {frame + 1} on it is track {fresh}"


def join(book: TrackBook, draft: Draft, track: int, later: int) -> str:
    """A track that starts after another one ended is that one going on; the frames between are filled."""
    if track == later or not (book.exists(track) and book.exists(later)):
        raise MiaError("joining needs two tracks.")
    if book.last(track) >= book.first(later):
        track, later = later, track
    start, end = book.first(later), book.last(track)
    if end >= start:
        raise MiaError(f"tracks {track} and {later} are there at the same time: swap or re-assign instead.")
    _end_nowhere(book, draft, track)
    move_tail(book, draft, later, start, track)
    draft.mother(later, 0)
    _unmother(book, draft, track)
    fill_between(book, draft, track, end, start)
    _pin_before(book, draft, track, start)
    return f"tracks {track} and {later} joined as {track}"


def divide(book: TrackBook, draft: Draft, mother: int, first: int, second: int) -> str:
    """The mother ends and two objects (rows), on the same or different frames, are her daughters from there on."""
    rows = (first, second)
    frames = [int(book.detections.frame[row]) for row in rows]
    if first == second or not book.exists(mother) or book.first(mother) >= min(frames):
        raise MiaError(f"a division needs a mother that was there before, and two daughters; track {mother} is not.")
    if book.last(mother) < min(frames):
        _end_nowhere(book, draft, mother)
    tracks = [_own_track(book, draft, row, frame) for row, frame in zip(rows, frames, strict=True)]
    if book.last(mother) >= min(frames):
        _pin_apart(book, draft, mother, min(frames))
        move_tail(book, draft, mother, min(frames), book.next_number)
    end = book.rows(mother)
    for row, track in zip(rows, tracks, strict=True):
        draft.mother(track, mother)
        draft.pin(int(end[-1]) if len(end) else None, row, True)
    return f"track {mother} divides into {tracks[0]} and {tracks[1]}"


def orphan(book: TrackBook, draft: Draft, track: int) -> str:
    """A track came from nobody."""
    mother = book.mothers.get(track)
    if mother is None:
        raise MiaError(f"track {track} has no mother.")
    before, after = book.rows(mother), book.rows(track)
    if len(before) and len(after):
        draft.pin(int(before[-1]), int(after[0]), False)
    draft.mother(track, 0)
    return f"track {track} is no daughter of {mother}"


def delete(book: TrackBook, draft: Draft, track: int, frame: int = 0) -> str:
    """A track is none, from this frame on. The objects stay where they are, in no track."""
    if not book.exists(track) or book.last(track) < frame:
        raise MiaError(f"track {track} has nothing from frame {frame + 1} on.")
    whole = book.first(track) >= frame
    if whole:
        draft.mother(track, 0)
        for part in [part for part, into in book.merged.items() if into == track]:
            draft.merged(part, 0)
    _end_nowhere(book, draft, track)
    if not whole:
        _pin_apart(book, draft, track, frame)
    draft.discard(_tail(book, track, frame))
    _trim(book, draft, track)
    return f"track {track} deleted" + ("" if whole else f" from frame {frame + 1} on")


def drop(book: TrackBook, draft: Draft, row: int) -> str:
    """One object is in no track; its track goes on without it."""
    track, frame = int(book.track[row]), int(book.detections.frame[row])
    if not track:
        raise MiaError("the object is in no track.")
    if book.frames(track) == [frame]:
        return delete(book, draft, track)
    draft.pin(_row_before(book, track, frame), row, False)
    draft.discard(_one(row))
    _trim(book, draft, track)
    return f"object {book.detections.object[row]} is not track {track} on frame {frame + 1}"


def fill(book: TrackBook, draft: Draft, track: int, frame: int, row: int | None = None) -> str:
    """A track without an object on this frame has this one (in no track so far), or passes between its neighbours."""
    if not book.exists(track) or not book.first(track) < frame < book.last(track):
        raise MiaError(f"frame {frame + 1} is no gap of track {track}.")
    if book.row_at(track, frame) is not None:
        raise MiaError(f"track {track} has an object on frame {frame + 1}.")
    if row is None:
        earlier = max(f for f in book.frames(track) if f < frame)
        later = min(f for f in book.frames(track) if f > frame)
        fill_between(book, draft, track, earlier, later)
        return f"track {track} filled between frames {earlier + 1} and {later + 1}"
    if book.track[row]:
        raise MiaError(f"object {book.detections.object[row]} is in track {book.track[row]}.")
    draft.fill(track, frame, None)
    draft.move(_one(row), track)
    _pin_before(book, draft, track, frame)
    return f"object {book.detections.object[row]} fills track {track} on frame {frame + 1}"


def extend(book: TrackBook, draft: Draft, track: int, row: int) -> str:
    """An object in no track becomes the first or the last of a track; the frames between are filled."""
    frame = int(book.detections.frame[row])
    if not book.exists(track) or book.first(track) <= frame <= book.last(track):
        raise MiaError(f"track {track} cannot be extended to frame {frame + 1}: it is there, or not at all.")
    if book.track[row]:
        raise MiaError(f"object {book.detections.object[row]} is in track {book.track[row]}.")
    earlier, later = sorted((frame, book.first(track) if frame < book.first(track) else book.last(track)))
    draft.move(_one(row), track)
    _unmother(book, draft, track)
    fill_between(book, draft, track, earlier, later)
    _pin_before(book, draft, track, later)
    return f"track {track} extended to object {book.detections.object[row]} of frame {frame + 1}"


def accept(book: TrackBook, draft: Draft, kind: str, rows: tuple[int, ...]) -> str:
    """What looks like a problem of this kind is right as it is: it is not shown again. `rows` is what it is about."""
    if (kind, *rows) in book.accepted:
        raise MiaError("that was set aside already.")
    draft.accept(kind, rows)
    frame, _, number = book.name(rows[-1])
    return f"{kind}: right as it is, at object {number} of frame {frame + 1}"


# ---- steps -----------------------------------------------------------------------------------------------------------


def move_tail(book: TrackBook, draft: Draft, track: int, frame: int, to: int) -> None:
    """From this frame on, what a track has goes to another number, and with it what comes from it or ends in it.

    Its mother stays with the number, but for a number that was not there and takes a whole track.
    """
    if book.last(track) < frame:
        return
    for daughter in book.daughters(track):
        draft.mother(daughter, to)
    for part in [part for part, whole in book.merged.items() if whole == track and book.last(part) + 1 >= frame]:
        draft.merged(part, to)
    draft.merged(to, book.merged.get(track, 0))
    draft.merged(track, 0)
    if book.first(track) >= frame:
        if not book.exists(to):
            draft.mother(to, book.mothers.get(track, 0))
        draft.mother(track, 0)
    places = {place: where for place, where in book.filled.get(track, {}).items() if place >= frame}
    draft.move(_tail(book, track, frame), to)
    for place, where in places.items():
        draft.fill(track, place, None)
        draft.fill(to, place, where)
    _trim(book, draft, track)
    _trim(book, draft, to)


def _trim(book: TrackBook, draft: Draft, track: int) -> None:
    """A track does not begin or end with frames without an object."""
    rows, places = book.rows(track), list(book.filled.get(track, ()))
    first, last = (int(book.detections.frame[row]) for row in (rows[0], rows[-1])) if len(rows) else (1, 0)
    for place in places:
        if not first < place < last:
            draft.fill(track, place, None)


def _end_nowhere(book: TrackBook, draft: Draft, track: int) -> None:
    """A track neither divides nor merges at its end."""
    for daughter in book.daughters(track):
        draft.mother(daughter, 0)
    draft.merged(track, 0)


def _own_track(book: TrackBook, draft: Draft, row: int, frame: int) -> int:
    """A track that starts with this object: its own, its tail under a new number, or a new one."""
    track = int(book.track[row])
    if track and book.first(track) == frame:
        draft.mother(track, 0)
        return track
    fresh = book.next_number
    if track:
        _pin_apart(book, draft, track, frame)
        move_tail(book, draft, track, frame, fresh)
    else:
        draft.move(_one(row), fresh)
    return fresh


def _unmother(book: TrackBook, draft: Draft, track: int) -> None:
    """Take away what cannot be any more: mothers of this track and daughters that do not fit its time."""
    mother = book.mothers.get(track)
    if mother is not None and (mother == track or book.last(mother) >= book.first(track)):
        draft.mother(track, 0)
    for daughter in book.daughters(track):
        if daughter == track or book.last(track) >= book.first(daughter):
            draft.mother(daughter, 0)


def _fill_before(book: TrackBook, draft: Draft, track: int, frame: int) -> None:
    """Fill what lies between this frame of a track and the one before it."""
    earlier = [other for other in book.frames(track) if other < frame]
    if earlier:
        fill_between(book, draft, track, earlier[-1], frame)


def fill_between(book: TrackBook, draft: Draft, track: int, earlier: int, later: int) -> None:
    """Positions on the way from one frame of a track to a later one, in equal steps."""
    one, other = book.position_at(track, earlier), book.position_at(track, later)
    if one is None or other is None:
        return
    for frame in range(earlier + 1, later):
        share = (frame - earlier) / (later - earlier)
        draft.fill(track, frame, tuple(a + share * (b - a) for a, b in zip(one, other, strict=True)))


def _one(row: int) -> Array:
    return np.array([row], np.int64)


def _tail(book: TrackBook, track: int, frame: int) -> Array:
    rows = book.rows(track)
    return rows[book.detections.frame[rows] >= frame]


def _row_before(book: TrackBook, track: int, frame: int) -> int | None:
    rows = book.rows(track)
    rows = rows[book.detections.frame[rows] < frame]
    return int(rows[-1]) if len(rows) else None


def _pin_apart(book: TrackBook, draft: Draft, track: int, frame: int) -> None:
    """A person says that a track does not go on from before this frame to what it has from there on."""
    tail = _tail(book, track, frame)
    if track and len(tail):
        draft.pin(_row_before(book, track, frame), int(tail[0]), False)


def _pin_before(book: TrackBook, draft: Draft, track: int, frame: int) -> None:
    """A person says that a track goes on from before this frame to what it has from there on."""
    tail = _tail(book, track, frame)
    if len(tail):
        draft.pin(_row_before(book, track, frame), int(tail[0]), True)
