"""What can be tracked: sequences, and where their objects come from."""

from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mia_tui.project import Project

if TYPE_CHECKING:
    from mia_tui.tracking.sequence import Sequence


@dataclass(frozen=True)
class Choice:
    """A sequence and where its objects come from."""

    sequence: "Sequence"
    source: str
    tracked: bool

    @property
    def text(self) -> str:
        state = "tracked" if self.tracked else "not linked" if self.sequence.series else "perhaps no series"
        return f"{self.sequence.name}   {len(self.sequence.moments)} frames   {self.source}   {state}"


def find_choices(project: Project) -> list[Choice]:
    """Every sequence with labels or predictions of a model on it.

    Raises
    ------
    MiaError
        For an image that cannot be read.
    """
    from mia_tui.tracking.sequence import find_sequences
    from mia_tui.tracking.store import tracks_path

    models = sorted(path.name for path in (project.folder / "predictions").glob("*") if path.is_dir())
    sources = {"labels": project.folder / "labels"}
    sources |= {f"predictions:{name}": project.folder / "predictions" / name for name in models}
    return [
        Choice(sequence, source, tracks_path(project, sequence.name, source).exists())
        for sequence in find_sequences(project)
        for source, folder in sources.items()
        if any(moment is not None and (folder / moment.key).is_dir() for moment in sequence.moments)
    ]


def best_choice(choices: Items[Choice], before: tuple[str, str] | None, at_hand: tuple[str, int, int] | None) -> Choice:
    """That of the image at hand where it is certainly one of a series, else the one before; tracked if possible."""
    key = at_hand[0] if at_hand else None

    def fit(choice: Choice) -> tuple[bool, ...]:
        series = choice.sequence.series
        here = any(moment is not None and moment.key == key for moment in choice.sequence.moments)
        was = (choice.sequence.name, choice.source) == before
        return here and (series or choice.tracked), was, choice.tracked, series, here

    return max(choices, key=fit)
