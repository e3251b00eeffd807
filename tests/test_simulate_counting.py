"""The set for counting: how many cells there are, where they are, and that the program reads it."""

import csv

import numpy as np
import pytest
from PIL import Image as Picture
from scipy.spatial import cKDTree

from mia_tui.errors import MiaError
from mia_tui.formats.points import import_points
from mia_tui.labeling.store import read_frame
from mia_tui.project import Project
from mia_tui.simulate import simulate_crowd, write_counting_set
from mia_tui.simulate.counting import crowd_sizes


def test_as_many_cells_as_in_the_paper():
    sizes = np.array(crowd_sizes(4000, seed=3))
    assert sizes.mean() == pytest.approx(174, abs=4)
    assert sizes.std() == pytest.approx(64, abs=3)
    assert sizes.min() >= 74
    assert sizes.max() <= 317
    assert crowd_sizes(5, seed=3) == sizes[:5].tolist()


@pytest.fixture(scope="module")
def crowd():
    return simulate_crowd(174, seed=5)


def test_every_point_is_in_the_picture_on_something_bright(crowd):
    assert (crowd.image.shape, crowd.image.dtype, crowd.points.shape) == ((256, 256), np.uint8, (174, 2))
    assert crowd.points.min() >= 0
    assert crowd.points.max() <= 256
    y, x = np.minimum(crowd.points.astype(int), 255).T
    background = np.percentile(crowd.image, 20)
    assert (crowd.image[y, x] > 2 * background).mean() > 0.97
    # Points count from the corner: half a pixel off, the light around them would not be centred on them any more.
    alone = crowd.points[cKDTree(crowd.points).query(crowd.points, 2)[0][:, 1] > 20]
    alone = alone[np.all((alone > 10) & (alone < 246), axis=1)]
    offsets = []
    for place in alone:
        top, left = np.floor(place).astype(int) - 9
        part = np.clip(crowd.image[top : top + 19, left : left + 19].astype(float) - 2 * background, 0, None)
        rows, columns = np.mgrid[top : top + 19, left : left + 19] + 0.5
        offsets.append(np.array([(part * rows).sum(), (part * columns).sum()]) / part.sum() - place)
    assert len(offsets) > 2
    assert np.abs(np.median(offsets, axis=0)).max() < 0.45


def test_cells_overlap_but_never_hide_each_other(crowd):
    nearest = cKDTree(crowd.points).query(crowd.points, 2)[0][:, 1]
    assert (nearest < 10).mean() > 0.3  # nuclei are about 14 wide
    assert nearest.min() > 3


def test_same_seed_same_bits():
    first, again, other = (simulate_crowd(30, seed=seed, size=96) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.points, again.points)
    assert not np.array_equal(first.image, other.image)


def test_no_cell_and_too_many():
    assert simulate_crowd(0, seed=1, size=64).points.shape == (0, 2)
    with pytest.raises(MiaError, match="1000 cells do not fit"):
        simulate_crowd(1000, seed=1)


def test_the_written_set_is_imported_as_it_is(tmp_path):
    cells = write_counting_set(tmp_path / "set", count=2, seed=4)
    files = sorted((tmp_path / "set/images").iterdir())
    assert [path.name for path in files] == ["cells_001.png", "cells_002.png"]
    assert np.asarray(Picture.open(files[0])).shape == (256, 256)
    project = Project.create(tmp_path / "p", images=tmp_path / "set/images", task="detection", classes=["cell"])
    report = import_points(project, tmp_path / "set/points.csv")
    assert (report.objects, report.problems, report.unpaired_images, report.new_classes) == (sum(cells), [], [], [])
    found = read_frame(project.labels_path("cells_002.png", "image")).objects
    with open(tmp_path / "set/points.csv") as stream:
        rows = [row for row in csv.DictReader(stream) if row["image"] == "cells_002.png"]
    assert [(o.geometry.y, o.geometry.x) for o in found.values()] == [(float(r["y"]), float(r["x"])) for r in rows]
    assert len(rows) == cells[1]
