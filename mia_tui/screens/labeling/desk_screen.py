"""A screen with the labelling desk: frames go on it in their order, keys in theirs, one thing at a time."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from rich.cells import cell_len
from textual.events import Key

from mia_tui.errors import MiaError
from mia_tui.project import ImageRef
from mia_tui.screens.image_screen import ImageScreen
from mia_tui.widgets.actions import COMMON
from mia_tui.widgets.canvas.widget import ImageCanvas

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk
    from mia_tui.screens.frames import FrameRequest, ShownFrame
    from mia_tui.screens.labeling.assistant import HelperAssistant
    from mia_tui.screens.labeling.picture import Overlays, Tracer

T = TypeVar("T")
BUSY_AFTER_S = 0.15
"""A key whose work takes longer than this is said to be worked on."""
LINE = 70
"""What is longer than this may not fit on the line of the desk."""
LEAVING = "Once more leaves the labelling."
"""What the first escape says that ends nothing else: one too many must not lead to another screen and its keys."""
LEAVE_S, SETTLE_S = 2.0, 5.0
"""How long keys wait for another screen to come, and quitting for an image that keys were typed ahead for."""
SAID_S = 8.0
"""How long the same notification is not shown again."""
COMMON_IDS = frozenset(action.id for action in COMMON)


def _frame_names(shown: "ShownFrame") -> list[str]:
    """All frames of the image, in time and then in depth."""
    from mia_tui.project import frame_name

    times, _, depths, *_ = shown.info.sizes
    return [frame_name(t, z, single=times * depths == 1) for z in range(depths) for t in range(times)]


class DeskScreen(ImageScreen):
    """Puts frames on the desk and hands it the keys; a subclass shows what comes of it."""

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
        """The frame that is to be on the desk and is not yet: being read, or being opened."""
        self._wish = 0
        """Counts the wishes for a frame: one that was opened for an older wish than the last is opened again."""
        self._trouble = ""
        self._said: dict[str, float] = {}
        self._stale = False
        self._warned = False
        """Whether the last key was one that would have left the labelling."""
        self._busy = ""
        self._show_labels = True
        self._show_scores = False
        self._tracer: Tracer | None = None
        self._overlays: Overlays | None = None
        self._from_end = False
        self._turn = asyncio.Lock()
        self._opening = asyncio.Lock()
        self._assistant: HelperAssistant | None = None
        self._dragged: tuple[tuple[float, float], ...] = ()

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
            self.run_worker(self._clear_desk(), group="label-close")

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

    async def _clear_desk(self) -> None:
        """Close the desk for good, behind an opening that is under way."""
        async with self._opening:
            await self._close_desk()

    async def _in_turn(self, do: Callable[[], T]) -> T:
        """Run something of the desk in a thread, when what runs there has ended: one thing at a time, in order."""
        async with self._turn:
            return await asyncio.shield(asyncio.to_thread(do))

    # ---- images ------------------------------------------------------------------------------------------------------

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
        async with self._opening, self._turn:  # an opening or closing that is under way has ended
            idle = desk.frame is None and (first or not self._loading)  # `enter` has not asked for a frame either
        if idle and not self._wanted:
            self._wanted = self._at_hand()
        if idle or self._wanted:
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

    def _go(self, index: int, t: int = 0, z: int = 0) -> None:
        """Read a frame and put it on the desk; keys that come before it is there wait."""
        self._at, self._t, self._z = index, t, z
        self._loading = True
        ref = self._refs[index]
        self.host.at_hand = ref.key, t, z
        self._awaited = ref.key, t, z
        self._wish += 1
        self.canvas.set_hint(f"Reading {ref.key} …")
        self.ask(ref.key, t, z, None)

    def frame_shown(self, shown: "ShownFrame") -> None:
        """It goes on the desk when it was waited for; with another contrast only, what is on the desk stays there."""
        request = shown.request
        place = request.key, request.t, request.z
        if self._awaited != place:
            open_frame = None if self._desk is None else self._desk.frame
            if self._loading or open_frame is None or open_frame.size == shown.pyramid.size:
                return
            self._awaited, self._loading = place, True  # the file has changed meanwhile
        self._t, self._z = shown.t, shown.z
        self.run_worker(self._put_on_desk(shown, place), group="label-open")

    async def _put_on_desk(self, shown: "ShownFrame", place: tuple[str, int, int]) -> None:
        """Open a frame that was read, one at a time, unless it is open or another one is awaited by now.

        The same frame may be read twice in a row, and be wanted anew while it is opened: the last reading of it is the
        one that counts, and keys wait until no wish is left.
        """
        async with self._opening:
            desk, wish = self._desk, self._wish
            if desk is None or shown is not self.shown or self._awaited != place:
                return
            await self._close_desk()
            try:
                await self._in_turn(partial(self._open_frame, desk, shown))
                self._trouble = ""
            except MiaError as error:
                self._trouble = str(error)
                self.say(self._trouble, "error")
            if wish != self._wish:
                return
            self._loading, self._awaited = False, None
        if desk.read_only:
            self.say(desk.read_only, "warning")
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
            self.run_worker(self._clear_desk(), group="label-close")
        self._queue.clear()

    # ---- keys --------------------------------------------------------------------------------------------------------

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
        warned, self._warned = self._warned, False
        if desk is not None and desk.knows(key):
            if desk.frame is None:
                self.say(self._trouble or "No image is open.", "warning")
                return None
            if await self._at_desk(lambda: desk.press(key)):
                return None
        action = next((a for a in self.key_rows if key in a.key_names), None)
        if action is None:
            return None
        if action.id == "back" and not warned and self._tell(LEAVING):
            self._warned = True
            return None
        if action.id in COMMON_IDS:
            return action.id
        count = 1 if desk is None else desk.take_count()
        for _ in range(count if action.group == "Cursor" else 1):
            await super().perform(action.id)
        if desk is not None and desk.mode is not None and desk.mode.follows and not self._queue:
            desk.cursor = self.canvas.cursor
            self.rebuild()
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

    # ---- what a subclass knows ---------------------------------------------------------------------------------------

    async def _review(self, model: str) -> None:
        """Work on the predictions of a model."""
        raise NotImplementedError

    async def _travel(self, way: int) -> None:
        """To the next (1) or previous (-1) frame with something pending."""
        raise NotImplementedError
