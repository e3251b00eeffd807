"""Tracks by keys alone in a pseudo-terminal: link, find what is wrong, mend it, be killed, come back, export."""

import signal
from pathlib import Path

import pytest
from movies import LAPSE, movie
from terminal import Terminal

from mia_tui.project import Project
from mia_tui.tracking.sequence import find_sequence
from mia_tui.tracking.store import read_tracks

STILL = {k: (30.0 * k, 60.0) for k in (1, 2, 3)}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Three objects that stand still; the middle one is missed for four frames, too many to be bridged."""
    without = {k: place for k, place in STILL.items() if k != 2}
    return movie(tmp_path, [without if 4 <= t < 8 else STILL for t in range(12)])


def spans(project: Project) -> list[list[int]]:
    return sorted(read_tracks(project, find_sequence(project, LAPSE), "labels").spans()[:, 1:3].tolist())


def open_tracks(terminal: Terminal) -> None:
    terminal.see(rf"{LAPSE} +160 x 120")
    terminal.press("g", "k")


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_link_mend_kill_come_back_export(project: Project, environment: dict[str, str]) -> None:
    with Terminal(project.folder, "--graphics", "cells", environment=environment) as terminal:
        open_tracks(terminal)
        terminal.see("has no tracks of labels yet")
        terminal.press("ctrl+l")
        terminal.see(r"frame 1/12 · 4 tracks · 0 divisions · \d problem")
        terminal.press("tab")
        terminal.see("! track 2 ends 60 px from the border")
        terminal.press("=")
        terminal.see("join 2 with which track")
        terminal.press("f")
        terminal.see(r"tracks 2 and 4 joined as 2 +saved")
        terminal.see("3 tracks")
        terminal.child.kill(signal.SIGKILL)
    assert spans(project) == [[0, 11]] * 3
    with Terminal(project.folder, "--graphics", "cells", columns=80, lines=24, environment=environment) as terminal:
        open_tracks(terminal)
        terminal.see(r"3 tracks .* 1 correction")
        terminal.press("u")
        terminal.see(r"4 tracks")
        terminal.press("U")
        terminal.see(r"3 tracks")
        terminal.press("e")
        terminal.see("Cell Tracking Challenge")
        terminal.press("enter")
        terminal.see("Exported to")
        terminal.see(r"3 tracks")
        assert terminal.end() == 0
    table = (project.results_folder / f"ctc-labels-{LAPSE}" / "res_track.txt").read_text()
    assert len(table.splitlines()) >= 3
