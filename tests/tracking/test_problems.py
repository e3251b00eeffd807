"""Problems of tracks: each kind where it should be and nowhere else, none that was decided, fixes that can be made."""

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mia_tui.errors import MiaError
from mia_tui.tracking import edits
from mia_tui.tracking.book import TrackBook
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.fixes import Fix, fixes, set_aside
from mia_tui.tracking.problems import ProblemList, find_problems
from mia_tui.tracking.tracks import check

FRAMES, SIDE = 12, 400
Places = dict[int, dict[int, tuple[float, float]]]


def lanes(count: int = 6, frames: int = FRAMES) -> Places:
    """Track -> frame -> (y, x): lane k at y = 50 k wanders by about 1 px a frame around x = 200, drifting 1 px."""
    rng = np.random.default_rng(4)
    x = 200 + np.arange(frames) + np.cumsum(rng.uniform(-2, 2, (count, frames)), axis=1)
    y = 50 * np.arange(1, count + 1)[:, None] + rng.uniform(-1, 1, (count, frames))
    return {k + 1: {t: (float(y[k, t]), float(x[k, t])) for t in range(frames)} for k in range(count)}


def movie(
    places: Places, *, mothers: dict[int, int] | None = None, area: dict[tuple[int, int], float] | None = None,
    loose: dict[int, tuple[float, float]] | None = None, label: dict[tuple[int, int], int] | None = None,
) -> TrackBook:  # fmt: skip
    """A book of these tracks; `loose` are objects in no track by frame. Areas are 300 px, or as `area` says."""
    nodes = [(t, k, p) for k, own in places.items() for t, p in own.items()]
    nodes += [(t, 0, p) for t, p in (loose or {}).items()]
    nodes.sort(key=lambda node: node[:2])
    found = Detections.of(
        [t for t, *_ in nodes], [p for *_, p in nodes], frames=FRAMES, classes=("cell", "dead"),
        area=[(area or {}).get((k, t), 300.0) for t, k, _ in nodes],
        label=[(label or {}).get((k, t), 0) for t, k, _ in nodes],
    )  # fmt: skip
    book = TrackBook(found, np.array([k for _, k, _ in nodes]))
    book.mothers.update(mothers or {})
    return book


def search(book: TrackBook) -> ProblemList:
    return ProblemList(book, SIDE, SIDE)


def found(book: TrackBook) -> list[tuple[str, int, int, int]]:
    return [(p.kind, p.track, p.other, p.frame) for p in find_problems(book, SIDE, SIDE)]


def do(book: TrackBook, edit: Callable[..., str], *arguments: object) -> None:
    with book.drafting() as draft:
        edit(book, draft, *arguments)
    check(book.tracks())


def fixed(listed: ProblemList, index: int = 0) -> list[tuple[str, tuple[object, ...]]]:
    return [(fix.edit.__name__, fix.arguments) for fix in fixes(listed.view, listed.problems[index])]


def test_a_perfect_movie_has_none() -> None:
    assert found(movie(lanes())) == []


def test_nothing_at_all_has_none() -> None:
    assert found(movie({})) == []
    assert found(movie({}, loose={3: (50.0, 60.0)})) == []


def test_a_division_and_coming_and_going_at_the_border_are_none() -> None:
    places = lanes()
    y, x = places[3][5]
    places[3] = {t: p for t, p in places[3].items() if t <= 5}
    places[7] = {t: (y - 8, x + t - 5) for t in range(6, FRAMES)}
    places[8] = {t: (y + 8, x + t - 5) for t in range(6, FRAMES)}
    places[9] = {t: (394.0 - 2 * abs(t - 5), 30.0) for t in range(3, 8)}
    places[10] = dict.fromkeys(range(4, 5), (396.0, 300.0))
    assert found(movie(places, mothers={7: 3, 8: 3})) == []


def test_a_track_cut_in_two_ends_and_starts_and_the_first_fix_joins_it() -> None:
    places = lanes()
    places[7] = {t: places[2].pop(t) for t in range(6, FRAMES)}
    book = movie(places)
    assert found(book) == [("ends", 2, 0, 5), ("starts", 7, 0, 6)]
    for index in (0, 1):
        assert fixed(search(book), index)[0] == ("join", (2, 7))
    listed = search(book)
    assert "sigma away another starts" in listed.problems[0].text
    do(book, edits.join, 2, 7)
    listed.update()
    assert listed.problems == []


def test_a_cut_that_a_person_made_is_no_problem_until_it_is_undone_by_another_end() -> None:
    book = movie(lanes())
    do(book, edits.cut, 2, 6)
    assert found(book) == []
    places = lanes()
    y, x = places[2][5]
    places[7] = dict.fromkeys(range(4), (y + 4, x + 3))
    book = movie(places)
    assert found(book) == [("ends", 7, 0, 3)]
    do(book, edits.cut, 2, 6)
    assert found(book) == [("ends", 7, 0, 3), ("starts", 7 + 1, 0, 6)]  # it could go on as that


def test_a_jump_is_cut_or_swapped() -> None:
    places = lanes()
    places[2] = {t: (y, x + 40 * (t >= 6)) for t, (y, x) in places[2].items()}
    book = movie(places)
    assert found(book) == [("jump", 2, 0, 6)]
    problem = search(book).problems[0]
    assert problem.text.startswith("track 2 jumps 3")
    assert problem.text.endswith(" sigma")
    assert problem.doubt > 3
    assert fixed(search(book)) == [("cut", (2, 6))]
    do(book, edits.reassign, problem.rows[1], 2 + 20)
    do(book, edits.join, 2, 22)  # said to be right
    assert found(book) == []


def test_exchanged_tracks_jump_and_the_first_fix_swaps_them_back() -> None:
    places = lanes()
    for t in range(6, FRAMES):
        places[2][t], places[3][t] = places[3][t], places[2][t]
    book = movie(places)
    listed = search(book)
    assert [(p.kind, p.track, p.frame) for p in listed.problems] == [("jump", 2, 6), ("jump", 3, 6)]
    fix = fixes(listed.view, listed.problems[0])[0]
    assert (fix.edit, fix.arguments) == (edits.swap, (2, 3, 6))
    do(book, fix.edit, *fix.arguments)
    listed.update()
    assert listed.problems == []


def test_what_moves_by_less_than_its_radius_does_not_jump_but_a_point_does() -> None:
    places = lanes()
    places[2] = {t: (y, x + 8 * (t >= 6)) for t, (y, x) in places[2].items()}
    assert found(movie(places)) == []
    points = {(k, t): 0.0 for k in places for t in range(FRAMES)}
    assert found(movie(places, area=points)) == [("jump", 2, 0, 6)]


def test_a_track_that_took_anothers_future_gives_it_back() -> None:
    places = lanes()
    places[7] = {t: places[2].pop(t) for t in range(6, FRAMES)}
    for t in range(6, FRAMES):
        places[2][t] = places[3].pop(t)
    book = movie(places)  # 2 goes on as 3 did, what 2 had is 7, and 3 ends
    listed = search(book)
    assert [(p.kind, p.track) for p in listed.problems] == [("ends", 3), ("jump", 2), ("starts", 7)]
    assert fixed(listed, 0)[0] == ("reassign", (book.row_at(2, 6), 3))
    assert fixed(listed, 2)[0] == ("reassign", (book.row_at(7, 6), 2))
    for _ in range(2):
        fix = fixes(listed.view, listed.problems[0])[0]
        do(book, fix.edit, *fix.arguments)
        listed.update()
    assert listed.problems == []
    for t, lane in ((5, 2), (5, 3)):
        row = book.row((t, 0, lane))
        ahead = book.row_at(int(book.track[row]), 6)
        assert ahead is not None
        assert abs(book.detections.position[ahead, 0] - 50 * lane) < 2


def test_a_division_that_is_hidden_in_a_jump_is_proposed() -> None:
    places = lanes()
    y, x = places[3][5]
    for t in range(6, FRAMES):
        places[3][t] = (y - 14, x + t - 5)
    places[7] = {t: (y + 14, x + t - 5) for t in range(6, FRAMES)}
    book = movie(places)
    assert found(book) == [("jump", 3, 0, 6), ("starts", 7, 0, 6)]
    division = "divide", (3, book.row_at(3, 6), book.row_at(7, 6))
    assert fixed(search(book), 0)[0] == division
    assert division in fixed(search(book), 1)


def test_a_fast_track_jumps_only_where_it_is_faster_than_itself() -> None:
    places = lanes(frames=12)
    places[2] = {t: (100.0, 60.0 + 12 * t + 40 * (t >= 8)) for t in range(FRAMES)}
    steps = [("jump", 2, 0, 8)]
    assert [p for p in found(movie(places)) if p[1] == 2] == steps


def test_a_size_jump_is_one_but_not_at_a_division_and_not_at_the_border() -> None:
    odd = {(2, t): 700.0 for t in range(6, FRAMES)}
    assert found(movie(lanes(), area=odd)) == [("size", 2, 0, 6)]
    places = lanes()
    y, x = places[2][6]
    places[2] = {t: p for t, p in places[2].items() if t <= 6}
    for number, side in ((7, -9), (8, 9)):
        places[number] = {t: (y + side, x + t - 6) for t in range(7, FRAMES)}
    book = movie(places, mothers={7: 2, 8: 2}, area={(2, 6): 130.0} | {(7, 7): 130.0, (8, 7): 130.0})
    assert found(book) == []
    places = lanes()
    places[2] = {t: (8.0, x) for t, (_, x) in places[2].items()}
    assert found(movie(places, area=odd)) == []


def test_points_have_no_size_jumps() -> None:
    nothing = {(k, t): 0.0 for k in range(1, 7) for t in range(FRAMES)}
    assert found(movie(lanes(), area=nothing)) == []


def meeting(apart: float) -> Places:
    """Tracks 2 and 3 come close on frames 5 and 6 and part again."""
    places = lanes()
    for t in range(FRAMES):
        away = apart / 2 + 3 * max(abs(t - 5.5) - 0.5, 0)
        x = places[2][t][1]
        places[2][t], places[3][t] = (120 - away, x), (120 + away, x)
    return places


def test_tracks_that_meet_may_be_swapped_once_and_those_that_pass_by_may_not() -> None:
    book = movie(meeting(1.0))
    (problem,) = search(book).problems
    assert (problem.kind, problem.track, problem.other, problem.frame) == ("swap", 2, 3, 6)
    assert fixed(search(book)) == [("swap", (2, 3, 6))]
    assert found(movie(meeting(20.0))) == []


def test_sizes_and_classes_tell_who_is_who_where_tracks_meet() -> None:
    big = {(3, t): 900.0 for t in range(FRAMES)}
    assert found(movie(meeting(1.0), area=big)) == []
    assert found(movie(meeting(1.0), label={(3, t): 1 for t in range(FRAMES)})) == []


def test_a_swap_that_was_made_is_not_asked_about_again() -> None:
    book = movie(meeting(1.0))
    do(book, edits.swap, 2, 3, 6)
    assert found(book) == []


def test_a_short_track_is_one_problem_not_two() -> None:
    places = lanes()
    places[7] = dict.fromkeys((4, 5), (75.0, 100.0))
    book = movie(places)
    assert found(book) == [("short", 7, 0, 4)]
    assert fixed(search(book)) == [("delete", (7,))]


def test_a_lone_daughter_gets_her_sister_or_is_her_mother_going_on() -> None:
    places = lanes()
    y, x = places[3][5]
    places[3] = {t: p for t, p in places[3].items() if t <= 5}
    places[7] = {t: (y - 8, x + t - 5) for t in range(6, FRAMES)}
    alone = {7: 3}
    assert found(movie(places, mothers=alone)) == [("lone daughter", 3, 7, 6)]
    places[8] = {t: (y + 8, x + t - 5) for t in range(6, FRAMES)}
    book = movie(places, mothers=alone)
    assert found(book) == [("lone daughter", 3, 7, 6), ("starts", 8, 0, 6)]
    first, second = book.rows(7)[0], book.rows(8)[0]
    ways = fixed(search(book))
    assert ways[0] == ("divide", (3, first, second))
    assert {name for name, _ in ways} == {"divide", "join", "orphan"}


def test_a_daughter_far_from_her_mother_is_replaced_by_the_one_near() -> None:
    places = lanes()
    y, x = places[3][5]
    places[3] = {t: p for t, p in places[3].items() if t <= 5}
    places[7] = {t: (y - 8, x + t - 5) for t in range(6, FRAMES)}
    places[8] = {t: (y + 8, x + t - 5) for t in range(6, FRAMES)}
    places[9] = {t: (350.0, 100.0 + t) for t in range(6, FRAMES)}
    book = movie(places, mothers={7: 3, 9: 3})
    listed = search(book)
    assert [(p.kind, p.track, p.other) for p in listed.problems] == [("starts", 8, 0), ("far daughter", 9, 3)]
    assert fixed(listed, 1)[0] == ("divide", (3, book.rows(7)[0], book.rows(8)[0]))


def test_a_daughter_is_as_far_as_her_mother_ends_now() -> None:
    places = lanes()
    y, x = places[3][5]
    places[3] = {t: p for t, p in places[3].items() if t <= 5}
    places[7] = {t: (y - 8, x + t - 5) for t in range(6, FRAMES)}
    places[8] = {t: (350.0, 100.0 + t) for t in range(7, FRAMES)}
    book = movie(places, mothers={7: 3, 8: 3})
    listed = search(book)
    texts = [p.text for p in listed.problems if p.kind == "far daughter"]
    do(book, edits.drop, book.rows(3)[-1])
    listed.update()
    now = [p.text for p in listed.problems if p.kind == "far daughter"]
    assert now != texts
    assert listed.problems == ProblemList(book, SIDE, SIDE, scales=listed.scales).problems


def test_a_start_beside_a_running_track_may_be_its_daughter() -> None:
    places = lanes()
    y, x = places[3][5]
    places[3] = {t: (py - 8 * (t > 5), px) for t, (py, px) in places[3].items()}
    places[7] = {t: (y + 8, x + t - 5) for t in range(6, FRAMES)}
    book = movie(places)
    index = [p.kind for p in search(book).problems].index("starts")
    assert fixed(search(book), index)[0] == ("divide", (3, book.row_at(3, 6), book.rows(7)[0]))


def test_an_end_with_two_starts_near_may_divide() -> None:
    places = lanes()
    y, x = places[3][5]
    places[3] = {t: p for t, p in places[3].items() if t <= 5}
    places[7] = {t: (y - 9, x + t - 5) for t in range(6, FRAMES)}
    places[8] = {t: (y + 9, x + t - 5) for t in range(6, FRAMES)}
    book = movie(places)
    assert found(book) == [("ends", 3, 0, 5), ("starts", 7, 0, 6), ("starts", 8, 0, 6)]
    assert fixed(search(book))[0] == ("divide", (3, book.rows(7)[0], book.rows(8)[0]))


def test_a_gap_is_filled_with_the_object_on_the_way_or_without() -> None:
    places = lanes()
    place = places[2].pop(5)
    book = movie(places)
    assert found(book) == [("gap", 2, 0, 5)]
    assert fixed(search(book))[0] == ("fill", (2, 5))
    book = movie(places, loose={5: place})
    assert fixed(search(book))[0] == ("fill", (2, 5, book.row((5, 0, 1))))
    listed = search(book)
    do(book, edits.fill, 2, 5)
    listed.update()
    assert [(p.kind, p.track, p.frame) for p in listed.problems] == [("loose", 2, 5)]
    assert fixed(search(book)) == [("fill", (2, 5, book.row((5, 0, 1))))]
    assert found(movie(lanes(), loose={5: (20.0, 20.0)})) == []


def test_an_end_is_extended_with_the_object_that_is_in_no_track() -> None:
    places = lanes()
    place = places[2][6]
    for t in range(6, FRAMES):
        del places[2][t]
    book = movie(places, loose={6: place})
    row = book.row((6, 0, 1))
    assert found(book) == [("ends", 2, 0, 5)]
    assert fixed(search(book))[0] == ("extend", (2, row))
    listed = search(book)
    do(book, edits.extend, 2, row)
    assert book.last(2) == 6
    listed.update()
    assert [p.frame for p in listed.problems] == [6]


def test_setting_aside_is_one_step_for_good_that_can_be_taken_back() -> None:
    book = movie(lanes() | {7: dict.fromkeys((4, 5), (75.0, 100.0))})
    listed = search(book)
    fix = set_aside(listed.problems[0])
    with book.drafting() as draft:
        text = fix.edit(book, draft, *fix.arguments)
    assert text == "short: right as it is, at object 7 of frame 5"
    assert draft.steps == [["accept", "short", [[4, 0, 7]], False, True]]
    assert listed.update()
    assert listed.problems == []
    with pytest.raises(MiaError, match="already"):
        do(book, fix.edit, *fix.arguments)
    book.take_all(draft.steps, forward=False)
    listed.update()
    assert [p.kind for p in listed.problems] == ["short"]


def test_in_three_dimensions_steps_in_planes_count_by_their_own_scale() -> None:
    rng = np.random.default_rng(1)
    steps = rng.normal(0, 1, (20, FRAMES, 3)) * [0.3, 3, 3]
    start = np.stack([np.full(20, 10.0), *np.divmod(np.arange(20), 5)], 1) * [1, 80, 80] + [0, 40, 40]
    places = start[:, None] + np.cumsum(steps, axis=1)
    places[4, 6:, 0] += 5  # planes
    frame, number = np.tile(np.arange(FRAMES), 20), np.repeat(np.arange(1, 21), FRAMES)
    found = Detections.of(frame, places.reshape(-1, 3), frames=FRAMES)
    track = number[np.argsort(frame, kind="stable")]
    problems = find_problems(TrackBook(found, track), SIDE, SIDE)
    assert ("jump", 5, 6) in [(p.kind, p.track, p.frame) for p in problems]
    assert len(problems[0].position) == 3


# ---- any tracks, any corrections -------------------------------------------------------------------------------------


def crowd(seed: int) -> TrackBook:
    """Objects that wander close to each other in pieces of tracks, some in none, some divided, with gaps."""
    rng = np.random.default_rng(seed)
    count, frames = 9, 10
    places = 30 + rng.uniform(0, 50, (count, 1, 2)) + np.cumsum(rng.normal(0, 2, (count, frames, 2)), axis=1)
    keep = rng.random((count, frames)) > 0.12
    who, frame = np.nonzero(keep)
    pieces = who + 1 + 10 * (frame >= rng.integers(2, 12, count)[who])
    pieces = np.where(rng.random(len(who)) < 0.06, 0, pieces)
    area = np.where(rng.random(len(who)) < 0.05, 90.0, 30.0) * rng.uniform(0.9, 1.1, len(who))
    found = Detections.of(frame, places[who, frame], area=area, frames=frames)
    book = TrackBook(found, pieces[np.argsort(frame, kind="stable")])
    for track in book.numbers[::3]:
        for daughter in book.numbers[1::2][:2]:
            if book.last(track) < book.first(daughter) and daughter not in book.mothers:
                book.mothers[daughter] = track
    part, whole = rng.choice(book.numbers, 2)
    if book.last(part) < book.last(whole) and part not in book.mothers.values():
        book.merged[int(part)] = int(whole)
    check(book.tracks())
    return book


WISHES = st.lists(st.tuples(st.integers(0, 11), *[st.integers(0, 10**6)] * 3), max_size=8)


def wish(book: TrackBook, kind: int, a: int, b: int, c: int) -> tuple[Callable[..., str], tuple[int, ...]]:
    """An edit with arguments that make sense at least sometimes."""
    tracks, rows = book.numbers or [1], len(book.detections)
    one, other, frame = tracks[a % len(tracks)], tracks[b % len(tracks)], c % book.detections.frames
    return [
        (edits.reassign, (a % rows, other)), (edits.swap, (one, other, frame)), (edits.cut, (one, frame)),
        (edits.join, (one, other)), (edits.divide, (one, b % rows, c % rows)), (edits.orphan, (one,)),
        (edits.delete, (one, frame)), (edits.drop, (a % rows,)), (edits.fill, (one, frame)),
        (edits.fill, (one, frame, b % rows)), (edits.extend, (one, b % rows)), (edits.reassign, (a % rows, one + 40)),
    ][kind]  # type: ignore[return-value]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), WISHES)
def test_what_is_looked_at_again_after_each_correction_is_all_that_changes(
    seed: int, wishes: list[tuple[int, int, int, int]]
) -> None:
    book = crowd(seed)
    listed = ProblemList(book, 110, 110)
    undo = []
    for kind, *arguments in wishes:
        edit, values = wish(book, kind, *arguments)
        with suppress(MiaError), book.drafting() as draft:
            edit(book, draft, *values)
            undo.append(draft.steps)
        if kind == 0 and listed.problems:
            fix = set_aside(listed.problems[arguments[1] % len(listed.problems)])
            with suppress(MiaError), book.drafting() as draft:
                fix.edit(book, draft, *fix.arguments)
        listed.update()
        assert listed.problems == ProblemList(book, 110, 110, scales=listed.scales).problems


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), WISHES)
def test_every_fix_that_is_proposed_can_be_made_and_looking_changes_nothing(
    seed: int, wishes: list[tuple[int, int, int, int]]
) -> None:
    book = crowd(seed)
    for kind, *arguments in wishes:
        edit, values = wish(book, kind, *arguments)
        with suppress(MiaError):
            do(book, edit, *values)
    listed = ProblemList(book, 110, 110)
    before = book.track.copy(), book.next_number, dict(book.mothers), dict(book.pins), deepcopy(book.filled)
    for problem in listed.problems:
        proposed: list[Fix] = [*fixes(listed.view, problem), set_aside(problem)]
        for fix in proposed:
            with book.drafting() as draft:
                fix.edit(book, draft, *fix.arguments)
            check(book.tracks())
            assert draft.steps
            book.take_all(draft.steps, forward=False)
            book.next_number = before[1]
    assert (book.track == before[0]).all()
    assert (book.next_number, book.mothers, book.pins, book.filled) == before[1:]
    assert not listed.update()
