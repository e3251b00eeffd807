"""The tracks of a project as numbers on its objects: for tables and exports of single frames."""

from collections.abc import Mapping
from dataclasses import replace

from mia_tui.labeling.objects import FrameLabels
from mia_tui.project import Project
from mia_tui.tracking.store import read_tracks, tracked_sequences
from mia_tui.tracking.tracks import Tracks


def track_numbers(project: Project, source: str) -> dict[tuple[str, str], dict[int, int]]:
    """(Image key, frame) -> object -> track, for every frame of a tracked sequence."""
    found: dict[tuple[str, str], dict[int, int]] = {}
    for sequence in tracked_sequences(project, source):
        numbers = numbers_of(read_tracks(project, sequence, source))
        for index, moment in enumerate(sequence.moments):
            if moment is None:
                continue
            for z in range(sequence.planes):
                found[moment.key, sequence.frame_name(moment, z)] = numbers.get((index, z), {})
    return found


def numbers_of(tracks: Tracks) -> dict[tuple[int, int], dict[int, int]]:
    """(Frame, plane) -> object -> the number of its track."""
    found: dict[tuple[int, int], dict[int, int]] = {}
    held = tracks.object > 0
    columns = (getattr(tracks, name)[held].tolist() for name in ("frame", "plane", "object", "track"))
    for frame, plane, number, track in zip(*columns, strict=True):
        found.setdefault((frame, plane), {})[number] = track
    return found


def with_numbers(labels: FrameLabels, numbers: Mapping[int, int]) -> FrameLabels:
    """The labels of a frame with the number of its track on every object, and none on those in no track."""
    return replace(
        labels, objects={number: replace(item, track=numbers.get(number)) for number, item in labels.objects.items()}
    )
