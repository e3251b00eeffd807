"""What the terminal can do, decided from its answers and the environment, with the reason for each decision."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mia_tui.errors import MiaError
from mia_tui.terminal.probe import Answers
from mia_tui.terminal.tmux import Tmux

PAINTERS = ("kitty", "placeholders", "sixel", "cells", "ascii")
"""Ways to draw a picture, from the best to the plainest."""
GRAPHICS = ("auto", *PAINTERS)

TRUE_COLOR_PROGRAMS = (
    "kitty", "ghostty", "wezterm", "foot", "iterm", "vte", "konsole", "contour", "alacritty", "vscode", "mintty", "rio",
)  # fmt: skip
KITTY_PROGRAMS = ("kitty", "ghostty")
"""Terminals whose kitty graphics are complete. Others say OK to the question and lack a part."""
OCTANTS_SINCE = {"kitty": (0, 40), "ghostty": (1, 2), "foot": (1, 20), "vte": (0, 78)}
SEXTANTS_SINCE = {"kitty": (0, 20), "ghostty": (1, 0), "foot": (1, 10), "vte": (0, 66), "wezterm": (0, 0)}
"""First versions that draw these characters themselves, without a font that has them."""


@dataclass(frozen=True)
class Capabilities:
    """What pictures are drawn with, and why.

    Attributes
    ----------
    painter : str
        One of `PAINTERS`.
    why : str
        Why this one.
    others : tuple of (str, str)
        Each other painter and why it is not used.
    colors : str
        "truecolor", "256", "16" or "none".
    glyphs : str
        The finest characters that are safe: "octant", "sextant", "quadrant", "half" or "ascii".
    cell : (int, int)
        Width and height of a cell in pixels; (10, 20) when unknown.
    cell_known : bool
        Whether the terminal said so.
    synchronized : bool
        Whether the terminal shows an update as a whole.
    pixel_mouse : bool
        Whether it tells the place of the mouse in pixels.
    program : str
        Name and version of the terminal; "" when unknown.
    ssh : bool
        Whether the program runs on another machine.
    tmux : Tmux, optional
        The tmux around the program.
    round_trip_s : float, optional
        How long its answers took; None when it was not asked or silent.
    asked : bool
        Whether the terminal was asked.
    edits_pictures : bool
        Whether a picture that is shown can be changed in place (kitty since 0.20).
    """

    painter: str
    why: str
    others: tuple[tuple[str, str], ...] = ()
    colors: str = "truecolor"
    glyphs: str = "quadrant"
    cell: tuple[int, int] = (10, 20)
    cell_known: bool = False
    synchronized: bool = False
    pixel_mouse: bool = False
    program: str = ""
    ssh: bool = False
    tmux: Tmux | None = None
    round_trip_s: float | None = None
    asked: bool = False
    edits_pictures: bool = False


@dataclass(frozen=True)
class Facts:
    """Everything a decision is made from.

    Attributes
    ----------
    environment : mapping
        Environment variables.
    answers : Answers, optional
        What the terminal answered; None when it was not asked.
    tmux : Tmux, optional
        What tmux answered.
    window : (int, int, int, int)
        Columns, rows, width and height in pixels from the kernel (TIOCGWINSZ); zeros where it does not know.
    """

    environment: Mapping[str, str]
    answers: Answers | None = None
    tmux: Tmux | None = None
    window: tuple[int, int, int, int] = (0, 0, 0, 0)


def decide(facts: Facts, wanted: str = "auto") -> Capabilities:
    """The record for these facts.

    Parameters
    ----------
    wanted : str
        One of `GRAPHICS`: a painter to use whatever the terminal says, or "auto".

    Raises
    ------
    MiaError
        For an unknown `wanted`.
    """
    if wanted not in GRAPHICS:
        raise MiaError(f"unknown graphics {wanted!r}: choose one of {', '.join(GRAPHICS)}")
    answers, environment = facts.answers or Answers(), facts.environment
    program = program_of(facts)
    cell = _cell(facts)
    found = Capabilities(
        painter="cells", why="", colors=_colors(facts, program), glyphs=_glyphs(facts, program),
        cell=cell or (10, 20), cell_known=cell is not None,
        synchronized=answers.modes.get(2026, 0) in (1, 2, 3), pixel_mouse=answers.modes.get(1016, 0) in (1, 2, 3),
        program=program, tmux=facts.tmux, round_trip_s=answers.round_trip_s, asked=facts.answers is not None,
        ssh=any(environment.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")),
        edits_pictures=_name(program) == "kitty",
    )  # fmt: skip
    reasons = {painter: check(facts, found) for painter, check in CHECKS.items()}
    best = next(painter for painter in PAINTERS if reasons[painter][0])
    chosen = best if wanted == "auto" else wanted
    why = reasons[chosen][1] if wanted == "auto" else f"asked for (of itself it would be {best})"
    return replace(
        found, painter=chosen, why=why, glyphs="ascii" if chosen == "ascii" else found.glyphs,
        others=tuple((painter, _why_not(painter, chosen, reasons)) for painter in PAINTERS if painter != chosen),
    )  # fmt: skip


def _why_not(painter: str, chosen: str, reasons: Mapping[str, tuple[bool, str]]) -> str:
    usable, reason = reasons[painter]
    if not usable:
        return reason
    return f"{chosen} goes before it" if PAINTERS.index(chosen) < PAINTERS.index(painter) else "it would work"


# ---- painters -------------------------------------------------------------------------------------------------------


def _kitty(facts: Facts, found: Capabilities) -> tuple[bool, str]:
    if reason := _no_pixels(facts, found):
        return False, reason
    if found.tmux is not None:
        return False, "tmux moves the cursor that a picture is placed at: placeholders are used there"
    answers, name = facts.answers or Answers(), _name(found.program)
    if answers.kitty.startswith("OK"):
        if name in KITTY_PROGRAMS or 4 not in answers.attributes:
            return True, f"{found.program or 'the terminal'} answered the kitty graphics question with OK"
        return False, f"{found.program or 'the terminal'} knows only parts of it, and sixel as a whole"
    if answers.kitty:
        return False, f"the terminal refused it: {answers.kitty}"
    if answers.round_trip_s is None and name in KITTY_PROGRAMS:
        return True, f"the terminal did not answer, but the environment names {found.program}"
    return False, _silent(facts, "the kitty graphics question")


def _placeholders(facts: Facts, found: Capabilities) -> tuple[bool, str]:
    if reason := _no_pixels(facts, found):
        return False, reason
    if found.tmux is None:
        return False, "only used inside tmux"
    if not found.tmux.passthrough:
        return False, "tmux allow-passthrough is off"
    if found.colors != "truecolor":
        return False, "tmux changes their colours: its terminal-features lack RGB for this terminal"
    name = _name(found.program)
    if name in KITTY_PROGRAMS:
        return True, f"tmux passes pictures on to {found.program}"
    return False, f"the terminal in front of tmux is {found.program or 'unknown'}, not kitty or Ghostty"


def _sixel(facts: Facts, found: Capabilities) -> tuple[bool, str]:
    if reason := _no_pixels(facts, found):
        return False, reason
    if found.tmux is not None:
        return False, "tmux drops large pictures, and a picture as soon as a character is written on it"
    answers = facts.answers or Answers()
    hinted = answers.round_trip_s is None and _name(found.program) in ("foot", "wezterm", "mlterm")
    if 4 not in answers.attributes and not hinted:
        silent = facts.answers is None or answers.round_trip_s is None
        return False, _silent(facts, "the question for it") if silent else "the terminal's attributes do not name it"
    if not found.cell_known:
        return False, "the terminal did not say how many pixels a cell has"
    return True, "the terminal's attributes name it"


def _cells(facts: Facts, found: Capabilities) -> tuple[bool, str]:
    if reason := _plain(facts):
        return False, reason
    return True, "nothing better is known to work here"


def _ascii(facts: Facts, found: Capabilities) -> tuple[bool, str]:
    return True, _plain(facts) or "only when asked for"


CHECKS = {"kitty": _kitty, "placeholders": _placeholders, "sixel": _sixel, "cells": _cells, "ascii": _ascii}
"""Painter -> whether it works, and why (not)."""


def _plain(facts: Facts) -> str:
    if facts.environment.get("NO_COLOR"):
        return "NO_COLOR is set"
    if facts.environment.get("TERM", "") in ("dumb", "unknown"):
        return f"TERM is {facts.environment['TERM']}"
    return ""


def _no_pixels(facts: Facts, found: Capabilities) -> str:
    """Why no painter of pixels can be used at all, "" when one may."""
    if reason := _plain(facts):
        return reason
    term = facts.environment.get("TERM", "")
    if facts.environment.get("STY"):
        return "GNU screen does not pass pictures on"
    if facts.environment.get("ZELLIJ"):
        return "Zellij does not pass pictures on as a whole"
    if found.tmux is None and (term.startswith(("screen", "tmux")) or _name(found.program) == "tmux"):
        return "there is a tmux or screen on another machine in between"
    return ""


def _silent(facts: Facts, what: str) -> str:
    return "the terminal was not asked" if facts.answers is None else f"the terminal did not answer {what}"


# ---- the rest -------------------------------------------------------------------------------------------------------


def program_of(facts: Facts) -> str:
    """Name and version of the terminal: what it says goes before what the environment hints at."""
    environment = facts.environment
    if facts.tmux is not None:
        return facts.tmux.terminal
    if facts.answers is not None and facts.answers.version:
        return facts.answers.version
    term = environment.get("TERM", "")
    for variable, name in (("KITTY_WINDOW_ID", "kitty"), ("WT_SESSION", "Windows Terminal")):
        if environment.get(variable):
            return name
    if program := environment.get("TERM_PROGRAM"):
        return f"{program} {environment.get('TERM_PROGRAM_VERSION', '')}".strip()
    if version := environment.get("VTE_VERSION"):
        return f"VTE({version})"
    if environment.get("KONSOLE_VERSION"):
        return "Konsole"
    known = {"xterm-kitty": "kitty", "xterm-ghostty": "ghostty", "wezterm": "WezTerm", "mlterm": "mlterm"}
    return known.get(term, term.split("-")[0] if term.startswith(("foot", "alacritty", "contour")) else "")


def _name(program: str) -> str:
    """The name of a terminal without its version, in small letters."""
    match = re.match(r"[A-Za-z ]*[A-Za-z]", program.removeprefix("xterm-").strip())
    return match[0].lower() if match else ""


def version_of(program: str) -> tuple[int, int]:
    """(major, minor) of a program's version; VTE's 7803 is 0.78; (0, 0) when it tells none."""
    match = re.search(r"(\d+)(?:\.(\d+))?", program)
    if not match:
        return 0, 0
    if _name(program) == "vte" and not match[2]:
        return 0, int(match[1]) // 100
    return int(match[1]), int(match[2] or 0)


def _cell(facts: Facts) -> tuple[int, int] | None:
    if facts.answers is not None and facts.answers.cell:
        return facts.answers.cell
    if facts.tmux is not None and facts.tmux.cell:
        return facts.tmux.cell
    columns, rows, width, height = facts.window
    if columns and rows and width >= 2 * columns and height >= 4 * rows:
        return width // columns, height // rows
    return None


def _colors(facts: Facts, program: str) -> str:
    """How many colours reach the eye. Plain SSH does not forward COLORTERM, so the terminal itself is asked."""
    environment, term = facts.environment, facts.environment.get("TERM", "")
    if environment.get("NO_COLOR") or term in ("dumb", "unknown"):
        return "none"
    if facts.tmux is not None and facts.tmux.features:
        return "truecolor" if "RGB" in facts.tmux.features else "256"
    if facts.answers is not None and facts.answers.true_color is not None:
        return "truecolor" if facts.answers.true_color else "256"
    told = environment.get("COLORTERM", "") in ("truecolor", "24bit") or term.endswith("-direct")
    if told or _name(program) in TRUE_COLOR_PROGRAMS or environment.get("WT_SESSION"):
        return "truecolor"
    return "16" if term in ("linux", "ansi", "vt100", "vt220") else "256"


def _glyphs(facts: Facts, program: str) -> str:
    """The finest characters that the terminal draws itself; behind tmux or screen only what every font has."""
    environment, term = facts.environment, facts.environment.get("TERM", "")
    if term in ("dumb", "unknown", "vt100", "vt220"):
        return "ascii"
    if term == "linux":
        return "half"
    if facts.tmux is not None or environment.get("STY") or term.startswith(("screen", "tmux")):
        return "quadrant"
    name, version = _name(program), version_of(program)
    told = version != (0, 0)
    if told and name in OCTANTS_SINCE and version >= OCTANTS_SINCE[name]:
        return "octant"
    if name in SEXTANTS_SINCE and (version >= SEXTANTS_SINCE[name] if told else name in KITTY_PROGRAMS):
        return "sextant"
    return "quadrant"
