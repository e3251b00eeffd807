"""Labelling whole images, driven by keys on a small real project; the label files say what happened."""

import re
import threading

import numpy as np
import pytest
import shapely
import tifffile
from driving import screen_text, type_text, until
from PIL import Image

from mia_tui.app import MiaApp
from mia_tui.labeling.image_class import image_class, image_label, set_image_class
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import open_labels, read_frame, write_frame
from mia_tui.project import Project
from mia_tui.screens.labeling.contact_sheet import HINTS, SheetScreen

PLACE = "labeling.image_class"
SIZE = 40, 50
NAMES = ("a/0.png", "a/1.png", "a/2.png", "b/3.png", "b/4.png")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))
    for number, name in enumerate(NAMES):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(SIZE, 40 * number, np.uint8)).save(path)
    return Project.create(
        tmp_path / "project", images=tmp_path / "images", task="classification", classes=["round", "flat"], name="p"
    )


def predict(project, scores) -> None:
    """Predictions of model `net`: (class, score) by image."""
    for key, (name, score) in scores.items():
        item = LabelObject(1, shapely.box(0, 0, 50, 40), name, "predicted", score=score)
        write_frame(project.prediction_path("net", key, "image"), FrameLabels.of(*SIZE, [item]))


def on_disk(project) -> dict[str, str | None]:
    """The classes in the label files, by the digit in the image's name."""
    found = {key[-5]: image_class(read_frame(project.labels_path(key, "image"))) for key in NAMES}
    return {number: name for number, name in found.items() if name is not None}


def label(project, key, frame="image"):
    return image_label(read_frame(project.labels_path(key, frame)))


async def opened(pilot) -> None:
    app = pilot.app
    app.go(PLACE)
    await until(pilot, lambda: app.current_mode == PLACE and app.screen.shown is not None)
    await settled(pilot)


async def settled(pilot) -> None:
    await pilot.pause()
    await until(pilot, lambda: re.search(r"\d   saved", screen_text(pilot.app)))
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def messages(app) -> str:
    return "\n".join(n.message for n in app._notifications)


# ---- one image -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_a_digit_gives_the_class_and_shows_the_next_image(project, size) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        assert "no class yet" in screen_text(app)
        assert re.search(r"1 ■ round 0   2 ■ flat 0", screen_text(app))
        await pilot.press("1")
        await settled(pilot)
        text = screen_text(app)
        assert "image 2/5" in text
        assert "1/5   saved" in text
        assert "1 ■ round 1" in text
        assert re.search(r"1\.0 keys \d+\.\d s per image", text)
        assert on_disk(project) == {"0": "round"}
        assert label(project, "a/0.png").geometry.equals(shapely.box(0, 0, 50, 40))
        await pilot.press("p")
        await settled(pilot)
        assert re.search(r"■ round\s*\n", screen_text(app))


async def test_type_ahead_is_honoured(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("1", "2", "n", "1", "2")
        await settled(pilot)
        assert on_disk(project) == {"0": "round", "1": "flat", "3": "round", "4": "flat"}
        assert "This was the last image" in messages(app)
        await pilot.press("P")
        await until(pilot, lambda: "image 3/5" in screen_text(app))
        await pilot.press("N")
        await until(pilot, lambda: "No later image is unlabelled." in messages(app))


async def test_clear_undo_and_redo_go_over_images_and_restarts(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("1", "2", "p", "backspace")
        await settled(pilot)
        assert on_disk(project) == {"0": "round"}
        await pilot.press("q")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("u")
        await settled(pilot)
        assert on_disk(project) == {"0": "round", "1": "flat"}
        assert "image 2/5" in screen_text(app)
        await pilot.press("u", "u")
        await settled(pilot)
        assert on_disk(project) == {}
        assert "image 1/5" in screen_text(app)
        await pilot.press("u")
        await until(pilot, lambda: "Nothing to undo." in messages(app))
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("U", "ctrl+r", "U")
        await settled(pilot)
        assert on_disk(project) == {"0": "round"}
        await pilot.press("u")
        await settled(pilot)
        assert on_disk(project) == {"0": "round", "1": "flat"}


async def test_a_whole_folder_is_one_decision_also_after_a_restart(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("F")
        assert "Which class?" in messages(app)
        await pilot.press("2", "p", "x", "n", "1", "F")
        await settled(pilot)
        assert on_disk(project) == {"0": "round", "1": "round", "2": "round"}
        assert "2 images are round, 1 left as they were. u takes it back." in messages(app)
        await pilot.press("u")
        await settled(pilot)
        assert on_disk(project) == {"1": "round"}
        await pilot.press("U")
        await settled(pilot)
        await pilot.press("p", "2", "ctrl+f")
        await settled(pilot)
        assert on_disk(project) == {"0": "flat", "1": "flat", "2": "flat"}
        await pilot.press("q")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("u")
        await settled(pilot)
        assert on_disk(project) in (
            {"0": "round", "1": "flat", "2": "round"},
            {"0": "flat", "1": "round", "2": "round"},
        )
        await pilot.press("u", "u")
        await settled(pilot)
        assert on_disk(project) == {"1": "round"}


async def test_all_frames_of_a_stack(project) -> None:
    stack = np.zeros((4, *SIZE), np.uint8)
    tifffile.imwrite(project.roots["train"] / "z.tif", stack, imagej=True, metadata={"axes": "TYX"})
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("n", "n", "n", "n", "n", "n")
        await until(pilot, lambda: "image 7/9" in screen_text(app))
        await pilot.press("2")
        await settled(pilot)
        assert "t0002z0000" in screen_text(app)
        await pilot.press("S")
        await settled(pilot)
        assert [label(project, "z.tif", f"t000{t}z0000").label_class for t in range(4)] == ["flat"] * 4
        await pilot.press("u")
        await settled(pilot)
        assert label(project, "z.tif", "t0001z0000").label_class == "flat"
        assert label(project, "z.tif", "t0003z0000") is None


async def test_an_image_open_in_another_window_is_told_and_stays_as_it_is(project) -> None:
    app = MiaApp(project.folder)
    with open_labels(project, "a/0.png", "image", *SIZE) as other:
        set_image_class(other, "flat")
        async with app.run_test(size=(120, 40)) as pilot:
            await opened(pilot)
            await pilot.press("p") if "image 2/5" in screen_text(app) else None
            await until(pilot, lambda: "open in another window: read-only here" in screen_text(app))
            await pilot.press("1")
            await settled(pilot)
            assert "a/0.png" in messages(app)
            assert "being edited by another window" in messages(app)
            assert "2 ■ flat 1" in screen_text(app)
            assert on_disk(project) == {"0": "flat"}


async def test_an_edit_of_another_window_is_not_taken_back(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("1", "1")
        await settled(pilot)
        with open_labels(project, "a/1.png", "image", *SIZE) as other:
            set_image_class(other, "flat")
        await pilot.press("u")
        await settled(pilot)
        assert "edited elsewhere since" in messages(app)
        assert on_disk(project) == {"0": "round", "1": "flat"}
        await pilot.press("u")
        await settled(pilot)
        assert on_disk(project) == {"1": "flat"}


async def test_quitting_waits_for_the_disk(project, monkeypatch) -> None:
    from mia_tui.screens.labeling.class_desk import ClassDesk

    gate, act = threading.Event(), ClassDesk.classify

    def slow(self, *args, **options):
        assert gate.wait(20)
        return act(self, *args, **options)

    monkeypatch.setattr(ClassDesk, "classify", slow)
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("1", "2", "1")
        await pilot.pause()
        assert "3/5   saving 3 …" in screen_text(app)
        assert on_disk(project) == {}
        gate.set()
        await pilot.press("q")
        await pilot.pause()
    assert on_disk(project) == {"0": "round", "1": "flat", "2": "round"}


async def test_a_broken_image_is_told_and_the_others_go_on(project) -> None:
    (project.roots["train"] / "a" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n no image")
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("1")
        await until(pilot, lambda: "1.png" in screen_text(app) and "image 2/5" in screen_text(app))
        await pilot.press("1", "2")
        await settled(pilot)
        assert on_disk(project) == {"0": "round", "2": "flat"}
        assert "2/5   saved" in screen_text(app)


async def test_a_class_renamed_in_another_window_is_not_written(project) -> None:
    from mia_tui.labeling.classes import rename_class

    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        rename_class(project, "round", "globular")
        await pilot.press("1")
        await settled(pilot)
        assert "renamed or removed in another window" in messages(app)
        assert on_disk(project) == {}
        await pilot.press("R")
        await until(pilot, lambda: "1 ■ globular 0" in screen_text(app))
        await settled(pilot)
        await pilot.press("p", "1")
        await settled(pilot)
        assert "globular" in on_disk(project).values()


async def test_classes_are_edited_from_here(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("1", "C", "enter", "ctrl+u")
        await type_text(pilot, "ball")
        await pilot.press("enter")
        await until(pilot, lambda: not app.screen.busy and "round is now ball" in screen_text(app))
        assert on_disk(project) == {"0": "ball"}
        await pilot.press("escape")
        await until(pilot, lambda: "1 ■ ball 1" in screen_text(app))
        await settled(pilot)
        await pilot.press("1")
        await settled(pilot)
        assert set(on_disk(project).values()) == {"ball"}


async def test_predictions_are_shown_and_accepted(project) -> None:
    predict(project, {"a/0.png": ("round", 0.91), "a/1.png": ("flat", 0.4)})
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        assert re.search(r"no class yet   predicted ■ round 0\.91   y accepts", screen_text(app))
        await pilot.press("y")
        await settled(pilot)
        assert (label(project, "a/0.png").source, label(project, "a/0.png").score) == ("accepted", 0.91)
        await pilot.press("1")
        await settled(pilot)
        assert (label(project, "a/1.png").source, label(project, "a/1.png").origin) == ("corrected", "net#1")
        await pilot.press("p")
        await until(pilot, lambda: "differs ✗" in screen_text(app))


# ---- contact sheet ---------------------------------------------------------------------------------------------------


async def sheet(pilot) -> None:
    await pilot.press("v")
    await until(pilot, lambda: isinstance(pilot.app.screen, SheetScreen) and "[a]" in screen_text(pilot.app))
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


async def test_a_page_of_unlabelled_images_is_labelled_with_the_odd_ones_marked(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await sheet(pilot)
        assert "no class yet   5 images   page 1/1" in screen_text(app)
        assert all(f"[{hint}]" in screen_text(app) for hint in HINTS[:5])
        await pilot.press("enter")
        assert "Which class does the rest get?" in messages(app)
        await pilot.press("s", "f", "f", "d", "d", "d")
        assert len(re.findall(r"\] ✗", screen_text(app))) == 2
        assert "✗ 2 marked" in screen_text(app)
        assert on_disk(project) == {}
        await pilot.press("2")
        await settled(pilot)
        assert on_disk(project) == {"1": "flat", "2": "flat"}
        assert "✗" not in screen_text(app)
        await pilot.press("1", "g", "h", "enter")
        await settled(pilot)
        assert "No picture has the letter h." in messages(app)
        await pilot.press("v")
        await settled(pilot)
        assert on_disk(project) == {"0": "round", "1": "flat", "2": "flat", "3": "round", "4": "round"}


@pytest.mark.parametrize(("size", "expected"), [((80, 24), 8), ((120, 40), 24), ((200, 50), 24), ((60, 18), 3)])
async def test_as_many_pictures_as_fit_and_pages_for_the_rest(project, size, expected) -> None:
    for number in range(5, 30):
        Image.fromarray(np.full(SIZE, 5 * number, np.uint8)).save(project.roots["train"] / "b" / f"{number}.png")
    app = MiaApp(project.folder)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await sheet(pilot)
        assert len(re.findall(r"\[[a-z]\]", screen_text(app))) == expected
        pages = -(-30 // expected)
        assert f"page 1/{pages}" in screen_text(app)
        for page in range(2, pages + 1):
            await pilot.press("space")
            assert f"page {page}/{pages}" in screen_text(app)
        await pilot.press("space")
        assert "This is the last page." in messages(app)


async def test_the_most_doubtful_predictions_come_first_and_a_page_is_taken_back_by_one_key(project) -> None:
    scores = {"a/0.png": 0.9, "a/1.png": 0.3, "a/2.png": 0.6, "b/3.png": 0.5}
    predict(project, {key: ("round", score) for key, score in scores.items()} | {"b/4.png": ("flat", 0.7)})
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await sheet(pilot)
        assert re.findall(r"\] round (0\.\d+)", screen_text(app)) == ["0.30", "0.50", "0.60", "0.90"]
        await pilot.press("a", "2", "s", "enter")  # image 1 is flat, image 3 is left open, the rest is taken
        await settled(pilot)
        assert on_disk(project) == {"0": "round", "1": "flat", "2": "round"}
        assert [label(project, f"a/{i}.png").source for i in range(3)] == ["accepted", "corrected", "accepted"]
        assert "What was left out comes again: 1 image." in messages(app)
        assert "predicted round   1 image   " in screen_text(app)
        await pilot.press("u")
        await settled(pilot)
        assert on_disk(project) == {"1": "flat"}
        await pilot.press("tab")
        await until(pilot, lambda: "predicted flat   1 image " in screen_text(app))
        await pilot.press("tab")
        await until(pilot, lambda: "labelled flat   1 image " in screen_text(app))
        await pilot.press("a", "1")
        await settled(pilot)
        assert on_disk(project) == {"1": "round"}
        assert re.search(r"\[a\] ✓ round", screen_text(app))


async def test_marks_can_be_told_without_colours(project, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = MiaApp(project.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await sheet(pilot)
        before = screen_text(app)
        await pilot.press("d")
        assert before.count("✗") == 0
        assert screen_text(app).count("✗") == 3  # on the picture, in its line, and in the line above
        assert re.search(r"\[d\] ✗", screen_text(app))


async def test_a_picture_that_cannot_be_read_says_why_and_is_not_taken(project) -> None:
    (project.roots["train"] / "a" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n no image")
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await sheet(pilot)
        assert "a/1.png" in screen_text(app)
        assert "truncated" in screen_text(app)
        await pilot.press("1", "enter")
        await settled(pilot)
        assert on_disk(project) == {"0": "round", "2": "round", "3": "round", "4": "round"}
        assert "comes again: 1 image." in messages(app)
