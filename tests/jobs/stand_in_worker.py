"""A worker without torch for the tests of the job layer: `python stand_in_worker.py MODE RUN_DIR`.

It keeps the contract of `mia_tui.engine.worker` (status, events, checkpoint, stop) and makes steps until the file `go`
appears in the run folder; then it ends as MODE says. Every start adds a line to `starts`.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mia_tui.jobs.process import this_process
from mia_tui.runfolder import RunFolder
from mia_tui.storage import write_bytes

TICK = 0.02


def main() -> int:
    mode, run = sys.argv[1], RunFolder(Path(sys.argv[2]))
    asked = []
    if mode != "deaf":
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(run.path / "starts", "a") as stream:
        stream.write(f"{time.time()} {os.getpid()}\n")
    first = int(run.last_checkpoint.read_text()) if run.last_checkpoint.exists() else 0
    us = this_process()
    run.update_status(
        state="running", host=us.host, boot_id=us.boot_id, pid=us.pid, pid_start=us.start, heartbeat=time.time()
    )
    run.append_event("start", epochs=1, steps_per_epoch=1, device=run.status().device, images=1, validation_images=0)
    print("working", flush=True)
    if mode == "child":
        child = subprocess.Popen(["sleep", "1000"])
        (run.path / "child").write_text(str(child.pid))
    for step in range(first + 1, 1_000_000):
        run.append_event("step", step=step, epoch=0, loss=1 / step, lr=0.1)
        if mode != "bare":
            write_bytes(run.last_checkpoint, str(step).encode())
        run.update_status(step=step, heartbeat=time.time())
        if asked or (run.stop_requested and mode != "deaf"):
            run.update_status(state="stopped", ended=time.time())
            run.append_event("end", state="stopped")
            return 0
        if (run.path / "go").exists():
            return finish(mode, run)
        time.sleep(TICK)
    return 3


def finish(mode: str, run: RunFolder) -> int:
    if mode == "fail":
        run.update_status(state="failed", message="class 'cell' has no objects", ended=time.time())
        return 1
    if mode == "raise":
        raise RuntimeError("the numbers went wrong")
    if mode == "device-oom":
        return 42
    if mode == "silent":
        return 0
    if mode == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    run.update_status(state="finished", ended=time.time())
    run.append_event("end", state="finished")
    if mode == "crash-at-exit":
        os.kill(os.getpid(), signal.SIGSEGV)
    return 0


if __name__ == "__main__":
    sys.exit(main())
