"""Labelling outlines and points over the image. The desk (`labeling/desk`) takes the keys; this screen shows it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.css.query import NoMatches
from textual.events import Key
from textual.widgets import Static

from mia_tui.errors import MiaError
from mia_tui.keymap import Action
from mia_tui.project import ImageRef
from mia_tui.screens.image_screen import LOOK_ACTIONS, VIEW_ACTIONS, ImageScreen
from mia_tui.screens.image_tree import models_with_predictions
from mia_tui.widgets.actions import COMMON, MAX_FOOTER_KEYS
from mia_tui.widgets.canvas.widget import ImageCanvas
from mia_tui.widgets.line import Line

if TYPE_CHECKING:
    from mia_tui.labeling.desk.assistant import Network
    from mia_tui.labeling.desk.desk import Desk
    from mia_tui.screens.frames import FrameRequest, ShownFrame
    from mia_tui.screens.labeling.assistant import HelperAssistant
    from mia_tui.screens.labeling.picture import Overlays, Tracer
    from mia_tui.widgets.canvas.scene import Scene

T = TypeVar("T")
BUSY_AFTER_S = 0.15
"""A key whose work takes longer than this is said to be worked on."""
LINE = 70
"""What is longer than this may not fit on the line of the desk."""
LEAVE_S, SETTLE_S = 2.0, 5.0
"""How long keys wait for another screen to come, and quitting for an image that keys were typed ahead for."""
SAID_S = 8.0
"""How long the same notification is not shown again."""
COMMON_IDS = frozenset(action.id for action in COMMON)


LEAVE = Action("leave", "escape", "Leave", "General")
NOTHING_PREDICTED = "No model has predicted anything yet. Train (g t), then predict with P among the images (g i)."


def _frame_names(shown: "ShownFrame") -> list[str]:
    """All frames of the image, in time and then in depth."""
    from mia_tui.project import frame_name

    times, _, depths, *_ = shown.info.sizes
    return [frame_name(t, z, single=times * depths == 1) for z in range(depths) for t in range(times)]


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


def _wrong_score(text: str) -> str | None:
    from mia_tui.labeling.review import parse_rule

    try:
        parse_rule(f"score>={text}")
    except MiaError:
        return f"{text or 'nothing'} is no score: give a number from 0 to 1"
    return None


def _look(action: Action) -> Action:
    """The look actions with keys that labelling does not need: digits are classes here."""
    keys = {"darker": "alt+comma", "brighter": "alt+full_stop", "channels_all": "alt+0"}
    if action.id.startswith("channel_"):
        return replace(action, keys=f"alt+{action.keys}")
    return replace(action, keys=keys.get(action.id, action.keys))


class LabelScreen(ImageScreen):
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
        *map(_look, LOOK_ACTIONS),
        *VIEW_ACTIONS,
    )
    DEFAULT_CSS = """
    LabelScreen { layers: base menu; }
    LabelScreen #menu {
        layer: menu; dock: right; width: auto; max-width: 100%; height: auto; offset: 0 2; padding: 0 1;
        background: $surface; border: round $border; border-title-color: $text; display: none;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._desk: Desk | None = None
        self._refs: list[ImageRef] = []
        self._at = 0
        self._t = self._z = 0
        self._model: str | None = None
        self._wanted: dict[str, Any] = {}
        self._queue: deque[Key] = deque()
        self._pumping = self._leaving = False
        self._loading = True  # until the first frame is on the desk, or there is none
        self._awaited: tuple[str, int, int] | None = None
        self._trouble = ""
        self._said: dict[str, float] = {}
        self._stale = False
        self._busy = ""
        self._show_labels = True
        self._show_scores = False
        self._tracer: Tracer | None = None
        self._overlays: Overlays | None = None
        self._from_end = False
        self._turn = asyncio.Lock()
        self._assistant: HelperAssistant | None = None
        self._dragged: tuple[tuple[float, float], ...] = ()

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

    def on_mount(self) -> None:
        self.canvas.focus()

    def enter(self, *_args: Any, **context: Any) -> None:
        """`key`, `t`, `z`: label this frame; `model`: with its predictions as candidates. Else what is at hand."""
        self._wanted = context or self._at_hand()
        if self._refs:
            self._open_wanted()

    def _at_hand(self) -> dict[str, Any]:
        """The frame that another screen has left, as `enter` takes it."""
        return dict(zip(("key", "t", "z"), self.host.at_hand or (), strict=False))

    def on_screen_resume(self) -> None:
        self.run_worker(self._start(), group="label-start")

    def on_screen_suspend(self) -> None:
        if self._desk is not None and len(self.app.screen_stack) < 2:  # not for a dialogue on top
            self.run_worker(self._close_desk(), group="label-close")

    async def settle(self) -> None:
        """Wait until every key typed so far is dealt with, every edit is on disk and the label file is written.

        Raises
        ------
        MiaError
            When the label file cannot be written; the edits are safe in its journal.
        """
        waited = 0.0
        while self._pumping or (self._queue and self._loading and waited < SETTLE_S):
            await asyncio.sleep(0.01)
            waited += 0.01
        if self._desk is not None:
            await self._in_turn(self._desk.close)

    async def on_unmount(self) -> None:
        if self._assistant is not None:
            await asyncio.to_thread(self._assistant.close)
        await self._close_desk()

    async def _close_desk(self) -> None:
        """Take the frame off the desk; what went wrong with its file is said, the edits are in its journal."""
        try:
            if self._desk is not None:
                await self._in_turn(self._desk.close)
        except MiaError as error:
            self.say(str(error), "error")

    async def _in_turn(self, do: Callable[[], T]) -> T:
        """Run something of the desk in a thread, when what runs there has ended: one thing at a time, in order."""
        async with self._turn:
            return await asyncio.shield(asyncio.to_thread(do))

    # ---- images -----------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        try:
            desk, refs = await self._in_turn(self._make_desk)
        except MiaError as error:
            self.canvas.set_hint(str(error))
            self._loading = False
            self._pump()
            return
        first, here = self._desk is None, self._ref
        self._desk, self._refs = desk, refs
        if not refs:
            roots = ", ".join(str(root) for root in self.project.roots.values())
            self.canvas.set_hint(f"No images in {roots}.\nPut TIFF, PNG, JPEG or BMP files there.")
            self._loading = False
            self._pump()
            return
        keys = [ref.key for ref in refs]
        self._at = keys.index(here.key) if here is not None and here.key in keys else 0
        async with self._turn:  # a closing that is under way has ended
            closed = desk.frame is None
        if not self._wanted and closed:
            self._wanted = self._at_hand()
        if self._wanted or (closed and (first or not self._loading)):
            self._open_wanted()

    def _make_desk(self) -> tuple["Desk", list[ImageRef]]:
        from mia_tui.labeling.desk.desk import Desk
        from mia_tui.screens.labeling.picture import Tracer

        self._tracer = self._tracer or Tracer()
        if self._desk is not None and self._desk.project is self.project:
            return self._desk, self.project.images()
        if self._desk is not None:
            self._desk.close()
        return Desk(self.project, self.host.keymap, beside=self.actions()), self.project.images()

    @property
    def _ref(self) -> ImageRef | None:
        return self._refs[self._at] if self._refs else None

    def _open_wanted(self) -> None:
        wanted, self._wanted = self._wanted, {}
        self._loading = True
        keys = [ref.key for ref in self._refs]
        if wanted.get("key") in keys:
            self._at = keys.index(str(wanted["key"]))
        if "model" in wanted and "key" not in wanted:
            self.run_worker(self._review(wanted["model"]), group="label-review")
            return
        self._model = wanted.get("model", self._model)
        self._go(self._at, int(wanted.get("t", self._t)), int(wanted.get("z", self._z)))

    # ---- predictions ------------------------------------------------------------------------------------------------

    async def _review(self, model: str) -> None:
        """Work on the predictions of a model ("": the newest), from the first frame on that has something pending."""
        models = await asyncio.to_thread(models_with_predictions, self.project)
        if not models or (model and model not in models):
            self.say(NOTHING_PREDICTED, "warning")
            self._go(self._at, self._t, self._z)
            return
        self._model = model or (self._model if self._model in models else models[0])
        await self._travel(1, from_start=True)

    async def _travel(self, way: int, *, from_start: bool = False) -> None:
        """To the next (1) or previous (-1) predicted frame with something pending."""
        from mia_tui.project import parse_frame

        here = None if from_start or self.shown is None or self._ref is None else (self._ref.key, self.shown.name)
        found = await asyncio.to_thread(self._next_pending, here, way)
        keys = [ref.key for ref in self._refs]
        if found is not None and found[0] in keys:
            self._from_end = way < 0
            self._go(keys.index(found[0]), *parse_frame(found[1]))
        elif from_start:
            self.say(f"Everything that {self._model} has found is decided.")
            self._go(self._at, self._t, self._z)
        else:
            self.say(f"Nothing is pending in {'later' if way > 0 else 'earlier'} frames.", "warning")

    def _next_pending(self, here: tuple[str, str] | None, way: int) -> tuple[str, str] | None:
        from mia_tui.labeling.review import review_state

        assert self._model is not None
        places = self.project.frames_under(f"predictions:{self._model}")
        at = places.index(here) if here in places else (-1 if way > 0 else len(places))
        for key, frame in places[at + 1 :] if way > 0 else places[:at][::-1] if here else []:
            if review_state(self.project, self._model, key, frame).pending:
                return key, frame
        return None

    def _go(self, index: int, t: int = 0, z: int = 0) -> None:
        """Read a frame and put it on the desk; keys that come before it is there wait."""
        self._at, self._t, self._z = index, t, z
        self._loading = True
        ref = self._refs[index]
        self.host.at_hand = ref.key, t, z
        self._awaited = ref.key, t, z
        self.canvas.set_hint(f"Reading {ref.key} …")
        self.ask(ref.key, t, z, None)

    def frame_shown(self, shown: "ShownFrame") -> None:
        """It goes on the desk when it was waited for; with another contrast only, what is on the desk stays there."""
        request = shown.request
        if self._awaited != (request.key, request.t, request.z):
            open_frame = None if self._desk is None else self._desk.frame
            if self._loading or open_frame is None or open_frame.size == shown.pyramid.size:
                return
        self._awaited = None
        self._t, self._z = shown.t, shown.z
        self.run_worker(self._put_on_desk(shown), group="label-open")

    async def _put_on_desk(self, shown: "ShownFrame") -> None:
        desk = self._desk
        if desk is None or shown is not self.shown:
            return
        await self._close_desk()
        try:
            await self._in_turn(partial(self._open_frame, desk, shown))
            self._trouble = ""
        except MiaError as error:
            self._trouble = str(error)
            self.say(self._trouble, "error")
        if desk.read_only:
            self.say(desk.read_only, "warning")
        self._loading = False
        await self._in_turn(self._trace)
        self.rebuild()
        self._reveal()
        self.refresh_bindings()
        self._pump()

    def _open_frame(self, desk: "Desk", shown: "ShownFrame") -> None:
        if self._assistant is not None:
            self._assistant.look_at(shown.request.key, shown.t, shown.z)
        plane, rgb, key = shown.pyramid.plane, shown.info.rgb, shown.request.key
        model = self._model
        if model is not None and not self.project.prediction_path(model, key, shown.name).exists():
            model = None
        desk.open(key, shown.name, plane, rgb=rgb, model=model, frames=_frame_names(shown))
        if desk.pending:  # the most doubtful one of predictions comes first
            from mia_tui.labeling.desk.refs import candidate

            desk.choose(candidate(desk.pending[-1 if self._from_end else 0].number))
        self._from_end = False

    def frame_failed(self, request: "FrameRequest", error: MiaError) -> None:
        self._loading, self._awaited = False, None
        self._overlays, self._trouble = None, str(error)
        if self._desk is not None:
            self.run_worker(self._close_desk(), group="label-close")
        self._queue.clear()

    # ---- keys -------------------------------------------------------------------------------------------------------

    def on_key(self, event: Key) -> None:
        """All keys of desk and screen, one after another as they were typed; those that come too early wait."""
        if event.key == "escape" and self._assistant is not None and self._assistant.waiting:
            event.stop()
            event.prevent_default()
            self._assistant.cancel()
            return
        waits = self._pumping or self._leaving or self._loading or bool(self._queue)
        if not (waits or self._knows(event.key)):
            return
        event.stop()
        event.prevent_default()
        self._queue.append(event)
        self._pump()

    def _knows(self, key: str) -> bool:
        desk = self._desk
        return (desk is not None and desk.knows(key)) or any(key in action.key_names for action in self.key_rows)

    def on_image_canvas_pointed(self, event: ImageCanvas.Pointed) -> None:
        """A click is what the cursor and enter do, or chooses what is there."""
        desk = self._desk
        if desk is not None and desk.frame is not None and not self._loading:
            self.run_worker(self._at_desk(lambda: desk.click(event.y, event.x, exact=event.shift)), group="label-mouse")

    def on_image_canvas_dragged(self, event: ImageCanvas.Dragged) -> None:
        """A drag draws; while it goes on its way is shown."""
        desk = self._desk
        if desk is None or desk.frame is None or self._loading:
            return
        self._dragged = () if event.done else event.points
        if event.done:
            drag = partial(desk.drag, list(event.points), shift=event.shift, ctrl=event.ctrl)
            self.run_worker(self._at_desk(drag), group="label-mouse")
        else:
            self.rebuild()

    def _pump(self) -> None:
        if not self._pumping and not self._leaving and not self._loading and self._queue:
            self._pumping = True
            self.run_worker(self._work(), group="label-keys")

    async def _work(self) -> None:
        """Deal with the keys that wait, until one of them leads elsewhere: the rest is for what comes then."""
        common: str | None = None
        try:
            while self._queue and not self._loading and common is None and self.app.screen is self:
                common = await self._take(self._queue.popleft().key)
            if self._stale:
                await self._in_turn(self._trace)
                self.rebuild()
        finally:
            self._pumping = False
            self._show_busy("")
        if common is not None:
            await self._perform_common(common)
        if self.app.screen is not self:
            self._pass_on()
        self.refresh_bindings()
        self._pump()

    async def _perform_common(self, action_id: str) -> None:
        """Help, palette, another screen, quit: with no key in hand, for quitting waits until all are dealt with."""
        self._leaving = True
        try:
            going = action_id == "back" or (action_id.startswith("go_") and action_id != "go_labeling")
            going = going and self.disabled_reason(action_id) is None
            await super().perform(action_id)
            deadline = time.monotonic() + LEAVE_S
            while going and self.app.screen is self and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
        finally:
            self._leaving = False

    def _pass_on(self) -> None:
        """Give the keys that were typed ahead to the screen that is on top now, as soon as it can take them."""
        keys = [Key(event.key, event.character) for event in self._queue]
        self._queue.clear()
        if keys:
            self.app.screen.call_after_refresh(lambda: [self.app.post_message(key) for key in keys])

    async def _take(self, key: str) -> str | None:
        """One key: the desk's in a thread, the screen's here. The id of an action of all screens is handed back."""
        desk = self._desk
        if desk is not None and desk.knows(key):
            if desk.frame is None:
                self.say(self._trouble or "No image is open.", "warning")
                return None
            if await self._at_desk(lambda: desk.press(key)):
                return None
        action = next((a for a in self.key_rows if key in a.key_names), None)
        if action is None:
            return None
        if action.id in COMMON_IDS:
            return action.id
        count = 1 if desk is None else desk.take_count()
        for _ in range(count if action.group == "Cursor" else 1):
            await super().perform(action.id)
        return None

    async def _at_desk(self, do: Any) -> Any:
        """Run something of the desk in a thread and show what has become of it."""
        desk, canvas = self._desk, self.canvas
        assert desk is not None
        if canvas.view is None:
            return True
        desk.view, desk.cursor = canvas.view, canvas.cursor
        timer = self.set_timer(BUSY_AFTER_S, self._say_busy)
        result = await self._in_turn(partial(self._do_and_trace, do))
        timer.stop()
        self._busy = ""
        self._say_at_length(desk)
        self.rebuild()
        self._reveal()
        if desk.travel:
            way, desk.travel = desk.travel, 0
            await self._travel(way)
        return result

    def _say_at_length(self, desk: "Desk") -> None:
        """A warning that the line cannot hold is said where there is room."""
        room = self.query_one("#state").content_size.width - len("  viewing only")
        if desk.warning and cell_len(desk.message) > room:
            self.say(desk.message, "error")

    def _reveal(self) -> None:
        if self._desk is not None and self._desk.reveal is not None:
            self.canvas.reveal(self._desk.reveal)
            self._desk.reveal = None

    def _do_and_trace(self, do: Any) -> Any:
        result = do()
        self._stale = bool(self._queue)  # the last key in hand draws for all
        if not self._stale:
            self._trace()
        return result

    def _trace(self) -> None:
        self._stale = False
        from mia_tui.screens.labeling.picture import objects_layer

        if self._desk is not None and self._desk.frame is not None and self._tracer is not None:
            self._overlays = objects_layer(self._desk, self._tracer, labels=self._show_labels, scores=self._show_scores)

    def _say_busy(self) -> None:
        waiting = self._assistant is not None and self._assistant.waiting
        self._show_busy("the network works, esc gives up …" if waiting else "working …")

    def _show_busy(self, text: str) -> None:
        if text != self._busy:
            self._busy = text
            self.update_lines()

    # ---- picture and lines ------------------------------------------------------------------------------------------

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

    # ---- what can be done -------------------------------------------------------------------------------------------

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

    def say(self, text: str, severity: str = "information") -> None:
        """Why something cannot be done stands on the line of the desk, where the eyes are, when it fits there.

        The same notification is not shown again while it is there: a few keys would cover the image with it.
        """
        if severity == "warning" and self._tell(text, warning=True):
            return
        now = time.monotonic()
        if now - self._said.get(text, -SAID_S) >= SAID_S:
            self._said = {old: at for old, at in self._said.items() if now - at < SAID_S} | {text: now}
            super().say(text, severity)

    def _tell(self, text: str, *, warning: bool = False) -> bool:
        """Write on the line of the desk until the next key; False when it is too long or no frame is open."""
        desk = self._desk
        if desk is None or desk.frame is None or self._loading or len(text) > LINE:
            return False
        desk.message, desk.warning = text, warning
        self.update_lines()
        return True

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

    # ---- networks ---------------------------------------------------------------------------------------------------

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

    def action_scores(self) -> None:
        self._show_scores = not self._show_scores
        self._trace()
        self.rebuild()

    def action_zoom_object(self) -> None:
        assert self._desk is not None
        item = self._desk.find(self._desk.current)
        if item is not None:
            self.canvas.zoom_to(item.geometry.bounds)

    def action_accept_everywhere(self) -> None:
        from mia_tui.widgets.choose import AskScreen

        hint = "Accepts every pending object with this score or more, on all images. u takes it back image by image."
        title = f"Accept all of {self._model} with a score of at least"
        self.app.push_screen(AskScreen(title, "0.9", hint, _wrong_score), self._accept_everywhere)

    def _accept_everywhere(self, score: str | None) -> None:
        if score is not None:
            self.run_worker(self._accept_above(score), group="label-everywhere")

    async def _accept_above(self, score: str) -> None:
        """The frame on the desk is closed for it, as the others are, and read again."""
        from mia_tui.labeling.review import accept_all

        assert self._model is not None
        model = self._model
        await self._close_desk()
        try:
            report = await asyncio.to_thread(accept_all, self.project, model, f"score>={score}")
        except MiaError as error:
            self.say(str(error), "error")
        else:
            totals = report.totals
            frames = sum(1 for counts in report.frames if counts.accepted)
            left = f", {totals['overlapping']} left because they overlap labels" if totals["overlapping"] else ""
            self.say(f"Accepted {totals['accepted']} objects on {frames} frames{left}.")
            for problem in report.problems[:3]:
                self.say(problem, "error")
        self._go(self._at, self._t, self._z)

    async def action_model(self) -> None:
        from mia_tui.widgets.choose import ChooseScreen

        models = await asyncio.to_thread(models_with_predictions, self.project)
        if not models:
            raise MiaError(NOTHING_PREDICTED)
        options = [(name, name) for name in models] + [("", "no predictions")]
        self.app.push_screen(ChooseScreen("Work on the predictions of", options, self._model or ""), self._use_model)

    def _use_model(self, name: str | None) -> None:
        if name is not None and self._refs:
            self._model = name or None
            self._go(self._at, self._t, self._z)
