"""Pictures of crowded nuclei that lie above each other, with a point for each: a set for counting.

Made after the description of the VGG cells (Lempitsky and Zisserman, *Learning to count objects in images*, NIPS 2010,
drawn with SIMCEP): 200 pictures of 256 x 256 pixels with 174 +- 64 cells, 74 to 317, that overlap, in and out of focus,
under uneven light. Numbers of this set are of its kind; they are not those of the original pictures.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from mia_tui.errors import MiaError
from mia_tui.simulate.cells import Array, Cell, Outlines, World, new_cell
from mia_tui.simulate.picture import Optics, expose, footprint, glow, illumination, texture_field
from mia_tui.storage import write_bytes
from mia_tui.written_table import write_written

SIZE = 256
FEWEST, MOST = 74, 317
_SPREAD = (1.025, 1.465)
"""Of a beta distribution: between `FEWEST` and `MOST` it has the mean 174 and the standard deviation 64."""
_RADIUS = 7.0
_NEAREST = 0.55
"""Least distance of two centres in units of the sum of their radii."""
_CLUSTERED = 0.45
"""Share of nuclei that lie on another one."""
_TRIES = 60
_BLUR = (0.0, 0.8, 1.5, 2.3)
"""Standard deviations in pixels that are added to a nucleus' blur by how far it is out of focus."""
_OPTICS = Optics(psf=1.0, photons=170.0, background=12.0, haze=0.1, unevenness=0.3)
_GREY = 6.0
"""Camera values per grey level of the 8-bit picture."""


@dataclass(frozen=True)
class CountingImage:
    """A picture and where its cells are.

    Attributes
    ----------
    image : (Y, X) uint8
    points : (N, 2) float64
        Centres (y, x) in pixels from the corner of the image, as in tables of points.
    """

    image: Array
    points: Array


def simulate_crowd(cells: int, *, seed: int, size: int = SIZE) -> CountingImage:
    """Simulate one picture of overlapping nuclei. The same arguments give the same bits.

    Parameters
    ----------
    cells : int
        Nuclei whose centres lie in the picture; the border may cut them.
    size : int
        Side of the picture in pixels.

    Raises
    ------
    MiaError
        For a picture below 32 pixels, or more cells than there is room for.
    """
    room = int(size**2 / (np.pi * (_NEAREST * _RADIUS) ** 2))
    if size < 32 or not 0 <= cells <= 0.6 * room:
        raise MiaError(f"{cells} cells do not fit into {size} x {size} pixels: give 0 to {int(0.6 * room)}, and 32 px.")
    places, textures, camera = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    world = World(size, size, 0.0, _RADIUS, "medium", 24.0, 0.0, (0.0, 0.0), False, places)
    population: list[Cell] = []
    for _ in range(cells):
        cell = new_cell(world, np.zeros(2), float(places.uniform(0, 22)), _RADIUS / np.sqrt(1.5))
        cell.size *= float(places.lognormal(0.0, 0.12))
        cell.position = _place(world, population, cell)
        population.append(cell)
    emission = _light(world, population, texture_field(textures))
    light = illumination(size, size, _OPTICS.unevenness, textures)
    raw = expose(emission * _OPTICS.photons, light, _RADIUS, _OPTICS, camera)
    image = np.clip((raw - _OPTICS.offset) / _GREY, 0, 255).astype(np.uint8)
    return CountingImage(image, np.array([cell.position for cell in population]).reshape(-1, 2))


def _place(world: World, others: list[Cell], cell: Cell) -> Array:
    """The first of 60 random places that is not too near to another centre, else the one farthest from all."""
    rng, box = world.rng, np.array([world.height, world.width], np.float64)
    places = rng.uniform(0, 1, (_TRIES, 2)) * box
    if not others:
        first: Array = places[0]
        return first
    positions = np.array([other.position for other in others])
    radii = np.array([other.radius for other in others]) + cell.radius
    angle, chosen = rng.uniform(0, 2 * np.pi, _TRIES), rng.integers(len(others), size=_TRIES)
    reach = (rng.uniform(_NEAREST, 1.0, _TRIES) * radii[chosen])[:, None]
    beside = positions[chosen] + reach * np.column_stack([np.sin(angle), np.cos(angle)])
    inside = np.all((beside >= 0) & (beside < box), axis=1)
    # Whether this nucleus lies on another one is drawn once: crowded places refuse more tries than empty ones.
    if rng.random() < _CLUSTERED:
        places[inside] = beside[inside]
    gap = np.min(np.hypot(*np.moveaxis(places[:, None] - positions, -1, 0)) / radii, axis=1)
    free = np.flatnonzero(gap >= _NEAREST)
    place: Array = places[free[0] if free.size else np.argmax(gap)]
    return place


def _light(world: World, population: list[Cell], field: Array) -> Array:
    """The light of all nuclei, each blurred by how far it is off focus; it adds up where they lie above each other."""
    layers = np.zeros((len(_BLUR), world.height, world.width))
    levels = np.minimum(np.abs(world.rng.normal(0.0, 1.3, len(population))).astype(int), len(_BLUR) - 1)
    if population:
        outlines = Outlines.of(population)
        for number, (cell, level) in enumerate(zip(population, levels, strict=True)):
            around = footprint(world, cell, outlines, number)
            inside = around.relative < 1.0
            layers[level][around.box][inside] += glow(cell, around, inside, field)
    blurred = (ndimage.gaussian_filter(layer, blur, mode="nearest") for layer, blur in zip(layers, _BLUR, strict=True))
    total: Array = np.sum(list(blurred), axis=0)
    return total


def crowd_sizes(count: int, seed: int) -> list[int]:
    """How many cells each of `count` pictures has: 74 to 317, on average 174 with a standard deviation of 64."""
    drawn = np.random.default_rng(seed).beta(*_SPREAD, count)
    sizes: list[int] = np.rint(FEWEST + (MOST - FEWEST) * drawn).astype(int).tolist()
    return sizes


def write_counting_set(folder: Path, *, count: int = 200, seed: int = 0) -> list[int]:
    """Write pictures `images/cells_001.png` and on, and their points as `points.csv`, which `mia-tui import` reads.

    Returns
    -------
    list of int
        How many cells each picture has.
    """
    rows: list[tuple[object, ...]] = []
    cells = crowd_sizes(count, seed)
    for number, own in enumerate(cells, 1):
        made = simulate_crowd(own, seed=seed * 100_000 + number)
        name = f"cells_{number:03d}.png"
        _write_png(folder / "images" / name, made.image)
        rows += [(name, 0, round(y, 3), round(x, 3), "cell") for y, x in made.points.tolist()]
    write_written(folder / "points.csv", ("image", "frame", "y", "x", "class"), rows)
    return cells


def _write_png(path: Path, image: Array) -> None:
    from PIL import Image as Picture

    buffer = io.BytesIO()
    Picture.fromarray(image).save(buffer, "png")
    write_bytes(path, buffer.getvalue())
