"""What forms and dialogs are made of: a labelled field that shows its own error, a path with completion, a choice."""

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Click, Key
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, Static

# ---- controls -------------------------------------------------------------------------------------------------------


def complete_path(text: str, suffixes: Sequence[str] = ()) -> str | None:
    """`text` with its last part completed to a folder (or a file with one of `suffixes`), None when nothing fits.

    Folders get a slash behind them. Hidden entries are offered only after a typed dot.
    """
    head, slash, prefix = text.rpartition("/")
    if not prefix or prefix in (".", "..", "~"):
        return None
    folder = Path(f"{head}{slash}" or ".").expanduser()
    try:
        with os.scandir(folder) as entries:
            found = sorted(
                entry.name + ("/" if entry.is_dir() else "")
                for entry in entries
                if entry.name.startswith(prefix) and (entry.is_dir() or entry.name.lower().endswith(tuple(suffixes)))
            )
    except (OSError, RuntimeError):
        return None
    whole = next((name for name in found if name != prefix), None)
    return None if whole is None else f"{head}{slash}{whole}"


class _PathSuggester(Suggester):
    def __init__(self, suffixes: Sequence[str]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._suffixes = suffixes

    async def get_suggestion(self, value: str) -> str | None:
        return await asyncio.to_thread(complete_path, value, self._suffixes)


EDITING = {
    key: binding.action
    for binding in Input.BINDINGS
    if isinstance(binding, Binding) and re.match("cursor_|delete_|home|end", binding.action)
    for key in binding.key.split(",")
}
"""Keys that move in a line or delete from it -> their action."""


class LineInput(Input):
    """A line of text whose editing keys act in the order typed.

    In Textual a key with an action travels up to the app before it acts, and a character that a slow line delivers
    together with it is put in first: "1 2 backspace 9" gave 12.
    """

    async def on_key(self, event: Key) -> None:
        action = EDITING.get(event.key)
        if action is not None:
            event.stop()
            event.prevent_default()
            await self.run_action(action)


class PathInput(LineInput):
    """A path; what it could become is shown dimmed, tab takes it (and goes to the next field when there is none)."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "complete", "Complete", show=False)]

    def __init__(self, value: str = "", *, placeholder: str = "", suffixes: Sequence[str] = ()) -> None:
        self._completer = _PathSuggester(suffixes)
        super().__init__(value, placeholder, suggester=self._completer, select_on_focus=False, compact=True)

    async def action_complete(self) -> None:
        completed = await self._completer.get_suggestion(self.value)
        if completed is None or self.cursor_position < len(self.value):
            self.screen.focus_next()
        else:
            self.value = completed
            self.cursor_position = len(completed)


GAP, MORE_WIDTH = 2, 2
"""Columns between two options of a choice, and of the sign that there are more."""


def _option_width(option: str) -> int:
    """Columns of a mark, the option and the gap behind it."""
    return 2 + cell_len(option) + GAP


class Choice(Widget, can_focus=True):
    """One of a few texts: left and right (or space) choose. Where the line is too short, it shows those around it."""

    DEFAULT_CSS = """
    Choice { height: 1; width: 1fr; }
    Choice:focus { background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,space,l", "choose(1)", "Next", show=False),
        Binding("left,h", "choose(-1)", "Previous", show=False),
        Binding("enter", "submit", "Next field", show=False),
    ]
    value: reactive[str] = reactive("")

    class Changed(Message):
        """Another option was chosen."""

        def __init__(self, choice: "Choice") -> None:
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> "Choice":
            return self.choice

    class Submitted(Message):
        """Enter was pressed."""

    def __init__(self, options: Sequence[str], value: str) -> None:
        super().__init__()
        self._options = tuple(options)
        self.set_reactive(Choice.value, value)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return sum(map(_option_width, self._options))

    def _in_sight(self) -> range:
        """The options that the line has room for: all, else those around the chosen one."""
        everything, room = range(len(self._options)), self.content_size.width
        widths = [_option_width(option) for option in self._options]
        if room == 0 or sum(widths) - GAP <= room:
            return everything
        room -= 2 * MORE_WIDTH - GAP
        first = last = self._options.index(self.value) if self.value in self._options else 0
        used = widths[first]
        while last + 1 < len(widths) and used + widths[last + 1] <= room:
            last += 1
            used += widths[last]
        while first > 0 and used + widths[first - 1] <= room:
            first -= 1
            used += widths[first]
        return everything[first : last + 1]

    def render(self) -> Content:
        shown = self._in_sight()
        parts = [Content.styled("‹ ", "dim")] if shown.start > 0 else []
        for option in self._options[shown.start : shown.stop]:
            chosen = option == self.value
            parts.append(Content.styled(f"◉ {option}", "bold") if chosen else Content.styled(f"○ {option}", "dim"))
            parts.append(Content(" " * GAP))
        parts += [Content.styled("›", "dim")] if shown.stop < len(self._options) else []
        return Content("").join(parts)

    def watch_value(self) -> None:
        self.post_message(self.Changed(self))

    def action_choose(self, step: int) -> None:
        self.value = self._options[(self._options.index(self.value) + step) % len(self._options)]

    def action_submit(self) -> None:
        self.post_message(self.Submitted())

    def on_click(self, event: Click) -> None:
        shown = self._in_sight()
        start = MORE_WIDTH if shown.start > 0 else 0
        for option in self._options[shown.start : shown.stop]:
            if start <= event.x - 1 < start + _option_width(option) - GAP:
                self.value = option
                return
            start += _option_width(option)


# ---- a field --------------------------------------------------------------------------------------------------------


class Field(Widget):
    """A label, its control, and one line that holds a hint or, in its place, what is wrong.

    With `stacked` the line stands below the control (for long values), otherwise to the right of it.
    """

    DEFAULT_CSS = """
    Field { height: auto; layout: vertical; }
    Field > Horizontal { height: 1; }
    Field .label { width: 19; color: $text-muted; }
    Field.-current .label { color: $text; text-style: bold; }
    Field Input, Field Input.-textual-compact { width: 1fr; background: $panel; padding: 0 1; }
    Field Choice { padding: 0 1; }
    Field .note { height: 1; color: $text-disabled; text-wrap: nowrap; text-overflow: ellipsis; }
    Field.-stacked .note { margin-left: 20; }
    Field.-inline Input, Field.-inline Input.-textual-compact { width: 24; }
    Field.-inline Choice { width: auto; min-width: 24; max-width: 60%; }
    Field.-inline .note { width: 1fr; margin-left: 2; }
    Field.-wrong .note { color: $text-error; }
    Field.-wrong .label { color: $text-error; }
    """

    def __init__(self, name: str, label: str, control: Input | Choice, *, hint: str = "", stacked: bool = False):
        super().__init__(id=f"field-{name}", classes="-stacked" if stacked else "-inline")
        self.field_name = name
        self.label = label
        self.control = control
        self.hint = hint

    def compose(self) -> ComposeResult:
        note = Static(self.hint, classes="note", markup=False)
        with Horizontal():
            yield Static(self.label, classes="label", markup=False)
            yield self.control
            if self.has_class("-inline"):
                yield note
        if self.has_class("-stacked"):
            yield note

    def on_descendant_focus(self) -> None:
        self.add_class("-current")

    def on_descendant_blur(self) -> None:
        self.remove_class("-current")

    @property
    def text(self) -> str:
        """What the control says, without spaces around it."""
        return self.control.value.strip()

    @property
    def note(self) -> str:
        """The hint or error in sight."""
        return str(self.query_one(".note", Static).content)

    @property
    def hint_fits(self) -> bool:
        """Whether the whole hint is in sight."""
        note = self.query_one(".note", Static)
        return note.display and note.size.width >= cell_len(self.hint)

    def show_error(self, problem: str | None) -> None:
        """Put `problem` in the place of the hint; None brings the hint back."""
        self.set_class(problem is not None, "-wrong")
        self.query_one(".note", Static).update(self.hint if problem is None else f"✗ {problem}")

    def show_hint(self, hint: str) -> None:
        self.hint = hint
        if not self.has_class("-wrong"):
            self.query_one(".note", Static).update(hint)


class FormScroll(VerticalScroll, can_focus=False, inherit_bindings=False):
    """Holds the fields of a form; leaves up and down to the form, which go from field to field."""


def focus_neighbour(fields: Sequence[Field], step: int) -> bool:
    """Focus the field before (-1) or behind (1) the focused one; False when there is none."""
    shown = [field for field in fields if all(node.display for node in field.ancestors_with_self if node.is_attached)]
    at = next((i for i, field in enumerate(shown) if field.control.has_focus), None)
    if at is None or not 0 <= at + step < len(shown):
        return False
    shown[at + step].control.focus()
    return True


# ---- dialogs --------------------------------------------------------------------------------------------------------

_DIALOG_CSS = """
{name} { align: center middle; }
{name} > Vertical {
    width: 72; max-width: 96%; height: auto; max-height: 90%;
    background: $surface; border: round $border; border-title-color: $text; padding: 1 2;
}
{name} .keys { margin-top: 1; color: $text-muted; }
"""


class PromptScreen(ModalScreen[str | None]):
    """Ask for one path or text; returns it, or None. `check` says what is wrong with a text, or None."""

    DEFAULT_CSS = _DIALOG_CSS.replace("{name}", "PromptScreen")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(
        self,
        title: str,
        label: str,
        control: Input,
        *,
        hint: str = "",
        check: Callable[[str], str | None] = lambda _text: None,
    ) -> None:
        super().__init__()
        self._title = title
        self._check = check
        self._field = Field("answer", label, control, hint=hint, stacked=True)

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._title
            yield self._field
            yield Static("enter goes on   esc cancels", classes="keys")

    def on_mount(self) -> None:
        self._field.control.focus()

    def on_input_changed(self) -> None:
        self._field.show_error(None)

    def on_input_submitted(self) -> None:
        problem = self._check(self._field.text)
        self._field.show_error(problem)
        if problem is None:
            self.dismiss(self._field.text)


class ConfirmScreen(ModalScreen[bool]):
    """Ask before something that cannot be undone; only `y` does it."""

    DEFAULT_CSS = _DIALOG_CSS.replace("{name}", "ConfirmScreen")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Yes"),
        Binding("n,escape,q", "dismiss(False)", "No"),
    ]

    def __init__(self, title: str, question: str, yes: str) -> None:
        super().__init__()
        self._title, self._question, self._yes = title, question, yes

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._title
            yield Static(self._question, markup=False)
            yield Static(f"y {self._yes}   n keeps it", classes="keys")
