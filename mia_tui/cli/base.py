"""What all commands share: the Typer app, arguments that several have, and how results are said."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="mia-tui",
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Deep-learning microscopy image analysis in a terminal. mia-tui [PROJECT] opens the terminal interface.",
)

ProjectPath = Annotated[Path, typer.Argument(metavar="PROJECT", help="Project folder.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
Source = Annotated[str, typer.Option("--from", help="labels or predictions:MODEL.")]
TrackSequence = Annotated[str | None, typer.Option("--sequence", help="Of tracks: only this one of the sequences.")]
Format = Annotated[
    str,
    typer.Option(
        help="masks, geojson (QuPath), mia (label folders of MIA), roi (ImageJ), coco, points (CSV: image, frame, "
        "y, x, class), classes (of images, CSV: image, frame, class) or, to import, folders (one of images per class). "
        "Tracks: ctc (Cell Tracking Challenge), napari (CSV), trackmate (to import), geff (to export)."
    ),
]
Split = Annotated[str, typer.Option(help="Image root: train or predict.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def say(text: str) -> None:
    """A line for people."""
    print(text, flush=True)


def finish(as_json: bool, value: dict[str, Any]) -> None:
    """The result for programs, when asked for."""
    if as_json:
        say(json.dumps(value, default=str))


def load_project(folder: Path) -> Any:
    from mia_tui.labeling.opening import open_project

    return open_project(folder)


def progress_line(done: int, total: int, key: str) -> None:
    """Progress on stderr: one line that is rewritten on a terminal, one line each for a program that reads along."""
    if not sys.stderr.isatty():
        print(f"{done}/{total} {key}", file=sys.stderr, flush=True)
        return
    sys.stderr.write(f"\r\x1b[K{done}/{total} {key}" if done < total else "\r\x1b[K")
    sys.stderr.flush()
