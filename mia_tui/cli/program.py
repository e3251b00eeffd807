"""Commands about the program itself, and the terminal interface."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mia_tui.cli.base import Json, app, finish, say


@app.command()
def doctor(
    graphics: Annotated[str, typer.Option(help="Way of drawing to judge; as for the interface.")] = "auto",
    quick: Annotated[bool, typer.Option("--quick", help="Without torch, and without going through all keys.")] = False,
    as_json: Json = False,
) -> None:
    """What is found in this terminal and on this machine, how pictures are drawn and why, and what would help."""
    from mia_tui import doctor as examination

    wrong = None if quick else _key_problems()
    found = examination.report(graphics, quick=quick, key_problems=wrong)
    say(examination.text(found))
    finish(as_json, examination.for_programs(found))


def _key_problems() -> list[str]:
    from mia_tui.app import SCREEN_CLASSES
    from mia_tui.keymap import load_keymap
    from mia_tui.screens.keys import problems

    return list(problems(SCREEN_CLASSES, load_keymap()))


@app.command()
def keys(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As a page of documentation, without your own keys.")
    ] = False,
    as_json: Json = False,
) -> None:
    """All keys of all screens, with your own ones."""
    from mia_tui.app import SCREEN_CLASSES
    from mia_tui.keymap import KeyMap, load_keymap
    from mia_tui.screens.keys import lines, problems, tables

    keymap = KeyMap() if markdown else load_keymap()
    for line in lines(SCREEN_CLASSES, keymap, markdown=markdown):
        say(line)
    wrong = problems(SCREEN_CLASSES, keymap)
    for problem in wrong:
        say(f"problem: {problem}")
    rows = {name: {row.id: row.key_names for row in table} for name, table in tables(SCREEN_CLASSES, keymap).items()}
    finish(as_json, {"preset": keymap.preset, "keys": rows, "problems": wrong})


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the sample project goes.")] = Path(
        "demo-project"
    ),
    headless: Annotated[bool, typer.Option("--headless", help="Run the whole loop without a terminal.")] = False,
    create_only: Annotated[bool, typer.Option("--create-only", help="Make the project and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Make a project of simulated cells and open it, or run the whole loop on it."""
    from mia_tui import demo as demo_module

    if create_only:
        finish(as_json, {"project": demo_module.make_project(folder, say).folder})
    elif headless or not (sys.stdin.isatty() and sys.stdout.isatty()):
        finish(as_json, demo_module.run_headless(folder, say))
    else:
        open_terminal(demo_module.make_project(folder, say).folder, "auto")


def open_terminal(project: Path | None, graphics: str) -> None:
    """The terminal interface."""
    from mia_tui.app import run

    run(project, graphics)
