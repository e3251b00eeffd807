"""Fluorescence-like time lapses of nuclei with exact masks, tracks and divisions, for demo, tests and benches.

Nuclei are deformable ellipses that move (Brownian, with a drift), push each other apart so that they touch but do not
overlap, grow, and divide: the mother's track ends and two daughters start in the next frame. The world is larger than
the picture and closed on itself, so nuclei enter, leave and are cut by the border as in a real field of view. The
picture is formed as in a microscope: chromatin texture and nucleoli, a Gaussian point spread, haze from out of focus,
uneven light, shot noise of the photons, read noise and a 12-bit camera.

The masks are the very pixels that emit light: a pixel that two nuclei claim belongs to the one whose centre is nearer
relative to its outline. Only the pictures for counting (`counting`) have nuclei above each other, and points for truth.
"""

from mia_tui.simulate.cells import COVERAGE
from mia_tui.simulate.counting import CountingImage, simulate_crowd, write_counting_set
from mia_tui.simulate.dataset import write_dataset
from mia_tui.simulate.lapse import Simulation, Track, man_track, simulate
from mia_tui.simulate.picture import Optics

__all__ = [
    "COVERAGE",
    "CountingImage",
    "Optics",
    "Simulation",
    "Track",
    "man_track",
    "simulate",
    "simulate_crowd",
    "write_counting_set",
    "write_dataset",
]
