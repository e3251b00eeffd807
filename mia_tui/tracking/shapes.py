"""The objects of one frame as pixels, to be moved and laid over those of another."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Shapes:
    """Objects are numbered from 0 in the order of their frame's detections.

    Attributes
    ----------
    picture : (Y, X) int32
        The number of the object at each pixel, -1 for none.
    place : (P, 2) float32
        Centres (y, x) of all pixels with an object.
    owner : (P,) int32
        Their objects.
    area : (K,) float64
        Pixels; 0 where the picture lacks the object.
    centre : (K, 2) float64
    """

    picture: Array
    place: Array
    owner: Array
    area: Array
    centre: Array

    @classmethod
    def of(cls, labels: Array, objects: Array) -> "Shapes":
        """Of a label image (Y, X) and the (K,) values of its objects; other values in it are no objects."""
        count = len(objects)
        order = np.argsort(objects)
        y, x = np.nonzero(labels)
        value = labels[y, x].astype(np.int64)
        where = np.searchsorted(objects[order], value).clip(max=max(count - 1, 0))
        known = objects[order][where] == value if count else np.zeros(len(value), bool)
        y, x, owner = y[known], x[known], order[where[known]].astype(np.int32)
        picture = np.full(labels.shape, -1, np.int32)
        picture[y, x] = owner
        place = np.stack([y, x], 1).astype(np.float32) + np.float32(0.5)
        area = np.bincount(owner, minlength=count).astype(np.float64)
        sums = [np.bincount(owner, place[:, axis], minlength=count) for axis in (0, 1)]
        centre = np.stack(sums, 1) / np.maximum(area, 1)[:, None]
        return cls(picture, place, owner, area, centre)

    def some(self, per_object: int) -> tuple[Array, Array]:
        """(place, owner) of every n-th pixel, so that an average object has about `per_object` of them."""
        stride = 1 + len(self.owner) // (per_object * max(len(self.area), 1))
        return self.place[::stride], self.owner[::stride]


def overlaps(place: Array, owner: Array, weight: float, onto: Shapes) -> tuple[Array, Array, Array]:
    """Where moved pixels fall on the objects of another frame.

    Parameters
    ----------
    place : (P, 2) float
        Where the pixels are now.
    owner : (P,) int
        Their objects.
    weight : float
        Pixels that each of them stands for.

    Returns
    -------
    (E,) int, (E,) int, (E,) float64
        Owner, object of the other frame, and pixels they share, sorted by both.
    """
    height, width = onto.picture.shape
    y, x = np.floor(place).astype(np.int32).T
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    hit = onto.picture[y[inside], x[inside]]
    owner = owner[inside][hit >= 0]
    shape = (int(owner.max(initial=0)) + 1, max(len(onto.area), 1))
    shared = coo_matrix((np.ones(len(owner)), (owner, hit[hit >= 0])), shape=shape).tocsr()
    shared.sum_duplicates()
    shared.sort_indices()
    of = np.repeat(np.arange(shape[0]), np.diff(shared.indptr))
    return of, shared.indices.astype(np.int64), shared.data * weight
