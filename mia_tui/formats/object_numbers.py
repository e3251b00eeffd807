"""Tracks as the original MIA keeps them: a number on every object in the label file of its frame, -1 for none.

`formats.mia` reads and writes these numbers as `LabelObject.track`; here they become tracks, and tracks such numbers.
"""

from collections.abc import Iterable

import numpy as np
import shapely

from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.tracking.tracks import Tracks, check


def tracks_of_numbers(frames: Iterable[FrameLabels | None]) -> tuple[Tracks, list[str]]:
    """Tracks from the numbers on the objects of a sequence. MIA knows no divisions: no track has a mother.

    Parameters
    ----------
    frames : iterable of FrameLabels or None
        The labels of every frame, None where there are none. Objects with no number, or one below 1, are in no track.

    Returns
    -------
    Tracks, list of str
        The tracks, and what a person should know: of several objects of one frame with the same number (the pieces of
        one object, which MIA keeps apart) only the largest is in the track.
    """
    rows: list[tuple[int, int, LabelObject]] = []
    notes: list[str] = []
    count = 0
    for frame, labels in enumerate(frames):
        count = frame + 1
        best: dict[int, LabelObject] = {}
        for item in labels.objects.values() if labels is not None else ():
            if item.track is None or item.track < 1:
                continue
            other = best.setdefault(item.track, item)
            if other is not item:
                large, small = sorted((other, item), key=lambda one: -float(one.geometry.area))
                best[item.track] = large
                pair = f"objects {large.id} and {small.id} both have the number {item.track}"
                notes.append(f"frame {frame + 1}: {pair}, and {small.id} was left out")
        rows += [(track, frame, item) for track, item in best.items()]
    rows.sort(key=lambda row: row[:2])
    items = [item for _, _, item in rows]
    classes = tuple(dict.fromkeys(item.label_class for item in items))
    shapes = np.array([item.geometry for item in items], object)
    centres = shapely.centroid(shapes)
    tracks = Tracks(
        np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.int32),
        np.stack([shapely.get_y(centres), shapely.get_x(centres)], 1).astype(np.float64).reshape(-1, 2),
        np.array([item.id for item in items], np.int64), np.zeros(len(rows), np.int32),
        np.array([classes.index(item.label_class) for item in items], np.int16),
        np.array([1.0 if item.score is None else item.score for item in items], np.float32),
        shapely.area(shapes).astype(np.float32), classes, count,
    )  # fmt: skip
    check(tracks)
    return tracks, notes
