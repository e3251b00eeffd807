"""Tracks written down as places on frames."""

import numpy as np

from mia_tui.imaging.source import Calibration
from mia_tui.tracking.motion import units_for
from mia_tui.tracking.tracks import Tracks

PIXELS = units_for(Calibration())


def tracks_from(
    paths: dict[int, dict[int, tuple[float, ...] | None]], *, frames: int | None = None, mothers=None, labels=None
) -> Tracks:
    """Tracks from {track: {frame: position}}; (position, None) in place of a position is an interpolated one."""
    rows = [(t, f, *_split(p)) for t, own in sorted(paths.items()) for f, p in sorted(own.items())]
    width = len(rows[0][2]) if rows else 2
    count = len(rows)
    return Tracks(
        track=np.array([r[0] for r in rows], np.int64),
        frame=np.array([r[1] for r in rows], np.int32),
        position=np.array([r[2] for r in rows], float).reshape(-1, width),
        object=np.array([r[0] * r[3] for r in rows], np.int64),
        plane=np.zeros(count, np.int32),
        label=np.array([(labels or {}).get(r[0], 0) for r in rows], np.int16),
        score=np.ones(count, np.float32),
        area=np.zeros(count, np.float32),
        classes=("round", "long"),
        frames=frames or max((r[1] for r in rows), default=-1) + 1,
        mothers=mothers or {},
    )


def _split(place):
    return (place[0], 0) if place[-1] is None else (place, 1)


def line(count, step=(3.0, 4.0)):
    return {f: tuple(f * s for s in step) for f in range(count)}
