"""Which painter is chosen where, and why; what the answers of real terminals mean."""

import pytest

from mia_tui.errors import MiaError
from mia_tui.terminal.advice import describe, hints, tmux_settings
from mia_tui.terminal.probe import Answers, questions, read_answers
from mia_tui.terminal.record import PAINTERS, Facts, decide, version_of
from mia_tui.terminal.tmux import Tmux, read_tmux

TERM = {"TERM": "xterm-256color"}
KITTY = Answers((62,), "OK", (10, 20), {2026: 2, 1016: 2}, "kitty(0.41.0)", True, 0.01)
GHOSTTY = Answers((62, 22), "OK", (9, 18), {2026: 2, 1016: 2}, "ghostty 1.1.3", True, 0.01)
WEZTERM = Answers((65, 4, 6, 18, 22), "OK", (8, 16), {2026: 2, 1016: 2}, "WezTerm 20240203", True, 0.01)
FOOT = Answers((62, 4, 22), "", (10, 20), {2026: 2}, "foot(1.20.2)", True, 0.01)
XTERM = Answers((64, 1, 2, 6, 9, 15, 22), "", (6, 13), {}, "XTerm(390)", False, 0.01)
SILENT = Answers()
IN_KITTY = Tmux("3.4", "kitty(0.35.2)", (10, 20), ("RGB",), False, True, 10, True)
IN_GHOSTTY = Tmux("3.4", "ghostty 1.2", None, ("RGB",), False, True)
CLOSED = Tmux("3.4", "kitty(0.35.2)", (10, 20), ("RGB",))
IN_XTERM = Tmux("3.4", "XTerm(390)", (10, 20), ("RGB",), True, True)


@pytest.mark.parametrize(
    ("environment", "answers", "tmux", "painter", "glyphs", "colors"),
    [
        (TERM, KITTY, None, "kitty", "octant", "truecolor"),
        (TERM, GHOSTTY, None, "kitty", "sextant", "truecolor"),
        (TERM, WEZTERM, None, "sixel", "sextant", "truecolor"),
        (TERM, FOOT, None, "sixel", "octant", "truecolor"),
        (TERM, XTERM, None, "cells", "quadrant", "256"),
        ({**TERM, "SSH_CONNECTION": "a b c d"}, KITTY, None, "kitty", "octant", "truecolor"),
        ({**TERM, "COLORTERM": "truecolor"}, SILENT, None, "cells", "quadrant", "truecolor"),
        ({"TERM": "xterm-kitty"}, SILENT, None, "kitty", "sextant", "truecolor"),
        ({"TERM": "foot"}, SILENT, None, "cells", "quadrant", "truecolor"),
        ({"TERM": "linux"}, XTERM, None, "cells", "half", "256"),
        ({"TERM": "linux"}, SILENT, None, "cells", "half", "16"),
        ({"TERM": "dumb"}, None, None, "ascii", "ascii", "none"),
        ({**TERM, "NO_COLOR": "1"}, KITTY, None, "ascii", "ascii", "none"),
        ({"TERM": "tmux-256color"}, FOOT, None, "cells", "quadrant", "truecolor"),
        ({"TERM": "screen", "STY": "1.x"}, XTERM, None, "cells", "quadrant", "256"),
        ({**TERM, "ZELLIJ": "0"}, KITTY, None, "cells", "octant", "truecolor"),
        ({**TERM, "TMUX": "x"}, None, IN_KITTY, "placeholders", "quadrant", "truecolor"),
        ({**TERM, "TMUX": "x"}, None, IN_GHOSTTY, "placeholders", "quadrant", "truecolor"),
        ({**TERM, "TMUX": "x"}, None, CLOSED, "cells", "quadrant", "truecolor"),
        ({**TERM, "TMUX": "x"}, None, IN_XTERM, "cells", "quadrant", "truecolor"),
        ({**TERM, "TMUX": "x"}, None, Tmux(), "cells", "quadrant", "256"),
    ],
)  # fmt: skip
def test_the_painter_of_a_terminal(environment, answers, tmux, painter, glyphs, colors) -> None:
    found = decide(Facts(environment, answers, tmux))
    assert (found.painter, found.glyphs, found.colors) == (painter, glyphs, colors)
    assert found.why
    assert {found.painter, *dict(found.others)} == set(PAINTERS)
    assert all(dict(found.others).values()), "each painter that is not used has its reason"
    assert found.ssh == ("SSH_CONNECTION" in environment)


@pytest.mark.parametrize("wanted", PAINTERS)
def test_what_is_asked_for_is_done(wanted) -> None:
    found = decide(Facts(TERM, XTERM), wanted)
    assert found.painter == wanted
    assert found.why == "asked for (of itself it would be cells)"
    with pytest.raises(MiaError, match=r"'gold'.*auto, kitty, placeholders, sixel, cells, ascii"):
        decide(Facts(TERM, XTERM), "gold")


def test_the_reasons_say_what_is_in_the_way() -> None:
    tmux = Tmux("3.4", "kitty(0.35.2)", (10, 20), ("RGB",))
    assert (
        dict(decide(Facts({**TERM, "TMUX": "x"}, None, tmux)).others)["placeholders"] == "tmux allow-passthrough is off"
    )
    assert "attributes do not name it" in dict(decide(Facts(TERM, XTERM)).others)["sixel"]
    blind = Answers((62, 4), "", None, {}, "mlterm", None, 0.01)
    assert "how many pixels" in dict(decide(Facts(TERM, blind)).others)["sixel"]
    assert decide(Facts(TERM, blind, None, (120, 40, 1200, 800))).painter == "sixel", "the kernel knows the cell"
    assert "not asked" in dict(decide(Facts(TERM)).others)["kitty"]


def test_a_placeholder_needs_its_colour() -> None:
    """The number of the picture is a 24-bit colour; tmux would change it into another one."""
    tmux = Tmux("3.4", "kitty(0.35.2)", (10, 20), ("256",), False, True)
    found = decide(Facts({**TERM, "TMUX": "x"}, None, tmux))
    assert found.painter == "cells"
    assert "RGB" in dict(found.others)["placeholders"]


def test_the_answers_of_a_terminal_are_read() -> None:
    found = read_answers([
        "\x1b_Gi=31;OK\x1b\\", "\x1bP>|kitty(0.35.2)\x1b\\", "\x1b[6;20;10t", "\x1b[?2026;2$y", "\x1b[?1016;0$y",
        "\x1bP1$r0;48:2::1:2:3m\x1b\\", "\x1b[?62;4c", "\x1b[1;1R",
    ], 0.02)  # fmt: skip
    assert found == Answers((62, 4), "OK", (10, 20), {2026: 2, 1016: 0}, "kitty(0.35.2)", True, 0.02)
    for told, kept in (("48;2;1;2;3m", True), ("48:2:1:2:3m", True), ("0m", False), ("0;48:5:16m", False)):
        assert read_answers([f"\x1bP1$r{told}\x1b\\"]).true_color is kept


def test_no_terminal_is_asked_what_it_would_print() -> None:
    assert "$p" not in questions({"TERM_PROGRAM": "Apple_Terminal"})
    assert "\x1b_G" not in questions({"TERM": "screen-256color"})
    for environment in ({}, {"TERM_PROGRAM": "Apple_Terminal"}, {"TERM": "tmux"}):
        assert questions(environment).endswith("\x1b[6n")


def test_what_tmux_says() -> None:
    text = "version=3.3a\nclient_termtype=kitty(0.35.2)\nclient_termname=xterm\nclient_cell_width=10\n"
    text += (
        "client_cell_height=20\nclient_termfeatures=RGB,title\nallow-passthrough=1\nescape-time=500\nfocus-events=0\n"
    )
    found = read_tmux(text)
    assert found == Tmux("3.3a", "kitty(0.35.2)", (10, 20), ("RGB", "title"), False, True, 500, False)
    assert [line.split("  ")[0] for line in tmux_settings(found)] == [
        "set -sg escape-time 10", "set -g focus-events on",
    ]  # fmt: skip
    assert read_tmux("version=3.2a\nallow-passthrough=\n").passthrough, "before 3.3 everything was passed"
    assert not read_tmux("version=3.4\nallow-passthrough=off\n").passthrough


def test_versions() -> None:
    assert version_of("kitty(0.35.2)") == (0, 35)
    assert version_of("VTE(7803)") == (0, 78)
    assert version_of("ghostty 1.2.0") == (1, 2)
    assert version_of("Konsole") == (0, 0)


def test_a_person_reads_why_and_what_to_do() -> None:
    record = decide(Facts({**TERM, "SSH_TTY": "/dev/pts/1"}, XTERM, None, (120, 40, 720, 520)))
    text = "\n".join(f"{heading} {sentence}" for heading, sentence in describe(record, (120, 40, 720, 520)))
    assert "terminal XTerm(390), 120 x 40 cells, 6 x 13 pixels each, over SSH, answered in 10 ms" in text
    assert "pictures cells: nothing better is known to work here" in text
    assert "not kitty: the terminal did not answer the kitty graphics question" in text
    assert "ssh -C" in " ".join(hints(record))
