"""Labelling on predictions: from frame to frame with something pending, accept above a score, choose the model."""

import asyncio

from mia_tui.errors import MiaError
from mia_tui.screens.image_tree import models_with_predictions
from mia_tui.screens.labeling.desk_screen import DeskScreen

NOTHING_PREDICTED = "No model has predicted anything yet. Train (g t), then predict with P among the images (g i)."


def _wrong_score(text: str) -> str | None:
    from mia_tui.labeling.review import parse_rule

    try:
        parse_rule(f"score>={text}")
    except MiaError:
        return f"{text or 'nothing'} is no score: give a number from 0 to 1"
    return None


class PredictedScreen(DeskScreen):
    """What the labelling screen does with the predictions of a model."""

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
