"""Still pictures: which graphics are used where, and that nobody asks the terminal without need."""

import subprocess
import sys

import pytest

from mia_tui.errors import MiaError
from mia_tui.widgets.still import choose_graphics


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-256color"}, "cells"),
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "WezTerm"}, "sixel"),
        ({"TERM": "foot"}, "sixel"),
        ({"KITTY_WINDOW_ID": "1", "TMUX": "/tmp/tmux-0/default,1,0"}, "cells"),
        ({"KITTY_WINDOW_ID": "1", "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "cells"),
        ({"KITTY_WINDOW_ID": "1", "NO_COLOR": "1"}, "cells"),
    ],
)
def test_auto_trusts_only_terminals_that_answer_in_time(environment, expected) -> None:
    assert choose_graphics("auto", environment) == expected
    assert choose_graphics("sixel", environment) == "sixel"


def test_an_unknown_choice_is_named_with_the_known_ones() -> None:
    with pytest.raises(MiaError, match=r"ascii.*auto, cells, kitty, sixel"):
        choose_graphics("ascii", {})


def test_with_cells_textual_image_is_never_imported() -> None:
    code = (
        "import sys; from mia_tui.widgets.still import prepare_graphics; import mia_tui.screens.browser;"
        "assert prepare_graphics('auto', {'TERM': 'xterm'}) == 'cells';"
        "assert not [m for m in sys.modules if m.startswith('textual_image')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
