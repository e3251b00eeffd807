"""The oracle of bench/labelling.py on simulated cells: it counts what was pressed, and only keys were needed."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from mia_tui.labeling.desk.desk import Desk
from mia_tui.labeling.raster import fill
from mia_tui.labeling.store import read_frame
from mia_tui.project import Project
from mia_tui.simulate import simulate

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "bench"))

import labelling  # noqa: E402

SIZE = 128


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Two images with their masks: cells that touch, and some in bad light."""
    folder = tmp_path_factory.mktemp("cells")
    pairs = []
    for seed, density in ((1, "touching"), (2, "medium")):
        made = simulate(1, SIZE, SIZE, seed=seed, density=density)
        image, masks = folder / f"{density}.tif", folder / f"{density}_masks.tif"
        tifffile.imwrite(image, made.images[0])
        tifffile.imwrite(masks, made.masks[0])
        pairs.append((image, masks))
    return pairs


def overlaps(frame, masks: np.ndarray) -> dict[int, float]:
    """Object -> its best intersection over union with a label, worked out pixel by pixel."""
    found = {}
    for number in np.unique(masks[masks > 0]):
        mine, best = masks == number, 0.0
        for item in frame.objects.values():
            rows, columns, inside = fill(item.geometry, masks.shape)
            label = np.zeros(masks.shape, bool)
            label[rows, columns] = inside
            best = max(best, (mine & label).sum() / (mine | label).sum())
        found[int(number)] = best
    return found


def outlines(project: Project) -> dict[str, list[bytes]]:
    """Outlines or points on disk by image, without their ids."""
    found = {}
    for ref in project.images():
        frame = read_frame(project.labels_path(ref.key, "image"))
        found[ref.key] = sorted(item.geometry.normalize().wkb for item in frame.objects.values())
    return found


@pytest.mark.parametrize("task", ["points", "masks"])
def test_the_oracle_labels_by_keys_alone(cells, tmp_path, task) -> None:
    results = list(labelling.run(task, cells, tmp_path))
    project = Project.load(tmp_path / "project")
    for result, (image, masks) in zip(results, cells, strict=True):
        assert result.cost.keys == len(result.keys) >= 2
        truth = tifffile.imread(masks)
        assert result.objects == len(np.unique(truth)) - 1
        frame = read_frame(project.labels_path(image.name, "image"))
        if task == "masks":
            good = sum(overlap >= 0.7 for overlap in overlaps(frame, truth).values())
            assert good == result.objects - result.counts["never good"]
        else:
            under = [truth[int(p.y), int(p.x)] for p in (item.geometry for item in frame.objects.values())]
            assert len(under) == len(set(under) - {0}) == result.objects - result.counts["left"]
    total = labelling.pooled(results)
    assert total["keys per object"] < 4

    (tmp_path / "again").mkdir()
    again = labelling.project_of(task, cells, tmp_path / "again")
    desk = Desk(again)
    for result, (image, _) in zip(results, cells, strict=True):
        with labelling.on_desk(desk, image) as hand:
            hand.press(*result.keys)
            assert hand.cost == result.cost
    assert outlines(again) == outlines(project)
