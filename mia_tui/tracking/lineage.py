"""Who came from whom, and when: births, divisions, generations, fates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mia_tui.tracking.tracks import Tracks

DIVIDED, MERGED, END, LOST = "divided", "merged", "end of movie", "lost"


@dataclass(frozen=True)
class Life:
    """A track as a member of a family.

    Attributes
    ----------
    track, mother, founder : int
        Mother is 0 where nobody is known; the founder is the first of the family, of itself the track.
    generation : int
        0 for a founder.
    daughters : tuple of int
    first, last : int
        Frames, 0-based.
    birth : int or None
        Frame of the mother's division; None where no mother is known.
    division : int or None
        The first frame on which a daughter is seen.
    fate : str
        `DIVIDED`, `MERGED`, `END` (there on the last frame of the sequence) or `LOST`.
    """

    track: int
    mother: int
    founder: int
    generation: int
    daughters: tuple[int, ...]
    first: int
    last: int
    birth: int | None
    division: int | None
    fate: str

    @property
    def cycle(self) -> int | None:
        """Frames from birth to division, where both were seen."""
        return None if self.birth is None or self.division is None else self.division - self.birth


def lives(tracks: Tracks) -> dict[int, Life]:
    """Track -> its life, by track number.

    Tracks must be ones that `tracks.check` accepts; there every mother begins before her daughters.
    """
    spans = {int(row[0]): (int(row[1]), int(row[2])) for row in tracks.spans().reshape(-1, 4)}
    daughters: dict[int, list[int]] = {}
    for daughter, mother in sorted(tracks.mothers.items()):
        daughters.setdefault(mother, []).append(daughter)
    division = {mother: min(spans[own][0] for own in found) for mother, found in daughters.items()}
    found: dict[int, Life] = {}
    for number in sorted(spans, key=lambda track: spans[track]):
        mother = tracks.mothers.get(number, 0)
        above = found.get(mother)
        first, last = spans[number]
        found[number] = Life(
            track=number,
            mother=mother,
            founder=number if above is None else above.founder,
            generation=0 if above is None else above.generation + 1,
            daughters=tuple(daughters.get(number, ())),
            first=first,
            last=last,
            birth=division.get(mother),
            division=division.get(number),
            fate=_fate(tracks, number, last, number in daughters),
        )
    return dict(sorted(found.items()))


def _fate(tracks: Tracks, track: int, last: int, divided: bool) -> str:
    if divided:
        return DIVIDED
    if track in tracks.merged:
        return MERGED
    return END if last == tracks.frames - 1 else LOST


def families(found: dict[int, Life]) -> list[list[int]]:
    """The tracks of every family in the order of a drawn tree, largest families first, then by the founder's birth.

    Within a family a mother stands between the first half of her daughters' families and the second.
    """
    members: dict[int, int] = {}
    for life in found.values():
        members[life.founder] = members.get(life.founder, 0) + 1
    founders = sorted(members, key=lambda track: (-members[track], found[track].first, track))
    daughters = {track: life.daughters for track, life in found.items()}
    return [in_order(daughters, founder) for founder in founders]


def in_order(daughters: Mapping[int, Sequence[int]], founder: int) -> list[int]:
    """A family in the order of a drawn tree: a mother stands between the first half of her daughters and the second.

    Without recursion: a lineage of bacteria may be deeper than Python's stack.
    """
    order: list[int] = []
    todo: list[tuple[int, bool]] = [(founder, False)]
    while todo:
        track, opened = todo.pop()
        below = daughters.get(track, ())
        if opened or not below:
            order.append(track)
            continue
        half = (len(below) + 1) // 2
        todo += [(own, False) for own in reversed(below[half:])]
        todo.append((track, True))
        todo += [(own, False) for own in reversed(below[:half])]
    return order
