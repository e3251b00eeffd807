"""Labelling where files are damaged, vanish, or cannot be written: said plainly, others go on, nothing is lost."""

import errno
import json
import os
import re
import shutil
import time

import numpy as np
import pytest
import shapely
import tifffile
from driving import screen_text, until

from mia_tui.app import MiaApp
from mia_tui.labeling import journal as journal_module
from mia_tui.labeling import store as store_module
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import FrameStore, read_frame, write_frame
from mia_tui.project import Project

HEIGHT, WIDTH = 48, 64
NAMES = ("a.tif", "b.tif", "c.tif")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    for name in ("config", "state"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"MIA_TUI_{name.upper()}", str(tmp_path / name))
    (tmp_path / "images").mkdir()
    for name in NAMES:
        write_image(tmp_path / "images" / name)
    made = Project.create(tmp_path / "project", images=tmp_path / "images", task="detection", classes=["spot"])
    with FrameStore(made.labels_path("a.tif", "image"), HEIGHT, WIDTH) as store:
        for number in (1, 2, 3):
            store.edit(f"add {number}", add=[LabelObject(store.new_id(), shapely.Point(10 * number, 10), "spot")])
    return made


def write_image(path, size=(HEIGHT, WIDTH)) -> None:
    y, x = np.mgrid[: size[0], : size[1]]
    tifffile.imwrite(path, (100 * y + x).astype(np.uint16))


def count(project, key="a.tif") -> int:
    frame = read_frame(project.labels_path(key, "image"))
    return 0 if frame is None else len(frame.objects)


def files(project, key="a.tif") -> dict[str, bytes]:
    folder = project.labels_path(key, "image").parent
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".lock"}


def said(app) -> str:
    return " | ".join(one.message for one in app._notifications)


def ready(screen) -> bool:
    return screen._desk is not None and not (screen._loading or screen._pumping or screen._queue or screen._leaving)


async def settled(pilot, screen) -> None:
    await pilot.pause()
    await until(pilot, lambda: ready(screen))
    await pilot.pause()


async def label(pilot, **context):
    await until(pilot, lambda: "tif" in screen_text(pilot.app))
    pilot.app.go("labeling", **context)
    await until(pilot, lambda: type(pilot.app.screen).__name__ == "LabelScreen")
    screen = pilot.app.screen
    await until(pilot, lambda: ready(screen))
    await settled(pilot, screen)
    return screen


async def works_on(pilot, screen, project, key="b.tif") -> None:
    """The image that is open now can be labelled."""
    before = count(project, key)
    await pilot.press("enter")
    await settled(pilot, screen)
    assert key in screen_text(pilot.app)
    assert count(project, key) == before + 1, said(pilot.app)
    await until(pilot, lambda: "saved" in screen_text(pilot.app))


# ---- damaged label files ---------------------------------------------------------------------------------------------


def half(path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def nan(path) -> None:
    path.write_text(path.read_text().replace("[10, 10]", "[NaN, 10]"))


def other_size(path) -> None:
    path.write_text(path.read_text().replace('"height": 48', '"height": 4800'))


def same_ids(path) -> None:
    path.write_text(path.read_text().replace('"id": 2,', '"id": 1,'))


def torn_journal(path) -> None:
    journal = path.with_suffix(".journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], lines[2][:20] + b"\n", *lines[3:]]))


def foreign_beside_journal(path) -> None:
    document = json.loads(path.read_text())
    document.pop("mia_tui")
    path.write_text(json.dumps(document))


DAMAGE = {
    "cut in half": half,
    "empty": lambda path: path.write_bytes(b""),
    "another kind of JSON": lambda path: path.write_text("[1, 2, 3]"),
    "features that are none": lambda path: path.write_text('{"type": "FeatureCollection", "features": [1, null]}'),
    "NaN": nan,
    "of another size": other_size,
    "two objects with one id": same_ids,
    "no text": lambda path: path.write_bytes(os.urandom(300)),
    "nested without end": lambda path: path.write_text("[" * 200_000),
    "coordinates too deep": lambda path: path.write_text(path.read_text().replace("[10, 10]", "[[[[10, 10]]]]")),
    "coordinates of text": lambda path: path.write_text(path.read_text().replace("[10, 10]", '["a", "b"]')),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a torn journal": torn_journal,
    "replaced by another program": foreign_beside_journal,
    "a newer format": lambda path: path.write_text(path.read_text().replace('"format": 1', '"format": 99')),
}


@pytest.mark.parametrize("name", DAMAGE)
async def test_a_damaged_label_file_is_named_never_overwritten_and_the_next_image_is_usable(project, name) -> None:
    path = project.labels_path("a.tif", "image")
    DAMAGE[name](path)
    before = files(project) if path.is_file() else None
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await label(pilot)
        assert f"{path.parent / 'image'}." in said(app)
        assert "a.tif   64 x 48" in screen_text(app), "the image itself is shown"
        assert "saved" not in screen_text(app)
        assert len(app._notifications) <= 2, "the same is said over and over: here and by the list of images"
        app.clear_notifications()
        screen._said.clear()
        for key in ("enter", "a", "u", "A", "apostrophe", "t", "2"):
            await pilot.press(key)
            await settled(pilot, screen)
        assert "image." in said(app), "a key says why it does nothing"
        assert len(app._notifications) == 1, "once is enough"
        await pilot.press("question_mark")
        await until(pilot, lambda: "Keys: Label" in screen_text(app))
        await pilot.press("escape", "N")
        await settled(pilot, screen)
        await works_on(pilot, screen, project)
        await pilot.press("P")
        await settled(pilot, screen)
        await pilot.press("N")
        await settled(pilot, screen)
        await works_on_next_place(pilot, screen, project)
    if before is not None:
        assert files(project) == before


async def works_on_next_place(pilot, screen, project) -> None:
    await pilot.press("shift+right")
    await works_on(pilot, screen, project)


async def test_outlines_that_cross_themselves_are_drawn_and_can_be_worked_with(tmp_path, project) -> None:
    made = Project.create(tmp_path / "other", images=tmp_path / "images", classes=["cell"])
    path = made.labels_path("a.tif", "image")
    write_frame(path, FrameLabels.of(HEIGHT, WIDTH, [LabelObject(1, shapely.box(20, 10, 44, 40), "cell")]))
    document = json.loads(path.read_text())
    document["features"][0]["geometry"]["coordinates"] = [[[20, 10], [44, 40], [44, 10], [20, 40], [20, 10]]]
    path.write_text(json.dumps(document))
    app = MiaApp(made.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot)
        assert "cell 1" in screen_text(app)
        await pilot.press("t", "p", *["enter", "shift+right", "enter", "shift+down", "enter", "shift+left", "enter"])
        await pilot.press("space")
        await settled(pilot, screen)
        assert "cell 2" in screen_text(app)
        assert "saved" in screen_text(app)
    assert count(made) == 2


@pytest.mark.slow
async def test_an_outline_of_a_million_corners_can_be_opened_and_worked_beside(tmp_path, project) -> None:
    made = Project.create(tmp_path / "other", images=tmp_path / "images", classes=["cell"])
    angle = np.linspace(0, 2 * np.pi, 1_000_000, endpoint=False)
    radius = 15 + 0.5 * np.sin(5000 * angle)
    ring = np.stack([32 + radius * np.cos(angle), 24 + radius * np.sin(angle)], axis=1)
    write_frame(
        made.labels_path("a.tif", "image"),
        FrameLabels.of(HEIGHT, WIDTH, [LabelObject(1, shapely.Polygon(ring), "cell")]),
    )
    app = MiaApp(made.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        started = time.monotonic()
        screen = await label(pilot)
        await until(pilot, lambda: "saved" in screen_text(app), seconds=60)
        opened = time.monotonic()
        assert "cell 1" in screen_text(app)
        for key in ("right", "apostrophe", "f", "escape", "plus", "minus"):
            await pilot.press(key)
        await settled(pilot, screen)
        drawn = time.monotonic()
        await pilot.press("t", "p", "z", *["enter", "shift+right"] * 2, "shift+down", "enter", "space")
        await settled(pilot, screen)
        print(
            f"open {opened - started:.1f} s, six keys {drawn - opened:.1f} s, polygon {time.monotonic() - drawn:.1f} s"
        )
        assert drawn - opened < 20
        await pilot.press("N")
        await settled(pilot, screen)
        assert "b.tif" in screen_text(app)
        assert "saved" in screen_text(app)


# ---- images that vanish or change ------------------------------------------------------------------------------------


async def test_an_image_that_vanishes_while_it_is_open_loses_no_label(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot)
        project.image("a.tif").path.unlink()
        await works_on(pilot, screen, project, "a.tif")
        await pilot.press("c")
        await settled(pilot, screen)
        await until(pilot, lambda: "a.tif" in said(app) + screen_text(app))
        await pilot.press("N")
        await settled(pilot, screen)
        await works_on(pilot, screen, project)
        await pilot.press("P")
        await settled(pilot, screen)
        await pilot.press("enter", "N")
        await settled(pilot, screen)
        await works_on_next_place(pilot, screen, project)
    assert count(project) == 4


async def test_an_image_that_shrinks_while_it_is_open_keeps_its_labels(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot)
        await works_on(pilot, screen, project, "a.tif")
        write_image(project.image("a.tif").path, (20, 20))
        await pilot.press("c")
        await until(pilot, lambda: "belongs to an image of 48 x 64, not 20 x 20" in said(app))
        await settled(pilot, screen)
        await pilot.press("enter", "u")
        await settled(pilot, screen)
        assert count(project) == 4
        await pilot.press("N")
        await settled(pilot, screen)
        await works_on(pilot, screen, project)
    assert count(project) == 4


@pytest.mark.parametrize("data", [b"", b"II*\0 this is no image", b"\x89PNG\r\n\x1a\n"])
async def test_an_image_that_is_none_is_said_and_the_others_go_on(project, data) -> None:
    project.image("b.tif").path.write_bytes(data)
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await label(pilot)
        await pilot.press("N", "enter", "enter")
        await settled(pilot, screen)
        assert "b.tif" in screen_text(app)
        app.clear_notifications()
        screen._said.clear()
        await pilot.press("enter")
        await settled(pilot, screen)
        assert "b.tif" in said(app)
        await pilot.press("N")
        await settled(pilot, screen)
        await works_on(pilot, screen, project, "c.tif")
    assert count(project, "b.tif") == 0
    assert count(project) == 3


async def test_all_images_gone_is_said(project) -> None:
    shutil.rmtree(project.roots["train"])
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        await pilot.press("f8")
        await until(pilot, lambda: type(app.screen).__name__ == "LabelScreen")
        await until(pilot, lambda: re.search("No images|does not exist|cannot be read|missing", screen_text(app)))
        await pilot.press("enter", "N", "u")
        await pilot.pause()
        await pilot.press("q")
    assert count(project) == 3


# ---- files that cannot be written ------------------------------------------------------------------------------------


async def test_a_full_disk_is_said_the_edit_is_not_counted_and_it_goes_on_when_there_is_room(
    project, monkeypatch
) -> None:
    write, full = os.write, True

    def no_room(handle, data):
        if not (full and b'"op"' in bytes(data)):
            return write(handle, data)
        write(handle, bytes(data)[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(journal_module.os, "write", no_room)
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await label(pilot)
        for _ in range(2):
            await pilot.press("enter")
            await settled(pilot, screen)
            assert "spot 3" in screen_text(app)
            assert "No space left" in screen_text(app) + said(app)
            assert count(project) == 3
        full = False
        await pilot.press("enter", "u", "U")
        await settled(pilot, screen)
        assert "spot 4" in screen_text(app)
        assert count(project) == 4
    with FrameStore(project.labels_path("a.tif", "image"), HEIGHT, WIDTH) as store:
        assert len(store.frame.objects) == 4
        assert store.undo_text == "add point"


async def test_a_disk_that_is_full_when_an_image_is_left_keeps_the_edits_in_the_journal(project, monkeypatch) -> None:
    real, full = store_module._write_snapshot, True

    def no_room(path, *rest):
        if full and "a.tif" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, *rest)

    def snapshot(path, *rest):
        try:
            no_room(path, *rest)
        except OSError as error:
            raise store_module.MiaError(f"{path} cannot be written: {error.strerror}.") from None

    monkeypatch.setattr(store_module, "_write_snapshot", snapshot)
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await label(pilot)
        await pilot.press("enter", "N")
        await settled(pilot, screen)
        assert "No space left" in said(app)
        await works_on(pilot, screen, project)
        assert count(project) == 4
        await pilot.press("P", "shift+right", "enter")
        await settled(pilot, screen)
        assert count(project) == 5
        app.clear_notifications()
        screen._said.clear()
        await pilot.press("q")
        await until(pilot, lambda: "No space left" in said(app))
        assert not app._exit, "it is said before the program ends"
        await pilot.press("q")
        await until(pilot, lambda: app._exit)
    full = False
    assert count(project) == 5
    with FrameStore(project.labels_path("a.tif", "image"), HEIGHT, WIDTH) as store:
        assert len(store.frame.objects) == 5


async def test_labels_that_may_not_be_written_can_be_viewed(project, monkeypatch) -> None:
    """A read-only file system: not even a lock can be made."""
    real = os.open

    def read_only(path, flags, *rest, **more):
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) and str(project.folder) in str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", read_only)
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await label(pilot)
        assert "Read-only file system" in said(app)
        await until(pilot, lambda: "viewing only" in screen_text(app))
        assert "spot 3" in screen_text(app)
        await pilot.press("enter")
        await settled(pilot, screen)
        await until(pilot, lambda: "viewing only" in screen_text(app))
        await pilot.press("N")
        await settled(pilot, screen)
        await until(pilot, lambda: "viewing only" in screen_text(app))
    assert count(project) == 3


async def test_a_file_in_the_place_of_the_labels_folder_is_said(project) -> None:
    shutil.rmtree(project.folder / "labels")
    (project.folder / "labels").write_text("not a folder")
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await label(pilot)
        assert "labels" in said(app)
        await pilot.press("enter", "N", "enter", "ctrl+n")
        await settled(pilot, screen)
    assert (project.folder / "labels").read_text() == "not a folder"


# ---- other programs --------------------------------------------------------------------------------------------------


async def test_a_label_file_that_another_program_changes_is_not_overwritten(project) -> None:
    path = project.labels_path("a.tif", "image")
    theirs = json.dumps({"type": "FeatureCollection", "features": []})
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await label(pilot)
        await works_on(pilot, screen, project, "a.tif")
        path.write_text(theirs)
        await pilot.press("shift+right", "enter", "N")
        await settled(pilot, screen)
        assert "was changed by another program" in said(app)
        await works_on(pilot, screen, project)
        assert path.read_text() == theirs
        app.clear_notifications()
        screen._said.clear()
        await pilot.press("P")
        await settled(pilot, screen)
        assert "replaced by another program" in said(app)
        await pilot.press("enter", "N")
        await settled(pilot, screen)
        await works_on_next_place(pilot, screen, project)
    assert path.read_text() == theirs
    assert len(path.with_suffix(".journal").read_text().splitlines()) == 6, "the edits are still in the journal"


@pytest.mark.parametrize("first", [True, False], ids=["before the first edit", "after an edit"])
@pytest.mark.parametrize("what", ["journal", "folder"])
async def test_a_journal_that_vanishes_is_said_before_an_edit_counts(project, what, first) -> None:
    path = project.labels_path("a.tif", "image")
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await label(pilot)
        if not first:
            await works_on(pilot, screen, project, "a.tif")
        if what == "journal":
            path.with_suffix(".journal").unlink()
        else:
            shutil.rmtree(path.parent)
        await pilot.press("shift+down", "enter")
        await settled(pilot, screen)
        assert "image.journal" in screen_text(app) + said(app)
        assert f"spot {3 if first else 4}" in screen_text(app), "what is not on disk is not shown as if it were"
        await pilot.press("N")
        await settled(pilot, screen)
        await works_on(pilot, screen, project)
        await pilot.press("P")
        await settled(pilot, screen)
        there = {("journal", True): 3, ("folder", True): 0}.get((what, first), 4)
        assert count(project) == there, "what was shown as saved is written when the image is left"
        await pilot.press("shift+right")
        await works_on(pilot, screen, project, "a.tif")


async def test_damaged_predictions_leave_the_labels_usable(tmp_path, project) -> None:
    path = project.prediction_path("net", "a.tif", "image")
    write_frame(path, FrameLabels.of(HEIGHT, WIDTH, [LabelObject(1, shapely.Point(50, 40), "spot", "predicted", 0.5)]))
    half(path)
    before = path.read_bytes()
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await label(pilot, key="a.tif", model="net")
        assert "image.geojson" in said(app)
        await works_on(pilot, screen, project, "a.tif")
        await pilot.press("N")
        await settled(pilot, screen)
        await works_on(pilot, screen, project)
    assert path.read_bytes() == before


async def test_what_is_remembered_of_the_looks_cannot_stop_anything(project) -> None:
    (project.folder / "state.json").mkdir()
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await label(pilot)
        await pilot.press("i", "c", "plus", "N")
        await settled(pilot, screen)
        await works_on(pilot, screen, project)
