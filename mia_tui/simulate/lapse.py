"""A simulated time lapse: pictures, masks and tracks that belong together."""

from dataclasses import dataclass

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.simulate.cells import COVERAGE, FULL, Array, Cell, World, advance, populate
from mia_tui.simulate.picture import Optics, draw, expose, illumination, texture_field

Track = tuple[int, int, int, int]
"""(track, first frame, last frame, mother or 0): the columns L B E P of the Cell Tracking Challenge, 0-based."""


@dataclass(frozen=True)
class Simulation:
    """A simulated time lapse.

    Attributes
    ----------
    images : (T, Y, X) uint16
        0 to 4095.
    masks : (T, Y, X) uint16
        0 background, else the track's number. Every number is one 4-connected object per frame.
    tracks : list of Track
        In the order of their numbers, which are 1, 2, 3 and so on.
    """

    images: Array
    masks: Array
    tracks: list[Track]


def simulate(
    frames: int,
    height: int,
    width: int,
    cells: int | None = None,
    *,
    seed: int,
    density: str = "medium",
    divisions: bool = True,
    radius: float = 10.0,
    cycle: float = 24.0,
    speed: float = 0.8,
    drift: tuple[float, float] = (0.15, 0.3),
    optics: Optics | None = None,
) -> Simulation:
    """Simulate nuclei in fluorescence. The same arguments give the same bits.

    Parameters
    ----------
    frames, height, width : int
        Length of the time lapse and size of the picture in pixels.
    cells : int, optional
        Nuclei in the first frame (those that the border cuts come on top); by default as many as `density` covers.
    density : str
        "sparse": nuclei keep apart; "medium": some meet; "touching": they grow in patches of nuclei in contact.
    radius : float
        Mean radius in pixels.
    cycle : float
        Frames from birth to division, give or take 15 %.
    speed, drift : float, (y, x)
        Standard deviation of a step, and the mean step, in pixels per frame.

    Raises
    ------
    MiaError
        For sizes below 16 pixels, no frame, an unknown density, or more cells than fit.
    """
    if frames < 1 or min(height, width) < 16 or not radius >= 3 or not cycle >= 3:
        raise MiaError("a simulation needs at least 1 frame of 16 x 16 pixels, a radius and a cycle of 3 or more.")
    if density not in COVERAGE:
        raise MiaError(f"unknown density {density!r}: choose one of {', '.join(COVERAGE)}.")
    if cells is None:
        cells = max(1, round(COVERAGE[density] * height * width / (np.pi * radius**2)))
    if cells < 0 or cells * np.pi * radius**2 > FULL * height * width:
        raise MiaError(f"{cells} cells of radius {radius:g} do not fit into {height} x {width} pixels.")
    motion, textures, camera = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    world = World(height, width, 2.5 * radius, radius, density, cycle, speed, drift, divisions, motion)
    optics = optics or Optics()
    field, light = texture_field(textures), illumination(height, width, optics.unevenness, textures)
    images = np.empty((frames, height, width), np.uint16)
    masks = np.empty((frames, height, width), np.uint16)
    tracks: dict[int, Track] = {}
    population = populate(world, cells)
    for t in range(frames):
        if t:
            population = advance(world, population)
        owners, emission = draw(world, population, field)
        masks[t] = name_tracks(population, owners, tracks, t)
        images[t] = expose(emission * optics.photons, light, radius, optics, camera)
    return Simulation(images, masks, [tracks[number] for number in sorted(tracks)])


def name_tracks(population: list[Cell], owners: Array, tracks: dict[int, Track], t: int) -> Array:
    """The frame's mask with track numbers; extends or starts the tracks of the nuclei that are in the picture.

    A nucleus that left and came back is a new track (a track has no gaps). Daughters name their mother when both of
    them are in the picture.
    """
    visible = set(np.unique(owners).tolist()) - {0}
    born = [cell.mother for i, cell in enumerate(population, 1) if i in visible and cell.mother and not cell.track]
    names = np.zeros(len(population) + 1, np.int64)
    for number, cell in enumerate(population, 1):
        if number not in visible:
            cell.track = 0
            continue
        if not cell.track:
            cell.track = len(tracks) + 1
            mother = cell.mother if born.count(cell.mother) == 2 else 0
            tracks[cell.track] = (cell.track, t, t, mother)
        first = tracks[cell.track]
        tracks[cell.track] = (first[0], first[1], t, first[3])
        names[number] = cell.track
    if len(tracks) > np.iinfo(np.uint16).max:
        raise MiaError("more than 65535 tracks do not fit into a 16-bit mask. Simulate fewer cells or frames.")
    return names[owners].astype(np.uint16)


def man_track(tracks: list[Track]) -> str:
    """The text of a Cell Tracking Challenge `man_track.txt`: one line `L B E P` per track."""
    return "".join(f"{number} {first} {last} {mother}\n" for number, first, last, mother in tracks)
