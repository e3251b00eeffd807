"""Accept, reject, delete; to the next and the previous doubtful object."""

from typing import TYPE_CHECKING

from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.refs import Ref, candidate
from mia_tui.labeling.desk.rows import row

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

GROUP = "Decide"
NOTHING_PENDING = "Nothing is pending here. space proposes, M takes what a model found."


def nothing_pending(desk: "Desk") -> str | None:
    return None if desk.pending else NOTHING_PENDING


def nothing_current(desk: "Desk") -> str | None:
    """Why an action on the current object cannot be done."""
    if desk.find(desk.current) is not None:
        return None
    return "No object is chosen: ' and its letters choose one, n a doubtful one."


def nothing_to_decide(desk: "Desk") -> str | None:
    return None if desk.pending or desk.find(desk.current) is not None else NOTHING_PENDING


@row(
    "accept_view",
    "A",
    "Accept all",
    GROUP,
    more="Accept all pending in view",
    why=nothing_pending,
    edits=True,
)
def accept_view(desk: "Desk") -> None:
    chosen = desk.in_view(desk.pending)
    if not chosen:
        desk.say("Nothing pending is in view. n goes to the next doubtful one.")
        return
    said(desk, edits.accept(desk, chosen, f"accept {len(chosen)} in view"), len(chosen))


@row("accept_frame", "ctrl+a", "Accept all in the image", GROUP, why=nothing_pending, edits=True)
def accept_frame(desk: "Desk") -> None:
    chosen = desk.pending
    said(desk, edits.accept(desk, chosen, f"accept {len(chosen)}"), len(chosen))


def said(desk: "Desk", accepted: int, asked: int) -> None:
    """Say how many were accepted, and why not all."""
    left = asked - accepted
    rest = f" {left} left pending: their place is labelled already." if left else ""
    desk.say(f"{accepted} accepted.{rest} u takes it back.")


@row("accept", "y", "Accept", GROUP, more="Accept the object", why=nothing_to_decide, edits=True, repeats=True)
def accept(desk: "Desk") -> None:
    item = desk.find(desk.current)
    if item is None or desk.current is None or desk.current.kind != "candidate":
        if desk.current is None or desk.current.kind == "label":
            step(desk, 1)
        return
    at = position(desk, desk.current)
    if not edits.accept(desk, [c for c in desk.pending if c.number == desk.current.number], "accept 1"):
        desk.warn("Its place is labelled already. x rejects it.")
        return
    go_to(desk, at)


@row("remove", "x,delete", "Delete", GROUP, more="Delete or reject the object", why=nothing_current,
     edits=True, repeats=True)  # fmt: skip
def remove(desk: "Desk") -> None:
    ref = desk.current
    if ref is None:
        return
    at = position(desk, ref)
    edits.remove(desk, [ref], f"delete {ref.number}")
    if ref.kind == "candidate":
        go_to(desk, at)


def position(desk: "Desk", ref: Ref) -> int:
    """Place of a candidate in the order of doubt."""
    numbers = [item.number for item in desk.pending]
    return numbers.index(ref.number) if ref.kind == "candidate" and ref.number in numbers else 0


def go_to(desk: "Desk", index: int) -> None:
    """Make the candidate at a place of the order of doubt the current object."""
    pending = desk.pending
    desk.choose(candidate(pending[min(max(index, 0), len(pending) - 1)].number) if pending else None)


def step(desk: "Desk", way: int) -> None:
    """To the next (1) or previous (-1) doubtful object; past the last one to the next frame with predictions."""
    numbers = [item.number for item in desk.pending]
    ref = desk.current
    here = ref is not None and ref.kind == "candidate" and ref.number in numbers
    index = numbers.index(ref.number) + way if ref is not None and here else (0 if way > 0 else len(numbers) - 1)
    if 0 <= index < len(numbers):
        go_to(desk, index)
    elif desk.candidates is not None and desk.candidates.travels:
        desk.travel = way
    else:
        desk.say("That was the last doubtful one." if way > 0 else "That was the most doubtful one.")


def nowhere(desk: "Desk") -> str | None:
    travels = desk.candidates is not None and desk.candidates.travels
    return None if travels else nothing_pending(desk)


row("next", "n", "Next doubtful", GROUP, args=(1,), more="Next doubtful object", why=nowhere)(step)
row("previous", "p", "Previous", GROUP, args=(-1,), more="Previous doubtful object", why=nowhere)(step)


@row("accept_score", "T", "Accept above a score", GROUP, more="Accept all pending in the image that score as much as "
     "the chosen one or more", why=nothing_current, edits=True)  # fmt: skip
def accept_score(desk: "Desk") -> None:
    item = desk.find(desk.current)
    bound = None if item is None else item.score
    if bound is None:
        desk.warn("The chosen object has no score.")
        return
    chosen = [c for c in desk.pending if c.score is not None and c.score >= bound]
    said(desk, edits.accept(desk, chosen, f"accept score>={bound:.2f}"), len(chosen))
