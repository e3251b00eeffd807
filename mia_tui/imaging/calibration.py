"""Physical sizes from the metadata of TIFF files. Only what the file really says: no number is made up."""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from mia_tui.imaging.source import Calibration

# Micrometres in one unit. ImageJ writes micro as `\u00B5` in plain ASCII.
_MICROMETRES = {
    "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0,
    "micrometers": 1.0, "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3, "pm": 1e-6, "å": 1e-4,
    "mm": 1e3, "millimeter": 1e3, "millimetre": 1e3, "cm": 1e4, "centimeter": 1e4, "m": 1e6, "meter": 1e6,
    "metre": 1e6, "inch": 25400.0, "inches": 25400.0, "in": 25400.0,
}  # fmt: skip
_SECONDS = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "µs": 1e-6, "us": 1e-6,
    "min": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "d": 86400.0, "day": 86400.0,
}  # fmt: skip
_LARGEST_PIXEL_UM = 20.0
"""Plain TIFFs often carry a printer's 72 to 600 dots per inch (42 um and up); a microscope's pixel is smaller."""
_INCH, _CENTIMETRE = 2, 3


def imagej_calibration(metadata: Mapping[str, Any], tags: Mapping[str, Any]) -> Calibration:
    """From ImageJ's `unit`, `spacing`, `finterval` and the resolution tags, which hold pixels per unit."""
    unit = _micrometres(metadata.get("unit"))
    x, y = _ratio(tags.get("XResolution")), _ratio(tags.get("YResolution"))
    y_unit = _micrometres(metadata["yunit"]) if "yunit" in metadata else unit
    z_unit = _micrometres(metadata["zunit"]) if "zunit" in metadata else unit
    step, interval = _positive(metadata.get("spacing")), _positive(metadata.get("finterval"))
    seconds = _SECONDS.get(_plain(metadata.get("tunit", "sec")).lower())
    return Calibration(
        pixel_size=(y_unit / y, unit / x) if unit and y_unit and x and y else None,
        z_step=step * z_unit if step and z_unit else None,
        frame_interval=interval * seconds if interval and seconds else None,
    )


def plain_calibration(tags: Mapping[str, Any]) -> Calibration:
    """From the resolution tags of a TIFF that no microscopy program signed; None where they look like a printer's."""
    unit = {_INCH: 25400.0, _CENTIMETRE: 10000.0}.get(int(tags.get("ResolutionUnit") or 0))
    x, y = _ratio(tags.get("XResolution")), _ratio(tags.get("YResolution"))
    if not (unit and x and y) or max(unit / x, unit / y) > _LARGEST_PIXEL_UM:
        return Calibration()
    return Calibration(pixel_size=(unit / y, unit / x))


def ome_calibration(xml: str) -> tuple[Calibration, tuple[str, ...]]:
    """Calibration and channel names of the first image in an OME-XML ("" where a channel has no name)."""
    try:
        pixels = next((e for e in ElementTree.fromstring(xml).iter() if _name(e) == "Pixels"), None)
    except ElementTree.ParseError:
        pixels = None
    if pixels is None:
        return Calibration(), ()

    def length(axis: str) -> float | None:
        size, unit = _positive(pixels.get(f"PhysicalSize{axis}")), pixels.get(f"PhysicalSize{axis}Unit", "um")
        scale = _micrometres(unit)
        return size * scale if size and scale else None

    x, y = length("X"), length("Y")
    interval = _positive(pixels.get("TimeIncrement"))
    seconds = _SECONDS.get(pixels.get("TimeIncrementUnit", "s").replace("μ", "µ"))
    calibration = Calibration(
        pixel_size=(y, x) if x and y else None,
        z_step=length("Z"),
        frame_interval=interval * seconds if interval and seconds else None,
    )
    return calibration, tuple(e.get("Name", "") for e in pixels if _name(e) == "Channel")


def _name(element: ElementTree.Element) -> str:
    """A tag without its namespace."""
    return element.tag.rpartition("}")[2]


def _plain(text: Any) -> str:
    return str(text).replace("\\u00B5", "µ").replace("\\u00b5", "µ").strip()


def _micrometres(unit: Any) -> float | None:
    return _MICROMETRES.get(_plain(unit or "").lower())


def _positive(value: Any) -> float | None:
    """A number > 0 and finite, else None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < float("inf") else None


def _ratio(value: Any) -> float | None:
    """A TIFF rational (numerator, denominator)."""
    try:
        numerator, denominator = value
        return _positive(numerator / denominator)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
