"""What a microscope sees of simulated nuclei: who owns which pixel, the light they emit, and the camera."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mia_tui.simulate.cells import Array, Cell, Outlines, World

_SLIVER = 20
"""A nucleus of which fewer pixels are in the picture is not drawn at all."""
_GRAIN = 24.0
"""Pixels of the texture field per radius of a nucleus."""


@dataclass(frozen=True)
class Optics:
    """The microscope. Lengths in pixels, light in photons per pixel, camera values in grey levels of 12 bits."""

    psf: float = 1.2
    photons: float = 260.0
    background: float = 20.0
    haze: float = 0.12
    unevenness: float = 0.35
    gain: float = 4.0
    offset: float = 100.0
    read_noise: float = 6.0


def draw(world: World, population: list[Cell], field: Array) -> tuple[Array, Array]:
    """(owners, emission): the number of the nucleus at each pixel, from 1 in list order, and the light it emits."""
    shape = (world.height, world.width)
    nearest, owners, emission = np.ones(shape), np.zeros(shape, np.int32), np.zeros(shape)
    outlines = Outlines.of(population)
    drawn: dict[int, Footprint] = {}
    for number, cell in enumerate(population, 1):
        around = footprint(world, cell, outlines, number - 1)
        if around.relative.size:
            drawn[number] = around
            closer = around.relative < nearest[around.box]
            nearest[around.box][closer], owners[around.box][closer] = around.relative[closer], number
    for number, around in drawn.items():
        parts, count = ndimage.label(owners[around.box] == number)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        keep = int(np.argmax(sizes)) + 1 if count and sizes.max() >= _SLIVER else -1
        owners[around.box][(parts > 0) & (parts != keep)] = 0
        if keep > 0:
            emission[around.box][parts == keep] = glow(population[number - 1], around, parts == keep, field)
    return owners, emission


@dataclass(frozen=True)
class Footprint:
    """The part of the picture around a nucleus: offsets from its centre, and distance from there over outline."""

    box: tuple[slice, slice]
    y: Array
    x: Array
    relative: Array


def footprint(world: World, cell: Cell, outlines: Outlines, which: int) -> Footprint:
    centre = cell.position - world.margin
    reach = 1.05 * float(outlines.distance(which, np.linspace(0, 2 * np.pi, 48)).max()) + 1.0
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.clip(np.ceil(centre + reach), 0, [world.height, world.width]).astype(int)
    high = np.maximum(high, low)
    y, x = np.mgrid[low[0] : high[0], low[1] : high[1]] + 0.5
    y, x = y - centre[0], x - centre[1]
    relative = np.hypot(y, x) / outlines.distance(which, np.arctan2(y, x))
    return Footprint((slice(low[0], high[0]), slice(low[1], high[1])), y, x, relative)


def texture_field(rng: np.random.Generator) -> Array:
    """Chromatin: smooth noise on two scales that closes on itself; mean 0, standard deviation 1. Shape (256, 256)."""
    noise = rng.standard_normal((2, 256, 256))
    fine = ndimage.gaussian_filter(noise[0], 2.0, mode="wrap")
    coarse = ndimage.gaussian_filter(noise[1], 5.5, mode="wrap")
    field = fine / fine.std() + coarse / coarse.std()
    normed: Array = (field - field.mean()) / field.std()
    return normed


def glow(cell: Cell, around: Footprint, inside: Array, field: Array) -> Array:
    """Light of a nucleus at its pixels `inside`: thickness, chromatin and dark nucleoli."""
    y, x, relative = around.y[inside], around.x[inside], around.relative[inside]
    cos, sin = np.cos(cell.angle), np.sin(cell.angle)
    u, v = (x * cos + y * sin) / cell.radius, (y * cos - x * sin) / cell.radius
    grain = ndimage.map_coordinates(
        field, cell.grain[:, None] + _GRAIN * np.stack([v, u]), order=1, mode="grid-wrap"
    )  # fmt: skip
    shade = np.ones_like(u)
    for centre_v, centre_u, size in cell.nucleoli:
        shade -= 0.5 * (1 - cell.mitosis) * np.exp(-((u - centre_u) ** 2 + (v - centre_v) ** 2) / (2 * size**2))
    thickness = np.sqrt(1.0 - 0.7 * np.minimum(relative, 1.0) ** 2)
    bright = cell.brightness * (1.0 + 0.7 * cell.mitosis)
    light: Array = bright * thickness * np.clip(shade, 0.35, 1.0) * np.clip(1.0 + 0.2 * grain, 0.3, 1.8)
    return light


def illumination(height: int, width: int, unevenness: float, rng: np.random.Generator) -> Array:
    """Illumination: 1 at a point near the middle, falling off as a square to 1 - `unevenness` at the far corner."""
    middle = rng.uniform(0.3, 0.7, 2) * (height, width)
    y, x = np.mgrid[:height, :width] + 0.5
    distance = (y - middle[0]) ** 2 + (x - middle[1]) ** 2
    light: Array = 1.0 - unevenness * distance / distance.max()
    return light


def expose(emission: Array, light: Array, radius: float, optics: Optics, rng: np.random.Generator) -> Array:
    """The camera's picture of an emission in photons per pixel, uint16 in 0 to 4095."""
    sharp = ndimage.gaussian_filter(emission, optics.psf, mode="nearest")
    haze = ndimage.gaussian_filter(emission, 2.0 * radius, mode="nearest")
    expected = light * (sharp + optics.haze * haze + optics.background)
    signal = optics.offset + optics.gain * rng.poisson(expected) + optics.read_noise * rng.standard_normal(light.shape)
    picture: Array = np.clip(np.rint(signal), 0, 4095).astype(np.uint16)
    return picture
