"""Commands for results: tracks, tables, motion, review."""

from pathlib import Path
from typing import Annotated

import typer

from mia_tui.cli.base import Json, ProjectPath, Source, app, finish, load_project, progress_line, say


@app.command()
def track(
    project: ProjectPath,
    source: Source = "labels",
    sequence: Annotated[
        list[str] | None, typer.Option(help="Stack or folder of frames, as often as needed; all by default.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="auto (masks for outlines), points, masks or hungarian (as MIA).")
    ] = "auto",
    max_distance: Annotated[
        float | None, typer.Option(help="Pixels from a frame to the next at most; learnt by default.")
    ] = None,
    max_gap: Annotated[int | None, typer.Option(help="Frames that an object may be missed; 2 by default.")] = None,
    divisions: Annotated[bool, typer.Option("--divisions/--no-divisions", help="Whether objects may divide.")] = True,
    merges: Annotated[bool, typer.Option("--merges", help="Two objects may become one (points).")] = False,
    classes: Annotated[
        str, typer.Option(help="Another class costs (soft), is never linked (hard), or does not count (ignore).")
    ] = "soft",
    z_ratio: Annotated[
        float | None, typer.Option(help="Distance of two z planes in pixels; from the images by default.")
    ] = None,
    low_score: Annotated[float, typer.Option(help="Objects below this score only extend or bridge tracks.")] = 0.0,
    replace: Annotated[bool, typer.Option("--replace", help="Put corrections that are there aside.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Link around the corrections that are there.")] = False,
    extend: Annotated[
        bool, typer.Option("--extend", help="Only link frames that came since, as the others were linked.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Link the objects of a time lapse into tracks, with divisions."""
    from mia_tui.commands import track as command
    from mia_tui.tracking.options import LinkOptions

    options = LinkOptions(
        method=method, max_distance=max_distance, max_gap=max_gap, divisions=divisions, merges=merges,  # type: ignore[arg-type]
        class_rule=classes, low_score=low_score, z_ratio=1.0 if z_ratio is None else z_ratio,  # type: ignore[arg-type]
    )  # fmt: skip
    opened, rows = load_project(project), []
    for found in command.track_sequences(
        opened, source, sequence or [], options, replace=replace, keep=keep, more=extend, progress=progress_line
    ):
        for line in command.describe(found):
            say(line)
        rows.append(found)
    finish(as_json, {"sequences": rows})


@app.command()
def measure(
    project: ProjectPath,
    source: Source = "labels",
    out: Annotated[Path | None, typer.Option(help="CSV or Parquet file; results/ of the project by default.")] = None,
    as_json: Json = False,
) -> None:
    """Measure every object: size, shape, position, intensities."""
    from mia_tui.analysis.measure import measure_project
    from mia_tui.analysis.tables import write_table

    opened = load_project(project)
    found = measure_project(opened, source)
    path = out or opened.results_folder / f"objects-{source.replace(':', '-')}.csv"
    write_table(found.table, path)
    say(f"{found.table.num_rows} objects measured: {path}")
    for problem in found.problems:
        say(f"  {problem}")
    finish(as_json, {"rows": found.table.num_rows, "file": path, "problems": found.problems})


@app.command()
def motion(
    project: ProjectPath,
    sequence: Annotated[
        list[str] | None, typer.Option(help="Stack or folder of frames, as often as needed; all tracked by default.")
    ] = None,
    source: Source = "labels",
    out: Annotated[
        Path | None, typer.Option(help="Folder, gets one per sequence; results/motion of the project by default.")
    ] = None,
    window: Annotated[int, typer.Option(help="Frames before and after a division whose speeds are compared.")] = 5,
    contact: Annotated[
        float | None,
        typer.Option(help="Pixels between objects that are in contact; touching masks by default, of points none."),
    ] = None,
    subtract_drift: Annotated[
        bool, typer.Option("--subtract-drift", help="Measure without what all objects move together.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Draw the plots in the terminal, too.")] = False,
    as_json: Json = False,
) -> None:
    """Measure how tracked objects move, also in relation to their divisions: tables and plots."""
    from mia_tui.commands.motion import as_data, describe, measure_sequences

    opened = load_project(project)
    rows = []
    for found in measure_sequences(
        opened, source, sequence or [], out=out, window=window, contact_distance=contact, subtract_drift=subtract_drift
    ):
        for line in describe(*found, plots=show):
            say(line)
        rows.append(as_data(*found))
    finish(as_json, {"sequences": rows})


@app.command()
def review(
    project: ProjectPath,
    source: Annotated[str, typer.Option("--from", help="predictions:MODEL.", show_default=False)],
    accept: Annotated[str, typer.Option(help='all, or a bound such as "score>=0.9".', show_default=False)],
    split: Annotated[str | None, typer.Option(help="Only the images of this root.")] = None,
    as_json: Json = False,
) -> None:
    """Accept predictions as labels without looking at each: the review screen's twin."""
    from mia_tui.labeling.review import accept_all

    kind, _, model = source.partition(":")
    if kind != "predictions" or not model:
        raise typer.BadParameter("--from must be predictions:MODEL")
    report = accept_all(load_project(project), model, accept, split)
    say(", ".join(f"{name} {count}" for name, count in report.totals.items()))
    for problem in report.problems:
        say(f"  {problem}")
    finish(as_json, report.as_dict())
