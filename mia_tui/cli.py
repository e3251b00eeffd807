"""The command line: parse, call, print. Every command takes --json; heavy imports happen inside the commands."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mia_tui.errors import MiaError

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


NO_IMAGES = ": put PNG, JPEG, BMP or TIFF files there"


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


# ---- projects and data ----------------------------------------------------------------------------------------------


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


# ---- training and prediction ----------------------------------------------------------------------------------------


@app.command()
def train(
    project: ProjectPath,
    name: Annotated[str | None, typer.Option(help="Name of the run and its model.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, as often as needed.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML or JSON file of settings.")] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with this run; with --set epochs=N beyond the end it was given.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once; the training goes on.")] = False,
    as_json: Json = False,
) -> None:
    """Train a network on the labels of a project, in a process of its own."""
    from mia_tui import console

    opened = load_project(project)
    if resume and (name or config):
        raise typer.BadParameter(
            "--resume goes on with the name and settings of the run; start a new one to change them"
        )
    run = (
        console.resume_training(opened, resume, settings or [])
        if resume
        else console.start_training(opened, name, settings or [], config)
    )
    if detach:
        say(f"run {run.id} started; watch it with: mia-tui runs {project} watch {run.id}")
        finish(as_json, {"run": run.id, "folder": run.path})
        return
    result = console.watch_run(run, stop_on_interrupt=True)
    console.check_ended_well(result)
    finish(as_json, result)


@app.command()
def augment(
    project: ProjectPath,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, as often as needed.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML or JSON file of settings.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="PNG file; results/augmentation.png of the project by default.")
    ] = None,
    prices: Annotated[
        bool, typer.Option("--prices", help="Also measure how many samples per second each switch allows.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Draw sixteen samples as a training with these settings would see them, as a picture."""
    from mia_tui import console

    opened = load_project(project)
    found = console.draw_augmentation(opened, settings or [], config, out, with_prices=prices)
    say(console.format_augmentation(found))
    finish(as_json, found)


@app.command()
def tune(
    project: ProjectPath,
    name: Annotated[str | None, typer.Option(help="Name of the search; the same name again goes on with it.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trainings in all, those that failed not counted.")] = 20,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many minutes, to go on another time.")] = None,
    trial_minutes: Annotated[float | None, typer.Option(help="Wall time of each training.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, the same for all trials, as often as needed.")
    ] = None,
    search: Annotated[
        list[str] | None, typer.Option(help="key=low:high or key=a,b,c: vary this setting, as often as needed.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the search and of every training; 0 by default.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep all models, not only the best one.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Only show what was found so far.")] = False,
    as_json: Json = False,
) -> None:
    """Search good settings for the training: many short trainings, bad ones ended early, resumable."""
    from mia_tui import console

    opened = load_project(project)
    if minutes is not None and minutes <= 0:
        raise typer.BadParameter("--minutes must be more than 0")
    if show:
        found = console.show_search(opened, name)
        finish(as_json, found)
        return
    plan = console.search_plan(opened, settings or [], search or [], trial_minutes, seed)
    found = console.run_search(opened, name, plan, trials=trials, minutes=minutes, keep=keep)
    finish(as_json, found)
    if not found["ok"]:
        raise MiaError(f"the search was ended: {found['reason']}")


@app.command()
def runs(
    project: ProjectPath,
    action: Annotated[str, typer.Argument(help="list, show, watch, stop, resume or rm.")] = "list",
    run: Annotated[str | None, typer.Argument(help="Run.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """List, watch and steer the runs of a project."""
    from mia_tui import console

    if action not in ("list", *console.RUN_ACTIONS):
        raise typer.BadParameter(f"{action!r} is none of list, {', '.join(console.RUN_ACTIONS)}")
    opened = load_project(project)
    if action == "list":
        rows = console.run_rows(opened)
        say(console.format_runs(rows) if rows else "no runs yet; start one with: mia-tui train " + str(project))
        finish(as_json, {"runs": rows})
        return
    if run is None:
        raise typer.BadParameter(f"runs {action} needs the name of a run")
    result = console.RUN_ACTIONS[action](console.find_run(opened, run))
    finish(as_json, result)


@app.command()
def predict(
    project: ProjectPath,
    model: Annotated[str, typer.Option(help="Name of a model of the project.", show_default=False)],
    images: Annotated[list[str] | None, typer.Option(help="Image, file or folder, as often as needed.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write label TIFFs or tables here instead of into the project.")
    ] = None,
    tta: Annotated[bool, typer.Option("--tta", help="Average over eight flips and turns.")] = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Keep probabilities as TIFF.")] = False,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Measure how unsure the model is of each object (best with --tta).")
    ] = False,
    onnx: Annotated[bool, typer.Option("--onnx", help="Compute with ONNX Runtime: faster on CPUs.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Find objects in images with a trained model."""
    from mia_tui.console import read_card

    opened = load_project(project)
    read_card(opened, model)  # a wrong name is said before the libraries of the engine are loaded
    from mia_tui.engine.predict import predict_project

    summary = predict_project(
        opened, model, images=images, out=out, tta=tta, probabilities=probabilities, uncertainty=uncertainty,
        onnx=onnx, device=device, report=progress_line,
    )  # fmt: skip
    say(f"{summary.objects} objects on {summary.frames} frames of {summary.images} images")
    for key, reason in summary.failed.items():
        say(f"  failed: {key}: {reason}")
    finish(as_json, vars(summary))
    if summary.failed:
        raise MiaError(f"{len(summary.failed)} images could not be predicted; the first: {next(iter(summary.failed))}")


@app.command()
def evaluate(
    project: ProjectPath,
    model: Annotated[str, typer.Option(help="Name of a model of the project.", show_default=False)],
    split: Annotated[str, typer.Option(help="val, train, new (never seen) or all labelled frames.")] = "val",
    tta: Annotated[bool, typer.Option("--tta", help="Average over eight flips and turns.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Score a model on labelled frames."""
    from mia_tui.console import read_card

    opened = load_project(project)
    read_card(opened, model)
    from mia_tui.analysis.scores import format_score
    from mia_tui.engine.evaluate import evaluate_project

    result = evaluate_project(opened, model, split=split, device=device, tta=tta, report=progress_line)
    say(format_score(result))
    if result["metric"] == "ap":  # of objects; the other tasks have their classes in the one table
        say("")
        say(format_score(result["classes"]))
    finish(as_json, result)


@app.command()
def score(
    pred: Annotated[Path, typer.Argument(metavar="PRED", help="Predicted label images or tables.", show_default=False)],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="True ones.", show_default=False)],
    metric: Annotated[
        str,
        typer.Option(
            help="ap (instances), classes (of pixels, or of images in tables classes.csv), points (tables) or ctc "
            "(tracks in folders of the Cell Tracking Challenge, such as 01_RES and 01_GT)."
        ),
    ] = "ap",
    radius: Annotated[float, typer.Option(help="Of points: pixels within which a found one may be a true one.")] = 6.0,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="A missing prediction counts as empty; of image classes: not at all. Not of ctc."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Score two folders of label images, tracks, or tables of points or image classes; no project needed."""
    from mia_tui.analysis.scores import format_score, score_folders

    result = score_folders(pred, truth, metric, radius=radius, allow_missing=allow_missing)
    say(format_score(result))
    finish(as_json, result)


@app.command()
def models(
    project: ProjectPath,
    action: Annotated[str, typer.Argument(help="list, show, export, import or rm.")] = "list",
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME|FILE]", help="Model; the file to import.", show_default=False)
    ] = None,
    format: Annotated[str, typer.Option(help="Of an export: safetensors, onnx, pt2 or bioimageio.")] = "safetensors",
    out: Annotated[Path | None, typer.Option(help="File to export to; by default in results/.")] = None,
    new_name: Annotated[str | None, typer.Option("--name", help="Name of an imported model.")] = None,
    license: Annotated[str, typer.Option(help="Of exported weights: SPDX identifier (bioimageio).")] = "CC-BY-4.0",
    author: Annotated[list[str] | None, typer.Option(help="Of exported weights, as often as needed.")] = None,
    as_json: Json = False,
) -> None:
    """List, show, export, import and remove the models of a project."""
    from mia_tui import console

    opened = load_project(project)
    if action == "list":
        rows = console.model_rows(opened)
        say(console.format_models(rows) if rows else "no models yet; train one with: mia-tui train " + str(project))
        finish(as_json, {"models": rows})
        return
    if action not in ("show", "export", "import", "rm") or name is None:
        raise typer.BadParameter("give list, show NAME, export NAME, import FILE or rm NAME")
    if action == "export":
        report = console.export_model(opened, name, format, out, license, author or ())
        say(console.format_export(report))
        finish(as_json, report)
        return
    if action == "import":
        imported = console.import_model(opened, Path(name), new_name)
        say(f"model {imported['model']} imported: {imported['task']}, {imported['network']}")
        finish(as_json, imported)
        return
    card = console.read_card(opened, name)
    if action == "rm":
        console.remove_model(opened, name)
        say(f"model {name} removed")
    else:
        say(json.dumps(card, indent=1))
    finish(as_json, card)


@app.command()
def doctor(
    graphics: Annotated[str, typer.Option(help="Way of drawing to judge; as for the interface.")] = "auto",
    quick: Annotated[bool, typer.Option("--quick", help="Without torch, and without going through all keys.")] = False,
    as_json: Json = False,
) -> None:
    """What is found in this terminal and on this machine, how pictures are drawn and why, and what would help."""
    from mia_tui import doctor as examination

    wrong = None if quick else _key_problems()
    found = examination.report(graphics, quick=quick, key_problems=wrong)
    say(examination.text(found))
    finish(as_json, examination.for_programs(found))


def _key_problems() -> list[str]:
    from mia_tui.app import SCREEN_CLASSES
    from mia_tui.keymap import load_keymap
    from mia_tui.screens.keys import problems

    return list(problems(SCREEN_CLASSES, load_keymap()))


@app.command()
def keys(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As a page of documentation, without your own keys.")
    ] = False,
    as_json: Json = False,
) -> None:
    """All keys of all screens, with your own ones."""
    from mia_tui.app import SCREEN_CLASSES
    from mia_tui.keymap import KeyMap, load_keymap
    from mia_tui.screens.keys import lines, problems, tables

    keymap = KeyMap() if markdown else load_keymap()
    for line in lines(SCREEN_CLASSES, keymap, markdown=markdown):
        say(line)
    wrong = problems(SCREEN_CLASSES, keymap)
    for problem in wrong:
        say(f"problem: {problem}")
    rows = {name: {row.id: row.key_names for row in table} for name, table in tables(SCREEN_CLASSES, keymap).items()}
    finish(as_json, {"preset": keymap.preset, "keys": rows, "problems": wrong})


# ---- results --------------------------------------------------------------------------------------------------------


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
        class_rule=classes, low_score=low_score,  # type: ignore[arg-type]
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


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the sample project goes.")] = Path(
        "demo-project"
    ),
    headless: Annotated[bool, typer.Option("--headless", help="Run the whole loop without a terminal.")] = False,
    create_only: Annotated[bool, typer.Option("--create-only", help="Make the project and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Make a project of simulated cells and open it, or run the whole loop on it."""
    from mia_tui import demo as demo_module

    if create_only:
        finish(as_json, {"project": demo_module.make_project(folder, say).folder})
    elif headless or not (sys.stdin.isatty() and sys.stdout.isatty()):
        finish(as_json, demo_module.run_headless(folder, say))
    else:
        open_terminal(demo_module.make_project(folder, say).folder, "auto")


def open_terminal(project: Path | None, graphics: str) -> None:
    """The terminal interface."""
    from mia_tui.app import run

    run(project, graphics)


def _opens_terminal(arguments: list[str]) -> bool:
    """Whether `mia-tui ARGUMENTS` means the interface: no command, only perhaps a project and how to draw."""
    if arguments and arguments[0] in {*COMMANDS, "--help", "-h", "--version"}:
        return False
    return not arguments or arguments[0] in ("--graphics", "--ascii") or Path(arguments[0]).exists()


def _run_command(arguments: list[str]) -> None:
    """Run a command. What is wrong with its arguments is said, as JSON too where that is wanted; exit code 2."""
    usage_error: Any = typer.BadParameter.__base__  # of the click inside typer, which has no public name everywhere
    try:
        if arguments[0] not in COMMANDS and not arguments[0].startswith("-"):
            raise typer.BadParameter(f"{arguments[0]!r} is neither a command nor a folder. See mia-tui --help.")
        code = app(standalone_mode=False)
    except usage_error as error:
        error.show()
        if "--json" in arguments:
            say(json.dumps({"error": error.format_message()}))
        raise SystemExit(2) from None
    raise SystemExit(code if isinstance(code, int) else 0)


COMMANDS = [str(c.name or (c.callback.__name__ if c.callback else "")) for c in app.registered_commands]


def _terminal_arguments(arguments: list[str]) -> tuple[Path | None, str]:
    from mia_tui.terminal.record import GRAPHICS

    graphics = "ascii" if "--ascii" in arguments else "auto"
    rest = [argument for argument in arguments if argument != "--ascii"]
    if "--graphics" in rest:
        place = rest.index("--graphics")
        graphics = rest[place + 1] if place + 1 < len(rest) else ""
        del rest[place : place + 2]
    if len(rest) > 1 or graphics not in GRAPHICS:
        say(f"usage: mia-tui [PROJECT] [--graphics {'|'.join(GRAPHICS)}] [--ascii]")
        raise SystemExit(2)
    return (Path(rest[0]) if rest else None), graphics


def main() -> None:
    """Entry point: a command, or the terminal interface."""
    # read when the engine's libraries are imported: without a network a weight look-up hangs for half a minute
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    arguments = sys.argv[1:]
    try:
        if arguments == ["--version"]:
            from mia_tui import __version__

            say(f"mia-tui {__version__}")
        elif _opens_terminal(arguments):
            open_terminal(*_terminal_arguments(arguments))
        else:
            _run_command(arguments)
    except MiaError as error:
        print(f"mia-tui: {error}", file=sys.stderr)
        if "--json" in arguments:
            say(json.dumps({"error": str(error)}))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
