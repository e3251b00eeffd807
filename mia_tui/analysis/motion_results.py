"""Everything measured of the motion of one sequence, in one place for its tables, plots and summary."""

from dataclasses import dataclass

import numpy as np

from mia_tui.imaging.source import Calibration
from mia_tui.tracking.around_division import WINDOW, Aligned, Comparison, align, before_and_after, compare
from mia_tui.tracking.contacts import TOUCHING, Contact, Masks, contacts
from mia_tui.tracking.lineage import Life, lives
from mia_tui.tracking.motion import (
    Steps,
    TrackMotion,
    Units,
    drift,
    measure_steps,
    measure_tracks,
    units_for,
    without_drift,
)
from mia_tui.tracking.msd import Fits, Msd, ensemble, fit, track_msd
from mia_tui.tracking.tracks import Tracks, check


@dataclass(frozen=True)
class Group:
    """Tracks that are looked at together: those of one class, or all (`name` is "")."""

    name: str
    tracks: frozenset[int]
    curve: Msd
    fits: Fits


@dataclass(frozen=True)
class Motion:
    """What `measure_motion` found.

    Attributes
    ----------
    tracks : Tracks
    units : Units
    steps : Steps
        Per row of `tracks`.
    whole : TrackMotion
        Per track.
    classes : dict
        Track -> name of the class that most of its objects have.
    curves, fits : Msd, Fits
        Per track.
    groups : tuple of Group
        One per class that has tracks, in the order of the classes; all tracks come last where there are more classes
        than one.
    lives : dict
        Track -> its life.
    aligned : Aligned
        Speeds around divisions.
    around : dict
        Mother -> (mean speed before, mean speed after), over `window` frames on each side.
    compared : Comparison
    contacts : list of Contact
    contact_distance : float or None
        Pixels; None where contacts were not looked for.
    jump : float
        The largest step from frame to frame that half of all objects make together, in units of length.
    drift_subtracted : bool
        Whether `steps` and all that follows from them are without these.
    """

    tracks: Tracks
    units: Units
    steps: Steps
    whole: TrackMotion
    classes: dict[int, str]
    curves: Msd
    fits: Fits
    groups: tuple[Group, ...]
    lives: dict[int, Life]
    aligned: Aligned
    around: dict[int, tuple[float, float]]
    compared: Comparison
    window: int
    contacts: list[Contact]
    contact_distance: float | None
    jump: float
    drift_subtracted: bool


def measure_motion(
    tracks: Tracks,
    calibration: Calibration,
    masks: Masks | None = None,
    *,
    window: int = WINDOW,
    contact_distance: float | None = None,
    subtract_drift: bool = False,
) -> Motion:
    """Measure the motion of all tracks of a sequence.

    Parameters
    ----------
    calibration : Calibration
        What is None there is measured in pixels or frames.
    masks : callable, optional
        Frame -> (Y, X) label image of object ids. With it contacts are those of masks.
    window : int
        Frames before and after a division whose speeds are compared.
    contact_distance : float, optional
        Pixels. By default masks are in contact when they touch, and points are not looked at.
    subtract_drift : bool
        Measure without what all objects move together (see `motion.drift`), as by a stage that jumps.

    Raises
    ------
    MiaError
        For tracks that cannot be (see `tracks.check`).
    """
    check(tracks)
    units = units_for(calibration, tracks.position.shape[1])
    still = without_drift(tracks) if subtract_drift else tracks
    steps = measure_steps(still, units)
    whole = measure_tracks(tracks, steps, units)
    curves = track_msd(still, units)
    names = {int(t): tracks.classes[label] for t, label in zip(whole.track, whole.label, strict=True)}
    found = lives(tracks)
    aligned = align(tracks, steps, found)
    around = before_and_after(aligned, window)
    near = TOUCHING if contact_distance is None and masks is not None else contact_distance
    return Motion(
        tracks=tracks,
        units=units,
        steps=steps,
        whole=whole,
        classes=names,
        curves=curves,
        fits=fit(curves, units),
        groups=_groups(tracks, names, curves, units),
        lives=found,
        aligned=aligned,
        around=around,
        compared=compare(around),
        window=window,
        contacts=[] if near is None else contacts(tracks, near, masks),
        contact_distance=near,
        jump=_largest_jump(tracks, units),
        drift_subtracted=subtract_drift,
    )


def _largest_jump(tracks: Tracks, units: Units) -> float:
    moves = np.diff(drift(tracks), axis=0) * np.asarray(units.sizes)
    return float(np.linalg.norm(moves, axis=1).max(initial=0))


def _groups(tracks: Tracks, names: dict[int, str], curves: Msd, units: Units) -> tuple[Group, ...]:
    members = {name: frozenset(t for t, own in names.items() if own == name) for name in tracks.classes}
    members = {name: own for name, own in members.items() if own}
    if len(members) > 1:
        members[""] = frozenset(names)
    groups = []
    for name, own in members.items():
        curve = ensemble(curves, dict.fromkeys(own, 0))
        groups.append(Group(name, own, curve, fit(curve, units)))
    return tuple(groups)
