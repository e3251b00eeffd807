"""Tracking a sequence of a project: read its objects, link them, keep what a person decided, write the tracks."""

import dataclasses
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.project import Project
from mia_tui.tracking.book import Name
from mia_tui.tracking.detections import Array, Detections
from mia_tui.tracking.link import fill_gaps, left_out, link_and_learn
from mia_tui.tracking.options import LinkOptions
from mia_tui.tracking.pins import Pins
from mia_tui.tracking.sequence import Sequence, find_sequence, find_sequences, masks_to_link, read_detections
from mia_tui.tracking.solve import solve_new_frames, standing_links
from mia_tui.tracking.store import Link, Pin, TrackStore, create, tracks_path
from mia_tui.tracking.tracks import COLUMNS, Tracks, tracks_of

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Tracked:
    """What came of tracking a sequence."""

    path: Path
    tracks: Tracks
    kept: int
    """Decisions of a person that the links follow."""


def sequences_to_track(project: Project, source: str, names: list[str]) -> list[Sequence]:
    """The sequences with these names; without names all that are certain and have something in `source`.

    Raises
    ------
    MiaError
        For a name that is none, and when there is nothing to track.
    """
    folder = project.source_folder(source)
    if names:
        return [find_sequence(project, name) for name in names]
    listed = find_sequences(project)
    with_files = [s for s in listed if any(moment and (folder / moment.key).is_dir() for moment in s.moments)]
    for sequence in with_files:
        if sequence.problem:
            raise MiaError(sequence.problem)
    certain = [sequence for sequence in with_files if sequence.series]
    if certain:
        return certain
    if with_files:
        raise MiaError(
            f"it is not certain that the images of {with_files[0].name} follow each other in time: their names differ "
            f"in more than one number. Say so with --sequence {with_files[0].name}"
        )
    raise MiaError(
        f"nothing of {source} in project {project.name} can be tracked: it takes a stack in time or a folder of frames "
        "with labels or predictions on it."
    )


def track_sequence(
    project: Project,
    sequence: Sequence,
    source: str,
    options: LinkOptions,
    *,
    replace: bool = False,
    keep: bool = False,
    progress: Progress | None = None,
) -> Tracked:
    """Link the objects of a sequence and write its tracks.

    Parameters
    ----------
    replace : bool
        Corrections that are there are put aside (kept in a file) and forgotten.
    keep : bool
        Corrections that are there are decisions that the links follow: links made and cut stay, what was deleted stays
        out. The old tracks are put aside as well.

    Raises
    ------
    MiaError
        When there are corrections and neither is given, and where something cannot be read or written.
    """
    if project.task == "classification":
        raise MiaError(f"project {project.name} gives whole images a class: there are no objects to track.")
    found = read_detections(project, sequence, source)
    if sequence.planes > 1:
        if (found.area > 0).any():
            raise MiaError(
                f"{sequence.name} has outlines on {sequence.planes} z planes: an object would be one on each of "
                "them. Points of z-stacks can be tracked; or project the stack along z first."
            )
        options = _with_depth(options, sequence)
    decisions: list[Pin] = []
    links: list[Pin] = []
    path = tracks_path(project, sequence.name, source)
    if keep and path.exists():
        with TrackStore(project, sequence, source, read_only=True) as store:
            decisions = store.decisions
            links = [(store.book.name(a), store.book.name(b), True) for a, b in standing_links(store.book)]
    left = _without(found, {one for one, other, _ in decisions if one == other})
    masks = masks_to_link(project, sequence, source, left)
    pins = _pins(left, [*links, *(pin for pin in decisions if not pin[2])])
    edges, motion = link_and_learn(left, options, masks, pins, progress)
    left, edges = _without_left_out(left, edges, options)
    tracks = fill_gaps(tracks_of(left, edges))
    link = Link(asdict(options), motion.as_json())
    path = create(project, sequence, source, found, tracks, link, replace=replace or keep, pins=decisions)
    return Tracked(path, tracks, len(links) + sum(not together for *_, together in decisions))


def _with_depth(options: LinkOptions, sequence: Sequence) -> LinkOptions:
    """With the distance of two planes in pixels, where the images say it and nobody else has."""
    if options.z_ratio != 1 or sequence.z_step is None or sequence.pixel_size is None:
        return options
    return dataclasses.replace(options, z_ratio=sequence.z_step / sequence.pixel_size[1])


def extend_tracks(project: Project, sequence: Sequence, source: str) -> Tracked:
    """Link the frames that came since a sequence was tracked; all other links, and corrections, stay as they are.

    Raises
    ------
    MiaError
        When it was not tracked, no frames came, or somebody is correcting it.
    """
    with TrackStore(project, sequence, source) as store:
        solve_new_frames(store, masks_to_link(project, sequence, source, store.book.detections))
        return Tracked(store.path, store.book.tracks(), len(store.decisions))


def _without(found: Detections, names: set[Name]) -> Detections:
    """The detections that a person has not put aside."""
    if not names:
        return found
    each = zip(found.frame.tolist(), found.plane.tolist(), found.object.tolist(), strict=True)
    return _those(found, np.array([name not in names for name in each], bool))


def _those(found: Detections, kept: Array) -> Detections:
    return dataclasses.replace(found, **{name: getattr(found, name)[kept] for name in COLUMNS})


def _without_left_out(found: Detections, edges: Array, options: LinkOptions) -> tuple[Detections, Array]:
    """Detections and links without those of low score that go on with no track: they are in none."""
    out = left_out(found, edges, options)
    return (_those(found, ~out), (np.cumsum(~out) - 1)[edges]) if out.any() else (found, edges)


def _pins(found: Detections, decisions: list[Pin]) -> Pins:
    """Decisions as rows; those about objects that are not there are left out."""
    rows = {
        name: row
        for row, name in enumerate(zip(found.frame.tolist(), found.plane.tolist(), found.object.tolist(), strict=True))
    }
    pairs: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    for one, other, together in decisions:
        if one != other and one in rows and other in rows:
            pairs[together].append((rows[one], rows[other]))
    return Pins(*(np.array(pairs[together], np.int64).reshape(-1, 2) for together in (True, False)))
