"""PNG, JPEG and BMP through Pillow; PNGs of 16 bits, whose colours Pillow cuts to 8, through imagecodecs."""

from pathlib import Path
from typing import Any

import numpy as np

from mia_tui.errors import MiaError
from mia_tui.imaging.palette import expand
from mia_tui.imaging.source import Array, Source

# Pillow's mode -> (samples stored, samples kept, dtype)
_MODES: dict[str, tuple[int, int, str]] = {
    "1": (1, 1, "bool"), "L": (1, 1, "uint8"), "P": (1, 1, "uint8"), "I": (1, 1, "int32"), "F": (1, 1, "float32"),
    "I;16": (1, 1, "uint16"), "I;16L": (1, 1, "uint16"), "I;16B": (1, 1, "uint16"),
    "LA": (2, 1, "uint8"), "RGB": (3, 3, "uint8"), "RGBA": (4, 3, "uint8"), "RGBX": (4, 3, "uint8"),
}  # fmt: skip
_CONVERTED = {"CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "PA": "P", "La": "LA", "RGBa": "RGBA"}
# PNG colour type -> the same, for 16 bits per sample
_DEEP = {0: (1, 1, "uint16"), 2: (3, 3, "uint16"), 4: (2, 1, "uint16"), 6: (4, 3, "uint16")}
_TAIL = 4096
_END_MARK = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}


def open_raster(path: Path, kind: str, *, indices: bool = False) -> Source:
    """Open a PNG, JPEG or BMP lazily: the header is read here, the pixels when asked for.

    Pixels stay as stored: no scaling of 1-, 2- or 4-bit grey values, no EXIF rotation. `indices` gives the indices of a
    palette image instead of its colours.

    Raises
    ------
    MiaError
        When the header cannot be read, or the end of the file is missing and the pixels do not decode.
    """
    depth, colour_type = _png_depth(path) if kind == "PNG" else (8, 2)
    deep = depth == 16
    with _pillow(path) as image:
        mode = _CONVERTED.get(image.mode, image.mode)
        width, height = image.size
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3) if mode == "P" else None
    if mode not in _MODES:
        raise MiaError(f"{path} is of kind {mode}, which is not read. Save it as a grey or RGB PNG or TIFF.")
    stored, kept, dtype = _MODES[mode]
    if deep:
        stored, kept, dtype = _DEEP[colour_type]
    step = 255 // (2**depth - 1) if mode == "L" and depth in (2, 4) else 1

    def read(_index: tuple[int, ...]) -> Array:
        return _decode_png16(path) if deep else _decode(path, mode, step)

    shape = (height, width) if stored == 1 else (height, width, stored)
    source = Source(
        axes="YXS"[: len(shape)], shape=shape, dtype=np.dtype(dtype), page_ndim=len(shape), read=read, flavour=kind,
        axes_source="file", samples=kept, rgb=kept == 3,
    )  # fmt: skip
    if kind in _END_MARK and not _has_end(path, _END_MARK[kind]):
        read(())  # some programs leave the end mark out: what decodes is whole
    if palette is not None and not indices:
        return expand(source, palette)
    return source


def _pillow(path: Path) -> Any:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # a slide is larger than Pillow's limit against malicious web images
    return Image.open(path)


def _decode(path: Path, mode: str, step: int) -> Array:
    with _pillow(path) as image:
        array = np.array(image if image.mode == mode else image.convert(mode))
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array // np.uint8(step) if step > 1 else array


def _decode_png16(path: Path) -> Array:
    import imagecodecs

    return np.asarray(imagecodecs.png_decode(path.read_bytes()))


def _png_depth(path: Path) -> tuple[int, int]:
    """(bits per sample, colour type) from the IHDR chunk (PNG specification, 11.2.2)."""
    with open(path, "rb") as stream:
        header = stream.read(26)
    if len(header) < 26 or header[12:16] != b"IHDR":
        raise MiaError(f"{path} is truncated: its PNG header is incomplete. Copy it again from where it came.")
    return header[24], header[25]


def _has_end(path: Path, mark: bytes) -> bool:
    with open(path, "rb") as stream:
        stream.seek(max(0, path.stat().st_size - _TAIL))
        return mark in stream.read()
