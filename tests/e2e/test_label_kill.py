"""kill -9 of the user interface in the middle of labelling: nothing that was shown as saved is missing afterwards."""

import random
import re
import signal
from collections.abc import Iterator

import numpy as np
import pytest
import tifffile
from terminal import Terminal

from mia_tui.labeling.store import FrameStore, read_frame
from mia_tui.project import Project

ROUNDS = 50
SIZE = 400
NEAR = 4
"""Pixels from point to point: nearer ones are refused as the same object."""

Point = tuple[int, int]
State = tuple[tuple[Point, ...], tuple[Point, ...]]
"""The points that are there, in their order, and those that redo would bring back."""


@pytest.fixture
def project(tmp_path) -> Project:
    (tmp_path / "images").mkdir()
    y, x = np.mgrid[:SIZE, :SIZE]
    for name in ("a.tif", "b.tif", "c.tif"):
        tifffile.imwrite(tmp_path / "images" / name, ((y + x) % 256).astype(np.uint8))
    return Project.create(tmp_path / "project", images=tmp_path / "images", task="detection", classes=["spot"])


def points(project, key="a.tif") -> tuple[Point, ...]:
    """(y, x) of the labels as any reader finds them."""
    frame = read_frame(project.labels_path(key, "image"))
    return () if frame is None else tuple((int(o.geometry.y), int(o.geometry.x)) for o in frame.objects.values())


def start(terminal) -> None:
    """Go to the first image on the desk; one pixel per step of the cursor."""
    terminal.see(r"a\.tif +400 x 400")
    terminal.press("g", "l")
    terminal.see(r"▸1 spot \d+")
    terminal.see(r"saved|viewing only")
    assert "viewing only" not in terminal.text, "the lock of the killed one is still in force"
    terminal.write("z")


def shown(terminal) -> int | None:
    """How many points the screen says there are, while it says that all is saved."""
    found = re.search(r"▸1 spot (\d+)", terminal.text)
    return int(found[1]) if found and "saved" in terminal.text and "working" not in terminal.text else None


def plan(rng: random.Random, row: int, before: State) -> tuple[str, list[State]]:
    """What to type, and the states that the frame goes through; each point of this round is on a row of its own."""
    there, undone = before
    typed, states = [f";{abs(row)}{'j' if row > 0 else 'k'}" if row else ""], [before]
    column = 0
    for _ in range(rng.randint(8, 40)):
        kind = rng.choice("aaaaauuU")
        if kind == "a":
            typed.append(f"\r;{NEAR}l")
            there, undone = (*there, (SIZE // 2 + row, SIZE // 2 + NEAR * column)), ()
            column += 1
        else:
            typed.append(kind)
            if kind == "u" and there:
                there, undone = there[:-1], (*undone, there[-1])
            elif kind == "U" and undone:
                there, undone = (*there, undone[-1]), undone[:-1]
        states.append((there, undone))
    return "".join(typed), states


def first_index(states: list[State], fits, at: int) -> int:
    """The first state from `at` on that fits; `at` when none does."""
    return next((i for i in range(at, len(states)) if fits(states[i])), at)


def type_and_kill(project, rng: random.Random, row: int, before: State) -> tuple[list[State], int]:
    """One life of the program: the states it may have reached, and how far it certainly came."""
    typed, states = plan(rng, row, before)
    with Terminal(project.folder, "--graphics", "cells", columns=90, lines=24) as terminal:
        start(terminal)
        assert shown(terminal) == len(before[0]), terminal.text
        terminal.write(typed)
        for _ in range(rng.randint(0, 12)):
            terminal._read()
        count = shown(terminal)
        seen = first_index(states, lambda state: len(state[0]) == count, 0)
        found = points(project)
        read = first_index(states, lambda state: state[0] == found, 0)
        terminal.child.kill(signal.SIGKILL)
        terminal.child.wait()
    return states, max(seen, read)


def after(project, states: list[State], acknowledged: int) -> State:
    """The state on disk, which must be one that was reached after all that was acknowledged."""
    with FrameStore(project.labels_path("a.tif", "image"), SIZE, SIZE) as store:
        found = points(project)
        can_redo = store.redo_text is not None
    for state in states[acknowledged:]:
        if state[0] == found and bool(state[1]) == can_redo:
            return state
    raise AssertionError(f"{found} on disk; after what was shown as saved it may be one of {states[acknowledged:]}")


def rows() -> Iterator[int]:
    yield from (sign * NEAR * number for number in range(1, ROUNDS) for sign in (1, -1))


@pytest.mark.slow
def test_kill_9_in_the_middle_of_labelling_loses_nothing_that_was_shown_as_saved(project) -> None:
    rng = random.Random(5)
    state: State = ((), ())
    done = cut = 0
    for _, row in zip(range(ROUNDS), rows(), strict=False):
        states, acknowledged = type_and_kill(project, rng, row, state)
        state = after(project, states, acknowledged)
        done += acknowledged
        cut += state != states[-1]
    assert done > ROUNDS, "hardly anything was done before the kills"
    assert cut > ROUNDS / 5, "hardly any kill came in the middle of something"
    with Terminal(project.folder, "--graphics", "cells", columns=90, lines=24) as terminal:
        start(terminal)
        assert shown(terminal) == len(state[0])
        everything = points(project)
        terminal.write(";9999u")
        terminal.see(r"▸1 spot 0\b")
        terminal.write(f";{len(everything)}U")
        terminal.see(rf"▸1 spot {len(everything)}\b")
        assert terminal.end() == 0
    assert points(project) == everything == state[0]
    assert not list(project.folder.rglob("*.lock"))
    assert not list(project.folder.rglob(".*.tmp"))


def test_keys_of_one_packet_are_done_in_their_order(project) -> None:
    """Keys of the desk, of the screen and of the app, typed faster than anything can be drawn."""
    with Terminal(project.folder, "--graphics", "cells", columns=90, lines=24) as terminal:
        start(terminal)
        terminal.write("\r;9l\rN" + "z\r;12j\ru" + "N" + "z" + "\r;5h" * 20 + ";3u" + "PP" + ";7k\r" + "?")
        terminal.see("Keys: Label")
        terminal.press("escape")
        terminal.see_no("Keys: Label")
        terminal.see(r"a\.tif +400 x 400")
        assert terminal.end() == 0
    middle = SIZE // 2  # the cursor stays where it was when the next image has the same size
    right, low = middle + 9, middle + 12
    assert points(project) == ((middle, middle), (middle, right), (low - 7, right - 100))
    assert points(project, "b.tif") == ((middle, right),)
    assert points(project, "c.tif") == tuple((low, right - 5 * i) for i in range(17))


def test_a_second_terminal_views_and_can_edit_when_the_first_one_is_killed(project) -> None:
    with Terminal(project.folder, "--graphics", "cells", columns=90, lines=24) as first:
        start(first)
        first.write("\r")
        first.see(r"▸1 spot 1\b")
        with Terminal(project.folder, "--graphics", "cells", columns=90, lines=24) as second:
            second.see(r"a\.tif +400 x 400")
            second.press("g", "l")
            second.see("edited by|another window")  # wherever the line is broken
            second.see("viewing only")
            second.see(r"▸1 spot 1\b")
            second.write("zlllll\r")
            second.see("viewing only")
            assert points(project) == ((SIZE // 2, SIZE // 2),)
            first.child.kill(signal.SIGKILL)
            first.child.wait()
            second.write("N")
            second.see(r"b\.tif +400 x 400")
            second.write("P")
            second.see(r"a\.tif +400 x 400")
            second.see("saved")
            second.write("zlllll\r")
            second.see(r"▸1 spot 2\b")
            assert second.end() == 0
    assert points(project) == ((SIZE // 2, SIZE // 2), (SIZE // 2, SIZE // 2 + 10))
