"""The same as albumentations transforms. Importing this takes seconds: only `pipeline` does, when it is needed.

Each transform decides by its own draws whether it touches a sample, so all have p = 1. Besides `image` the geometric
one moves the targets `labels`, `known` and `points`: names of our own go round the conversions that albumentations
makes for `mask` and `keypoints`.
"""

from typing import Any

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from mia_tui.engine.augment import geometry, photometry
from mia_tui.engine.augment.strengths import Strengths


class Geometry(A.DualTransform):  # type: ignore[misc]
    """Mirrors, quarter turns, affine and elastic deformation with a single resampling.

    What comes out is the patch of `size` (Y, X) at `place` of what goes in (None: all of it), whose surroundings fill
    the corners that a turn or a zoom brings in.
    """

    def __init__(self, strengths: Strengths) -> None:
        self.strengths = strengths
        self.place: geometry.Place = (0, 0)
        self.size: tuple[int, int] | None = None
        super().__init__(p=1.0)

    @property
    def targets(self) -> dict[str, Any]:
        return {
            "image": self.apply,
            "labels": self.apply_to_labels,
            "known": self.apply_to_known,
            "points": self.apply_to_points,
        }

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        warp = geometry.draw_warp(self.strengths, self.size or data["image"].shape[:2], self.random_generator)
        return {"warp": warp, "maps": geometry.source_maps(warp) if warp.resampled else None}

    def apply(self, img: NDArray[np.float32], warp: geometry.Warp, maps: Any, **_: Any) -> NDArray[np.float32]:
        return geometry.warp_image(img, warp, maps, self.place)

    def apply_to_labels(self, labels: NDArray[np.int32], warp: geometry.Warp, maps: Any, **_: Any) -> NDArray[np.int32]:
        return geometry.warp_labels(labels, warp, maps, self.place)

    def apply_to_known(self, known: NDArray[np.bool_], warp: geometry.Warp, maps: Any, **_: Any) -> NDArray[np.bool_]:
        return geometry.warp_labels(known.view(np.uint8), warp, maps, self.place).view(np.bool_)

    def apply_to_points(self, points: NDArray[np.float32], warp: geometry.Warp, **_: Any) -> NDArray[np.float32]:
        return geometry.move_points(points - np.array(self.place, np.float32), warp)


class Tone(A.ImageOnlyTransform):  # type: ignore[misc]
    """Brightness, contrast, gamma, gain of each channel and stains."""

    def __init__(self, strengths: Strengths, stained: bool, unit: bool) -> None:
        self.strengths, self.stained, self.unit = strengths, stained, unit
        super().__init__(p=1.0)

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        channels = data["image"].shape[2]
        return {"tone": photometry.draw_tone(self.strengths, channels, self.stained, self.random_generator)}

    def apply(self, img: NDArray[np.float32], tone: photometry.Tone | None, **_: Any) -> NDArray[np.float32]:
        return img if tone is None else photometry.change_tone(img, tone, self.unit)


class Blur(A.ImageOnlyTransform):  # type: ignore[misc]
    """Gaussian blur."""

    def __init__(self, strengths: Strengths) -> None:
        self.strengths = strengths
        super().__init__(p=1.0)

    def get_params(self) -> dict[str, Any]:
        return {"sigma": photometry.draw_blur(self.strengths, self.random_generator)}

    def apply(self, img: NDArray[np.float32], sigma: float, **_: Any) -> NDArray[np.float32]:
        return photometry.blur(img, sigma) if sigma > 0 else img


class Noise(A.ImageOnlyTransform):  # type: ignore[misc]
    """Gaussian and shot noise."""

    def __init__(self, strengths: Strengths, unit: bool) -> None:
        self.strengths, self.unit = strengths, unit
        super().__init__(p=1.0)

    def get_params(self) -> dict[str, Any]:
        return {"noise": photometry.draw_noise(self.strengths, self.random_generator)}

    def apply(self, img: NDArray[np.float32], noise: photometry.Noise | None, **_: Any) -> NDArray[np.float32]:
        return img if noise is None else photometry.add_noise(img, noise, self.unit)


class Dropout(A.ImageOnlyTransform):  # type: ignore[misc]
    """Rectangles hidden."""

    def __init__(self, strengths: Strengths) -> None:
        self.strengths = strengths
        super().__init__(p=1.0)

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        return {"holes": photometry.draw_holes(self.strengths, data["image"].shape[:2], self.random_generator)}

    def apply(self, img: NDArray[np.float32], holes: list[tuple[slice, slice]], **_: Any) -> NDArray[np.float32]:
        return photometry.hide(img, holes) if holes else img
