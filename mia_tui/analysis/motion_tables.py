"""The motion of a sequence as tables: of objects, tracks, classes, MSD curves, divisions and contacts.

Frames count from 0, as in files; times are those of the frames from the first frame of the sequence on. What could not
be measured is empty. Units are those of `Motion.units`: micrometres and seconds where they are known.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mia_tui.analysis.motion_results import Group, Motion
from mia_tui.analysis.tables import column, with_notes
from mia_tui.tracking.around_division import speed_around
from mia_tui.tracking.lineage import Life
from mia_tui.tracking.motion import by_group
from mia_tui.tracking.msd import Fits, Msd

Entry = tuple[str, str, str, Any]
"""Name, Arrow type, unit and values of a column."""


def motion_tables(motion: Motion) -> dict[str, pa.Table]:
    """All tables by the names of their files. `contacts` is there when contacts were looked for."""
    tables = {
        "objects": object_table(motion),
        "tracks": track_table(motion),
        "classes": class_table(motion),
        "msd": msd_table(motion),
        "divisions": division_table(motion),
        "around_divisions": around_table(motion),
    }
    if motion.contact_distance is not None:
        tables["contacts"] = contact_table(motion)
    about = {
        "frames": motion.tracks.frames,
        "frame_interval": motion.units.interval,
        "division_window": motion.window,
        "contact_distance_px": motion.contact_distance,
        "drift_subtracted": motion.drift_subtracted,
    }
    return {name: with_notes(table, about) for name, table in tables.items()}


def _table(entries: Iterable[Entry]) -> pa.Table:
    listed = list(entries)
    fields = [column(name, kind, unit) for name, kind, unit, _ in listed]
    arrays = [
        pa.array(values, type=field.type, from_pandas=True)
        for field, (_, _, _, values) in zip(fields, listed, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _axes(name: str, unit: str, values: npt.NDArray[Any]) -> list[Entry]:
    """One column per axis of (N, D) values."""
    letters = "zyx"[-values.shape[1] :]
    return [(f"{name}_{letter}", "double", unit, values[:, axis]) for axis, letter in enumerate(letters)]


def object_table(motion: Motion) -> pa.Table:
    """One row per track and frame, those of filled gaps included.

    `y` and `x` (and `z` in planes) are in pixels from the corner of the image; `position_*` are the same in the unit of
    length, without the drift where that was subtracted. `step_frames` is what the step to this row spans; without 1
    there are no speed and no turning angle.
    """
    tracks, steps, units = motion.tracks, motion.steps, motion.units
    names = np.array([*tracks.classes, ""], object)
    letters = "zyx"[-tracks.position.shape[1] :]
    return _table([
        ("track", "int64", "", tracks.track),
        ("frame", "int64", "", tracks.frame),
        ("time", "double", units.time, steps.time),
        ("object", "int64", "", _positive(tracks.object)),
        ("plane", "int64", "", tracks.plane),
        ("class", "string", "", names[tracks.label]),
        ("interpolated", "bool", "", ~steps.seen),
        *((letter, "double", "px", tracks.position[:, axis]) for axis, letter in enumerate(letters)),
        *_axes("position", units.length, steps.position),
        ("step_frames", "int64", "frame", _positive(steps.frames)),
        *_axes("displacement", units.length, steps.displacement),
        ("step", "double", units.length, steps.step),
        ("speed", "double", units.speed, steps.speed),
        ("turning", "double", "rad", steps.turning),
        ("path", "double", units.length, steps.path),
        ("distance_from_start", "double", units.length, steps.distance),
    ])  # fmt: skip


def _positive(values: npt.NDArray[Any]) -> pa.Array:
    """Whole numbers, empty where they are 0."""
    return pa.array(values.astype(np.int64), mask=values == 0)


def track_table(motion: Motion) -> pa.Table:
    """One row per track."""
    whole, units, owned = motion.whole, motion.units, [motion.lives[int(t)] for t in motion.whole.track]
    return _table([
        ("track", "int64", "", whole.track),
        ("class", "string", "", [motion.classes[life.track] for life in owned]),
        ("mother", "int64", "", [life.mother or None for life in owned]),
        ("founder", "int64", "", [life.founder for life in owned]),
        ("generation", "int64", "", [life.generation for life in owned]),
        ("daughters", "int64", "", [len(life.daughters) for life in owned]),
        ("fate", "string", "", [life.fate for life in owned]),
        ("first_frame", "int64", "", whole.first),
        ("last_frame", "int64", "", whole.last),
        ("frames", "int64", "frame", whole.seen),
        ("missing_frames", "int64", "frame", whole.missing),
        ("duration", "double", units.time, whole.duration),
        ("division_time", "double", units.time, [_cycle(life, units.interval) for life in owned]),
        ("net_displacement", "double", units.length, whole.net),
        ("path", "double", units.length, whole.path),
        ("directionality", "double", "", whole.directionality),
        ("speed_mean", "double", units.speed, whole.speed_mean),
        ("speed_median", "double", units.speed, whole.speed_median),
        ("speed_max", "double", units.speed, whole.speed_max),
        ("speed_std", "double", units.speed, whole.speed_std),
        ("turning_mean", "double", "rad", whole.turning),
        ("turning_signed_mean", "double", "rad", whole.turning_signed),
        *_fit_columns(motion, motion.fits, whole.track),
    ])  # fmt: skip


def _cycle(life: Life, interval: float) -> float | None:
    return None if life.cycle is None else life.cycle * interval


def _fit_columns(motion: Motion, fits: Fits, owners: npt.NDArray[Any]) -> list[Entry]:
    units = motion.units
    at = {int(owner): row for row, owner in enumerate(fits.owner)}
    rows = [at.get(int(owner)) for owner in owners]

    def of(values: npt.NDArray[Any]) -> list[Any]:
        return [None if row is None else values[row].item() for row in rows]

    return [
        ("msd_alpha", "double", "", of(fits.alpha)),
        ("msd_generalized_diffusion", "double", f"{units.area}/{units.time}^alpha", of(fits.generalized)),
        ("diffusion", "double", f"{units.area}/{units.time}", of(fits.diffusion)),
        ("localisation_error", "double", units.length, of(fits.localisation)),
        ("msd_lags", "int64", "frame", of(fits.lags)),
    ]


def class_table(motion: Motion) -> pa.Table:
    """One row per class of tracks, and one without a name for all of several classes.

    Of every measure: mean, median, standard deviation (of the sample), standard error and number of tracks that have
    it. The last columns are fits to the MSD of the class, over all windows of its tracks.
    """
    tracks = track_table(motion)
    measures = {
        name: np.array(tracks[name].to_numpy(zero_copy_only=False), float)
        for name in (
            "duration", "net_displacement", "path", "directionality", "speed_mean", "turning_mean", "msd_alpha",
            "diffusion", "division_time",
        )
    }  # fmt: skip
    unit = {field.name: field.metadata[b"unit"].decode() for field in tracks.schema}
    member = np.array([[int(t) in group.tracks for t in motion.whole.track] for group in motion.groups], bool)
    member = member.reshape(len(motion.groups), len(motion.whole))
    group, row = np.nonzero(member)
    entries: list[Entry] = [
        ("class", "string", "", [one.name or None for one in motion.groups]),
        ("tracks", "int64", "", member.sum(axis=1)),
        ("objects", "int64", "", member @ motion.whole.seen),
        (
            "divisions",
            "int64",
            "",
            [len([t for t in one.tracks if motion.lives[t].daughters]) for one in motion.groups],
        ),
    ]
    for name, values in measures.items():
        found = by_group(values[row], group, len(motion.groups))
        for what, of in (("mean", found.mean), ("median", found.median), ("std", found.std), ("sem", found.sem)):
            entries.append((f"{name.removesuffix('_mean')}_{what}", "double", unit[name], of))
        entries.append((f"{name.removesuffix('_mean')}_count", "int64", "", found.count))
    return _table([*entries, *_ensemble_columns(motion)])


def _ensemble_columns(motion: Motion) -> list[Entry]:
    """The fits of the groups, each of which has one row, of owner 0, or none."""
    parts = [_fit_columns(motion, group.fits, np.zeros(1, np.int64)) for group in motion.groups]
    kinds = _fit_columns(motion, motion.fits, np.zeros(0, np.int64))
    return [
        (f"ensemble_{name}", kind, unit, [value for part in parts for value in part[number][3]])
        for number, (name, kind, unit, _) in enumerate(kinds)
    ]


def msd_table(motion: Motion) -> pa.Table:
    """MSD over lag: of every track, then (without a track) of every class, then (without a class) of all tracks."""
    own = motion.curves
    tables = [_msd_rows(motion, own, own.owner, [motion.classes[int(track)] for track in own.owner])]
    for group in motion.groups:
        count = len(group.curve)
        tables.append(_msd_rows(motion, group.curve, np.zeros(count, np.int64), [group.name or None] * count))
    return pa.concat_tables(tables)


def _msd_rows(motion: Motion, curve: Msd, track: npt.NDArray[Any], names: Sequence[str | None]) -> pa.Table:
    units = motion.units
    return _table([
        ("class", "string", "", names),
        ("track", "int64", "", _positive(track)),
        ("lag_frames", "int64", "frame", curve.lag),
        ("lag", "double", units.time, curve.lag * units.interval),
        ("msd", "double", units.area, curve.value),
        ("msd_sem", "double", units.area, curve.sem),
        ("windows", "int64", "", curve.windows),
        ("tracks", "int64", "", curve.tracks),
    ])  # fmt: skip


def division_table(motion: Motion) -> pa.Table:
    """One row per division, in order of time."""
    units = motion.units
    mothers = sorted((life for life in motion.lives.values() if life.division is not None), key=_when)
    places = motion.steps.position
    numbers = motion.tracks.track
    first = {life.track: places[np.searchsorted(numbers, life.track)] for life in motion.lives.values()}
    ends = [np.searchsorted(numbers, life.track, side="right") - 1 for life in mothers]
    apart = [
        float(np.linalg.norm(first[life.daughters[0]] - first[life.daughters[1]])) if len(life.daughters) > 1 else None
        for life in mothers
    ]
    where = motion.tracks.position[np.array(ends, np.int64)]
    letters = "zyx"[-places.shape[1] :]
    around = [motion.around.get(life.track, (np.nan, np.nan)) for life in mothers]
    return _table([
        ("mother", "int64", "", [life.track for life in mothers]),
        ("class", "string", "", [motion.classes[life.track] for life in mothers]),
        ("daughters", "string", "", [" ".join(map(str, life.daughters)) for life in mothers]),
        ("generation", "int64", "", [life.generation for life in mothers]),
        ("frame", "int64", "", [life.division for life in mothers]),
        ("time", "double", units.time, [(life.division or 0) * units.interval for life in mothers]),
        *((letter, "double", "px", where[:, axis]) for axis, letter in enumerate(letters)),
        ("division_time", "double", units.time, [_cycle(life, units.interval) for life in mothers]),
        ("daughter_distance", "double", units.length, apart),
        ("speed_before", "double", units.speed, [before for before, _ in around]),
        ("speed_after", "double", units.speed, [after for _, after in around]),
    ])  # fmt: skip


def _when(life: Life) -> tuple[int, int]:
    return life.division or 0, life.track


def around_table(motion: Motion) -> pa.Table:
    """Speed over the time from division: mean over mothers (before) and daughters (after), per class and over all."""
    return pa.concat_tables([_around_rows(motion, group) for group in motion.groups] or [_around_rows(motion, None)])


def _around_rows(motion: Motion, group: Group | None) -> pa.Table:
    units = motion.units
    frames, found = speed_around(motion.aligned.of(group.tracks if group else frozenset()))
    name = None if group is None else group.name or None
    return _table([
        ("class", "string", "", [name] * len(frames)),
        ("frames_from_division", "int64", "frame", frames),
        ("time_from_division", "double", units.time, frames * units.interval),
        ("speed_mean", "double", units.speed, found.mean),
        ("speed_std", "double", units.speed, found.std),
        ("speed_sem", "double", units.speed, found.sem),
        ("cells", "int64", "", found.count),
    ])  # fmt: skip


def contact_table(motion: Motion) -> pa.Table:
    """One row per pair of tracks and time of contact. `duration` reaches from the first frame to the last."""
    found, units = motion.contacts, motion.units
    return _table([
        ("track_a", "int64", "", [one.a for one in found]),
        ("track_b", "int64", "", [one.b for one in found]),
        ("class_a", "string", "", [motion.classes[one.a] for one in found]),
        ("class_b", "string", "", [motion.classes[one.b] for one in found]),
        ("sisters", "bool", "", [0 < motion.lives[one.a].mother == motion.lives[one.b].mother for one in found]),
        ("first_frame", "int64", "", [one.first for one in found]),
        ("last_frame", "int64", "", [one.last for one in found]),
        ("frames", "int64", "frame", [one.frames for one in found]),
        ("duration", "double", units.time, [(one.last - one.first + 1) * units.interval for one in found]),
    ])  # fmt: skip
