"""Linking of objects with shapes: registration, divisions, missed objects, jumps of the stage, a real clip."""

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from edge_scores import division_f1, edge_f1
from scipy import ndimage
from skimage.io import imread
from skimage.measure import regionprops_table

from mia_tui.errors import MiaError
from mia_tui.simulate import simulate
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.flow import flow
from mia_tui.tracking.link import extend, link, link_and_learn, relink
from mia_tui.tracking.options import LinkOptions
from mia_tui.tracking.pins import Pins
from mia_tui.tracking.registration import image_shifts
from mia_tui.tracking.shapes import Shapes
from mia_tui.tracking.tracks import check, tracks_of

Array = npt.NDArray[Any]
CLIP = Path(os.environ.get("MIA_TUI_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")) / (
    "bacteria_vanvliet_ctc/01_GT/TRA"
)
Track = tuple[int, int, int, int]


def found_in(masks: Any) -> Detections:
    frame, position, number, area = [], [], [], []
    for t, mask in enumerate(masks):
        table = regionprops_table(mask, properties=("label", "centroid", "area"))
        frame += [t] * len(table["label"])
        position += list(zip(table["centroid-0"] + 0.5, table["centroid-1"] + 0.5, strict=True))
        number += table["label"].tolist()
        area += table["area"].tolist()
    return Detections.of(frame, position, object=number, area=area, frames=len(masks))


def truth_of(found: Detections, tracks: list[Track]) -> Array:
    """Links between masks that carry track numbers."""
    rows = {
        (int(frame), int(number)): row
        for row, (frame, number) in enumerate(zip(found.frame, found.object, strict=True))
    }
    seen: dict[int, list[int]] = {}
    for (_, number), row in rows.items():
        seen.setdefault(number, []).append(row)
    edges = [pair for own in seen.values() for pair in pairwise(own)]
    edges += [(seen[p][-1], seen[n][0]) for n, _, _, p in tracks if p and n in seen and p in seen]
    return np.array(sorted(edges))


@pytest.fixture(scope="module")
def colony() -> Any:
    return simulate(16, 224, 224, seed=4, density="touching", cycle=12)


@pytest.mark.parametrize("deleted", [0.0, 0.05])
def test_colonies_are_linked_also_with_objects_missing(colony: Any, deleted: float) -> None:
    rng = np.random.default_rng(1)
    masks = [np.where(np.isin(m, np.flatnonzero(rng.random(m.max() + 1) < deleted)), 0, m) for m in colony.masks]
    found = found_in(masks)
    truth = truth_of(found, colony.tracks)
    links = link(found, masks=masks.__getitem__)
    assert edge_f1(links, truth) > (0.99 if not deleted else 0.98)
    assert division_f1(links, truth) > (0.95 if not deleted else 0.85)
    check(tracks_of(found, links))


def test_a_jump_of_the_stage_and_a_growing_turning_colony() -> None:
    first = simulate(1, 300, 300, seed=2, density="touching").masks[0].astype(np.int32)
    middle = np.array([150.0, 150.0])
    angle, growth = np.deg2rad(4), 1.06
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / growth
    second = np.pad(ndimage.affine_transform(first, turn, middle - turn @ middle, order=0), 80)
    second = np.roll(second, (48, -36), (0, 1))
    masks = [np.pad(first, 80), second]
    found = found_in(masks)
    links = link(found, masks=masks.__getitem__)
    same = found.object[links[:, 0]] == found.object[links[:, 1]]
    assert same.all()
    assert len(links) == len(set(found.object[found.frame == 0]) & set(found.object[found.frame == 1]))
    shapes = [Shapes.of(masks[t], found.object[found.frame == t]) for t in (0, 1)]
    moved = flow(*shapes)(np.array([[230.0, 230.0], [200.0, 260.0]]))
    there = np.linalg.inv(turn) @ np.array([[0, 0], [-30, 30]]).T
    there = there.T + np.array([230 + 48, 230 - 36])
    assert np.abs(moved - there).max() < 2


def test_image_shifts_are_that_of_the_rolled_picture() -> None:
    picture = np.zeros((40, 51))
    picture[10:20, 15:22] = np.random.default_rng(0).random((10, 7))
    for shift in ((0, 0), (2, -1), (12, -9), (-7, 25)):
        found = image_shifts(picture, np.roll(picture, shift, (0, 1)))
        assert found[-1].tolist() == list(shift)
        assert np.abs(found[0]).max() <= 2
    assert [shift.tolist() for shift in image_shifts(picture, np.zeros_like(picture))] == [[0, 0]]


def blob(y: int, x: int, half: int = 6) -> tuple[slice, slice]:
    return slice(y - half, y + half), slice(x - half, x + half)


def blobs(*frames: dict[int, tuple[int, ...]]) -> list[Array]:
    masks = [np.zeros((80, 80), np.int64) for _ in frames]
    for mask, objects in zip(masks, frames, strict=True):
        for number, where in objects.items():
            mask[blob(*where)] = number
    return masks


def test_two_daughters_a_gap_and_a_newcomer() -> None:
    still = {100_000: (60, 60), 5: (60, 15)}  # numbers beyond 16 bits; they are what the first flow stands on
    masks = blobs(
        {1: (20, 20)} | still, {7: (20, 14, 4), 9: (20, 25, 4)} | still, {7: (20, 14, 4)} | still,
        {2: (20, 14, 4), 3: (20, 26, 4), 4: (20, 60)} | still,
    )  # fmt: skip
    found = found_in(masks)
    names = [(int(frame), int(number)) for frame, number in zip(found.frame, found.object, strict=True)]
    links = {(names[a], names[b]) for a, b in link(found, masks=masks.__getitem__).tolist()}
    kept = {((t, n), (t + 1, n)) for t in range(3) for n in still}
    assert links == kept | {
        ((0, 1), (1, 7)), ((0, 1), (1, 9)), ((1, 7), (2, 7)), ((2, 7), (3, 2)), ((1, 9), (3, 3)),
    }  # fmt: skip
    alone = link(found, LinkOptions(divisions=False, max_gap=0), masks=masks.__getitem__)
    assert np.bincount(alone[:, 0]).max() == 1
    assert (found.frame[alone[:, 1]] - found.frame[alone[:, 0]] == 1).all()


def test_an_object_that_jumps_beside_itself_is_linked_and_far_ones_are_not() -> None:
    still = {i: (10 + 15 * (i % 3), 8 + 60 * (i // 3)) for i in range(6)}
    masks = blobs({9: (68, 20, 5)} | still, {9: (68, 34, 5)} | still, {9: (68, 72, 5)} | still)
    found = found_in(masks)
    links = found.frame[[row for row, _ in link(found, masks=masks.__getitem__).tolist() if found.object[row] == 9]]
    assert links.tolist() == [0]
    near = link(found, LinkOptions(max_distance=10), masks=masks.__getitem__)
    assert 9 not in found.object[near[:, 0]]


def test_empty_frames_and_one_object() -> None:
    for masks in (blobs({}, {1: (9, 9)}, {}, {1: (10, 9)}, {}), blobs({}), blobs({3: (9, 9)}), blobs({}, {})):
        found = found_in(masks)
        links = link(found, masks=masks.__getitem__)
        assert links.tolist() == ([[0, 1]] if len(found) == 2 else [])
    edge = [np.zeros((12, 9), np.uint8) for _ in range(3)]
    for mask in edge:
        mask[0, 0] = 1  # one pixel in the corner
    assert link(found_in(edge), masks=edge.__getitem__).tolist() == [[0, 1], [1, 2]]


def test_masks_are_asked_for_once_each_and_need_two_axes(colony: Any) -> None:
    asked: list[int] = []

    def load(t: int) -> Array:
        asked.append(t)
        return np.asarray(colony.masks[t])

    found = found_in(colony.masks)
    link(found, masks=load)
    assert sorted(asked) == sorted(set(asked))
    with pytest.raises(MiaError, match="frame 2 has 3 axes"):
        link(found, masks=lambda t: colony.masks[None, t])


def test_decisions_on_objects_with_shapes(colony: Any) -> None:
    found = found_in(colony.masks)
    masks = colony.masks.__getitem__
    edges, motion = link_and_learn(found, masks=masks)
    assert np.array_equal(relink(found, edges, motion, [100, 101], masks=masks), edges)
    mothers = np.flatnonzero(np.bincount(edges[:, 0], minlength=len(found)) == 2)
    first, second = edges[edges[:, 0] == mothers[2]]
    pins = Pins(must=first[None], cannot=second[None])
    solved = relink(found, edges, motion, [*first, second[1]], masks=masks, pins=pins)
    there = {tuple(link) for link in solved.tolist()}
    assert tuple(first) in there
    assert tuple(second) not in there
    assert len({tuple(link) for link in edges.tolist()} ^ there) <= 3
    assert np.array_equal(link(found, masks=masks, pins=Pins(must=first[None])), edges)  # the other daughter is found
    assert np.array_equal(relink(found, solved, motion, [*first, second[1]], masks=masks), edges)


def test_frames_with_masks_are_added_as_if_they_had_been_there(colony: Any) -> None:
    found, masks = found_in(colony.masks), colony.masks.__getitem__
    old = found_in(colony.masks[:12])
    edges, motion = link_and_learn(old, masks=masks)
    edges, _ = extend(found, edges, motion, masks=masks)
    assert np.array_equal(edges, link(found, masks=masks))


@pytest.mark.skipif(not CLIP.is_dir(), reason="the real clip is not there")
def test_a_real_colony_of_bacteria() -> None:
    masks = [imread(path) for path in sorted(CLIP.glob("*.tif"))][:42]
    lines = [line.split() for line in (CLIP / "man_track.txt").read_text().splitlines()]
    found = found_in(masks)
    truth = truth_of(found, [(int(a), int(b), int(c), int(d)) for a, b, c, d in lines])
    links = link(found, masks=masks.__getitem__)
    assert edge_f1(links, truth) > 0.985
    assert division_f1(links, truth) > 0.96
