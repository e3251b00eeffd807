"""Deep-learning microscopy image analysis in a terminal."""

__version__ = "0.1.0"
