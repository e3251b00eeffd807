"""The tracks of a sequence over its images. The desk (`tracking/desk`) takes the keys; this screen shows it."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.css.query import NoMatches
from textual.events import Key
from textual.timer import Timer
from textual.widgets import Static

from mia_tui.errors import MiaError
from mia_tui.keymap import Action
from mia_tui.screens.command import run_command
from mia_tui.screens.image_screen import LOOK_ACTIONS, VIEW_ACTIONS, ImageScreen
from mia_tui.widgets.actions import COMMON, MAX_FOOTER_KEYS
from mia_tui.widgets.canvas.widget import ImageCanvas
from mia_tui.widgets.line import Line

if TYPE_CHECKING:
    from mia_tui.screens.frames import FrameRequest, Overlay, ShownFrame
    from mia_tui.tracking.desk.desk import TrackDesk
    from mia_tui.tracking.sequence import Sequence

COMMON_IDS = frozenset(action.id for action in COMMON)
PLAY_S = 0.15
"""Between two frames while playing; a frame that is not there yet is waited for."""
TRAILS = (0, 3, 10, 30, 100)
"""Frames that trails reach back."""
EXPORTS = (
    ("ctc", "Cell Tracking Challenge: masks and res_track.txt"),
    ("napari", "napari: a table of tracks and a graph"),
    ("geff", "GEFF: a graph in zarr"),
)
FOOTERS = {
    "problem": ("enter", "aside", "next_problem", "undo", "swap", "cut", "join", "lock"),
    "track": ("reassign", "swap", "cut", "join", "divide", "fill", "delete", "undo"),
    "nothing": ("choose", "next_problem", "play", "find", "next_frame", "link", "sequence", "undo"),
}
"""Ids of the actions for the footer by what is in hand."""


def _view_rows() -> tuple[Action, ...]:
    """Zoom and pan: arrows are for time and lineage here, and `=` joins."""
    kept = (action for action in VIEW_ACTIONS if not action.id.startswith(("cursor_", "far_")))
    return tuple(replace(action, keys="plus") if action.id == "zoom_in" else action for action in kept)


def _look(action: Action) -> Action:
    """The look actions with keys that tracks do not need: digits choose candidates here."""
    keys = {"darker": "alt+comma", "brighter": "alt+full_stop", "channels_all": "alt+0", "invert": "alt+i"}
    if action.id.startswith("channel_"):
        return replace(action, keys=f"alt+{action.keys}")
    return replace(action, keys=keys.get(action.id, action.keys))


@dataclass(frozen=True)
class Choice:
    """A sequence and where its objects come from."""

    sequence: "Sequence"
    source: str
    tracked: bool

    @property
    def text(self) -> str:
        state = "tracked" if self.tracked else "not linked yet"
        return f"{self.sequence.name}   {len(self.sequence.moments)} frames   {self.source}   {state}"


class TrackingScreen(ImageScreen):
    """One sequence of the project with its tracks."""

    HEADING = "Tracks"
    NAME = "tracking"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("play", "space", "Play", "Time", more="Play the sequence, or stop"),
        Action("z_next", "pagedown", "Next z", "Time", method="step_z", args=(1,)),
        Action("z_previous", "pageup", "Previous z", "Time", method="step_z", args=(-1,)),
        Action("sequence", "S", "Sequence", "Sequence", more="Another sequence, or tracks of other objects"),
        Action("link", "ctrl+l", "Link", "Sequence", more="Find the tracks of the sequence; corrections are kept"),
        Action("problem_list", "P", "List of problems", "Problems"),
        Action("trail_shorter", "left_square_bracket", "Shorter trails", "View", method="step_trail", args=(-1,)),
        Action("trail_longer", "right_square_bracket", "Longer trails", "View", method="step_trail", args=(1,)),
        Action("numbers", "number_sign", "Numbers on or off", "View"),
        Action("outlines", "o", "Outlines on or off", "View"),
        Action("strip", "T", "Lineage on or off", "View"),
        Action("zoom_track", "Z", "Zoom to the track", "View"),
        Action("motion", "m", "Motion: tables and plots", "Do"),
        Action("export", "e", "Export the tracks", "Do"),
        *map(_look, LOOK_ACTIONS),
        *_view_rows(),
    )
    DEFAULT_CSS = """
    TrackingScreen #strip { height: 7; padding: 0 1; }
    TrackingScreen.-low #strip { height: 4; }
    TrackingScreen.-no-strip #strip { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._desk: TrackDesk | None = None
        self._choices: list[Choice] = []
        self._chosen: tuple[str, str] | None = None
        self._left = "", 0, 0
        """Sequence, frame and track that were looked at last."""
        self._queue: deque[Key] = deque()
        self._pumping = False
        self._busy = ""
        self._doing = ""
        self._turn = asyncio.Lock()
        self._opening = asyncio.Lock()
        self._timer: Timer | None = None
        self._asked: int | None = None
        self._frame = 0
        self._trail = 2
        self._show_numbers = self._show_outlines = True

    def compose_body(self) -> ComposeResult:
        yield Line(id="info", classes="line")
        yield ImageCanvas("Looking for sequences …")
        yield Static(id="strip")
        yield Line(id="choice", classes="line")
        yield Line(id="state", classes="line")
        yield Line(id="readout", classes="line")

    def on_mount(self) -> None:
        self.canvas.focus()

    @classmethod
    def every_row(cls) -> tuple[Action, ...]:
        """The rows of the desk and those of the screen."""
        from mia_tui.tracking.desk.rows import table

        return table() + cls.actions()

    @cached_property
    def key_rows(self) -> tuple[Action, ...]:
        """The rows of the screen itself, without the keys that the user gave to actions of the desk."""
        from mia_tui.tracking.desk.rows import table

        desk = table()
        return self.host.keymap.rows(self.NAME, (*desk, *self.actions()))[len(desk) :]

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
            self._choices = await asyncio.to_thread(self._find_choices)
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

    def _find_choices(self) -> list[Choice]:
        from mia_tui.tracking.sequence import find_sequences
        from mia_tui.tracking.store import tracks_path

        project = self.project
        models = sorted(p.name for p in (project.folder / "predictions").glob("*") if p.is_dir())
        sources = {"labels": project.folder / "labels"}
        sources |= {f"predictions:{name}": project.folder / "predictions" / name for name in models}
        return [
            Choice(sequence, source, tracks_path(project, sequence.name, source).exists())
            for sequence in find_sequences(project)
            for source, folder in sources.items()
            if any(moment is not None and (folder / moment.key).is_dir() for moment in sequence.moments)
        ]

    def _best(self) -> Choice:
        """The one that was open, else one with the image at hand, tracked if possible."""
        key = self.host.at_hand[0] if self.host.at_hand else None

        def fit(choice: Choice) -> tuple[bool, bool, bool, bool]:
            here = any(moment is not None and moment.key == key for moment in choice.sequence.moments)
            return (choice.sequence.name, choice.source) == self._chosen, here, choice.tracked, choice.sequence.series

        return max(self._choices, key=fit)

    async def _open(self, choice: Choice) -> None:
        """Open the tracks of a sequence, or say how to make them."""
        await self._close()
        self._chosen = choice.sequence.name, choice.source
        if not choice.tracked:
            self._show_nothing(
                f"{choice.sequence.name} has no tracks of {choice.source} yet.\n"
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
        if desk is None or (self._asked == desk.frame and self.shown is not None and self._plane_shown(desk)):
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

    def _plane_shown(self, desk: "TrackDesk") -> bool:
        return self.shown is None or self.shown.z == desk.plane

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

    # ---- lines ------------------------------------------------------------------------------------------------------

    def update_lines(self) -> None:
        from mia_tui.screens.tracking.texts import choice_text, info_text, state_text, strip_text

        try:
            info, state, strip = (self.query_one(f"#{name}", Static) for name in ("info", "state", "strip"))
            choice, readout = (self.query_one(f"#{name}", Static) for name in ("choice", "readout"))
        except NoMatches:  # the screen is being closed
            return
        desk = self._desk
        readout.update(self.readout())
        self.set_title_note(self._doing)
        if desk is None:
            for line in (info, state, strip, choice):
                line.update("")
            return
        info.update(info_text(desk, info.content_size.width))
        state.update(state_text(desk, state.content_size.width, self._busy))
        choice.update(choice_text(desk))
        strip.update(strip_text(desk, strip.content_size.width, strip.content_size.height))

    def footer_actions(self) -> list[Action]:
        """The keys that are wanted next."""
        own, desk = super().footer_actions(), self._desk
        if desk is None:
            rows = {action.id: action for action in self.key_rows}
            return [rows["link"], rows["sequence"], *own][:MAX_FOOTER_KEYS]
        if desk.mode is not None:
            return [Action("leave", "escape", "Leave", "General"), own[-1]]
        state = "problem" if desk.problem is not None else "track" if desk.track else "nothing"
        rows = {action.id: action for action in (*desk.actions, *self.key_rows) if action.keys}
        shown = [rows[name] for name in FOOTERS[state] if name in rows and self.disabled_reason(name) is None]
        return [*shown[: MAX_FOOTER_KEYS - 1], own[-1]]

    def help_rows(self) -> list[tuple[Action, str | None]]:
        """The rows of the desk before those of the screen."""
        desk = self._desk
        rows = [] if desk is None else [(action, desk.reason(action.id)) for action in desk.actions]
        return rows + super().help_rows()

    def disabled_reason(self, action_id: str) -> str | None:
        from mia_tui.tracking.desk.rows import ROWS

        desk = self._desk
        if action_id in ROWS:
            return "No tracks are open." if desk is None else desk.reason(action_id)
        if action_id in ("play", "problem_list", "motion", "export", "zoom_track") and desk is None:
            return "No tracks are open: ctrl+l links the sequence."
        if action_id in ("sequence", "link") and not self._choices:
            return "Nothing can be tracked yet: label or predict a stack or a folder of frames first."
        if action_id in ("link", "motion", "export") and self._doing:
            return f"Wait until this is done: {self._doing}"
        if action_id.startswith("z_") and desk is not None and desk.store.sequence.planes == 1:
            return "This sequence has one z plane."
        return super().disabled_reason(action_id)

    # ---- actions ----------------------------------------------------------------------------------------------------

    def action_play(self) -> None:
        if self._timer is not None:
            self._stop()
        else:
            self._timer = self.set_interval(PLAY_S, self._tick)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    async def _tick(self) -> None:
        """The next frame, when the last one is there; it stops at the end."""
        desk = self._desk
        if desk is None or desk.frame + 1 >= desk.frames:
            self._stop()
        elif self._frame == desk.frame and not self._pumping:
            await self._at_desk(partial(desk.go, desk.frame + 1))

    def step_z(self, step: int) -> None:
        desk = self._desk
        if desk is not None:
            desk.plane = min(max(desk.plane + step, 0), desk.store.sequence.planes - 1)
            self._asked = None
            self._ask_frame()

    def step_trail(self, step: int) -> None:
        self._trail = min(max(self._trail + step, 0), len(TRAILS) - 1)
        if self._desk is not None:
            self._desk.say(f"trails of {TRAILS[self._trail]} frames" if self._trail else "no trails")
        self.rebuild()

    def action_numbers(self) -> None:
        self._show_numbers = not self._show_numbers
        self.rebuild()

    def action_outlines(self) -> None:
        self._show_outlines = not self._show_outlines
        self.rebuild()

    def action_strip(self) -> None:
        self.toggle_class("-no-strip")
        self.call_after_refresh(self.rebuild)

    def action_zoom_track(self) -> None:
        desk = self._desk
        if desk is None or not desk.track:
            raise MiaError("No track is in hand: ' and its letters choose one.")
        places = desk.book.detections.position[desk.book.rows(desk.track), -2:]
        (top, left), (bottom, right) = places.min(0).tolist(), places.max(0).tolist()
        self.canvas.zoom_to((left - 20, top - 20, right + 20, bottom + 20))

    def action_problem_list(self) -> None:
        from mia_tui.widgets.choose import ChooseScreen

        desk = self._desk
        assert desk is not None
        listed = desk.problems.problems
        if not listed:
            raise MiaError("No problems are left.")
        options = [(str(i), f"frame {p.frame + 1:>4}   {p.text}") for i, p in enumerate(listed)]
        now = str(listed.index(desk.problem)) if desk.problem in listed else None
        self.app.push_screen(ChooseScreen("Problems", options, now), self._go_to_problem)

    def _go_to_problem(self, chosen: str | None) -> None:
        desk = self._desk
        if chosen is None or desk is None:
            return
        problem = desk.problems.problems[int(chosen)]
        self.run_worker(self._at_desk(partial(desk.look_at, problem)), group="tracking-keys")

    def action_sequence(self) -> None:
        from mia_tui.widgets.choose import ChooseScreen

        def chosen(index: str | None) -> None:
            if index is not None:
                self.run_worker(self._open(self._choices[int(index)]), group="tracking-start")

        options = [(str(i), choice.text) for i, choice in enumerate(self._choices)]
        now = next((str(i) for i, c in enumerate(self._choices) if (c.sequence.name, c.source) == self._chosen), None)
        self.app.push_screen(ChooseScreen("Tracks of", options, now), chosen)

    def action_link(self) -> None:
        self.run_worker(self._link(), group="tracking-link")

    async def _link(self) -> None:
        assert self._chosen is not None
        sequence, source = self._chosen
        await self._close()
        command = ["track", str(self.project.folder), "--sequence", sequence, "--from", source, "--keep"]
        if await self._run(f"linking {sequence}", command, "The tracks are new."):
            self._choices = await asyncio.to_thread(self._find_choices)
        await self._open(self._best())

    def action_motion(self) -> None:
        """Tables and plots into results/motion."""
        sequence, source = self._named()
        command = ["motion", str(self.project.folder), "--sequence", sequence, "--from", source]
        done = f"Motion is measured: {self.project.results_folder / 'motion'}. g m shows the tables."
        self.run_worker(self._run_reopening("measuring motion", command, done), group="tracking-command")

    def action_export(self) -> None:
        """Choose a format, then write into results."""
        from mia_tui.widgets.choose import ChooseScreen

        self.app.push_screen(ChooseScreen("Export the tracks as", EXPORTS), self._export)

    def _export(self, form: str | None) -> None:
        if form is None:
            return
        sequence, source = self._named()
        name = f"{form}-{source}-{sequence}".replace(":", "-").replace("/", "-")
        dest = self.project.results_folder / f"{name}{'.csv' if form == 'napari' else ''}"
        command = ["export", str(self.project.folder), str(dest), "--format", form, "--from", source]
        command += ["--sequence", sequence, *(["--replace"] if form != "napari" else [])]
        self.run_worker(
            self._run_reopening(f"exporting {form}", command, f"Exported to {dest}."), group="tracking-command"
        )

    def _named(self) -> tuple[str, str]:
        """Sequence and source of what is open, as commands take them."""
        assert self._chosen is not None
        return self._chosen

    async def _run_reopening(self, title: str, command: list[str], done: str) -> None:
        """The tracks are written and read again: the command sees every correction."""
        await self._close()
        await self._run(title, command, done)
        await self._open(self._best())

    async def _run(self, title: str, command: list[str], done: str) -> bool:
        """Run a command beside the screen and say what came of it."""
        self._doing = f"{title} …"
        self.update_lines()
        try:
            await run_command(command, self._on_line)
        except MiaError as error:
            self.say(str(error), "error")
            return False
        finally:
            self._doing = ""
            self.update_lines()
            self.refresh_bindings()
        self.say(done)
        return True

    def _on_line(self, line: str) -> None:
        self._doing = line[:60]
        self.update_lines()
