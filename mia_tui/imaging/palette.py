"""Palette images: indices into a table of colours."""

from dataclasses import replace

import numpy as np

from mia_tui.imaging.source import Array, Source


def expand(source: Source, colours: Array) -> Source:
    """An image of indices as the RGB image it stands for, or as a grey one when every colour is grey.

    Parameters
    ----------
    colours : (n, 3) uint8
        The table. An index past its end is black.
    """
    grey = bool((colours == colours[:, :1]).all())
    size = max(len(colours), 256)
    table = np.zeros((size, 3), np.uint8)
    table[: len(colours)] = colours
    if grey:
        return replace(source, dtype=np.dtype(np.uint8), read=lambda index: table[:, 0][source.read(index)])
    return replace(
        source,
        axes=source.axes + "S",
        shape=(*source.shape, 3),
        dtype=np.dtype(np.uint8),
        page_ndim=source.page_ndim + 1,
        read=lambda index: table[source.read(index)],
        samples=3,
        rgb=True,
    )
