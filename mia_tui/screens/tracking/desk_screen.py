"""A screen with the track desk: a sequence is opened on it, frames follow it, keys go to it in their order."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.events import Key
from textual.timer import Timer

from mia_tui.errors import MiaError
from mia_tui.screens.image_screen import ImageScreen
from mia_tui.screens.tracking.choices import Choice, best_choice, find_choices
from mia_tui.widgets.actions import COMMON
from mia_tui.widgets.canvas.widget import ImageCanvas

if TYPE_CHECKING:
    from mia_tui.screens.frames import FrameRequest, Overlay, ShownFrame
    from mia_tui.tracking.desk.desk import TrackDesk

COMMON_IDS = frozenset(action.id for action in COMMON)
TRAILS = (0, 3, 10, 30, 100)
"""Frames that trails reach back."""


class TrackDeskScreen(ImageScreen):
    """Puts a sequence on the desk and hands it the keys; a subclass says what else can be done."""

    def __init__(self) -> None:
        super().__init__()
        self._desk: TrackDesk | None = None
        self._choices: list[Choice] = []
        self._chosen: tuple[str, str] | None = None
        self._left = "", 0, 0
        """Sequence, frame and track that were looked at last."""
        self._queue: deque[Key] = deque()
        self._pumping = False
        self._turn = asyncio.Lock()
        self._opening = asyncio.Lock()
        self._timer: Timer | None = None
        self._asked: int | None = None
        self._frame = 0
        self._trail = 2
        self._show_numbers = self._show_outlines = True

    def on_mount(self) -> None:
        self.canvas.focus()

    # ---- opening ----------------------------------------------------------------------------------------------------

    def on_screen_resume(self) -> None:
        self.run_worker(self._start(), group="tracking-start")

    def on_screen_suspend(self) -> None:
        self._stop()
        if len(self.app.screen_stack) < 2:  # not for a dialogue on top
            self.run_worker(self._close(), group="tracking-close")

    async def settle(self) -> None:
        """Wait until every key typed so far is dealt with and the tracks are written."""
        while self._pumping or self._queue:
            await asyncio.sleep(0.01)
        await self._close(say=False)

    async def on_unmount(self) -> None:
        await self._close()

    async def _close(self, *, say: bool = True) -> None:
        """Write the tracks and let others correct them; what went wrong is said, the corrections are in the journal."""
        desk, self._desk = self._desk, None
        if desk is None:
            return
        self._left = desk.store.sequence.name, desk.frame, desk.track
        try:
            await self._in_turn(desk.store.close)
        except MiaError as error:
            if not say:
                raise
            self.say(str(error), "error")

    async def _in_turn(self, do: Callable[[], Any]) -> Any:
        """Run something of the desk in a thread: one thing at a time, in order."""
        async with self._turn:
            return await asyncio.shield(asyncio.to_thread(do))

    async def _start(self) -> None:
        async with self._opening:  # two wishes to open are one: the second finds it open
            if self._desk is not None:
                self.rebuild()
            else:
                await self._find_and_open()

    async def _find_and_open(self) -> None:
        try:
            self._choices = await asyncio.to_thread(find_choices, self.project)
        except MiaError as error:
            self._show_nothing(str(error))
            return
        if not self._choices:
            self._show_nothing(
                "Nothing can be tracked yet: it takes a stack in time, or a folder of frames,\n"
                "with labels (g l) or predictions (P on the images screen) on it."
            )
            return
        await self._open(self._best())

    def _best(self) -> Choice:
        return best_choice(self._choices, self._chosen, self.host.at_hand)

    async def _open_again(self) -> None:
        """What was open, as it is on disk now."""
        self._choices = await asyncio.to_thread(find_choices, self.project)
        again = next((c for c in self._choices if (c.sequence.name, c.source) == self._chosen), None)
        if again is not None:
            await self._open(again)

    async def _open(self, choice: Choice) -> None:
        """Open the tracks of a sequence, or say how to make them."""
        await self._close()
        self._chosen = choice.sequence.name, choice.source
        if not choice.tracked:
            doubt = "" if choice.sequence.series else "Their names do not say that these images follow each other.\n"
            self._show_nothing(
                f"{choice.sequence.name} has no tracks of {choice.source} yet.\n{doubt}"
                "ctrl+l links its objects.   S chooses another sequence."
            )
            return
        self.canvas.set_hint(f"Reading the tracks of {choice.sequence.name} …")
        try:
            desk = await self._in_turn(partial(self._make_desk, choice))
        except MiaError as error:
            self._show_nothing(str(error))
            return
        self._desk = desk
        for note in choice.sequence.notes:
            self.say(note, "warning")
        name, frame, track = self._left
        if name != choice.sequence.name:
            frame, track = 0, 0
        if self.host.at_hand is not None:  # where another screen was
            key, t, _ = self.host.at_hand
            frame = next((i for i, m in enumerate(choice.sequence.moments) if m and (m.key, m.t) == (key, t)), frame)
        desk.frame = min(frame, desk.frames - 1)
        desk.track = track if desk.book.exists(track) else 0
        self._ask_frame()
        self.refresh_bindings()
        self._pump()

    def _make_desk(self, choice: Choice) -> "TrackDesk":
        from mia_tui.labeling.lock import LockedError, UnlockableError
        from mia_tui.tracking.desk.desk import TrackDesk
        from mia_tui.tracking.store import TrackStore

        try:
            store = TrackStore(self.project, choice.sequence, choice.source)
        except (LockedError, UnlockableError):
            store = TrackStore(self.project, choice.sequence, choice.source, read_only=True)
        return TrackDesk(store, self.host.keymap, beside=self.actions())

    def _show_nothing(self, text: str) -> None:
        self.shown = None
        self.canvas.show(None)
        self.canvas.set_hint(text)
        self.update_lines()
        self.refresh_bindings()

    # ---- frames -----------------------------------------------------------------------------------------------------

    def _ask_frame(self) -> None:
        """Read the frame that the desk looks at; what lies over it changes when it is there."""
        desk = self._desk
        if desk is None or (self._asked == desk.frame and self.shown is not None and self.shown.z == desk.plane):
            return
        self._asked = desk.frame
        moment = desk.store.sequence.moments[desk.frame]
        if moment is None:
            self.shown, self._frame = None, desk.frame
            self.canvas.show(None)
            self.canvas.set_hint(f"Frame {desk.frame + 1} is not on disk.")
            self.update_lines()
            return
        self.host.at_hand = moment.key, moment.t, desk.plane
        kind, _, model = desk.store.source.partition(":")
        self.ask(moment.key, moment.t, desk.plane, model if kind == "predictions" else None)

    def frame_shown(self, shown: "ShownFrame") -> None:
        desk = self._desk
        if desk is None:
            return
        place = shown.request.key, shown.t
        moments = desk.store.sequence.moments
        self._frame = next((i for i, m in enumerate(moments) if m and (m.key, m.t) == place), desk.frame)

    def frame_failed(self, request: "FrameRequest", error: MiaError) -> None:
        self._stop()

    def _overlay(self, shown: "ShownFrame") -> "Overlay | None":
        desk = self._desk
        return None if desk is None else shown.labels if desk.store.source == "labels" else shown.predictions

    def scene_parts(self, shown: "ShownFrame") -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[float, ...] | None]:
        from mia_tui.screens.tracking.picture import marks_of, outlines_layer, trails_layer

        desk = self._desk
        if desk is None:
            return (), (), None
        overlay = self._overlay(shown)
        layers = [trails_layer(desk.book, self._frame, TRAILS[self._trail], desk.track)] if self._trail else []
        if overlay is not None and self._show_outlines:
            layers.append(outlines_layer(desk, overlay, self._frame, shown.z))
        numbers = self._show_numbers or bool(self.app.no_color)
        return tuple(layers), marks_of(desk, self._frame, self.canvas.view, numbers=numbers), self._box(desk, overlay)

    def _box(self, desk: "TrackDesk", overlay: "Overlay | None") -> tuple[float, ...] | None:
        """Around the object in hand."""
        row = desk.row
        if row is None or self._frame != desk.frame:
            return None
        number = int(desk.book.detections.object[row])
        if overlay is not None and number in overlay.ids:
            return tuple(overlay.outlines.boxes[overlay.ids.index(number)].tolist())
        y, x = desk.at(row)
        return x - 4, y - 4, x + 4, y + 4

    # ---- keys -------------------------------------------------------------------------------------------------------

    def on_key(self, event: Key) -> None:
        """All keys of desk and screen, one after another as they were typed."""
        desk = self._desk
        known = any(event.key in action.key_names for action in self.key_rows)
        if not (self._pumping or self._queue or known or (desk is not None and desk.knows(event.key))):
            return
        event.stop()
        event.prevent_default()
        self._queue.append(event)
        self._pump()

    def _pump(self) -> None:
        if not self._pumping and self._queue:
            self._pumping = True
            self.run_worker(self._work(), group="tracking-keys")

    async def _work(self) -> None:
        """Deal with the keys that wait; those behind one that leads elsewhere are for what comes then."""
        common: str | None = None
        try:
            while self._queue and common is None and self.app.screen is self:
                common = await self._take(self._queue.popleft().key)
        finally:
            self._pumping = False
        if common is not None:
            await super().perform(common)
        if self.app.screen is not self and self._queue:
            keys = [Key(event.key, event.character) for event in self._queue]
            self._queue.clear()
            self.app.screen.call_after_refresh(lambda: [self.app.post_message(key) for key in keys])
        self.refresh_bindings()
        self._pump()

    async def _take(self, key: str) -> str | None:
        """One key: the desk's in a thread, the screen's here. The id of an action of all screens is handed back."""
        desk = self._desk
        if desk is not None and desk.knows(key) and await self._at_desk(partial(desk.press, key)):
            return None
        action = next((a for a in self.key_rows if key in a.key_names), None)
        if action is None:
            return None
        if action.id in COMMON_IDS:
            return action.id
        await super().perform(action.id)
        return None

    async def perform(self, action_id: str) -> None:
        """An action of the desk (a click on the footer, the help, the palette) or of the screen."""
        from mia_tui.tracking.desk.rows import ROWS

        desk = self._desk
        if action_id in ROWS and action_id not in {action.id for action in self.key_rows}:
            if desk is None:
                self.say("No tracks are open: ctrl+l links the sequence.", "warning")
            else:
                await self._at_desk(partial(desk.perform, action_id))
                self.refresh_bindings()
            return
        await super().perform(action_id)

    async def _at_desk(self, do: Callable[[], Any]) -> Any:
        """Run something of the desk in a thread and show what has become of it."""
        desk = self._desk
        assert desk is not None
        if self.canvas.view is not None:
            desk.view = self.canvas.view
        made = desk.store.made
        result = await self._in_turn(do)
        if desk.store.made != made:
            self._stop()
        self._after(desk)
        return result

    def _after(self, desk: "TrackDesk") -> None:
        if desk.reveal is not None:
            y, x = desk.reveal
            desk.reveal = None
            self.canvas.reveal((x - 8, y - 8, x + 8, y + 8))
        self._ask_frame()
        if self._frame == desk.frame:
            self.rebuild()
        else:
            self.update_lines()

    def on_image_canvas_pointed(self, event: ImageCanvas.Pointed) -> None:
        """A click takes the nearest object in hand."""
        desk = self._desk
        if desk is None:
            return
        rows = desk.here()
        if len(rows):
            nearest = desk.nearest(rows, (event.y, event.x))[0]
            self.run_worker(self._at_desk(partial(desk.choose_row, nearest)), group="tracking-keys")

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
