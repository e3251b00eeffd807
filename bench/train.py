"""How fast training is: our loop against a bare one and against PyTorch Lightning, our input against a naive one.

steps     Unet/resnet18 on 256 px patches, batch 8, on the CPU (or `--device cuda`), in turns in one process. Bare: one
          batch of tensors from memory, the same loss, AdamW. Lightning: its Trainer with our dataset (pip install
          lightning). Goal: at least 0.95 x bare, and above Lightning.
input     Samples per second of one core from 16-bit TIFF files, against reading the file, albumentations and a tensor
          for each sample. Goal: at least 2 x.
start     Seconds from spawning a worker to its first step, against importing torch and segmentation-models-pytorch.
          Goal: at most 1.3 x.
memory    Memory of reading a folder with a limit of 50 MB for decoded images, against the size of the folder.

    python bench/train.py [steps] [input] [start] [memory] [--device cuda]
"""

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
import torch
from _output import show

from mia_tui.engine.clock import Clock
from mia_tui.engine.config import make_config
from mia_tui.engine.learner import Learner, step
from mia_tui.engine.loader import Loader
from mia_tui.engine.material import Material, prepare
from mia_tui.engine.train import Job, Progress, _Speed, begin
from mia_tui.formats.masks import import_masks
from mia_tui.project import Project
from mia_tui.runfolder import RunFolder
from mia_tui.simulate import write_dataset

ROUNDS, STEPS = 5, 3
SIDE, BATCH = 256, 8
"""Of the patches."""


class Silent:
    def event(self, kind: str, **values: object) -> None: ...

    def status(self, **changes: object) -> None: ...


def make_job(folder: Path, device: str, **changes: object) -> Job:
    """A training on simulated cells."""
    write_dataset(folder / "images", train=8, predict=1, size=512, frames=1)
    project = Project.create(folder / "project", images=folder / "images" / "train")
    import_masks(project, folder / "images" / "train_masks", kind="instance")
    config = make_config({
        "encoder": "resnet18", "decoder_channels": [256, 128, 64, 32, 16], "patch_size": SIDE, "batch_size": BATCH,
        "device": device, "steps_per_epoch": 1000, "threads": 1, **changes,
    })  # fmt: skip
    return Job(project, config, RunFolder.create(project.runs_folder, "bench", {}), "bench", Silent())


# ---- steps ----------------------------------------------------------------------------------------------------------


def steps(device: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(Path(folder), device)
        material = prepare(job.project, job.config)
        learner, _, job = begin(job, material, Clock(None, time.monotonic()))
        loops = {"bare": bare_steps(job, material, learner), "ours": our_steps(job, material, learner)}
        for loop in loops.values():
            next(loop)  # the first step allocates
        times: dict[str, list[float]] = {name: [] for name in loops}
        for _ in range(ROUNDS):
            for name, loop in loops.items():
                times[name].append(timed(loop, STEPS))
        seconds = {name: statistics.median(values) for name, values in times.items()}
        lightning = lightning_step(job, material, learner)
    values = {f"{name} s/step": value for name, value in seconds.items()}
    values["ours / bare speed"] = seconds["bare"] / seconds["ours"]
    if lightning is not None:
        values |= {"lightning s/step": lightning, "ours / lightning speed": lightning / seconds["ours"]}
    show("train_steps", values, goal="at least 0.95 x bare, above Lightning")


def timed(loop: Iterator[None], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        next(loop)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / count


def our_steps(job: Job, material: Material, learner: Learner) -> Iterator[None]:
    """The body of `train`'s loop, a step at a time."""
    loader = Loader(material, job.config, job.class_count, learner.device)
    progress, clock = Progress(), Clock(None, time.monotonic())
    speed = _Speed(job, loader)
    for batch in loader.batches(0, 0):
        step(learner, [batch], 1e-3, progress.step)
        progress.step += 1
        speed.report(progress, clock, learner, 1e-3)
        yield


def bare_steps(job: Job, material: Material, learner: Learner) -> Iterator[None]:
    """A bare loop with a network of the same make, on one batch that stays in memory."""
    import copy

    model = copy.deepcopy(learner.model).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    loader = Loader(material, job.config, job.class_count, learner.device)
    batch = {name: tensor.to(learner.device) for name, tensor in next(iter(loader.batches(0, 0))).items()}
    image = batch["image"].contiguous(memory_format=torch.channels_last)
    for _ in itertools.count():
        with learner.precision.autocast():
            output = model(image)
        loss = learner.task.loss(output.float(), batch, learner.config, None)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield


def lightning_step(job: Job, material: Material, learner: Learner) -> float | None:
    """Seconds of a step of Lightning's Trainer on the same dataset; None when it is not installed."""
    try:
        import lightning
    except ImportError:
        print("lightning is not installed: pip install lightning")
        return None
    import copy

    config, task = job.config, material.task

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = copy.deepcopy(learner.model)

        def training_step(self, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
            image = batch["image"].contiguous(memory_format=torch.channels_last)
            return task.loss(self.model(image).float(), batch, config, None)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters())  # Lightning clips no gradients of fused optimisers

    class Times(lightning.Callback):
        def __init__(self) -> None:
            self.at: list[float] = []

        def on_train_batch_end(self, *unused: object) -> None:
            self.at.append(time.perf_counter())

    loader = Loader(material, config, job.class_count, learner.device)
    data = torch.utils.data.DataLoader(loader.patches, batch_size=config.batch_size, num_workers=loader.workers)
    times = Times()
    trainer = lightning.Trainer(
        max_steps=ROUNDS * STEPS + 1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[times], accelerator=learner.device.type, devices=1,
        gradient_clip_val=config.clip or None,
        precision="bf16-mixed" if learner.precision.dtype is torch.bfloat16 else "32-true",
    )  # fmt: skip
    trainer.fit(Module(), data)
    return statistics.median(np.diff(times.at).tolist())


# ---- input ----------------------------------------------------------------------------------------------------------


def pipeline(device: str) -> None:
    """Samples per second of one core: with the naive one's target (classes only), and with that of the default way."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = make_job(folder, "cpu")
        for path in (folder / "images" / "train").iterdir():  # as cameras and ImageJ write them, compressed
            tifffile.imwrite(path, tifffile.imread(path).astype(np.uint16), compression="zlib")
        draws = {"naive": naive_samples(sorted((folder / "images" / "train").iterdir()), folder / "images/train_masks")}
        for kind, touching in (("ours, classes", "off"), ("ours, flows", "flow")):
            config = job.config.model_copy(update={"touching": touching})
            material = prepare(job.project, config)
            draws[kind] = Loader(material, config, job.class_count, torch.device("cpu")).patches.__getitem__
        rates: dict[str, list[float]] = {kind: [] for kind in draws}
        for _ in range(ROUNDS):
            for kind, draw in draws.items():
                began = time.process_time()
                for index in range(40):
                    draw(index)
                rates[kind].append(40 / (time.process_time() - began))
    best = {kind: statistics.median(values) for kind, values in rates.items()}
    ratios = {f"{kind} / naive": best[kind] / best["naive"] for kind in best if kind != "naive"}
    show("train_input", {f"{kind} samples/s": value for kind, value in best.items()} | ratios, goal="at least 2")


def naive_samples(images: list[Path], masks: Path) -> Callable[[int], Any]:
    """Read the file, crop and change it with albumentations, make a tensor of it: what a first script does."""
    import albumentations as A
    import cv2
    from albumentations.pytorch import ToTensorV2

    change = A.Compose([
        A.RandomCrop(SIDE, SIDE), A.D4(p=1.0),
        A.Affine(scale=(0.7, 1.4), rotate=(-180, 180), shear=(-8, 8), border_mode=cv2.BORDER_REFLECT_101, p=0.7),
        A.ElasticTransform(alpha=30, sigma=6, p=0.3), A.RandomBrightnessContrast(p=0.6), A.RandomGamma(p=0.5),
        A.GaussNoise(std_range=(0.005, 0.05), per_channel=True, p=0.3), ToTensorV2(),
    ])  # fmt: skip
    truths = {path.stem: path for path in masks.iterdir()}

    def sample(index: int) -> Any:
        path = images[index % len(images)]
        image = np.squeeze(tifffile.imread(path)).astype(np.float32)
        low, high = np.percentile(image, (1, 99.8))
        image = np.clip((image - low) / (high - low), 0, 1).astype(np.float32)
        mask = np.squeeze(tifffile.imread(truths[path.stem])).astype(np.int32)
        return change(image=image[..., None], mask=mask)

    return sample


# ---- start and memory -----------------------------------------------------------------------------------------------


def start(device: str) -> None:
    """From nothing to the first step."""
    seconds: dict[str, list[float]] = {"import": [], "worker": []}
    with tempfile.TemporaryDirectory() as name:
        job = make_job(Path(name), device, patch_size=64, batch_size=2, validation=0.0)
        for number in range(3):
            began = time.perf_counter()
            code = "import torch, segmentation_models_pytorch"
            subprocess.run([sys.executable, "-c", code], check=True)
            seconds["import"].append(time.perf_counter() - began)
            seconds["worker"].append(first_step(job, number))
    best = {name: min(values) for name, values in seconds.items()}
    show(
        "train_start",
        {"import torch, smp (s)": best["import"], "worker to the first step (s)": best["worker"],
         "ratio": best["worker"] / best["import"]},
        goal="at most 1.3",
    )  # fmt: skip


def first_step(job: Job, number: int) -> float:
    """Seconds from spawning a worker until it reports its first step."""
    run = RunFolder.create(
        job.project.runs_folder, f"start{number}",
        {"kind": "train", "project": str(job.project.folder), "name": f"start{number}",
         "train": job.config.model_dump()},
    )  # fmt: skip
    began = time.perf_counter()
    worker = subprocess.Popen([sys.executable, "-m", "mia_tui.engine.worker", str(run.path)])
    try:
        while not any(event["event"] == "step" for event in run.events()[0]):
            if worker.poll() is not None:
                raise SystemExit(f"the worker ended: {worker.returncode}")
            time.sleep(0.01)
        return time.perf_counter() - began
    finally:
        worker.terminate()
        worker.wait()


def memory(device: str) -> None:
    """Memory of a process that reads a folder with little memory allowed for decoded images."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        side, count = 2048, 60
        image = np.random.default_rng(0).integers(0, 4096, (side, side)).astype(np.uint16)
        for number in range(count):
            tifffile.imwrite(folder / "images" / f"{number}.tif", np.roll(image, number))
        megabytes = {
            limit: int(subprocess.run(
                [sys.executable, __file__, "--read", str(folder), str(limit)], check=True, capture_output=True
            ).stdout.split()[-1])
            for limit in (0.05, 100)
        }  # fmt: skip
    size = side * side * 2 * count / 2**20
    show(
        "train_memory",
        {"folder MB": size, "own MB, limit 50 MB": megabytes[0.05], "own MB, no limit": megabytes[100]},
        goal="bounded by the limit, not by the folder",
    )


def read_all(folder: Path, limit: float) -> None:
    """Read as a training does, draw patches, and print how much memory that took beyond the libraries."""
    from mia_tui.labeling.objects import FrameLabels, LabelObject
    from mia_tui.labeling.store import write_frame

    project_folder = folder / f"project{limit:g}"
    project = Project.create(project_folder, images=folder / "images")
    import shapely

    for ref in project.images():
        labels = FrameLabels.of(2048, 2048, [LabelObject(1, shapely.box(10, 10, 60, 60), "cell")])
        write_frame(project.labels_path(ref.key, "image"), labels)
    config = make_config({"cache_gb": limit, "validation": 0.0, "encoder": "resnet18", "device": "cpu"})
    before = own_memory()
    material = prepare(project, config)
    loader = Loader(material, config, 1, torch.device("cpu"))
    for index in range(50):
        loader.patches[index]
    print((own_memory() - before) // 1024)


def own_memory() -> int:
    """Kilobytes of this process that no file stands behind: mapped files are given up when memory is short."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1])


PARTS = {"steps": steps, "input": pipeline, "start": start, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read_all(Path(options.read[0]), float(options.read[1]))
        return
    for name in options.parts or PARTS:
        PARTS[name](options.device)


if __name__ == "__main__":
    main()
