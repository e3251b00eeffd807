"""Linking again: tracks follow links, decisions hold, nothing else changes, and new frames go on with the old ones."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from movies import LAPSE, SIZE, movie, squares
from typer.testing import CliRunner

from mia_tui.cli import app
from mia_tui.errors import MiaError
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import write_frame
from mia_tui.project import Project
from mia_tui.tracking import edits
from mia_tui.tracking.book import TrackBook
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.options import LinkOptions
from mia_tui.tracking.sequence import find_sequence, masks_to_link
from mia_tui.tracking.solve import edges_of, follow_links, solve_around
from mia_tui.tracking.store import TrackStore, read_tracks
from mia_tui.tracking.track import track_sequence
from mia_tui.tracking.tracks import check, tracks_of

FOUND = Detections.of(np.repeat(np.arange(5), 3), [(10.0 * k, float(t)) for t in range(5) for k in range(3)])


def links(draw_from: list[int]) -> list[tuple[int, int]]:
    """At most two links from each row to rows of the next or second next frame, at most one into each."""
    found: list[tuple[int, int]] = []
    into: set[int] = set()
    for row, choice in enumerate(draw_from):
        for target in ((row // 3 + 1) * 3 + choice % 3, (row // 3 + 1 + choice % 2) * 3 + choice % 5 % 3):
            if choice % 4 and target < 15 and target not in into and target // 3 > row // 3:
                found.append((row, target))
                into.add(target)
    return found


CHOICES = st.lists(st.integers(0, 29), min_size=15, max_size=15)


@settings(max_examples=60, deadline=None)
@given(CHOICES, CHOICES)
def test_tracks_follow_any_links_and_it_can_be_taken_back(first: list[int], second: list[int]) -> None:
    book = TrackBook.of(FOUND, tracks_of(FOUND, links(first)))
    before = book.track.tolist(), dict(book.mothers)
    wanted = np.array(sorted(links(second)), np.int64).reshape(-1, 2)
    assert sorted(map(tuple, edges_of(book).tolist())) == sorted(links(first))
    if sorted(links(first)) == sorted(links(second)):
        return
    with book.drafting() as draft:
        follow_links(book, draft, wanted)
    check(book.tracks())
    assert sorted(map(tuple, edges_of(book).tolist())) == sorted(links(second))
    assert len(book.tracks().spans()) == len(tracks_of(FOUND, wanted).spans())
    book.take_all(draft.steps, forward=False)
    assert (book.track.tolist(), dict(book.mothers)) == before


def test_tracks_without_a_changed_link_keep_their_numbers() -> None:
    straight = [(3 * t + k, 3 * t + 3 + k) for t in range(4) for k in range(3)]
    book = TrackBook.of(FOUND, tracks_of(FOUND, straight))
    crossed = [pair for pair in straight if pair not in ((6, 9), (7, 10))] + [(6, 10), (7, 9)]
    with book.drafting() as draft:
        follow_links(book, draft, np.array(crossed))
    assert book.track.reshape(5, 3).T.tolist() == [[1, 1, 1, 2, 2], [2, 2, 2, 1, 1], [3, 3, 3, 3, 3]]
    with pytest.raises(MiaError, match="changes nothing"), book.drafting() as draft:
        follow_links(book, draft, np.array(crossed))


def test_masks_that_may_not_go_on_as_one_half_go_on_as_the_other(tmp_path: Path) -> None:
    whole, half = (24.0, 3.0, 36.0, 15.0), ((24.0, 3.0, 30.0, 15.0), (30.0, 3.0, 36.0, 15.0))
    project = movie(tmp_path, [{} for _ in range(6)])
    for t in range(6):
        boxes = [whole] if t < 3 else half
        items = [LabelObject(n, shapely.box(x0, y0, x1, y1), "cell") for n, (y0, x0, y1, x1) in enumerate(boxes, 1)]
        write_frame(project.labels_path(LAPSE, f"t{t:04d}z0000"), FrameLabels.of(*SIZE, items))
    sequence = find_sequence(project, LAPSE)
    track_sequence(project, sequence, "labels", LinkOptions(divisions=False))
    with TrackStore(project, sequence, "labels") as store:
        book = store.book
        number = int(book.detections.object[book.row_at(1, 3)])
        store.do(edits.cut, 1, 3)
        solve_around(store, [book.row((2, 0, 1))], masks_to_link(project, sequence, "labels", book.detections))
        assert int(book.track[book.row((3, 0, 3 - number))]) == 1
        assert int(book.track[book.row((3, 0, number))]) != 1


@pytest.mark.parametrize("method", ["points", "hungarian"])
def test_a_decision_is_followed_where_it_matters_and_nowhere_else(tmp_path: Path, method: str) -> None:
    still = [{k: (30.0 * k, 60.0) for k in (1, 2, 3)} | {4: (30.0, 100.0), 5: (36.0, 100.0)} for _ in range(6)]
    project = movie(tmp_path, still)
    sequence = find_sequence(project, LAPSE)
    track_sequence(project, sequence, "labels", LinkOptions(method=method))  # type: ignore[arg-type]
    with TrackStore(project, sequence, "labels") as store:
        book = store.book
        assert {int(book.track[book.row((t, 0, 4))]) for t in range(6)} == {4}
        others = book.track[np.isin(book.detections.object, [1, 2, 3])].tolist()
        store.do(edits.cut, 4, 3)
        row = book.row((3, 0, 4))
        masks = masks_to_link(project, sequence, "labels", book.detections)
        store.do(edits.cut, 5, 3)
        text = solve_around(store, [row], masks)
        assert "links changed" in text
        assert int(book.track[book.row((3, 0, 5))]) == 4, "4 cannot go on as 4 and takes the place of 5"
        assert int(book.track[row]) == 5
        assert book.track[np.isin(book.detections.object, [1, 2, 3])].tolist() == others
        assert store.undo() == text


def test_linking_again_keeps_what_a_person_decided(tmp_path: Path) -> None:
    project = movie(tmp_path, [{k: (30.0 * k, 60.0) for k in (1, 2, 3)} for _ in range(6)])
    sequence = find_sequence(project, LAPSE)
    track_sequence(project, sequence, "labels", LinkOptions())
    with TrackStore(project, sequence, "labels") as store:
        store.do(edits.cut, 1, 3)
        store.do(edits.delete, 3)
    with pytest.raises(MiaError, match="holds 2 corrections"):
        track_sequence(project, sequence, "labels", LinkOptions())
    for _ in range(2):  # decisions outlive also a second time
        track_sequence(project, sequence, "labels", LinkOptions(), keep=True)
        assert read_tracks(project, sequence, "labels").spans()[:, 1:3].tolist() == [[0, 2], [0, 5], [3, 5]]
    track_sequence(project, sequence, "labels", LinkOptions(), replace=True)
    assert read_tracks(project, sequence, "labels").spans()[:, 1:3].tolist() == [[0, 5]] * 3


def test_new_frames_are_linked_and_corrections_of_the_old_ones_stay(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    project = Project.create(tmp_path / "project", images=images, task="segmentation", classes=["cell"])

    def add(t: int) -> None:
        cv2.imwrite(str(images / f"t{t}.png"), np.zeros(SIZE, np.uint8))
        write_frame(project.labels_path(f"t{t}.png", "image"), squares({k: (30.0 * k, 60.0) for k in (1, 2, 3)}))

    for t in range(5):
        add(t)
    run = CliRunner().invoke(app, ["track", str(project.folder)])
    assert run.exit_code == 0, run.output
    with TrackStore(project, find_sequence(project, "@frames"), "labels") as store:
        store.do(edits.reassign, store.book.row((2, 0, 2)), 50)
    for t in (5, 6):
        add(t)
    run = CliRunner().invoke(app, ["track", str(project.folder), "--extend"])
    assert run.exit_code == 0, run.output
    spans = read_tracks(project, find_sequence(project, "@frames"), "labels").spans().tolist()
    assert spans == [[1, 0, 6, 0], [2, 0, 1, 0], [3, 0, 6, 0], [50, 2, 6, 0]]
    again = CliRunner().invoke(app, ["track", str(project.folder), "--extend"])
    assert again.exit_code == 1
    assert "no frames were added" in str(again.exception or again.output)


def test_low_scores_go_on_with_tracks_and_start_none(tmp_path: Path) -> None:
    project = movie(tmp_path, [{} for _ in range(5)])
    for t in range(5):
        boxes = [(1, 30.0, 0.9 if t != 2 else 0.2), (2, 80.0, 0.2)]
        items = [LabelObject(n, shapely.box(57, y - 3, 63, y + 3), "cell", "predicted", score) for n, y, score in boxes]
        write_frame(project.prediction_path("net", LAPSE, f"t{t:04d}z0000"), FrameLabels.of(*SIZE, items))
    sequence, source = find_sequence(project, LAPSE), "predictions:net"
    track_sequence(project, sequence, source, LinkOptions(low_score=0.5))
    with TrackStore(project, sequence, source) as store:
        assert store.book.track[store.book.detections.object == 1].tolist() == [1] * 5
        assert store.book.track[store.book.detections.object == 2].tolist() == [0] * 5


def test_points_of_stacks_are_tracked_in_depth_and_outlines_of_stacks_are_refused(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    metadata = {"axes": "TZYX", "spacing": 2.0, "unit": "um"}
    stack = np.zeros((4, 3, 60, 60), np.uint8)
    tifffile.imwrite(images / "s.tif", stack, imagej=True, metadata=metadata, resolution=(2.0, 2.0))
    project = Project.create(tmp_path / "project", images=images, task="detection", classes=["spot"])
    for t in range(4):  # two points over each other, which change places in y only
        for z, y in ((0, 20.0 + t), (2, 26.0 - t)):
            items = [LabelObject(1, shapely.Point(30, y), "spot")]
            write_frame(project.labels_path("s.tif", f"t{t:04d}z{z:04d}"), FrameLabels.of(60, 60, items))
    sequence = find_sequence(project, "s.tif")
    track_sequence(project, sequence, "labels", LinkOptions())
    tracks = read_tracks(project, sequence, "labels")
    assert [set(tracks.plane[tracks.track == n].tolist()) for n in (1, 2)] == [{0}, {2}]
    with TrackStore(project, sequence, "labels") as store:
        assert store.link.options["z_ratio"] == 4.0
    box = [LabelObject(1, shapely.box(10, 10, 20, 20), "spot")]
    write_frame(project.labels_path("s.tif", "t0000z0000"), FrameLabels.of(60, 60, box))
    with pytest.raises(MiaError, match="outlines on 3 z planes"):
        track_sequence(project, sequence, "labels", LinkOptions(), replace=True)
