"""What is augmented together: an image, its label image, where it is annotated, and its points."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """One training patch with everything that has to move with it.

    Attributes
    ----------
    image : (Y, X, C) float32
        0..1, or z-scored.
    labels : (Y, X) int32, optional
        Instance label image, 0 is background.
    known : (Y, X) bool, optional
        Where the annotation counts; None is everywhere.
    points : (N, 2) float32, optional
        (y, x) in array coordinates: the centre of pixel [0, 0] is (0, 0).
    kept : (K,) intp, optional
        After augmentation: which of the input points are still inside the image, in order. None on the way in.

    Raises
    ------
    ValueError
        When the arrays do not fit each other.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.int32] | None = None
    known: NDArray[np.bool_] | None = None
    points: NDArray[np.float32] | None = None
    kept: NDArray[np.intp] | None = None

    def __post_init__(self) -> None:
        if self.image.ndim != 3:
            raise ValueError(f"the image of a sample is (Y, X, C), not {self.image.shape}")
        for name, array in (("labels", self.labels), ("known", self.known)):
            if array is not None and array.shape != self.image.shape[:2]:
                raise ValueError(f"{name} {array.shape} do not fit the image {self.image.shape}")
        if self.points is not None and self.points.shape[1:] != (2,):
            raise ValueError(f"the points of a sample are (N, 2), not {self.points.shape}")
