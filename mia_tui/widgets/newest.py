"""Work in a thread of which only the newest request counts."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from textual.dom import DOMNode

from mia_tui.errors import MiaError

Request = TypeVar("Request")
Result = TypeVar("Result")


class Newest(Generic[Request, Result]):
    """Runs `work(request)` in a thread, one at a time; a request that waits is replaced by a newer one.

    Holding a key therefore never queues work: what is shown lags by at most one piece of it.

    Parameters
    ----------
    node : DOMNode
        The widget or screen it belongs to; its removal ends the waiting.
    work : function
        Called in a thread. Touches no widget.
    done : function
        Called with (request, result) in the event loop.
    failed : function
        Called with (request, error) in the event loop when `work` raised a `MiaError`; other exceptions are defects.
    """

    def __init__(
        self,
        node: DOMNode,
        work: Callable[[Request], Result],
        done: Callable[[Request, Result], None],
        failed: Callable[[Request, MiaError], None] | None = None,
    ) -> None:
        self._node = node
        self._work = work
        self._done = done
        self._failed = failed
        self._waiting: list[Request] = []
        self._busy = False

    @property
    def busy(self) -> bool:
        return self._busy

    def ask(self, request: Request) -> None:
        """Do the work for `request`, now or as soon as what runs has ended."""
        self._waiting = [request]
        if not self._busy:
            self._busy = True
            self._node.run_worker(self._run(), group=f"newest-{id(self)}", exclusive=False)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._one(self._waiting.pop())
        finally:
            self._busy = False

    async def _one(self, request: Request) -> None:
        try:
            result = await asyncio.to_thread(self._work, request)
        except MiaError as error:
            if self._failed is None:
                raise
            self._failed(request, error)
        else:
            self._done(request, result)
