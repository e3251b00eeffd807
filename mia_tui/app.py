"""The Textual app: its screens, its theme, and the way between them. Nothing here computes or reads images."""

import asyncio
import importlib
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from textual.app import App, SystemCommand
from textual.screen import Screen
from textual.theme import Theme

from mia_tui.errors import MiaError
from mia_tui.keymap import load_keymap
from mia_tui.labeling import opening
from mia_tui.project import Project
from mia_tui.settings import load_settings, remember_project, save_setting
from mia_tui.terminal import Examined, examine
from mia_tui.widgets.actions import MiaScreen
from mia_tui.widgets.canvas.drawing import Drawing
from mia_tui.widgets.canvas.wire import Wired
from mia_tui.widgets.driver import Guarded
from mia_tui.widgets.typed_ahead import TypedAhead

IMAGE_CLASSES = "labeling.image_class"
"""The labelling screen of classification projects."""

SCREEN_CLASSES = {
    "projects": "ProjectsScreen",
    "browser": "BrowserScreen",
    "labeling": "LabelScreen",
    IMAGE_CLASSES: "ClassifyScreen",
    "training": "TrainingScreen",
    "runs": "RunsScreen",
    "tracking": "TrackingScreen",
    "results": "ResultsScreen",
}
"""Screen name (module `mia_tui.screens.<name>`) -> class. A module is imported when its screen is first opened."""

NEWEST = ""
"""The model whose predictions are the newest."""

THEME = Theme(
    name="mia-dark",
    primary="#7AA2C4",
    secondary="#8FB8A8",
    accent="#A5C8E4",
    foreground="#D5DADF",
    background="#14171A",
    surface="#1A1E22",
    panel="#20252A",
    warning="#D9B36C",
    error="#D98282",
    success="#8DB58D",
    dark=True,
    variables={
        "border": "#3A424A",
        "border-blurred": "#2A3036",
        "block-cursor-background": "#34506A",
        "block-cursor-foreground": "#FFFFFF",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#2A343E",
        "block-cursor-blurred-foreground": "#D5DADF",
        "input-selection-background": "#7AA2C4 35%",
    },
)


class MiaApp(Wired, Guarded, TypedAhead, App[None]):
    """mia-tui in the terminal.

    Parameters
    ----------
    project : Path, optional
        Project folder to open; without it the projects screen comes first.
    examined : Examined, optional
        What was found out about the terminal before the app starts; without it pictures are drawn in cells.

    Raises
    ------
    MiaError
        When `project` is not a project folder.
    """

    TITLE = "mia-tui"
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, project: Path | None = None, examined: Examined | None = None) -> None:
        self.project: Project | None = None if project is None else opening.open_project(project)
        self.examined = examined
        self.drawing = None if examined is None else Drawing(examined.record)
        self.graphics = "cells" if examined is None else examined.record.painter
        start = "projects" if project is None else "browser"
        self.DEFAULT_MODE = start  # type: ignore[misc]
        super().__init__()
        for name in SCREEN_CLASSES:
            self.add_mode(name, _opener(name))
        self.at_hand: tuple[str, int, int] | None = None
        self._history: list[str] = []
        self.register_theme(THEME)
        settings, problem = load_settings()
        self.keymap = load_keymap()
        self._problems = [*filter(None, [problem]), *self.keymap.problems]
        self.theme = settings.theme if settings.theme in self.available_themes else THEME.name

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, self._keep_theme)
        if self.drawing is not None:
            self.drawing.follow(self)
        for problem in self._problems:
            self.notify(problem, severity="warning", markup=False)
        if self.project is not None:
            self._remember(self.project)

    def _keep_theme(self, theme: Theme) -> None:
        self._in_thread(partial(save_setting, "theme", theme.name))

    def _remember(self, project: Project) -> None:
        self._in_thread(partial(remember_project, project.folder, project.name, project.task))

    def _in_thread(self, write: Callable[[], None]) -> None:
        """Write something that nobody waits for; a failure is said and harms nothing."""

        async def run() -> None:
            try:
                await asyncio.to_thread(write)
            except MiaError as error:
                self.notify(str(error), severity="warning", markup=False)

        self.run_worker(run(), group="settings")

    def farewell(self) -> list[str]:
        """What the driver writes when it lets go of the terminal."""
        return [] if self.drawing is None else self.drawing.farewell()

    # ---- between screens --------------------------------------------------------------------------------------------

    def go(self, name: str, **context: Any) -> None:
        """Show the screen `name` (a key of `SCREEN_CLASSES`) and give `context` to its `enter`."""
        self.run_worker(self._go(name, context), group="go", exclusive=True)

    async def _go(self, name: str, context: dict[str, Any]) -> None:
        if name == "review":  # the labelling screen, with the predictions of a model as candidates
            name, context = "labeling", {"model": NEWEST, **context}
        if name == "labeling" and self.project is not None and self.project.task == "classification":
            name = IMAGE_CLASSES
        if name == "labeling":
            from mia_tui.screens.loading import load_desk

            await asyncio.to_thread(load_desk)
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        if name != self.current_mode:
            self._history = [*(old for old in self._history if old != self.current_mode), self.current_mode]
            await self.switch_mode(name)
        if isinstance(self.screen, MiaScreen):
            self.screen.enter(**context)

    def back(self) -> None:
        """Show the screen before this one, in the end the projects screen."""
        name = self._history.pop() if self._history else "projects"
        self.switch_mode(name)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Of what Textual offers in the palette, only what the screens' own actions do not."""
        for command in super().get_system_commands(screen):
            if command.title in ("Theme", "Screenshot", "Quit"):
                yield command

    async def action_quit(self) -> None:
        """Quit when all edits are on disk. Runs are other processes and go on."""
        for mode in SCREEN_CLASSES:
            for screen in self._stack(mode):
                if isinstance(screen, MiaScreen):
                    try:
                        await screen.settle()
                    except MiaError as error:  # the person reads it first; quitting again quits
                        self.notify(str(error), severity="error", timeout=20, markup=False)
                        return
        self.exit()

    def _stack(self, mode: str) -> list[Screen[Any]]:
        try:
            return self.get_screen_stack(mode)
        except KeyError:  # never opened
            return []

    async def open_project(self, folder: Path) -> None:
        """Load the project in `folder` and show its images. What was open before is closed; its runs go on.

        Raises
        ------
        MiaError
            When `folder` is not a project; what is open stays.
        """
        self.project = await asyncio.to_thread(opening.open_project, folder)
        self.at_hand = None
        await self._forget_screens()
        self._remember(self.project)
        self.go("browser")

    async def _forget_screens(self) -> None:
        """Throw away all screens of the last project but the projects screen, which is the current one then."""
        if self.current_mode != "projects":
            await self.switch_mode("projects")
        self._history = []
        for name in SCREEN_CLASSES:
            if name != "projects":
                await self.remove_mode(name)
                self.add_mode(name, _opener(name))


def _opener(name: str) -> Callable[[], Screen[Any]]:
    def open_screen() -> Screen[Any]:
        module = importlib.import_module(f"mia_tui.screens.{name}")
        screen: Screen[Any] = getattr(module, SCREEN_CLASSES[name])()
        return screen

    return open_screen


def run(project: Path | None, graphics: str = "auto") -> None:
    """Open the terminal user interface and return when it is closed.

    Raises
    ------
    MiaError
        When `project` is not a project folder, `graphics` is unknown, or there is no terminal.
    """
    if not (os.isatty(0) and os.isatty(1)):
        raise MiaError("mia-tui needs a terminal. Without one use the commands: mia-tui --help lists them.")
    wanted = load_settings()[0].graphics if graphics == "auto" else graphics
    examined = examine(wanted)
    if examined.record.colors == "truecolor":
        os.environ["COLORTERM"] = "truecolor"  # plain SSH does not forward it, and Rich would show 26 greys
    try:
        MiaApp(project, examined).run()
    finally:
        examined.restore()
