"""How many patches of a step fit into memory: two probes, a line through them, and one step to verify."""

import ctypes
import gc
import re
import resource
from collections.abc import Callable
from pathlib import Path

import torch

from mia_tui.errors import MiaError

PROBES = (8, 4, 3, 1)
"""Batch sizes of the second probe beside 2: the first that is sure to fit."""


def fit_batch_size(measure: Callable[[int], float], available: float, *, share: float = 0.85, most: int = 512) -> int:
    """Largest batch size whose step needs at most `share` of the available memory.

    Memory is a line over the batch size (0.6 % off at twice the largest probe, measured on a Unet), so two probes tell
    where it meets the limit; a step there verifies it, and goes down by a quarter as long as it fails.

    Parameters
    ----------
    measure : function
        Peak memory of one training step with a batch size, in the unit of `available`. It may raise what torch raises
        when memory runs out, see `is_out_of_memory`.
    available : float
        Memory that there is, what the process already holds included when `measure` counts it.
    share : float
        Part of it that may be used, 0..1.
    most : int
        Largest batch size to return, 1 or more.

    Returns
    -------
    int
        1 or more.

    Raises
    ------
    MiaError
        When one patch is too much.
    """
    budget = share * available

    def fits(size: int) -> bool:
        needed = _try(measure, size)
        return needed is not None and needed <= budget

    first = _try(measure, 2) if most >= 2 else None
    if first is None or first > budget:
        if fits(1):
            return 1
        raise MiaError(
            f"not even a batch of one patch fits into {share:.0%} of the memory. "
            "Lower patch_size or take a lighter encoder."
        )
    # memory grows at most in proportion: a probe that could go past all there is might have the process killed
    for size in (size for size in PROBES if size <= most and first * size / 2 <= available):
        second = _try(measure, size)
        if second is not None:
            break
    else:
        return 2
    best = max(size, 2) if second <= budget else 2
    guess = _crossing((2, first), (size, second), budget, most)
    while guess > best:
        if fits(guess):
            return guess
        guess = guess * 3 // 4
    return best


def _crossing(one: tuple[int, float], two: tuple[int, float], budget: float, most: int) -> int:
    """Batch size where the line through two (size, memory) meets the budget, at most `most`."""
    slope = (two[1] - one[1]) / (two[0] - one[0])
    if slope <= 0:  # lost in everything else that needs memory: go as far as is safe
        size, needed = max(one, two)
        return int(min(size * budget / needed, most))
    return int(min(one[0] + (budget - one[1]) / slope, most))


def _try(measure: Callable[[int], float], size: int) -> float | None:
    """Memory of a step, None when it runs out."""
    try:
        return measure(size)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out: MemoryError, torch's CUDA error, or that of its CPU allocator."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)


# ---- measuring ------------------------------------------------------------------------------------------------------


def peak_of(function: Callable[[], object], device: torch.device) -> int:
    """Highest memory use, in bytes, while `function` runs, what was held before it included.

    On CUDA it is what torch had allocated on `device`. On the CPU it is the resident memory of this process: memory
    that was freed but kept is given back first, and the kernel's high-water mark (VmHWM) is set to the present use by
    writing 5 to /proc/self/clear_refs (proc(5)). Where that is forbidden the mark is that since the start of the
    process, which is right as long as nothing before needed more.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        function()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    _give_back()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        function()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    function()
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _give_back() -> None:
    """Have the C library return freed memory to the system; glibc alone keeps it and can be asked."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
