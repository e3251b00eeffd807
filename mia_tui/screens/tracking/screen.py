"""The tracks of a sequence over its images. The desk (`tracking/desk`) takes the keys; this screen shows it."""

from dataclasses import replace
from functools import cached_property, partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.css.query import NoMatches
from textual.widgets import Static

from mia_tui.errors import MiaError
from mia_tui.keymap import Action
from mia_tui.screens.image_screen import LOOK_ACTIONS, VIEW_ACTIONS, look_beside_digits
from mia_tui.screens.tracking.desk_screen import TRAILS, TrackDeskScreen
from mia_tui.widgets.actions import MAX_FOOTER_KEYS
from mia_tui.widgets.canvas.widget import ImageCanvas
from mia_tui.widgets.line import Line

PLAY_S = 0.15
"""Between two frames while playing; a frame that is not there yet is waited for."""
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


class TrackingScreen(TrackDeskScreen):
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
        *(look_beside_digits(action, invert="alt+i") for action in LOOK_ACTIONS),
        *_view_rows(),
    )
    DEFAULT_CSS = """
    TrackingScreen #strip { height: 7; padding: 0 1; }
    TrackingScreen.-low #strip { height: 4; }
    TrackingScreen.-no-strip #strip { display: none; }
    """

    def compose_body(self) -> ComposeResult:
        yield Line(id="info", classes="line")
        yield ImageCanvas("Looking for sequences …")
        yield Static(id="strip")
        yield Line(id="choice", classes="line")
        yield Line(id="state", classes="line")
        yield Line(id="readout", classes="line")

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
        self.set_title_note(self.doing)
        if desk is None:
            for line in (info, state, strip, choice):
                line.update("")
            return
        info.update(info_text(desk, info.content_size.width))
        state.update(state_text(desk, state.content_size.width))
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
        if action_id in ("link", "motion", "export") and self.doing:
            return f"Wait until this is done: {self.doing}"
        if action_id.startswith("z_") and desk is not None and desk.store.sequence.planes == 1:
            return "This sequence has one z plane."
        return super().disabled_reason(action_id)

    # ---- actions ----------------------------------------------------------------------------------------------------

    def action_play(self) -> None:
        if self._timer is not None:
            self._stop()
        else:
            self._timer = self.set_interval(PLAY_S, self._tick)

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
        sequence, source = self._named()
        await self._close()
        command = ["track", str(self.project.folder), "--sequence", sequence, "--from", source, "--keep"]
        await self.run_beside(f"linking {sequence}", command, "The tracks are new.")
        await self._open_again()

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
        await self.run_beside(title, command, done)
        await self._open_again()
