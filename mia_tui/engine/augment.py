"""Random changes to training patches: presets built from albumentations, one seed per patch."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mia_tui.engine.tasks.segmentation import IGNORED

Augment = Callable[[int, NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32] | None], tuple[Any, Any, Any]]


def make_augment(preset: str) -> Augment:
    """A function (seed, image, target, weights) -> the three changed alike.

    Image is (Y, X, C) float32 in 0..1, target (Y, X) uint8, weights (Y, X) float32 or None. The same seed gives the
    same change whatever was drawn before, so that a resumed training continues exactly.

    Presets
    -------
    fluorescence
        flips, quarter turns, rotation, scale 0.7 to 1.4, elastic-free shear, brightness, contrast, gamma, blur, noise.
    histology
        the same with milder photometry and no blur.
    none
        nothing.
    """
    import albumentations as A

    transforms = _presets(A)[preset]
    if not transforms:
        return lambda seed, image, target, weights: (image, target, weights)
    compose = A.Compose(transforms, additional_targets={"weights": "mask"})

    def augment(
        seed: int, image: NDArray[np.float32], target: NDArray[np.uint8], weights: NDArray[np.float32] | None
    ) -> tuple[Any, Any, Any]:
        compose.set_random_seed(seed)
        inputs = {"image": image, "mask": target} | ({} if weights is None else {"weights": weights})
        out = compose(**inputs)
        return out["image"], out["mask"], out.get("weights")

    return augment


def _presets(A: Any) -> dict[str, list[Any]]:
    affine = A.Affine(
        scale=(0.7, 1.4), rotate=(-180, 180), shear=(-8, 8), keep_ratio=True, p=0.7,
        interpolation=cv2.INTER_LINEAR, mask_interpolation=cv2.INTER_NEAREST,
        border_mode=cv2.BORDER_REFLECT_101, fill_mask=IGNORED,
    )  # fmt: skip
    return {
        "fluorescence": [
            A.D4(p=1.0),
            affine,
            A.RandomBrightnessContrast(brightness_limit=0.15, contrast_limit=0.3, p=0.6),
            A.RandomGamma(gamma_limit=(60, 160), p=0.5),
            A.GaussianBlur(blur_limit=(3, 5), p=0.15),
            A.GaussNoise(std_range=(0.005, 0.05), per_channel=True, p=0.3),
        ],
        "histology": [
            A.D4(p=1.0),
            affine,
            A.RandomBrightnessContrast(brightness_limit=0.1, contrast_limit=0.15, p=0.5),
            A.RandomGamma(gamma_limit=(80, 125), p=0.3),
        ],
        "none": [],
    }
