"""The command `track`: objects of a project in, tracks out."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mia_tui.project import Project
from mia_tui.tracking.options import LinkOptions
from mia_tui.tracking.track import Tracked, extend_tracks, sequences_to_track, track_sequence

Row = dict[str, Any]


def track_sequences(
    project: Project,
    source: str,
    names: list[str],
    options: LinkOptions,
    *,
    replace: bool,
    keep: bool,
    more: bool,
    progress: Callable[[int, int, str], None],
) -> Iterator[Row]:
    """Track these sequences, or all that certainly are some; what was found in each. `more`: only new frames."""
    for sequence in sequences_to_track(project, source, names):

        def step(done: int, total: int, name: str = sequence.name) -> None:
            progress(done, total, name)

        found = (
            extend_tracks(project, sequence, source)
            if more
            else track_sequence(project, sequence, source, options, replace=replace, keep=keep, progress=step)
        )
        yield as_data(sequence.name, found, list(sequence.notes))


def as_data(name: str, found: Tracked, notes: list[str]) -> Row:
    """The result of one sequence for programs."""
    tracks = found.tracks
    lengths = np.bincount(np.unique(tracks.track, return_inverse=True)[1]) if len(tracks) else np.zeros(0, int)
    return {
        "sequence": name,
        "file": str(found.path),
        "frames": tracks.frames,
        "tracks": len(lengths),
        "divisions": len(set(tracks.mothers.values())),
        "merges": len(set(tracks.merged.values())),
        "objects": int((tracks.object > 0).sum()),
        "filled": int((tracks.object == 0).sum()),
        "median_length": float(np.median(lengths)) if len(lengths) else 0.0,
        "decisions_kept": found.kept,
        "notes": notes,
    }


def describe(row: Row) -> list[str]:
    """What was found, in lines."""
    text = (
        f"{row['sequence']}: {row['tracks']} tracks over {row['frames']} frames, {row['divisions']} divisions, "
        f"{row['filled']} gaps filled, {row['objects']} objects"
    )
    kept = f", {row['decisions_kept']} decisions kept" if row["decisions_kept"] else ""
    return [text + kept, *(f"  {note}" for note in row["notes"]), f"  {row['file']}"]
