"""Contact sheet: pictures of one class; letters mark the wrong ones, a digit re-classes them, Enter takes the rest.

Also for images without a class: mark the odd ones out, and Enter gives the class chosen by a digit to the rest.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from textual.app import ComposeResult
from textual.content import Content
from textual.css.query import NoMatches
from textual.events import Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from mia_tui.errors import MiaError
from mia_tui.keymap import Action
from mia_tui.project import PREDICT_PREFIX
from mia_tui.screens.labeling.class_text import progress_line
from mia_tui.widgets.actions import MiaScreen
from mia_tui.widgets.canvas.cells import TABLE, TRUECOLOR, Cells, differences, strips
from mia_tui.widgets.canvas.compositor import write_only_changes
from mia_tui.widgets.canvas.widget import PLAIN
from mia_tui.widgets.choose import ChooseScreen
from mia_tui.widgets.line import Line
from mia_tui.widgets.newest import Newest
from mia_tui.widgets.wording import counted

if TYPE_CHECKING:
    from mia_tui.labeling.objects import LabelObject
    from mia_tui.project import Project
    from mia_tui.screens.labeling.class_desk import Place
    from mia_tui.screens.labeling.image_class import ClassifyScreen
    from mia_tui.screens.labeling.sheet_picture import Grid, Tile

HINTS = "asdfjklghqwertyiopzcbnmx"
"""Letters of the pictures, the home row first. u and v are left for undo and for the way back."""
KEPT = 300
"""Pictures kept in memory."""
SLICE_S = 0.15
"""What was read is shown at least so often."""
DIGITS = "1234567890"


@dataclass(frozen=True)
class Subject:
    """What a sheet shows: images predicted as a class and not decided, images labelled with it, or unlabelled ones."""

    kind: str
    name: str | None = None

    @property
    def title(self) -> str:
        return "no class yet" if self.name is None else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class _Wish:
    """Pictures to read, `size` pixels or more on their shorter side."""

    project: "Project"
    places: "tuple[Place, ...]"
    size: int


@dataclass
class _Page:
    """The pictures in sight, which of them are marked, and which got another class here."""

    places: "list[Place]" = field(default_factory=list)
    marked: "set[Place]" = field(default_factory=set)
    settled: "set[Place]" = field(default_factory=set)


def subjects(
    project: "Project", labels: "dict[Place, str | None]", predictions: "dict[Place, LabelObject]"
) -> "dict[Subject, list[Place]]":
    """The sheets that are not empty, with their images: predicted (most doubtful first), unlabelled, labelled."""
    found: dict[Subject, list[Place]] = {}
    known = [c.name for c in project.classes]
    for place, name in labels.items():
        predicted = predictions.get(place)
        if name is not None:
            found.setdefault(Subject("labelled", name), []).append(place)
        elif predicted is not None and predicted.label_class in known:
            found.setdefault(Subject("predicted", predicted.label_class), []).append(place)
        else:
            found.setdefault(Subject("open"), []).append(place)
    for subject, places in found.items():
        if subject.kind == "predicted":
            places.sort(key=lambda place: _doubt(predictions[place]))
    rank = {"predicted": 0, "open": 1, "labelled": 2}
    order = {name: i for i, name in enumerate(known)}
    return dict(sorted(found.items(), key=lambda pair: (rank[pair[0].kind], order.get(pair[0].name or "", 999))))


def _doubt(item: "LabelObject") -> float:
    return -1.0 if item.score is None else item.score


class ContactSheet(Widget, can_focus=True):
    """Cells that are drawn already, or a hint. Only what differs is written."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "ContactSheet { width: 1fr; height: 1fr; background: $background; color: $foreground; }"

    def __init__(self) -> None:
        super().__init__()
        self._cells: Cells | None = None
        self._lines: Sequence[Strip] = []
        self._hint = "Reading pictures …"

    def show(self, cells: "Cells | None", hint: str = "") -> None:
        """Show cells, or without any the hint."""
        before, self._cells, self._hint = self._cells, cells, hint
        if cells is None:
            self.refresh()
            return
        depth = TRUECOLOR if self.app.console.color_system == "truecolor" else TABLE
        self._lines = strips(cells, depth=depth, mono=self.rich_style if self.app.no_color else None)
        spans = differences(before, cells)
        if spans is None:
            self.refresh()
        elif spans:
            self.refresh(*(Region(first, row, end - first, 1) for row, first, end in spans))

    def on_resize(self, _event: Resize) -> None:
        screen = self.screen
        if isinstance(screen, SheetScreen):
            screen.lay_out()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if self._cells is None and y == self.size.height // 2:
            return Strip([Segment(self._hint.center(width)[:width], self.rich_style)], width)
        if self._cells is None or y >= len(self._lines):
            return Strip.blank(width, PLAIN)
        return self._lines[y].adjust_cell_length(width, PLAIN)


class SheetScreen(MiaScreen):
    """A page of pictures of one subject; `owner` is the labelling screen, which decides and keeps count."""

    HEADING = "Contact sheet"
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("take", "enter", "Take the rest", "Sheet", show=True, more="Take the pictures not marked, next page"),
        *(
            Action(f"class_{digit}", digit, f"Class of key {digit} for the marked ones", "Sheet", method="choose",
                   args=(digit,))
            for digit in DIGITS
        ),
        Action("pick", "slash", "Class from a list for the marked ones", "Sheet"),
        Action("all", "asterisk", "Mark all or none", "Sheet"),
        Action("clear", "backspace", "Clear", "Sheet", more="Take the class of the marked ones away"),
        Action("undo", "u", "Undo", "Sheet", show=True),
        Action("redo", "U,ctrl+r", "Redo", "Sheet"),
        Action("next", "space,pagedown,right,N", "Next page", "Pages", show=True),
        Action("previous", "pageup,left,P", "Previous page", "Pages"),
        Action("subject_next", "tab,down", "Other class", "Pages", show=True, more="Sheet of the next class",
               method="step_subject", args=(1,)),
        Action("subject_previous", "shift+tab,up", "Sheet of the class before", "Pages", method="step_subject",
               args=(-1,)),
        Action("sheet", "v,escape", "Single image", "Pages", show=True),
        *(Action(f"mark_{c}", c, f"Mark picture {c}", "Marks", method="mark", args=(c,)) for c in HINTS),
        Action("go", "", "Go to…", "General"),
        Action("back", "", "Back", "General"),
        Action("quit", "ctrl+q", "Quit (runs go on)", "General"),
    )  # fmt: skip
    DEFAULT_CSS = """
    SheetScreen .line { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, owner: "ClassifyScreen") -> None:
        super().__init__()
        write_only_changes(self)
        self._owner = owner
        self._subject = Subject("open")
        self._members: list[Place] = []
        self._start = 0
        self._page = _Page()
        self._grid: Grid | None = None
        self._pictures: dict[Place, Any] = {}
        self._reader: Newest[_Wish, dict[Place, Any]] = Newest(self, self._read, self._have_read)

    def compose_body(self) -> ComposeResult:
        yield Line(id="subject", classes="line")
        yield ContactSheet()
        yield Line(id="progress", classes="line")

    def on_mount(self) -> None:
        self.query_one(ContactSheet).focus()

    async def settle(self) -> None:
        await self._owner.settle()

    # ---- pages ------------------------------------------------------------------------------------------------------

    def lay_out(self) -> None:
        """The size is known or has changed: as many pictures as fit, from the first one in sight on."""
        self.run_worker(self._lay_out(), group="layout", exclusive=True)

    async def _lay_out(self) -> None:
        picture = await asyncio.to_thread(_import_picture)
        area = self.query_one(ContactSheet).size
        first = self._grid is None
        self._grid = picture.grid_of(area.height, area.width, len(HINTS))
        if first:
            self._show_subject(next(iter(self._subjects()), Subject("open")))
        else:
            self._show_page(self._start)

    def _subjects(self) -> "dict[Subject, list[Place]]":
        return subjects(self._owner.project, self._owner.labels, self._owner.predictions)

    def _show_subject(self, subject: Subject) -> None:
        """The first page of a subject. Its list of images is made now and stays: none is skipped or comes twice."""
        self._subject = subject
        self._members = self._subjects().get(subject, [])
        self._show_page(0)

    def _show_page(self, start: int) -> None:
        assert self._grid is not None
        self._start = start
        places = self._members[start : start + self._grid.count]
        self._page = _Page(places)
        wish = _Wish(self._owner.project, tuple(places), 4 * self._grid.height)
        self._reader.ask(wish)
        self.redraw()

    def _read(self, wish: _Wish) -> "dict[Place, Any]":
        """Read what is not there yet, for a moment; the rest is asked for again."""
        from mia_tui.imaging.thumbnail import thumbnail

        found: dict[Place, Any] = {}
        deadline = time.monotonic() + SLICE_S
        for place in wish.places:
            if place in self._pictures:
                continue
            try:
                ref = wish.project.image(place.key)
                found[place] = thumbnail(wish.project, ref, *place.plane, wish.size)
            except MiaError as error:
                root = wish.project.roots["predict" if place.key.startswith(PREDICT_PREFIX) else "train"]
                found[place] = str(error).replace(f"{root}/", "")
            if time.monotonic() > deadline:
                break
        return found

    def _have_read(self, wish: _Wish, found: "dict[Place, Any]") -> None:
        self._pictures.update(found)
        for old in [place for place in self._pictures if place not in self._page.places][: -KEPT or None]:
            if len(self._pictures) > KEPT:
                del self._pictures[old]
        if wish.places != tuple(self._page.places):
            return
        self.redraw()
        if any(place not in self._pictures for place in wish.places):
            self._reader.ask(wish)

    # ---- what is shown ----------------------------------------------------------------------------------------------

    def labels_changed(self) -> None:
        """A decision was written."""
        self.redraw()

    def taken_back(self, places: "Sequence[Place]") -> None:
        """Undo or redo changed these frames: show the page with the first of them."""
        at = next((self._members.index(place) for place in places if place in self._members), None)
        if at is not None and self._grid is not None:
            self._show_page(at // self._grid.count * self._grid.count)

    def redraw(self) -> None:
        """Draw the page from what has been read."""
        try:
            sheet = self.query_one(ContactSheet)
        except NoMatches:
            return
        if self._grid is None:
            return
        from mia_tui.screens.labeling.sheet_picture import draw
        from mia_tui.widgets.canvas.painter import painter_of

        if not self._page.places:
            sheet.show(None, "No images here. tab shows another class, v the single image.")
        else:
            painter = painter_of(self._owner.canvas.glyphs, mono=bool(self.app.no_color))
            sheet.show(draw(self._grid, self._tiles(), sheet.background_colors[1].rgb, painter))
        self._update_lines()

    def _tiles(self) -> "list[Tile]":
        from mia_tui.screens.frames import UNKNOWN_CLASS, class_colors
        from mia_tui.screens.labeling.sheet_picture import DIM, Tile

        colors = class_colors(self._owner.project)
        tiles = []
        for hint, place in zip(HINTS, self._page.places, strict=False):
            name, predicted = self._owner.labels.get(place), self._owner.predictions.get(place)
            if name is not None:
                text, color = f"✓ {name}", colors.get(name, UNKNOWN_CLASS)
            elif predicted is not None:
                score = "" if predicted.score is None else f" {predicted.score:.2f}"
                text, color = f"{predicted.label_class}{score}", colors.get(predicted.label_class, UNKNOWN_CLASS)
            else:
                text, color = "–", DIM
            found = self._pictures.get(place)
            note = "…" if found is None else found if isinstance(found, str) else ""
            picture = None if found is None or isinstance(found, str) else found
            cross = "x" if self._owner.canvas.glyphs == "ascii" else "✗"
            tiles.append(Tile(hint, text, color, place in self._page.marked, cross, picture, note))
        return tiles

    def _update_lines(self) -> None:
        owner = self._owner
        members, grid = self._members, self._grid
        assert grid is not None
        pages = max(1, -(-len(members) // grid.count))
        parts: list[Any] = [
            (self._subject.title, "bold $text"),
            f"   {counted(len(members), 'image')}   ",
        ]
        parts += [f"page {self._start // grid.count + 1}/{pages}   "]
        marked = len(self._page.marked)
        parts += [f"✗ {marked} marked: a digit re-classes them   "] if marked else []
        parts += [self._enter_text()]
        self.query_one("#subject", Line).update(Content.assemble(*parts))
        self.query_one("#progress", Line).update(
            progress_line(owner.labels.values(), owner.work.unsaved, "", None).append("   " + self._keys_text())
        )
        self.set_title_note(owner.pace.text("image"))

    def _enter_text(self) -> str:
        name = self._name_for_rest()
        if self._subject.kind == "labelled":
            return "⏎ next page"
        return "⏎ needs a class: press its digit" if name is None else f"⏎ the rest is {name}"

    def _keys_text(self) -> str:
        return " ".join(f"{c.key or '·'} {c.name}" for c in self._owner.project.classes)

    def _name_for_rest(self) -> str | None:
        return self._owner.sticky if self._subject.kind == "open" else self._subject.name

    # ---- deciding ---------------------------------------------------------------------------------------------------

    async def perform(self, action_id: str) -> None:
        self._owner.pace.key(time.monotonic())
        await super().perform(action_id)

    def disabled_reason(self, action_id: str) -> str | None:
        if action_id.startswith("mark_") and HINTS.index(action_id[-1]) >= len(self._page.places):
            return f"No picture has the letter {action_id[-1]}."
        if action_id.startswith("class_") and all(c.key != action_id[-1] for c in self._owner.project.classes):
            return f"No class has the key {action_id[-1]}."
        if action_id in ("clear", "pick") and not self._page.marked:
            return "Nothing is marked. The letters mark pictures."
        if action_id == "take" and self._subject.kind == "open" and self._owner.sticky is None:
            return "Which class does the rest get? Press its digit first."
        if action_id == "take" and any(place not in self._pictures for place in self._page.places):
            return "The pictures are still being read."
        return super().disabled_reason(action_id)

    def help_rows(self) -> list[tuple[Action, str | None]]:
        """The letters in one row, the digits that classes have."""
        names = {c.key: c.name for c in self._owner.project.classes if c.key}
        rows = []
        for action, why in super().help_rows():
            if action.id.startswith("mark_") and action.id[-1] != HINTS[0]:
                continue
            if action.id.startswith("class_") and action.id[-1] not in names:
                continue
            rows.append((action, why))
        return rows

    def mark(self, letter: str) -> None:
        """Mark a picture as not belonging here, or take the mark back."""
        self._page.marked ^= {self._page.places[HINTS.index(letter)]}
        self.redraw()

    def action_all(self) -> None:
        self._page.marked = set() if self._page.marked else set(self._page.places)
        self.redraw()

    def choose(self, digit: str) -> None:
        """The class with this key for the marked pictures; with none marked, for what Enter takes (no class yet)."""
        name = next(c.name for c in self._owner.project.classes if c.key == digit)
        self._give(name)

    def action_pick(self) -> None:
        options = [(c.name, f"{c.key or ' '} {c.name}") for c in self._owner.project.classes]
        self.app.push_screen(ChooseScreen("Class of the marked images", options), self._picked)

    def _picked(self, name: str | None) -> None:
        if name is not None:
            self._give(name)

    def _give(self, name: str) -> None:
        marked = self._marked()
        if marked:
            self._page.marked.clear()
            self._page.settled.update(marked)
            self._owner.decide(marked, name)
        elif self._subject.kind == "open":
            self._owner.sticky = name
        else:
            self.say("Nothing is marked. The letters mark pictures, then a digit gives them its class.")
        self.redraw()

    def _marked(self) -> "list[Place]":
        return [place for place in self._page.places if place in self._page.marked]

    def action_clear(self) -> None:
        marked = self._marked()
        self._page.marked.clear()
        self._page.settled.update(marked)
        self._owner.clear(marked)
        self.redraw()

    def action_take(self) -> None:
        """Give the pictures that are neither marked nor settled their class, and go on."""
        name, page = self._name_for_rest(), self._page
        if self._subject.kind != "labelled" and name is not None:
            rest = [p for p in page.places if p not in page.marked and p not in page.settled]
            rest = [p for p in rest if self._owner.labels.get(p) is None and not isinstance(self._pictures[p], str)]
            if rest:
                self._owner.decide(rest, name, f"sheet of {name}" if len(rest) > 1 else "")
        self._turn(1, taken=True)

    def action_next(self) -> None:
        self._turn(1, taken=False)

    def action_previous(self) -> None:
        self._turn(-1, taken=False)

    def _turn(self, step: int, *, taken: bool) -> None:
        assert self._grid is not None
        start = self._start + step * self._grid.count
        if 0 <= start < len(self._members):
            self._show_page(start)
        elif taken:
            self._finish()
        else:
            self.say("This is the last page." if step > 0 else "This is the first page.")

    def _finish(self) -> None:
        """The last page was taken: what was left of the subject, else the next subject."""
        left = self._subjects()
        if self._subject.kind != "labelled" and self._subject in left:
            again = counted(len(left[self._subject]), "image")
            self.say(f"That was the last page. What was left out comes again: {again}.")
            self._show_subject(self._subject)
        else:
            self.say(f"That was the last page of {self._subject.title}.")
            self.step_subject(1)

    def step_subject(self, step: int) -> None:
        """To the sheet of another class."""
        listed = [*self._subjects()]
        if not listed:
            return
        at = listed.index(self._subject) + step if self._subject in listed else 0
        self._show_subject(listed[at % len(listed)])

    # ---- the rest ---------------------------------------------------------------------------------------------------

    def action_undo(self) -> None:
        self._owner.action_undo()

    def action_redo(self) -> None:
        self._owner.action_redo()

    def action_sheet(self) -> None:
        if self.is_current:  # not with a second key, typed before it was closed
            self.dismiss()

    def action_back(self) -> None:
        self.action_sheet()


def _import_picture() -> Any:
    """Import what draws (NumPy and others), away from the event loop."""
    from mia_tui.screens.labeling import sheet_picture

    return sheet_picture
