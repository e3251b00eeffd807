"""What a biologist asks of tracks: complete tracks, track fractions, branching correctness, cell cycle accuracy.

Ulman et al., "An objective comparison of cell-tracking algorithms", Nature Methods 14 (2017), and the challenge's own
program where the paper leaves a choice.
"""

from dataclasses import dataclass

import numpy as np

from mia_tui.analysis.ctc.match import Array, Matched, Objects


def _assigned(matched: Matched) -> Array:
    """(N,) the track to which each true object was assigned: that of its partner, 0 without one of its own."""
    tracks = np.zeros(len(matched.truth), np.int64)
    tracks[matched.alone] = matched.found.label[matched.partner[matched.alone]]
    return tracks


def complete_tracks(matched: Matched) -> float | None:
    """CT: F1 of tracks that are found under one number from their first to their last frame. None without any track."""
    truth, found = matched.truth, matched.found
    if not len(truth.spans) + len(found.spans):
        return None
    tracks, row = np.unique(truth.label, return_inverse=True)
    assigned = _assigned(matched)
    lowest, highest = np.full(len(tracks), np.iinfo(np.int64).max), np.zeros(len(tracks), np.int64)
    np.minimum.at(lowest, row, assigned)
    np.maximum.at(highest, row, assigned)
    own = {int(track): (int(first), int(last)) for track, first, last, _ in found.spans}
    true = {int(track): (int(first), int(last)) for track, first, last, _ in truth.spans}
    complete = sum(
        low == high > 0 and own[int(low)] == true[int(track)]
        for track, low, high in zip(tracks, lowest, highest, strict=True)
    )
    return float(2 * complete / (len(truth.spans) + len(found.spans)))


def track_fractions(matched: Matched) -> float:
    """TF: the longest uninterrupted part of a true track that one found track follows, averaged over detected tracks.

    As in the challenge's program, a found track that follows one true track all along is not asked about true tracks
    with higher numbers.
    """
    truth = matched.truth
    order = truth.by_track()
    label, frame, assigned = truth.label[order], truth.frame[order], _assigned(matched)[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (np.diff(label) != 0) | (np.diff(frame) != 1) | (np.diff(assigned) != 0)
    first = np.flatnonzero(begins)
    run = np.diff(np.append(first, len(order)))
    length = {int(track): int(end - begin + 1) for track, begin, end, _ in truth.spans}
    longest: dict[tuple[int, int], int] = {}
    for found, true, frames in zip(assigned[first].tolist(), label[first].tolist(), run.tolist(), strict=True):
        if found:
            longest[found, true] = max(longest.get((found, true), 0), frames)
    best: dict[int, float] = {}
    done = 0
    for (found, true), frames in sorted(longest.items()):
        if found == done or best.get(true) == 1:
            continue
        best[true] = max(best.get(true, 0), frames / length[true])
        if frames == length[true]:
            done = found
    return float(np.mean(list(best.values()))) if best else 0.0


@dataclass(frozen=True)
class Divisions:
    """Divisions of both sides: right ones, found ones that are not, and missed ones."""

    tp: int
    fp: int
    fn: int

    @property
    def f1(self) -> float | None:
        """None where neither side has a division."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else None

    @property
    def branching(self) -> float | None:
        """BC(i): the F1, None where the truth has no division."""
        return self.f1 if self.tp + self.fn else None


def divisions(matched: Matched, tolerance: int) -> Divisions:
    """Compare divisions.

    A found division is right when mother and daughters are: the mothers' last frames lie at most `tolerance` frames
    apart, and in the earlier one the found mother is the only true mother's partner; there are as many daughters; and
    each true daughter has a found one whose first frame lies at most `tolerance` frames from hers and that is her
    partner, and no other's, in the later one of the two. With a tolerance of 0 that is the strict rule: the same mother
    object, in the same frame, and the same daughter objects.
    """
    own, true = matched.found.divisions(), matched.truth.divisions()
    partner = _Partners(matched)
    ends = [{int(track): int(last) for track, _, last, _ in side.spans} for side in (matched.truth, matched.found)]
    right = 0
    for mother, rows in true.items():
        last = ends[0][mother]
        candidates = {partner.of(frame, mother) for frame in range(last - tolerance, last + 1)} & own.keys()
        for candidate in sorted(candidates):
            end = ends[1][candidate]
            right += (
                abs(last - end) <= tolerance
                and partner.of(min(last, end), mother) == candidate
                and _same_daughters(matched, partner, rows, own[candidate], tolerance)
            )
    return Divisions(right, len(own) - right, len(true) - right)


class _Partners:
    """The found track that a true one is on a frame, 0 without one of its own."""

    def __init__(self, matched: Matched) -> None:
        objects = zip(matched.truth.frame.tolist(), matched.truth.label.tolist(), strict=True)
        self._track: dict[tuple[int, int], int] = dict(zip(objects, _assigned(matched).tolist(), strict=True))

    def of(self, frame: int, track: int) -> int:
        return self._track.get((frame, track), 0)


def _same_daughters(matched: Matched, partner: _Partners, true: list[int], own: list[int], tolerance: int) -> bool:
    if len(true) != len(own):
        return False
    taken = set()
    for row in true:
        track, begin = (int(value) for value in matched.truth.spans[row, :2])
        for candidate in own:
            other, start = (int(value) for value in matched.found.spans[candidate, :2])
            if abs(begin - start) <= tolerance and partner.of(max(begin, start), track) == other:
                taken.add(other)
                break
    return len(taken) == len(true)


def cell_cycle_accuracy(matched: Matched) -> float | None:
    """CCA: 1 - the greatest difference of the cumulative distributions of the lengths of tracks between two divisions.

    None where the truth has no such track, 0 where only the result has none.
    """
    true, found = _cycles(matched.truth), _cycles(matched.found)
    if len(true) == 0 or len(found) == 0:
        return None if len(true) == 0 else 0.0
    lengths = np.arange(max(true.max(), found.max()) + 1)
    shares = [np.searchsorted(np.sort(side), lengths, side="right") / len(side) for side in (true, found)]
    return float(1 - np.abs(shares[0] - shares[1]).max())


def _cycles(objects: Objects) -> Array:
    """Frames from first to last of the tracks that begin and end with a division."""
    dividing = np.array(list(objects.divisions()), np.int64)
    spans = objects.spans
    whole = np.isin(spans[:, 0], dividing) & np.isin(spans[:, 3], dividing)
    lengths: Array = spans[whole, 2] - spans[whole, 1]
    return lengths
