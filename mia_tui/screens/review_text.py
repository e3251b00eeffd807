"""What the lines under the image say during a review."""

from typing import TYPE_CHECKING

from textual.content import Content

if TYPE_CHECKING:
    from mia_tui.labeling.objects import LabelObject
    from mia_tui.labeling.review import ReviewState

BAR = 20
"""Columns of the progress bar."""


def object_text(state: "ReviewState | None", number: int | None, scale: str) -> Content:
    """The chosen object: id, decision, class, score, size; or what to press when none is chosen."""
    if state is None:
        return Content("")
    if number is None:
        done = "Everything here is decided." if state.predictions.objects else "The model found nothing here."
        return Content(f"{done} n goes to the next frame with something pending.")
    item = state.predictions.objects[number]
    decided = "accepted ✓" if number in state.accepted else "rejected ✗" if number in state.rejected else "pending"
    score = "no score" if item.score is None else f"score {item.score:.2f}"
    facts = f"   {decided}   {item.label_class}   {score}   {_size(item)}   zoom {scale}"
    return Content.assemble((f"object {number}", "bold $text"), facts)


def progress_text(state: "ReviewState | None", waiting: int) -> Content:
    """How much of the frame is decided, and whether all of it is on disk."""
    if state is None:
        return Content("")
    total, pending = len(state.predictions.objects), len(state.pending)
    done = BAR if total == 0 else (total - pending) * BAR // total
    saved = (f"saving {waiting} …", "$text-warning") if waiting else ("saved", "$text-success")
    counts = f"  pending {pending}   ✓ {len(state.accepted)}   ✗ {len(state.rejected)}   "
    return Content.assemble(("━" * done, "$accent"), ("─" * (BAR - done), "dim"), counts, saved)


def _size(item: "LabelObject") -> str:
    return "a point" if item.geometry.geom_type == "Point" else f"{item.geometry.area:.0f} px"
