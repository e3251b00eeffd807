"""Work in a thread in the order asked for, all of it: what writes must neither overtake nor be left out."""

import asyncio
from collections.abc import Callable
from typing import Any

from textual.app import App

from mia_tui.errors import MiaError

Done = Callable[[Any], None]


class InOrder:
    """Runs jobs one after the other in a thread. It belongs to the app, so that work outlives the screen that asked.

    Parameters
    ----------
    app : App
    failed : function
        Called in the event loop with the `MiaError` that a job raised; other exceptions are defects.
    changed : function
        Called in the event loop when a job was added or ended.
    """

    def __init__(self, app: App[Any], failed: Callable[[MiaError], None], changed: Callable[[], None]) -> None:
        self._app = app
        self._failed = failed
        self._changed = changed
        self._jobs: list[tuple[Callable[[], Any], Done, bool]] = []
        self._working = False

    @property
    def waiting(self) -> int:
        """Jobs not done yet."""
        return len(self._jobs)

    @property
    def unsaved(self) -> int:
        """Jobs not done yet that write something."""
        return sum(writes for _, _, writes in self._jobs)

    def do(self, job: Callable[[], Any], done: Done, *, writes: bool = True) -> None:
        """Run `job` in a thread after those asked for before, then `done` with its result in the event loop."""
        self._jobs.append((job, done, writes))
        if not self._working:
            self._working = True
            self._app.run_worker(self._work(), group="in-order")
        self._changed()

    async def settle(self) -> None:
        """Wait until nothing waits."""
        while self._working:
            await asyncio.sleep(0.01)

    async def _work(self) -> None:
        try:
            while self._jobs:
                job, done, _ = self._jobs[0]
                try:
                    result = await asyncio.to_thread(job)
                except MiaError as error:
                    self._jobs.pop(0)
                    self._failed(error)
                else:
                    self._jobs.pop(0)
                    done(result)
                self._changed()
        finally:
            self._working = False
