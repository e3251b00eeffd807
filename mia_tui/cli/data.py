"""Commands for projects and their data."""

from pathlib import Path
from typing import Annotated

import typer

from mia_tui.cli.base import (
    Format,
    Json,
    ProjectPath,
    Source,
    Split,
    TrackSequence,
    app,
    finish,
    load_project,
    progress_line,
    say,
)
from mia_tui.errors import MiaError

NO_IMAGES = ": put PNG, JPEG, BMP or TIFF files there"


@app.command()
def new(
    project: ProjectPath,
    images: Annotated[Path, typer.Option(help="Folder of images to label and train on.", show_default=False)],
    task: Annotated[str, typer.Option(help="segmentation, detection or classification.")] = "segmentation",
    classes: Annotated[str, typer.Option(help="Class names, comma separated.")] = "cell",
    predict_images: Annotated[Path | None, typer.Option(help="Folder of images to predict.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the project.")] = None,
    series: Annotated[list[str] | None, typer.Option(help="Sub-folder whose files are frames of one series.")] = None,
    as_json: Json = False,
) -> None:
    """Make a project that points at folders of images."""
    from mia_tui.project import Project

    made = Project.create(
        project, images=images, predict_images=predict_images, task=task,
        classes=classes.split(","), name=name, series=series or (),
    )  # fmt: skip
    counts = {split: len(made.images(split)) for split in made.roots}
    say(f"{made.folder}: {made.task}, classes {', '.join(c.name for c in made.classes)}")
    for split, count in counts.items():
        say(f"  {split} images: {count} in {made.roots[split]}" + (NO_IMAGES if not count else ""))
    finish(as_json, {"project": made.folder, "task": made.task, "images": counts})


@app.command()
def info(
    path: Annotated[Path, typer.Argument(metavar="PROJECT|IMAGE", show_default=False)], as_json: Json = False
) -> None:
    """Axes, types, calibration and problems of an image, a folder or a project."""
    from mia_tui.console import format_info
    from mia_tui.imaging.describe import describe

    found = describe(path)
    say(format_info(found))
    finish(as_json, found)


@app.command("import")
def import_labels(
    project: ProjectPath,
    source: Annotated[Path, typer.Argument(help="Folder or file to import.", show_default=False)],
    format: Format = "masks",
    kind: Annotated[str, typer.Option(help="Of masks: auto, binary, class or instance.")] = "auto",
    split: Split = "train",
    replace: Annotated[bool, typer.Option("--replace", help="Replace labels that are there.")] = False,
    sequence: TrackSequence = None,
    as_json: Json = False,
) -> None:
    """Bring labels made elsewhere into a project. Labels that are there are left alone unless --replace is given."""
    from mia_tui import formats

    options = {"kind": kind} if format == "masks" else formats.options_of(format, {"sequence": sequence})
    report = formats.load(format).import_(load_project(project), source, split=split, replace=replace, **options)
    if report.kind:
        say(f"read as {report.kind} masks: {report.reason}")
    say(f"{report.objects} objects on {len(report.frames)} frames imported")
    groups = {
        "left alone, labels are there": report.skipped,
        "image without a file": report.unpaired_images,
        "file without an image": report.unpaired_files,
        "problem": report.problems,
        "note": report.notes,
    }
    for what, names in groups.items():
        for entry in names:
            say(f"  {what}: {entry}")
    finish(as_json, report.as_dict())
    if report.problems and not report.frames:
        raise MiaError(f"nothing was imported from {source}: {report.problems[0]}")


@app.command("export")
def export_labels(
    project: ProjectPath,
    dest: Annotated[
        Path,
        typer.Argument(
            help="Folder to write into; coco, points, classes and napari also take a file.", show_default=False
        ),
    ],
    format: Format = "masks",
    source: Source = "labels",
    kind: Annotated[str, typer.Option(help="Of masks: instance or class.")] = "instance",
    split: Annotated[str | None, typer.Option(help="Only the images of this root.")] = None,
    sequence: TrackSequence = None,
    fill: Annotated[bool, typer.Option("--fill", help="ctc: show tracks in gaps, by the mask before, moved.")] = False,
    wide: Annotated[bool, typer.Option("--wide", help="ctc: 32-bit masks, for more than 65,535 tracks.")] = False,
    truth: Annotated[bool, typer.Option("--truth", help="ctc: files named as those of a truth.")] = False,
    radius: Annotated[float | None, typer.Option(help="ctc: of the discs that points become, pixels.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="ctc, geff: replace an earlier export.")] = False,
    as_json: Json = False,
) -> None:
    """Write labels, predictions or tracks for other programs."""
    from mia_tui import formats

    given = {"sequence": sequence, "fill": fill, "wide": wide, "truth": truth, "radius": radius, "replace": replace}
    options = {"kind": kind} if format == "masks" else formats.options_of(format, given)
    report = formats.load(format).export(load_project(project), dest, source=source, split=split, **options)
    say(f"{report.objects} objects in {len(report.files)} files under {dest}")
    for entry in [*report.problems, *report.notes]:
        say(f"  {entry}")
    finish(as_json, report.as_dict())


@app.command()
def classes(
    project: ProjectPath,
    action: Annotated[str, typer.Argument(help="list, add, rename, recolor, key, move or remove.")] = "list",
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME] [VALUE]",
            help="The class; then a new name (rename), #RRGGBB (recolor), a digit or none (key), a place (move).",
            show_default=False,
        ),
    ] = None,
    color: Annotated[str | None, typer.Option(help="Of a class that is added: #RRGGBB.")] = None,
    key: Annotated[str | None, typer.Option(help="Of a class that is added: a digit.")] = None,
    give_to: Annotated[str | None, typer.Option(help="Of a class that is removed: its labels go to this one.")] = None,
    delete_labels: Annotated[
        bool, typer.Option("--delete-labels", help="Of a class that is removed: so are its labels.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List and change the classes of a project. Labels, predictions and models follow a new name."""
    from mia_tui import console

    opened = load_project(project)
    given = arguments or []
    if action != "list":
        wanted = console.CLASS_ARGUMENTS.get(action)
        if wanted is None:
            raise typer.BadParameter(f"{action!r} is none of list, {', '.join(console.CLASS_ARGUMENTS)}")
        if len(given) != len(wanted):
            raise typer.BadParameter(f"classes {action} needs {' and '.join(wanted)}")
        if action == "remove":
            opened = console.remove_class(opened, given[0], give_to, delete_labels, progress_line)
        else:
            opened = console.change_class(opened, action, given, color, key, progress_line)
    found = console.class_rows(opened)
    say(console.format_classes(found))
    finish(as_json, found)


@app.command()
def classify(
    project: ProjectPath,
    name: Annotated[str, typer.Argument(metavar="CLASS", help="The class to give.", show_default=False)],
    images: Annotated[
        list[str] | None, typer.Option(help="Key of an image or of a folder of images, as often as needed.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Also where there is a class.")] = False,
    as_json: Json = False,
) -> None:
    """Give whole images a class (all frames of each): the twin of a whole folder on the labelling screen."""
    from mia_tui.labeling.image_class import classify_frames, frames_of

    opened = load_project(project)
    wanted = [key.rstrip("/") for key in images or ()]
    refs = [r for r in opened.images() if not wanted or any(r.key == k or r.key.startswith(f"{k}/") for k in wanted)]
    if not refs:
        raise MiaError(f"project {opened.name} has no images {', '.join(wanted)}. mia-tui info {project} lists them.")
    report = classify_frames(opened, frames_of(opened, refs), name, replace=replace)
    say(f"{len(report.done)} frames are {name}, {len(report.skipped)} left alone")
    for problem in report.problems:
        say(f"  {problem}")
    finish(as_json, report.as_dict())
    if report.problems and not report.done:
        raise MiaError(f"no image got a class: {report.problems[0]}")
