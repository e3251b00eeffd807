"""A sample of bench/labelling.py in the real app: the same keys give the same label files."""

import sys
from pathlib import Path

import pytest
import tifffile
from terminal import Terminal

from mia_tui.labeling.store import read_frame
from mia_tui.project import Project
from mia_tui.simulate import simulate

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import labelling

CHARACTERS = {
    "apostrophe": "'", "slash": "/", "left_square_bracket": "[", "right_square_bracket": "]", "left_parenthesis": "(",
    "right_parenthesis": ")", "left_curly_bracket": "{", "right_curly_bracket": "}", "asterisk": "*",
    "escape": "\x1b[27u",
}  # fmt: skip
"""What is typed; escape as kitty sends it, which cannot be taken for the beginning of something else."""


@pytest.mark.parametrize("task", ["points", "masks"])
def test_the_same_keys_give_the_same_labels_in_the_app(tmp_path, task) -> None:
    made = simulate(1, 128, 128, seed=1, density="touching")
    image, masks = tmp_path / "cells.tif", tmp_path / "masks.tif"
    tifffile.imwrite(image, made.images[0])
    tifffile.imwrite(masks, made.masks[0])
    folders = tmp_path / "bench", tmp_path / "app"
    for folder in folders:
        folder.mkdir()
    result = next(labelling.run(task, [(image, masks)], folders[0]))
    project = labelling.project_of(task, [(image, masks)], folders[1])
    with Terminal(project.folder, "--graphics", "cells") as terminal:
        terminal.see("128 x 128")
        terminal.press("g", "l")
        terminal.see("pending|nucleus 0")
        for key in result.keys:
            terminal.press(CHARACTERS.get(key, key))
        frame = read_frame(Project.load(folders[0] / "project").labels_path(image.name, "image"))
        terminal.see(rf"nucleus {len(frame.objects)} ")
        assert terminal.end() == 0
    in_app = read_frame(project.labels_path(image.name, "image"))
    assert outlines(in_app) == outlines(frame)


def outlines(frame) -> list[bytes]:
    """Outlines or points without their ids: what the oracle tried out and took back has used some up."""
    return sorted(item.geometry.normalize().wkb for item in frame.objects.values())
