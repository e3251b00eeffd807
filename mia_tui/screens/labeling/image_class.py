"""Labelling whole images: a digit gives the class and shows the next image. Every decision is written at once."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.css.query import NoMatches

from mia_tui.errors import MiaError
from mia_tui.keymap import Action
from mia_tui.screens.image_screen import LOOK_ACTIONS, VIEW_ACTIONS, ImageScreen
from mia_tui.screens.labeling.class_text import class_line, counts_line, progress_line
from mia_tui.screens.labeling.pace import Pace
from mia_tui.widgets.canvas.widget import ImageCanvas
from mia_tui.widgets.choose import ChooseScreen
from mia_tui.widgets.in_order import InOrder
from mia_tui.widgets.line import Line
from mia_tui.widgets.newest import Newest

if TYPE_CHECKING:
    from mia_tui.labeling.objects import LabelObject
    from mia_tui.project import Project
    from mia_tui.screens.frames import FrameRequest, ShownFrame
    from mia_tui.screens.labeling.class_desk import ClassDesk, Listing, Outcome, Place
    from mia_tui.screens.labeling.contact_sheet import SheetScreen

DIGITS = "1234567890"
LOOKS = tuple(
    replace(action, keys=f"alt+{action.keys}") if action.id.startswith("channel") else action for action in LOOK_ACTIONS
)
"""The digits are classes here, so channels need alt."""


class ClassifyScreen(ImageScreen):
    """One image (frame) after the other, its class, and the model's opinion where there is one."""

    HEADING = "Label images"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        *(
            Action(
                f"class_{digit}", digit, f"Class of key {digit}, next image", "Class", method="choose", args=(digit,)
            )
            for digit in DIGITS
        ),
        Action("pick", "t", "Class from a list, next image", "Class"),
        Action("accept", "y,enter", "Accept", "Class", more="Accept the predicted class, next image"),
        Action("clear", "x,backspace", "Clear", "Class", show=True, more="Take the class away"),
        Action("undo", "u", "Undo", "Class", show=True, more="Undo, over all images and sessions"),
        Action("redo", "U,ctrl+r", "Redo", "Class"),
        Action("next", "n,space", "Next", "Images", show=True, more="Next image", method="step", args=(1,)),
        Action("previous", "p", "Previous", "Images", more="Previous image", method="step", args=(-1,)),
        Action("next_open", "N", "Next unlabelled", "Images", show=True, method="step_open", args=(1,)),
        Action("previous_open", "P", "Previous unlabelled", "Images", method="step_open", args=(-1,)),
        Action("folder", "F", "Folder", "Many", show=True, more="All unlabelled images of this folder: the last class"),
        Action("folder_all", "ctrl+f", "The same, replacing the classes that are there", "Many"),
        Action("stack", "S", "All unlabelled frames of this image: the last class", "Many"),
        Action("stack_all", "ctrl+s", "The same, replacing the classes that are there", "Many"),
        Action("sheet", "v", "Sheet", "Many", show=True, more="Contact sheet: many images at once"),
        Action("classes", "C", "Classes: names, colours, keys", "Project"),
        Action("model", "M", "Choose the model whose predictions are shown", "Project"),
        Action("refresh", "R", "Read images, labels and predictions again", "Project"),
        *LOOKS,
        *VIEW_ACTIONS,
    )
    NEEDS_PLACE: ClassVar[frozenset[str]] = frozenset(
        {f"class_{digit}" for digit in DIGITS}
        | {"pick", "accept", "clear", "undo", "redo", "next", "previous", "next_open", "previous_open"}
        | {"folder", "folder_all", "stack", "stack_all", "sheet"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.pace = Pace()
        self.places: tuple[Place, ...] = ()
        self.labels: dict[Place, str | None] = {}
        self.predictions: dict[Place, LabelObject] = {}
        self.sticky: str | None = None
        self._desk: ClassDesk | None = None
        self._at = 0
        self._model: str | None = None
        self._models: list[str] = []
        self._locked = False
        self._keys: dict[str, str] = {}
        self._sheet: SheetScreen | None = None
        self._border: tuple[Any, tuple[Any, ...]] | None = None
        self._wanted: str | None = None

    def compose_body(self) -> ComposeResult:
        yield Line(id="info", classes="line", markup=False)
        yield ImageCanvas("Looking for images …")
        yield Line(id="class", classes="line")
        yield Line(id="counts", classes="line")
        yield Line(id="progress", classes="line")

    def on_mount(self) -> None:
        self.work = InOrder(self.app, self._failed, self.update_lines)
        self._lock_watch = Newest(self, lambda place: self.desk.is_locked(place), self._lock_seen)
        self.canvas.focus()
        self.canvas.show_cursor = False

    def enter(self, *_args: Any, **context: Any) -> None:
        """`key`: show this image; `model`: with its predictions ("": the newest). What is on disk is read again."""
        self._wanted = context.get("key", self._wanted)
        if "model" in context:
            self._model = context["model"] or None
        if self._desk is not None:
            self.action_refresh()

    def on_screen_resume(self) -> None:
        if self._desk is None or self._desk.project != self.project:
            self.call_after_refresh(self.action_refresh)

    async def settle(self) -> None:
        """Wait until every decision is on disk."""
        await self.work.settle()

    # ---- what there is ----------------------------------------------------------------------------------------------

    @property
    def desk(self) -> "ClassDesk":
        assert self._desk is not None
        return self._desk

    @property
    def place(self) -> "Place | None":
        return self.places[self._at] if self._at < len(self.places) else None

    def action_refresh(self) -> None:
        self.work.do(self._read_project, self._listed, writes=False)

    def _read_project(self) -> "tuple[ClassDesk, Listing, list[str]]":
        from mia_tui.labeling.opening import open_project
        from mia_tui.screens.image_tree import models_with_predictions
        from mia_tui.screens.labeling.class_desk import ClassDesk

        project = open_project(self.project.folder)
        models = models_with_predictions(project)
        model = self._model if self._model in models else (models[0] if models else None)
        desk = ClassDesk(project, model)
        return desk, desk.read(self._looked_at), models

    def _looked_at(self, number: int) -> None:
        if number % 50 == 0 and number:
            self.app.call_from_thread(self.canvas.set_hint, f"Looking through the images: {number} …")

    def _listed(self, found: "tuple[ClassDesk, Listing, list[str]]") -> None:
        desk, listing, self._models = found
        here = self.place
        self._desk, self.host.project, self._model = desk, desk.project, desk.model
        self.places, self.labels, self.predictions = listing.places, dict(listing.classes), listing.predictions
        for problem in listing.problems[:2]:
            self.say(problem, "error")
        if self.sticky not in {c.name for c in self.project.classes}:
            self.sticky = None
        self._keys = {c.key: c.name for c in self.project.classes if c.key}
        if not self.places:
            roots = ", ".join(str(root) for root in self.project.roots.values())
            self.canvas.set_hint(f"No images in {roots}.\nPut TIFF, PNG, JPEG or BMP files there and press R.")
            self.update_lines()
            self.refresh_bindings()
            return
        self._show(self._first(here))

    def _first(self, here: "Place | None") -> int:
        """The wanted image, else the present one, else the first without a class."""
        wanted, self._wanted = self._wanted, None
        for index, place in enumerate(self.places):
            if place.key == wanted or (wanted is None and place == here):
                return index
        return next((i for i, place in enumerate(self.places) if self.labels.get(place) is None), 0)

    def _failed(self, error: MiaError) -> None:
        self.say(str(error), "error")
        if self._desk is None:
            self.canvas.set_hint(str(error))

    # ---- one image --------------------------------------------------------------------------------------------------

    def _show(self, index: int) -> None:
        self._at, self._locked = index, False
        place = self.places[index]
        self.canvas.set_hint(f"Reading {place} …")
        self.ask(place.key, *place.plane, None)
        self.update_lines()

    def show_place(self, place: "Place") -> None:
        """Go to a frame, where it exists."""
        if place in self.places:
            self._show(self.places.index(place))

    def step(self, step: int) -> None:
        if 0 <= self._at + step < len(self.places):
            self._show(self._at + step)
        else:
            self.say("This is the last image." if step > 0 else "This is the first image.")

    def step_open(self, step: int) -> None:
        """To the next image without a class in this direction."""
        index = self._at + step
        while 0 <= index < len(self.places):
            if self.labels.get(self.places[index]) is None:
                self._show(index)
                return
            index += step
        self.say(f"No {'later' if step > 0 else 'earlier'} image is unlabelled.")

    def frame_shown(self, shown: "ShownFrame") -> None:
        place = self.place
        if place is not None and (shown.request.key, shown.name) == (place.key, place.frame):
            self._lock_watch.ask(place)

    def _lock_seen(self, place: "Place", locked: bool) -> None:
        if place == self.place:
            self._locked = locked
            self.update_lines()

    def frame_failed(self, request: "FrameRequest", error: MiaError) -> None:
        self._locked = False

    def scene_parts(self, shown: "ShownFrame") -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[float, ...] | None]:
        from mia_tui.screens.labeling.class_picture import border

        place = self.place
        if place is None or (shown.request.key, shown.name) != (place.key, place.frame):
            return (), (), None
        size, label, predicted = shown.pyramid.size, self.labels.get(place), self.predictions.get(place)
        name = label or (predicted.label_class if predicted is not None else None)
        key = (size, name, label is None, self.project.classes)
        if self._border is None or self._border[0] != key:  # the same object while it is the same: not painted again
            self._border = key, border(size, self.project, name, dashed=label is None)
        return self._border[1], (), None

    def update_lines(self) -> None:
        try:
            info = self.query_one("#info", Line)
            info.update(self.info_text(info.content_size.width))
            place, project = self.place, self.project
            predicted = self.predictions.get(place) if place is not None else None
            label = self.labels.get(place) if place is not None else None
            self.query_one("#class", Line).update(class_line(project, place, label, predicted, self._locked))
            self.query_one("#counts", Line).update(counts_line(project, self.labels.values()))
            pace = self.pace.text("image")
            self.query_one("#progress", Line).update(
                progress_line(self.labels.values(), self.work.unsaved, pace, self.sticky)
            )
        except (NoMatches, MiaError):  # the screen is being closed
            return
        if self.places:
            model = f"{self._model}   " if self._model else ""
            self.set_title_note(f"{model}image {self._at + 1}/{len(self.places)}")

    # ---- deciding ---------------------------------------------------------------------------------------------------

    async def perform(self, action_id: str) -> None:
        self.pace.key(time.monotonic())
        await super().perform(action_id)

    def disabled_reason(self, action_id: str) -> str | None:
        if action_id in self.NEEDS_PLACE and not self.places:
            return "The project has no images yet." if self._desk is not None else "The images are still being read."
        if action_id.startswith("class_") and action_id[-1] not in self._keys:
            return f"No class has the key {action_id[-1]}. C shows and changes the classes."
        if action_id == "accept" and (self.place is None or self.place not in self.predictions):
            return "No model has predicted this image."
        if action_id == "model" and not self._models:
            return "No model has predicted anything yet."
        if action_id in ("folder", "folder_all", "stack", "stack_all") and self.sticky is None:
            return "Which class? Give it to one image first (a digit)."
        return super().disabled_reason(action_id)

    def help_rows(self) -> list[tuple[Action, str | None]]:
        """The digits that classes have, with their names."""
        rows = [row for row in super().help_rows() if row[0].id.startswith("class_") is False or row[1] is None]
        return [
            (replace(a, more=f"{self._keys[a.id[-1]]}, next image") if a.id.startswith("class_") else a, why)
            for a, why in rows
        ]

    def choose(self, digit: str) -> None:
        """The class with this key, and the next image."""
        self._classify(self._keys[digit])

    def action_pick(self) -> None:
        options = [(c.name, f"{c.key or ' '} {c.name}") for c in self.project.classes]
        self.app.push_screen(ChooseScreen("Class of this image", options, self.sticky), self._picked)

    def _picked(self, name: str | None) -> None:
        if name is not None:
            self._classify(name)

    def action_accept(self) -> None:
        assert self.place is not None
        self._classify(self.predictions[self.place].label_class)

    def _classify(self, name: str) -> None:
        place = self.place
        assert place is not None
        if all(c.name != name for c in self.project.classes):
            raise MiaError(f"The project has no class {name}, which the model predicts. C adds it.")
        self.sticky = name
        self.decide([place], name)
        if self._at + 1 < len(self.places):
            self._show(self._at + 1)
        else:
            self.rebuild()
            self.say("This was the last image. N goes to unlabelled ones.")

    def decide(self, places: "Sequence[Place]", name: str, text: str = "") -> None:
        """Give frames a class: shown at once, written in the background."""
        desk, places = self.desk, list(places)
        seen = {place: self.predictions[place] for place in places if place in self.predictions}
        self.labels.update(dict.fromkeys(places, name))
        self.pace.labelled(len(places))
        self.work.do(lambda: desk.classify(places, name, seen, text), self._written)

    def _written(self, outcome: "Outcome") -> None:
        """What the disk holds now. While other decisions wait, what they will make of it stays shown."""
        if not self.work.waiting or outcome.problems:
            self.labels.update({place: name for place, name in outcome.classes.items() if place in self.labels})
            self.rebuild()
        for problem in outcome.problems[:3]:
            self.say(problem, "error")
        if len(outcome.problems) > 3:
            self.say(f"... and {len(outcome.problems) - 3} more images.", "error")
        if self._sheet is not None:
            self._sheet.labels_changed()

    def action_clear(self) -> None:
        assert self.place is not None
        self.clear([self.place])

    def clear(self, places: "Sequence[Place]") -> None:
        """Take the class of frames away."""
        desk, places = self.desk, list(places)
        self.labels.update(dict.fromkeys(places))
        self.work.do(lambda: desk.clear(places), self._written)
        self.rebuild()

    def action_undo(self) -> None:
        self.work.do(self.desk.undo, partial(self._stepped, "Taken back"))

    def action_redo(self) -> None:
        self.work.do(self.desk.redo, partial(self._stepped, "Done again"))

    def _stepped(self, words: str, outcome: "Outcome | None") -> None:
        if outcome is None:
            self.say("Nothing to undo." if words == "Taken back" else "Nothing to redo.")
            return
        self._written(outcome)
        decision = outcome.decision
        if decision is not None and decision.edits:
            self.say(f"{words}: {decision.text}.")
            places = [place for place, _ in decision.edits]
            self.pace.labelled(-len(places) if words == "Taken back" else len(places))
            if len(places) == 1:
                self.show_place(places[0])
            if self._sheet is not None:
                self._sheet.taken_back(places)

    # ---- many images ------------------------------------------------------------------------------------------------

    def action_folder(self) -> None:
        assert self.place is not None
        self._many([p for p in self.places if p.folder == self.place.folder], replace_all=False)

    def action_folder_all(self) -> None:
        assert self.place is not None
        self._many([p for p in self.places if p.folder == self.place.folder], replace_all=True)

    def action_stack(self) -> None:
        assert self.place is not None
        self._many([p for p in self.places if p.key == self.place.key], replace_all=False)

    def action_stack_all(self) -> None:
        assert self.place is not None
        self._many([p for p in self.places if p.key == self.place.key], replace_all=True)

    def _many(self, places: "list[Place]", *, replace_all: bool) -> None:
        """Give all these frames the last class; asks nothing, because one undo takes it back."""
        name = self.sticky
        assert name is not None
        wanted = [p for p in places if self.labels.get(p) is None or (replace_all and self.labels[p] != name)]
        if not wanted:
            other = "" if replace_all else " ^f and ^s replace them."
            self.say(f"All {len(places)} have a class already.{other}")
            return
        self.decide(wanted, name)
        left = len(places) - len(wanted)
        self.say(f"{len(wanted)} images are {name}{f', {left} left as they were' if left else ''}. u takes it back.")
        self.rebuild()

    def action_sheet(self) -> None:
        from mia_tui.screens.labeling.contact_sheet import SheetScreen

        self._sheet = SheetScreen(self)
        self.app.push_screen(self._sheet, self._sheet_closed)

    def _sheet_closed(self, _result: None) -> None:
        self._sheet = None
        self.rebuild()

    # ---- project ----------------------------------------------------------------------------------------------------

    async def action_classes(self) -> None:
        from mia_tui.screens.classes import ClassesScreen

        await self.work.settle()  # a change of classes needs the locks of all frames
        key = None if self.place is None else self.place.key
        self.app.push_screen(ClassesScreen(key), self._classes_seen)

    def _classes_seen(self, project: "Project | None") -> None:
        if self._desk is not None and project == self._desk.project:  # labels may have changed all the same
            self.action_refresh()

    def action_model(self) -> None:
        options = [(name, name) for name in self._models]
        self.app.push_screen(ChooseScreen("Predictions of", options, self._model), self._use_model)

    def _use_model(self, name: str | None) -> None:
        if name is not None:
            self._model = name
            self.action_refresh()
