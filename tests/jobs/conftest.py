"""What the tests of the job layer share: a project in a temporary folder, runs on the stand-in worker, waiting."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from mia_tui.jobs import control
from mia_tui.jobs.process import process_of, read_signature
from mia_tui.project import Project
from mia_tui.runfolder import RunFolder

STAND_IN = Path(__file__).with_name("stand_in_worker.py")


def wait_until(condition, seconds=60.0):
    """Poll until the condition holds and return what it returned; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return value


class Jobs:
    """Starts runs of the stand-in worker in one project and kills what is left of them in the end."""

    wait_until = staticmethod(wait_until)

    def __init__(self, project):
        self.project = project

    @staticmethod
    def worker(mode):
        return (sys.executable, str(STAND_IN), mode)

    def start(self, mode="finish", name="run", device="cpu", **options):
        config = {"kind": "train", "train": {}, "device": device}
        return control.start(self.project, config, name, worker=self.worker(mode), **options)

    def running(self, mode="finish", **options):
        """A run that has made a few steps."""
        run = self.start(mode, **options)
        wait_until(lambda: run.status().step >= 3)
        return run

    def go(self, run):
        (run.path / "go").touch()

    def starts(self, run):
        path = run.path / "starts"
        return path.read_text().splitlines() if path.exists() else []

    def supervisor(self, run):
        return read_signature(run.lock)[0]

    def kill_supervisor(self, run):
        process = self.supervisor(run)
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: not process.is_alive())

    def kill_worker(self, run):
        process = process_of(run.status())
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: not process.is_alive())

    def clear(self):
        for folder in self.project.runs_folder.glob("*"):
            run = RunFolder(folder)
            for process in (self.supervisor(run), process_of(run.status())):
                if process is not None and process.is_alive():
                    process.send(signal.SIGKILL, group=True)


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))
    (tmp_path / "images").mkdir()
    jobs = Jobs(Project.create(tmp_path / "project", images=tmp_path / "images"))
    yield jobs
    jobs.clear()
