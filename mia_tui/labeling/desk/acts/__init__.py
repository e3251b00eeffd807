"""What can be done at the desk, a module for each kind of action. Importing a module registers its rows."""

import importlib

MODULES = (
    "proposing",
    "deciding",
    "pointing",
    "objects",
    "vertices",
    "moving",
    "stacks",
    "areas",
    "menus",
    "classes",
    "history",
)


def load() -> None:
    """Import all modules of actions, in the order in which help shows them."""
    for name in MODULES:
        importlib.import_module(f"{__name__}.{name}")
