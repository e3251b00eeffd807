"""Import and export: one module per format, with the functions `import_` and `export`. Loaded when first asked for."""

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from mia_tui.errors import MiaError

FORMATS = {
    "masks": "mia_tui.formats.masks",
    "geojson": "mia_tui.formats.geojson",
    "mia": "mia_tui.formats.mia",
    "roi": "mia_tui.formats.roi",
    "coco": "mia_tui.formats.coco",
    "points": "mia_tui.formats.points",
    "classes": "mia_tui.formats.classes",
    "folders": "mia_tui.formats.folders",
    "ctc": "mia_tui.formats.ctc",
    "napari": "mia_tui.formats.napari_tracks",
    "trackmate": "mia_tui.formats.trackmate",
    "geff": "mia_tui.formats.geff",
}
"""Name of a format -> its module."""


OPTIONS = {
    "ctc": ("sequence", "fill", "wide", "truth", "radius", "replace"),
    "napari": ("sequence",),
    "trackmate": ("sequence",),
    "geff": ("sequence", "replace"),
}
"""Name of a format of tracks -> what can be said beside source and destination."""


def options_of(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a person gave (those that are neither None nor False).

    Raises
    ------
    MiaError
        For one that the format does not have.
    """
    chosen = {option: value for option, value in given.items() if value is not None and value is not False}
    for option in chosen:
        if option not in OPTIONS.get(name, ()):
            known = ", ".join(other for other, options in OPTIONS.items() if option in options)
            raise MiaError(f"--{option} says nothing to the format {name}; it is for {known}.")
    return chosen


def load(name: str) -> ModuleType:
    """The module of a format.

    Raises
    ------
    MiaError
        For a name that is none.
    """
    if name not in FORMATS:
        raise MiaError(f"unknown format {name!r}: choose one of {', '.join(FORMATS)}")
    return import_module(FORMATS[name])
