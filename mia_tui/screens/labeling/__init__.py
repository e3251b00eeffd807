"""The screens on which people label."""

from mia_tui.screens.labeling.screen import LabelScreen

__all__ = ["LabelScreen"]
