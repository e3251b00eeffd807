"""Small questions: one of a list, or one line of text."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from mia_tui.widgets.form import LineInput

BOX_CSS = """
    {0} {{ align: center middle; }}
    {0} > Vertical {{
        width: 64; max-width: 96%; height: auto; max-height: 80%;
        background: $surface; border: round $border; border-title-color: $text; padding: 0 1;
    }}
    {0} OptionList, {0} OptionList:focus {{
        border: none; height: auto; max-height: 24; background: $surface; padding: 0;
    }}
    {0} Input {{ margin: 1 0 0 0; background: $surface; }}
    {0} .hint {{ color: $text-muted; margin: 1 0 0 0; }}
"""


class ChooseScreen(ModalScreen[str | None]):
    """Choose one of `options`, (value, text) each; returns the value, None on escape.

    `hint` stands below the options, in place of the keys.
    """

    DEFAULT_CSS = BOX_CSS.format("ChooseScreen")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "close", "Close")]

    def __init__(
        self,
        title: str,
        options: Sequence[tuple[str, str | Content]],
        current: str | None = None,
        hint: str = "enter chooses   esc closes",
    ) -> None:
        super().__init__()
        self._title = title
        self._hint = hint
        self._choices = list(options)
        self._current = current

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._title
            texts = [text if isinstance(text, Content) else Content(text) for _, text in self._choices]
            yield OptionList(*(Option(text, id=f"o{i}") for i, text in enumerate(texts)))
            yield Static(Content(self._hint), classes="hint")

    def on_mount(self) -> None:
        values = [value for value, _ in self._choices]
        self.query_one(OptionList).highlighted = values.index(self._current) if self._current in values else 0

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index][0])

    def action_close(self) -> None:
        self.dismiss(None)


class AskScreen(ModalScreen[str | None]):
    """Ask for one line of text; `check` returns what is wrong with it, or None. Returns the text, None on escape."""

    DEFAULT_CSS = BOX_CSS.format("AskScreen")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close")]

    def __init__(self, title: str, value: str, hint: str, check: Callable[[str], str | None]) -> None:
        super().__init__()
        self._title = title
        self._value = value
        self._hint = hint
        self._check = check

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._title
            yield LineInput(self._value, compact=True)
            yield Static(Content(self._hint), classes="hint")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        problem = self._check(event.value.strip())
        if problem is None:
            self.dismiss(event.value.strip())
        else:
            self.query_one(".hint", Static).update(Content.assemble((problem, "$text-error")))

    def action_close(self) -> None:
        self.dismiss(None)
