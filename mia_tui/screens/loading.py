"""Importing what is heavy (NumPy, shapely and what needs them) away from the event loop, one thread at a time.

Two threads that import parts of one package for the first time can be handed half of it: `shapely.geometry.base` in one
and `shapely` in the other is enough. So whatever first needs these packages gets them here.
"""

import importlib
import threading
from typing import Any

_ONE_AT_A_TIME = threading.Lock()


def load(module: str) -> Any:
    """Import a module, in whatever thread this is called."""
    with _ONE_AT_A_TIME:
        importlib.import_module("shapely")
        return importlib.import_module(module)


def load_desk() -> None:
    """Import the labelling desk with all its actions and tools."""
    rows = load("mia_tui.labeling.desk.rows")
    with _ONE_AT_A_TIME:
        rows.load()
