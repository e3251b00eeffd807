"""The classes of a project: add, rename, recolour, reorder, change the key, remove. Each is on disk when it returns.

All functions work on the project as it is on disk, which another window may have changed since it was read, and return
it with the change made.
"""

from dataclasses import replace

from mia_tui.errors import MiaError
from mia_tui.labeling.class_change import Change, Report, carry_out, changing
from mia_tui.labeling.class_counts import class_counts
from mia_tui.project import PALETTE, RESERVED_CLASS, LabelClass, Project, is_color

KEYS = "1234567890"
"""The digits that can select a class, in the order they are given out."""


def add_class(project: Project, name: str, color: str | None = None, key: str | None = None) -> Project:
    """Add a class at the end, with the next colour of the palette and the next free digit unless they are given.

    Raises
    ------
    MiaError
        For a name that is empty, reserved or taken, a bad colour, or a key that is none or taken.
    """
    with changing(project) as current:
        name = _new_name(current, name)
        used = {c.color.upper() for c in current.classes}
        color = next((c for c in PALETTE if c not in used), PALETTE[0]) if color is None else checked_color(color)
        if key is None:
            key = next(iter(free_keys(current)), "")
        elif _checked_key(key) and key not in free_keys(current):
            raise MiaError(f"key {key} selects {_with_key(current, key)} already. Free: {free_keys(current) or 'none'}")
        return _saved(current, (*current.classes, LabelClass(name, color, key)))


def rename_class(project: Project, old: str, new: str, report: Report | None = None) -> Project:
    """Rename a class in the project, in all labels and their undo history, in predictions and in models.

    `old` may also be a name that labels carry and the project does not have (another window or an older model wrote
    it); `new` must be a class of the project then.

    Raises
    ------
    MiaError
        When `new` is no good name or taken, there is no class `old`, or a frame is being edited or damaged. Nothing was
        changed then. Also when a file cannot be written; the rest is done when the project is opened again.
    """
    with changing(project) as current:
        if old == new.strip():
            return current
        if any(c.name == old for c in current.classes):
            if any(c.name == new.strip() for c in current.classes):
                raise MiaError(
                    f"there is a class {new.strip()!r} already. To put the two together remove {old!r} and give its "
                    f"labels to {new.strip()!r}."
                )
            new = _new_name(current, new)
        else:
            new = _known(current, new).name
        return carry_out(current, Change("rename", old, new), report)


def remove_class(project: Project, name: str, to: str | None = None, report: Report | None = None) -> Project:
    """Remove a class; its labels are given to the class `to`, or deleted when it is None: one undo step per frame.

    Predictions stay as they are. `name` may also be a name that labels carry and the project does not have.

    Raises
    ------
    MiaError
        For the last class, an unknown one, or when a frame is being edited or damaged. Nothing was changed then. Also
        when a file cannot be written; the rest is done when the project is opened again.
    """
    with changing(project) as current:
        if to is not None and (_known(current, to).name == name):
            raise MiaError(f"the labels of {name!r} cannot be given to itself")
        mine = any(c.name == name for c in current.classes)
        if mine and len(current.classes) == 1:
            raise MiaError(f"{name!r} is the last class of the project and cannot be removed. Rename it instead.")
        if not mine and name not in class_counts(current).objects:
            _known(current, name)
        return carry_out(current, Change("remove", name, to), report)


def recolor_class(project: Project, name: str, color: str) -> Project:
    """Give a class another colour, `#RRGGBB`. Label files carry it for other programs from their next change on."""
    with changing(project) as current:
        return _saved(current, _replaced(current, replace(_known(current, name), color=checked_color(color))))


def set_key(project: Project, name: str, key: str) -> Project:
    """Let a digit select a class ("" for none). A class that had the digit gets the one that becomes free."""
    with changing(project) as current:
        chosen = _known(current, name)
        _checked_key(key)
        other = next((c for c in current.classes if key and c.key == key and c.name != name), None)
        classes = _replaced(current, replace(chosen, key=key))
        if other is not None:
            classes = _replaced(replace(current, classes=classes), replace(other, key=chosen.key))
        return _saved(current, classes)


def move_class(project: Project, name: str, place: int) -> Project:
    """Put a class at a place of the list, 0 the first; places outside mean the ends.

    Class masks and new models number the classes in this order; models that exist keep theirs.
    """
    with changing(project) as current:
        chosen = _known(current, name)
        rest = [c for c in current.classes if c.name != name]
        place = min(max(place, 0), len(rest))
        return _saved(current, (*rest[:place], chosen, *rest[place:]))


def free_keys(project: Project) -> str:
    """The digits that select no class yet."""
    return "".join(key for key in KEYS if key not in {c.key for c in project.classes})


def unknown_classes(project: Project, found: dict[str, int]) -> list[str]:
    """Names among the counted ones that are no class of the project: what an undo or another program brought back."""
    return sorted(set(found) - {c.name for c in project.classes})


def checked_color(text: str) -> str:
    """A colour as `#RRGGBB` in capitals.

    Raises
    ------
    MiaError
        When it is none.
    """
    color = text.strip()
    if not is_color(color):
        raise MiaError(f"{text!r} is no colour: give # and six hexadecimal digits, such as #E69F00")
    return color.upper()


# ---- inside ----------------------------------------------------------------------------------------------------------


def _saved(project: Project, classes: tuple[LabelClass, ...]) -> Project:
    changed = replace(project, classes=classes)
    try:
        changed.save()
    except OSError as error:
        raise MiaError(f"{project.folder / 'project.toml'} cannot be written: {error.strerror}. Try again.") from None
    return changed


def _replaced(project: Project, new: LabelClass) -> tuple[LabelClass, ...]:
    return tuple(new if c.name == new.name else c for c in project.classes)


def _known(project: Project, name: str) -> LabelClass:
    for entry in project.classes:
        if entry.name == name.strip():
            return entry
    names = ", ".join(c.name for c in project.classes)
    raise MiaError(f"project {project.name} has no class {name!r}; there are: {names}")


def _new_name(project: Project, name: str) -> str:
    name = name.strip()
    if not name or not name.isprintable():
        raise MiaError("a class needs a name of visible characters")
    if name == RESERVED_CLASS:
        raise MiaError(f"no class can be called {RESERVED_CLASS!r}: it marks where a frame is annotated")
    if any(c.name == name for c in project.classes):
        raise MiaError(f"there is a class {name!r} already")
    return name


def _checked_key(key: str) -> bool:
    if key and (len(key) != 1 or key not in KEYS):
        raise MiaError(f"{key!r} cannot select a class: give a digit from 0 to 9, or nothing")
    return bool(key)


def _with_key(project: Project, key: str) -> str:
    return next(repr(c.name) for c in project.classes if c.key == key)
