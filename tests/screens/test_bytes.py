"""How many bytes the real app sends to a terminal for a key, and how far a slow line lags: what SSH users feel."""

from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from line import DOWN, RIGHT, SlowLine, app_arguments

from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import write_frame
from mia_tui.project import Project

SIDE = 512


def nuclei(seed=0) -> np.ndarray:
    """Blurred discs on a noisy ground, 16 bits."""
    rng = np.random.default_rng(seed)
    image = rng.normal(3000, 300, (SIDE, SIDE))
    y, x = np.mgrid[:SIDE, :SIDE]
    for cy, cx in rng.uniform(0, SIDE, (60, 2)):
        image += 20_000 / (1 + np.exp((np.hypot(y - cy, x - cx) - 14) / 2))
    return np.clip(image, 0, 65535).astype(np.uint16)


def make_project(folder, image, objects=0) -> Project:
    (folder / "images").mkdir(parents=True)
    tifffile.imwrite(folder / "images" / "one.tif", image)
    tifffile.imwrite(folder / "images" / "two.tif", image[::-1])
    project = Project.create(folder / "project", images=folder / "images")
    side = max(1, int(np.ceil(np.sqrt(objects))))
    step = SIDE / side
    boxes = [
        LabelObject(i + 1, shapely.Point((i % side + 0.5) * step, (i // side + 0.5) * step).buffer(step / 3), "cell")
        for i in range(objects)
    ]
    if objects:
        path = project.labels_path("one.tif", "image")
        write_frame(path, FrameLabels.of(SIDE, SIDE, boxes))
    return project


@pytest.fixture
def opened(tmp_path):
    """Opens the app on an image; ends it after the test."""
    lines = []

    def open_app(image, *, rate=None, objects=0):
        folder = tmp_path / str(len(lines))
        project = make_project(folder, image, objects)
        environment = {"MIA_TUI_STATE": str(folder / "state"), "MIA_TUI_CONFIG": str(folder / "config")}
        line = SlowLine(app_arguments(project.folder), rate=rate, environment=environment)
        lines.append(line.__enter__())
        line.wait_for(f"{image.shape[1]} x {image.shape[0]}".encode())
        line.take(0.6)
        return line

    yield open_app
    for line in lines:
        line.__exit__()


def test_the_start_is_small(opened) -> None:
    assert len(opened(np.random.default_rng(0).integers(0, 60_000, (SIDE, SIDE)).astype(np.uint16)).shown) < 250_000


def test_a_cursor_key_costs_little_at_any_column_of_any_picture(opened) -> None:
    noise = np.random.default_rng(0).integers(0, 60_000, (SIDE, SIDE)).astype(np.uint16)
    line = opened(noise)
    line.press(b"z")
    for _ in range(2):  # in the middle, then at the right border
        for key in (RIGHT, DOWN, DOWN, RIGHT):
            moved = line.press(key)
            assert 0 < moved.size <= 500, moved.data
        line.press(RIGHT * 36)


def test_the_digits_follow_the_cursor_and_only_those_that_changed_are_written(opened) -> None:
    line = opened(np.arange(SIDE * SIDE, dtype=np.uint32).reshape(SIDE, SIDE).astype(np.uint16))
    line.press(b"z")
    moved = line.press(RIGHT)
    assert b"7" in moved.data  # x 256 -> 257
    assert b"257" not in moved.data
    assert b"value" not in moved.data


def test_a_changed_view_costs_a_bounded_frame(opened) -> None:
    noise = np.random.default_rng(0).integers(0, 60_000, (SIDE, SIDE)).astype(np.uint16)
    for image, least in ((noise, 10_000), (nuclei(), 500)):
        line = opened(image)
        line.press(b"z")
        assert least < line.press(b"L", quiet=0.6).size < 100_000


def test_a_slow_line_never_lags_behind_a_held_key(opened) -> None:
    """2 Mbit/s and a buffer without end. Without waiting for frames to arrive, those of two seconds lagged 1.4 s."""
    line = opened(np.random.default_rng(0).integers(0, 60_000, (2048, 2048)).astype(np.uint16), rate=250_000)
    line.press(b"z", quiet=0.8)
    assert line.hold(RIGHT).seconds < 0.6
    for key in (b"+", b"+"):  # the view is a hundredth of the picture: two seconds do not reach its border
        line.press(key, quiet=0.8)
    before = len(line.shown)
    assert line.hold(b"L").seconds < 0.6
    assert len(line.shown) - before > 300_000, "the key was not held long enough to fill the line"


def test_thousands_of_objects_do_not_slow_the_cursor(opened) -> None:
    sizes, times = [], []
    for objects in (10, 5000):
        line = opened(nuclei(), objects=objects)
        line.press(b"z", quiet=0.8)
        found = [line.press(RIGHT, quiet=0.2) for _ in range(9)]
        sizes.append(np.median([one.size for one in found]))
        times.append(np.median([one.seconds for one in found]))
    assert sizes[1] <= 2 * sizes[0]
    assert times[1] <= 2 * times[0] + 0.005


def test_a_vertex_a_page_of_hints_and_accepting_all_write_their_own_cells_only() -> None:
    """On the app of the bench: 300 dashed outlines over 1024 x 1024 pixels."""
    app = Path(__file__).parents[2] / "bench" / "_canvas_app.py"
    with SlowLine([str(app), "quadrant", "300"]) as line:
        line.wait_for(b"zoom fit")
        line.take(0.8)
        frame = line.press(b"z", quiet=0.6).size
        vertices = [line.press(b"v") for _ in range(4)]
        assert all(0 < one.size <= 1000 for one in vertices)
        line.press(b"f", quiet=0.6)
        on, off = line.press(b"i"), line.press(b"i")
        assert 60 * 5 < on.size < 6_000
        assert off.size < 8_000
        assert 5_000 < line.press(b"a").size < 40_000
        assert frame < 100_000
