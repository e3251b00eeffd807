"""The lines around the image while tracks are corrected."""

from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from textual.content import Content

from mia_tui.screens.tracking.picture import track_color
from mia_tui.tracking.strip import LABEL, StripLine, column_of, lineage_strip, overview

if TYPE_CHECKING:
    from mia_tui.tracking.desk.desk import TrackDesk

DIGIT = "bold #000000 on #ffe000"
"""As hints look on the image."""


def hex_color(track: int) -> str:
    """The colour of a track as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*track_color(track))


def info_text(desk: "TrackDesk", width: int) -> Content:
    """The sequence, where it is, how much there is, and how much of it is doubtful."""
    sequence, book = desk.store.sequence, desk.book
    facts = [
        f"frame {desk.frame + 1}/{desk.frames}",
        *([f"z {desk.plane + 1}/{sequence.planes}"] if sequence.planes > 1 else []),
        _count(len(book.numbers), "track"),
        _count(len(set(book.mothers.values())), "division"),
        _count(len(desk.problems.problems), "problem"),
        _count(desk.store.made, "correction"),
    ]
    text = " · ".join(facts)
    name = f"{sequence.name} ({desk.store.source})"
    room = max(12, width - len(text) - 3)
    if len(name) > room:
        name = f"{name[: room // 3]}…{name[len(name) - (room - room // 3 - 1) :]}"
    return Content.assemble(name, "   ", text)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def strip_text(desk: "TrackDesk", width: int, height: int) -> Content:
    """The family of the track in hand, or an overview; the frame looked at is marked in every line."""
    if width <= LABEL + 2 or height < 1:
        return Content("")
    if desk.track:
        lines = lineage_strip(desk.book, desk.track, width, height)
    else:
        lines = overview(desk.book, [problem.frame for problem in desk.problems.problems], width)[:height]
    at = column_of(desk.frame, desk.frames, width)
    parts: list[Any] = []
    for line in lines:
        parts += [*_strip_line(line, at, desk.track), "\n"]
    return Content.assemble(*parts[:-1])


def _strip_line(line: StripLine, at: int, held: int) -> list[Any]:
    """A line in runs of one colour; the column of the frame looked at is reversed."""
    parts: list[Any] = [(line.label, "bold $text" if line.label.startswith("▸") else "dim")]
    start = 0
    for end in range(1, len(line.text) + 1):
        same = end < len(line.text) and line.owners[end] == line.owners[start] and at not in (start, end)
        if same:
            continue
        owner = line.owners[start]
        style = hex_color(owner) if owner else "$text-muted"
        style = f"bold {style}" if owner and owner == held else style
        parts.append((line.text[start:end], f"reverse {style}" if start == at else style))
        start = end
    return parts


def state_text(desk: "TrackDesk", width: int) -> Content:
    """What keys go to now or what is in hand, what the last key did; at the right whether it is on disk."""
    saved = "viewing only" if desk.store.read_only else "saved"
    room = width - cell_len(saved) - 2
    head = desk.mode.text if desk.mode is not None else _in_hand(desk)
    said = desk.message
    if cell_len(head) + 3 + cell_len(said) > room and said:
        head = ""
    left = Content.assemble(
        (head, "bold $accent"), "   " if head and said else "", (said, "$warning" if desk.warning else "$text")
    )
    if left.cell_length > room:
        left = left.truncate(room, ellipsis=True)
    return Content.assemble(left, " " * max(1, width - left.cell_length - cell_len(saved)), (saved, "dim"))


def _in_hand(desk: "TrackDesk") -> str:
    book, track = desk.book, desk.track
    if desk.loose is not None:
        return f"object {book.detections.object[desk.loose]}, in no track"
    if not track:
        return ""
    mother, daughters = book.mothers.get(track), book.daughters(track)
    facts = [f"track {track}{' held' if desk.locked else ''}", f"frames {book.first(track) + 1}–{book.last(track) + 1}"]
    facts += [f"from {mother}"] if mother else []
    facts += [f"into {' and '.join(map(str, daughters))}"] if daughters else []
    row = desk.row
    facts += ["not on this frame" if row is None else f"object {book.detections.object[row]}"]
    return "  ".join(facts)


def choice_text(desk: "TrackDesk") -> Content:
    """What the digits choose: the fixes of the problem, or candidates."""
    if desk.mode is not None:
        return Content("")
    if desk.problem is not None:
        parts: list[Any] = [("! ", "bold $warning"), (desk.problem.text, "$warning")]
        for digit, fix in enumerate(desk.fixes, 1):
            parts += ["  ", (f" {digit} ", DIGIT), f" {fix.text}"]
        if not desk.fixes:
            parts += ["   nothing is proposed, a sets it aside"]
        return Content.assemble(*parts)
    parts = []
    for candidate in desk.candidates():
        if candidate.row is None:
            what = (f"{candidate.track}", hex_color(candidate.track))
        else:
            number = int(desk.book.track[candidate.row])
            what = (f"{number}" if number else "loose", hex_color(number))
        parts += ["  ", (f" {candidate.digit} ", DIGIT), " ", what]
    if not parts:
        return Content("")
    takes = "takes the object of" if desk.row is None else "gives the number of"
    return Content.assemble((f"digit {takes}", "dim"), *parts)
