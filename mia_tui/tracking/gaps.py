"""Frames that a track passes without an object."""

from dataclasses import replace
from typing import Any

import numpy as np

from mia_tui.tracking.tracks import Tracks


def fill_gaps(tracks: Tracks) -> Tracks:
    """The tracks with a row for every frame between their first and last one.

    A new row has object 0 and lies on the straight way between its neighbours, in equal steps; its plane is the nearest
    one, its class that of the neighbour before, its score 1 and its area 0. Between a mother and her daughters nothing
    is filled: whose frame it would be is not known.
    """
    before = np.flatnonzero((np.diff(tracks.track) == 0) & (np.diff(tracks.frame) > 1))
    missing = tracks.frame[before + 1] - tracks.frame[before] - 1
    if not len(before):
        return tracks
    at = np.repeat(before, missing)
    step = np.arange(len(at)) - np.repeat(np.cumsum(missing) - missing, missing) + 1
    share = step / np.repeat(missing + 1, missing)
    position = tracks.position[at] + share[:, None] * (tracks.position[at + 1] - tracks.position[at])
    plane = np.rint(tracks.plane[at] + share * (tracks.plane[at + 1].astype(float) - tracks.plane[at]))
    new = {
        "track": tracks.track[at],
        "frame": tracks.frame[at] + step,
        "position": position,
        "object": np.zeros(len(at)),
        "plane": plane,
        "label": tracks.label[at],
        "score": np.ones(len(at)),
        "area": np.zeros(len(at)),
    }
    order = np.lexsort((np.append(tracks.frame, new["frame"]), np.append(tracks.track, new["track"])))
    columns: dict[str, Any] = {}
    for name, values in new.items():
        old = getattr(tracks, name)
        columns[name] = np.concatenate([old, values.astype(old.dtype)])[order]
    return replace(tracks, **columns)
