"""What can be done at the track desk, with the keys that do it."""

from typing import TYPE_CHECKING

from mia_tui.errors import MiaError
from mia_tui.tracking import edits
from mia_tui.tracking.desk.modes import Menu, Numbering
from mia_tui.tracking.desk.rows import row
from mia_tui.tracking.fixes import set_aside
from mia_tui.tracking.sequence import masks_to_link
from mia_tui.tracking.solve import solve_around

if TYPE_CHECKING:
    from mia_tui.tracking.desk.desk import TrackDesk

REACH_FRAMES = 10
"""So many frames before or after a track others are looked for to join it with."""


def _held(desk: "TrackDesk") -> str | None:
    return None if desk.track else "No track is in hand: ' and its letters choose one, tab goes to a problem."


def _object(desk: "TrackDesk") -> str | None:
    return None if desk.row is not None else "No object of this frame is in hand: ' and its letters choose one."


def _editable(desk: "TrackDesk") -> str | None:
    return "Somebody else corrects these tracks: they are open for viewing only." if desk.store.read_only else None


def _held_edit(desk: "TrackDesk") -> str | None:
    return _editable(desk) or _held(desk)


def _object_edit(desk: "TrackDesk") -> str | None:
    return _editable(desk) or _object(desk)


# ---- where -----------------------------------------------------------------------------------------------------------


@row("next_frame", "right,l", "Next frame", "Time")
def next_frame(desk: "TrackDesk") -> None:
    desk.go(desk.frame + 1)


@row("previous_frame", "left,h", "Previous frame", "Time")
def previous_frame(desk: "TrackDesk") -> None:
    desk.go(desk.frame - 1)


@row("far_next", "shift+right", "10 frames on", "Time")
def far_next(desk: "TrackDesk") -> None:
    desk.go(desk.frame + 10)


@row("far_previous", "shift+left", "10 frames back", "Time")
def far_previous(desk: "TrackDesk") -> None:
    desk.go(desk.frame - 10)


@row("start", "home", "Start", "Time", more="Start of the track in hand, or of the sequence")
def start(desk: "TrackDesk") -> None:
    desk.go(desk.book.first(desk.track) if desk.track else 0)


@row("end", "end", "End", "Time", more="End of the track in hand, or of the sequence")
def end(desk: "TrackDesk") -> None:
    desk.go(desk.book.last(desk.track) if desk.track else desk.frames - 1)


@row("mother", "up,k", "Mother", "Lineage", why=_held)
def mother(desk: "TrackDesk") -> None:
    number = desk.book.mothers.get(desk.track)
    if number is None:
        raise MiaError(f"Track {desk.track} has no mother.")
    desk.hold(number, desk.book.last(number))


@row("daughter", "down,j", "Daughter", "Lineage", why=_held, more="First daughter of the track in hand")
def daughter(desk: "TrackDesk") -> None:
    daughters = desk.book.daughters(desk.track)
    if not daughters:
        raise MiaError(f"Track {desk.track} does not divide.")
    desk.hold(daughters[0], desk.book.first(daughters[0]))


@row("sibling", "s", "Sibling", "Lineage", why=_held, more="The other daughter of the same mother")
def sibling(desk: "TrackDesk") -> None:
    number = desk.book.mothers.get(desk.track)
    others = [] if number is None else desk.book.daughters(number)
    if len(others) < 2:
        raise MiaError(f"Track {desk.track} has no sibling.")
    desk.hold(others[(others.index(desk.track) + 1) % len(others)])


@row("choose", "apostrophe", "Choose", "Choose", more="A track of this frame, by letters")
def choose(desk: "TrackDesk") -> None:
    def take(desk: "TrackDesk", number: int) -> None:
        desk.choose_row(number)

    desk.choose("which one?", [(int(r), desk.at(int(r))) for r in desk.here()], take)


@row("find", "slash", "Track by number", "Choose")
def find(desk: "TrackDesk") -> None:
    def go(desk: "TrackDesk", number: int) -> None:
        if not desk.book.exists(number):
            raise MiaError(f"There is no track {number}.")
        desk.hold(number)

    desk.mode = Numbering(go)


# ---- problems --------------------------------------------------------------------------------------------------------


@row("next_problem", "tab", "Next problem", "Problems")
def next_problem(desk: "TrackDesk") -> None:
    _jump(desk, 1)


@row("previous_problem", "shift+tab", "Previous problem", "Problems")
def previous_problem(desk: "TrackDesk") -> None:
    _jump(desk, -1)


def _jump(desk: "TrackDesk", way: int) -> None:
    listed = desk.problems.problems
    if not listed:
        desk.say("No problems are left.")
        return
    if desk.problem in listed:
        index = listed.index(desk.problem) + way
    else:
        later = [i for i, problem in enumerate(listed) if problem.frame >= desk.frame]
        index = (later[0] if later else 0) if way > 0 else (later[0] if later else len(listed)) - 1
    desk.look_at(listed[index % len(listed)])


def _problem(desk: "TrackDesk") -> str | None:
    return _editable(desk) or (None if desk.problem is not None else "No problem is looked at: tab goes to one.")


@row("aside", "a", "Fine as it is", "Problems", why=_problem, more="This is no problem: do not show it again")
def aside(desk: "TrackDesk") -> None:
    assert desk.problem is not None
    fix = set_aside(desk.problem)
    desk.edit(fix.edit, *fix.arguments)
    _jump(desk, 1)


# ---- corrections -----------------------------------------------------------------------------------------------------


@row("enter", "enter", "Take", "Correct", more="The first fix of a problem, or the proposed object of a held track")
def enter(desk: "TrackDesk") -> None:
    reason = _editable(desk)
    if reason:
        raise MiaError(reason)
    if desk.problem is not None or (desk.track and desk.row is None):
        desk.take(1)
    elif not desk.locked:
        raise MiaError("Nothing is proposed: tab goes to a problem, t holds a track while you step.")
    if desk.locked:
        desk.go(desk.frame + 1)


@row(
    "lock", "t", "Hold the track", "Correct", why=_held, more="Hold one track while stepping: enter takes what goes on"
)
def lock(desk: "TrackDesk") -> None:
    desk.locked = not desk.locked
    desk.say(f"track {desk.track} is held: → steps, enter takes ①" if desk.locked else "no track is held")


@row("reassign", "r", "Re-assign", "Correct", why=_object_edit, more="The object in hand is the track of these letters")
def reassign(desk: "TrackDesk") -> None:
    book, own, here = desk.book, desk.row, desk.frame
    assert own is not None

    def give(desk: "TrackDesk", number: int) -> None:
        desk.edit(edits.reassign, own, number)
        desk.hold(number)

    places: dict[int, tuple[float, float]] = {}
    for back in (0, 1, 2, 3):
        for other in book.at(here - back) if here - back >= 0 else ():
            number = int(book.track[other])
            if number and number != book.track[own]:
                places.setdefault(number, desk.at(int(other)))
    desk.choose("it is which track?", list(places.items()), give)


@row("number", "R", "Number", "Correct", why=_object_edit, more="Give the object in hand, and what follows, a number")
def number(desk: "TrackDesk") -> None:
    own = desk.row
    assert own is not None

    def give(desk: "TrackDesk", number: int) -> None:
        desk.edit(edits.reassign, own, number)
        desk.hold(number)

    desk.mode = Numbering(give)


@row("swap", "w", "Swap", "Correct", why=_object_edit, more="From here on, exchange with the track of these letters")
def swap(desk: "TrackDesk") -> None:
    def exchange(desk: "TrackDesk", other: int) -> None:
        desk.edit(edits.swap, desk.track, int(desk.book.track[other]), desk.frame)

    others = [int(r) for r in desk.here() if desk.book.track[r] not in (0, desk.track)]
    desk.choose(f"swap {desk.track} with which one, from here on?", [(r, desk.at(r)) for r in others], exchange)


@row("cut", "x", "Cut", "Correct", why=_held_edit, more="Cut the track in hand before this frame")
def cut(desk: "TrackDesk") -> None:
    row = desk.row
    desk.edit(edits.cut, desk.track, desk.frame)
    if row is not None:  # what was in hand stays in hand, under its new number
        desk.choose_row(row)


@row(
    "join",
    "equals_sign",
    "Join",
    "Correct",
    why=_held_edit,
    more="The track in hand goes on as, or comes from, another",
)
def join(desk: "TrackDesk") -> None:
    book, own = desk.book, desk.track
    first, last = book.first(own), book.last(own)
    places: dict[int, tuple[float, float]] = {}
    for frame in range(max(0, first - REACH_FRAMES), min(desk.frames, last + REACH_FRAMES + 1)):
        for other in book.at(frame).tolist() if not first <= frame <= last else ():
            number = int(book.track[other])
            if number and number not in places and (book.first(number) > last or book.last(number) < first):
                places[number] = desk.at(int(book.rows(number)[0 if book.first(number) > last else -1]))

    def connect(desk: "TrackDesk", other: int) -> None:
        desk.edit(edits.join, own, other)
        desk.hold(min((own, other), key=lambda n: -1 if desk.book.exists(n) else 0))

    if not places:
        raise MiaError(f"No track ends or starts within {REACH_FRAMES} frames of track {own}: cut first, or swap.")
    desk.choose(f"join {own} with which track?", list(places.items()), connect)


@row("divide", "D", "Division", "Correct", why=_held_edit, more="The track in hand divides here: choose the daughters")
def divide(desk: "TrackDesk") -> None:
    book, own = desk.book, desk.track
    here = [int(r) for r in desk.here()]
    goes_on = book.row_at(own, desk.frame) if book.first(own) < desk.frame else None

    soon = [
        int(r) for back in range(1, 4) if desk.frame + back < desk.frames for r in book.at(desk.frame + back)
        if book.track[r] and book.first(int(book.track[r])) == desk.frame + back
    ]  # fmt: skip

    def second(desk: "TrackDesk", other: int, one: int) -> None:
        desk.edit(edits.divide, own, one, other)
        desk.hold(int(book.track[one]))

    def first(desk: "TrackDesk", one: int) -> None:
        rest = [(r, desk.at(r)) for r in (*here, *soon) if r != one]
        desk.choose(
            "the other daughter (here, or starting within 3 frames)?", rest, lambda desk, r: second(desk, r, one)
        )

    if goes_on is not None:
        first(desk, goes_on)
    else:
        desk.choose(f"first daughter of {own}?", [(r, desk.at(r)) for r in here], first)


@row("orphan", "O", "No daughter", "Correct", why=_held_edit, more="The track in hand is no daughter of its mother")
def orphan(desk: "TrackDesk") -> None:
    desk.edit(edits.orphan, desk.track)


@row("fill", "i", "Fill the gap", "Correct", why=_held_edit, more="On this frame: an object near by, else in between")
def fill(desk: "TrackDesk") -> None:
    book, own = desk.book, desk.track
    if book.row_at(own, desk.frame) is not None:
        raise MiaError(f"Track {own} has an object on this frame: step to the gap.")
    place = desk.place
    loose = [r for r in desk.nearest(desk.here(planes=True), place) if not book.track[r]] if place else []
    reach = desk.problems.scales.reach
    near = [r for r in loose if place and max(abs(a - b) for a, b in zip(desk.at(r), place, strict=True)) <= reach]
    desk.edit(edits.fill, own, desk.frame, *near[:1])


@row("delete", "d,delete", "Delete", "Correct", why=_editable, more="The track, from here on, or this object only")
def delete(desk: "TrackDesk") -> None:
    reason = _held(desk)
    if reason:
        raise MiaError(reason)
    desk.mode = Menu(
        {
            "t": ("the whole track", lambda desk: desk.edit(edits.delete, desk.track)),
            "h": ("from here on", lambda desk: desk.edit(edits.delete, desk.track, desk.frame)),
            "o": ("this object only", _drop),
        }
    )


def _drop(desk: "TrackDesk") -> None:
    if desk.row is None:
        raise MiaError("The track has no object on this frame.")
    desk.edit(edits.drop, desk.row)


@row(
    "solve",
    "y",
    "Link again here",
    "Correct",
    why=_held_edit,
    more="Around the track on this frame, by what was decided",
)
def solve(desk: "TrackDesk") -> None:
    frames = range(max(0, desk.frame - 1), min(desk.frames, desk.frame + 2))
    rows = [row for frame in frames if (row := desk.book.row_at(desk.track, frame)) is not None]
    store = desk.store
    masks = masks_to_link(store.project, store.sequence, store.source, desk.book.detections)
    desk.say(solve_around(store, rows, masks))
    desk.follow()


@row("undo", "u,ctrl+z", "Undo", "Correct", why=_editable)
def undo(desk: "TrackDesk") -> None:
    text = desk.store.undo()
    desk.follow()
    desk.say(f"Taken back: {text}." if text else "Nothing to undo.")


@row("redo", "U,ctrl+r", "Redo", "Correct", why=_editable)
def redo(desk: "TrackDesk") -> None:
    text = desk.store.redo()
    desk.follow()
    desk.say(f"Done again: {text}." if text else "Nothing to redo.")
