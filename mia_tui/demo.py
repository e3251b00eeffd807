"""The sample project: simulated cells, and the whole loop on them from images to a table of measured objects."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mia_tui.errors import MiaError
from mia_tui.project import FILE_NAME, Project

Say = Callable[[str], None]

MODEL = "demo"
TRAINING: dict[str, Any] = {
    "patch_size": 128, "batch_size": 8, "epochs": 8, "steps_per_epoch": 20,
    "max_minutes": 5.0, "validation": 0.2,
}  # fmt: skip
"""Small enough for two CPU cores, large enough to part most touching cells. The minutes are for a busy machine."""


def make_project(folder: Path, say: Say) -> Project:
    """Simulate images, make a project of them and import their masks; a finished demo project is opened as it is."""
    from mia_tui.formats import masks
    from mia_tui.simulate import write_dataset

    folder = folder.expanduser().resolve()
    if (folder / FILE_NAME).exists():
        say(f"{folder} is there already")
        return Project.load(folder)
    if folder.exists() and any(folder.iterdir()):
        raise MiaError(f"{folder} is not empty and no project. Give another folder for the demo.")
    images = folder / "images"
    counts = write_dataset(images)
    say(f"simulated {counts['train']} training images and {counts['predict']} images to predict in {images}")
    project = Project.create(
        folder, images=images / "train", predict_images=images / "predict", classes=["nucleus"], name="Simulated cells"
    )
    report = masks.import_masks(project, images / "train_masks", kind="instance")
    say(f"imported {report.objects} labelled cells on {len(report.frames)} images")
    return report.project


def run_headless(folder: Path, say: Say) -> dict[str, Any]:
    """Simulate, train, predict, evaluate, score, measure, draw; what was found and where it lies.

    Raises
    ------
    MiaError
        When a step fails.
    """
    from mia_tui import console
    from mia_tui.jobs import control

    began = time.monotonic()
    project = make_project(folder, say)
    if MODEL not in project.models():
        say("training ...")
        run = control.start(project, {"kind": "train", "device": "auto", "train": TRAINING, "name": MODEL}, MODEL)
        console.check_ended_well(console.watch_run(run, stop_on_interrupt=True))
    result = _use_model(project, say)
    result["seconds"] = round(time.monotonic() - began, 1)
    say(f"the whole loop took {result['seconds']:.0f} s; open the project with: mia-tui {project.folder}")
    return result


def _use_model(project: Project, say: Say) -> dict[str, Any]:
    """Predict the images that were held out, score them against the exact masks, measure, draw."""
    from mia_tui.analysis.measure import measure_project
    from mia_tui.analysis.scores import format_score, score_folders
    from mia_tui.analysis.tables import write_table
    from mia_tui.engine.evaluate import evaluate_project
    from mia_tui.engine.predict import predict_project
    from mia_tui.formats import masks

    summary = predict_project(project, MODEL)
    say(f"predicted {summary.objects} objects on {summary.frames} frames of {summary.images} images")
    source = f"predictions:{MODEL}"
    exported = project.results_folder / "masks"
    masks.export_masks(project, exported, source=source, split="predict")
    scored = score_folders(exported, project.folder / "images" / "predict_masks")
    say("predicted images against the simulator's masks:")
    say(format_score(scored))
    validation = evaluate_project(project, MODEL, split="val")
    measured = measure_project(project, source)
    table = project.results_folder / f"objects-predictions-{MODEL}.csv"
    write_table(measured.table, table)
    pictures = _draw(project, exported)
    say(f"table of {measured.table.num_rows} measured objects: {table}")
    say(f"pictures: {pictures}")
    at_half = {"pooled": scored["totals"][0]["pooled"], "mean": scored["totals"][0]["mean_over_images"]}
    return {
        "project": project.folder, "model": MODEL, "objects": summary.objects, "table": table, "pictures": pictures,
        "ap50": at_half["pooled"]["accuracy"], "ap50_mean": at_half["mean"]["accuracy"],
        "validation_ap50": validation["totals"][0]["pooled"]["accuracy"], "rows": measured.table.num_rows,
    }  # fmt: skip


def _draw(project: Project, exported: Path) -> Path:
    """Every predicted image with predicted outlines (blue) over true ones (orange) as PNG."""
    from PIL import Image

    from mia_tui.engine.normalize import Normalization, apply_limits
    from mia_tui.engine.preview import grey_or_rgb
    from mia_tui.engine.tasks.segmentation import outline
    from mia_tui.engine.tasks.task import FOUND, TRUTH
    from mia_tui.imaging.image import open_image, open_ref

    folder = project.results_folder / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for ref in project.images("predict"):
        truth_path = project.folder / "images" / "predict_masks" / ref.path.name
        found_path = next(exported.rglob(f"{ref.path.name}.tif"))
        with open_ref(project, ref) as image, open_image(truth_path) as truth, open_image(found_path) as found:
            plane = image.plane()
            picture = grey_or_rgb(apply_limits(plane, Normalization().limits(plane)))
            outline(picture, truth.plane()[0], TRUTH)
            outline(picture, found.plane()[0], FOUND)
        Image.fromarray(picture).save(folder / f"{ref.path.stem}.png")
    return folder
