"""Simulated nuclei: their outlines, and how they move, push, grow and divide."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[Any]

COVERAGE = {"sparse": 0.06, "medium": 0.18, "touching": 0.36}
"""Share of the picture covered by nuclei when no number of cells is given."""
_REST = {"sparse": 1.5, "medium": 1.06, "touching": 0.94}
"""Distance to which two nuclei push each other, in units of the sum of their radii towards each other."""
_CLUSTERED = {"sparse": 0.0, "medium": 0.35, "touching": 0.85}
"""Share of nuclei that start next to another one."""
_COHESION = {"sparse": 0.0, "medium": 0.0, "touching": 0.25}
"""How strongly two nuclei that part are pulled together again."""
FULL = 0.75
"""Covered share of the world past which nothing more fits; contact inhibition stops divisions a little before."""
_TRIES = 100
_WAVES = np.arange(2, 6)
"""Angular frequencies of an outline's deformation."""


@dataclass
class Cell:
    """One nucleus. `position` is (y, x) in the world; `size` is the radius of its circle when just born."""

    position: Array
    size: float
    age: float
    cycle: float
    angle: float
    aspect: float
    waves: Array
    brightness: float
    grain: Array
    nucleoli: Array
    track: int = 0
    mother: int = 0

    @property
    def mitosis(self) -> float:
        """1 just before the division and after the birth, 0 in between: how condensed the chromatin is."""
        return min(1.0, max(0.0, 1.0 - (self.cycle - self.age) / 1.5, 0.6 - 0.4 * self.age))

    @property
    def radius(self) -> float:
        """The area doubles over a cycle; condensed chromatin takes less of it."""
        grown = self.size * math.sqrt(1.0 + min(self.age / self.cycle, 1.0))
        return grown * (1.0 - 0.18 * self.mitosis)

    @property
    def elongation(self) -> float:
        """Long over short axis; a dividing nucleus is longer."""
        return self.aspect * (1.0 + 0.5 * self.mitosis)


@dataclass(frozen=True)
class Outlines:
    """The outlines of a population as arrays, one row per nucleus."""

    radius: Array
    elongation: Array
    angle: Array
    waves: Array

    @classmethod
    def of(cls, population: list[Cell]) -> "Outlines":
        return cls(
            np.array([cell.radius for cell in population]),
            np.array([cell.elongation for cell in population]),
            np.array([cell.angle for cell in population]),
            np.array([cell.waves for cell in population]),
        )

    def distance(self, which: Array | int, theta: Array) -> Array:
        """From the centre of nucleus `which` to its outline in the direction `theta` (of the picture, radians).

        An ellipse of the area of the circle, times a Fourier series over the angle.
        """
        phi = theta - self.angle[which]
        long = self.elongation[which]
        turn = np.cos(phi) + 1j * np.sin(phi)
        ellipse = 1.0 / np.sqrt(turn.real**2 / long + turn.imag**2 * long)
        ripple, power = np.zeros_like(phi), turn
        for amplitude in np.moveaxis(self.waves[which], -1, 0):
            power = power * turn
            ripple += amplitude.real * power.real - amplitude.imag * power.imag
        distance: Array = self.radius[which] * ellipse * (1.0 + ripple)
        return distance


@dataclass(frozen=True)
class World:
    """What does not change: sizes in pixels, how nuclei behave, and the source of chance."""

    height: int
    width: int
    margin: float
    radius: float
    density: str
    cycle: float
    speed: float
    drift: tuple[float, float]
    divisions: bool
    rng: np.random.Generator

    @property
    def box(self) -> Array:
        return np.array([self.height + 2 * self.margin, self.width + 2 * self.margin])


def new_cell(world: World, position: Array, age: float, size: float) -> Cell:
    rng = world.rng
    nucleoli = np.column_stack([rng.uniform(-0.5, 0.5, (3, 2)), rng.uniform(0.09, 0.2, 3)])[: rng.integers(1, 4)]
    return Cell(
        position=position,
        size=size,
        age=age,
        cycle=world.cycle * float(np.clip(rng.normal(1.0, 0.15), 0.6, 1.4)),
        angle=float(rng.uniform(0, 2 * np.pi)),
        aspect=float(rng.uniform(1.05, 1.75)),
        waves=_ripples(rng),
        brightness=float(rng.lognormal(0.0, 0.25)),
        grain=rng.uniform(0, 256, 2),
        nucleoli=nucleoli,
    )


def _ripples(rng: np.random.Generator) -> Array:
    """Complex amplitudes of the outline's waves, the slow ones largest."""
    noise = rng.standard_normal((len(_WAVES), 2)) @ np.array([1, 1j])
    ripples: Array = 0.09 / _WAVES * noise
    return ripples


def populate(world: World, cells: int) -> list[Cell]:
    """`cells` nuclei in the picture and as many per area around it, placed by density and pushed apart."""
    rng, view = world.rng, np.array([world.height, world.width])
    around = round(cells * (float(np.prod(world.box)) / float(np.prod(view)) - 1.0))
    population: list[Cell] = []
    for i in range(cells + around):
        age = float(rng.uniform(0, 1)) * world.cycle
        cell = new_cell(world, np.zeros(2), age, world.radius / np.sqrt(1.5) * float(rng.lognormal(0.0, 0.08)))
        cell.age = min(age, cell.cycle - 0.5)
        cell.position = _free_place(world, population, cell, inside=i < cells)
        population.append(cell)
    for _ in range(40):
        _push(world, population)
    return population


def _free_place(world: World, others: list[Cell], cell: Cell, *, inside: bool) -> Array:
    """The first of 100 random places where `cell` has room, else the one with the most room."""
    rng, rest = world.rng, _REST[world.density]
    positions = np.array([other.position for other in others]).reshape(-1, 2)
    radii = np.array([other.radius for other in others])
    places = rng.uniform(0, 1, (_TRIES, 2)) * world.box
    beside = rng.random(_TRIES) < _CLUSTERED[world.density]
    angle = rng.uniform(0, 2 * np.pi, _TRIES)
    if others:
        neighbour = rng.integers(len(others), size=_TRIES)
        reach = 1.02 * rest * (radii[neighbour] + cell.radius)[:, None]
        near = positions[neighbour] + reach * np.column_stack([np.sin(angle), np.cos(angle)])
        places = np.where(beside[:, None], near % world.box, places)
    if inside and not _in_view(world, places).any():
        places[-1] = world.margin + rng.uniform(0, 1, 2) * (world.height, world.width)
    apart = np.abs(places[:, None] - positions)
    distance = np.hypot(*np.moveaxis(np.minimum(apart, world.box - apart), -1, 0))
    gap = np.min(distance / (radii + cell.radius), axis=1, initial=np.inf)
    gap[_in_view(world, places) != inside] = -1.0
    free = np.flatnonzero(gap >= 0.97 * rest)
    place: Array = places[free[0] if free.size else np.argmax(gap)]
    return place


def _in_view(world: World, places: Array) -> Array:
    local = places - world.margin
    inside: Array = np.all((local >= 0) & (local < [world.height, world.width]), axis=1)
    return inside


def _push(world: World, population: list[Cell]) -> None:
    """One step of soft repulsion (and cohesion): overlapping pairs move apart by half of what they overlap."""
    if len(population) < 2:
        return
    positions = np.array([cell.position for cell in population]) % world.box
    outlines, rest = Outlines.of(population), _REST[world.density]
    reach = min(2.6 * rest * float(outlines.radius.max()), float(world.box.min()) / 2.01)
    i, j = cKDTree(positions, boxsize=world.box).query_pairs(reach, output_type="ndarray").T
    apart = positions[j] - positions[i]
    apart -= world.box * np.round(apart / world.box)
    distance = np.maximum(np.hypot(*apart.T), 1e-6)
    theta = np.arctan2(apart[:, 0], apart[:, 1])
    touch = outlines.distance(i, theta) + outlines.distance(j, theta + np.pi)
    overlap = rest * touch - distance
    strength = np.select([overlap > 0, overlap > -0.25 * touch], [0.5, _COHESION[world.density]], 0.0)
    move = (0.5 * strength * overlap / distance)[:, None] * apart
    np.add.at(positions, j, move)
    np.add.at(positions, i, -move)
    for cell, position in zip(population, positions, strict=True):
        cell.position = position % world.box


def advance(world: World, population: list[Cell]) -> list[Cell]:
    """One frame later: growth, divisions, motion."""
    rng = world.rng
    covered = sum(np.pi * cell.radius**2 for cell in population) / float(np.prod(world.box))
    after: list[Cell] = []
    for cell in population:
        if world.divisions:
            cell.age = min(cell.age + 1.0, cell.cycle)
        if world.divisions and cell.age >= cell.cycle and covered < 0.8 * FULL:
            after += _daughters(world, cell)
            continue
        cell.mother = 0
        cell.position = cell.position + world.drift + world.speed * rng.standard_normal(2)
        cell.angle += 0.06 * float(rng.standard_normal())
        cell.waves = 0.9 * cell.waves + np.sqrt(1 - 0.9**2) * _ripples(rng)
        after.append(cell)
    for _ in range(8):
        _push(world, after)
    return after


def _daughters(world: World, mother: Cell) -> Iterator[Cell]:
    """Two new nuclei on the mother's long axis, half of her area each."""
    axis = np.array([np.sin(mother.angle), np.cos(mother.angle)])
    for side in (-1.0, 1.0):
        place = (mother.position + side * mother.size * axis) % world.box
        cell = new_cell(world, place, 0.0, mother.size * float(world.rng.lognormal(0.0, 0.04)))
        cell.angle = mother.angle + np.pi / 2 + 0.2 * float(world.rng.standard_normal())
        cell.brightness = mother.brightness * float(world.rng.lognormal(0.0, 0.06))
        cell.mother = mother.track
        yield cell
