"""Learning rates against torch's schedulers; plateau and early stopping step by step."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mia_tui.engine.schedules import SCHEDULES, EarlyStopping, Plateau, learning_rate

STEPS = 40


def torch_rates(make: object, base: float = 0.1, steps: int = STEPS) -> list[float]:
    """Rates that a scheduler of torch sets before each step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = make(optimizer)  # type: ignore[operator]
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_is_torchs() -> None:
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.002))
    own = [learning_rate("cosine", 0.1, i / STEPS, floor=0.02) for i in range(STEPS)]
    assert own == pytest.approx(expected)


def test_step_is_torchs() -> None:
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.StepLR(o, 4, gamma=0.7))
    own = [learning_rate("step", 0.1, i / STEPS, step_every=0.1, step_factor=0.7, floor=0) for i in range(STEPS)]
    assert own == pytest.approx(expected)
    assert learning_rate("step", 1.0, 1.0, step_every=0.1, step_factor=0.1, floor=0.01) == 0.01


def test_one_cycle_is_torchs() -> None:
    floor = 0.01
    expected = torch_rates(
        lambda o: torch.optim.lr_scheduler.OneCycleLR(
            o, 0.1, total_steps=STEPS + 1, pct_start=13 / 41, final_div_factor=1 / (25 * floor), cycle_momentum=False
        ),
        steps=STEPS + 1,
    )
    # torch's rise ends at step 12 of 40, ours at 0.3
    own = [learning_rate("one_cycle", 0.1, i / STEPS, floor=floor) for i in range(STEPS + 1)]
    assert own == pytest.approx(expected)


def test_warmup_is_linear_and_starts_above_zero() -> None:
    for kind in ("constant", "cosine", "step", "plateau"):
        assert learning_rate(kind, 2.0, 0.05, warmup=0.2) == pytest.approx(0.5)
        assert learning_rate(kind, 2.0, 0.2, warmup=0.2) == pytest.approx(2.0)
        assert 0 < learning_rate(kind, 2.0, 0.0, warmup=0.2) < 0.1
    expected = torch_rates(
        lambda o: torch.optim.lr_scheduler.SequentialLR(
            o,
            [torch.optim.lr_scheduler.LinearLR(o, 0.02, total_iters=8),
             torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS - 8, eta_min=0.001)],
            [8],
        )
    )  # fmt: skip
    own = [learning_rate("cosine", 0.1, i / STEPS, warmup=0.2) for i in range(STEPS)]
    assert own[8:] == pytest.approx(expected[8:])


@given(
    st.sampled_from(SCHEDULES), st.floats(0, 2), st.floats(0, 1), st.floats(0, 0.5), st.floats(0.01, 1), st.floats(0, 1)
)
def test_rates_stay_within_their_bounds(
    kind: str, done: float, warmup: float, floor: float, every: float, factor: float
) -> None:
    rate = learning_rate(kind, 3.0, done, warmup=warmup, floor=floor, step_every=every, step_factor=factor)
    assert 0 <= rate <= 3.0 * (1 + 1e-12)
    if done >= warmup and kind != "one_cycle":
        assert rate >= 3.0 * floor * (1 - 1e-12)


def test_unknown_schedules_are_named() -> None:
    with pytest.raises(ValueError, match=r"'cosin'.*one_cycle"):
        learning_rate("cosin", 1.0, 0.5)


@given(st.lists(st.integers(0, 6), max_size=40), st.integers(0, 4))
def test_plateau_is_torchs_on_a_metric_to_raise(metrics: list[int], patience: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.5, patience=patience, threshold=0.0, min_lr=0.1, eps=0
    )
    own = Plateau(factor=0.5, patience=patience, floor=0.1)
    for metric in metrics:
        scheduler.step(metric)
        own = own.update(metric)
        own = Plateau(**json.loads(json.dumps(own.to_json())))  # a resume after every epoch
        assert own.multiplier == pytest.approx(optimizer.param_groups[0]["lr"])


def test_plateau_watches_a_metric_that_rises_and_takes_nan_for_no_improvement() -> None:
    state = Plateau(factor=0.1, patience=1)
    for metric in (0.5, 0.6, 0.7):
        state = state.update(metric)
    assert (state.multiplier, state.best) == (1.0, 0.7)
    for metric in (float("nan"), 0.7):
        state = state.update(metric)
    assert state.multiplier == pytest.approx(0.1)
    assert Plateau().update(float("nan")).best is None


def test_early_stopping_counts_epochs_without_a_new_best() -> None:
    state, ends = EarlyStopping(patience=2), []
    for metric in (0.5, 0.4, 0.6, 0.6, float("nan"), 0.7):
        state = EarlyStopping(**json.loads(json.dumps(state.update(metric).to_json())))
        ends.append(state.over)
    assert ends == [False, False, False, False, True, False]
    never = EarlyStopping(patience=0)
    for _ in range(20):
        never = never.update(0.0)
    assert not never.over
