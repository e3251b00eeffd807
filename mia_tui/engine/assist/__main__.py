"""`python -m mia_tui.engine.assist SOCKET`, started by `mia_tui.jobs.assist`, which writes a key into its stdin."""

import argparse
import os
import signal
import sys

# Both are read when the packages are imported: without a network a look-up of weights hangs for half a minute.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

from mia_tui.engine.assist.server import serve
from mia_tui.errors import MiaError


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m mia_tui.engine.assist", description=__doc__)
    parser.add_argument("socket", help="path of the socket to make, in a folder that only its owner can enter")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--idle", type=float, default=600.0, help="seconds without a question after which it ends")
    parser.add_argument("--log", default="", help="where standard error goes, for messages")
    options = parser.parse_args()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    code = 0
    try:
        serve(options.socket, options.device, options.idle, options.log)
    except MiaError as error:
        print(error, file=sys.stderr)
        code = 1
    sys.stderr.flush()
    os._exit(code)  # nothing is left to do, and the end of an interpreter with torch is slow and noisy


if __name__ == "__main__":
    main()
