"""The labelling screen, driven by real keys on a small real project; the files say what happened."""

import asyncio
import re
import threading

import numpy as np
import pytest
import shapely
import tifffile
from driving import screen_text, type_text, until
from textual.events import Key

from mia_tui.app import MiaApp
from mia_tui.labeling.desk.desk import Desk
from mia_tui.labeling.desk.rows import table
from mia_tui.labeling.journal import JournalWriter
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import FrameStore, read_frame, write_frame
from mia_tui.project import Project
from mia_tui.screens.frames import FrameReader
from mia_tui.screens.labeling.screen import LabelScreen

HEIGHT, WIDTH = 48, 64
NAMES = ("a.tif", "b.tif", "c.tif")


@pytest.fixture
def images(tmp_path, monkeypatch):
    for name in ("config", "state"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"MIA_TUI_{name.upper()}", str(tmp_path / name))
    (tmp_path / "images").mkdir()
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for name in NAMES:
        tifffile.imwrite(tmp_path / "images" / name, (100 * y + x).astype(np.uint16))
    return tmp_path / "images"


@pytest.fixture
def project(tmp_path, images) -> Project:
    """Points, which one key adds."""
    return Project.create(tmp_path / "project", images=images, task="detection", classes=["spot", "debris"])


@pytest.fixture
def outlines(tmp_path, images) -> Project:
    """Outlines, with predictions of a model on two of three images."""
    made = Project.create(tmp_path / "project", images=images, classes=["cell", "debris"])
    for name in NAMES[:2]:
        boxes = [
            LabelObject(i, shapely.box(15 * i, 10, 15 * i + 8, 20), "cell", "predicted", i / 10) for i in range(1, 4)
        ]
        write_frame(made.prediction_path("net", name, "image"), FrameLabels.of(HEIGHT, WIDTH, boxes))
    return made


def places(project, key="a.tif") -> list[tuple[float, float]]:
    """(y, x) of the labels on disk, in the order in which they were made."""
    frame = read_frame(project.labels_path(key, "image"))
    return (
        []
        if frame is None
        else [(item.geometry.centroid.y, item.geometry.centroid.x) for item in frame.objects.values()]
    )


async def label(pilot, **context):
    """Go to the labelling screen; wait until an image is on the desk."""
    await until(pilot, lambda: "a.tif" in screen_text(pilot.app))
    pilot.app.go("labeling", **context)
    await until(pilot, lambda: type(pilot.app.screen).__name__ == "LabelScreen")
    screen = pilot.app.screen
    await until(pilot, lambda: ready(screen) and re.search("saved|viewing only", screen_text(pilot.app)))
    return screen


def ready(screen) -> bool:
    """Nothing is being read, and all keys are dealt with."""
    return screen._desk is not None and not (screen._loading or screen._pumping or screen._queue or screen._leaving)


async def settled(pilot, screen) -> None:
    await pilot.pause()
    await until(pilot, lambda: ready(screen))
    await pilot.pause()


def burst(app, *keys) -> None:
    """Keys in one go, as a terminal hands them over that was typed into while the program was busy."""
    for key in keys:
        app.post_message(Key(key, key if len(key) == 1 else None))


def said(app) -> str:
    """Notifications, and the line of the desk."""
    return " | ".join([*(one.message for one in app._notifications), screen_text(app).splitlines()[-3]])


async def test_images_and_labelling_go_on_with_the_image_that_the_other_has_left(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot)
        await pilot.press("N", "N")
        await until(pilot, lambda: "c.tif" in screen_text(app))
        await settled(pilot, screen)
        await pilot.press("escape")
        await settled(pilot, screen)
        assert "Once more leaves" in said(app)
        assert app.screen is screen
        await pilot.press("escape")
        await until(pilot, lambda: "Images" in screen_text(app).splitlines()[0])
        await until(pilot, lambda: "c.tif   64" in screen_text(app))
        await pilot.press("p")
        await until(pilot, lambda: "b.tif   64" in screen_text(app))
        await pilot.press("g", "l")
        await until(pilot, lambda: app.screen is screen and ready(screen))
        await until(pilot, lambda: "b.tif   64" in screen_text(app))


# ---- what is seen ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_image_classes_state_and_keys_are_seen_at_any_size(project, size) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "a.tif" in screen_text(app))
        await pilot.press("g", "l")
        await until(pilot, lambda: "saved" in screen_text(app))
        text = screen_text(app)
        assert "Label" in text.splitlines()[0]
        assert "1/3" in text.splitlines()[0]
        assert re.search(r"a\.tif +64 x 48 · uint16", text)
        assert re.search(r"▸1 spot 0 +2 debris 0", text)
        assert "tool Point" in text
        assert "? Help" in text.splitlines()[-1]
        assert re.search(r"x 32 +y 24 +value 2432", text)
        screen = app.screen
        await pilot.press("enter")
        await settled(pilot, screen)
        assert re.search(r"▸1 spot 1 +2 debris 0", screen_text(app))
        assert re.search(r"1 object +1\.0 keys ", screen_text(app))
        assert screen_text(app).splitlines()[-3].rstrip().endswith("saved")


async def test_without_colour_labels_hints_and_the_chosen_object_are_seen(outlines, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = MiaApp(outlines.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot, key="a.tif", model="net")
        await until(pilot, lambda: all(corner in screen_text(app) for corner in "┌┐└┘"))
        before = screen_text(app)
        await pilot.press("apostrophe")
        await settled(pilot, screen)
        letters = [hint.letters for hint in screen._desk.sketch().hints]
        assert len(letters) == 3
        picture = "".join(screen_text(app).splitlines()[2:-4])
        assert [letter for letter in letters if letter not in picture] == []
        assert not set("".join(letters)) & set("".join(before.splitlines()[2:-4]))
        styles = [s.style for strip in screen._compositor.render_strips() for s in strip if s.style]
        colors = {c.triplet for style in styles for c in (style.color, style.bgcolor) if c is not None and c.triplet}
        assert all(red == green == blue for red, green, blue in colors)


async def test_no_letter_of_the_grid_is_covered_by_the_cursor(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await label(pilot)
        await pilot.press("a")
        await settled(pilot, screen)
        image = "".join(screen_text(app).splitlines()[2:-4])
        assert set("abcdefghijklmnopqrstuvwxy") <= set(image)


async def test_the_footer_follows_the_mode(outlines) -> None:
    app = MiaApp(outlines.folder)
    async with app.run_test(size=(160, 40)) as pilot:
        screen = await label(pilot, key="a.tif", model="net")

        def footer() -> str:
            return screen_text(app).splitlines()[-1]

        assert "y Accept" in footer()
        await pilot.press("apostrophe")
        await settled(pilot, screen)
        assert "y Accept" not in footer()
        assert "esc Leave" in footer()
        await pilot.press("escape", "t")
        await settled(pilot, screen)
        assert "Polygon" in screen_text(app)
        await pilot.press("p", "enter")
        await settled(pilot, screen)
        assert "space New object" in footer()
        assert "? Help" in footer()
        await pilot.press("escape")
        await settled(pilot, screen)
        assert "y Accept" in footer()


async def test_the_help_lists_every_row_with_its_keys_and_reasons_and_does_them(outlines) -> None:
    app = MiaApp(outlines.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await label(pilot, key="a.tif", model="net")
        rows = {action.id: (action, why) for action, why in screen.help_rows()}
        for action in (*table("segmentation"), *type(screen).actions()):
            if not re.match(r"channel_|class_[03-9]", action.id) and action.id != "help":
                assert action.id in rows, action.id
                menu = {"tools": "t ", "object": ", "}.get(action.context, "")
                keys = " ".join(menu + key for key in action.all_keys_text.split())
                assert rows[action.id][0].all_keys_text == keys
        assert rows["undo"][1] is None
        assert rows["accept"][1] is None
        assert "polygon" in rows["polygon_close"][1].lower() if "polygon_close" in rows else True
        await pilot.press("question_mark")
        await until(pilot, lambda: "Keys: Label" in screen_text(app))
        await type_text(pilot, "accept all pending in view")
        await until(pilot, lambda: re.search(r"A +Accept all pending in view", screen_text(app)))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is screen)
        await until(pilot, lambda: len(places(outlines)) == 3)
        await settled(pilot, screen)
        await pilot.press("question_mark")
        await until(pilot, lambda: "Keys: Label" in screen_text(app))
        await type_text(pilot, "accept all pending in view")
        await until(pilot, lambda: "(Nothing is pend" in screen_text(app))
        await pilot.press("escape")


# ---- from image to image ---------------------------------------------------------------------------------------------


async def test_next_previous_and_next_unlabelled(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot)
        await pilot.press("P")
        await settled(pilot, screen)
        assert "first image" in said(app)
        await pilot.press("enter", "N", "enter")
        await settled(pilot, screen)
        assert "b.tif" in screen_text(app)
        await pilot.press("P")
        await settled(pilot, screen)
        await pilot.press("ctrl+n")
        await settled(pilot, screen)
        assert "c.tif" in screen_text(app)
        assert "3/3" in screen_text(app)
        await pilot.press("enter", "N")
        await settled(pilot, screen)
        assert "last image" in said(app)
        await pilot.press("ctrl+n")
        await settled(pilot, screen)
        assert "Every image has labels" in said(app)
    assert [len(places(project, name)) for name in NAMES] == [1, 1, 1]


async def test_looking_through_all_images_writes_nothing(project) -> None:
    before = sorted(path for path in project.folder.rglob("*"))
    assert not (project.folder / "labels").exists()
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot)
        burst(app, "N", "N", "right", "plus", "c", "i", "o", "apostrophe", "escape", "a", "escape", "P", "t", "escape")
        await settled(pilot, screen)
        await pilot.press("g", "i")
        await until(pilot, lambda: type(app.screen).__name__ == "BrowserScreen")
        await app.workers.wait_for_complete()
    looks = project.folder / "state.json"  # how images were looked at is remembered
    assert sorted(path for path in project.folder.rglob("*") if path != looks) == before


async def test_keys_of_one_burst_are_done_in_their_order(project) -> None:
    """Keys of the desk (enter, u), of the screen (N, arrows) and counts, mixed."""
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot)
        await pilot.press("z")  # one pixel per step
        burst(app, "enter", "semicolon", "7", "l", "enter", "shift+down", "enter", "u", "left", "enter", "N", "enter")
        burst(app, "N", "2", "enter", "P", "P", "down", "down", "down", "down", "enter")
        await settled(pilot, screen)
    assert places(project)[:3] == [(24.5, 32.5), (24.5, 39.5), (34.5, 38.5)]
    assert len(places(project)) == 4
    assert len(places(project, "b.tif")) == 1
    (item,) = read_frame(project.labels_path("c.tif", "image")).objects.values()
    assert item.label_class == "debris"


async def test_a_hundred_keys_in_one_burst_all_count(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot)
        await pilot.press("z", "semicolon", "9", "9", "h")
        burst(app, *["enter", "l", "l", "l", "l"] * 15, "u", "u", "u", "ctrl+r")
        await settled(pilot, screen)
        assert len(places(project)) == 13
        assert re.search(r"spot 13 ", screen_text(app))


@pytest.fixture
def held(monkeypatch):
    """Reading of images waits until `set` is called."""
    gate, read = threading.Event(), FrameReader.read

    def waiting(self, request):
        assert gate.wait(20)
        return read(self, request)

    gate.set()
    monkeypatch.setattr(FrameReader, "read", waiting)
    return gate


async def test_keys_typed_while_an_image_is_read_wait_for_it(project, held) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot)
        held.clear()
        await pilot.press("N", "z", "2", "enter", "semicolon", "5", "l", "enter", "u", "1", "enter", "N", "enter")
        assert [places(project, name) for name in NAMES] == [[], [], []]
        held.set()
        await settled(pilot, screen)
    frame = read_frame(project.labels_path("b.tif", "image"))
    assert [(item.geometry.x, item.label_class) for item in frame.objects.values()] == [
        (32.5, "debris"),
        (37.5, "spot"),
    ]
    assert len(places(project, "c.tif")) == 1
    assert places(project) == []


async def test_keys_typed_before_the_first_image_is_there_wait_for_it(project, held) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "a.tif" in screen_text(app))
        held.clear()
        await pilot.press("f8")
        await until(pilot, lambda: type(app.screen).__name__ == "LabelScreen")
        burst(app, "enter", "N", "enter", "shift+right", "enter")
        await pilot.pause()
        held.set()
        await until(pilot, lambda: len(places(project, "b.tif")) == 2)
        await settled(pilot, app.screen)
    assert len(places(project)) == 1


async def test_keys_after_one_that_leads_elsewhere_are_for_what_comes(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await label(pilot)
        burst(app, "enter", "g", "i")
        await until(pilot, lambda: type(app.screen).__name__ == "BrowserScreen")
        assert len(places(project)) == 1
        await pilot.press("f8")
        await until(pilot, lambda: app.screen is screen and ready(screen) and screen._desk.frame is not None)
        burst(app, "shift+right", "enter", "f3", "n", "n")  # next image, in the list of images
        await until(pilot, lambda: type(app.screen).__name__ == "BrowserScreen" and "c.tif   64" in screen_text(app))
        assert len(places(project)) == 2
        await pilot.press("f8")
        await until(pilot, lambda: app.screen is screen and ready(screen) and screen._desk.frame is not None)
        assert "c.tif" in screen_text(app), "the image that was looked at last"
        burst(app, "shift+down", "enter", "question_mark", "u", "n", "d", "o")
        await until(pilot, lambda: "Keys: Label" in screen_text(app) and "undo" in screen_text(app))
        await pilot.press("escape")
    assert len(places(project)) == 2
    assert len(places(project, "c.tif")) == 1


async def test_a_frame_that_is_read_twice_in_a_row_comes_on_the_desk(project, held, monkeypatch) -> None:
    """The second reading ends before the first is opened: on a busy machine, and F8 pressed twice."""
    seen: list[str] = []
    shown, opened = LabelScreen.frame_shown, LabelScreen._put_on_desk

    def count(self, frame):
        seen.append(frame.request.key)
        shown(self, frame)

    async def late(self, *frame):
        while seen.count("c.tif") < 2 and "c.tif" in seen:
            await asyncio.sleep(0.001)
        await opened(self, *frame)

    monkeypatch.setattr(LabelScreen, "frame_shown", count)
    monkeypatch.setattr(LabelScreen, "_put_on_desk", late)
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await label(pilot)
        held.clear()
        screen.enter(key="c.tif")
        await until(pilot, lambda: screen._loader.busy)
        screen.enter(key="c.tif")
        await pilot.press("enter")
        held.set()
        await until(pilot, lambda: seen.count("c.tif") == 2)
        await settled(pilot, screen)
        assert "saved" in screen_text(app)
    assert len(places(project, "c.tif")) == 1


async def test_keys_wait_while_a_frame_is_opened_that_is_wanted_once_more(project, monkeypatch) -> None:
    gate, opening, open_frame = threading.Event(), threading.Event(), Desk.open
    gate.set()

    def waiting(self, *args, **options):
        opening.set()
        assert gate.wait(20)
        return open_frame(self, *args, **options)

    monkeypatch.setattr(Desk, "open", waiting)
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await label(pilot)
        gate.clear()
        opening.clear()
        screen.enter(key="c.tif")
        await until(pilot, opening.is_set)
        screen.enter(key="c.tif")
        burst(app, "enter", "shift+right", "enter", "shift+right", "enter")
        await until(pilot, lambda: not screen._loader.busy and len(screen._queue) == 5)
        gate.set()
        await settled(pilot, screen)
        assert "No image is open" not in said(app)
    assert len(places(project, "c.tif")) == 3


async def test_coming_back_opens_the_image_again_for_editing(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot)
        for count in range(1, 4):
            await pilot.press("shift+right", "enter", "f3")
            await until(pilot, lambda: type(app.screen).__name__ == "BrowserScreen")
            await pilot.press("f8")
            await until(pilot, lambda: app.screen is screen and ready(screen) and screen._desk.frame is not None)
            assert screen._desk.read_only == ""
            assert len(places(project)) == count


# ---- saved -----------------------------------------------------------------------------------------------------------


async def test_saved_is_shown_only_when_it_is_on_disk(project, monkeypatch) -> None:
    gate, append = threading.Event(), JournalWriter.append

    def waiting(self, data):
        assert gate.wait(20)
        append(self, data)

    monkeypatch.setattr(JournalWriter, "append", waiting)
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "working" in screen_text(app))
        assert "saved" not in screen_text(app)
        assert "spot 0" in screen_text(app)
        assert places(project) == []
        await pilot.press("shift+right", "enter")
        gate.set()
        await settled(pilot, screen)
        assert "saved" in screen_text(app)
        assert "spot 2" in screen_text(app)
        assert len(places(project)) == 2


async def test_quitting_in_the_middle_of_keys_loses_none_of_them(project, held) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await label(pilot)
        held.clear()
        burst(app, "enter", "N", "enter", *["shift+right", "enter"] * 2, "u", "q", "x", "x")
        await pilot.pause()
        held.set()
        await until(pilot, lambda: app._exit)
    assert len(places(project)) == 1
    assert len(places(project, "b.tif")) == 2
    assert not list(project.folder.rglob("*.lock"))
    with FrameStore(project.labels_path("b.tif", "image"), HEIGHT, WIDTH) as store:
        assert store.redo_text == "add point"


async def test_another_window_edits_the_image_it_is_told_and_for_viewing(project) -> None:
    path = project.labels_path("a.tif", "image")
    with FrameStore(path, HEIGHT, WIDTH) as other:
        other.edit("other", add=[LabelObject(1, shapely.Point(20, 20), "spot")])
        before = path.with_suffix(".journal").read_bytes()
        app = MiaApp(project.folder)
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await label(pilot)
            assert "being edited by another window" in said(app)
            assert "viewing only" in screen_text(app).splitlines()[0]
            assert "saved" not in screen_text(app)
            assert "spot 1" in screen_text(app)
            burst(app, "enter", "a", "d", "u", "apostrophe", "f", "x", "2")
            await settled(pilot, screen)
            assert "viewing only" in screen_text(app)
            await pilot.press("N", "enter")
            await settled(pilot, screen)
            assert "viewing only" not in screen_text(app)
            assert "saved" in screen_text(app)
        assert path.with_suffix(".journal").read_bytes() == before
    assert len(places(project)) == 1
    assert len(places(project, "b.tif")) == 1


# ---- what was drawn stays --------------------------------------------------------------------------------------------


async def test_another_contrast_keeps_what_is_in_progress(outlines) -> None:
    app = MiaApp(outlines.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot, key="c.tif")
        await pilot.press("t", "p", "enter", "shift+right", "enter", "shift+down", "enter")
        await settled(pilot, screen)
        assert len(screen._desk.mode.corners) == 3
        await pilot.press("c", "i")
        await until(pilot, lambda: "contrast sequence" in screen_text(app))
        await settled(pilot, screen)
        await pilot.press("space")
        await settled(pilot, screen)
    assert len(places(outlines, "c.tif")) == 1


async def test_the_last_key_of_a_burst_draws_what_all_of_them_did(outlines) -> None:
    app = MiaApp(outlines.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot, key="a.tif", model="net")
        assert screen._overlays.layers[0].dashed.sum() == 2, "two of three wait; the chosen one is drawn white"
        burst(app, "A", "escape", "right", "right")
        await settled(pilot, screen)
        assert screen._overlays.layers[0].dashed.sum() == 0
        assert len(places(outlines)) == 3


async def test_undo_goes_on_after_a_restart_and_over_images(outlines) -> None:
    app = MiaApp(outlines.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot, key="a.tif", model="net")
        await pilot.press("y", "x", "A")
        await settled(pilot, screen)
        assert len(places(outlines)) == 2
        await pilot.press("N", "P")
        await settled(pilot, screen)
        await pilot.press("u")
        await settled(pilot, screen)
        assert len(places(outlines)) == 1
    app = MiaApp(outlines.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot, key="a.tif", model="net")
        await pilot.press("u", "u", "u")
        await settled(pilot, screen)
        assert places(outlines) == []
        assert "3 pending of net" in screen_text(app)
        assert "Nothing to undo" in screen_text(app)
        await pilot.press("semicolon", "9", "U")
        await settled(pilot, screen)
        assert len(places(outlines)) == 2
        assert read_frame(outlines.prediction_path("net", "a.tif", "image")).rejected == {2}


# ---- keys of one's own -----------------------------------------------------------------------------------------------


async def test_own_keys_of_desk_screen_and_app_work_and_are_shown(project, tmp_path) -> None:
    """`f` and `N` belong to the screen, `enter` and `u` to the desk, F8 to the app."""
    lines = ('"label.put_cursor" = "f"', '"label.next_image" = "u"', '"*.go_labeling" = "f9"', '"label.remove" = ""')
    (tmp_path / "config" / "keymap.toml").write_text("[keys]\n" + "\n".join(lines))
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "a.tif" in screen_text(app))
        await pilot.press("f9")
        screen = await label(pilot)
        await pilot.press("enter", "x", "f")
        await settled(pilot, screen)
        assert len(places(project)) == 1
        await pilot.press("x")
        await settled(pilot, screen)
        rows = {action.id: action.all_keys_text for action, _ in screen.help_rows()}
        assert rows["put_cursor"] == "f"
        assert rows["next_image"] == "u"
        assert rows["undo"] == "^z"
        assert rows["remove"] == ""
        assert "f" not in rows["zoom_fit"].split()
        assert "remove" not in {action.id for action in screen.footer_actions()}
        await pilot.press("u")
        await settled(pilot, screen)
        assert "b.tif" in screen_text(app)
        assert len(places(project)) == 1, "u is next image, not undo"
        await pilot.press("P", "ctrl+z")
        await settled(pilot, screen)
        assert places(project) == []


async def test_the_preset_of_arrows_is_in_force(project, tmp_path) -> None:
    (tmp_path / "config" / "keymap.toml").write_text('preset = "arrows"\n')
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot)
        await pilot.press("z", "l", "l", "h", "j", "enter", "right", "right", "right", "enter")
        await settled(pilot, screen)
    assert places(project) == [(24.5, 32.5), (24.5, 35.5)]


async def test_a_damaged_key_file_is_said_when_the_app_starts(project, tmp_path) -> None:
    (tmp_path / "config" / "keymap.toml").write_text("[keys\n")
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await label(pilot)
        assert "keymap.toml cannot be read" in said(app)
        await pilot.press("enter")
        await settled(pilot, screen)
    assert len(places(project)) == 1


async def test_two_actions_on_one_key_are_said_on_the_screen(project, tmp_path) -> None:
    (tmp_path / "config" / "keymap.toml").write_text('[keys]\n"label.accept" = "f9"\n"label.next_image" = "f9"\n')
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await label(pilot)
        assert re.search(r"F9 is both label\.accept and label\.next_image", said(app))


async def test_a_drawing_in_progress_follows_the_cursor(outlines) -> None:
    app = MiaApp(outlines.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot)
        await pilot.press("t", "p", "enter")
        await settled(pilot, screen)

        def dots() -> int:
            return sum("\u2800" < char <= "\u28ff" for char in screen_text(app))

        before = dots()
        await pilot.press(*["right"] * 12)
        await settled(pilot, screen)
        await until(pilot, lambda: dots() >= before + 10)
