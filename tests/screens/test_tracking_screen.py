"""The tracking screen, driven by real keys on a small real project; the files say what happened."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from driving import screen_text, until
from movies import SIZE, linked, movie, squares

from mia_tui.app import MiaApp
from mia_tui.labeling.store import write_frame
from mia_tui.tracking.sequence import find_sequence
from mia_tui.tracking.store import TrackStore, read_tracks, tracks_path

LANES = [{k: (30.0 * k, 60.0) for k in (1, 2, 3)} for _ in range(8)]
STRAIGHT = {t: [(1, 1), (2, 2), (3, 3)] for t in range(7)}
BROKEN = {**STRAIGHT, 3: [(1, 1), (3, 3)]}


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("config", "state"):
        monkeypatch.setenv(f"MIA_TUI_{name.upper()}", str(tmp_path / name))


@pytest.fixture
def project(tmp_path: Path):
    made = movie(tmp_path, LANES)
    linked(made, BROKEN)
    return made


def spans(project) -> list[list[int]]:
    return read_tracks(project, find_sequence(project, "lapse.tif"), "labels").spans().tolist()


async def track(pilot):
    """Go to the tracks by keys; wait until a frame with them is shown."""
    await until(pilot, lambda: "lapse.tif" in screen_text(pilot.app))
    await pilot.press("g", "k")
    await until(pilot, lambda: "saved" in screen_text(pilot.app) and pilot.app.screen.shown is not None)
    return pilot.app.screen


async def press(pilot, *keys: str) -> str:
    """Press keys and wait until all are dealt with; what is in sight then."""
    await pilot.press(*keys)
    screen = pilot.app.screen
    await until(pilot, lambda: not (screen._pumping or screen._queue) and screen._frame == screen._desk.frame)
    await pilot.pause()
    return screen_text(pilot.app)


async def test_a_problem_is_found_mended_and_on_disk(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await track(pilot)
        assert "frame 1/8 · 4 tracks · 0 divisions" in screen_text(app)
        text = await press(pilot, "tab")
        assert "join" in text
        assert "frame 5/8" in text or "frame 4/8" in text
        text = await press(pilot, "1")
        assert "joined as 2" in text
        assert "3 tracks" in text
        assert "1 correction" in text
        path = tracks_path(project, "lapse.tif", "labels")
        assert path.with_suffix(".journal").exists()  # before anything is closed
        await press(pilot, "u")
        assert "4 tracks" in screen_text(app)
        await press(pilot, "U")
    assert spans(project) == [[1, 0, 7, 0], [2, 0, 7, 0], [3, 0, 7, 0]]


async def test_going_elsewhere_lets_others_correct_and_coming_back_goes_on(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await track(pilot)
        text = await press(pilot, "right", "right", "apostrophe", "f")
        assert "frame 3/8" in text
        held = screen._desk.track
        assert held
        await pilot.press("f3")
        await until(pilot, lambda: type(app.screen).__name__ == "BrowserScreen" and screen._desk is None)
        with TrackStore(project, find_sequence(project, "lapse.tif"), "labels") as store:
            assert not store.read_only
        await pilot.press("g", "k")
        await until(pilot, lambda: "frame 3/8" in screen_text(app))


async def test_keys_typed_ahead_are_dealt_with_in_their_order(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await track(pilot)
        text = await press(pilot, "slash", "1", "enter", "right", "right", "right", "x", "R", "9", "enter")
        assert "track 9" in text
    assert [9, 3, 7, 0] in spans(project)


async def test_playing_stops_at_the_end(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await track(pilot)
        await pilot.press("space")
        await until(pilot, lambda: "frame 8/8" in screen_text(app) and screen._timer is None)


async def test_without_tracks_it_says_how_to_make_them_and_a_key_does(tmp_path: Path) -> None:
    project = movie(tmp_path, LANES)
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "lapse.tif" in screen_text(app))
        await pilot.press("g", "k")
        await until(pilot, lambda: "has no tracks of labels yet" in screen_text(app))
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "3 tracks" in screen_text(app), 60)
    assert spans(project) == [[1, 0, 7, 0], [2, 0, 7, 0], [3, 0, 7, 0]]


async def test_the_movie_that_was_looked_at_is_opened_and_not_images_that_are_no_series(tmp_path: Path) -> None:
    project = movie(tmp_path, LANES)
    for name in ("kidney.png", "liver.png"):
        cv2.imwrite(str(project.roots["train"] / name), np.zeros(SIZE, np.uint8))
        write_frame(project.labels_path(name, "image"), squares(LANES[0]))
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "kidney.png" in screen_text(app))
        await pilot.press("g", "k")
        await until(pilot, lambda: "lapse.tif has no tracks" in screen_text(app))
        await pilot.press("S")
        await until(pilot, lambda: "perhaps no series" in screen_text(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "do not say that these images follow each other" in screen_text(app))
        await pilot.press("ctrl+l")  # what was chosen is linked and opened, not what is at hand
        await until(pilot, lambda: "frame 1/2" in screen_text(app), 60)


async def test_without_anything_to_track_it_says_what_it_takes(tmp_path: Path) -> None:
    project = movie(tmp_path, LANES[:1])
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "lapse.tif" in screen_text(app))
        await pilot.press("g", "k")
        await until(pilot, lambda: "Nothing can be tracked yet" in screen_text(app))
        await pilot.press("space", "tab", "ctrl+l")
        await until(pilot, lambda: any("label or predict" in note.message for note in app._notifications))


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_the_lineage_shows_who_divides(tmp_path: Path, size: tuple[int, int]) -> None:
    project = movie(tmp_path, LANES)
    linked(project, {**STRAIGHT, 3: [(1, 1), (2, 2), (2, 3)]})
    app = MiaApp(project.folder)
    async with app.run_test(size=size) as pilot:
        await track(pilot)
        text = await press(pilot, "slash", "2", "enter")
        assert "▸2" in text
        assert "┤" in text
        assert "╰━" in text
        text = await press(pilot, "down")
        assert "from 2" in text


async def test_a_damaged_file_is_named_and_nothing_is_changed(project) -> None:
    path = tracks_path(project, "lapse.tif", "labels")
    path.write_text("nonsense")
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "lapse.tif" in screen_text(app))
        await pilot.press("g", "k")
        await until(pilot, lambda: "CSV parse error" in screen_text(app))
    assert path.read_text() == "nonsense"
