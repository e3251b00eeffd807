"""Random changes of the values of an image: tone and stain, blur, noise, hidden rectangles.

Images are (Y, X, C) float32, either 0..1 (`unit`) and cut back to it, or z-scored and not cut. Strengths are in units
of the range 0..1; z-scored images mostly span about four standard deviations, so there one unit is `SPREAD` of them.
Every function returns a new array.
"""

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mia_tui.engine.augment.strengths import CHANCE, Strengths

Image = NDArray[np.float32]

SPREAD = 4.0
"""Standard deviations of a z-scored image that stand for the range 0..1."""

# Optical density of red, green and blue for haematoxylin, eosin and DAB: Ruifrok and Johnston, Anal Quant Cytol Histol
# 23 (2001), one stain a row.
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])

_DARKEST = 1e-6
"""Values below are raised to it before a logarithm."""

_DARKEST_STAIN = 1 / 512
"""The same for stains, half a step of 8 bits: a lower one would let black pixels outweigh everything."""

_BANK = 2**20
"""Normal deviates that noise is cut from; drawing them anew costs fifty times as much as adding them."""


# ---- tone -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tone:
    """gamma: exponent; contrast: factor about the mean of each channel; brightness: added (units of 0..1); gains (C,):
    factor per channel; stains (3,): factor of each stain's concentration, None leaves them."""

    gamma: float
    contrast: float
    brightness: float
    gains: NDArray[np.float64]
    stains: NDArray[np.float64] | None


def draw_tone(strengths: Strengths, channels: int, stained: bool, rng: np.random.Generator) -> Tone | None:
    """A random tone, None where the sample is left alone."""
    touched = rng.random() < CHANCE["tone"]
    gamma, contrast, brightness, *stains = rng.uniform(-1, 1, 6)
    gains = rng.uniform(-1, 1, channels) if channels > 1 else np.zeros(1)
    if not touched:
        return None
    return Tone(
        math.exp(gamma * math.log1p(strengths.gamma)),
        math.exp(contrast * math.log1p(strengths.contrast)),
        brightness * strengths.brightness,
        np.exp(gains * math.log1p(strengths.channel)),
        np.exp(np.array(stains) * math.log1p(strengths.stain)) if stained and strengths.stain > 0 else None,
    )


def change_tone(image: Image, tone: Tone, unit: bool) -> Image:
    """Stains and gamma, then contrast, brightness and gain of each channel in one multiplication and addition."""
    out = image
    if tone.stains is not None:
        out = restain(image, tone.stains, tone.gamma)
    elif tone.gamma != 1:
        out = _gamma(image, tone.gamma, unit)
    height, width, channels = out.shape
    rows = out.reshape(height, width * channels)
    scale, offset = tone.gains * tone.contrast, tone.gains * tone.brightness * (1 if unit else SPREAD)
    if tone.contrast != 1:
        mean = rows.mean(axis=0).reshape(width, channels).mean(axis=0)
        offset = offset + tone.gains * (1 - tone.contrast) * mean
    # One row of factors: arithmetic along a last axis of three is ten times slower.
    rows = rows * np.tile(scale, width).astype(np.float32)
    rows += np.tile(offset, width).astype(np.float32)
    return _cut(rows, unit).reshape(out.shape)


def restain(image: Image, factors: NDArray[np.float64], gamma: float = 1.0) -> Image:
    """Multiply the concentration of each stain of an RGB image in 0..1.

    By Beer and Lambert log(image) is linear in the concentrations, so parting the stains, scaling them and putting
    them together again is one 3 x 3 matrix on the logarithm (HED jitter: Tellez et al., IEEE TMI 37, 2018). White
    stays white. An exponent of the brightness is a factor on the same logarithm.

    Parameters
    ----------
    image : (Y, X, 3) float32
    factors : (3,)
        For haematoxylin, eosin and DAB (the rows of `STAINS`).
    gamma : float
    """
    mix = gamma * np.linalg.inv(STAINS) @ np.diag(factors) @ STAINS
    density = cv2.log(np.maximum(image, np.float32(_DARKEST_STAIN)))
    return np.asarray(cv2.exp(cv2.transform(density, mix.T)))


def _gamma(image: Image, gamma: float, unit: bool) -> Image:
    """image ** gamma in the range 0..1, or in the range of the patch where that is not the image's."""
    rows = image.reshape(len(image), -1)
    low, high = (0.0, 1.0) if unit else (float(rows.min()), float(rows.max()))
    span = max(high - low, _DARKEST)
    shares = rows if unit else (rows - np.float32(low)) / np.float32(span)
    raised = cv2.log(np.maximum(shares, np.float32(_DARKEST)))
    raised *= np.float32(gamma)
    raised = cv2.exp(raised, dst=raised)
    if not unit:
        raised = raised * np.float32(span) + np.float32(low)
    return np.asarray(raised.reshape(image.shape))


def _cut(values: Image, unit: bool) -> Image:
    return np.clip(values, 0, 1, out=values) if unit else values


# ---- blur -----------------------------------------------------------------------------------------------------------


def draw_blur(strengths: Strengths, rng: np.random.Generator) -> float:
    """A random sigma in pixels, 0 for none."""
    touched, amount = rng.random(2)
    return strengths.blur * amount if touched < CHANCE["blur"] else 0.0


def blur(image: Image, sigma: float) -> Image:
    """Gaussian blur, mirrored at the edges, the kernel cut at three sigma."""
    size = 2 * math.ceil(3 * sigma) + 1
    out = cv2.GaussianBlur(image, (size, size), sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(out.reshape(image.shape))


# ---- noise ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Noise:
    """read: standard deviation everywhere; shot: that at full brightness, both in units of 0..1; start: 0..1, where in
    the bank of deviates; sign: 1 or -1."""

    read: float
    shot: float
    start: float
    sign: int


def draw_noise(strengths: Strengths, rng: np.random.Generator) -> Noise | None:
    """Random noise, None where the sample is left alone."""
    touched, read, shot, start, sign = rng.random(5)
    if touched >= CHANCE["noise"]:
        return None
    return Noise(strengths.noise * read, strengths.shot * shot, start, 1 if sign < 0.5 else -1)


def add_noise(image: Image, noise: Noise, unit: bool) -> Image:
    """Gaussian noise of variance read^2 + shot^2 * brightness: the sum of read-out noise and, nearly, of Poisson noise
    of 1 / shot^2 photons at full brightness. Brightness of a z-scored image counts from its darkest pixel."""
    values = image.ravel()
    scale = 1.0 if unit else SPREAD
    deviates = _deviates(values.size, noise.start)
    if noise.shot > 0:
        dark = 0.0 if unit else float(values.min())
        variance = values * np.float32(noise.shot**2 * scale)
        variance += np.float32((noise.read * scale) ** 2 - dark * noise.shot**2 * scale)
        width = cv2.sqrt(np.maximum(variance, 0, out=variance).reshape(len(image), -1)).ravel()
        added = width * deviates
        added *= np.float32(noise.sign)
    else:
        added = deviates * np.float32(noise.read * scale * noise.sign)
    added += values
    return _cut(added, unit).reshape(image.shape)


def _deviates(count: int, start: float) -> NDArray[np.float32]:
    bank = _bank()
    if count > len(bank):
        return np.resize(np.roll(bank, -int(start * len(bank))), count)
    first = int(start * (len(bank) - count))
    return bank[first : first + count]


@cache
def _bank() -> NDArray[np.float32]:
    """The same in every process: a sample must not depend on who makes it."""
    bank = np.random.default_rng(0).standard_normal(_BANK, dtype=np.float32)
    bank.flags.writeable = False
    return bank


# ---- dropout --------------------------------------------------------------------------------------------------------


def draw_holes(strengths: Strengths, size: tuple[int, int], rng: np.random.Generator) -> list[tuple[slice, slice]]:
    """One to eight rectangles (y, x) that together cover up to the wanted share of the image; they may overlap."""
    touched, share, count = rng.random(3)
    if touched >= CHANCE["dropout"]:
        return []
    number = 1 + int(8 * count)
    area = share * strengths.dropout / number
    stretches = np.exp(rng.uniform(-0.5, 0.5, number))  # height over width from 1/e to e
    places = rng.random((number, 2))
    return [
        (_span(size[0], math.sqrt(area) * stretch, y), _span(size[1], math.sqrt(area) / stretch, x))
        for stretch, (y, x) in zip(stretches, places, strict=True)
    ]


def _span(length: int, share: float, place: float) -> slice:
    side = min(length, round(length * share))
    start = int(place * (length - side + 1))
    return slice(start, start + side)


def hide(image: Image, holes: list[tuple[slice, slice]]) -> Image:
    """The holes filled with the mean of each channel: neither dark nor bright to the network."""
    width, channels = image.shape[1:]
    mean = image.reshape(len(image), -1).mean(axis=0).reshape(width, channels).mean(axis=0)
    out = image.copy()
    for hole in holes:
        out[hole] = mean
    return out
