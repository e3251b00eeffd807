"""Labelling outlines and points over the image. The desk (`labeling/desk`) takes the keys; this screen shows it."""

import asyncio
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.css.query import NoMatches
from textual.widgets import Static

from mia_tui.errors import MiaError
from mia_tui.keymap import Action
from mia_tui.screens.image_screen import LOOK_ACTIONS, VIEW_ACTIONS, look_beside_digits
from mia_tui.screens.labeling.predicted import PredictedScreen
from mia_tui.widgets.actions import MAX_FOOTER_KEYS
from mia_tui.widgets.canvas.widget import ImageCanvas
from mia_tui.widgets.line import Line

if TYPE_CHECKING:
    from mia_tui.labeling.desk.assistant import Network
    from mia_tui.labeling.desk.desk import Desk
    from mia_tui.screens.frames import ShownFrame
    from mia_tui.widgets.canvas.scene import Scene

LEAVE = Action("leave", "escape", "Leave", "General")


def _take_network(desk: "Desk", network: "Network") -> None:
    """Let a network propose for the view, or take the tool in hand that tells it where to look."""
    from mia_tui.labeling.desk.acts.assisting import propose_with
    from mia_tui.labeling.desk.tools import choose

    desk.memory["network"] = network
    if network.prompts:
        choose(desk, "network")
        return
    try:
        propose_with(desk, network)
    except MiaError as error:
        desk.warn(str(error))


class LabelScreen(PredictedScreen):
    """One image of the project on the desk."""

    HEADING = "Label"
    NAME = "label"
    OVERLAYS = False  # the desk reads them, once
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("next_image", "N", "Next image", "Images", method="step_image", args=(1,)),
        Action("previous_image", "P", "Previous image", "Images", method="step_image", args=(-1,)),
        Action("next_unlabelled", "ctrl+n", "Next image without labels", "Images"),
        Action("t_next", "greater_than_sign", "Next frame in time", "Images", method="step_plane", args=(1, 0)),
        Action("t_previous", "less_than_sign", "Previous frame in time", "Images", method="step_plane", args=(-1, 0)),
        Action("z_next", "pagedown", "Next z", "Images", method="step_plane", args=(0, 1)),
        Action("z_previous", "pageup", "Previous z", "Images", method="step_plane", args=(0, -1)),
        Action("model", "M", "Predictions of a model", "Decide", more="Work on the predictions of a model"),
        Action("classes", "C", "Classes", "Classes", more="Names, colours, keys and order of the classes"),
        Action("networks", "at", "Networks", "Propose", more="Proposals and outlines by a network"),
        Action("accept_everywhere", "ctrl+t", "Accept all images above a score", "Decide"),
        Action("scores", "number_sign", "Scores on or off", "View"),
        Action("labels", "o", "Labels on or off", "View"),
        Action("zoom_object", "Z", "Zoom to the object", "View"),
        *map(look_beside_digits, LOOK_ACTIONS),
        *VIEW_ACTIONS,
    )
    DEFAULT_CSS = """
    LabelScreen { layers: base menu; }
    LabelScreen #menu {
        layer: menu; dock: right; width: auto; max-width: 100%; height: auto; offset: 0 2; padding: 0 1;
        background: $surface; border: round $border; border-title-color: $text; display: none;
    }
    """

    def compose_body(self) -> ComposeResult:
        yield Line(id="info", classes="line", markup=False)
        yield ImageCanvas("Looking for images …")
        yield Line(id="classes", classes="line")
        yield Line(id="state", classes="line")
        yield Line(id="readout", classes="line")
        yield Static(id="menu")

    @classmethod
    def every_row(cls) -> tuple[Action, ...]:
        """The rows of the desk, for all tasks, and those of the screen."""
        from mia_tui.labeling.desk.rows import every_action

        return every_action() + cls.actions()

    @cached_property
    def key_rows(self) -> tuple[Action, ...]:
        """The rows of the screen itself, without the keys that the user gave to actions of the desk."""
        from mia_tui.labeling.desk.rows import table

        desk = table(self.project.task)
        return self.host.keymap.rows(self.NAME, (*desk, *self.actions()))[len(desk) :]

    # ---- picture and lines -------------------------------------------------------------------------------------------

    def scene_parts(self, shown: "ShownFrame") -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[float, ...] | None]:
        over = self._overlays
        if over is None or self._desk is None or self._desk.frame is None:
            return (), (), None
        return over.layers, over.marks, over.box

    def with_sketch(self, scene: "Scene") -> "Scene":
        from mia_tui.screens.labeling.picture import with_sketch

        if self._desk is None or self._desk.frame is None:
            return scene
        return with_sketch(self._desk, scene, self._dragged)

    def update_lines(self) -> None:
        from mia_tui.screens.labeling.texts import classes_text, menu_text, state_text

        try:
            info = self.query_one("#info", Static)
            info.update(self.info_text(info.content_size.width))
            self.query_one("#readout", Static).update(self.readout())
            if self._desk is None:
                return
            classes = self.query_one("#classes", Static)
            classes.update(classes_text(self._desk, classes.content_size.width))
            state = self.query_one("#state", Static)
            state.update(state_text(self._desk, state.content_size.width, self._busy))
            text, menu = menu_text(self._desk, self.size.width - 4), self.query_one("#menu", Static)
        except NoMatches:  # the screen is being closed
            return
        menu.display = text is not None
        if text is not None:
            menu.border_title = self._desk.mode.text if self._desk.mode is not None else ""
            menu.update(text)
        position = f"{self._at + 1}/{len(self._refs)}" if self._refs else ""
        self.set_title_note("   ".join(filter(None, ["viewing only" if self._desk.read_only else "", position])))

    # ---- what can be done --------------------------------------------------------------------------------------------

    def help_rows(self) -> list[tuple[Action, str | None]]:
        """The rows of the mode in use first, then those of desk and screen, what menus offer, and the other modes."""
        desk = self._desk
        if desk is None:
            return super().help_rows()
        from mia_tui.screens.labeling.texts import in_order_of_use

        return in_order_of_use(desk, super().help_rows())

    def footer_actions(self) -> list[Action]:
        """The keys of the mode on top with the way out of it, else those that are wanted next."""
        from mia_tui.labeling.desk.modes import MenuMode
        from mia_tui.screens.labeling.texts import wanted

        desk = self._desk
        own = super().footer_actions()
        if desk is None or desk.frame is None:
            return own
        if desk.mode is None:
            rows = {action.id: action for action in (*desk.actions, *self.key_rows) if action.keys}
            ids = [name for name in wanted(desk) if name in rows and self.disabled_reason(name) is None]
            shown = [rows[name] for name in ids]
        elif isinstance(desk.mode, MenuMode):  # the screen shows what it offers
            shown = [LEAVE]
        else:
            its = [action for action in desk.actions if action.keys and action.context == desk.mode.name]
            first, *rest = [action for action in its if action.show] or its or [LEAVE]
            shown = [first, *([LEAVE] if first is not LEAVE else []), *rest]
        return [*shown[: MAX_FOOTER_KEYS - 1], own[-1]]

    def disabled_reason(self, action_id: str) -> str | None:
        from mia_tui.labeling.desk.rows import ROWS

        if action_id in ROWS:
            return "No image is open." if self._desk is None else self._desk.reason(action_id)
        if action_id in ("next_image", "previous_image", "next_unlabelled") and not self._refs:
            return "The project has no images yet."
        if action_id == "accept_everywhere" and self._model is None:
            return "No predictions are worked on. M chooses a model."
        if action_id == "zoom_object" and (self._desk is None or self._desk.find(self._desk.current) is None):
            return "No object is chosen: ' and its letters choose one, n a doubtful one."
        if action_id[:2] in ("t_", "z_") and self.shown is not None:
            t, _, z, *_ = self.shown.info.sizes
            if (t if action_id[0] == "t" else z) == 1:
                return f"This image has one {'frame in time' if action_id[0] == 't' else 'z plane'}."
        return super().disabled_reason(action_id)

    async def perform(self, action_id: str) -> None:
        """An action of the desk (a click on the footer, the help, the palette) or of the screen."""
        from mia_tui.labeling.desk.rows import ROWS

        desk = self._desk
        if action_id == LEAVE.id and desk is not None:
            await self._at_desk(lambda: desk.press("escape"))
            return
        if desk is None or action_id not in ROWS or action_id in {action.id for action in self.key_rows}:
            await super().perform(action_id)
        elif desk.frame is None and not self._loading:
            self.say(self._trouble or "No image is open.", "warning")
        elif not self._loading:
            await self._at_desk(lambda: desk.perform(action_id))
            self.refresh_bindings()

    def step_image(self, step: int) -> None:
        index = self._at + step
        if not 0 <= index < len(self._refs):
            self.say(f"This is the {'last' if step > 0 else 'first'} image.", "warning")
            return
        self._go(index)

    async def action_next_unlabelled(self) -> None:
        """To the next image of which no frame is labelled."""
        folder = self.project.source_folder("labels")
        found = await asyncio.to_thread(lambda: self.project.frames_under("labels") if folder.is_dir() else [])
        labelled = {key for key, _ in found}
        order = [*range(self._at + 1, len(self._refs)), *range(self._at)]
        index = next((i for i in order if self._refs[i].key not in labelled), None)
        if index is None:
            self.say("Every image has labels.", "warning")
        else:
            self._go(index)

    def step_plane(self, t: int, z: int) -> None:
        if self.shown is not None:
            sizes = self.shown.info.sizes
            self._go(self._at, min(max(self._t + t, 0), sizes[0] - 1), min(max(self._z + z, 0), sizes[2] - 1))

    def action_contrast(self) -> None:
        if not self._loading:  # the frame that is waited for would be forgotten
            super().action_contrast()

    def action_labels(self) -> None:
        self._show_labels = not self._show_labels
        self._trace()
        self.rebuild()

    async def action_classes(self) -> None:
        """The frame is taken off the desk meanwhile: a change of classes may go through its label file, too."""
        from mia_tui.screens.classes import ClassesScreen

        await self._close_desk()
        key = None if self._ref is None else self._ref.key
        self.app.push_screen(ClassesScreen(key), lambda _: None)  # on_screen_resume opens the frame again

    # ---- networks ----------------------------------------------------------------------------------------------------

    async def action_networks(self) -> None:
        """The list of networks; one that is not ready says how to get it."""
        from mia_tui.screens.labeling.assistant import HelperAssistant, entry_text
        from mia_tui.widgets.choose import ChooseScreen

        if self._assistant is None:
            self._assistant = HelperAssistant(self.project)
            if self.shown is not None:
                self._assistant.look_at(self.shown.request.key, self.shown.t, self.shown.z)
        entries = await asyncio.to_thread(self._assistant.entries)
        options = [(entry.name, entry_text(entry)) for entry in entries]
        self.app.push_screen(ChooseScreen("Ask a network", options), self._use_network)

    def _use_network(self, name: str | None) -> None:
        assistant, desk = self._assistant, self._desk
        entry = next((e for e in assistant.entries() if e.name == name), None) if assistant is not None else None
        if entry is None or desk is None or assistant is None:
            return
        if not entry.ready:
            self.say(f"{entry.name} is not ready: {entry.reason}", "warning")
            return
        desk.assistant = assistant
        self.run_worker(self._at_desk(partial(_take_network, desk, assistant.network(entry))), group="label-network")

    # ---- view --------------------------------------------------------------------------------------------------------

    def action_scores(self) -> None:
        self._show_scores = not self._show_scores
        self._trace()
        self.rebuild()

    def action_zoom_object(self) -> None:
        assert self._desk is not None
        item = self._desk.find(self._desk.current)
        if item is not None:
            self.canvas.zoom_to(item.geometry.bounds)
