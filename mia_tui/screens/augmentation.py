"""What augmentation makes of the samples: a picture with the settings of the training form, and what each switch costs.

The picture is drawn by `mia-tui augment` in a process of its own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from mia_tui.errors import MiaError
from mia_tui.screens.command import run_command
from mia_tui.widgets.picture import Picture

_HINT = "esc goes back to the settings; ^t there draws them anew"


class AugmentationScreen(ModalScreen[None]):
    """Sixteen samples as a training with these settings would see them."""

    DEFAULT_CSS = """
    AugmentationScreen > Vertical { background: $background; border: round $border; border-title-color: $text; }
    AugmentationScreen #switches { width: 32; height: 100%; padding: 0 1; }
    AugmentationScreen #problem { height: auto; padding: 1 2; color: $text-error; display: none; }
    AugmentationScreen.-wrong #problem { display: block; }
    AugmentationScreen.-wrong Horizontal { display: none; }
    """
    BINDINGS: ClassVar[list[Any]] = [("escape,q,ctrl+t", "dismiss", "Close")]

    def __init__(self, project: Path, settings: Mapping[str, str]) -> None:
        super().__init__()
        self._project = project
        self._texts = dict(settings)

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "Augmented samples"
            box.border_subtitle = _HINT
            with Horizontal():
                yield Picture("drawing samples: this takes some seconds …")
                yield Static(id="switches")
            yield Static(id="problem", markup=False)

    def on_mount(self) -> None:
        self._draw()

    @work(exclusive=True)
    async def _draw(self) -> None:
        chosen = [part for name, text in self._texts.items() for part in ("--set", f"{name}={text}")]
        try:
            found = await run_command(["augment", str(self._project), *chosen, "--prices"], lambda _line: None)
        except MiaError as error:
            self.add_class("-wrong")
            self.query_one("#problem", Static).update(f"✗ {error}")
            return
        path = Path(found["file"])
        self.query_one(Vertical).border_title = f"Augmented samples   {path.parent.name}/{path.name}"
        self.query_one(Picture).show(path)
        self.query_one("#switches", Static).update(switch_lines(found))


def switch_lines(found: Mapping[str, Any]) -> Content:
    """Each switch with its strength, and how many samples per second one core makes with only this switch on."""
    lines = [Content.styled(f"{'':12}{'strength':>8}{'samples/s':>10}", "dim")]
    for switch, strength in found["strengths"].items():
        price = found["prices"].get(switch)
        cells = f"{switch:12}{f'{strength:g}' if strength else 'off':>8}{'' if price is None else f'{price:.0f}':>10}"
        lines.append(Content.styled(cells, "" if strength else "dim"))
    return Content("\n").join(lines)
