"""What the screens that show an image share: reading frames, zoom, cursor, contrast, channels and the read-out."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.content import Content

from mia_tui.errors import MiaError
from mia_tui.keymap import Action
from mia_tui.project import Project
from mia_tui.screens.loading import load
from mia_tui.screens.look import MANUAL, Limits, RememberedLook, moved_limits, read_look, write_look
from mia_tui.widgets.actions import MiaScreen
from mia_tui.widgets.canvas.compositor import write_only_changes
from mia_tui.widgets.canvas.scene import Scene
from mia_tui.widgets.canvas.widget import ImageCanvas
from mia_tui.widgets.line import Line
from mia_tui.widgets.newest import Newest

if TYPE_CHECKING:
    from collections.abc import Callable

    from mia_tui.screens.frames import FrameReader, FrameRequest, Look, ShownFrame

GAMMAS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
MAX_CHANNEL_KEYS = 9

STEPS = (
    ("left", "left,h", 0, -1),
    ("right", "right,l", 0, 1),
    ("up", "up,k", -1, 0),
    ("down", "down,j", 1, 0),
)


def _moves() -> list[Action]:
    """Cursor by one, by ten, and the view by half its size, in four directions."""
    rows: list[Action] = []
    for name, keys, y, x in STEPS:
        letter = keys[-1].upper()
        rows += [
            Action(f"cursor_{name}", keys, f"Cursor {name}", "Cursor", method="move_cursor", args=(y, x)),
            Action(
                f"far_{name}",
                f"shift+{name}",
                f"Cursor 10 {name}",
                "Cursor",
                method="move_cursor",
                args=(10 * y, 10 * x),
            ),
            Action(
                f"pan_{name}",
                f"{letter},ctrl+{name}",
                f"Half a view {name}",
                "Cursor",
                method="pan",
                args=(y / 2, x / 2),
            ),
        ]
    return rows


VIEW_ACTIONS = (
    Action("zoom_in", "plus,equals_sign", "Zoom in", "View"),
    Action("zoom_out", "minus", "Zoom out", "View"),
    Action("zoom_fit", "f", "Whole image", "View"),
    Action("zoom_one", "z", "One pixel per dot", "View"),
    Action("map", "alt+m", "Small map on or off", "View", more="Small map of the whole image, on or off"),
    *_moves(),
)
"""Zoom, cursor and pan: the same keys wherever an image is shown."""

LOOK_ACTIONS = (
    Action(
        "contrast", "c", "Contrast", "Contrast", more="Contrast of the frame, the sequence, the full range, by hand"
    ),
    Action("invert", "i", "Invert", "Contrast"),
    Action("darker", "left_curly_bracket", "Darker mid-tones", "Contrast"),
    Action("brighter", "right_curly_bracket", "Brighter mid-tones", "Contrast"),
    *(
        Action(
            f"{end}_{way}",
            f"alt+{key}",
            f"{end.title()} point {way}",
            "Contrast",
            method="move_limit",
            args=(end, step),
        )
        for end, way, key, step in (
            ("black", "lower", "v", -1),
            ("black", "higher", "b", 1),
            ("white", "lower", "w", -1),
            ("white", "higher", "e", 1),
        )
    ),
    Action("channels_all", "0", "All channels", "Channels"),
    *(
        Action(f"channel_{n}", str(n), f"Channel {n} on or off", "Channels", method="toggle_channel", args=(n,))
        for n in range(1, MAX_CHANNEL_KEYS + 1)
    ),
)


def look_beside_digits(action: Action, **more: str) -> Action:
    """A row of `LOOK_ACTIONS` for screens on which digits and brackets mean something else; `more` keys by id."""
    keys = {"darker": "alt+comma", "brighter": "alt+full_stop", "channels_all": "alt+0", **more}
    if action.id.startswith("channel_"):
        return replace(action, keys=f"alt+{action.keys}")
    return replace(action, keys=keys.get(action.id, action.keys))


class ImageScreen(MiaScreen):
    """What the screens that show an image share: canvas, reader, look, zoom, cursor and read-out.

    A subclass asks for frames with `ask` and says in `scene_parts` what lies over them.
    """

    OVERLAYS: ClassVar[bool] = True
    """Whether labels and predictions are read with a frame."""
    NEEDS_FRAME: ClassVar[frozenset[str]] = frozenset(a.id for a in (*VIEW_ACTIONS, *LOOK_ACTIONS))
    DEFAULT_CSS = """
    ImageScreen .line { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__()
        write_only_changes(self)
        self.shown: ShownFrame | None = None
        self.doing = ""
        """What a command beside the screen is doing."""
        self._kept = RememberedLook()
        self._look_is_old = True
        self._asking = asyncio.Lock()
        self.gamma = 1.0
        self.invert = False
        self.hidden: frozenset[int] = frozenset()
        self.contrast = "frame"
        self.limits: Limits = ()
        self._displayed: tuple[Any, Any, Look, Callable[[Any], Any]] | None = None
        self._reader: FrameReader | None = None
        self._keeper: Newest[tuple[Path, RememberedLook], None] = Newest(self, lambda kept: write_look(*kept), _nothing)
        self._loader: Newest[FrameRequest, ShownFrame] = Newest(self, self._read, self._loaded, self._not_loaded)

    @property
    def project(self) -> Project:
        project = self.host.project
        if project is None:
            raise MiaError("No project is open. Open one on the projects screen (g p).")
        return project

    @property
    def canvas(self) -> ImageCanvas:
        return self.query_one(ImageCanvas)

    @property
    def look(self) -> "Look":
        from mia_tui.screens.frames import Look

        return Look(self.gamma, self.invert, self.hidden)

    def on_screen_resume(self) -> None:
        self._look_is_old = True  # another screen may have changed it

    async def on_unmount(self) -> None:
        if self._reader is not None:
            await asyncio.to_thread(self._reader.close)

    # ---- reading ----------------------------------------------------------------------------------------------------

    def ask(self, key: str, t: int, z: int, model: str | None) -> None:
        """Read a frame in a thread and show it; the newest wish wins."""
        self.run_worker(self._ask(key, t, z, model), group="ask")

    async def _ask(self, key: str, t: int, z: int, model: str | None) -> None:
        async with self._asking:  # in the order of the keys
            frames = await asyncio.to_thread(load, "mia_tui.screens.frames")
            if self._look_is_old:
                self._take_look(await asyncio.to_thread(read_look, self.project.folder, GAMMAS, frames.CONTRASTS))
            contrast = "frame" if self.contrast == MANUAL else self.contrast
            self._loader.ask(frames.FrameRequest(self.project, key, t, z, model, contrast, self.OVERLAYS))

    def _take_look(self, look: RememberedLook) -> None:
        self._kept, self._look_is_old = look, False
        self.gamma, self.invert, self.contrast, self.limits = look.gamma, look.invert, look.contrast, look.limits

    def keep_look(self) -> None:
        """Remember how the images are looked at, for this project."""
        look = replace(self._kept, gamma=self.gamma, invert=self.invert, contrast=self.contrast, limits=self.limits)
        if self.shown is not None:
            look = look.with_hidden(self.shown.info.sizes[1], self.hidden)
        self._kept = look
        self._keeper.ask((self.project.folder, look))

    def _read(self, request: "FrameRequest") -> "ShownFrame":
        from mia_tui.screens.frames import FrameReader

        self._reader = self._reader or FrameReader()
        return self._reader.read(request)

    def _loaded(self, request: "FrameRequest", shown: "ShownFrame") -> None:
        if not self.query(ImageCanvas):  # the screen is being closed
            return
        before = self.shown
        self.shown = shown
        if before is None or before.request.key != request.key:
            self.hidden = self._kept.hidden.get(shown.info.sizes[1], frozenset())
        if shown.problem:
            self.say(shown.problem, "error")
        self.frame_shown(shown)
        self.rebuild()
        self.refresh_bindings()

    def _not_loaded(self, request: "FrameRequest", error: MiaError) -> None:
        if not self.query(ImageCanvas):
            return
        self.shown = None
        self.canvas.show(None)
        self.canvas.set_hint(str(error))
        self.frame_failed(request, error)
        self.update_lines()
        self.refresh_bindings()

    def frame_shown(self, shown: "ShownFrame") -> None:
        """A frame was read (before it is painted)."""

    def frame_failed(self, request: "FrameRequest", error: MiaError) -> None:
        """A frame cannot be read; the canvas says why."""

    def rebuild(self) -> None:
        """Put the frame that was read, with its look and overlays, on the canvas."""
        if self.shown is not None:
            layers, marks, box = self.scene_parts(self.shown)
            scene = Scene(self.shown.pyramid, self._display(self.shown), layers, marks, box)
            self.canvas.show(self.with_sketch(scene))
        self.update_lines()

    def _display(self, shown: "ShownFrame") -> "Callable[[Any], Any]":
        """The same function as long as frame and look are the same: the canvas keeps its picture then."""
        from mia_tui.screens.frames import display_of

        limits = self.limits_of(shown)
        key = shown.pyramid, limits, self.look
        if self._displayed is None or self._displayed[0] is not key[0] or self._displayed[1:3] != key[1:]:
            self._displayed = (*key, display_of(replace(shown, limits=list(limits)), self.look))
        return self._displayed[3]

    def limits_of(self, shown: "ShownFrame") -> Limits:
        """Black and white of each channel: those set by hand where they fit the image, else what was measured."""
        if self.contrast == MANUAL and len(self.limits) == len(shown.limits):
            return self.limits
        return tuple(shown.limits)

    def with_sketch(self, scene: Scene) -> Scene:
        """The scene with what a tool is drawing."""
        return scene

    def scene_parts(self, shown: "ShownFrame") -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[float, ...] | None]:
        """(layers of outlines, marks, box) to draw over the image."""
        return (), (), None

    def update_lines(self) -> None:
        """Write the lines around the image anew."""

    def update_readout(self) -> None:
        """Write the line under the image anew: all that a moved cursor changes."""
        for line in self.query("#readout").results(Line):
            line.update(self.readout())

    def on_image_canvas_moved(self) -> None:
        self.update_readout()

    # ---- commands beside the screen ---------------------------------------------------------------------------------

    async def run_beside(self, title: str, command: list[str], done: str) -> bool:
        """Run a `mia-tui` command in a process of its own; `doing` says how far it is. Whether it went well."""
        from mia_tui.screens.command import run_command

        self._tell_doing(f"{title} …")
        try:
            await run_command(command, lambda line: self._tell_doing(line[:60]))
        except MiaError as error:
            self.say(str(error), "error")
            return False
        finally:
            self._tell_doing("")
            self.refresh_bindings()
        self.say(done)
        return True

    def _tell_doing(self, text: str) -> None:
        self.doing = text
        self.update_lines()

    # ---- texts ------------------------------------------------------------------------------------------------------

    def info_text(self, width: int) -> str:
        """Name, size, axes, type and scale of the image in `width` columns; a long name is cut in its middle."""
        if self.shown is None:
            return ""
        info = self.shown.info
        t, c, z, y, x = info.sizes
        planes = "".join(f" · {n} {what}" for n, what in ((t, "t"), (z, "z"), (c, "channels")) if n > 1)
        size = f" · {info.pixel_size[1]:.4g} µm/px" if info.pixel_size is not None else ""
        facts = f"{x} x {y}{planes} · {info.dtype}{size} · {info.axes} ({info.axes_source})"
        name, room = self.shown.request.key, max(12, width - len(facts) - 3)
        if len(name) > room:
            name = f"{name[: room // 3]}…{name[len(name) - (room - room // 3 - 1) :]}"
        return f"{name}   {facts}"

    def readout(self) -> Content:
        """Position and value under the cursor, zoom, plane and contrast."""
        if self.shown is None:
            return Content("")
        y, x = self.canvas.cursor
        t, _, z, height, width = self.shown.info.sizes
        values = " ".join(self._value_text(value) for value in self.canvas.values)
        planes = [f"{n} {at + 1}/{of}" for n, at, of in (("t", self.shown.t, t), ("z", self.shown.z, z)) if of > 1]
        look = [f"contrast {self._contrast_text()}"]
        look += [f"gamma {self.gamma:g}"] if self.gamma != 1 else []
        look += ["inverted"] if self.invert else []
        x_text, y_text = str(x).ljust(len(str(width - 1))), str(y).ljust(len(str(height - 1)))
        parts: list[Any] = ["x ", (x_text, "$text"), "  y ", (y_text, "$text"), "  value ", (values, "$text")]
        parts += ["   ", "   ".join([*planes, f"zoom {self.canvas.scale_text}", *look])]
        return Content.assemble(*parts)

    def _value_text(self, value: Any) -> str:
        """A value in as many columns as the greatest of its kind: what stands behind it keeps its place."""
        if isinstance(value, float):
            return f"{value:.5g}".ljust(10)
        assert self.shown is not None
        kind = self.shown.pyramid.plane.dtype
        return str(value).ljust({"u1": 3, "u2": 5}.get(kind.str[1:], 1))

    def _contrast_text(self) -> str:
        if self.contrast != MANUAL or self.shown is None:
            return self.contrast
        visible = self.look.visible(self.shown.info.sizes[1])
        limits = self.limits_of(self.shown)
        return " ".join(f"{limits[c][0]:.5g}–{limits[c][1]:.5g}" for c in visible[:3])

    def channel_parts(self) -> list[Any]:
        """A box per channel, filled when it is shown; nothing for an image of one channel."""
        if self.shown is None or self.shown.info.sizes[1] < 2:
            return []
        from mia_tui.screens.frames import channel_colors

        info = self.shown.info
        visible = self.look.visible(info.sizes[1])
        colors = dict(zip(visible, channel_colors(info, visible), strict=True))
        parts: list[Any] = []
        for c, name in enumerate(info.channel_names[: info.sizes[1]]):
            parts += [("■" if c in colors else "□", colors.get(c, "")), f" {c + 1} {name}   "]
        return parts

    # ---- actions ----------------------------------------------------------------------------------------------------

    def move_cursor(self, rows: int, columns: int) -> None:
        self.canvas.move(rows, columns)
        self.update_readout()  # now: cursor and numbers go to the terminal together

    def pan(self, rows: float, columns: float) -> None:
        self.canvas.pan(rows, columns)

    def disabled_reason(self, action_id: str) -> str | None:
        if action_id in self.NEEDS_FRAME and self.shown is None:
            return "No image is shown."
        if action_id.startswith("channel") and self.shown is not None:
            count = self.shown.info.sizes[1]
            number = action_id.removeprefix("channel_")
            if count == 1 or (number.isdigit() and int(number) > count):
                return f"This image has {count} channel{'s' if count > 1 else ''}."
        return super().disabled_reason(action_id)

    def help_rows(self) -> list[tuple[Action, str | None]]:
        """Without the keys of channels that the image does not have."""
        rows = super().help_rows()
        return [(a, why) for a, why in rows if not (a.id.startswith("channel_") and why is not None)]

    def action_zoom_in(self) -> None:
        self.canvas.zoom(1)

    def action_zoom_out(self) -> None:
        self.canvas.zoom(-1)

    def action_zoom_fit(self) -> None:
        self.canvas.zoom_fit()

    def action_zoom_one(self) -> None:
        self.canvas.zoom_one()

    def action_map(self) -> None:
        self.canvas.toggle_map()

    def action_contrast(self) -> None:
        from mia_tui.screens.frames import CONTRASTS

        assert self.shown is not None
        modes = (*CONTRASTS, MANUAL) if len(self.limits) == len(self.shown.limits) else CONTRASTS
        at = modes.index(self.contrast) if self.contrast in modes else -1
        self.contrast = modes[(at + 1) % len(modes)]
        self.keep_look()
        if self.contrast == MANUAL:
            self.rebuild()
            return
        request = self.shown.request
        self.ask(request.key, self.shown.t, self.shown.z, request.model)

    def action_invert(self) -> None:
        self.invert = not self.invert
        self.keep_look()
        self.rebuild()

    def action_darker(self) -> None:
        self._step_gamma(1)

    def action_brighter(self) -> None:
        self._step_gamma(-1)

    def _step_gamma(self, step: int) -> None:
        index = GAMMAS.index(self.gamma) + step
        self.gamma = GAMMAS[min(max(index, 0), len(GAMMAS) - 1)]
        self.keep_look()
        self.rebuild()

    def move_limit(self, end: str, step: int) -> None:
        """Move the black or the white point of the visible channels by hand; it starts where the contrast is now."""
        assert self.shown is not None
        visible = self.look.visible(self.shown.info.sizes[1])
        self.limits = moved_limits(self.limits_of(self.shown), visible, end, step)
        self.contrast = MANUAL
        self.keep_look()
        self.rebuild()

    def action_channels_all(self) -> None:
        self.hidden = frozenset()
        self.keep_look()
        self.rebuild()

    def toggle_channel(self, number: int) -> None:
        """Switch the 1-based channel on or off."""
        self.hidden = self.hidden ^ {number - 1}
        self.keep_look()
        self.rebuild()


def _nothing(*_ignored: Any) -> None:
    """The look was written: nobody waits for it."""
