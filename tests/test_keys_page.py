"""The page of all keys is what the tables say, and no two actions share a key."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mia_tui.app import SCREEN_CLASSES
from mia_tui.cli import app
from mia_tui.keymap import KeyMap, clashes
from mia_tui.labeling.desk.rows import table
from mia_tui.screens.keys import problems
from mia_tui.screens.labeling import LabelScreen


def test_the_page_is_up_to_date() -> None:
    printed = CliRunner().invoke(app, ["keys", "--markdown"]).output
    page = (Path(__file__).parents[1] / "docs" / "keys.md").read_text()
    assert page == printed, "make it anew with: mia-tui keys --markdown > docs/keys.md"


@pytest.mark.parametrize("preset", ["vim", "arrows"])
def test_no_key_stands_for_two_actions(preset) -> None:
    assert problems(SCREEN_CLASSES, KeyMap(preset)) == []
    for task in ("segmentation", "detection"):
        rows = (*table(task), *LabelScreen.actions())
        assert clashes("label", KeyMap(preset).rows("label", rows)) == []


def test_keys_of_ones_own_that_fit_nothing_are_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path))
    (tmp_path / "keymap.toml").write_text('[keys]\n"label.acept" = "y"\n"label.accept" = "n"\n"*.zoom_in" = "minus"\n')
    output = CliRunner().invoke(app, ["keys"]).output
    assert "there is no action 'label.acept'" in output
    assert "n" in next(line for line in output.splitlines() if line.endswith(" Accept the object")).split()
    assert "problem" in output
