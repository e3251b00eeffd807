"""How strong each random change may be: one number per switch, and a preset for each kind of microscopy.

Free of torch and albumentations, so that the form and the command line can use it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from mia_tui.errors import MiaError

BOUNDS: dict[str, tuple[float, float]] = {
    "flip": (0, 1),
    "turn": (0, 1),
    "rotate": (0, 180),
    "scale": (0, 1),
    "stretch": (0, 0.5),
    "shear": (0, 30),
    "translate": (0, 0.5),
    "elastic": (0, 16),
    "blur": (0, 5),
    "noise": (0, 0.5),
    "shot": (0, 0.5),
    "dropout": (0, 0.5),
    "brightness": (0, 0.5),
    "contrast": (0, 1),
    "gamma": (0, 2),
    "channel": (0, 1),
    "stain": (0, 1),
}
"""Smallest and largest strength of each switch; 0 is off everywhere."""

HELP: dict[str, str] = {
    "flip": "Chance of each mirror (up-down, left-right); 0.5 makes both ways equally likely",
    "turn": "Chance of a turn by 90, 180 or 270 degrees; 0.75 makes all four equally likely (oblong patches: 180 only)",
    "rotate": "Largest rotation in degrees, either way",
    "scale": "Zoom in and out: 0.3 is anything from 1/1.3 to 1.3 times the size",
    "stretch": "Zoom of height and width apart from each other: 0.1 is 1/1.1 to 1.1 each",
    "shear": "Largest shear in degrees, along both axes",
    "translate": "Largest shift as a share of the patch",
    "elastic": "Largest displacement of a smooth random deformation in pixels",
    "blur": "Largest sigma of a Gaussian blur in pixels",
    "noise": "Largest standard deviation of Gaussian noise, in units of the range 0..1",
    "shot": "Largest standard deviation of shot noise at full brightness; falls with the root of the brightness",
    "dropout": "Largest share of the image hidden under grey rectangles; labels stay",
    "brightness": "Largest shift of the brightness, in units of the range 0..1",
    "contrast": "Contrast about the mean of the patch: 0.3 is 1/1.3 to 1.3 times",
    "gamma": "Exponent of the brightness: 0.3 is 1/1.3 to 1.3; never inverts",
    "channel": "Gain of each channel by itself: 0.2 is 1/1.2 to 1.2; nothing with one channel",
    "stain": "Strength of each stain (haematoxylin, eosin, DAB) by itself: 0.1 is 1/1.1 to 1.1; RGB in 0..1 only",
}
"""One line per switch."""

CHANCE: dict[str, float] = {"warp": 0.8, "elastic": 0.5, "tone": 0.8, "blur": 0.3, "noise": 0.5, "dropout": 0.5}
"""Share of the samples that each group of switches touches: the others keep the pixels as they were measured.

`warp` is rotate, scale, stretch, shear, translate and elastic (elastic in half of these); `tone` is brightness,
contrast, gamma, channel and stain; `noise` is both noises. Mirrors and turns have their own chance. Within a group the
amounts are uniform from 0 (or minus) to the strength, factors on a logarithmic scale.
"""


@dataclass(frozen=True)
class Strengths:
    """The switches of augmentation; 0 is off. Units in `HELP`, bounds in `BOUNDS`, how often in `CHANCE`.

    Raises
    ------
    MiaError
        Naming every switch that is out of bounds.
    """

    flip: float = 0.0
    turn: float = 0.0
    rotate: float = 0.0
    scale: float = 0.0
    stretch: float = 0.0
    shear: float = 0.0
    translate: float = 0.0
    elastic: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    shot: float = 0.0
    dropout: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    channel: float = 0.0
    stain: float = 0.0

    def __post_init__(self) -> None:
        wrong = []
        for field in fields(self):
            low, high = BOUNDS[field.name]
            value = getattr(self, field.name)
            if not low <= value <= high:  # also catches NaN
                wrong.append(f"  {field.name} is {value}, but goes from {low:g} to {high:g}: {HELP[field.name]}")
        if wrong:
            raise MiaError("the augmentation is not right:\n" + "\n".join(wrong))

    def scaled(self, factor: float) -> "Strengths":
        """Every strength times `factor`, cut to the bounds."""
        return self.replaced({field.name: getattr(self, field.name) * factor for field in fields(self)})

    def replaced(self, values: Mapping[str, float]) -> "Strengths":
        """Other strengths for some switches, cut to the bounds."""
        return replace(
            self, **{name: min(max(value, BOUNDS[name][0]), BOUNDS[name][1]) for name, value in values.items()}
        )


PRESETS: dict[str, Strengths] = {
    # Exposure, labelling and depth of focus vary much, and few photons mean shot noise. No preferred direction.
    "fluorescence": Strengths(
        flip=0.5, turn=0.75, rotate=180, scale=0.4, stretch=0.1, shear=8, elastic=3,
        blur=1.0, noise=0.05, shot=0.05, brightness=0.1, contrast=0.3, gamma=0.6, channel=0.2,
    ),
    # Background in the middle of the range and bright halos about dark cells: contrast changes, but gamma, which acts
    # on both ends unequally, hardly. Cells are flat, so they deform; light is plentiful, so no shot noise.
    "phase": Strengths(
        flip=0.5, turn=0.75, rotate=180, scale=0.3, stretch=0.1, shear=5, elastic=3,
        blur=0.7, noise=0.03, brightness=0.1, contrast=0.3, gamma=0.15,
    ),
    # The magnification is fixed by the scanner and the colour means something: all of it mild.
    "histology": Strengths(
        flip=0.5, turn=0.75, rotate=180, scale=0.15, stretch=0.05, shear=3, elastic=1,
        blur=0.5, noise=0.01, brightness=0.04, contrast=0.1, gamma=0.1, channel=0.03, stain=0.15,
    ),
    "none": Strengths(),
}  # fmt: skip
"""A start for each kind of microscopy; `dataclasses.replace` changes single switches."""
