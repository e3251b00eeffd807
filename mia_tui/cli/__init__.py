"""The command line: parse, call, print. Every command takes --json; heavy imports happen inside the commands."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import typer

from mia_tui.cli import data, learning, program, results  # noqa: F401 - they register their commands
from mia_tui.cli.base import app, say
from mia_tui.cli.program import open_terminal
from mia_tui.errors import MiaError


def _opens_terminal(arguments: list[str]) -> bool:
    """Whether `mia-tui ARGUMENTS` means the interface: no command, only perhaps a project and how to draw."""
    if arguments and arguments[0] in {*COMMANDS, "--help", "-h", "--version"}:
        return False
    return not arguments or arguments[0] in ("--graphics", "--ascii") or Path(arguments[0]).exists()


def _run_command(arguments: list[str]) -> None:
    """Run a command. What is wrong with its arguments is said, as JSON too where that is wanted; exit code 2."""
    usage_error: Any = typer.BadParameter.__base__  # of the click inside typer, which has no public name everywhere
    try:
        if arguments[0] not in COMMANDS and not arguments[0].startswith("-"):
            raise typer.BadParameter(f"{arguments[0]!r} is neither a command nor a folder. See mia-tui --help.")
        code = app(standalone_mode=False)
    except usage_error as error:
        error.show()
        if "--json" in arguments:
            say(json.dumps({"error": error.format_message()}))
        raise SystemExit(2) from None
    raise SystemExit(code if isinstance(code, int) else 0)


COMMANDS = [str(c.name or (c.callback.__name__ if c.callback else "")) for c in app.registered_commands]


def _terminal_arguments(arguments: list[str]) -> tuple[Path | None, str]:
    from mia_tui.terminal.record import GRAPHICS

    graphics = "ascii" if "--ascii" in arguments else "auto"
    rest = [argument for argument in arguments if argument != "--ascii"]
    if "--graphics" in rest:
        place = rest.index("--graphics")
        graphics = rest[place + 1] if place + 1 < len(rest) else ""
        del rest[place : place + 2]
    if len(rest) > 1 or graphics not in GRAPHICS:
        say(f"usage: mia-tui [PROJECT] [--graphics {'|'.join(GRAPHICS)}] [--ascii]")
        raise SystemExit(2)
    return (Path(rest[0]) if rest else None), graphics


def main() -> None:
    """Entry point: a command, or the terminal interface."""
    # read when the engine's libraries are imported: without a network a weight look-up hangs for half a minute
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    arguments = sys.argv[1:]
    try:
        if arguments == ["--version"]:
            from mia_tui import __version__

            say(f"mia-tui {__version__}")
        elif _opens_terminal(arguments):
            open_terminal(*_terminal_arguments(arguments))
        else:
            _run_command(arguments)
    except MiaError as error:
        print(f"mia-tui: {error}", file=sys.stderr)
        if "--json" in arguments:
            say(json.dumps({"error": str(error)}))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
