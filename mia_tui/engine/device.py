"""Which device computes, and in which precision. Probed, never assumed."""

import os
import resource
from dataclasses import dataclass

import cv2
import torch

from mia_tui.errors import MiaError


def set_threads(threads: int | None) -> None:
    """CPU threads of torch and OpenCV: as asked for, else all cores this process may use."""
    count = threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(count)
    cv2.setNumThreads(count)


def make_deterministic(wanted: bool) -> None:
    """With `wanted` the same bits on GPUs, too, where torch has such a kernel; without it the fastest kernels."""
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    torch.backends.cudnn.benchmark = not wanted


def pick_device(name: str) -> torch.device:
    """The torch device for "auto", "cpu", "cuda" or "cuda:N".

    Raises
    ------
    MiaError
        When a GPU is asked for that is not there.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise MiaError(f"device {name} was asked for, but torch finds no CUDA GPU. Use device=auto or device=cpu.")
    try:
        device = torch.device("cuda" if name == "auto" else name)
        torch.cuda.get_device_properties(device)
    except (RuntimeError, AssertionError) as error:
        raise MiaError(f"device {name} cannot be used: {error}") from None
    return device


def device_name(device: torch.device) -> str:
    """What a person calls it: the GPU's name, or the CPU with its threads."""
    if device.type == "cuda":
        return f"{device} {torch.cuda.get_device_name(device)}"
    return f"cpu ({torch.get_num_threads()} threads)"


def peak_memory_mb(device: torch.device) -> float:
    """Highest memory use so far: GPU memory on CUDA, resident memory of the process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass(frozen=True)
class Precision:
    """Mixed precision of one device: `dtype` None is full float32; `scaler` says whether gradients need scaling."""

    device_type: str
    dtype: torch.dtype | None
    scaler: bool

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device_type, dtype=self.dtype or torch.bfloat16, enabled=self.dtype is not None)


def pick_precision(device: torch.device, setting: str) -> Precision:
    """Mixed precision for `setting` auto, off, bf16 or fp16.

    auto: bf16 where the GPU computes it natively, fp16 with a gradient scaler on older ones, and on a CPU only with
    native bf16 instructions (emulated it is about a hundred times slower than float32).
    """
    if setting == "auto":
        setting = _fastest(device)
    if setting == "fp16" and device.type == "cpu":
        raise MiaError("amp=fp16 needs a GPU. Use amp=auto or amp=off on the CPU.")
    dtype = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}[setting]
    return Precision(device.type, dtype, scaler=dtype is torch.float16)


def _fastest(device: torch.device) -> str:
    if device.type == "cuda":
        with torch.cuda.device(device):
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "off"
