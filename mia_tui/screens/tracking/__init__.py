"""Correcting tracks over the image."""

from mia_tui.screens.tracking.screen import TrackingScreen

__all__ = ["TrackingScreen"]
