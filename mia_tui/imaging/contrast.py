"""Values to what the eye sees. Display only: nothing measured or trained on passes through here."""

import math
from collections.abc import Sequence

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.imaging.image import Image
from mia_tui.imaging.source import Array

Limits = list[tuple[float, float]]

SAMPLE = 250_000
"""Values per channel that percentiles are taken from."""

# Pairs and triples that stay apart with every kind of colour vision and add up to white where all are bright.
CHANNEL_COLORS = ("#00FFFF", "#FF00FF", "#FFFF00", "#00FF00", "#FF8000", "#4080FF", "#FFFFFF")


def default_colors(channels: int) -> list[str]:
    """Colours of a fluorescence image: grey alone, magenta and green for two, cyan, magenta, yellow ... for more."""
    if channels == 1:
        return ["#FFFFFF"]
    if channels == 2:
        return ["#FF00FF", "#00FF00"]
    return [CHANNEL_COLORS[i % len(CHANNEL_COLORS)] for i in range(channels)]


def contrast_limits(plane: Array, low: float = 0.1, high: float = 99.9, *, rgb: bool = False) -> Limits:
    """(black, white) values of each channel: percentiles of a strided subsample of the finite values.

    Parameters
    ----------
    plane : (C, Y, X)
    low, high : float
        Percentiles, 0 to 100.
    rgb : bool
        The channels are colours: all get the same limits, and 8-bit ones the whole range, so that no colour shifts.

    Notes
    -----
    White is always above black. Where the percentiles fall together (few bright pixels on an empty ground), the
    smallest and the largest value are taken; a constant channel shows black.
    """
    return _limits([plane], low, high, rgb)


def sequence_limits(image: Image, low: float = 0.1, high: float = 99.9, *, frames: int = 8) -> Limits:
    """The same from up to `frames` planes spread evenly over all time points and depths, for one contrast of all."""
    names = image.frames
    chosen = np.unique(np.linspace(0, len(names) - 1, min(frames, len(names))).round().astype(int))
    return _limits([image.frame(names[i]) for i in chosen], low, high, image.info.rgb)


def _limits(planes: Sequence[Array], low: float, high: float, rgb: bool) -> Limits:
    channels = planes[0].shape[0]
    if rgb and planes[0].dtype == np.uint8:
        return [(0.0, 255.0)] * channels
    budget = max(1, SAMPLE // len(planes))
    samples = [np.concatenate([_subsample(plane[c], budget) for plane in planes]) for c in range(channels)]
    if rgb:
        return [_range(np.concatenate(samples), low, high)] * channels
    return [_range(sample, low, high) for sample in samples]


def _subsample(channel: Array, budget: int) -> Array:
    """Every n-th row and column, so that about `budget` values are left."""
    step = max(1, int(np.ceil(np.sqrt(channel.size / budget))))
    values = channel[::step, ::step].ravel()
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return values.astype(np.float64)


def _range(values: Array, low: float, high: float) -> tuple[float, float]:
    if values.size == 0:
        return 0.0, 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        black, white = (float(v) for v in np.percentile(values, [low, high]))
    if not -np.inf < black < white < np.inf:
        black, white = float(values.min()), float(values.max())
    return (black, white) if white > black else (black, max(black + 1.0, math.nextafter(black, math.inf)))


def to_display(
    plane: Array,
    limits: Sequence[tuple[float, float]],
    colors: Sequence[str] | None = None,
    gamma: float = 1.0,
    invert: bool = False,
) -> Array:
    """A plane as an 8-bit RGB picture, the channels added up in their colours.

    Parameters
    ----------
    plane : (C, Y, X)
    limits : sequence of (black, white)
        One per channel. Values outside are cut; NaN is black.
    colors : sequence of str, optional
        `#RRGGBB` per channel. None: three channels are red, green and blue; any other number gets `default_colors`.
    gamma : float
        Exponent of the brightness, > 0; below 1 lifts the dark parts.
    invert : bool
        Dark on white.

    Returns
    -------
    (Y, X, 3) uint8

    Raises
    ------
    MiaError
        When limits or colours are fewer than channels, or gamma is not positive.
    """
    channels = plane.shape[0]
    if colors is None:
        colors = ["#FF0000", "#00FF00", "#0000FF"] if channels == 3 else default_colors(channels)
    if len(limits) < channels or len(colors) < channels or not gamma > 0:
        raise MiaError(
            f"{channels} channels need as many limits ({len(limits)}) and colours ({len(colors)}), and gamma > 0."
        )
    if channels == 1 and colors[0].upper() == "#FFFFFF":
        shown = np.repeat(_stretch(plane[0], limits[0], gamma)[..., None], 3, axis=2)
    else:
        total = np.zeros((*plane.shape[1:], 3), np.uint16)
        for channel, limit, color in zip(plane, limits, colors, strict=False):
            _add(total, _stretch(channel, limit, gamma), color)
        shown = np.minimum(total, 255).astype(np.uint8)
    return 255 - shown if invert else shown


def _stretch(channel: Array, limit: tuple[float, float], gamma: float) -> Array:
    """One channel as uint8: through a table where the pixels outnumber its entries, else by arithmetic."""
    if channel.dtype == np.bool_:
        channel = channel.view(np.uint8)
    if channel.dtype in (np.uint8, np.uint16) and channel.size > np.iinfo(channel.dtype).max:
        values = np.arange(np.iinfo(channel.dtype).max + 1, dtype=np.float32)
        table: Array = _brightness(values, limit, gamma)[channel]
        return table
    return _brightness(channel, limit, gamma)


def _brightness(values: Array, limit: tuple[float, float], gamma: float) -> Array:
    black, white = limit
    exact = np.finfo(np.float32).nmant + 1
    kind = np.float64 if values.dtype.itemsize * 8 > (32 if values.dtype.kind == "f" else exact) else np.float32
    scaled: Array = values.astype(kind)
    span = max(white - black, 1e-37)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (scaled - kind(black)) / kind(span)
        scaled = np.clip(np.nan_to_num(scaled, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    if gamma != 1.0:
        scaled **= gamma
    shown: Array = np.rint(scaled * 255).astype(np.uint8)
    return shown


def _add(total: Array, brightness: Array, color: str) -> None:
    """Add one channel in its colour to the (Y, X, 3) uint16 sum."""
    for i in range(3):
        part = int(color[1 + 2 * i : 3 + 2 * i], 16)
        if part == 255:
            total[..., i] += brightness
        elif part:
            total[..., i] += (brightness.astype(np.uint16) * part + 127) // 255
