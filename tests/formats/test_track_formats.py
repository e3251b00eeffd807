"""Tracks in the files of other programs: Cell Tracking Challenge, napari, TrackMate, GEFF, object numbers of MIA."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from mia_tui.analysis.ctc.report import score_ctc
from mia_tui.analysis.ctc.sequence import mask_problems, read_ctc, table_problems
from mia_tui.errors import MiaError
from mia_tui.formats.ctc import tracks_of_ctc
from mia_tui.formats.ctc_write import point_masks, write_ctc
from mia_tui.formats.geff import links, write_geff
from mia_tui.formats.napari_tracks import graph_path, read_napari, write_napari
from mia_tui.formats.object_numbers import tracks_of_numbers
from mia_tui.formats.trackmate import read_trackmate
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.numbers import numbers_of, with_numbers
from mia_tui.tracking.tracks import Tracks, tracks_of

HEIGHT, WIDTH = 24, 40


def squares(*frames: dict[int, tuple[int, int]]) -> np.ndarray:
    """(T, Y, X) label images: object -> top-left corner of its 4 x 4 pixels."""
    masks = np.zeros((len(frames), HEIGHT, WIDTH), np.int64)
    for plane, objects in zip(masks, frames, strict=True):
        for number, (y, x) in objects.items():
            plane[y : y + 4, x : x + 4] = number
    return masks


def linked(rows: list[tuple[int, int, int, float, float]], mothers=None, frames=None, merged=None) -> Tracks:
    """Tracks from rows (track, frame, object, y, x)."""
    values = np.array(sorted(rows), float).reshape(-1, 5)
    count = len(rows)
    ones = np.ones(count, np.float32)
    return Tracks(
        values[:, 0].astype(np.int64), values[:, 1].astype(np.int32), values[:, 3:], values[:, 2].astype(np.int64),
        np.zeros(count, np.int32), np.zeros(count, np.int16), ones, 16 * ones,
        ("cell",), frames or int(values[:, 1].max()) + 1, mothers or {}, merged or {},
    )  # fmt: skip


def same(one: Tracks, other: Tracks) -> None:
    """Track by track the same places, mothers and merges; objects may be numbered otherwise."""
    assert one.track.tolist() == other.track.tolist()
    assert one.frame.tolist() == other.frame.tolist()
    assert one.position == pytest.approx(other.position)
    assert (one.mothers, one.merged, one.frames) == (other.mothers, other.merged, other.frames)


@pytest.fixture
def family() -> tuple[np.ndarray, Tracks]:
    """Masks and tracks: 5 misses frame 1 and divides into 6 and 7 on frame 4; objects are numbered frame by frame."""
    masks = squares(
        {3: (0, 0)}, {}, {9: (0, 4)}, {1: (0, 6)}, {2: (0, 0), 4: (0, 12)}, {1: (0, 0), 2: (0, 14)},
    )  # fmt: skip
    rows = [(5, 0, 3, 2, 2), (5, 2, 9, 2, 6), (5, 3, 1, 2, 8), (6, 4, 2, 2, 2), (7, 4, 4, 2, 14), (6, 5, 1, 2, 2),
            (7, 5, 2, 2, 16)]  # fmt: skip
    return masks, linked(rows, {6: 5, 7: 5})


def problems(folder: Path) -> list[str]:
    """What is against the rules of the challenge, by our own check, which the scores' tests hold to py-ctcmetrics."""
    sequence = read_ctc(folder)
    found = [np.unique(sequence.masks(t)[sequence.masks(t) > 0]) for t in range(len(sequence))]
    frame = np.repeat(np.arange(len(found)), [len(labels) for labels in found])
    return table_problems(sequence) + mask_problems(sequence, frame, np.concatenate(found))


# ---- Cell Tracking Challenge -----------------------------------------------------------------------------------------


def test_a_gap_ends_a_track_whose_next_part_is_its_daughter_and_comes_back_as_one(tmp_path, family) -> None:
    masks, tracks = family
    written = write_ctc(tmp_path / "01_RES", tracks, lambda t: masks[t])
    assert (tmp_path / "01_RES" / "res_track.txt").read_text() == "5 0 0 0\n6 4 5 8\n7 4 5 8\n8 2 3 5\n"
    assert [path.name for path in written.files[:2]] == ["mask000.tif", "mask001.tif"]
    assert written.tracks == 4
    assert problems(tmp_path / "01_RES") == []
    back = tracks_of_ctc(read_ctc(tmp_path / "01_RES"))
    same(back, tracks)
    assert back.area.tolist() == [16] * 7
    assert sorted(set(tracks_of_ctc(read_ctc(tmp_path / "01_RES"), join=False).track.tolist())) == [5, 6, 7, 8]


def test_a_gap_is_filled_with_the_last_mask_moved_along(tmp_path, family) -> None:
    masks, tracks = family
    write_ctc(tmp_path / "01_RES", tracks, lambda t: masks[t], fill=True)
    assert (tmp_path / "01_RES" / "res_track.txt").read_text() == "5 0 3 0\n6 4 5 5\n7 4 5 5\n"
    assert (tifffile.imread(tmp_path / "01_RES" / "mask001.tif") == squares({5: (0, 2)})[0]).all()
    assert problems(tmp_path / "01_RES") == []


def test_a_filled_row_says_where_and_other_objects_stay_uncovered(tmp_path) -> None:
    masks = squares({1: (4, 4), 2: (4, 20)}, {2: (4, 12)}, {2: (4, 20)}, {1: (4, 4), 2: (4, 20)})
    rows = [(1, 0, 1, 6, 6), (1, 1, 0, 6, 12), (1, 2, 0, 6, 22), (1, 3, 1, 6, 6)]
    rows += [(2, t, 2, 6, x) for t, x in enumerate((22, 14, 22, 22))]
    write_ctc(tmp_path / "res", linked(rows), lambda t: masks[t], fill=True)
    first = tifffile.imread(tmp_path / "res" / "mask001.tif")
    assert (first[4:8, 12:16] == 2).all()
    assert ((first == 1) == np.pad(np.ones((4, 2), bool), ((4, 16), (10, 28)))).all()
    # on frame 2 object 2 hides all of it: there the track ends after all, and its next part is its daughter
    assert (tmp_path / "res" / "res_track.txt").read_text() == "1 0 1 0\n2 0 3 0\n3 3 3 1\n"
    assert problems(tmp_path / "res") == []


def test_objects_that_show_no_pixel_or_are_in_no_track_are_counted(tmp_path) -> None:
    masks = squares({1: (0, 0), 8: (8, 8)}, {1: (0, 0)})
    rows = [(1, 0, 1, 2, 2), (1, 1, 1, 2, 2), (2, 0, 5, 2, 2), (2, 1, 5, 2, 2)]
    written = write_ctc(tmp_path / "res", linked(rows), lambda t: masks[t])
    assert any("2 objects of tracks show no pixel" in note for note in written.notes)
    assert any("1 objects are in no track" in note for note in written.notes)
    assert (tmp_path / "res" / "res_track.txt").read_text() == "1 0 1 0\n"


def test_more_tracks_than_16_bits_hold_need_32(tmp_path) -> None:
    """Ids above 65,535 are numbered anew while the tracks fit; then wide masks keep them."""
    masks = squares({1: (0, 0)}, {1: (0, 0)})
    few = linked([(70_000, 0, 1, 2, 2), (70_000, 1, 1, 2, 2)])
    written = write_ctc(tmp_path / "few", few, lambda t: masks[t])
    assert (tmp_path / "few" / "res_track.txt").read_text() == "1 0 1 0\n"
    assert any("numbered anew" in note for note in written.notes)
    write_ctc(tmp_path / "wide", few, lambda t: masks[t], wide=True)
    assert tifffile.imread(tmp_path / "wide" / "mask000.tif").dtype == np.uint32
    same(tracks_of_ctc(read_ctc(tmp_path / "wide")), few)
    many = np.arange(1, 65_537).reshape(1, 256, 256)
    rows = [(number, 0, number, 0.5, 0.5) for number in range(1, 65_537)]
    with pytest.raises(MiaError, match=r"65,536 tracks .* up to 65,535.*32-bit"):
        write_ctc(tmp_path / "many", linked(rows), lambda t: many[t])
    write_ctc(tmp_path / "many", linked(rows), lambda t: many[t], wide=True)
    assert tifffile.imread(tmp_path / "many" / "mask000.tif").max() == 65_536


def test_parts_after_gaps_count_against_the_numbers_that_fit(tmp_path) -> None:
    masks = squares({1: (0, 0)}, {}, {1: (0, 0)})
    tracks = linked([(65_535, 0, 1, 2, 2), (65_535, 2, 1, 2, 2)])
    write_ctc(tmp_path / "res", tracks, lambda t: masks[t])
    assert (tmp_path / "res" / "res_track.txt").read_text() == "1 0 0 0\n2 2 2 1\n"


@pytest.mark.parametrize(("frames", "last"), [(1000, "man_track999.tif"), (1001, "man_track1000.tif")])
def test_more_than_a_thousand_frames_have_four_digits_and_a_truth_its_own_names(tmp_path, monkeypatch, frames, last):
    """Only the names: the files are left empty here."""
    monkeypatch.setattr("mia_tui.formats.ctc_write.save_tiff", lambda path, *_: path.touch())
    tracks = linked([(1, t, 1, 0.5, 0.5) for t in range(frames)])
    folder = tmp_path / "01_GT" / "TRA"
    written = write_ctc(folder, tracks, lambda t: np.ones((1, 1), np.int64), naming="truth")
    assert written.files[-2].name == last
    assert written.files[0].name == f"man_track{'0' * len(str(frames - 1))}.tif"
    assert (folder / "man_track.txt").read_text() == f"1 0 {frames - 1} 0\n"
    assert len(read_ctc(tmp_path / "01_GT")) == frames


def test_empty_first_frames_and_sequences_of_one_frame_come_back(tmp_path) -> None:
    masks = squares({}, {1: (0, 0)}, {})
    tracks = linked([(1, 1, 1, 2, 2)], frames=3)
    write_ctc(tmp_path / "empty first", tracks, lambda t: masks[t])
    same(tracks_of_ctc(read_ctc(tmp_path / "empty first")), tracks)
    write_ctc(tmp_path / "one", linked([(1, 0, 1, 2, 2)]), lambda t: masks[1])
    same(tracks_of_ctc(read_ctc(tmp_path / "one")), linked([(1, 0, 1, 2, 2)]))
    none = replace(linked([(1, 0, 1, 2, 2)]), frames=2)
    none = replace(none, **{name: getattr(none, name)[:0] for name in ("track", "frame", "position", "object", "plane",
                                                                        "label", "score", "area")})  # fmt: skip
    write_ctc(tmp_path / "none", none, lambda t: masks[0])
    assert len(tracks_of_ctc(read_ctc(tmp_path / "none"))) == 0


def test_points_are_written_as_discs_also_at_coordinate_0(tmp_path) -> None:
    tracks = linked([(1, 0, 1, 0, 0), (2, 0, 2, 10.5, 20.5), (3, 0, 3, 10.5, 23.5), (4, 0, 4, HEIGHT, WIDTH)])
    masks = point_masks(tracks, HEIGHT, WIDTH, 3)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    distances = np.stack([np.hypot(y - row[0], x - row[1]) for row in tracks.position])
    expected = np.where(distances.min(0) <= 3, distances.argmin(0) + 1, 0)
    expected[0, 0], expected[-1, -1] = 1, 4
    assert (masks(0) == expected).all()
    write_ctc(tmp_path / "res", tracks, point_masks(tracks, HEIGHT, WIDTH, 0))
    assert tracks_of_ctc(read_ctc(tmp_path / "res")).position.tolist() == [
        [0.5, 0.5], [10.5, 20.5], [10.5, 23.5], [HEIGHT - 0.5, WIDTH - 0.5],
    ]  # fmt: skip


def test_volumes_keep_their_objects_plane_by_plane(tmp_path) -> None:
    volume = np.zeros((3, HEIGHT, WIDTH), np.int64)
    volume[0, :4, :4], volume[2, :4, :4] = 1, 1
    tracks = linked([(4, 0, 1, 2, 2), (9, 0, 1, 2, 2)])
    tracks = replace(tracks, plane=np.array([0, 2], np.int32), position=np.array([[0, 2, 2], [2, 2, 2]], float))
    write_ctc(tmp_path / "res", tracks, lambda t: volume)
    back = tracks_of_ctc(read_ctc(tmp_path / "res"))
    same(back, tracks)
    assert back.plane.tolist() == [0, 2]


def test_a_folder_in_use_masks_that_change_size_and_broken_folders_are_refused(tmp_path, family) -> None:
    masks, tracks = family
    write_ctc(tmp_path / "res", tracks, lambda t: masks[t])
    with pytest.raises(MiaError, match="is there already and not empty"):
        write_ctc(tmp_path / "res", tracks, lambda t: masks[t])
    longer = replace(tracks, frames=8)
    write_ctc(tmp_path / "res", longer, lambda t: masks[min(t, 5)] * (t < 6), replace=True)
    assert len(read_ctc(tmp_path / "res")) == 8
    with pytest.raises(MiaError, match="masks of frame 2"):
        write_ctc(tmp_path / "res", tracks, lambda t: masks[t][: HEIGHT - t], replace=True)
    write_ctc(tmp_path / "res", tracks, lambda t: masks[t], replace=True)
    assert len(read_ctc(tmp_path / "res")) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["res"]
    (tmp_path / "res" / "notes.txt").touch()
    with pytest.raises(MiaError, match=r"also holds notes.txt, so it is not replaced"):
        write_ctc(tmp_path / "res", tracks, lambda t: masks[t], replace=True)
    with pytest.raises(MiaError, match=r"masks of frame 2"):
        write_ctc(tmp_path / "other", tracks, lambda t: masks[t][: HEIGHT - t])
    (tmp_path / "res" / "res_track.txt").write_text("5 0 0 0\n6 4 5 8\n7 4 5 8\n8 2 3 9\n")
    with pytest.raises(MiaError, match=r"res_track.txt: line 4: track 8 has the mother 9"):
        tracks_of_ctc(read_ctc(tmp_path / "res"))
    (tmp_path / "res" / "mask001.tif").unlink()
    with pytest.raises(MiaError, match=r"mask001.tif"):
        read_ctc(tmp_path / "res")


def test_py_ctcmetrics_finds_nothing_wrong_with_what_is_written(tmp_path, family) -> None:
    from ctc_metrics.scripts.evaluate import evaluate_sequence

    masks, tracks = family
    write_ctc(tmp_path / "01_GT" / "TRA", tracks, lambda t: masks[t], naming="truth")
    for fill in (False, True):
        write_ctc(tmp_path / f"{fill}", tracks, lambda t: masks[t], fill=fill)
        found = evaluate_sequence(
            str(tmp_path / f"{fill}"), str(tmp_path / "01_GT"), ["Valid", "TRA", "DET"], threads=1
        )
        assert found["Valid"] == 1
        assert found["TRA"] == pytest.approx(score_ctc(tmp_path / f"{fill}", tmp_path / "01_GT")["scores"]["TRA"])
        assert (found["TRA"] == 1) is not fill


@st.composite
def lives(draw) -> Tracks:
    """Tracks with gaps, divisions and merges, from random links between random points."""
    frames = draw(st.integers(1, 7))
    counts = [draw(st.integers(0, 3)) for _ in range(frames)]
    frame = np.repeat(np.arange(frames), counts)
    spots = draw(st.lists(st.tuples(st.integers(0, 2 * HEIGHT), st.integers(0, 2 * WIDTH)), min_size=len(frame),
                          max_size=len(frame)))  # fmt: skip
    detections = Detections.of(frame, np.array(spots, float).reshape(-1, 2) / 2, frames=frames)
    edges, used = [], set()
    for later in range(len(frame)):
        earlier = [row for row in range(later) if frame[row] < frame[later] and row not in used]
        if earlier and draw(st.booleans()):
            chosen = draw(st.sampled_from(earlier))
            edges.append((chosen, later))
            if draw(st.integers(0, 3)):
                used.add(chosen)
    return tracks_of(detections, edges)


@settings(max_examples=40)
@given(lives())
def test_any_tracks_of_points_come_back_from_ctc_with_the_same_links(tmp_path_factory, tracks) -> None:
    """But for what the format cannot say: merges, and points under others."""
    folder = tmp_path_factory.mktemp("res")
    masks = point_masks(tracks, HEIGHT + 1, WIDTH + 1, 0)
    written = write_ctc(folder, tracks, masks)
    assert problems(folder) == []
    back = tracks_of_ctc(read_ctc(folder))
    if not written.notes:
        assert joined_pixels(back) == joined_pixels(tracks)


def joined_pixels(tracks: Tracks) -> list[list[list[int]]]:
    """Frame and pixel at both ends of every link, sorted."""
    ends = np.column_stack([tracks.frame, np.floor(tracks.position)]).astype(int)
    return sorted(ends[links(tracks)].tolist())


# ---- napari ----------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(lives())
def test_any_tracks_come_back_from_napari(tmp_path_factory, tracks) -> None:
    path = tmp_path_factory.mktemp("napari") / "tracks.csv"
    write_napari(path, tracks)
    back = read_napari(path, frames=tracks.frames)
    same(back, tracks)


def test_napari_gets_pixel_centres_and_a_graph(tmp_path) -> None:
    tracks = linked(
        [(1, 0, 1, 0, 0.5), (2, 1, 1, 3.25, 4), (3, 1, 2, 8, 8), (4, 2, 1, 5, 5)], {2: 1, 3: 1}, merged={2: 4, 3: 4}
    )
    files = write_napari(tmp_path / "a.csv", tracks)
    assert files[0].read_text().splitlines()[:2] == ["id,t,y,x", "1,0,-0.5,0.0"]
    assert json.loads(files[1].read_text()) == {"2": [1], "3": [1], "4": [2, 3]}
    same(read_napari(tmp_path / "a.csv"), tracks)
    volume = replace(tracks, position=np.column_stack([[0, 1, 2, 3], tracks.position]))
    write_napari(tmp_path / "b.csv", volume)
    assert (tmp_path / "b.csv").read_text().splitlines()[1] == "1,0,0.0,-0.5,0.0"
    same(read_napari(tmp_path / "b.csv"), volume)


def test_napari_tables_of_others_are_understood(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("X;Y;Track_ID;T;note\n1,5;0;3;1.0;a\n2;0,5;3;0;b\n")
    tracks = read_napari(tmp_path / "a.csv", frames=9)
    assert tracks.frame.tolist() == [0, 1]
    assert tracks.position.tolist() == [[1, 2.5], [0.5, 2]]
    assert tracks.frames == 9
    (tmp_path / "empty.csv").write_text("id,t,y,x\n")
    assert len(read_napari(tmp_path / "empty.csv")) == 0


@pytest.mark.parametrize(
    ("table", "graph", "said"),
    [
        ("t,y,x\n0,1,1\n", None, "no column id"),
        ("id,t,y\n1,0,1\n", None, "no column x"),
        ("id,t,y,x\n1,0,1,1\n1,-1,1,1\n", None, "line 3: t is '-1'"),
        ("id,t,y,x\n0,0,1,1\n", None, "line 2: id is '0'"),
        ("id,t,y,x\n1,0.5,1,1\n", None, "line 2: t is '0.5'"),
        ("id,t,y,x\n1,0,nan,1\n", None, "line 2: y is 'nan'"),
        ("id,t,y,x\n1,0,1,1\n1,0,2,2\n", None, "track 1 has two objects on frame 1"),
        ("id,t,y,x\n1,0,1,1\n", '{"2": [1]}', "names the track 2"),
        ("id,t,y,x\n1,0,1,1\n", '{"1": "a"}', "is no graph of tracks"),
        ("id,t,y,x\n1,0,1,1\n", "[1, 2]", "is no graph of tracks"),
        ("id,t,y,x\n1,0,1,1\n", '{"1": [Infinity]}', "is no graph of tracks"),
        ("id,t,y,x\n1,0,1,1\n2,0,1,1\n", '{"2": [1]}', "cannot merge"),
    ],
)
def test_napari_files_that_cannot_be_are_named(tmp_path, table, graph, said) -> None:
    path = tmp_path / "a.csv"
    path.write_text(table)
    if graph is not None:
        graph_path(path).write_text(graph)
    with pytest.raises(MiaError, match=said) as error:
        read_napari(path)
    assert str(tmp_path) in str(error.value)


# ---- TrackMate -------------------------------------------------------------------------------------------------------

SPOTS = {
    # id: frame, x, y, z in micrometres
    10: (0, 0, 0, 0), 11: (1, 1, 0.5, 0), 12: (2, 1, 1, 0), 13: (2, 3, 0.5, 0), 14: (4, 2, 1, 0), 20: (0, 5, 5, 0),
    21: (1, 5, 5, 0), 30: (0, 9, 9, 0), 31: (1, 9, 9, 0), 40: (3, 7, 7, 0), 50: (1, 6, 6, 0),
}  # fmt: skip
EDGES = {0: [(10, 11), (11, 12), (13, 11), (12, 14), (13, 14)], 1: [(20, 21), (21, 50)], 2: [(30, 31)]}
FILTERED = "<TrackID TRACK_ID='0'/><TrackID TRACK_ID='1'/>"
IMAGE = "pixelwidth='0.5' pixelheight='0.25' voxeldepth='2.0' nslices='1' nframes='6'"


def trackmate(path: Path, spots=None, edges=None, filtered: str = FILTERED, image: str = IMAGE) -> Path:
    """A file as TrackMate 7 writes it, with more in it than is read."""
    spots, edges = SPOTS if spots is None else spots, EDGES if edges is None else edges
    by_frame: dict[int, list[str]] = {}
    for number, (frame, x, y, z) in spots.items():
        by_frame.setdefault(frame, []).append(
            f'<Spot ID="{number}" name="ID{number}" QUALITY="7.5" POSITION_T="{frame}.0" MAX_INTENSITY_CH1="3" '
            f'FRAME="{frame}" RADIUS="2.0" VISIBILITY="{int(number != 50)}" POSITION_X="{x}" POSITION_Y="{y}" '
            f'POSITION_Z="{z}" ROI_N_POINTS="3">0.0 0.0 1.0 0.0 0.0 1.0</Spot>'
        )
    tracks = [
        f'<Track name="Track_{track}" TRACK_ID="{track}" NUMBER_SPOTS="3" DIVISION_TIME_MEAN="NaN">'
        + "".join(f'<Edge SPOT_SOURCE_ID="{a}" SPOT_TARGET_ID="{b}" LINK_COST="1.5" />' for a, b in listed)
        + "</Track>"
        for track, listed in edges.items()
    ]
    groups = [f'<SpotsInFrame frame="{frame}">{"".join(own)}</SpotsInFrame>' for frame, own in by_frame.items()]
    path.write_text(
        f"""<?xml version="1.0" encoding="UTF-8"?>
<TrackMate version="7.11.1"><Log>&lt;nothing&gt;</Log><Model spatialunits="µm" timeunits="sec">
<FeatureDeclarations><SpotFeatures><Feature feature="QUALITY" /></SpotFeatures></FeatureDeclarations>
<AllSpots nspots="{len(spots)}">{"".join(groups)}</AllSpots><AllTracks>{"".join(tracks)}</AllTracks>
<FilteredTracks>{filtered}</FilteredTracks></Model>
<Settings><ImageData filename="a.tif" width="40" height="24" timeinterval="5.0" {image} /></Settings></TrackMate>""",
        encoding="utf-8",
    )
    return path


def test_trackmate_gives_tracks_with_divisions_and_merges(tmp_path) -> None:
    """10-11 divides into 12 and 13 (one link points backwards), which merge into 14 after a gap; 2 is filtered out."""
    tracks = read_trackmate(trackmate(tmp_path / "a.xml"))
    spots = list(zip(tracks.track.tolist(), tracks.frame.tolist(), tracks.position.tolist(), strict=True))
    assert spots == [
        (1, 0, [0.5, 0.5]), (1, 1, [2.5, 2.5]), (2, 0, [20.5, 10.5]), (2, 1, [20.5, 10.5]), (3, 2, [4.5, 2.5]),
        (4, 2, [2.5, 6.5]), (5, 4, [4.5, 4.5]),
    ]  # fmt: skip
    assert tracks.mothers == {3: 1, 4: 1}
    assert tracks.merged == {3: 5, 4: 5}
    assert tracks.frames == 6
    assert tracks.area == pytest.approx(np.full(7, np.pi * 4 / (0.5 * 0.25)))


def test_trackmate_gives_planes_of_volumes(tmp_path) -> None:
    image = "pixelwidth='1' pixelheight='1' voxeldepth='2.0' nslices='5' nframes='2'"
    spots = {1: (0, 3, 4, 6.2), 2: (1, 3, 4, 8)}
    tracks = read_trackmate(trackmate(tmp_path / "a.xml", spots, {0: [(1, 2)]}, image=image))
    assert tracks.position == pytest.approx(np.array([[3.1, 4.5, 3.5], [4, 4.5, 3.5]]))
    assert tracks.plane.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace('SPOT_TARGET_ID="11"', 'SPOT_TARGET_ID="99"', 1), "names the spot 99"),
        (lambda text: text[: len(text) // 2], "is no whole XML file"),
        (lambda text: text.replace('POSITION_X="5"', 'POSITION_X="NaN"'), "a Spot has a wrong number"),
        (lambda text: text.replace('POSITION_X="5"', 'POSITION_X="five"'), "a Spot has a wrong number"),
        (lambda text: text.replace('FRAME="1"', 'FRAME="0"'), "forward in time"),
        (lambda text: text.replace("TRACK_ID=", "TRACK="), "has no TRACK_ID"),
        (lambda text: text.replace("pixelwidth='0.5'", "pixelwidth='0'"), "the size of a pixel"),
        (lambda text: "<Tracks nTracks='1' spaceUnits='px'/>", "simplified tracks"),
        (lambda text: "<svg/>", "is no file of TrackMate"),
        (lambda text: text.replace("UTF-8", "UTF-9"), "is no whole XML file"),
        (lambda text: "", "is no whole XML file"),
    ],
)
def test_trackmate_files_that_cannot_be_are_named(tmp_path, change, said) -> None:
    path = trackmate(tmp_path / "a.xml")
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(MiaError, match=said) as error:
        read_trackmate(path)
    assert "a.xml" in str(error.value)


def test_trackmate_without_tracks_gives_none(tmp_path) -> None:
    assert len(read_trackmate(trackmate(tmp_path / "a.xml", filtered=""))) == 0
    with pytest.raises(MiaError, match="cannot be read"):
        read_trackmate(tmp_path / "missing.xml")


# ---- GEFF ------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_geff_reads_what_is_written(tmp_path) -> None:
    geff = pytest.importorskip("geff")
    tracks = linked(
        [(1, 0, 1, 0, 0), (1, 2, 1, 3.25, 4), (2, 3, 1, 8, 8), (3, 3, 2, 5, 5), (4, 4, 1, 5, 5), (5, 0, 7, 1, 1)],
        {2: 1, 3: 1}, merged={2: 4, 3: 4},
    )  # fmt: skip
    path = tmp_path / "tracks.geff"
    write_geff(path, tracks, pixel_size=(0.5, 0.25), frame_interval=300)
    geff.validate_structure(path)
    graph, metadata = geff.read(path, structure_validation=True, data_validation=None)
    assert sorted(graph.edges) == [(0, 1), (1, 2), (1, 3), (2, 4), (3, 4)]
    assert metadata.directed
    assert [(axis.name, axis.unit, axis.scale, axis.scaled_unit) for axis in metadata.axes] == [
        ("t", "frame", 300, "second"), ("y", "pixel", 0.5, "micrometer"), ("x", "pixel", 0.25, "micrometer"),
    ]  # fmt: skip
    node = graph.nodes[1]
    assert (node["t"], node["y"], node["x"], node["track"], node["object"], node["class"]) == (
        2,
        2.75,
        3.5,
        1,
        1,
        "cell",
    )
    assert metadata.track_node_props == {"tracklet": "track"}
    with pytest.raises(MiaError, match="is there already"):
        write_geff(path, tracks)
    write_geff(path, replace(tracks, merged={}), replace=True)
    assert len(geff.read(path)[0].edges) == 3
    (tmp_path / "mine").mkdir()
    with pytest.raises(MiaError, match="is there already and no GEFF"):
        write_geff(tmp_path / "mine", tracks, replace=True)
    (tmp_path / "mine").rmdir()
    assert [entry.name for entry in tmp_path.iterdir()] == ["tracks.geff"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_geff_of_volumes_and_without_tracks(tmp_path) -> None:
    geff = pytest.importorskip("geff")
    tracks = linked([(1, 0, 1, 1, 1), (2, 1, 1, 1, 1)], {2: 1})  # an only daughter: no tracklets in GEFF's sense
    volume = replace(tracks, position=np.column_stack([[3, 4], tracks.position]))
    write_geff(tmp_path / "a.geff", volume, z_step=2.0)
    graph, metadata = geff.read(tmp_path / "a.geff", structure_validation=True)
    assert [axis.name for axis in metadata.axes] == ["t", "z", "y", "x"]
    assert metadata.track_node_props is None
    assert graph.nodes[1]["z"] == 4
    names = ("track", "frame", "position", "object", "plane", "label", "score", "area")
    write_geff(tmp_path / "b.geff", replace(tracks, mothers={}, **{name: getattr(tracks, name)[:0] for name in names}))
    geff.validate_structure(tmp_path / "b.geff")


def test_geff_says_how_to_install_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "geff.core_io", None)
    with pytest.raises(MiaError, match=r"pip install .mia-tui\[geff\]"):
        write_geff(tmp_path / "a.geff", linked([(1, 0, 1, 1, 1)]))


# ---- object numbers of MIA -------------------------------------------------------------------------------------------


def boxes(*numbered: tuple[int, int | None, int]) -> FrameLabels:
    """A frame of squares: id, number, place."""
    return FrameLabels.of(
        HEIGHT, WIDTH,
        [LabelObject(i, shapely.box(x, 0, x + 4, 4), "cell", track=track) for i, track, x in numbered],
    )  # fmt: skip


def test_object_numbers_become_tracks_and_tracks_object_numbers() -> None:
    frames = [boxes((1, 4, 0), (2, None, 8), (3, 7, 16)), None, boxes((1, 7, 16), (2, 4, 1), (3, -1, 30), (4, 0, 34))]
    tracks, notes = tracks_of_numbers(frames)
    assert notes == []
    rows = zip(tracks.track, tracks.frame, tracks.object, strict=True)
    assert [tuple(map(int, row)) for row in rows] == [(4, 0, 1), (4, 2, 2), (7, 0, 3), (7, 2, 1)]
    assert tracks.position[1].tolist() == [2, 3]
    assert tracks.frames == 3
    numbers = numbers_of(tracks)
    assert numbers == {(0, 0): {1: 4, 3: 7}, (2, 0): {1: 7, 2: 4}}
    assert with_numbers(frames[0], numbers[0, 0]) == frames[0]
    cleaned = with_numbers(frames[2], numbers[2, 0])
    assert [item.track for item in cleaned.objects.values()] == [7, 4, None, None]


def test_of_pieces_with_one_number_the_largest_is_the_track(tmp_path) -> None:
    large = LabelObject(2, shapely.box(10, 0, 20, 9), "cell", track=4)
    frame = FrameLabels.of(HEIGHT, WIDTH, [boxes((1, 4, 0)).objects[1], large])
    tracks, notes = tracks_of_numbers([frame])
    assert tracks.object.tolist() == [2]
    assert notes == ["frame 1: objects 2 and 1 both have the number 4, and 1 was left out"]
    assert len(tracks_of_numbers([None, None])[0]) == 0
