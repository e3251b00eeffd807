"""The `?` help, a searchable list of a screen's keys, and the `g` menu that goes to another screen."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from mia_tui.keymap import Action, show_key
from mia_tui.widgets.actions import PLACES
from mia_tui.widgets.form import LineInput

CLOSES = "enter does it   esc closes"


class HelpScreen(ModalScreen[str | None]):
    """All keys of a screen, grouped, with a search field. Enter does the chosen one; returns its action id."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > Vertical {
        width: 96; max-width: 96%; height: 90%; max-height: 46;
        background: $surface; border: round $border; border-title-color: $text; padding: 0 1;
    }
    HelpScreen Input { margin: 0 1 1 1; background: $surface; }
    HelpScreen OptionList {
        border: none; height: 1fr; background: $surface; padding: 0; text-wrap: nowrap; text-overflow: ellipsis;
    }
    HelpScreen .hint { height: 1; color: $text-muted; margin: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1", "close", "Close"),
        Binding("down", "move(1)", "Next"),
        Binding("up", "move(-1)", "Previous"),
        Binding("pagedown", "move(10)", "Further"),
        Binding("pageup", "move(-10)", "Back"),
    ]

    def __init__(self, heading: str, rows: list[tuple[Action, str | None]]) -> None:
        super().__init__()
        self._heading = heading
        self._rows = rows

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = f"Keys: {self._heading}" if self._heading else "Keys"
            yield LineInput(placeholder="type to search", compact=True)
            yield OptionList()
            yield Static(CLOSES, classes="hint", markup=False)

    def on_mount(self) -> None:
        self.query_one(OptionList).can_focus = False
        self._fill("")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def _fill(self, query: str) -> None:
        words = query.lower().split()
        found = [(a, why) for a, why in self._rows if all(w in _searchable(a) for w in words)]
        options: list[Option] = []
        for group in dict.fromkeys(action.group for action, _ in found):
            if options:
                options.append(Option("", disabled=True))
            options.append(Option(Content.assemble((group, "bold $accent")), disabled=True))
            options += [Option(_line(a, why), id=a.id) for a, why in found if a.group == group]
        listing = self.query_one(OptionList)
        listing.clear_options()
        listing.add_options(options or [Option("Nothing matches. Backspace widens the search.", disabled=True)])
        listing.highlighted = 1 if options else None

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """The whole reason why it cannot be done: beside the row there may be no room for it."""
        reason = next((why for action, why in self._rows if action.id == event.option.id), None)
        self.query_one(".hint", Static).update(CLOSES if reason is None else f"not now: {reason}")

    def action_move(self, step: int) -> None:
        listing = self.query_one(OptionList)
        for _ in range(abs(step)):
            (listing.action_cursor_down if step > 0 else listing.action_cursor_up)()

    def on_input_submitted(self) -> None:
        listing = self.query_one(OptionList)
        if listing.highlighted is not None:
            self.dismiss(listing.get_option_at_index(listing.highlighted).id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)

    def action_close(self) -> None:
        self.dismiss(None)


def _searchable(action: Action) -> str:
    return f"{action.full_text} {action.group} {action.all_keys_text} {action.keys}".lower()


def _line(action: Action, reason: str | None) -> Content:
    keys = f"{action.all_keys_text:<12}"
    if reason is not None:
        return Content.assemble((f"  {keys} {action.full_text}  ({reason})", "dim"))
    return Content.assemble("  ", (keys, "bold"), " ", action.full_text)


class GoScreen(ModalScreen[str | None]):
    """One letter goes to a screen; returns the id of the `go_<name>` action."""

    DEFAULT_CSS = """
    GoScreen { align: center middle; }
    GoScreen > Static {
        width: auto; height: auto; background: $surface; border: round $border; border-title-color: $text;
        padding: 0 2;
    }
    """

    def compose(self) -> ComposeResult:
        box = Static(Content("\n").join([self._row(p.letter, p.text, p.key) for p in PLACES]))
        box.border_title = "Go to"
        yield box

    @staticmethod
    def _row(letter: str, text: str, key: str) -> Content:
        return Content.assemble((letter, "bold $accent"), f"  {text:<26}", (show_key(key), "dim"))

    def on_key(self, event: Key) -> None:
        event.stop()
        event.prevent_default()
        chosen = next((p.name for p in PLACES if event.key in (p.letter, p.key)), None)
        if self.is_current:  # not with a second key, typed before it was closed
            self.dismiss(None if chosen is None else f"go_{chosen}")
