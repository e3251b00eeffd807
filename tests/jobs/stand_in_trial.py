"""A training without torch for the tests of the search: `python stand_in_trial.py MODE RUN_DIR`.

Its score is a known function of the learning rate, best at 1e-3, the same in every epoch. In mode `prune` a trial that
is worse than the median of the trials finished before it does not end by itself: only who prunes it gets on. In mode
`wait` trial 3 waits in the middle for the file `go`; `fail` fails; `blind` has no validation image.
"""

import math
import signal
import statistics
import sys
import time
from pathlib import Path

from mia_tui.jobs.process import this_process
from mia_tui.runfolder import RunFolder, list_runs
from mia_tui.storage import write_bytes, write_json

EPOCHS = 10
MIDDLE = 6
PATIENCE_S = 60.0


def score(learning_rate: float) -> float:
    return 1 - 0.25 * abs(math.log10(learning_rate) + 3)


def hopeless(value: float, run: RunFolder) -> bool:
    """The rule of a median pruner, from the run folders: at least four have finished, and half of them are better."""
    others = [other for other in list_runs(run.path.parent) if other.status().state == "finished"]
    values = [score(other.config()["train"]["learning_rate"]) for other in others]
    return len(values) >= 4 and value < statistics.median(values)


def main() -> int:
    mode, run = sys.argv[1], RunFolder(Path(sys.argv[2]))
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    config = run.config()
    with open(run.path / "starts", "a") as stream:
        stream.write("start\n")
    us = this_process()
    run.update_status(
        state="running", host=us.host, boot_id=us.boot_id, pid=us.pid, pid_start=us.start, heartbeat=time.time()
    )
    run.append_event("start", epochs=EPOCHS, validation_images=0 if mode == "blind" else 1)
    if mode == "fail":
        run.update_status(state="failed", message="class 'cell' has no objects", ended=time.time())
        return 1
    value = score(config["train"]["learning_rate"])
    stuck = mode == "blind" or (mode == "prune" and hopeless(value, run))
    waits = mode == "wait" and config["tune"]["trial"] == 3
    begun = int(run.last_checkpoint.read_text()) if run.last_checkpoint.exists() else 0
    for epoch in range(begun + 1, EPOCHS + 1):
        run.append_event(
            "epoch", epoch=epoch, train_loss=1.0, val_loss=1.0, metrics={"ap50": 0.1}, best=epoch == 1, value=value
        )
        write_bytes(run.last_checkpoint, str(epoch).encode())
        run.update_status(epoch=epoch, heartbeat=time.time())
        deadline = time.monotonic() + PATIENCE_S
        while epoch == MIDDLE and not asked and time.monotonic() < deadline:
            if not (stuck or (waits and not (run.path / "go").exists())):
                break
            time.sleep(0.01)
        if asked:
            return end(run, config, "stopped")
    return end(run, config, "finished")


def end(run: RunFolder, config: dict, state: str) -> int:
    """Leave a model, as a training does, also when it is stopped."""
    model = Path(config["project"]) / "models" / config["name"] / "model.json"
    model.parent.mkdir(parents=True, exist_ok=True)
    write_json(model, {"task": "segmentation"})
    run.update_status(state=state, ended=time.time())
    run.append_event("end", state=state)
    return 0


if __name__ == "__main__":
    sys.exit(main())
