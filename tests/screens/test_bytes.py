"""How many bytes the real app sends to a terminal for a key: what a slow link feels."""

import os
import re
import sys
import time

import numpy as np
import pexpect
import tifffile

from mia_tui.project import Project


def read_until_quiet(child, quiet=0.6, limit=30.0) -> bytes:
    """Everything written until nothing comes for `quiet` seconds."""
    data, last, deadline = b"", time.monotonic(), time.monotonic() + limit
    while time.monotonic() - last < quiet and time.monotonic() < deadline:
        try:
            data += child.read_nonblocking(65536, timeout=0.1)
            last = time.monotonic()
        except pexpect.TIMEOUT:
            continue
    return data


def read_until(child, pattern, limit=60.0) -> bytes:
    data, deadline = b"", time.monotonic() + limit
    while not re.search(pattern, data):
        assert time.monotonic() < deadline, data[-2000:]
        try:
            data += child.read_nonblocking(65536, timeout=0.1)
        except pexpect.TIMEOUT:
            continue
    return data


def test_a_cursor_key_costs_little_and_a_changed_view_a_bounded_frame(tmp_path) -> None:
    (tmp_path / "images").mkdir()
    image = np.random.default_rng(0).integers(0, 60_000, (512, 512)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "images" / "noise.tif", image)
    Project.create(tmp_path / "project", images=tmp_path / "images")
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TMUX")}
    environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environment |= {"MIA_TUI_STATE": str(tmp_path / "state"), "MIA_TUI_CONFIG": str(tmp_path / "config")}
    code = f"from mia_tui.app import run; from pathlib import Path; run(Path({str(tmp_path / 'project')!r}), 'cells')"
    child = pexpect.spawn(sys.executable, ["-c", code], dimensions=(40, 120), env=environment, timeout=60)
    try:
        read_until(child, rb"noise\.tif.*512 x 512")
        read_until_quiet(child)
        child.send("z")
        read_until_quiet(child)
        child.send("\x1b[C")
        moved = read_until_quiet(child)
        assert b"257" in moved, "the read-out did not follow the cursor"
        assert len(moved) < 8_000, f"{len(moved)} bytes for one cursor key"
        child.send("L")
        panned = read_until_quiet(child)
        # The worst picture there is, pure noise: about 40 bytes for each of 84 x 34 cells.
        assert 10_000 < len(panned) < 160_000, f"{len(panned)} bytes for a changed view"
        child.send("q")
        child.expect(pexpect.EOF, timeout=30)
    finally:
        child.close(force=True)
