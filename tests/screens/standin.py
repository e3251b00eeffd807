"""Makes projects and runs for tests of the screens, and a worker that acts like the real one without a network.

Run as a program (`python standin.py RUN_DIR`) it is that worker: an epoch every tenth of a second until its run is
done or asked to stop.
"""

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from mia_tui.project import Project
from mia_tui.runfolder import RunFolder, Status, boot_id, process_start

ROOT = Path(__file__).parents[2]
WORKER = (sys.executable, __file__)


def make_project(folder, labelled=1, task="segmentation") -> Project:
    (folder / "images").mkdir(parents=True)
    project = Project.create(folder / "project", images=folder / "images", name="cells", task=task)
    for number in range(labelled):
        path = project.labels_path(f"{number}.png", "image")
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    return project


def make_run(project, name, *, state="running", epochs=8, done=5, alive=False, **status) -> RunFolder:
    """A run folder as a worker leaves it; `alive` makes this process its worker."""
    config = {
        "kind": "train",
        "project": str(project.folder),
        "name": name,
        "device": "cpu",
        "train": {"epochs": epochs},
    }
    run = RunFolder.create(project.runs_folder, name, config)
    run.append_event("start", epochs=epochs, steps_per_epoch=10, device="cpu", images=9, validation_images=2)
    for epoch in range(1, done + 1):
        add_epoch(run, epoch)
    run.log.write_text("".join(f"epoch {epoch} done\n" for epoch in range(1, done + 1)))
    pid = os.getpid() if alive else 2**22 - 1
    values = {
        "state": state, "created": time.time() - 3700, "started": time.time() - 3600, "heartbeat": time.time(),
        "host": socket.gethostname(), "boot_id": boot_id(), "pid": pid, "pid_start": process_start(os.getpid()),
        "device": "cpu", "epoch": done, "epochs": epochs, "step": done * 10, "steps": epochs * 10, "eta_s": 75.0,
    }  # fmt: skip
    run.write_status(Status(**{**values, **status}))
    return run


def add_epoch(run, epoch, best=True) -> None:
    for step in range(1, 11):
        run.append_event(
            "step",
            step=(epoch - 1) * 10 + step,
            epoch=epoch,
            loss=1 / epoch,
            lr=1e-3,
            samples_per_s=21.5,
            memory_mb=640,
        )
    metrics = {"ap": 1 - 0.9**epoch, "f1": 0.5}
    run.append_event(
        "epoch", epoch=epoch, train_loss=1 / epoch, val_loss=1.1 / epoch, metrics=metrics, best=best, eta_s=75
    )


def add_preview(run, epoch, gray) -> None:
    from PIL import Image

    Image.new("RGB", (64, 32), (gray, gray, gray)).save(run.path / "preview" / f"epoch_{epoch:04d}.png")
    run.append_event("preview", epoch=epoch, file=f"preview/epoch_{epoch:04d}.png", image=f"image{epoch}.png")


def work(run) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    begun = run.status().epoch
    epochs = run.config().get("train", {}).get("epochs", 3)
    run.update_status(
        state="running", pid=os.getpid(), pid_start=process_start(os.getpid()), boot_id=boot_id(), epochs=epochs,
        host=socket.gethostname(), started=time.time(), heartbeat=time.time(), device="cpu", steps=epochs * 10,
    )  # fmt: skip
    run.append_event("start", epochs=epochs, steps_per_epoch=10, device="cpu")
    print("the stand-in works", flush=True)
    for epoch in range(begun + 1, epochs + 1):
        if stop.wait(0.1) or run.stop_requested:
            run.last_checkpoint.write_bytes(b"weights")
            run.update_status(state="stopped", ended=time.time())
            return
        add_epoch(run, epoch)
        run.update_status(epoch=epoch, step=epoch * 10, heartbeat=time.time())
    run.append_event("end", state="finished")
    run.update_status(state="finished", ended=time.time())


if __name__ == "__main__":
    work(RunFolder(Path(sys.argv[1])))
