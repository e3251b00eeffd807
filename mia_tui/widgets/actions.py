"""One table of actions per screen: key bindings, footer, `?` help and command palette are all made from it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.events import Resize
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from mia_tui.errors import MiaError
from mia_tui.keymap import FILE_NAME as KEYMAP_FILE
from mia_tui.keymap import Action, KeyMap, clashes

if TYPE_CHECKING:
    from pathlib import Path

    from mia_tui.project import Project

MAX_FOOTER_KEYS = 8
NO_KEY = "f63"
"""A key that no keyboard sends: Textual wants one for an action whose keys were taken away."""
MIN_SIZE = (60, 18)
"""Columns and lines below which a screen asks for a larger terminal instead of showing half of itself."""
WIDE = 100
"""Columns from which on a screen shows its panels side by side (class `-wide`, below it `-narrow`)."""


@dataclass(frozen=True)
class Place:
    """A screen that `g` and a letter, or a function key, go to."""

    name: str
    letter: str
    key: str
    text: str
    needs_project: bool = True


PLACES = (
    Place("projects", "p", "f2", "Projects", needs_project=False),
    Place("browser", "i", "f3", "Images"),
    Place("labeling", "l", "f8", "Label"),
    Place("training", "t", "f4", "Train a model"),
    Place("runs", "r", "f5", "Runs"),
    Place("review", "v", "f6", "Review predictions"),
    Place("tracking", "k", "f9", "Tracks"),
    Place("results", "m", "f7", "Results and measurements"),
)

COMMON = (
    Action("help", "question_mark,f1", "Help", "General", show=True),
    Action("palette", "ctrl+p", "Command palette", "General"),
    Action("go", "g", "Go to…", "General", show=True),
    *(Action(f"go_{p.name}", p.key, p.text, "Go to", method="go_to", args=(p.name,)) for p in PLACES),
    Action("back", "escape", "Back", "General"),
    Action("quit", "q,ctrl+q", "Quit (runs go on)", "General"),
)
"""Actions that every screen has; a screen that lists one of these ids itself replaces it."""


class Host(Protocol):
    """What a screen needs of the app around it."""

    project: "Project | None"
    graphics: str
    keymap: KeyMap
    at_hand: tuple[str, int, int] | None
    """(key, t, z) of the image that was looked at or labelled last: other screens go on with it."""

    def go(self, name: str, **context: Any) -> None:
        """Show the screen `name`; `context` is given to its `enter`."""

    def back(self) -> None:
        """Show the screen before this one."""

    async def open_project(self, folder: "Path") -> None:
        """Load a project and show its images."""


class MiaScreen(Screen[None]):
    """A screen made of a title line, a body (`compose_body`), and a footer; its keys come from `ACTIONS`.

    For each row of `ACTIONS` there is a method `action_<id>` (plain or async). `disabled_reason(id)` may say why it
    cannot be done now: the key then shows that sentence instead of doing nothing. A `MiaError` raised by a handler is
    shown as a notification.
    """

    ACTIONS: ClassVar[tuple[Action, ...]] = ()
    HEADING: ClassVar[str] = ""
    NAME: ClassVar[str] = ""
    """What the user's key map calls the screen; the class's name in small letters without "Screen" when empty."""
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (MIN_SIZE[0], "-narrow"), (WIDE, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (MIN_SIZE[1], "-low"), (30, "-high")]
    COMMANDS: ClassVar[set[Any]] = {lambda: ActionProvider}
    DEFAULT_CSS = """
    MiaScreen { layers: base; }
    MiaScreen > TitleLine, MiaScreen > KeyFooter { display: block; }
    MiaScreen > TooSmall { display: none; }
    MiaScreen.-tiny > *, MiaScreen.-flat > * { display: none; }
    MiaScreen.-tiny > TooSmall, MiaScreen.-flat > TooSmall { display: block; }
    """

    def __init_subclass__(cls, **options: Any) -> None:
        cls.NAME = cls.__dict__.get("NAME") or cls.__name__.removesuffix("Screen").lower()
        cls.BINDINGS = [
            Binding(action.keys, f"act('{action.id}')", action.text, show=action.show, id=f"{cls.NAME}.{action.id}")
            for action in cls.actions()
            if action.keys and not action.context
        ]
        super().__init_subclass__(**options)

    @classmethod
    def actions(cls) -> tuple[Action, ...]:
        """All rows: the screen's own ones first, then the common ones that it does not replace."""
        own = {action.id for action in cls.ACTIONS}
        return cls.ACTIONS + tuple(action for action in COMMON if action.id not in own)

    @classmethod
    def every_row(cls) -> tuple[Action, ...]:
        """What documentation and key map know of the screen: `actions`, and the rows that come from elsewhere."""
        return cls.actions()

    @cached_property
    def key_rows(self) -> tuple[Action, ...]:
        """All rows with the user's keys."""
        return self.host.keymap.rows(self.NAME, self.actions())

    @property
    def host(self) -> Host:
        return cast(Host, self.app)

    def compose(self) -> ComposeResult:
        yield TitleLine()
        yield from self.compose_body()
        yield KeyFooter()
        yield TooSmall()

    def compose_body(self) -> ComposeResult:
        """The widgets between title and footer."""
        yield from ()

    def enter(self, *_args: Any, **context: Any) -> None:
        """Called each time the app goes to this screen, after it was mounted, with what `go` was given."""

    async def settle(self) -> None:
        """Wait until everything a person did here is on disk. The app asks before it quits."""

    # ---- doing ------------------------------------------------------------------------------------------------------

    def disabled_reason(self, action_id: str) -> str | None:
        """Why the action cannot be done now, None when it can. Overriding screens ask `super()` for the rest."""
        for place in PLACES:
            if action_id == f"go_{place.name}" and place.needs_project and self.host.project is None:
                return "No project is open. Open one on the projects screen (g p)."
        return None

    async def action_act(self, action_id: str) -> None:
        await self.perform(action_id)

    async def perform(self, action_id: str) -> None:
        """Do the action, or say why not."""
        reason = self.disabled_reason(action_id)
        if reason is not None:
            self.say(reason, "warning")
            return
        action = next(action for action in self.key_rows if action.id == action_id)
        handler: Callable[..., Any] = getattr(self, action.method or f"action_{action_id}")
        try:
            result = handler(*action.args)
            if isawaitable(result):
                await result
        except MiaError as error:
            self.say(str(error), "error")
        self.refresh_bindings()

    def say(self, text: str, severity: str = "information") -> None:
        """Show a notification (never read as markup)."""
        timeout = 10 if severity == "error" else max(4, len(text) / 12)
        self.notify(text, severity=cast(Any, severity), timeout=timeout, markup=False)

    # ---- the common actions -----------------------------------------------------------------------------------------

    def action_help(self) -> None:
        from mia_tui.widgets.help import HelpScreen

        self.app.push_screen(HelpScreen(self.HEADING, self.help_rows()), self._perform_later)

    def action_go(self) -> None:
        from mia_tui.widgets.help import GoScreen

        self.app.push_screen(GoScreen(), self._perform_later)

    def _perform_later(self, action_id: str | None) -> None:
        if action_id is not None:
            self.call_later(self.perform, action_id)

    def action_palette(self) -> None:
        self.app.action_command_palette()

    def action_back(self) -> None:
        self.host.back()

    async def action_quit(self) -> None:
        await self.app.action_quit()

    def go_to(self, name: str) -> None:
        self.host.go(name)

    # ---- what title, footer, help and palette show ------------------------------------------------------------------

    def help_rows(self) -> list[tuple[Action, str | None]]:
        """Every action with the reason why it cannot be done now."""
        return [(action, self.disabled_reason(action.id)) for action in self.key_rows if action.id != "help"]

    def footer_actions(self) -> list[Action]:
        """At most eight actions for the footer; the help key is always the last."""
        shown = [action for action in self.key_rows if action.show and action.keys and action.id != "help"]
        return [*shown[: MAX_FOOTER_KEYS - 1], *(action for action in self.key_rows if action.id == "help")]

    def set_title_note(self, text: str) -> None:
        """The right end of the title line."""
        for line in self.query(TitleLine):
            if line.note != text:
                line.note = text
                line.refresh()

    def _use_own_keys(self) -> None:
        """Tell Textual which keys preset and user have changed; say which of them stand for two actions."""
        before = {action.id: action.keys for action in self.actions() if action.keys and not action.context}
        after = {action.id: action.keys for action in self.key_rows if action.id in before}
        changed = {f"{self.NAME}.{name}": keys or NO_KEY for name, keys in after.items() if keys != before[name]}
        if changed:
            self.app.update_keymap(changed)
        for text in clashes(self.NAME, self.host.keymap.rows(self.NAME, self.every_row())):
            self.say(f"{text} ({KEYMAP_FILE})", "warning")

    def on_mount(self) -> None:
        self._use_own_keys()
        self.bindings_updated_signal.subscribe(self, self._on_bindings_updated)

    def _on_bindings_updated(self, _screen: Screen[Any]) -> None:
        for footer in self.query(KeyFooter):
            footer.renew()


class TitleLine(Widget):
    """The first line: program, project, screen; at the right a note of the screen."""

    DEFAULT_CSS = """
    TitleLine { height: 1; padding: 0 1; background: $panel; color: $text-muted; }
    """
    note = ""

    def render(self) -> Content:
        screen = cast(MiaScreen, self.screen)
        project = screen.host.project
        place = [(screen.HEADING, "bold $text")] if screen.HEADING else []
        name = [project.name] if project is not None else ["mia-tui"]
        left = Content.assemble(*_join([*name, *place], "  ›  "))
        space = self.content_size.width - left.cell_length - cell_len(self.note)
        return Content.assemble(left, " " * space, self.note) if self.note and space > 1 else left


def _join(parts: list[Any], separator: str) -> Iterator[Any]:
    for index, part in enumerate(parts):
        if index:
            yield (separator, "dim")
        yield part


class KeyFooter(Widget):
    """The last line: the keys of the screen that matter most. Clicking one does it; a dimmed one says why not."""

    DEFAULT_CSS = """
    KeyFooter {
        height: 1; dock: bottom; padding: 0 1; background: $panel; color: $text-muted;
    }
    """

    auto_links = False
    _shown: Content | None = None

    def renew(self) -> None:
        """Write the line again if it has changed: a key that moves the cursor must not cost a line of text."""
        if self._shown is None or not self._shown.is_same(self._entries()):
            self.refresh()

    def render(self) -> Content:
        self._shown = self._entries()
        return self._shown

    def _entries(self) -> Content:
        screen = cast(MiaScreen, self.screen)
        *rest, last = [self._entry(screen, action) for action in screen.footer_actions()]
        width = self.content_size.width - last.cell_length
        kept = []
        for entry in rest:
            width -= entry.cell_length + 3
            if width >= 0:
                kept.append(entry)
        return Content("   ").join([*kept, last])

    @staticmethod
    def _entry(screen: MiaScreen, action: Action) -> Content:
        click = f"@click=screen.act('{action.id}')"
        if screen.disabled_reason(action.id) is not None:
            return Content.assemble((f"{action.key_text} {action.text}", f"dim {click}"))
        return Content.assemble((action.key_text, f"bold $accent {click}"), (f" {action.text}", click))


class TooSmall(Static):
    """What is shown instead of a screen that does not fit."""

    DEFAULT_CSS = """
    TooSmall { width: 100%; height: 100%; content-align: center middle; text-align: center; }
    """

    def on_resize(self, _event: Resize) -> None:
        width, height = self.app.size
        self.update(f"The terminal is {width} x {height}.\nmia-tui needs {MIN_SIZE[0]} x {MIN_SIZE[1]}.\nq quits.")


class ActionProvider(Provider):
    """Offers every action of the screen in the command palette; one that cannot be done says why."""

    async def discover(self) -> Hits:
        for title, hint, run in self._rows():
            yield DiscoveryHit(title, run, help=hint)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for title, hint, run in self._rows():
            score = matcher.match(title)
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, help=hint)

    def _rows(self) -> Iterator[tuple[str, str, Callable[[], Any]]]:
        screen = self.screen
        if not isinstance(screen, MiaScreen):
            return
        for action, reason in screen.help_rows():
            if action.id in ("palette", "quit"):
                continue
            keys = action.all_keys_text if action.keys else ""
            hint = f"{action.group}  {keys}" if reason is None else f"Not now: {reason}"
            yield action.full_text, hint, partial(screen.perform, action.id)
