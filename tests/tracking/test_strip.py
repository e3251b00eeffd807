"""The lineage as text: who lives when, who comes from whom."""

import numpy as np

from mia_tui.tracking.book import TrackBook
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.strip import LABEL, column_of, family, lineage_strip, overview
from mia_tui.tracking.tracks import tracks_of


def dividing() -> TrackBook:
    """a on frames 0 to 2 divides into b and c; b divides on frame 5 into d and e; c misses frame 4; f is alone."""
    alive = {"a": (0, 2), "b": (3, 4), "c": (3, 7), "d": (5, 7), "e": (5, 7), "f": (0, 7)}
    names, frames = [], []
    for name, (first, last) in alive.items():
        for frame in range(first, last + 1):
            if (name, frame) != ("c", 4):
                names.append(name)
                frames.append(frame)
    order = np.argsort(frames, kind="stable")
    rows = {(names[i], frames[i]): row for row, i in enumerate(order.tolist())}
    links = [
        (rows[n, f], rows[n, g])
        for (n, f) in rows
        for g in (f + 1, f + 2)[: 1 if (n, f + 1) in rows else 2]
        if (n, g) in rows
    ]
    links += [
        (rows["a", 2], rows["b", 3]),
        (rows["a", 2], rows["c", 3]),
        (rows["b", 4], rows["d", 5]),
        (rows["b", 4], rows["e", 5]),
    ]
    found = Detections.of(np.array(frames)[order], np.zeros((len(order), 2)))
    return TrackBook.of(found, tracks_of(found, links))


def test_mothers_stand_between_their_daughters() -> None:
    book = dividing()
    a, f = 1, 2
    b, c = book.daughters(a)
    d, e = book.daughters(b)
    assert family(book, d) == [d, b, e, a, c]
    assert family(book, f) == [f]


def test_the_strip_shows_lives_gaps_and_branches() -> None:
    book = dividing()
    lines = lineage_strip(book, 1, LABEL + 8, 10)
    assert [line.text for line in lines] == [
        "     ╭━━",
        "   ╭━┤  ",
        "   │ ╰━━",
        "━━━┤    ",
        "   ╰┄━━━",
    ]
    assert [line.label.strip() for line in lines] == ["5", "3", "6", "▸1", "4"]
    assert all(len(line.owners) == 8 for line in lines)
    assert lines[3].owners[:3] == (1, 1, 1)


def test_more_columns_than_frames_are_shared_out_and_fewer_are_squeezed() -> None:
    book = dividing()
    wide = lineage_strip(book, 1, LABEL + 17, 10)
    assert wide[3].text.startswith("━━━━━━")
    assert column_of(3, 8, LABEL + 17) == 6
    narrow = lineage_strip(book, 2, LABEL + 4, 10)
    assert narrow[0].text == "━━━━"


def test_of_a_large_family_the_lines_around_the_track_are_shown() -> None:
    book = dividing()
    assert [line.label.strip() for line in lineage_strip(book, 4, 40, 2)] == ["1", "▸4"]
    assert [line.label.strip() for line in lineage_strip(book, 5, 40, 2)] == ["▸5", "3"]


def test_the_overview_counts_and_marks() -> None:
    count, divide, doubt = overview(dividing(), [7], LABEL + 8)
    assert count.label.strip() == "4"
    assert [index for index, sign in enumerate(divide.text) if sign != " "] == [3, 5]
    assert [index for index, sign in enumerate(doubt.text) if sign != " "] == [7]
    assert count.text[-1] == "█"
