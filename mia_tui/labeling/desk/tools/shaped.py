"""Outlines by their form: eight handles on the eight compass keys (spline), or an ellipse."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.labeling.curves import Ellipse, compass, fit_ellipse, rays, rays_of
from mia_tui.labeling.desk import edits
from mia_tui.labeling.desk.acts.objects import outline_missing
from mia_tui.labeling.desk.modes import Handle, Sketch, Stroke
from mia_tui.labeling.desk.refs import Ref
from mia_tui.labeling.desk.rows import OUTLINED, row
from mia_tui.labeling.desk.tools import Tool, tool

if TYPE_CHECKING:
    from mia_tui.labeling.desk.desk import Desk

SPLINE, ELLIPSE = "spline", "ellipse"
COMPASS = "wedcxzaq"
"""The key of each handle, up first, then clockwise: as the keys lie around s."""
RADIUS = 8.0


class Shaped(Tool):
    """A form around a centre that keys change; enter or space makes it an object, or the chosen object's outline."""

    stays: ClassVar[bool] = True

    def __init__(self) -> None:
        self.of: Ref | None = None

    def put(self, desk: "Desk", y: float, x: float) -> None:
        self.of = None
        self.begin(desk, y, x)
        if self not in desk.modes:
            desk.enter(self)

    def begin(self, desk: "Desk", y: float, x: float) -> None:
        """Lay the form around a place, fitted to what is there as far as it can be."""
        raise NotImplementedError

    def fit(self, geometry: BaseGeometry) -> None:
        """Take the form of an outline."""
        raise NotImplementedError

    def geometry(self, desk: "Desk") -> BaseGeometry | None:
        raise NotImplementedError

    def guess(self, desk: "Desk", y: float, x: float) -> BaseGeometry:
        """The outline of what is at a place."""
        from mia_tui.labeling.desk.tools.seed import seeded

        return seeded(desk, y, x).proposal

    def sketch(self, desk: "Desk") -> Sketch:
        geometry = self.geometry(desk)
        if geometry is None:
            return Sketch()
        rings = shapely.get_rings(shapely.get_parts(geometry))
        return Sketch(tuple(Stroke(shapely.get_coordinates(ring)) for ring in rings), self.handles())

    def handles(self) -> tuple[Handle, ...]:
        return ()


@tool(SPLINE, "s", "Spline", tasks=OUTLINED, more="Eight handles on the keys around s, in capitals in")
class SplineTool(Shaped):
    """A smooth closed curve through the ends of eight rays."""

    @property
    def text(self) -> str:  # type: ignore[override]
        return "Spline: its letters pull out, in capitals in, s and S all; space: done"

    def __init__(self) -> None:
        super().__init__()
        self.centre = (0.0, 0.0)
        self.radii: NDArray[np.float64] = np.full(8, RADIUS)

    def begin(self, desk: "Desk", y: float, x: float) -> None:
        self.centre, self.radii = rays_of(self.guess(desk, y, x), (y, x))

    def fit(self, geometry: BaseGeometry) -> None:
        self.centre, self.radii = rays_of(geometry)

    def geometry(self, desk: "Desk") -> BaseGeometry | None:
        return rays(self.centre, self.radii, desk.opened.size)

    def handles(self) -> tuple[Handle, ...]:
        ends = np.array(self.centre) + compass() * self.radii[:, None]
        return tuple(Handle((float(y), float(x)), key) for (y, x), key in zip(ends, COMPASS, strict=True))


@tool(ELLIPSE, "e", "Ellipse", tasks=OUTLINED, more="Longer, wider and turned by keys")
class EllipseTool(Shaped):
    """An ellipse."""

    @property
    def text(self) -> str:  # type: ignore[override]
        return "Ellipse: w x longer shorter, d a wider narrower, e q turn, s S all; space: done"

    def __init__(self) -> None:
        super().__init__()
        self.ellipse = Ellipse((0.0, 0.0), (RADIUS, RADIUS), 0.0)

    def begin(self, desk: "Desk", y: float, x: float) -> None:
        self.ellipse = fit_ellipse(self.guess(desk, y, x))

    def fit(self, geometry: BaseGeometry) -> None:
        self.ellipse = fit_ellipse(geometry)

    def geometry(self, desk: "Desk") -> BaseGeometry | None:
        return self.ellipse.outline(desk.opened.size)


def held(desk: "Desk") -> Shaped:
    """The form in progress."""
    return next(mode for mode in reversed(desk.modes) if isinstance(mode, Shaped))


def done(desk: "Desk") -> None:
    """Make the form an object, or the outline of the object that it was fitted to."""
    tool = held(desk)
    geometry = tool.geometry(desk)
    desk.leave()
    if geometry is None:
        desk.warn("It lies outside the image.")
    elif tool.of is not None and desk.find(tool.of) is not None:
        if edits.change(desk, tool.of, geometry, tool.title.lower()) is not None:
            desk.forget_ladder(tool.of)
    else:
        edits.add(desk, geometry, tool.title.lower())


def fit_current(desk: "Desk", kind: type[Shaped]) -> None:
    """Lay a form over the chosen object, to change it by keys."""
    item, tool = desk.find(desk.current), kind()
    if item is None:
        return
    tool.fit(item.geometry)
    tool.of = desk.current
    desk.enter(tool)


for _kind, _key, _text in ((SplineTool, "p", "Spline over it"), (EllipseTool, "e", "Ellipse over it")):
    row(f"object_{_kind.name}", _key, _text, "Object", context="object", args=(_kind,), tasks=OUTLINED,
        why=outline_missing, edits=True, more=f"{_text}, to change it by keys")(fit_current)  # fmt: skip


for _context, _group in ((SPLINE, "Spline"), (ELLIPSE, "Ellipse")):
    row(f"{_context}_done", "space,enter", "Done", _group, context=_context, tasks=OUTLINED, edits=True, show=True)(
        done
    )


def pull(desk: "Desk", index: int, pixels: float) -> None:
    """Move one handle of the spline out (or, below 0, in); index 8 moves all."""
    tool = held(desk)
    if isinstance(tool, SplineTool):
        chosen = slice(None) if index == len(COMPASS) else slice(index, index + 1)
        tool.radii = tool.radii.copy()
        tool.radii[chosen] = np.maximum(tool.radii[chosen] + pixels, 0.5)


for _index, _key in enumerate([*COMPASS, "s"]):
    _what = "All handles" if _key == "s" else f"Handle {_key}"
    for _way, _name in ((1.0, _key), (-1.0, _key.upper())):
        row(f"spline_{_name}", _name, f"{_what} {'out' if _way > 0 else 'in'}", "Spline", context=SPLINE,
            args=(_index, _way), tasks=OUTLINED, repeats=True, show=_key == "s")(pull)  # fmt: skip


def reform(desk: "Desk", along: float, across: float, turn: float) -> None:
    """Change the ellipse: pixels along its longer axis, pixels across, degrees clockwise as seen."""
    tool = held(desk)
    if isinstance(tool, EllipseTool):
        now = tool.ellipse
        radii = max(0.5, now.radii[0] + along), max(0.5, now.radii[1] + across)
        tool.ellipse = Ellipse(now.centre, radii, now.angle + np.deg2rad(turn))


for _name, _key, _text, _args in (
    ("longer", "w", "Longer", (1.0, 0.0, 0.0)), ("shorter", "x", "Shorter", (-1.0, 0.0, 0.0)),
    ("wider", "d", "Wider", (0.0, 1.0, 0.0)), ("narrower", "a", "Narrower", (0.0, -1.0, 0.0)),
    ("clockwise", "e", "Clockwise", (0.0, 0.0, 10.0)), ("counter", "q", "Counter-clockwise", (0.0, 0.0, -10.0)),
    ("larger", "s", "Larger", (1.0, 1.0, 0.0)), ("smaller", "S", "Smaller", (-1.0, -1.0, 0.0)),
):  # fmt: skip
    row(f"ellipse_{_name}", _key, _text, "Ellipse", context=ELLIPSE, args=_args, tasks=OUTLINED, repeats=True,
        show=True)(reform)  # fmt: skip
