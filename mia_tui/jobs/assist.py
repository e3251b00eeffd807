"""The interface's end of model-based help: starts the helper process, asks it, outlives it.

The helper (`mia_tui.engine.assist`) is started by the first question, in a session of its own. Only the threads of
`assist_process` wait for it: `ask` returns at once with a future. Whatever happens to the helper, the future ends with
an answer, with a `MiaError` for the user, or cancelled; and the next question starts the helper again.
"""

import contextlib
import itertools
import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

from mia_tui.engine.assist.messages import (
    AssistAnswer,
    AssistRequest,
    Message,
    read_answer,
    request_message,
)
from mia_tui.engine.assist.registry import AssistEntry, assists
from mia_tui.errors import MiaError
from mia_tui.jobs.assist_process import SILENCE_S, START_S, Helper

__all__ = ["AssistClient", "AssistEntry", "assists"]

HELPER = (sys.executable, "-P", "-m", "mia_tui.engine.assist")
"""The command of the helper; the socket and options are put behind it."""
IDLE_S = 600.0
"""After this long without a question it ends by itself."""

log = logging.getLogger(__name__)


@dataclass
class _Question:
    """A question that has no answer yet."""

    number: int
    request: AssistRequest
    message: Message = field(repr=False)
    future: "Future[AssistAnswer]"
    progress: Callable[[str], None] | None


class AssistClient:
    """Asks the helper. One for a program; every method may be called from any thread and returns at once.

    Parameters
    ----------
    changed : callable, optional
        Called without arguments, from other threads, when `state` has changed.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    helper : sequence of str
        The command of the helper.
    start_s, silence_s, idle_s : float
        Seconds: see `START_S`, `SILENCE_S` and `IDLE_S`.
    """

    def __init__(
        self,
        changed: Callable[[], None] | None = None,
        *,
        device: str = "auto",
        helper: Sequence[str] = HELPER,
        start_s: float = START_S,
        silence_s: float = SILENCE_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._changed = changed
        self._command = (*helper, "--device", device, "--idle", str(idle_s))
        self._limits = start_s, silence_s
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._questions: dict[int, _Question] = {}
        self._helper: Helper | None = None
        self._reason = ""

    @property
    def state(self) -> str:
        """ "off", "starting 4 s", "ready", "working", or "dead: " and why; the next question starts a dead one."""
        with self._lock:
            helper = self._helper
            if helper is None:
                return f"dead: {self._reason}" if self._reason else "off"
            if not helper.ready:
                return f"starting {time.monotonic() - helper.begin:.0f} s"
            return "working" if self._questions else "ready"

    @property
    def pid(self) -> int | None:
        """Process id of the living helper."""
        helper = self._helper
        return None if helper is None or helper.process is None else helper.process.pid

    def start(self) -> None:
        """Start the helper when it does not live, so that it is ready by the first question."""
        with self._lock:
            self._living()
        self.changed()

    def ask(self, request: AssistRequest, progress: Callable[[str], None] | None = None) -> "Future[AssistAnswer]":
        """Ask a question; an older one to the same assist that has no answer yet is cancelled.

        Parameters
        ----------
        progress : callable, optional
            Called from another thread with what is being done.

        Returns
        -------
        Future
            Its `result()` is the answer, or raises a `MiaError` for the user, or `CancelledError` when the question
            was superseded or `cancel()` was called on it.
        """
        number, future = next(self._numbers), Future[AssistAnswer]()
        try:
            if not request.entry.ready:
                raise MiaError(f"{request.entry.name} is not ready: {request.entry.reason}")
            question = _Question(number, request, request_message(request, number), future, progress)
        except MiaError as error:
            future.set_exception(error)
            return future
        with self._lock:
            older = [q for q in self._questions.values() if q.request.entry.name == request.entry.name]
            for q in older:
                del self._questions[q.number]
            self._questions[number] = question
            helper = self._living()
            helper.post(question.message)  # the helper itself drops the older ones when it gets this
        for q in older:
            q.future.cancel()
        future.add_done_callback(lambda done: self._given_up(number) if done.cancelled() else None)
        self.changed()
        return future

    def close(self) -> None:
        """End the helper and give its memory back; open questions are cancelled. A later question starts it again."""
        with self._lock:
            helper, self._helper, self._reason = self._helper, None, ""
            questions, self._questions = self._questions, {}
        if helper is not None:
            helper.end("closed")
            if threading.current_thread() is not helper.thread:
                helper.thread.join(2.0)
        for question in questions.values():
            question.future.cancel()
        self.changed()

    # ---- called by the helper's threads ------------------------------------------------------------------------------

    def _living(self) -> Helper:
        if self._helper is None:
            self._helper, self._reason = Helper(self, self._command, *self._limits), ""
        return self._helper

    def _given_up(self, number: int) -> None:
        with self._lock:
            if self._questions.pop(number, None) is not None and self._helper is not None:
                self._helper.post(({"type": "cancel", "id": number}, []))
        self.changed()

    def is_waiting(self) -> bool:
        with self._lock:
            return bool(self._questions)

    def said(self, message: Message) -> None:
        """A message of the helper about a question."""
        head, number = message[0], message[0].get("id")
        with self._lock:
            question = self._questions.get(number) if isinstance(number, int) else None
            if question is None:  # superseded since, or about something that was not understood
                return
            if head["type"] != "progress":
                del self._questions[question.number]
        if head["type"] == "answer":
            try:
                _resolve(question.future, read_answer(message))
            except MiaError as error:
                _refuse(question.future, error)
        elif head["type"] == "error":
            _refuse(question.future, MiaError(str(head.get("text", "the helper failed"))))
        elif head["type"] == "dropped":
            question.future.cancel()
        elif head["type"] == "progress" and head.get("text") and question.progress is not None:
            try:
                question.progress(str(head["text"]))
            except Exception:
                log.exception("the receiver of progress failed")
        self.changed()

    def ended(self, helper: Helper, reason: str) -> None:
        """The helper has gone; without a reason it went because it was idle."""
        with self._lock:
            if self._helper is not helper:
                return  # closed on purpose, or another one lives already
            self._helper, self._reason = None, reason
            questions = dict(self._questions)
            if not reason and questions:  # asked in the very moment in which it left
                self._living()
                for question in questions.values():
                    self._living().post(question.message)
                questions = {}
            for number in questions:
                del self._questions[number]
        for question in questions.values():
            name = question.request.entry.name
            text = f"{name} gives no answer: the helper process {reason}. Ask again: it is started anew."
            _refuse(question.future, MiaError(text))
        self.changed()

    def changed(self) -> None:
        if self._changed is not None:
            try:
                self._changed()
            except Exception:
                log.exception("the receiver of changes failed")


def _resolve(future: "Future[AssistAnswer]", answer: AssistAnswer) -> None:
    with contextlib.suppress(InvalidStateError):  # cancelled in this moment
        future.set_result(answer)


def _refuse(future: "Future[AssistAnswer]", error: MiaError) -> None:
    with contextlib.suppress(InvalidStateError):
        future.set_exception(error)
