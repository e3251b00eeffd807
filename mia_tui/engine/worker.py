"""The process that computes: `python -m mia_tui.engine.worker RUN_DIR`. Started by a supervisor, never by import."""

import time

STARTED = time.monotonic()

import os  # noqa: E402

# Without a network a weight look-up hangs for half a minute, and albumentations asks for updates; both read the
# environment when they are imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import dataclasses  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import traceback  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from mia_tui.errors import MiaError  # noqa: E402
from mia_tui.project import Project  # noqa: E402
from mia_tui.runfolder import HEARTBEAT_S, RunFolder, boot_id, process_start  # noqa: E402

EXIT_FAILED = 1
EXIT_OUT_OF_MEMORY = 42


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {_short(entry)}" for key, entry in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class RunReporter:
    """Writes events at once and the status every `HEARTBEAT_S` seconds; the only writer of a living run's status."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._lock = threading.Lock()
        self._status = dataclasses.replace(
            run.status(), host=socket.gethostname(), boot_id=boot_id(), pid=os.getpid(),
            pid_start=process_start(os.getpid()), started=time.time(), ended=None, exit_code=None, signal=None,
        )  # fmt: skip
        self._write()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def event(self, kind: str, **values: Any) -> None:
        """Append an event; all but the frequent ones also go to the log, as a line for people."""
        self.run.append_event(kind, **values)
        if kind not in ("step", "progress", "preview"):
            said = "  ".join(f"{key} {_short(value)}" for key, value in values.items() if value not in (None, "", {}))
            print(f"{time.strftime('%H:%M:%S')} {kind}  {said}", flush=True)

    def status(self, **changes: Any) -> None:
        """Change the status; a change of state is written at once, the rest with the next heartbeat."""
        with self._lock:
            turned = "state" in changes and changes["state"] != self._status.state
            self._status = dataclasses.replace(self._status, **changes)
        if turned:
            self._write()

    def close(self, **changes: Any) -> None:
        """End the heartbeat and write the last status."""
        self._end.set()
        self._thread.join()
        self._status = dataclasses.replace(self._status, ended=time.time(), **changes)
        self._write()

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT_S):
            self._write()

    def _write(self) -> None:
        with self._lock:
            self._status = dataclasses.replace(self._status, heartbeat=time.time())
            self.run.write_status(self._status)


def chosen_device(run: RunFolder, config: dict[str, Any]) -> str:
    """The device that the supervisor has locked for this run; what was asked for when there is no supervisor."""
    return run.status().device or config.get("device") or config[config["kind"]].get("device", "auto")


def run_train(
    run: RunFolder, project: Project, config: dict[str, Any], reporter: RunReporter, stop: threading.Event
) -> str:
    """Train as the run's config says."""
    from mia_tui.engine.config import make_config
    from mia_tui.engine.train import Job, train

    settings = make_config({**config["train"], "device": chosen_device(run, config)})
    job = Job(project, settings, run, config["name"], reporter)
    return train(job, should_stop=lambda: stop.is_set() or run.stop_requested, started=STARTED)


def run_predict(
    run: RunFolder, project: Project, config: dict[str, Any], reporter: RunReporter, stop: threading.Event
) -> str:
    """Predict the images that the run's config names."""
    from mia_tui.engine.config import PredictConfig
    from mia_tui.engine.predict import predict_project

    wish = PredictConfig(**config["predict"])

    def stopping() -> bool:
        return stop.is_set() or run.stop_requested

    def report(done: int, total: int, key: str) -> None:
        reporter.event("progress", done=done, total=total, key=key)
        reporter.status(step=done, steps=total)

    reporter.status(state="running")
    summary = predict_project(
        project, wish.model, images=wish.images, tta=wish.tta, probabilities=wish.probabilities,
        uncertainty=wish.uncertainty, onnx=wish.onnx,
        device=chosen_device(run, config), report=report, should_stop=stopping,
    )  # fmt: skip
    for key, reason in summary.failed.items():
        reporter.event("message", text=f"{key}: {reason}")
    reporter.event("message", text=f"{summary.objects} objects on {summary.frames} frames of {summary.images} images")
    if summary.failed and not summary.images:
        raise MiaError(next(iter(summary.failed.values())))
    return "stopped" if stopping() else "finished"


KINDS = {"train": run_train, "predict": run_predict}


def main(folder: str) -> int:
    """Do what the run folder asks for; the exit code says how it ended."""
    run = RunFolder(Path(folder))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    reporter = RunReporter(run)
    code, changes = _guarded(run, reporter, stop)
    reporter.event("end", state=changes["state"], model=run.config().get("name"), text=changes.get("message", ""))
    reporter.close(exit_code=code, **changes)
    return code


def _guarded(run: RunFolder, reporter: RunReporter, stop: threading.Event) -> tuple[int, dict[str, Any]]:
    """Run the job; (exit code, status changes)."""
    try:
        config = run.config()
        project = Project.load(Path(config["project"]))
        return 0, {"state": KINDS[config["kind"]](run, project, config, reporter, stop), "message": ""}
    except MiaError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED, {"state": "failed", "message": str(error)}
    except Exception as error:
        traceback.print_exc()
        if type(error).__name__ == "OutOfMemoryError":
            message = "the device is out of memory: lower batch_size or patch_size"
            return EXIT_OUT_OF_MEMORY, {"state": "failed", "message": message}
        return EXIT_FAILED, {"state": "failed", "message": f"{type(error).__name__}: {error} (see log.txt)"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
