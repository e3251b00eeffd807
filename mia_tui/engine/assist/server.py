"""The helper: listens on a socket, answers one question at a time, the newest first, and ends when nobody needs it.

One peer is served: the first that knows the key, which the starter writes into our standard input. The handshake of
`multiprocessing.connection` (HMAC, nothing is unpickled) keeps strangers out, beside the socket's private folder. Three
things end the process: standard input ends (the starter is gone, by whatever death), the connection closes, or nothing
was asked for a while.

A thread reads the connection, so that a newer question is known while an older one is computed by the main thread.
"""

import contextlib
import importlib
import os
import sys
import threading
import time
import traceback
from dataclasses import replace
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from mia_tui import __version__
from mia_tui.engine.assist.messages import (
    LARGEST,
    PROTOCOL,
    AssistAnswer,
    AssistRequest,
    Message,
    answer_message,
    pack,
    read_request,
    unpack,
)
from mia_tui.errors import MiaError

STRANGERS = 100
"""Peers without the key that are borne before the helper gives up."""


class Mailbox:
    """The questions that wait, and the one being answered. A newer one to the same assist supersedes an older one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[int, AssistRequest] = {}
        self._current: tuple[int, str] | None = None
        self._dropped = False

    def put(self, number: int, request: AssistRequest) -> list[int]:
        """Take a question; the numbers of those that nobody needs answered any more."""
        with self._changed:
            older = [n for n, waiting in self._waiting.items() if waiting.entry.name == request.entry.name]
            for n in older:
                del self._waiting[n]
            if self._current is not None and self._current[1] == request.entry.name:
                self._dropped = True
            self._waiting[number] = request
            self._changed.notify()
            return older

    def drop(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        with self._changed:
            self._waiting.pop(number, None)
            if self._current is not None and self._current[0] == number:
                self._dropped = True

    def take(self, timeout_s: float) -> tuple[int, AssistRequest] | None:
        """The newest question, which becomes the current one; None when none comes in time."""
        with self._changed:
            self._current = None
            if not self._changed.wait_for(lambda: bool(self._waiting), timeout_s):
                return None
            number, request = self._waiting.popitem()
            self._current, self._dropped = (number, request.entry.name), False
            return number, request

    @property
    def is_dropped(self) -> bool:
        """Whether nobody waits for the current answer any more."""
        return self._dropped


class Server:
    """Answers what comes over a connection."""

    def __init__(self, connection: Connection, log: str = "") -> None:
        self._connection = connection
        self._log = log
        self._sending = threading.Lock()
        self._mailbox = Mailbox()

    def run(self, device: str, idle_s: float) -> None:
        """Serve until the connection closes (this ends the process) or nothing is asked for `idle_s` seconds."""
        self._send({"type": "hello", "protocol": PROTOCOL, "version": __version__, "pid": os.getpid()})
        threading.Thread(target=self._read, daemon=True, name="reader").start()
        begin = time.monotonic()
        models, planes = _prepare(device)
        self._send({"type": "ready", "seconds": time.monotonic() - begin})
        while (job := self._mailbox.take(idle_s)) is not None:
            number, request = job
            self._answer(number, request, models, planes)
        self._send({"type": "bye"})

    # ---- the thread that reads ----

    def _read(self) -> None:
        while True:
            try:
                data = self._connection.recv_bytes(LARGEST)
            except (EOFError, OSError):
                os._exit(0)  # the main thread may be deep in a computation that nobody needs
            try:
                self._handle(unpack(data))
            except MiaError as error:
                self._send({"type": "error", "id": None, "text": f"the helper got {error}"})

    def _handle(self, message: Message) -> None:
        head = message[0]
        number = head.get("id")
        if head["type"] not in ("ask", "cancel") or not isinstance(number, int):
            raise MiaError(f"a message of an unknown type: {str(head)[:100]}")
        if head["type"] == "cancel":
            self._mailbox.drop(number)
            return
        try:
            request = read_request(message)
        except MiaError as error:
            self._send({"type": "error", "id": number, "text": f"the helper got {error}"})
            return
        for older in self._mailbox.put(number, request):
            self._send({"type": "dropped", "id": older})

    # ---- the thread that computes ----

    def _answer(self, number: int, request: AssistRequest, models: Any, planes: Any) -> None:
        from mia_tui.engine.assist.models import Superseded

        def tell(text: str) -> None:
            if self._mailbox.is_dropped:
                raise Superseded
            self._send({"type": "progress", "id": number, "text": text})

        begin = time.monotonic()
        try:
            tell("")
            answer = _compute(request, models, planes, tell)
            message = answer_message(replace(answer, seconds=time.monotonic() - begin), number)
            self._send(*message)
        except Superseded:
            self._send({"type": "dropped", "id": number})
        except MiaError as error:
            self._send({"type": "error", "id": number, "text": str(error)})
        except Exception as error:
            traceback.print_exc()
            self._send({"type": "error", "id": number, "text": self._defect(request, error)})

    def _defect(self, request: AssistRequest, error: Exception) -> str:
        name, kind = request.entry.name, type(error).__name__
        if kind == "OutOfMemoryError":
            return f"{name}: the device is out of memory. Stop the training run on it, or look at a smaller part."
        where = f" (see {self._log})" if self._log else ""
        return f"{name} failed: {kind}: {str(error).strip()[:300]}{where}"

    def _send(self, head: dict[str, Any], arrays: Any = ()) -> None:
        try:
            with self._sending:
                self._connection.send_bytes(pack((head, list(arrays))))
        except OSError:
            os._exit(0)


def _prepare(device: str) -> tuple[Any, Any]:
    """Import torch (seconds) and make the two stores: loaded models, and planes."""
    from mia_tui.engine.assist.models import Models
    from mia_tui.engine.assist.planes import Planes
    from mia_tui.engine.device import pick_device, set_threads

    importlib.import_module("torch")
    set_threads(None)
    return Models(pick_device(device)), Planes()


def _compute(request: AssistRequest, models: Any, planes: Any, tell: Any) -> AssistAnswer:
    model = models.get(request.entry.kind, request.entry.file, tell)
    if request.plane is None:
        return AssistAnswer()
    answer: AssistAnswer = model.answer(request, planes.get(request.plane), tell)
    return answer


# ---- the process -----------------------------------------------------------------------------------------------------


def serve(address: str, device: str, idle_s: float, log: str = "") -> None:
    """Be the helper at a socket; returns after `idle_s` seconds without a question."""
    _be_modest()
    key = bytes.fromhex(sys.stdin.buffer.readline().decode("ascii").strip())
    threading.Thread(target=_end_with_starter, args=(address,), daemon=True, name="starter").start()
    try:
        with Listener(address, family="AF_UNIX", authkey=key) as listener:
            connection = accept(listener)
    finally:
        clear(address)  # needed no longer: so nothing is left behind, however we or the starter end
    with connection:
        Server(connection, log).run(device, idle_s)


def accept(listener: Listener) -> Connection:
    """The first peer that knows the key; others are turned away, up to `STRANGERS` of them."""
    for _ in range(STRANGERS):
        try:
            return listener.accept()
        except (AuthenticationError, EOFError, OSError) as error:
            print(f"a peer was turned away: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    raise MiaError(f"{STRANGERS} peers without the key have called: the helper gives up")


def clear(address: str) -> None:
    """Remove the socket and its private folder."""
    with contextlib.suppress(OSError):
        os.unlink(address)
    with contextlib.suppress(OSError):
        Path(address).parent.rmdir()


def _end_with_starter(address: str) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    clear(address)
    os._exit(0)


def _be_modest() -> None:
    """The interface goes before us for the processor, and we go before it when memory runs out."""
    with contextlib.suppress(OSError):
        os.nice(5)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
