"""Commands for training and prediction."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mia_tui.cli.base import Device, Json, ProjectPath, app, finish, load_project, progress_line, say
from mia_tui.errors import MiaError


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
def crossval(
    project: ProjectPath,
    name: Annotated[
        str | None, typer.Option(help="Of the runs and models, -fold1 ... behind it; the same name again goes on.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=100, help="Parts into which the images are cut.")] = 5,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, as often as needed.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML or JSON file of settings.")] = None,
    as_json: Json = False,
) -> None:
    """Cross-validate settings: train once for each fold and score every image with the model that has not seen it."""
    from mia_tui import console
    from mia_tui.analysis.scores import format_score

    found = console.cross_validate(load_project(project), name, folds, settings or [], config, progress_line)
    if found["state"] == "finished":
        say(console.format_folds(found))
        say("\nall images, each by the model that has not seen it:")
        say(format_score(found))
    finish(as_json, found)


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
