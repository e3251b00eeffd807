"""Stacks: copy objects to other frames, and fill in what lies between two frames."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shapely.geometry.base import BaseGeometry

from mia_tui.errors import MiaError
from mia_tui.labeling.between import between
from mia_tui.labeling.desk.acts.deciding import nothing_current
from mia_tui.labeling.desk.acts.objects import MENU
from mia_tui.labeling.desk.rows import OUTLINED, row
from mia_tui.labeling.objects import LabelObject
from mia_tui.labeling.store import open_labels

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

GROUP = "Stack"


def one_frame(desk: "Desk") -> str | None:
    return None if len(desk.opened.frames) > 1 else "This image has one frame."


def nothing_to_copy(desk: "Desk") -> str | None:
    return one_frame(desk) or (None if desk.labels.objects else "There are no labels to copy.")


def copied(desk: "Desk") -> list[LabelObject]:
    """The chosen label, else all labels of the frame."""
    item = desk.find(desk.current)
    return [item] if isinstance(item, LabelObject) else list(desk.labels.objects.values())


def put_on(desk: "Desk", frame: str, objects: Sequence[LabelObject], text: str) -> int:
    """Add objects to another frame of the image, as one undo step there; what is labelled there already is left out.

    Raises
    ------
    MiaError
        When that frame is being edited elsewhere, or its file is damaged.
    """
    from mia_tui.labeling.review import already_labelled

    with open_labels(desk.project, desk.opened.key, frame, *desk.opened.size) as store:
        known = already_labelled(objects, store.frame)
        new = [replace(item, id=store.new_id(), origin=None, score=None) for item in objects if item.id not in known]
        if new:
            store.edit(text, add=new)
        return len(new)


def copy_to(desk: "Desk", frames: Sequence[str]) -> None:
    """Copy the chosen label, else all labels, to other frames; say where that was not possible."""
    objects = copied(desk)
    done, problems = 0, []
    for frame in frames:
        try:
            done += put_on(desk, frame, objects, f"copy {len(objects)} from {desk.opened.name}")
        except MiaError as error:
            problems.append(f"{frame}: {error}")
    text = f"{done} labels copied to {len(frames) - len(problems)} frames. Each frame has its own undo."
    if problems:
        desk.warn(f"{text} Not to {len(problems)}: {problems[0]}")
    else:
        desk.say(text)


@row("copy_next", "n", "Copy to the next frame", GROUP, context=MENU, why=nothing_to_copy, edits=True,
     more="The chosen label, else all, to the next frame")  # fmt: skip
def copy_next(desk: "Desk") -> None:
    frames = desk.opened.frames
    at = frames.index(desk.opened.name)
    if at + 1 == len(frames):
        desk.warn("This is the last frame.")
    else:
        copy_to(desk, [frames[at + 1]])


@row("copy_all", "a", "Copy to all frames", GROUP, context=MENU, why=nothing_to_copy, edits=True,
     more="The chosen label, else all, to all other frames")  # fmt: skip
def copy_all(desk: "Desk") -> None:
    copy_to(desk, [frame for frame in desk.opened.frames if frame != desk.opened.name])


# ---- between two frames ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Begin:
    """The object from which frames will be filled in."""

    key: str
    frame: str
    item: LabelObject


def no_outline(desk: "Desk") -> str | None:
    return one_frame(desk) or nothing_current(desk)


@row("between", "i", "Interpolate", GROUP, context=MENU, why=no_outline, tasks=OUTLINED, edits=True,
     more="Again on another frame: fills what is between")  # fmt: skip
def interpolate(desk: "Desk") -> None:
    item, begin = desk.find(desk.current), desk.memory.get("between")
    if not isinstance(item, LabelObject):
        desk.warn("Accept the object first.")
        return
    frames = desk.opened.frames
    if begin is None or begin.key != desk.opened.key or begin.frame == desk.opened.name:
        desk.memory["between"] = Begin(desk.opened.key, desk.opened.name, item)
        desk.say("From here. On another frame choose the same object, then this again.")
        return
    desk.memory["between"] = None
    first, last = sorted((frames.index(begin.frame), frames.index(desk.opened.name)))
    ends = [begin.item, item] if frames[first] == begin.frame else [item, begin.item]
    names = frames[first + 1 : last]
    if not names:
        desk.warn("There is no frame between them.")
        return
    fill(desk, names, begin.item, between(ends[0].geometry, ends[1].geometry, len(names), desk.opened.size))


def fill(desk: "Desk", names: Sequence[str], item: LabelObject, outlines: Sequence[BaseGeometry | None]) -> None:
    """Put the outlines on the frames between."""
    done, problems = 0, []
    for name, geometry in zip(names, outlines, strict=True):
        if geometry is None:
            continue
        try:
            done += put_on(desk, name, [replace(item, geometry=geometry, source="manual")], "interpolate")
        except MiaError as error:
            problems.append(f"{name}: {error}")
    why = problems[:1] or (["The others are labelled there already."] if done < len(names) else [])
    (desk.warn if problems else desk.say)(" ".join([f"{done} of {len(names)} frames filled in.", *why]))
