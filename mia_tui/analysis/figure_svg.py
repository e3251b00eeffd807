"""A figure as SVG: lines as paths, words as words, so that a drawing program can still change them."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from mia_tui.analysis.figure import Area, Disc, Figure, Line, Mark, Point, Words, layout


def svg(figure: Figure) -> str:
    """The text of an SVG file."""
    width, height = figure.size
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="Helvetica, Arial, sans-serif">',
        f"<title>{_safe(figure.title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>',
        *(_element(mark) for mark in layout(figure)),
        "</svg>\n",
    ])  # fmt: skip


def _element(mark: Mark) -> str:
    if isinstance(mark, Line):
        dash = ' stroke-dasharray="5 4"' if mark.dashed else ""
        return (
            f'<polyline points="{_points(mark.points)}" fill="none" stroke="{mark.color}" '
            f'stroke-width="{mark.width:g}" stroke-linejoin="round"{_opacity(mark.opacity)}{dash}/>'
        )
    if isinstance(mark, Area):
        return f'<polygon points="{_points(mark.points)}" fill="{mark.color}"{_opacity(mark.opacity)}/>'
    if isinstance(mark, Disc):
        x, y = mark.centre
        return f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{mark.radius:g}" fill="{mark.color}"{_opacity(mark.opacity)}/>'
    return _words(mark)


def _words(mark: Words) -> str:
    x, y = mark.place
    turned = f' transform="rotate(-90 {x:.2f} {y:.2f})"' if mark.turned else ""
    return (
        f'<text x="{x:.2f}" y="{y:.2f}" font-size="{mark.size:g}" fill="{mark.color}" '
        f'text-anchor="{mark.anchor}"{turned}>{_safe(mark.text)}</text>'
    )


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def _opacity(value: float) -> str:
    return "" if value == 1 else f' opacity="{value:g}"'


def _safe(text: str) -> str:
    """Without characters that no XML file may hold."""
    return escape("".join(char if char.isprintable() else " " for char in text))
