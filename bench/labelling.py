"""How fast labelling by keys is: an oracle that knows the truth labels real images from nothing, and only presses keys.

    python bench/labelling.py [--task points] [--task masks] [--set bbbc039] [--every N] [--name PART]

It presses them on the desk itself (`mia_tui/labeling/desk`), with what a terminal of 120 x 40 shows, and does what a
good user does: propose, scrub, accept all, then all deletions, splits, merges and sizes, then add what is missing by
hint (`Y`) and by the grid, and at last draw with the spline. What it did is on disk as after any session;
`tests/test_bench_labelling.py` plays the keys again without it, and `tests/e2e/test_bench_in_terminal.py` in the app.

What it knows and a person does not: where each key leads. It looks ahead on the desk and takes everything back before
it chooses the quickest keys; a person sees live what scrubbing, `w`, `s`, `v` and the arrows do, and presses back now
and then, which is not counted. It knows an object's outline to the pixel, where a person judges by eye. Looking and
deciding cost nothing here; a key that is known costs 0.28 s, a letter that has to be read first 0.5 s.

An object is labelled when a mask reaches an intersection over union of 0.7, or a point lies within half the radius.
False ones have to be deleted. *Left to drawing* is what proposals, hints, grid, shapes and sizes did not give within
ten keys; its drawing is counted too. *Never good* is what even drawing did not give: mostly objects that lie under a
neighbour's mask. Every second image of dsb2018 was used to fit the proposals' table, so the other half is the honest
one.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from _output import show
from labelling_hand import QUICK_S, Cost, Eyes, Hand
from labelling_masks import label_masks
from labelling_points import label_points
from labelling_truth import Truth, read_truth

from mia_tui.imaging.image import open_image
from mia_tui.labeling.desk.desk import Desk
from mia_tui.project import Project

DATA = Path(os.environ.get("MIA_TUI_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
TASKS = {"points": ("detection", label_points), "masks": ("segmentation", label_masks)}
GOALS = {
    "points": "at most 1.0 key and 0.7 s per object",
    "masks": "at most 2.5 keys and 1.3 s per object, at most 4 % left to drawing",
}


@dataclass
class Result:
    """One image, labelled."""

    name: str
    objects: int
    costs: dict[str, Cost]
    counts: dict[str, int]
    keys: list[str] = field(repr=False, default_factory=list)
    seconds: float = 0.0

    @property
    def cost(self) -> Cost:
        return sum(self.costs.values(), Cost())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--task", action="append", choices=TASKS)
    parser.add_argument("--set", choices=("dsb2018", "bbbc039"), default="dsb2018")
    parser.add_argument("--every", type=int, default=1, help="take every so-manieth image only")
    parser.add_argument("--name", help="only images whose name has this in it")
    options = parser.parse_args()
    images = pairs(options.set)
    if not images:
        sys.exit(f"skipped: {DATA / options.set} is not there")
    for task in options.task or TASKS:
        chosen = [pair for pair in images[:: options.every] if not options.name or options.name in pair[0].name]
        with tempfile.TemporaryDirectory(dir=shared_memory()) as folder:
            results = list(run(task, chosen, Path(folder)))
        order = {pair[0].name: index for index, pair in enumerate(images)}
        report(task, options.set, results, order)


def shared_memory() -> str | None:
    """A folder in memory, where edits need not wait for a disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def pairs(name: str) -> list[tuple[Path, Path]]:
    """Images of a data set with their label images."""
    pattern = {"dsb2018": "fluo_*.png", "bbbc039": "*.tif"}[name]
    folder = DATA / name / "train"
    return [(image, folder / "labels" / f"{image.stem}.tif") for image in sorted((folder / "images").glob(pattern))]


def run(task: str, images: list[tuple[Path, Path]], folder: Path) -> Iterator[Result]:
    """Label the images of a new project one after another, as a person would."""
    desk = Desk(project_of(task, images, folder))
    for image, labels in images:
        with on_desk(desk, image) as hand:
            result = labelled(task, hand, image.name, read_truth(labels))
        print(row(result), flush=True)
        yield result


def project_of(task: str, images: list[tuple[Path, Path]], folder: Path) -> Project:
    """A new project with these images, `folder`/project."""
    (folder / "images").mkdir()
    for image, _ in images:
        (folder / "images" / image.name).symlink_to(image.resolve())
    return Project.create(folder / "project", images=folder / "images", task=TASKS[task][0], classes=["nucleus"])


@contextmanager
def on_desk(desk: Desk, image: Path) -> Iterator[Hand]:
    """A hand at an image of the desk's project."""
    with open_image(image) as file:
        plane, rgb = file.plane(), file.info.rgb
    eyes = Eyes((plane.shape[-2], plane.shape[-1]))
    desk.view, desk.cursor = eyes.view, eyes.cursor
    desk.open(image.name, "image", plane, rgb=rgb)
    yield Hand(desk, eyes)
    desk.close()


def labelled(task: str, hand: Hand, name: str, truth: Truth) -> Result:
    """Label what is on the desk."""
    started = time.perf_counter()
    counts = TASKS[task][1](hand, truth)
    return Result(name, truth.count, hand.costs, counts, hand.pressed, time.perf_counter() - started)


# ---- report ----------------------------------------------------------------------------------------------------------


def row(result: Result) -> str:
    cost, n = result.cost, result.objects
    counts = "  ".join(f"{key} {value}" for key, value in result.counts.items())
    spent = "  ".join(f"{key} {value.seconds() / n:.2f}" for key, value in result.costs.items())
    return (
        f"  {result.name:30}{n:4}  {cost.keys / n:5.2f} keys  {cost.seconds() / n:5.2f} s  {counts}"
        f"  [{spent}]  {result.seconds:.0f} s"
    )


def pooled(results: list[Result]) -> dict[str, float]:
    """Per object over all images."""
    total = max(sum(result.objects for result in results), 1)
    cost = sum((result.cost for result in results), Cost())
    found: dict[str, float] = {
        "images": len(results), "objects": total, "keys per object": cost.keys / total,
        "seconds per object": cost.seconds() / total, "seconds at 0.2 s a key": cost.seconds(QUICK_S) / total,
        "median keys of images": float(np.median([result.cost.keys / result.objects for result in results])),
    }  # fmt: skip
    for key in results[0].counts:
        found[f"share {key}"] = sum(result.counts[key] for result in results) / total
    for key in dict.fromkeys(purpose for result in results for purpose in result.costs):
        spent = sum((result.costs.get(key, Cost()) for result in results), Cost())
        found[f"keys to {key}"] = spent.keys / total
        found[f"seconds to {key}"] = spent.seconds() / total
    return found


def report(task: str, name: str, results: list[Result], order: dict[str, int]) -> None:
    """All images; for the set that the proposals' table was fitted to, both halves, of which the second is honest."""
    values = {"all": results}
    if name == "dsb2018":
        values["fitted half"] = [result for result in results if order[result.name] % 2 == 0]
        values["other half"] = [result for result in results if order[result.name] % 2 == 1]
    shown = {f"{part}: {key}": value for part, some in values.items() if some for key, value in pooled(some).items()}
    show(f"labelling-{task}-{name}", shown, GOALS[task])


if __name__ == "__main__":
    main()
