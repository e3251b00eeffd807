"""A project full of damaged files in a real terminal: all images are reached, trouble is said, nothing overwritten."""

import json
import re

import numpy as np
import shapely
import tifffile
from terminal import Terminal

from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import read_frame, write_frame
from mia_tui.project import Project

SIZE = 64
NAMES = ("a.tif", "b.tif", "c.tif", "d.tif", "e.tif", "f.tif")


def make_project(folder) -> Project:
    (folder / "images").mkdir()
    for name in NAMES:
        tifffile.imwrite(folder / "images" / name, np.arange(SIZE * SIZE, dtype=np.uint16).reshape(SIZE, SIZE))
    project = Project.create(folder / "project", images=folder / "images", task="detection", classes=["spot"])
    for name in NAMES:
        point = LabelObject(1, shapely.Point(10, 10), "spot")
        write_frame(project.labels_path(name, "image"), FrameLabels.of(SIZE, SIZE, [point]))
    return project


def damage(project) -> None:
    """a: cut in half, b: NaN, c: another kind of JSON, d: no image, e: an outline that crosses itself; f is well."""
    a, b, c, _, e, _ = (project.labels_path(name, "image") for name in NAMES)
    a.write_bytes(a.read_bytes()[:100])
    b.write_text(b.read_text().replace("[10, 10]", "[NaN, 10]"))
    c.write_text('{"type": "Feature"}')
    project.image("d.tif").path.write_bytes(b"II*\0 this is no image")
    document = json.loads(e.read_text())
    ring = [[5, 5], [40, 40], [40, 5], [5, 40], [5, 5]]
    document["features"][0]["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    e.write_text(json.dumps(document))


def test_each_trouble_is_said_and_the_other_images_go_on(tmp_path) -> None:
    project = make_project(tmp_path)
    damage(project)
    before = {name: project.labels_path(name, "image").read_bytes() for name in NAMES}
    with Terminal(project.folder, "--graphics", "cells", columns=240, lines=60) as terminal:  # beside its messages
        terminal.see(r"a\.tif +64 x 64")
        terminal.press("g", "l")
        terminal.see(r"a\.tif/image\.geojson|Restore it from a backup")
        terminal.see(r"^ *a\.tif +64 x 64")
        for name in ("b.tif", "c.tif"):
            terminal.write("\ru2N")
            terminal.see(rf"^ *{re.escape(name)} +64 x 64")
            terminal.see("1/6|2/6|3/6")
        terminal.write("N")
        terminal.see(r"d\.tif has no image in it")
        terminal.write("\rN")
        terminal.see(r"^ *e\.tif +64 x 64")
        terminal.see(r"▸1 spot 1\b.*")
        terminal.see("saved")
        terminal.write("N")
        terminal.see(r"^ *f\.tif +64 x 64")
        terminal.write("\r")
        terminal.see(r"▸1 spot 2\b")
        assert terminal.end() == 0
    assert "Traceback" not in bytes(terminal.sent).decode(errors="replace")
    assert {name: project.labels_path(name, "image").read_bytes() for name in NAMES[:5]} == {
        name: before[name] for name in NAMES[:5]
    }
    frame = read_frame(project.labels_path("f.tif", "image"))
    assert frame is not None
    assert len(frame.objects) == 2
