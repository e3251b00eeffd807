"""The desk's assistant: asks the helper process and waits, in the desk's thread. The screen can give up waiting."""

from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from mia_tui.engine.assist.messages import AssistAnswer, AssistRequest, Click, PlaneRef, Prompt, Proposal
from mia_tui.engine.assist.registry import AssistEntry, assists
from mia_tui.errors import MiaError
from mia_tui.jobs.assist import AssistClient
from mia_tui.labeling.desk.assistant import Found, Network, Point
from mia_tui.labeling.ladder import Ladder
from mia_tui.project import Project

View = tuple[int, int, int, int]


class HelperAssistant:
    """One for a labelling screen. The process starts with the first question."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.plane: PlaneRef | None = None
        self._client = AssistClient()
        self._entries: dict[str, AssistEntry] = {}
        self._waiting: Future[AssistAnswer] | None = None

    def entries(self) -> list[AssistEntry]:
        """All networks, also those that are not ready, with the reason."""
        listed = assists(self.project)
        self._entries = {entry.name: entry for entry in listed}
        return listed

    def look_at(self, key: str, t: int, z: int) -> None:
        """The frame that questions are about from now on."""
        self.plane = PlaneRef(self.project.folder, key, t, z)

    @staticmethod
    def network(entry: AssistEntry) -> Network:
        return Network(entry.name, entry.prompts, entry.gives_edges)

    @property
    def state(self) -> str:
        """What the helper process does: `starting 4 s`, `working`, …"""
        return self._client.state

    @property
    def waiting(self) -> bool:
        return self._waiting is not None

    def cancel(self) -> None:
        """Give up waiting for the answer."""
        if self._waiting is not None:
            self._waiting.cancel()

    def close(self) -> None:
        self._client.close()

    # ---- the desk's side --------------------------------------------------------------------------------------------

    def objects(
        self,
        network: Network,
        view: View,
        inside: Sequence[Point] = (),
        outside: Sequence[Point] = (),
        extremes: Sequence[Point] = (),
    ) -> list[Found]:
        clicks = [Click(y, x) for y, x in inside] + [Click(y, x, positive=False) for y, x in outside]
        prompt = Prompt(points=tuple(clicks), extremes=tuple(extremes))
        # What is pointed at is looked for around the places, at the image's own scale, wherever the view ends.
        answer = self._ask(network, prompt, view if prompt.empty else None)
        return [found_of(item) for item in answer.objects]

    def edges(self, network: Network, view: View) -> tuple[NDArray[np.float32], tuple[int, int]]:
        answer = self._ask(network, Prompt(), view)
        if answer.edges is None:
            raise MiaError(f"{network.name} gave no edges.")
        return answer.edges.values.astype(np.float32), answer.edges.offset

    def _ask(self, network: Network, prompt: Prompt, view: View | None) -> AssistAnswer:
        entry = self._entries.get(network.name)
        if entry is None or self.plane is None:
            raise MiaError(f"{network.name} is not there any more. @ lists the networks.")
        self._waiting = self._client.ask(AssistRequest(entry, self.plane, prompt, view))
        try:
            return self._waiting.result()
        except CancelledError:
            raise MiaError(f"{network.name} was not waited for.") from None
        finally:
            self._waiting = None


def found_of(item: Proposal) -> Found:
    """A network's proposal as the desk has it."""
    outlines: list[BaseGeometry] = [rung.outline for rung in item.rungs]
    return Found(Ladder(tuple(outlines), item.chosen), item.label_class, item.score)


def entry_text(entry: AssistEntry) -> Any:
    """A line of the list: name, what it wants, or why it cannot be asked."""
    if not entry.ready:
        return f"{entry.name}   not ready: {entry.reason}"
    wants = " or ".join(entry.prompts[:1]) or "proposes for the view"
    return f"{entry.name}   {entry.kind}   {wants}"
