"""From scratch on real nuclei in 15 minutes: the README's first benchmark.

Takes the fluorescence images of the Data Science Bowl 2018 subset (`$MIA_TUI_DATA/dsb2018`, default ../shared/data),
keeps every fourth for the score, and runs the command lines that it prints: new, import, train, predict, score.

    python bench/dsb2018.py [--minutes 15] [--keep DIR]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _output import show

DATA = (
    Path(os.environ.get("MIA_TUI_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "dsb2018" / "train"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--keep", type=Path, help="work here and keep everything")
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"skipped: {DATA} is not there")
    with tempfile.TemporaryDirectory() as scratch:
        run(options.keep or Path(scratch), options.minutes)


def run(folder: Path, minutes: float) -> None:
    """Split, train, predict and score below `folder`."""
    split(folder)
    mia(
        "new",
        "nuclei",
        "--images",
        "train/images",
        "--predict-images",
        "test/images",
        "--classes",
        "nucleus",
        at=folder,
    )
    mia("import", "nuclei", "train/labels", "--format", "masks", at=folder)
    settings = [f"max_minutes={minutes:g}", "epochs=1000", "encoder=mobilenet_v2", "batch_size=4", "validation=0"]
    mia("train", "nuclei", "--name", "scratch", *(part for s in settings for part in ("--set", s)), at=folder)
    results = {}
    for name, extra in (("plain", []), ("tta", ["--tta"])):
        mia("predict", "nuclei", "--model", "scratch", "--out", f"found-{name}", *extra, at=folder)
        results[name] = mia("score", f"found-{name}", "test/labels", at=folder)["totals"][0]
    show(
        "dsb2018",
        {f"{name} {label}": results[name][kind]["accuracy"] for name in results
         for label, kind in (("AP@0.5 pooled", "pooled"), ("AP@0.5 mean", "mean_over_images"))},
        goal="at least 0.60 pooled and 0.70 mean over images",
    )  # fmt: skip


def split(folder: Path) -> None:
    """Every fourth fluorescence image, in order of their names, goes to `test`, the others to `train`."""
    for index, image in enumerate(sorted((DATA / "images").glob("fluo_*.png"))):
        part = folder / ("test" if index % 4 == 3 else "train")
        for source in (image, DATA / "labels" / f"{image.stem}.tif"):
            target = part / source.parent.name / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source.resolve())


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
