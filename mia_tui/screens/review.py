"""Reviewing a model's predictions over the image: accept, reject, next doubtful. Every decision is saved at once."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.css.query import NoMatches
from textual.widgets import Static

from mia_tui.errors import MiaError
from mia_tui.keymap import Action
from mia_tui.screens.image_screen import LOOK_ACTIONS, VIEW_ACTIONS, ImageScreen
from mia_tui.screens.image_tree import models_with_predictions
from mia_tui.screens.review_text import object_text, progress_text
from mia_tui.widgets.canvas import ImageCanvas
from mia_tui.widgets.choose import AskScreen, ChooseScreen

if TYPE_CHECKING:
    from mia_tui.labeling.review import AcceptReport, ReviewState
    from mia_tui.screens.frames import FrameRequest, Overlay, ShownFrame
    from mia_tui.screens.review_desk import Decision, Place, ReviewDesk

NOTHING_YET = (
    "No model has predicted anything yet.\n"
    "Train a model on the training screen (g t), then press P among the images (g i)."
)


class ReviewScreen(ImageScreen):
    """The predicted objects of one frame; the chosen one is bright and stands in brackets."""

    HEADING = "Review"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("accept", "y,enter", "Accept", "Decide", show=True, more="Accept the object"),
        Action("reject", "x", "Reject", "Decide", show=True, more="Reject the object"),
        Action("next", "n", "Next doubtful", "Decide", show=True, more="Next doubtful object"),
        Action("previous", "p", "Previous", "Decide", show=True, more="Previous doubtful object"),
        Action("undo", "u", "Undo", "Decide", show=True, more="Undo the last decision"),
        Action("redo", "U,ctrl+r", "Redo", "Decide"),
        Action(
            "accept_frame", "A", "Accept all in frame", "Decide", show=True, more="Accept all pending in this frame"
        ),
        Action("accept_score", "S", "Accept all frames above a score", "Decide"),
        Action("next_frame", "N,pagedown", "Next predicted frame", "Frames", method="step_frame", args=(1,)),
        Action("previous_frame", "P,pageup", "Previous predicted frame", "Frames", method="step_frame", args=(-1,)),
        Action("model", "M", "Choose the model to review", "Frames"),
        Action("labels", "o", "Other labels on or off", "Overlays"),
        Action("predictions", "d", "Predictions on or off", "Overlays"),
        Action("scores", "number_sign", "Scores on or off", "Overlays"),
        *LOOK_ACTIONS,
        *VIEW_ACTIONS,
    )
    DECIDING: ClassVar[frozenset[str]] = frozenset({"accept", "reject"})
    NEEDS_PLACE: ClassVar[frozenset[str]] = frozenset(
        {"next", "previous", "undo", "redo", "accept_frame", "accept_score", "next_frame", "previous_frame"}
    )

    def __init__(self) -> None:
        super().__init__()
        self._desk: ReviewDesk | None = None
        self._places: list[Place] = []
        self._at = 0
        self._state: ReviewState | None = None
        self._current: int | None = None
        self._from_end = False
        self._overlay: Overlay | None = None
        self._others: Overlay | None = None
        self._models: list[str] = []
        self._wanted: str | None = None
        self._show_labels = self._show_predictions = True
        self._show_scores = False
        self._jobs: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
        self._working = False

    def compose_body(self) -> ComposeResult:
        yield Static(id="info", classes="line", markup=False)
        yield ImageCanvas("Looking for predictions …")
        yield Static(id="object", classes="line")
        yield Static(id="progress", classes="line")

    def on_mount(self) -> None:
        self.canvas.focus()

    def enter(self, *_args: Any, **context: Any) -> None:
        """`model`: review the predictions of this model."""
        self._wanted = context.get("model", self._wanted)
        if self._models:
            self._open_model()

    def on_screen_resume(self) -> None:
        self._do(lambda: models_with_predictions(self.project), self._found_models)

    async def settle(self) -> None:
        """Wait until every decision is on disk."""
        while self._working:
            await asyncio.sleep(0.01)
        if self._desk is not None:
            await asyncio.to_thread(self._desk.close)

    def on_screen_suspend(self) -> None:
        if self._desk is not None:
            self._do(self._desk.close, lambda _: None)

    async def on_unmount(self) -> None:
        if self._desk is not None:
            await asyncio.to_thread(self._desk.close)

    # ---- work in order ----------------------------------------------------------------------------------------------

    def _do(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Run `job` in a thread after those asked for before, then `done` with its result."""
        self._jobs.append((job, done))
        if not self._working:
            self._working = True
            self.app.run_worker(self._work(), group="review")

    async def _work(self) -> None:
        try:
            while self._jobs:
                job, done = self._jobs[0]
                try:
                    result = await asyncio.to_thread(job)
                except MiaError as error:
                    self._jobs.pop(0)
                    self._failed(error)
                else:
                    self._jobs.pop(0)
                    done(result)
        finally:
            self._working = False
            self.update_lines()

    def _failed(self, error: MiaError) -> None:
        """Say it, and show what is on disk instead of what was hoped for."""
        self.say(str(error), "error")
        if self._state is not None:
            self._reread()

    # ---- model and frame --------------------------------------------------------------------------------------------

    @property
    def _place(self) -> "Place | None":
        return self._places[self._at] if self._places else None

    def _found_models(self, models: list[str]) -> None:
        self._models = models
        if not models:
            self.canvas.set_hint(NOTHING_YET)
            self.update_lines()
            self.refresh_bindings()
            return
        self._open_model()

    def _open_model(self) -> None:
        """Review the wanted model, else go on with the present one, else the newest."""
        present = self._desk.model if self._desk is not None else None
        model = next(name for name in (self._wanted, present, self._models[0]) if name in self._models)
        if model != present or self._desk is None or self._desk.project != self.project:
            self._do(lambda: self._start(model), self._started)
        else:
            self._do(self._desk.places, self._relisted)

    def _start(self, model: str) -> tuple["ReviewDesk", list["Place"], int | None]:
        from mia_tui.screens.review_desk import ReviewDesk

        if self._desk is not None:
            self._desk.close()
        desk = ReviewDesk(self.project, model)
        places = desk.places()
        return desk, places, desk.next_pending(places, 0, 1)

    def _started(self, found: tuple["ReviewDesk", list["Place"], int | None]) -> None:
        self._desk, self._places, first = found
        if not self._places:
            self.canvas.set_hint(f"Model {self._desk.model} has no predictions. Press M for another model.")
        else:
            self._go(first or 0)

    def _relisted(self, places: list["Place"]) -> None:
        here = self._place
        self._places = places
        if places:
            self._go(places.index(here) if here in places else 0)

    def _go(self, index: int, *, from_end: bool = False) -> None:
        """Show a predicted frame; its image and its review are read in threads."""
        from mia_tui.project import parse_frame

        self._at, self._from_end = index, from_end
        self._state = self._current = self._overlay = self._others = None
        place = self._places[index]
        assert self._desk is not None
        self.canvas.set_hint(f"Reading {place.key} …")
        self.ask(place.key, *parse_frame(place.frame), self._desk.model)

    def frame_shown(self, shown: "ShownFrame") -> None:
        desk, place = self._desk, self._place
        if desk is None or place is None or (shown.request.key, shown.name) != (place.key, place.frame):
            return
        self._overlay = shown.predictions
        self._do(lambda: desk.state(place), lambda state: self._take(place, state))

    def frame_failed(self, request: "FrameRequest", error: MiaError) -> None:
        self._state = self._current = self._overlay = self._others = None

    def _take(self, place: "Place", state: "ReviewState") -> None:
        """Show the state that was read or written; while decisions wait, what they will make of it stays shown."""
        if place != self._place or self._jobs or self._overlay is None:  # without the picture it comes once more
            return
        before, self._state = self._state, state
        back = [n for n in state.pending if before is not None and n not in before.pending]
        chosen = self._current
        if back:  # an undo or a failure gave it back: show it
            self._current = back[0]
        elif self._current not in state.predictions.objects:
            self._current = state.pending[-1 if self._from_end else 0] if state.pending else None
        self.rebuild()
        if back or self._current != chosen:  # after the picture is there: a new one puts the cursor in its middle
            self._reveal()
        self.refresh_bindings()

    def _reread(self) -> None:
        """Show the review of this frame as it is on disk."""
        desk, place = self._desk, self._place
        if desk is not None and place is not None:
            self._do(lambda: desk.state(place), lambda state: self._take(place, state))

    def _reveal(self) -> None:
        overlay = self._overlay
        if overlay is not None and self._current in overlay.ids:
            self.canvas.reveal(overlay.outlines.boxes[overlay.ids.index(self._current)].tolist())

    # ---- picture ----------------------------------------------------------------------------------------------------

    def scene_parts(self, shown: "ShownFrame") -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[float, ...] | None]:
        from mia_tui.screens.frames import class_colors, layer_of
        from mia_tui.screens.review_picture import box_of, other_labels, prediction_layer, signs

        overlay, state = self._overlay, self._state
        if overlay is None or state is None:
            return (), (), None
        colors = class_colors(self.project)
        layers: list[Any] = []
        if self._show_labels:
            self._others = other_labels(state, self._others)
            layers.append(layer_of(self._others, colors, dashed=False))
        if not self._show_predictions:
            return tuple(layers), (), None
        layers.append(prediction_layer(overlay, state, colors, self._current))
        return tuple(layers), signs(overlay, state, scores=self._show_scores), box_of(overlay, self._current)

    def update_lines(self) -> None:
        try:
            info = self.query_one("#info", Static)
            info.update(self.info_text(info.content_size.width))
            self.query_one("#object", Static).update(object_text(self._state, self._current, self.canvas.scale_text))
            self.query_one("#progress", Static).update(progress_text(self._state, len(self._jobs)))
        except NoMatches:  # the screen is being closed
            return
        if self._desk is not None and self._places:
            self.set_title_note(f"{self._desk.model}   frame {self._at + 1}/{len(self._places)}")

    # ---- actions ----------------------------------------------------------------------------------------------------

    def disabled_reason(self, action_id: str) -> str | None:
        if action_id == "model" and not self._models:
            return "No model has predicted anything yet."
        if action_id in self.NEEDS_PLACE | self.DECIDING and not self._places:
            return "No predictions to review yet. Train (g t), then predict with P among the images (g i)."
        if action_id in self.DECIDING and self._current is None:
            return "No object is chosen. n goes to the next doubtful one."
        if action_id == "accept_frame" and (self._state is None or not self._state.pending):
            return "Nothing is pending in this frame. N goes to the next one."
        return super().disabled_reason(action_id)

    def action_accept(self) -> None:
        self._decide(accept=True)

    def action_reject(self) -> None:
        self._decide(accept=False)

    def _decide(self, *, accept: bool) -> None:
        """Decide on the current object: shown at once, written in the background, the next doubtful one is chosen."""
        from dataclasses import replace

        desk, place, state, number = self._desk, self._place, self._state, self._current
        if desk is None or place is None or state is None or number is None:
            return
        at = state.pending.index(number) if number in state.pending else 0
        pending = tuple(other for other in state.pending if other != number)
        accepted = {key: value for key, value in state.accepted.items() if key != number}
        if accept:
            accepted[number] = 0
        rejected = state.rejected - {number} if accept else state.rejected | {number}
        self._state = replace(state, pending=pending, accepted=accepted, rejected=rejected)
        self._current = pending[min(at, len(pending) - 1)] if pending else None
        act = desk.accept if accept else desk.reject
        self._do(lambda: act(place, [number]), lambda new: self._take(place, new))
        self._reveal()
        self.rebuild()

    def action_next(self) -> None:
        self._walk(1)

    def action_previous(self) -> None:
        self._walk(-1)

    def _walk(self, step: int) -> None:
        """To the next or previous pending object by score; past the last one to the next frame with pending ones."""
        desk, state = self._desk, self._state
        if state is None or desk is None:
            return
        at = state.pending.index(self._current) if self._current in state.pending else (-1 if step > 0 else 0)
        if state.pending and 0 <= at + step < len(state.pending):
            self._current = state.pending[at + step]
            self._reveal()
            self.rebuild()
            return
        places, start = self._places, self._at + step
        self._do(lambda: desk.next_pending(places, start, step), lambda index: self._arrive(index, step))

    def _arrive(self, index: int | None, step: int) -> None:
        if index is None:
            self.say(f"Nothing is pending in {'later' if step > 0 else 'earlier'} frames.")
            self._reread()
        else:
            self._go(index, from_end=step < 0)

    def step_frame(self, step: int) -> None:
        index = self._at + step
        if 0 <= index < len(self._places):
            self._go(index)
        else:
            self.say("This is the last predicted frame." if step > 0 else "This is the first predicted frame.")

    def action_undo(self) -> None:
        self._step_back(redo=False)

    def action_redo(self) -> None:
        self._step_back(redo=True)

    def _step_back(self, *, redo: bool) -> None:
        desk, place = self._desk, self._place
        if desk is not None and place is not None:
            act = desk.redo if redo else desk.undo
            self._do(lambda: act(place), lambda decision: self._stepped(decision, redo))

    def _stepped(self, decision: "Decision | None", redo: bool) -> None:
        if decision is None:
            self.say("Nothing to redo." if redo else "Nothing to undo on this frame.")
            return
        self.say(f"{'Done again' if redo else 'Taken back'}: {decision.text}.")
        place = decision.place
        if place != self._place and place in self._places:
            self._go(self._places.index(place))
        else:
            self._reread()

    def action_accept_frame(self) -> None:
        desk, place = self._desk, self._place
        if desk is not None and place is not None:
            self._do(lambda: desk.accept_frame(place), lambda found: self._frame_accepted(place, *found))

    def _frame_accepted(self, place: "Place", state: "ReviewState", left: int) -> None:
        self._current = None
        self._take(place, state)
        if left:
            self.say(f"{left} left pending: they overlap a label that is there already.")

    def action_accept_score(self) -> None:
        from mia_tui.labeling.review import parse_rule

        def wrong(text: str) -> str | None:
            try:
                parse_rule(f"score>={text}")
            except MiaError:
                return f"{text or 'nothing'} is no score: give a number from 0 to 1"
            return None

        hint = "Accepts every pending object with this score or more, on all frames. u takes it back frame by frame."
        self.app.push_screen(AskScreen("Accept all with a score of at least", "0.9", hint, wrong), self._accept_above)

    def _accept_above(self, score: str | None) -> None:
        desk = self._desk
        if score is not None and desk is not None:
            self._do(lambda: desk.accept_all(f"score>={score}"), self._accepted_above)

    def _accepted_above(self, report: "AcceptReport") -> None:
        totals = report.totals
        frames = sum(1 for counts in report.frames if counts.accepted)
        left = f", {totals['overlapping']} left because they overlap labels" if totals["overlapping"] else ""
        self.say(f"Accepted {totals['accepted']} objects on {frames} frames{left}.")
        for problem in report.problems[:3]:
            self.say(problem, "error")
        self._current = None
        self._reread()

    def action_model(self) -> None:
        options = [(name, name) for name in self._models]
        current = None if self._desk is None else self._desk.model
        self.app.push_screen(ChooseScreen("Review the predictions of", options, current), self._use_model)

    def _use_model(self, name: str | None) -> None:
        if name is not None:
            self._wanted = name
            self._open_model()

    def action_labels(self) -> None:
        self._show_labels = not self._show_labels
        self.rebuild()

    def action_predictions(self) -> None:
        self._show_predictions = not self._show_predictions
        self.rebuild()

    def action_scores(self) -> None:
        self._show_scores = not self._show_scores
        self.rebuild()
