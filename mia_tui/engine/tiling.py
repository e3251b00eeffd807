"""Running a network over images of any size: overlapping tiles, blended smoothly.

An image is cut into tiles of one size; neighbours overlap; each tile's probabilities are weighted with a window that
falls to its rim, and summed. Rows of tiles are finished from top to bottom and handed on as bands, so memory does not
grow with the number of tiles. The scale of the image is never changed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mia_tui.engine.device import Precision
from mia_tui.engine.networks import SIZE_MULTIPLE, place

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Tiling:
    """`size` and `overlap` in pixels, `batch` tiles at once on GPUs. Small images are mirrored to `least` pixels, the
    side of the training patches, because some networks cannot take less."""

    size: int = 512
    overlap: int = 64
    batch: int = 4
    least: int = SIZE_MULTIPLE


def starts(length: int, size: int, overlap: int) -> list[int]:
    """First pixels of the tiles along one axis: evenly spread, neighbours overlap by at least `overlap`."""
    if length <= size:
        return [0]
    count = -(-(length - overlap) // (size - overlap))
    return [round(i * (length - size) / (count - 1)) for i in range(count)]


def tile_shape(height: int, width: int, tiling: Tiling) -> tuple[int, int]:
    """Height and width of the tiles: `size`, or less for a smaller image, always a multiple of `SIZE_MULTIPLE`."""
    tall, wide = (max(tiling.least, min(tiling.size, -(-n // SIZE_MULTIPLE) * SIZE_MULTIPLE)) for n in (height, width))
    return tall, wide


def window(height: int, width: int, overlap: int) -> NDArray[np.float32]:
    """Weights of a tile's pixels: 1 in the middle, a raised cosine over `overlap` pixels towards each rim, never 0."""

    def ramp(length: int) -> NDArray[np.float32]:
        rim = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
        return np.sin(np.pi / 2 * np.clip(rim / max(min(overlap, length // 2), 1), 0, 1)).astype(np.float32) ** 2

    return np.maximum(np.outer(ramp(height), ramp(width)), 1e-4).astype(np.float32)


def softmax(output: torch.Tensor) -> torch.Tensor:
    return output.float().softmax(1)


def unturned(maps: torch.Tensor, turns: int, flip: bool) -> torch.Tensor:
    """Maps without directions in them are right as they are."""
    return maps


class TiledNetwork:
    """A network that takes whole frames: `bands` yields its answers from top to bottom.

    Parameters
    ----------
    activate : callable
        Raw outputs (B, C, H, W) -> values 0..1, which are blended.
    turned : callable
        (maps of a view, turned back; quarter turns; flipped) -> maps whose directions are turned back, too.
    tta : bool
        Average over eight views.
    disagreement : bool
        With `tta`: one more channel, twice the standard deviation of the views (0..1), averaged over the channels.
    """

    def __init__(
        self,
        model: Any,
        device: torch.device,
        precision: Precision,
        tiling: Tiling,
        tta: bool = False,
        *,
        activate: Callable[[torch.Tensor], torch.Tensor] = softmax,
        turned: Callable[[torch.Tensor, int, bool], torch.Tensor] = unturned,
        disagreement: bool = False,
    ) -> None:
        self.model = place(model, device).eval() if isinstance(model, torch.nn.Module) else model
        self.device = device
        self.precision = precision
        self.tiling = tiling
        self.tta = tta
        self.activate = activate
        self.turned = turned
        self.disagreement = disagreement and tta

    def bands(
        self,
        height: int,
        width: int,
        read: Callable[[slice, slice], NDArray[np.float32]],
        progress: Progress | None = None,
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Answers (C, rows, X) float32 of consecutive bands of rows.

        Parameters
        ----------
        height, width : int
            Size of the frame.
        read : callable
            (rows, columns) -> (C, rows, columns) float32, normalised.
        progress : callable, optional
            Called with (tiles done, tiles in all).
        """
        tile_h, tile_w = tile_shape(height, width, self.tiling)
        # one by one on CPUs: kernels are chosen by the shape of the batch, and with them the last bits of the answer;
        # tiles of 512 pixels are also quicker alone there
        at_once = self.tiling.batch if self.device.type == "cuda" else 1
        tops, lefts = starts(height, tile_h, self.tiling.overlap), starts(width, tile_w, self.tiling.overlap)
        weight = torch.from_numpy(window(tile_h, tile_w, self.tiling.overlap))
        acc: torch.Tensor | None = None
        norm = torch.zeros(tile_h, width)
        done = 0
        for row, top in enumerate(tops):
            rows = slice(top, min(top + tile_h, height))
            count = rows.stop - rows.start
            for first in range(0, len(lefts), at_once):
                part = lefts[first : first + at_once]
                tiles = [_pad(read(rows, slice(x, min(x + tile_w, width))), tile_h, tile_w) for x in part]
                result = self._run(np.stack(tiles))
                if acc is None:
                    acc = torch.zeros(result.shape[1], tile_h, width)
                for x, tile in zip(part, result, strict=True):
                    columns = slice(x, min(x + tile_w, width))
                    span = columns.stop - columns.start
                    acc[:, :count, columns].addcmul_(tile[:, :count, :span], weight[:count, :span])
                    norm[:count, columns] += weight[:count, :span]
                done += len(part)
                if progress is not None:
                    progress(done, len(tops) * len(lefts))
            assert acc is not None
            finished = (tops[row + 1] if row + 1 < len(tops) else height) - top
            yield slice(top, top + finished), (acc[:, :finished] / norm[:finished]).numpy()
            acc, norm = _shift(acc, norm, finished)

    def _run(self, batch: NDArray[np.float32]) -> torch.Tensor:
        """Activated outputs (B, C, H, W) of a batch of tiles, on the CPU."""
        return self.answer(torch.from_numpy(batch).to(self.device)).float().cpu()

    def _ask(self, tensor: torch.Tensor) -> torch.Tensor:
        # channel after channel from here on: what follows is about single channels, and half as fast otherwise
        return self.activate(self.model(tensor.contiguous(memory_format=torch.channels_last)).contiguous())

    def answer(self, tensor: torch.Tensor) -> torch.Tensor:
        """Activated outputs of a batch; averaged over eight views with tta."""
        with torch.inference_mode(), self.precision.autocast():
            if not self.tta:
                return self._ask(tensor)
            total = squares = torch.zeros(())
            for turns in range(4):
                for flip in (False, True):
                    answer = self._view(tensor, turns, flip)
                    total, squares = total + answer, squares + answer**2
            mean = total / 8
            if not self.disagreement:
                return mean
            deviation = (squares / 8 - mean**2).clamp(min=0).sqrt().mean(1, keepdim=True)
            return torch.cat([mean, 2 * deviation], 1)

    def _view(self, tensor: torch.Tensor, turns: int, flip: bool) -> torch.Tensor:
        """What the network says of one of the eight views, turned back."""
        view = torch.rot90(tensor, turns, (2, 3))
        view = view.flip(3) if flip else view
        answer = self._ask(view)
        if answer.ndim == 4:
            answer = torch.rot90(answer.flip(3) if flip else answer, -turns, (2, 3))
            answer = self.turned(answer, turns, flip)
        return answer


def _pad(tile: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """Mirror a tile at the bottom and right to the full tile size."""
    missing = [(0, 0), (0, height - tile.shape[1]), (0, width - tile.shape[2])]
    if not any(after for _, after in missing):
        return np.asarray(tile, np.float32)
    return np.pad(tile, missing, mode="symmetric").astype(np.float32)


def _shift(acc: torch.Tensor, norm: torch.Tensor, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Move what later tiles still add to up by `rows`, and clear the rest."""
    keep = len(norm) - rows
    acc[:, :keep] = acc[:, rows:].clone()
    acc[:, keep:] = 0
    norm[:keep] = norm[rows:].clone()
    norm[keep:] = 0
    return acc, norm
