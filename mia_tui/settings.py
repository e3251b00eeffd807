"""User settings and the list of recent projects: where they are, how they are read and written.

Settings are what a person writes (`settings.toml` in the user's configuration folder). Recent projects are what the
program remembers (`recent.json` in the user's state folder). A damaged file of either kind is never fatal: it is put
aside under another name and the reason is handed to the caller, who shows it.
"""

import json
import os
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mia_tui.errors import MiaError
from mia_tui.storage import write_bytes, write_json

APP = "mia-tui"
MAX_RECENT = 50
"""Projects remembered; the oldest are forgotten first."""


def config_folder() -> Path:
    """Folder of `settings.toml`: `$MIA_TUI_CONFIG`, else the platform's configuration folder."""
    if folder := os.environ.get("MIA_TUI_CONFIG"):
        return Path(folder).expanduser()
    from platformdirs import user_config_path

    return Path(user_config_path(APP, appauthor=False))


def state_folder() -> Path:
    """Folder of `recent.json`: `$MIA_TUI_STATE`, else the platform's state folder."""
    if folder := os.environ.get("MIA_TUI_STATE"):
        return Path(folder).expanduser()
    from platformdirs import user_state_path

    return Path(user_state_path(APP, appauthor=False))


# ---- settings -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """What a user can set for all projects in `settings.toml`.

    Attributes
    ----------
    theme : str
        Name of the colour theme; chosen in the command palette.
    graphics : str
        How pictures are drawn: "auto", "kitty", "placeholders", "sixel", "cells" or "ascii". The command line's
        `--graphics` goes before it.
    """

    theme: str = "mia-dark"
    graphics: str = "auto"


def load_settings() -> tuple[Settings, str | None]:
    """Read `settings.toml`: the settings, and what was wrong with the file (None when nothing was).

    An unknown entry or one of the wrong type is named and its default is used; the rest of the file still counts.
    """
    path = config_folder() / "settings.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings(), None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Settings(), f"{path} cannot be read, so the default settings are used: {error}"
    known = {field.name for field in fields(Settings)}
    good = {key: value for key, value in values.items() if key in known and isinstance(value, str)}
    bad = sorted(values.keys() - good.keys())
    problem = (
        f"{path}: {', '.join(bad)} not understood (known: {', '.join(sorted(known))}, each a text)" if bad else None
    )
    return replace(Settings(), **good), problem


def save_setting(name: str, value: str) -> None:
    """Change one entry of `settings.toml` atomically; comments and the other entries are kept.

    Raises
    ------
    MiaError
        When the file is damaged (it is left as it is) or cannot be written.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    path = config_folder() / "settings.toml"
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
        if document.get(name) == value:
            return
        document[name] = value
        write_bytes(path, tomlkit.dumps(document).encode())
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise MiaError(f"the setting {name} could not be kept in {path}: {error}") from None


# ---- recent projects ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecentProject:
    """A project that was opened before. `opened` is seconds since the epoch; name and task are as of then."""

    folder: Path
    name: str
    task: str
    opened: float


def recent_projects() -> tuple[list[RecentProject], str | None]:
    """The projects opened before, latest first, and what was wrong with the list (None when nothing was).

    A damaged list is moved aside to `recent.damaged-<time>.json`, so that nothing in it is lost.
    """
    path = state_folder() / "recent.json"
    try:
        found = [_from_json(entry) for entry in json.loads(path.read_text(encoding="utf-8"))["projects"]]
    except FileNotFoundError:
        return [], None
    except OSError as error:
        return [], f"the list of recent projects cannot be read: {error}"
    except (ValueError, KeyError, TypeError) as error:
        return [], _put_aside(path, error)
    return sorted(found, key=lambda project: project.opened, reverse=True), None


def remember_project(folder: Path, name: str, task: str) -> None:
    """Put a project at the top of the list of recent projects.

    Raises
    ------
    MiaError
        When the list cannot be written (a full or read-only home); the project itself is not concerned.
    """
    known, _ = recent_projects()
    entry = RecentProject(folder, name, task, time.time())
    _write_recent([entry, *(other for other in known if other.folder != folder)])


def forget_project(folder: Path) -> None:
    """Take a folder off the list of recent projects. The folder itself is not touched.

    Raises
    ------
    MiaError
        When the list cannot be written.
    """
    known, _ = recent_projects()
    _write_recent(project for project in known if project.folder != folder)


def _write_recent(projects: Iterable[RecentProject]) -> None:
    path = state_folder() / "recent.json"
    entries = [{**vars(project), "folder": str(project.folder)} for project in projects]
    try:
        write_json(path, {"projects": entries[:MAX_RECENT]})
    except OSError as error:
        raise MiaError(f"the list of recent projects could not be written to {path}: {error}") from None


def _from_json(entry: Any) -> RecentProject:
    return RecentProject(Path(entry["folder"]), str(entry["name"]), str(entry["task"]), float(entry["opened"]))


def _put_aside(path: Path, reason: Exception) -> str:
    aside = path.with_name(f"{path.stem}.damaged-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
    try:
        os.replace(path, aside)
    except OSError as error:
        return f"the list of recent projects, {path}, is damaged ({reason}) and could not be put aside: {error}"
    return f"the list of recent projects was damaged ({type(reason).__name__}: {reason}); it was kept as {aside}"
