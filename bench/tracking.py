"""Linking: how fast, how much memory, how good, beside laptrack, trackpy and btrack where they are installed.

Points are simulated (`mia_tui.simulate.motion`: Brownian motion with drift, divisions, 5 % missed, 2 % false; "hard"
moves twice as far). Each method links in a process of its own on one thread; CPU seconds are those of the linking
alone, the memory is the peak of the whole process. F1 counts edges, division edges too; a division is right when the
mother and both daughters are. The libraries run with near-default settings: no search over them was made.

Masks: a real colony of bacteria in `$MIA_TUI_DATA` (default ../shared/data), with its true masks as detections, as it
is and with 5 % of the objects deleted, and simulated colonies, all with the same (default) settings. LNK is the edge
part of the Cell Tracking Challenge's AOGM, for detections that are all right.

    python bench/tracking.py                          100 x 1000, masks, flips, one link changed: a minute or two
    python bench/tracking.py --others                 the libraries too: some minutes more
    python bench/tracking.py --sizes 500x2000 1000x5000 --skip masks flips changed
"""

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from _output import show
from skimage.io import imread
from skimage.measure import regionprops_table

from mia_tui.simulate import simulate
from mia_tui.simulate.motion import EASY, HARD, PointMovie, simulate_points
from mia_tui.tracking.detections import Detections
from mia_tui.tracking.link import Pins, link, link_and_learn, relink
from mia_tui.tracking.options import LinkOptions

DATA = Path(os.environ.get("MIA_TUI_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
MOTIONS = {"easy": EASY, "hard": HARD}
OURS = ("points", "hungarian")
OTHERS = ("trackpy", "laptrack", "btrack")
GOAL = (
    "100 x 1000 easy/hard: edge F1 .984/.953, division F1 .65/.45, 5 x faster than trackpy, 100 x than laptrack; "
    "500 x 2000 below 10 s and 500 MB, 1000 x 5000 below 40 s and 1 GB; bacteria LNK .98, division F1 .97, below 10 s; "
    "5 % flips: edge F1 .985; one link changed in 1000 x 1000: 100 ms"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sizes", nargs="*", default=["100x1000"], help="frames x objects")
    parser.add_argument("--others", action="store_true", help="laptrack, trackpy and btrack too")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds after which a method is ended")
    parser.add_argument("--btrack-config", help="btrack's cell_config.json; its package fetches it from the net")
    parser.add_argument("--skip", nargs="*", default=[], choices=["masks", "flips", "changed"])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], load(Path(options.one[1])), options.btrack_config)))
        return
    values: dict[str, float] = {}
    for size in options.sizes:
        for kind in MOTIONS:
            values |= points(size, kind, options)
    parts = {"flips": flips, "changed": changed, "masks": masks}
    for name, part in parts.items():
        if name not in options.skip:
            values |= part()
    show("tracking", values, goal=GOAL)


def points(size: str, kind: str, options: argparse.Namespace) -> dict[str, float]:
    """The table of one simulated movie, each method in its own process."""
    frames, objects = (int(part) for part in size.split("x"))
    movie = simulate_points(frames, objects, MOTIONS[kind], seed=0)
    values: dict[str, float] = {f"{size} {kind}, detections": len(movie.frame)}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("frame", "position", "label", "edges"):
            np.save(Path(folder, f"{name}.npy"), getattr(movie, name))
        for method in OURS + (OTHERS if options.others else ()):
            if method in OTHERS and importlib.util.find_spec(method) is None:
                print(f"{method} is not installed: left out (it is in the extra `bench`).")
                continue
            for key, value in alone(method, folder, options).items():
                values[f"{size} {kind}, {method}: {key}"] = value
    return values


def alone(method: str, folder: str, options: argparse.Namespace) -> dict[str, float]:
    """What `measure` gives, from a process of its own with one thread."""
    command = [sys.executable, __file__, "--one", method, folder]
    if options.btrack_config:
        command += ["--btrack-config", options.btrack_config]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, env=os.environ | threads, capture_output=True, text=True, timeout=options.limit, check=True
        )
    except subprocess.TimeoutExpired:
        print(f"{method} did not end within {options.limit:g} seconds.")
        return {}
    except subprocess.CalledProcessError as error:
        print(f"{method} failed: {error.stderr.strip().splitlines()[-1] if error.stderr.strip() else error}")
        return {}
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def load(folder: Path) -> PointMovie:
    columns = {name: np.load(folder / f"{name}.npy") for name in ("frame", "position", "label", "edges")}
    return PointMovie(**columns, frames=int(columns["frame"].max()) + 1)


def measure(method: str, movie: PointMovie, config: str | None) -> dict[str, float]:
    """CPU seconds, peak memory and scores of one method on one movie."""
    if method in OTHERS:
        few = movie.frame < 3
        runs = {"trackpy": by_trackpy, "laptrack": by_laptrack, "btrack": lambda some: by_btrack(some, config)}
        runs[method](
            PointMovie(movie.frame[few], movie.position[few], movie.label[few], movie.edges[:0], 3)
        )  # compiles
        started = time.process_time()
        edges = runs[method](movie)
    else:
        found = detections_of(movie)
        started = time.process_time()
        edges = link(found, LinkOptions(method=method))
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"CPU s": seconds, "peak MB": peak} | scores(edges, movie.edges, len(movie.frame))


def detections_of(movie: PointMovie) -> Detections:
    return Detections.of(movie.frame, movie.position, label=movie.label, classes=("a", "b"), frames=movie.frames)


def scores(edges: np.ndarray, truth: np.ndarray, count: int) -> dict[str, float]:
    """F1 of edges and of divisions."""
    right = np.isin(edges @ [count, 1], truth @ [count, 1]).sum()
    found, true = divisions(edges), divisions(truth)
    return {
        "edge F1": 2 * right / max(len(edges) + len(truth), 1),
        "division F1": 2 * len(found & true) / max(len(found) + len(true), 1),
    }


def divisions(edges: np.ndarray) -> set[tuple[int, ...]]:
    two = edges[np.bincount(edges[:, 0], minlength=1)[edges[:, 0]] == 2]
    two = two[np.lexsort(two.T[::-1])]
    return set(zip(two[::2, 0].tolist(), two[::2, 1].tolist(), two[1::2, 1].tolist(), strict=True))


def edges_of_tracks(track: np.ndarray, row: np.ndarray, frame: np.ndarray) -> np.ndarray:
    order = np.lexsort((frame, track))
    same = np.diff(track[order]) == 0
    return np.stack([row[order][:-1][same], row[order][1:][same]], 1)


def by_trackpy(movie: PointMovie) -> np.ndarray:
    import pandas as pd
    import trackpy

    trackpy.quiet()
    table = pd.DataFrame(movie.position, columns=["y", "x"]).assign(frame=movie.frame, row=np.arange(len(movie.frame)))
    linked = trackpy.link(table, 20, memory=1, adaptive_stop=5, adaptive_step=0.9)
    return edges_of_tracks(linked["particle"].to_numpy(), linked["row"].to_numpy(), linked["frame"].to_numpy())


def by_laptrack(movie: PointMovie) -> np.ndarray:
    from laptrack import LapTrack

    starts = np.searchsorted(movie.frame, np.arange(movie.frames + 1))
    tracker = LapTrack(cutoff=35**2, gap_closing_cutoff=35**2, gap_closing_max_frame_count=2, splitting_cutoff=35**2)
    tree = tracker.predict([movie.position[first:end] for first, end in pairwise(starts)])
    return np.array([[starts[t] + i, starts[u] + j] for (t, i), (u, j) in tree.edges()], np.int64).reshape(-1, 2)


def by_btrack(movie: PointMovie, config: str | None) -> np.ndarray:
    import btrack

    found = [
        btrack.btypes.PyTrackObject.from_dict({"ID": row, "t": int(t), "x": x, "y": y, "z": 0.0, "dummy": False})
        for row, (t, (y, x)) in enumerate(zip(movie.frame, movie.position, strict=True))
    ]
    if config is None:
        from btrack.datasets import cell_config

        config = cell_config()
    with btrack.BayesianTracker(verbose=False) as tracker:
        tracker.configure(config)
        tracker.update_method = btrack.constants.BayesianUpdates.APPROXIMATE
        tracker.max_search_radius = 50
        tracker.append(found)
        low, high = movie.position.min(0), movie.position.max(0)
        tracker.volume = ((low[1], high[1]), (low[0], high[0]), (-1e5, 1e5))
        tracker.track(step_size=100)
        tracker.optimize()
        refs, tree = tracker.refs, {track.ID: track for track in tracker.tracks}
    edges = [pair for track in refs for pair in pairwise([ref for ref in track if ref >= 0])]
    real = {track.ID: [ref for ref in own if ref >= 0] for track, own in zip(tree.values(), refs, strict=True)}
    for track in tree.values():
        if track.parent != track.ID and real.get(track.parent) and real[track.ID]:
            edges.append((real[track.parent][-1], real[track.ID][0]))
    return np.array(edges, np.int64).reshape(-1, 2)


def flips() -> dict[str, float]:
    """Classes that flip in 5 % of the detections, for each rule."""
    movie = simulate_points(100, 100, replace(EASY, classes=2, flips=0.05), seed=0)
    found = detections_of(movie)
    return {
        f"5 % class flips, {rule}: edge F1": scores(
            link(found, LinkOptions(method="points", class_rule=rule)), movie.edges, len(found)
        )["edge F1"]
        for rule in ("soft", "hard", "ignore")
    }


def changed() -> dict[str, float]:
    """Milliseconds until one cut link in 1000 x 1000 is solved again: the median and the longest of 20."""
    found = detections_of(simulate_points(1000, 1000, EASY, seed=0))
    options, seconds = LinkOptions(method="points"), []
    edges, motion = link_and_learn(found, options)
    for index in np.random.default_rng(0).integers(len(edges), size=20):
        cut = edges[index]
        started = time.process_time()
        relink(found, edges, motion, cut, options, pins=Pins(cannot=cut[None]))
        seconds.append(1000 * (time.process_time() - started))
    return {"link changed in 1000x1000, ms": float(np.median(seconds)), "longest of 20, ms": max(seconds)}


def masks() -> dict[str, float]:
    """Objects with shapes: the real colony and simulated ones, whole and with 5 % of the objects deleted."""
    values: dict[str, float] = {}
    for name, pictures, tracks in clips():
        for deleted in (0.0, 0.05):
            rng = np.random.default_rng(0)
            shown = [np.where(np.isin(m, np.flatnonzero(rng.random(m.max() + 1) < deleted)), 0, m) for m in pictures]
            found = found_in(shown)
            truth = truth_of(found, tracks)
            started = time.process_time()
            edges = link(found, masks=shown.__getitem__)
            key = f"{name}, {deleted:.0%} deleted" if deleted else name
            values[f"{key}: CPU s"] = time.process_time() - started
            values[f"{key}: LNK"] = lnk(edges, truth, len(found))
            values |= {f"{key}: {score}": value for score, value in scores(edges, truth, len(found)).items()}
    return values


def clips() -> Iterator[tuple[str, list[np.ndarray], list[tuple[int, ...]]]]:
    """(name, label images with track numbers, rows of L B E P)."""
    folder = DATA / "bacteria_vanvliet_ctc/01_GT/TRA"
    if folder.is_dir():
        lines = (folder / "man_track.txt").read_text().splitlines()
        tracks = [tuple(int(number) for number in line.split()) for line in lines]
        yield "bacteria", [imread(path) for path in sorted(folder.glob("*.tif"))], tracks
    else:
        print(f"{folder} is not there: the real colony is left out.")
    colonies = {"crowded": {}, "small": {"cells": 40, "radius": 8}, "fast": {"speed": 2.0, "drift": (1.0, 2.0)}}
    for seed, (name, how) in enumerate(colonies.items(), 1):
        movie = simulate(40, 384, 384, seed=seed, density="touching", **how)
        yield f"colony, {name}", list(movie.masks), movie.tracks


def found_in(pictures: list[np.ndarray]) -> Detections:
    tables = [regionprops_table(picture, properties=("label", "centroid", "area")) for picture in pictures]
    frame = np.repeat(np.arange(len(tables)), [len(table["label"]) for table in tables])
    number, y, x, area = (
        np.concatenate([table[key] for table in tables]) for key in ("label", "centroid-0", "centroid-1", "area")
    )
    place = np.stack([y, x], 1) + 0.5
    return Detections.of(frame, place, object=number, area=area, frames=len(tables))


def truth_of(found: Detections, tracks: list[tuple[int, ...]]) -> np.ndarray:
    edges = edges_of_tracks(found.object, np.arange(len(found)), found.frame)
    first = {int(number): row for row, number in reversed(list(enumerate(found.object)))}
    last = {int(number): row for row, number in enumerate(found.object)}
    born = [(last[p], first[n]) for n, _, _, p in tracks if p and n in first and p in last]
    return np.concatenate([edges, np.array(born, np.int64).reshape(-1, 2)])


def lnk(edges: np.ndarray, truth: np.ndarray, count: int) -> float:
    """1 - AOGM of the edges / that of no edge: 1.5 for a missing edge, 1 for one too many."""
    found, true = edges @ [count, 1], truth @ [count, 1]
    cost = 1.5 * np.count_nonzero(~np.isin(true, found)) + np.count_nonzero(~np.isin(found, true))
    return 1 - min(cost / (1.5 * len(true)), 1.0)


if __name__ == "__main__":
    main()
