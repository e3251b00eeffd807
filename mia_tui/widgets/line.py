"""A line of text of which only the characters that changed are written: the lines around an image."""

from typing import Any

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Region
from textual.visual import VisualType
from textual.widgets import Static

GAP = 3
"""Changed characters so close together are written in one go: a cursor move costs as much as they do."""


class Line(Static):
    """A `Static` of one line and fixed size. An `update` lays nothing out and costs the characters that differ.

    Pad what changes often, so that what follows keeps its column.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    Line { height: 1; width: 1fr; }
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._written: list[tuple[str, str]] | None = None
        self._only: list[Region] | None = None

    def update(self, content: VisualType = "", *, layout: bool = False) -> None:
        """Show another text."""
        before, self._written = self._written, _characters(content)
        self._only = None
        if before is not None and self._written is not None and not layout:
            self._only = _changed(before, self._written, self.content_size.width)
        try:
            super().update(content, layout=layout)
        finally:
            self._only = None

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Any:
        if self._only is None or regions or layout or recompose:
            return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
        return super().refresh(*self._only, repaint=repaint) if self._only else self


def _characters(content: VisualType) -> list[tuple[str, str]] | None:
    """Each character with its styles; None where the columns cannot be told."""
    text = Content(content) if isinstance(content, str) else content
    if not isinstance(text, Content) or cell_len(text.plain) != len(text.plain) or "\n" in text.plain:
        return None
    styles = [""] * len(text.plain)
    for start, end, style in text.spans:
        for at in range(max(0, start), min(end, len(styles))):
            styles[at] += f"|{style}"
    return list(zip(text.plain, styles, strict=True))


def _changed(before: list[tuple[str, str]], after: list[tuple[str, str]], width: int) -> list[Region]:
    """Regions of the columns that differ in a line of `width` columns."""
    size = max(len(before), len(after))
    blank = (" ", "")
    old, new = (line + [blank] * (size - len(line)) for line in (before, after))
    columns = [at for at in range(size) if old[at] != new[at]]
    if (len(before) > width) != (len(after) > width):  # the sign of omission comes or goes
        columns.append(width - 1)
    regions: list[Region] = []
    for column in sorted({min(at, width - 1) for at in columns}):
        if regions and column - regions[-1].right <= GAP:
            regions[-1] = Region(regions[-1].x, 0, column + 1 - regions[-1].x, 1)
        else:
            regions.append(Region(column, 0, 1, 1))
    return regions
