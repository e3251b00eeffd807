"""What a search may vary: ranges and choices of training settings, checked before anything starts."""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from mia_tui.engine.config import TrainConfig, encoder_of, make_config, parse_value
from mia_tui.errors import MiaError

LOG_FACTOR = 10
"""A range of a positive number that spans this factor is searched on a logarithmic scale."""
MOST_CHECKS = 10_000
"""So many combinations of ends and choices are checked at most; a check takes some microseconds."""
KEPT = ("seed", "device", "max_minutes", "amp", "workers", "threads")
"""Settings that are the same for all trials, or their values could not be compared; all of the split are, too."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included, on a linear or logarithmic scale."""

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def probes(self) -> tuple[float, ...]:
        """Values that show whether the range is possible; an integer's neighbour shows demands like multiples of 32."""
        return (self.low, self.low + 1, self.high) if self.integer else (self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """One of some values, without an order."""

    values: tuple[Any, ...]

    def probes(self) -> tuple[Any, ...]:
        """All of them."""
        return self.values


Space = Mapping[str, Range | Choice]


@dataclass(frozen=True)
class Plan:
    """A search: the settings all trials share, what is varied, and the seed of the proposals."""

    settings: Mapping[str, Any]
    space: Space
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it."""
        space = {key: asdict(part) for key, part in self.space.items()}
        return {"settings": dict(self.settings), "space": space, "seed": self.seed}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Plan":
        """The plan that `as_dict` wrote."""
        space: dict[str, Range | Choice] = {
            key: Choice(tuple(part["values"])) if "values" in part else Range(**part)
            for key, part in values["space"].items()
        }
        return cls(dict(values["settings"]), space, int(values["seed"]))

    def config(self, chosen: Mapping[str, Any]) -> TrainConfig:
        """The settings of a trial.

        Raises
        ------
        MiaError
            When they do not go together.
        """
        return make_config({**self.settings, **chosen})


def default_space(task: str, *, plain: bool) -> dict[str, Range | Choice]:
    """What is searched when nothing else is asked for: the few settings that matter on every data set.

    `plain` says whether the network of this name can be one of the encoders.
    """
    space: dict[str, Range | Choice] = {
        "learning_rate": Range(1e-4, 1e-2, log=True),
        "augmentation_strength": Range(0.0, 2.0),
        "encoder": Choice(("plain" if plain else "efficientnet-b0", "resnet18", "mobilenet_v2")),
    }
    if task == "segmentation":
        space["loss"] = Choice(("cross_entropy + dice", "focal + dice", "lovasz + cross_entropy"))
    return space


def make_plan(
    task: str,
    settings: Sequence[str] = (),
    search: Sequence[str] = (),
    *,
    trial_minutes: float | None = None,
    seed: int = 0,
) -> Plan:
    """The plan of a search: the default space, without what is fixed, with what is asked for.

    Parameters
    ----------
    settings : sequence of str
        `key=value`, the same for all trials; such a setting is not searched.
    search : sequence of str
        `key=low:high` or `key=a,b,c`; replaces the default's entry of that setting, or adds one.
    trial_minutes : float, optional
        Wall time of a trial.
    seed : int
        Seed of the proposals and, unless fixed otherwise, of every training.

    Raises
    ------
    MiaError
        Naming an unknown setting, an impossible range or combination, or that there would be no validation.
    """
    fixed = _fixed(settings, trial_minutes, seed)
    if make_config(fixed).validation == 0:
        raise MiaError("validation=0: a search compares trials on validation images. Keep a share, e.g. 0.15.")
    varied = {pair.partition("=")[0].strip() for pair in search}
    plain = encoder_of(make_config(fixed), task) == "plain" and not varied & {"architecture", "encoder_weights"}
    space = {key: part for key, part in default_space(task, plain=plain).items() if key not in fixed}
    for pair in search:
        key, part = parse_search(pair, fixed)
        space[key] = part
    if not space:
        raise MiaError("all settings are fixed: nothing is left to search. Give --search key=low:high.")
    plan = Plan(fixed, space, seed)
    _check_combinations(plan)
    return plan


def _fixed(settings: Sequence[str], trial_minutes: float | None, seed: int) -> dict[str, Any]:
    """The settings given, as typed values."""
    given: dict[str, Any] = {}
    for pair in settings:
        key, sign, text = (part.strip() for part in pair.partition("="))
        if not sign:
            raise MiaError(f"--set {pair}: write key=value")
        given[key] = parse_value(text, key)
    if trial_minutes is not None:
        if "max_minutes" in given:
            raise MiaError("--trial-minutes and --set max_minutes mean the same: give one of them")
        given["max_minutes"] = trial_minutes
    given.setdefault("seed", seed)
    checked = make_config(given).model_dump()
    return {key: checked[key] for key in given}


def parse_search(pair: str, fixed: Mapping[str, Any]) -> tuple[str, Range | Choice]:
    """Setting and values of one `key=low:high` or `key=a,b,c`.

    Raises
    ------
    MiaError
        Saying what the setting would take.
    """
    key, sign, text = (part.strip() for part in pair.partition("="))
    field = TrainConfig.model_fields.get(key)
    if not sign or not text:
        raise MiaError(f"--search {pair}: write key=low:high or key=a,b,c")
    if field is None:
        raise MiaError(f"--search {pair}: unknown setting (known: {', '.join(sorted(TrainConfig.model_fields))})")
    if key in KEPT or key.startswith("validation"):
        raise MiaError(f"--search {pair}: {key} is the same for all trials, or they could not be compared")
    if key in fixed:
        raise MiaError(f"--search {pair}: {key} is fixed to {fixed[key]}; a setting is either fixed or searched")
    if "list" in str(field.annotation):
        raise MiaError(f"--search {pair}: {key} is a list, which cannot be searched. Fix it with --set.")
    kind = _number_type(key)
    part = _range(pair, text, kind) if kind is not None and ":" in text else _choice(pair, key, text, fixed)
    for value in part.probes():
        try:
            make_config({**fixed, key: value})
        except MiaError as error:
            raise MiaError(
                f"--search {pair}: {key}={value} cannot be ({bounds(key)}).{_advice(part)} {error}"
            ) from None
    return key, part


def _range(pair: str, text: str, kind: type) -> Range:
    try:
        low, high = (kind(end) for end in text.split(":"))
    except ValueError:
        raise MiaError(f"--search {pair}: write low:high with two {_named(kind)}") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise MiaError(f"--search {pair}: the first number must be the smaller one")
    return Range(low, high, log=low > 0 and high >= LOG_FACTOR * low, integer=kind is int)


def _choice(pair: str, key: str, text: str, fixed: Mapping[str, Any]) -> Choice:
    values = []
    for entry in text.split(","):
        try:
            config = make_config({**fixed, key: parse_value(entry.strip(), key)})
        except MiaError as error:
            raise MiaError(f"--search {pair}: {entry.strip()!r} cannot be ({bounds(key)}). {error}") from None
        values.append(getattr(config, key))  # typed: "8" has become 8
    if len(set(values)) < 2:
        raise MiaError(f"--search {pair}: give two choices or more; to fix one value write --set {key}={text}")
    return Choice(tuple(dict.fromkeys(values)))


def _number_type(key: str) -> type | None:
    """`float` or `int` for a number (empty or not), None for the rest."""
    annotation = TrainConfig.model_fields[key].annotation
    kinds = get_args(annotation) or (annotation,)
    return next((kind for kind in (float, int) if kind in kinds), None)


def _named(kind: type) -> str:
    return "whole numbers" if kind is int else "numbers"


def _advice(part: Range | Choice) -> str:
    wanted = isinstance(part, Range) and part.integer
    return " Single values can be given as choices: key=a,b,c." if wanted else ""


def bounds(key: str) -> str:
    """What a setting takes, for people: `learning_rate > 0, <= 1`."""
    field = TrainConfig.model_fields[key]
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    found = [f"{sign} {getattr(m, n)}" for m in field.metadata for n, sign in signs.items() if hasattr(m, n)]
    options = [str(option) for option in get_args(field.annotation) if isinstance(option, str)]
    kind = _number_type(key)
    named = _named(kind) if kind else "one of " + ", ".join(options) if options else str(field.description)
    return f"{key}: {', '.join([named, *found])}"


def _check_combinations(plan: Plan) -> None:
    """Refuse settings that are possible one by one but not together, at the ends of ranges and for all choices."""
    names = list(plan.space)
    every = itertools.product(*(part.probes() for part in plan.space.values()))
    for values in itertools.islice(every, MOST_CHECKS):
        chosen = dict(zip(names, values, strict=True))
        try:
            plan.config(chosen)
        except MiaError as error:
            said = ", ".join(f"{key}={value}" for key, value in chosen.items())
            reason = re.sub(r"^the training settings are not right:\s*", "", str(error))
            raise MiaError(
                f"the search would try {said}, which cannot be: {reason}. Fix one of them with --set."
            ) from None
