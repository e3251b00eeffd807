"""The images of a project: a tree, the image as cells, what lies over it, and what can be done with it."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.css.query import NoMatches
from textual.widgets import Static, Tree

from mia_tui.errors import MiaError
from mia_tui.keymap import Action
from mia_tui.project import ImageRef
from mia_tui.screens.image_screen import LOOK_ACTIONS, VIEW_ACTIONS, ImageScreen
from mia_tui.screens.image_tree import LABELLED, PREDICTED, ImageTree, Listing, list_images
from mia_tui.widgets.actions import WIDE
from mia_tui.widgets.canvas.widget import ImageCanvas
from mia_tui.widgets.line import Line
from mia_tui.widgets.newest import Newest

if TYPE_CHECKING:
    from mia_tui.screens.frames import FrameRequest, ShownFrame

EXPORTS = (
    ("masks", "instance masks, one TIFF per frame"),
    ("geojson", "GeoJSON outlines, readable by QuPath"),
)


class BrowserScreen(ImageScreen):
    """All images of the project, one of them shown."""

    HEADING = "Images"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("next", "n", "Next", "Images", show=True, more="Next image"),
        Action("previous", "p", "Previous", "Images", show=True, more="Previous image"),
        Action("label", "enter", "Label", "Images", show=True, more="Label this image"),
        Action("tree", "b", "List", "Images", show=True, more="List of images on or off"),
        Action("refresh", "R", "Look for new images and predictions", "Images"),
        Action("t_next", "full_stop", "Next frame in time", "Planes", method="step_plane", args=(1, 0)),
        Action("t_previous", "comma", "Previous frame in time", "Planes", method="step_plane", args=(-1, 0)),
        Action("z_next", "right_square_bracket", "Next z", "Planes", method="step_plane", args=(0, 1)),
        Action("z_previous", "left_square_bracket", "Previous z", "Planes", method="step_plane", args=(0, -1)),
        Action("labels", "o", "Labels", "Overlays", show=True, more="Labels on or off"),
        Action("predictions", "d", "Predictions", "Overlays", show=True, more="Predictions on or off"),
        Action("ids", "number_sign", "Ids of the objects", "Overlays"),
        Action("model", "M", "Choose the model whose predictions are shown", "Overlays"),
        *(replace(action, show=action.id == "contrast") for action in LOOK_ACTIONS),
        *VIEW_ACTIONS,
        Action("predict", "P", "Predict images with a model", "Do"),
        Action("measure", "m", "Measure objects into a table", "Do"),
        Action("export", "e", "Export labels or predictions", "Do"),
        Action("classes", "C", "Classes: names, colours, keys", "Do"),
    )
    DEFAULT_CSS = """
    BrowserScreen #side { width: 36; border-right: solid $border; }
    BrowserScreen #legend { padding: 0 1; height: 1; color: $text-muted; }
    BrowserScreen #main { width: 1fr; }
    BrowserScreen.-no-list #side { display: none; }
    BrowserScreen.-narrow #side { width: 100%; border-right: none; }
    BrowserScreen.-narrow.-no-list #side { display: none; }
    BrowserScreen.-narrow #main { display: none; }
    BrowserScreen.-narrow.-no-list #main { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._listing = Listing((), frozenset(), frozenset(), ())
        self._index: int | None = None
        self._t = self._z = 0
        self._model: str | None = None
        self._show_labels = self._show_predictions = True
        self._show_ids = False
        self._lister: Newest[str | None, Listing] = Newest(
            self, lambda model: list_images(self.project, model), self._listed, self._not_listed
        )

    def compose_body(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="side"):
                yield ImageTree()
                yield Static(f"{LABELLED} labels  {PREDICTED} predictions", id="legend")
            with Vertical(id="main"):
                yield Line(id="info", classes="line", markup=False)
                yield ImageCanvas("Looking for images …")
                yield Line(id="readout", classes="line")
                yield Line(id="overlays", classes="line")

    def on_mount(self) -> None:
        if self.app.size.width < WIDE:
            self.add_class("-no-list")
        self.canvas.focus()

    def on_screen_resume(self) -> None:
        self.call_after_refresh(self._lister.ask, self._model)  # the first paint does not wait for any of it

    def enter(self, **context: Any) -> None:
        """`key`, `t`, `z`, `model`: show this image (frame) with the predictions of this model."""
        self._model = context.get("model", self._model)
        if "key" in context:
            self.host.at_hand = str(context["key"]), int(context.get("t", 0)), int(context.get("z", 0))
            self._choose_key(*self.host.at_hand)

    # ---- the list ---------------------------------------------------------------------------------------------------

    def _listed(self, _model: str | None, listing: Listing) -> None:
        key = self._key
        self._listing = listing
        if self._model not in listing.models:
            self._model = listing.models[0] if listing.models else None
        self.query_one(ImageTree).fill(listing)
        keys = [ref.key for ref in listing.refs]
        if not keys:
            self._index = None
            roots = ", ".join(str(root) for root in self.project.roots.values())
            self.canvas.set_hint(f"No images in {roots}.\nPut TIFF, PNG, JPEG or BMP files there and press R.")
            self.update_lines()
        else:
            key, t, z = self.host.at_hand or (key, self._t, self._z)
            self._show(*((keys.index(key), t, z) if key in keys else (0,)))
        self.refresh_bindings()

    def _not_listed(self, _model: str | None, error: MiaError) -> None:
        self.canvas.show(None)
        self.canvas.set_hint(str(error))

    @property
    def _key(self) -> str | None:
        return None if self._index is None else self._listing.refs[self._index].key

    def _choose_key(self, key: str, t: int = 0, z: int = 0) -> None:
        keys = [ref.key for ref in self._listing.refs]
        if key in keys:
            self._show(keys.index(key), t, z)

    def _show(self, index: int, t: int = 0, z: int = 0) -> None:
        """Show a frame of an image of the list."""
        self._index, self._t, self._z = index, t, z
        ref = self._listing.refs[index]
        self.host.at_hand = ref.key, t, z
        self.query_one(ImageTree).choose(ref.key)
        self.canvas.set_hint(f"Reading {ref.key} …")
        self.ask(ref.key, self._t, self._z, self._model)

    def on_tree_node_highlighted(self, event: "Tree.NodeHighlighted[ImageRef]") -> None:
        """Show what the cursor of the list is on; it may have gone on since the message was sent."""
        ref = event.node.data
        if ref is not None and ref.key != self._key and event.node is self.query_one(ImageTree).cursor_node:
            self._choose_key(ref.key)

    def on_tree_node_selected(self, event: "Tree.NodeSelected[ImageRef]") -> None:
        if event.node.data is not None:
            if self.has_class("-narrow"):
                self.add_class("-no-list")
            self.canvas.focus()

    # ---- the image --------------------------------------------------------------------------------------------------

    def frame_shown(self, shown: "ShownFrame") -> None:
        self._t, self._z = shown.t, shown.z
        if shown.request.key == self._key:
            self.host.at_hand = self._key, self._t, self._z

    def frame_failed(self, request: "FrameRequest", error: MiaError) -> None:
        self._t, self._z = request.t, request.z

    def scene_parts(self, shown: "ShownFrame") -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[float, ...] | None]:
        from mia_tui.screens.frames import class_colors, layer_of, marks_of

        colors = class_colors(self.project)
        parts = [(shown.predictions, self._show_predictions, True), (shown.labels, self._show_labels, False)]
        seen = [(overlay, dashed) for overlay, wanted, dashed in parts if wanted and overlay is not None]
        layers = tuple(layer_of(overlay, colors, dashed=dashed) for overlay, dashed in seen)
        by_key = bool(self.app.no_color) and len(self.project.classes) > 1
        marks = [marks_of(overlay, self.project, ids=self._show_ids, classes=by_key) for overlay, _ in seen[-1:]]
        return layers, tuple(mark for group in marks for mark in group), None

    def update_lines(self) -> None:
        try:
            info = self.query_one("#info", Static)
            info.update(self.info_text(info.content_size.width))
            self.query_one("#readout", Static).update(self.readout())
            self.query_one("#overlays", Static).update(self._overlay_text())
        except NoMatches:  # the screen is being closed
            return
        position = "" if self._index is None else f"{self._index + 1}/{len(self._listing.refs)}"
        self.set_title_note("   ".join(filter(None, [self.doing, position])))

    def _overlay_text(self) -> Content:
        if self.shown is None:
            return Content("")
        parts = [
            *self.channel_parts(),
            "━ ",
            _count(self.shown.labels, "label") if self._show_labels else ("labels off", "dim"),
        ]
        if self._model is not None:
            count = _count(self.shown.predictions, "predicted")
            parts += ["   ┅ ", count if self._show_predictions else ("predictions off", "dim"), f" by {self._model}"]
        return Content.assemble(*parts)

    # ---- actions ----------------------------------------------------------------------------------------------------

    def disabled_reason(self, action_id: str) -> str | None:
        if action_id in ("next", "previous", "tree", "label") and not self._listing.refs:
            return "The project has no images yet."
        if action_id in ("model",) and not self._listing.models:
            return "No model has predicted anything yet. P predicts, g t trains a model."
        if action_id == "predictions" and self._model is None:
            return "No model has predicted anything yet. P predicts, g t trains a model."
        if action_id in ("measure", "export") and self.doing:
            return f"Wait until this is done: {self.doing}"
        if action_id[:2] in ("t_", "z_") and self.shown is not None:
            t, _, z, *_ = self.shown.info.sizes
            if (t if action_id[0] == "t" else z) == 1:
                return f"This image has one {'frame in time' if action_id[0] == 't' else 'z plane'}."
        return super().disabled_reason(action_id)

    def action_label(self) -> None:
        self.host.go("labeling", key=self._key, t=self._t, z=self._z)

    def action_next(self) -> None:
        self._step(1)

    def action_previous(self) -> None:
        self._step(-1)

    def _step(self, step: int) -> None:
        index = (self._index or 0) + step
        if not 0 <= index < len(self._listing.refs):
            self.say("This is the last image." if step > 0 else "This is the first image.")
            return
        self._show(index)

    def action_tree(self) -> None:
        hidden = self.toggle_class("-no-list").has_class("-no-list")
        (self.canvas if hidden else self.query_one(ImageTree)).focus()

    def action_refresh(self) -> None:
        self._lister.ask(self._model)

    def step_plane(self, t: int, z: int) -> None:
        if self.shown is None or self._key is None:
            return
        sizes = self.shown.info.sizes
        self._t = min(max(self._t + t, 0), sizes[0] - 1)
        self._z = min(max(self._z + z, 0), sizes[2] - 1)
        self.ask(self._key, self._t, self._z, self._model)

    def action_labels(self) -> None:
        self._show_labels = not self._show_labels
        self.rebuild()

    def action_predictions(self) -> None:
        self._show_predictions = not self._show_predictions
        self.rebuild()

    def action_ids(self) -> None:
        self._show_ids = not self._show_ids
        self.rebuild()

    def action_model(self) -> None:
        from mia_tui.widgets.choose import ChooseScreen

        options = [(name, name) for name in self._listing.models]
        self.app.push_screen(ChooseScreen("Predictions of", options, self._model), self._use_model)

    def _use_model(self, name: str | None) -> None:
        if name is not None:
            self._model = name
            self._lister.ask(name)

    # ---- work for other processes -----------------------------------------------------------------------------------

    def action_classes(self) -> None:
        from mia_tui.screens.classes import ClassesScreen

        self.app.push_screen(ClassesScreen(self._key), lambda _: self._read_again())

    def _read_again(self) -> None:
        if self._key is not None:
            self.ask(self._key, self._t, self._z, self._model)

    def _sources(self) -> list[tuple[str, str]]:
        predicted = [(f"predictions:{name}", f"predictions of {name}") for name in self._listing.models]
        return ([("labels", "labels")] if self._listing.labelled else []) + predicted

    def action_measure(self) -> None:
        self._choose_source("Measure", self._measure)

    def action_export(self) -> None:
        from mia_tui.widgets.choose import ChooseScreen

        def with_source(source: str) -> None:
            def with_format(chosen: str | None) -> None:
                if chosen is not None:
                    self._export(source, chosen)

            self.app.push_screen(ChooseScreen("Export as", EXPORTS), with_format)

        self._choose_source("Export", with_source)

    def _choose_source(self, title: str, then: Any) -> None:
        from mia_tui.widgets.choose import ChooseScreen

        sources = self._sources()
        if not sources:
            raise MiaError("There are neither labels nor predictions yet. Train a model (g t), then predict (P).")

        def chosen(source: str | None) -> None:
            if source is not None:
                then(source)

        self.app.push_screen(ChooseScreen(title, sources), chosen)

    def _measure(self, source: str) -> None:
        path = self.project.results_folder / f"measure-{_file_name(source)}.csv"
        command = ["measure", str(self.project.folder), "--from", source, "--out", str(path)]
        self._run(f"measuring {source}", command, f"Measured: {path}. g m shows it.")

    def _export(self, source: str, form: str) -> None:
        dest = self.project.results_folder / f"{form}-{_file_name(source)}"
        command = ["export", str(self.project.folder), str(dest), "--format", form, "--from", source]
        self._run(f"exporting {source}", command, f"Exported to {dest}.")

    def _run(self, title: str, command: list[str], done: str) -> None:
        self.run_worker(self.run_beside(title, command, done), group="command")

    async def action_predict(self) -> None:
        from mia_tui.widgets.choose import ChooseScreen

        models = await asyncio.to_thread(self.project.models)
        if not models:
            raise MiaError("There is no model yet. Train one on the training screen (g t).")
        options = [(name, name) for name in models]
        self.app.push_screen(ChooseScreen("Predict with", options, self._model), self._predict_with)

    def _predict_with(self, model: str | None) -> None:
        if model is not None:
            self.run_worker(self._predict(model), group="predict")

    async def _predict(self, model: str) -> None:
        from mia_tui.jobs.control import start
        from mia_tui.runfolder import new_run_name

        config = {"kind": "predict", "name": model, "device": "auto", "predict": {"model": model}}
        try:
            run = await asyncio.to_thread(start, self.project, config, new_run_name("predict"))
        except MiaError as error:
            self.say(str(error), "error")
        else:
            self.say(f"Run {run.id} predicts with {model}. g r shows it; R here shows what it has found.")


def _count(overlay: Any, word: str) -> str:
    number = 0 if overlay is None else len(overlay.ids)
    plural = "s" if word == "label" and number != 1 else ""
    return f"{number} {word}{plural}"


def _file_name(source: str) -> str:
    return source.replace(":", "-").replace("/", "-")
