"""Import and export: one module per format, with the functions `import_` and `export`. Loaded when first asked for."""

from importlib import import_module
from types import ModuleType

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
}
"""Name of a format -> its module."""


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
