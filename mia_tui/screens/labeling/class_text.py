"""What the lines under the image say while whole images are labelled."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from textual.content import Content

from mia_tui.project import Project

if TYPE_CHECKING:
    from mia_tui.labeling.objects import LabelObject
    from mia_tui.screens.labeling.class_desk import Place

BAR = 20
"""Columns of the progress bar."""


def class_line(
    project: Project, place: "Place | None", label: str | None, predicted: "LabelObject | None", locked: bool
) -> Content:
    """The class of the image, what the model says, and whether another window has it."""
    if place is None:
        return Content("")
    plane = "" if place.frame == "image" else f"{place.frame}   "
    parts: list[Any] = [plane, *_class_parts(project, label)]
    if predicted is not None:
        score = "" if predicted.score is None else f" {predicted.score:.2f}"
        agreed = {None: "   y accepts", predicted.label_class: "   agrees ✓"}.get(label, "   differs ✗")
        parts += ["   predicted ", *_class_parts(project, predicted.label_class), score, agreed]
    if locked:
        parts += [("   open in another window: read-only here", "$text-warning")]
    return Content.assemble(*parts)


def _class_parts(project: Project, name: str | None) -> list[Any]:
    entry = next((c for c in project.classes if c.name == name), None)
    if name is None:
        return [("no class yet", "$text-warning")]
    if entry is None:
        return [(f"□ {name} (unknown class)", "dim")]
    return [("■ ", entry.color), (name, "bold $text")]


def counts_line(project: Project, labels: Iterable[str | None]) -> Content:
    """Key, colour and number of images of each class."""
    counts = Counter(labels)
    parts: list[Any] = [("class by key: ", "dim")]
    for entry in project.classes:
        parts += [(entry.key or "·", "bold $accent"), (" ■ ", entry.color), f"{entry.name} "]
        parts += [(f"{counts[entry.name]}", "$text"), "   "]
    unknown = sum(counts[name] for name in counts if name and all(c.name != name for c in project.classes))
    parts += [f"□ unknown {unknown}"] if unknown else []
    return Content.assemble(*parts)


def progress_line(labels: Iterable[str | None], waiting: int, pace: str, sticky: str | None) -> Content:
    """How many images have a class, whether all of it is on disk, and what one costs."""
    listed = list(labels)
    total, done = len(listed), sum(name is not None for name in listed)
    filled = BAR if total == 0 else done * BAR // total
    saved = (f"saving {waiting} …", "$text-warning") if waiting else ("saved", "$text-success")
    parts: list[Any] = [("━" * filled, "$accent"), ("─" * (BAR - filled), "dim"), f"  {done}/{total}   ", saved]
    parts += [f"   {pace}"] if pace else []
    parts += [f"   F folder: {sticky}"] if sticky else []
    return Content.assemble(*parts)
