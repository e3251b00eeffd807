"""Lines of text: keys that come together, as over a slow line, act in the order typed."""

import pytest
from textual.app import App, ComposeResult
from textual.events import Key

from mia_tui.screens.training_fields import NumberInput
from mia_tui.widgets.form import LineInput, PathInput


class OneLine(App[None]):
    def __init__(self, control: LineInput) -> None:
        super().__init__()
        self.control = control

    def compose(self) -> ComposeResult:
        yield self.control


@pytest.mark.parametrize("kind", [LineInput, PathInput, NumberInput])
@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("1 2 backspace 9", "19"), ("backspace backspace 5", "5"), ("1 2 left 3", "132"), ("1 2 home 0", "012"),
        ("1 2 3 home delete 4", "423"), ("1 2 ctrl+u 7", "7"),
    ],
)  # fmt: skip
async def test_keys_that_come_together_act_in_order(kind: type[LineInput], keys: str, text: str) -> None:
    app = OneLine(kind())
    async with app.run_test() as pilot:
        app.control.focus()
        await pilot.pause()
        for key in keys.split():  # posted at once: nothing is dealt with in between
            app.post_message(Key(key, key if len(key) == 1 else None))
        await pilot.pause()
        await pilot.pause()
        assert app.control.value == text
