"""Training steps per second of the whole loop (data, augmentation, loss, averaging, reports) against a bare loop.

Both train a Unet/resnet18 on 256 px patches, batch 8, on the CPU, in turns in one process. The bare loop is fed one
tensor from memory: forward, cross entropy, backward, AdamW. Goal: at least 0.9 x.
"""

import itertools
import statistics
import tempfile
import time
from pathlib import Path

import torch
from _output import show

from mia_tui.engine.config import make_config
from mia_tui.engine.train import Job, Progress, _Clock, _Loader, build, prepare, spec_of, step
from mia_tui.formats.masks import import_masks
from mia_tui.project import Project
from mia_tui.runfolder import RunFolder
from mia_tui.simulate import write_dataset

ROUNDS, STEPS = 5, 3


class Silent:
    def event(self, kind: str, **values: object) -> None: ...

    def status(self, **changes: object) -> None: ...


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(Path(folder))
        material = prepare(job)
        learner = build(job.config, spec_of(job, material))
        ours = our_steps(job, material, learner)
        bare = bare_steps(learner)
        next(ours), next(bare)  # the first step allocates
        times: dict[str, list[float]] = {"bare": [], "ours": []}
        for _ in range(ROUNDS):
            for name, steps in (("bare", bare), ("ours", ours)):
                began = time.perf_counter()
                for _ in range(STEPS):
                    next(steps)
                times[name].append((time.perf_counter() - began) / STEPS)
    seconds = {name: statistics.median(values) for name, values in times.items()}
    show(
        "train_step",
        {
            "bare s/step": seconds["bare"],
            "ours s/step": seconds["ours"],
            "ours / bare speed": seconds["bare"] / seconds["ours"],
        },
        goal="at least 0.9",
    )


def make_job(folder: Path) -> Job:
    write_dataset(folder / "images", train=8, predict=1, size=512, frames=1)
    project = Project.create(folder / "project", images=folder / "images" / "train")
    import_masks(project, folder / "images" / "train_masks", kind="instance")
    config = make_config({
        "encoder": "resnet18", "decoder_channels": [256, 128, 64, 32, 16], "patch_size": 256, "batch_size": 8,
        "device": "cpu", "steps_per_epoch": 1000,
    })  # fmt: skip
    return Job(project, config, RunFolder.create(project.runs_folder, "bench", {}), "bench", Silent())


def our_steps(job: Job, material: object, learner: object):
    """The body of `train`'s loop, a step at a time."""
    loader = _Loader(job, material.train, learner.device)
    progress, clock = Progress(), _Clock(job.config, time.monotonic())
    for batch in loader.batches(0, 0):
        progress.loss_sum += step(learner, batch, job.config, 1e-3, loader.steps_done(progress))
        progress.step += 1
        loader.report(progress, clock, 1e-3)
        yield


def bare_steps(learner: object):
    """A bare loop on a network of the same make."""
    import copy

    model = copy.deepcopy(learner.model).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    image = torch.rand(8, 1, 256, 256).contiguous(memory_format=torch.channels_last)
    target = torch.randint(0, 3, (8, 256, 256))
    for _ in itertools.count():
        loss = torch.nn.functional.cross_entropy(model(image), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield


if __name__ == "__main__":
    main()
