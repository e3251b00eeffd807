"""The classes of the project: names, colours, keys, order and counts, edited by keys and saved at once."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.cells import cell_len, set_cell_size
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.css.query import NoMatches
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from mia_tui.errors import MiaError
from mia_tui.project import PALETTE, LabelClass, Project, is_color
from mia_tui.widgets.actions import Host
from mia_tui.widgets.choose import BOX_CSS, AskScreen, ChooseScreen
from mia_tui.widgets.in_order import InOrder
from mia_tui.widgets.newest import Newest

if TYPE_CHECKING:
    from mia_tui.labeling.class_counts import ClassCounts

COLOR_NAMES = ("sky blue", "orange", "bluish green", "reddish purple", "yellow", "vermillion", "blue", "grey")
"""The colours of `PALETTE`, in order."""
HELP = (
    "a add   r ⏎ rename   c colour   0-9 key   d remove",
    "⇧↑ K, ⇧↓ J move up, down   q esc closes   Every change is saved at once.",
)
NAME_WIDTH = 28
OWN_CLASS = "a class of its own"


class ClassesScreen(ModalScreen[Project]):
    """Lists the classes with their counts in the image `key` and in the project; returns the project as it is then.

    Close all label files before: a change of classes needs the locks of all frames.
    """

    DEFAULT_CSS = BOX_CSS.format("ClassesScreen") + (
        """
    ClassesScreen > Vertical { width: 78; }
    ClassesScreen .head, ClassesScreen .note { height: 1; color: $text-muted; text-wrap: nowrap; }
    ClassesScreen .note { margin: 1 0 0 0; height: auto; max-height: 4; text-wrap: wrap; }
    ClassesScreen OptionList, ClassesScreen OptionList:focus { max-height: 12; }
    ClassesScreen .hint { margin: 0; height: 2; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,C", "close", "Close"),
        Binding("a", "add", "Add"),
        Binding("r", "rename", "Rename"),
        Binding("c", "color", "Colour"),
        Binding("d,delete", "remove", "Remove"),
        Binding("K,shift+up", "move(-1)", "Up"),
        Binding("J,shift+down", "move(1)", "Down"),
        *(Binding(digit, f"key('{digit}')", f"Key {digit}") for digit in "0123456789"),
    ]

    def __init__(self, key: str | None = None) -> None:
        super().__init__()
        self._key = key
        self._counts: tuple[ClassCounts, ClassCounts | None] | None = None
        self._note: Content = Content("")
        self._chosen: str | None = None

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "Classes"
            yield Static(
                _line(" ", " ", "class", "colour", "this image" if self._key else "", "project"), classes="head"
            )
            yield OptionList()
            yield Static(classes="note")
            yield Static(Content("\n".join(HELP)), classes="hint")

    def on_mount(self) -> None:
        self._work = InOrder(self.app, self._failed, self._show_note)
        self._counter: Newest[Project, Any] = Newest(self, self._count, self._counted, lambda _, e: self._failed(e))
        self._fill()
        self._counter.ask(self.project)

    @property
    def project(self) -> Project:
        project = cast(Host, self.app).project
        assert project is not None
        return project

    @property
    def busy(self) -> bool:
        """Whether something is being written or counted."""
        return bool(self._work.waiting) or self._counter.busy

    # ---- what is shown ----------------------------------------------------------------------------------------------

    def _count(self, project: Project) -> "tuple[ClassCounts, ClassCounts | None]":
        from mia_tui.labeling.class_counts import class_counts

        return class_counts(project), None if self._key is None else class_counts(project, self._key)

    def _counted(self, _project: Project, counts: "tuple[ClassCounts, ClassCounts | None]") -> None:
        self._counts = counts
        if counts[0].problems:
            self._say(counts[0].problems[0], "$text-error")
        self._fill()

    def _names(self) -> list[str]:
        """The classes in their order, then names that labels carry and the project does not have."""
        known = [c.name for c in self.project.classes]
        found = sorted(set(self._counts[0].objects) - set(known)) if self._counts is not None else []
        return known + found

    def _fill(self) -> None:
        try:
            listing = self.query_one(OptionList)
        except NoMatches:  # the screen is being closed
            return
        names = self._names()
        chosen = self._chosen if self._chosen in names else self._name_at(listing.highlighted)
        classes = {c.name: c for c in self.project.classes}
        listing.clear_options()
        listing.add_options(Option(self._row(name, classes.get(name)), id=f"o{i}") for i, name in enumerate(names))
        listing.highlighted = names.index(chosen) if chosen in names else 0
        self._chosen = None
        self._show_note()

    def _row(self, name: str, entry: LabelClass | None) -> Content:
        image = self._number(1, name) if self._key else ""
        if entry is None:
            return Content.styled(_line("?", "□", name, "unknown", image, self._number(0, name)), "dim")
        swatch = "■" if is_color(entry.color) else "□"
        text = _line(entry.key or " ", swatch, name, entry.color, image, self._number(0, name))
        at = text.index(swatch)
        return Content.assemble((text[:at], "bold"), (swatch, entry.color), text[at + 1 :])

    def _number(self, which: int, name: str) -> str:
        counts = None if self._counts is None else self._counts[which]
        return "…" if counts is None else str(counts.objects.get(name, 0))

    def _say(self, text: str, style: str = "") -> None:
        self._note = Content.styled(text, style) if style else Content(text)
        self._show_note()

    def _show_note(self) -> None:
        try:
            note = self.query_one(".note", Static)
        except NoMatches:
            return
        note.update(self._note)
        note.display = bool(self._note.plain)

    def _name_at(self, index: int | None) -> str | None:
        names = self._names()
        return names[index] if index is not None and index < len(names) else None

    def _current(self) -> str:
        return self._name_at(self.query_one(OptionList).highlighted) or self.project.classes[0].name

    def _is_known(self, name: str) -> bool:
        return any(c.name == name for c in self.project.classes)

    # ---- changes ----------------------------------------------------------------------------------------------------

    def _change(
        self, change: Callable[..., Project], *args: Any, chosen: str, said: str = "", long: bool = False
    ) -> None:
        """Do a change of `labeling.classes` in a thread; `chosen` is under the cursor afterwards."""
        options: dict[str, Any] = {"report": self._report} if long else {}

        def done(project: Project) -> None:
            cast(Host, self.app).project = project
            self._chosen = chosen
            self._note = Content(said)
            self._fill()
            self._counter.ask(project)

        self._say("saving …", "$text-warning")
        self._work.do(lambda: change(self.project, *args, **options), done)

    def _report(self, done: int, total: int, _file: str) -> None:
        if done % 10 == 0 or done == total:
            self.app.call_from_thread(self._say, f"changing label files {done}/{total} …", "$text-warning")

    def _failed(self, error: MiaError) -> None:
        self._say(f"✗ {error}", "$text-error")
        self._fill()

    def action_close(self) -> None:
        if self._work.waiting:
            self.app.bell()
        elif self.is_current:  # not with a second key, typed before it was closed
            self.dismiss(self.project)

    def action_add(self) -> None:
        self._add("")

    def _add(self, value: str) -> None:
        from mia_tui.labeling.classes import add_class

        def named(name: str | None) -> None:
            if name is not None:
                self._change(add_class, name, chosen=name, said=f"Class {name} added.")

        self.app.push_screen(
            AskScreen("Name of the new class", value, "enter adds it   esc closes", self._wrong), named
        )

    def _wrong(self, name: str) -> str | None:
        if not name:
            return "a class needs a name"
        return f"there is a class {name} already" if self._is_known(name) else None

    def on_option_list_option_selected(self) -> None:
        self.action_rename()

    def action_rename(self) -> None:
        from mia_tui.labeling.classes import rename_class

        old = self._current()
        if not self._is_known(old):
            self._adopt(old)
            return

        def named(new: str | None) -> None:
            if new is not None and new != old:
                self._change(rename_class, old, new, chosen=new, said=f"{old} is now {new}.", long=True)

        hint = "Labels, undo history, predictions and models follow.   esc closes"
        wrong = lambda name: None if name == old else self._wrong(name)  # noqa: E731
        self.app.push_screen(AskScreen(f"New name of {old}", old, hint, wrong), named)

    def _adopt(self, name: str) -> None:
        """What to do with labels of a class that the project does not have."""
        from mia_tui.labeling.classes import add_class, rename_class

        own = [("", OWN_CLASS)] if name else []
        options = [*own, *((c.name, f"the same as {c.name}") for c in self.project.classes)]

        def chosen(value: str | None) -> None:
            if value == "":
                self._change(add_class, name, chosen=name, said=f"Class {name} added.")
            elif value is not None:
                self._change(rename_class, name, value, chosen=value, said=f"{name} is now {value}.", long=True)

        self.app.push_screen(ChooseScreen(f"Labels of the unknown class {name or '(none)'} are", options), chosen)

    def action_color(self) -> None:
        name = self._current()
        entry = next((c for c in self.project.classes if c.name == name), None)
        if entry is None:
            self._say("An unknown class has no colour. r makes it a class.", "$text-warning")
            return
        options: list[tuple[str, str | Content]] = [
            (color, Content.assemble(("■ ", color), f"{color}  {text}"))
            for color, text in zip(PALETTE, COLOR_NAMES, strict=True)
        ]
        options.append(("", "another: #RRGGBB"))
        current = entry.color.upper() if entry.color.upper() in PALETTE else None
        title = f"Colour of {name}"
        self.app.push_screen(ChooseScreen(title, options, current), partial(self._colored, title, entry))

    def _colored(self, title: str, entry: LabelClass, color: str | None) -> None:
        from mia_tui.labeling.classes import recolor_class

        def apply(color: str | None) -> None:
            if color is not None:
                self._change(recolor_class, entry.name, color, chosen=entry.name)

        if color == "":
            wrong = lambda text: None if is_color(text) else "give # and six hexadecimal digits"  # noqa: E731
            self.app.push_screen(AskScreen(title, entry.color, "#RRGGBB   esc closes", wrong), apply)
        else:
            apply(color)

    def action_key(self, digit: str) -> None:
        from mia_tui.labeling.classes import set_key

        name = self._current()
        if self._is_known(name):
            self._change(set_key, name, digit, chosen=name)

    def action_move(self, step: int) -> None:
        from mia_tui.labeling.classes import move_class

        name = self._current()
        names = [c.name for c in self.project.classes]
        if name in names and 0 <= names.index(name) + step < len(names):
            self._change(move_class, name, names.index(name) + step, chosen=name)

    def action_remove(self) -> None:
        from mia_tui.labeling.classes import remove_class

        name = self._current()
        others = [c.name for c in self.project.classes if c.name != name]
        if self._counts is None or self._work.waiting:
            self._say("The labels are still being counted. Press d again.", "$text-warning")
            return
        if not others:
            self._say("The last class cannot be removed. Rename it instead.", "$text-warning")
            return
        count = self._counts[0].objects.get(name, 0)
        labels = f"its {count} labels" if count != 1 else "its label"
        give = [(f"give {other}", f"remove it and give {labels} to {other}") for other in others]
        options = [*give, ("delete", f"remove it and delete {labels}")] if count else [("delete", "remove it")]
        hint = "Undo (u, in each image) brings the labels back.   esc keeps the class" if count else "esc keeps it"

        def chosen(value: str | None) -> None:
            if value is not None:
                to = value.removeprefix("give ") if value != "delete" else None
                said = f"Class {name} removed" + (f", {count} labels are {to} now." if to else ".")
                self._change(remove_class, name, to, chosen=others[0], said=said, long=True)

        self.app.push_screen(ChooseScreen(f"Remove {name or '(none)'}", options, hint=hint), chosen)


def _line(key: str, swatch: str, name: str, color: str, image: str, project: str) -> str:
    if cell_len(name) > NAME_WIDTH:
        name = set_cell_size(name, NAME_WIDTH - 1) + "…"
    return f" {key} {swatch} {set_cell_size(name, NAME_WIDTH)} {color:<8}{image:>11}{project:>10}"
