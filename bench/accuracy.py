"""How good models get on real images that they never saw: the README's table.

Each experiment splits a data set, runs the command lines that it prints (new, import, train, predict, score) with the
settings in `bench/configs/`, once per seed, and prints mean and spread.

    python bench/accuracy.py                       # lists the experiments
    python bench/accuracy.py bccd-classification --seeds 0,1,2 [--minutes M] [--keep DIR]
"""

import argparse
import csv
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from _output import show

DATA = Path(os.environ.get("MIA_TUI_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CONFIGS = Path(__file__).parent / "configs"

Split = Callable[[Path], None]


@dataclass(frozen=True)
class Experiment:
    """`split` fills train/ and test/; labels come in by `--format`; the score's numbers are those of `score`."""

    task: str
    classes: str
    split: Split
    format: str
    goal: str


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source.resolve())


def masks(data: str, pattern: str) -> Split:
    """Every fourth image in order of their names is for the test."""

    def split(folder: Path) -> None:
        root = DATA / data / "train"
        images = sorted(path for path in (root / "images").iterdir() if re.match(pattern, path.name))
        for index, image in enumerate(images):
            part = folder / ("test" if index % 4 == 3 else "train")
            link(image, part / "images" / image.name)
            link(root / "labels" / f"{image.stem}.tif", part / "labels" / f"{image.stem}.tif")

    return split


def blood(folder: Path) -> None:
    """Crops by class; all crops of every fourth smear are for the test."""
    for path in sorted((DATA / "bccd" / "crops" / "train").glob("*/*.png")):
        smear = int(path.name.split("_")[1])
        part = folder / ("test" if smear % 4 == 3 else "train")
        link(path, part / "images" / path.parent.name / path.name)
    rows = [f"{path.parent.name}/{path.name},0,{path.parent.name}" for path in (folder / "test").rglob("*.png")]
    (folder / "test" / "labels.csv").write_text("\n".join(["image,frame,class", *rows]) + "\n")


def nuclei_points(folder: Path) -> None:
    """BBBC039; every fourth image is for the test."""
    root = DATA / "bbbc039"
    images = sorted((root / "train" / "images").iterdir())
    held = {image.name for image in images[3::4]}
    for image in images:
        link(image, folder / ("test" if image.name in held else "train") / "images" / image.name)
    with open(root / "points.csv") as table:  # centroids of labels: the centre of the first pixel is 0 there, 0.5 here
        rows = [
            (f"{row['image']}.tif", float(row["y"]) + 0.5, float(row["x"]) + 0.5, "nucleus")
            for row in csv.DictReader(table)
        ]
    _split_points(rows, held, folder)


def counting(folder: Path) -> None:
    """The simulator's counting set: 200 images, half of them for the test."""
    from mia_tui.simulate.counting import write_counting_set

    made = folder / "made"
    write_counting_set(made, count=200, seed=0)
    images = sorted(made.rglob("*.png"))
    held = {image.name for image in images[1::2]}
    for image in images:
        link(image, folder / ("test" if image.name in held else "train") / "images" / image.name)
    with open(made / "points.csv") as lines:
        rows = [(Path(row["image"]).name, float(row["y"]), float(row["x"]), "cell") for row in csv.DictReader(lines)]
    _split_points(rows, held, folder)


def _split_points(rows: list[tuple[str, float, float, str]], held: set[str], folder: Path) -> None:
    for part, wanted in (("test", True), ("train", False)):
        lines = [f"{image},0,{y},{x},{name}" for image, y, x, name in rows if (image in held) == wanted]
        (folder / part / "labels.csv").write_text("\n".join(["image,frame,y,x,class", *lines]) + "\n")


WAYS = ("border", "distance", "flow")
EXPERIMENTS = {
    "bccd-classification": Experiment(
        "classification", "RBC,WBC,Platelets", blood, "folders", "macro F1 at least 0.90"
    ),
    "bbbc039-detection": Experiment(
        "detection", "nucleus", nuclei_points, "points", "F1 within 6 px at least 0.93, count MAE below 5 %"
    ),
    "counting-detection": Experiment("detection", "cell", counting, "points", "count MAE at most 3"),
    **{
        f"{name}-{way}": Experiment("segmentation", "nucleus", split, "masks", goal)
        for name, split, goal in (
            ("dsb2018-fluo", masks("dsb2018", "fluo_"), "pooled AP@0.5 at least 0.75"),
            ("dsb2018-histology", masks("dsb2018", "he"), "the best of the three is the default"),
            ("usiigaci", masks("usiigaci_phase", ""), "the best of the three is the default"),
        )
        for way in WAYS
    },
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("experiment", nargs="?", choices=EXPERIMENTS)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--minutes", type=float, help="in place of those of the config")
    parser.add_argument("--set", action="append", default=[], help="further settings key=value")
    parser.add_argument("--tta", action="store_true")
    parser.add_argument("--keep", type=Path, help="work here and keep everything")
    options = parser.parse_args()
    if options.experiment is None:
        print("\n".join(f"{name:28}{experiment.goal}" for name, experiment in EXPERIMENTS.items()))
        return
    if not DATA.is_dir():
        sys.exit(f"skipped: {DATA} is not there")
    with tempfile.TemporaryDirectory() as scratch:
        run(options.experiment, options.keep or Path(scratch), options)


def run(name: str, folder: Path, options: argparse.Namespace) -> None:
    """All seeds of an experiment below `folder`."""
    experiment = EXPERIMENTS[name]
    prepare(experiment, folder)
    extra = [f"max_minutes={options.minutes:g}"] if options.minutes else []
    rows = [
        once(name, experiment, folder, seed, [*extra, *options.set], options.tta)
        for seed in map(int, options.seeds.split(","))
    ]
    values: dict[str, float] = {}
    for key in rows[0]:
        listed = [row[key] for row in rows]
        values[key] = statistics.mean(listed)
        values[f"{key} spread"] = max(listed) - min(listed)
    show(f"accuracy-{name}", {"seeds": len(rows), **values}, experiment.goal)


def prepare(experiment: Experiment, folder: Path) -> None:
    """Split the data, make the project, bring in the labels."""
    experiment.split(folder)
    mia(
        "new", "project", "--images", "train/images", "--predict-images", "test/images", "--task", experiment.task,
        "--classes", experiment.classes, at=folder,
    )  # fmt: skip
    source = {"folders": "train/images", "points": "train/labels.csv"}.get(experiment.format, "train/labels")
    mia("import", "project", source, "--format", experiment.format, at=folder)


def once(
    name: str, experiment: Experiment, folder: Path, seed: int, settings: list[str], tta: bool
) -> dict[str, float]:
    """Train, predict and score with one seed."""
    model = f"seed{seed}"
    wish = [part for pair in [f"seed={seed}", *settings] for part in ("--set", pair)]
    mia("train", "project", "--name", model, "--config", str((CONFIGS / f"{name}.toml").resolve()), *wish, at=folder)
    mia("predict", "project", "--model", model, "--out", f"found-{model}", *(["--tta"] if tta else []), at=folder)
    return SCORES[experiment.task](folder, f"found-{model}")


def score_masks(folder: Path, found: str) -> dict[str, float]:
    totals = mia("score", found, "test/labels", at=folder)["totals"]
    return {
        "AP@0.5 pooled": totals[0]["pooled"]["accuracy"],
        "AP@0.5 mean over images": totals[0]["mean_over_images"]["accuracy"],
        "AP pooled, mean of IoU 0.5 to 0.9": statistics.mean(at["pooled"]["accuracy"] for at in totals),
    }


def score_points(folder: Path, found: str) -> dict[str, float]:
    pooled = mia("score", found, "test/labels.csv", "--metric", "points", "--radius", "6", at=folder)["pooled"]
    return {
        key: float(pooled[key])
        for key in ("f1", "precision", "recall", "mean_distance", "count_mae", "relative_count_error")
        if pooled[key] is not None
    }


def score_classes(folder: Path, found: str) -> dict[str, float]:
    totals = mia("score", f"{found}/classes.csv", "test/labels.csv", "--metric", "classes", at=folder)["totals"]
    values = {key: float(totals[key]) for key in ("macro_f1", "accuracy", "balanced_accuracy")}
    return values | ({"macro_auc": float(totals["macro_auc"])} if totals.get("macro_auc") is not None else {})


SCORES = {"segmentation": score_masks, "detection": score_points, "classification": score_classes}


def mia(*arguments: str, at: Path) -> dict:
    """Run one command of mia-tui, showing it and what it says; its JSON."""
    print("$ mia-tui", *arguments, flush=True)
    command = [sys.executable, "-m", "mia_tui.cli", *arguments, "--json"]
    said = subprocess.run(command, cwd=at, stdout=subprocess.PIPE, text=True, check=True).stdout
    text, _, last = said.rstrip().rpartition("\n")
    print(text, flush=True)
    return json.loads(last)


if __name__ == "__main__":
    main()
