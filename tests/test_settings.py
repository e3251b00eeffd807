"""User settings and recent projects: kept, read back, and harmless when damaged."""

import pytest

from mia_tui.errors import MiaError
from mia_tui.settings import (
    Settings,
    config_folder,
    forget_project,
    load_settings,
    recent_projects,
    remember_project,
    save_setting,
    state_folder,
)


@pytest.fixture(autouse=True)
def _folders(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MIA_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))


def test_folders_follow_the_environment_else_the_platform(tmp_path, monkeypatch) -> None:
    assert state_folder() == tmp_path / "state"
    monkeypatch.delenv("MIA_TUI_STATE")
    monkeypatch.delenv("MIA_TUI_CONFIG")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_folder() == tmp_path / "xdg" / "mia-tui"
    assert config_folder().name == "mia-tui"


def test_recent_projects_are_latest_first_and_once(tmp_path) -> None:
    for name in ("a", "b", "a"):
        remember_project(tmp_path / name, name, "segmentation")
    found, problem = recent_projects()
    assert [(r.name, r.folder, r.task) for r in found] == [
        ("a", tmp_path / "a", "segmentation"),
        ("b", tmp_path / "b", "segmentation"),
    ]
    assert problem is None
    forget_project(tmp_path / "a")
    assert [r.name for r in recent_projects()[0]] == ["b"]


@pytest.mark.parametrize("damage", ["{", '{"projects": [{"folder": 3}]}', "[]", '{"projects": 4}', ""])
def test_a_damaged_list_is_kept_aside_and_reported_once(tmp_path, damage) -> None:
    path = tmp_path / "state" / "recent.json"
    path.parent.mkdir()
    path.write_text(damage)
    found, problem = recent_projects()
    aside = list(path.parent.glob("recent.damaged-*.json"))
    assert found == []
    assert [p.read_text() for p in aside] == [damage]
    assert problem is not None
    assert str(aside[0]) in problem
    assert recent_projects() == ([], None)
    remember_project(tmp_path / "a", "a", "detection")
    assert [r.name for r in recent_projects()[0]] == ["a"]


def test_a_state_folder_that_cannot_be_written_is_a_mia_error(tmp_path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(MiaError, match=r"recent\.json"):
        remember_project(tmp_path / "a", "a", "detection")


def test_settings_keep_comments_and_name_what_they_do_not_know(tmp_path) -> None:
    assert load_settings() == (Settings(), None)
    save_setting("theme", "nord")
    path = tmp_path / "config" / "settings.toml"
    path.write_text("# mine\n" + path.read_text() + "graphics = 3\ncolour = 'x'\n")
    settings, problem = load_settings()
    assert settings == Settings(theme="nord")
    assert "colour, graphics" in str(problem)
    save_setting("theme", "gruvbox")
    assert path.read_text().startswith("# mine\n")
    assert load_settings()[0].theme == "gruvbox"


def test_damaged_settings_are_reported_and_never_overwritten(tmp_path) -> None:
    path = tmp_path / "config" / "settings.toml"
    path.parent.mkdir()
    path.write_text("theme = \n")
    settings, problem = load_settings()
    assert settings == Settings()
    assert str(path) in str(problem)
    with pytest.raises(MiaError, match=r"settings\.toml"):
        save_setting("theme", "nord")
    assert path.read_text() == "theme = \n"
