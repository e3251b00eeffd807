"""Batch sizes from synthetic memory curves; the peak of a real step."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mia_tui.engine.memory import fit_batch_size, is_out_of_memory, peak_of
from mia_tui.errors import MiaError


def curve(fixed: float, slope: float, fails_above: float = float("inf")) -> tuple[Callable[[int], float], list[int]]:
    """Memory of a step by its batch size, and which sizes were asked for."""
    asked: list[int] = []

    def measure(size: int) -> float:
        asked.append(size)
        needed = fixed + slope * size
        if needed > fails_above:
            raise MemoryError
        return needed

    return measure, asked


@given(st.floats(0, 500), st.floats(1, 400), st.integers(1, 64), st.booleans())
def test_the_largest_batch_that_fits_is_found(fixed: float, slope: float, most: int, raises: bool) -> None:
    measure, _ = curve(fixed, slope, 1000 if raises else float("inf"))
    best = max((size for size in range(1, most + 1) if fixed + slope * size <= 850), default=0)
    if best == 0:
        with pytest.raises(MiaError, match="patch_size"):
            fit_batch_size(measure, 1000, most=most)
    else:
        found = fit_batch_size(measure, 1000, most=most)
        assert found in (best, best - 1)  # at the edge, rounding decides
        assert found == best or fixed + slope * (found + 1) == pytest.approx(850)


def test_two_probes_and_one_step_to_verify_suffice() -> None:
    measure, asked = curve(100, 10)
    assert fit_batch_size(measure, 1000) == 75
    assert asked == [2, 8, 75]


def test_a_failing_probe_is_tried_smaller() -> None:
    measure, asked = curve(100, 100, fails_above=700)
    assert fit_batch_size(measure, 1300, share=0.5) == 5
    assert asked == [2, 8, 4, 5]


def test_probes_that_could_go_past_the_memory_are_not_made() -> None:
    measure, asked = curve(0, 200)
    assert fit_batch_size(measure, 1000) == 4
    assert max(asked) == 4
    measure, asked = curve(700, 10)  # most of it is the network: 2 patches need 720, 8 are not sure to fit
    assert fit_batch_size(measure, 1000) == 15
    assert asked == [2, 1, 15]


def test_a_curve_that_bends_up_is_followed_down_by_quarters() -> None:
    asked = []

    def measure(size: int) -> float:
        asked.append(size)
        if size > 60:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            )
        return 10.0 * size if size <= 8 else 11.0 * size

    assert fit_batch_size(measure, 1000) == 63 * 3 // 4
    assert asked == [2, 8, 85, 63, 47]


def test_memory_that_hardly_grows_allows_the_most() -> None:
    assert fit_batch_size(lambda size: 100.0, 1000, most=32) == 32
    assert fit_batch_size(lambda size: 100.0, 1000, most=1) == 1


def test_other_errors_are_not_taken_for_lack_of_memory() -> None:
    def measure(size: int) -> float:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        fit_batch_size(measure, 1000)


def test_what_torch_says_when_memory_runs_out_is_understood() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(ValueError("CUDA out of memory"))


def test_the_peak_of_a_step_is_that_of_its_activations() -> None:
    cpu = torch.device("cpu")
    torch.manual_seed(0)
    model = torch.nn.Sequential(*(torch.nn.Sequential(torch.nn.Conv2d(16, 16, 1), torch.nn.ReLU()) for _ in range(6)))

    def step(size: int) -> None:
        torch.autograd.backward(model(torch.ones(size, 16, 256, 256)).mean())
        model.zero_grad()

    step(12)  # libraries load and keep their own memory
    idle = peak_of(lambda: None, cpu)
    large, small = peak_of(lambda: step(12), cpu) - idle, peak_of(lambda: step(4), cpu) - idle
    # the image and 12 maps are alive when backward begins; the library's copies in other layouts come on top
    one_map = 16 * 256 * 256 * 4  # large beside what the kernel's count of pages may be off, some 20 MB
    assert 0.5 * 13 * 12 * one_map < large < 3 * 13 * 12 * one_map
    assert 1.5 < large / small < 6  # the peak of the larger step before is forgotten


def test_the_peak_forgets_what_was_before() -> None:
    cpu = torch.device("cpu")
    before = peak_of(lambda: torch.ones(64 * 2**20, dtype=torch.uint8), cpu)
    after = peak_of(lambda: None, cpu)
    assert 50 * 2**20 < before - after < 90 * 2**20
