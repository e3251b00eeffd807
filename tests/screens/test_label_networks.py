"""Networks on the labelling screen, through the real helper process with tiny exported models."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from driving import screen_text, until

from mia_tui.app import MiaApp
from mia_tui.labeling.store import read_frame
from mia_tui.project import Project

torch = pytest.importorskip("torch")


class Bright(torch.nn.Module):
    """Inside is where the picture is bright; whatever else it is shown."""

    def forward(self, picture):
        return 20 * (picture[:, :1] - 0.5)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    for name in ("config", "state", "assist"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"MIA_TUI_{name.upper()}", str(tmp_path / name))
    (tmp_path / "images").mkdir()
    y, x = np.mgrid[:96, :96]
    disc = (np.hypot(y - 48, x - 48) < 14) * 200 + 20
    tifffile.imwrite(tmp_path / "images" / "disc.tif", disc.astype(np.uint8))
    return Project.create(tmp_path / "project", images=tmp_path / "images")


def export(project: Project, name: str, kind: str, channels: int) -> None:
    folder = project.folder / "models" / "assist"
    folder.mkdir(parents=True, exist_ok=True)
    torch.jit.trace(Bright(), torch.zeros(1, channels, 64, 64)).save(str(folder / f"{name}.pt"))
    card = {"kind": kind, "file": f"{name}.pt", "size": 64, "mean": [0], "std": [1]}
    (folder / f"{name}.json").write_text(json.dumps(card))


async def open_desk(pilot) -> None:
    pilot.app.go("labeling")
    await until(pilot, lambda: "saved" in screen_text(pilot.app) and "disc.tif" in screen_text(pilot.app))


async def choose_network(pilot, name: str) -> None:
    await pilot.press("at")
    await until(pilot, lambda: "Ask a network" in screen_text(pilot.app) and name in screen_text(pilot.app))
    while not re.search(rf"│\s*{name}", _highlighted(pilot.app)):
        await pilot.press("down")
    await pilot.press("enter")


def _highlighted(app) -> str:
    options = app.screen.query_one("OptionList")
    return f"│ {options.get_option_at_index(options.highlighted).prompt}"


def labels(project: Project):
    frame = read_frame(project.labels_path("disc.tif", "image"))
    return [] if frame is None else list(frame.objects.values())


async def test_places_inside_become_an_object_by_a_network_from_a_file(project) -> None:
    export(project, "clicks", "points", 3)
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await open_desk(pilot)
        await choose_network(pilot, "clicks")
        await until(pilot, lambda: "Network   enter puts a place inside" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "space takes it" in screen_text(app), seconds=60)
        assert labels(project) == [], "what a network finds is no label before it is taken"
        await pilot.press("space")
        await until(pilot, lambda: len(labels(project)) == 1)
        assert labels(project)[0].geometry.area == pytest.approx(np.pi * 14**2, rel=0.1)
        assert labels(project)[0].source == "manual"


async def test_what_edges_enclose_is_proposed_for_the_view(project) -> None:
    export(project, "contours", "edges", 1)
    app = MiaApp(project.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await open_desk(pilot)
        await choose_network(pilot, "contours")
        await until(pilot, lambda: "1 pending" in screen_text(app), seconds=60)
        await pilot.press("A")
        await until(pilot, lambda: len(labels(project)) == 1)
        assert labels(project)[0].source == "accepted"
        assert labels(project)[0].geometry.area == pytest.approx(np.pi * 14**2, rel=0.1)


async def test_without_weights_an_entry_says_how_to_get_them(project) -> None:
    app = MiaApp(project.folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_desk(pilot)
        await choose_network(pilot, "sam")
        await until(pilot, lambda: any("sam is not ready" in said.message for said in app._notifications))
        said = next(said.message for said in app._notifications if "sam is not ready" in said.message)
        assert str(Path("models") / "assist") in said or "assist" in said
        assert "transformers" in said or "folder" in said
