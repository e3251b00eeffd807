"""The interface's end of model-based help: starts the helper process, asks it, outlives it.

The helper (`mia_tui.engine.assist`) is started by the first question, in a session of its own. Only threads of this
module wait for it: `ask` returns at once with a future. Whatever happens to the helper, the future ends with an answer,
with a `MiaError` for the user, or cancelled; and the next question starts the helper again.
"""

import contextlib
import itertools
import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import IO

from mia_tui.engine.assist.messages import (
    LARGEST,
    PROTOCOL,
    AssistAnswer,
    AssistRequest,
    Message,
    pack,
    read_answer,
    request_message,
    unpack,
)
from mia_tui.engine.assist.registry import AssistEntry, assists
from mia_tui.errors import MiaError
from mia_tui.jobs.cgroup import oom_kills
from mia_tui.jobs.launch import environment
from mia_tui.settings import state_folder

__all__ = ["AssistClient", "AssistEntry", "assists"]

HELPER = (sys.executable, "-P", "-m", "mia_tui.engine.assist")
"""The command of the helper; the socket and options are put behind it."""
START_S = 120.0
"""How long the helper may take to import torch (a cold NFS takes a minute)."""
SILENCE_S = 180.0
"""How long it may compute without a word (progress counts as one) before it is taken for hung and ended."""
IDLE_S = 600.0
"""After this long without a question it ends by itself."""
TICK_S = 0.5
LOG_BYTES = 2**20
"""The log is begun anew when it has grown beyond this."""
SOCKET_PATH = 100
"""Bytes of the longest path of a socket: the kernel has room for 107 (Linux) or 103 (BSD)."""

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
        self._helper: _Helper | None = None
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
        self._tell_changed()

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
        self._tell_changed()
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
        self._tell_changed()

    # ---- called by the helper's threads ------------------------------------------------------------------------------

    def _living(self) -> "_Helper":
        if self._helper is None:
            self._helper, self._reason = _Helper(self, self._command, *self._limits), ""
        return self._helper

    def _given_up(self, number: int) -> None:
        with self._lock:
            if self._questions.pop(number, None) is not None and self._helper is not None:
                self._helper.post(({"type": "cancel", "id": number}, []))
        self._tell_changed()

    def _has_questions(self) -> bool:
        with self._lock:
            return bool(self._questions)

    def _said(self, message: Message) -> None:
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
        self._tell_changed()

    def _ended(self, helper: "_Helper", reason: str) -> None:
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
        self._tell_changed()

    def _tell_changed(self) -> None:
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


# ---- one life of the helper ------------------------------------------------------------------------------------------


class _Helper:
    """One life of the helper process, with the two threads that write to it and read from it."""

    def __init__(self, client: AssistClient, command: Sequence[str], start_s: float, silence_s: float) -> None:
        self.client = client
        self.command = command
        self.start_s, self.silence_s = start_s, silence_s
        self.begin = time.monotonic()
        self.ready = False
        self.process: subprocess.Popen[bytes] | None = None
        self._why = ""
        self._left = False
        self._outgoing: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._alarm = threading.Timer(start_s, self.end, [f"did not start within {start_s:.0f} s"])
        self._alarm.daemon = True
        self.thread = threading.Thread(target=self._live, daemon=True, name="assist")
        self.thread.start()

    def post(self, message: Message) -> None:
        """Send a message when it can be sent."""
        self._outgoing.put(message)

    def end(self, why: str) -> None:
        """Kill the process: it writes nothing, so nothing can be lost."""
        with self._guard:
            self._why = self._why or why
            if self.process is not None and self.process.poll() is None:
                self.process.kill()

    def _live(self) -> None:
        kills = oom_kills()
        folder, begin, fault, trouble = None, 0, "", "ended"
        try:
            folder = private_folder()
            address, key = str(folder / "s"), os.urandom(32)
            begin = self._launch(address, key)
            self._talk(self._connect(address, key))
        except MiaError as error:
            fault = str(error)
        except (OSError, EOFError, AuthenticationError) as error:
            trouble = f"cannot be reached ({type(error).__name__}: {error})"
        finally:
            code = self._bury()
            if folder is not None:
                _remove(folder)
        why = self._why or fault or _death(code, begin, kills) or trouble
        self.client._ended(self, "" if self._left else why)

    def _launch(self, address: str, key: bytes) -> int:
        """Start the process; the size of its log before it wrote anything."""
        with _open_log() as stream:
            begin: int = stream.seek(0, os.SEEK_END)
            command = [*self.command, "--log", str(log_path()), address]
            with self._guard:
                if self._why:  # closed before it began
                    raise MiaError(self._why)
                self.process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=stream, stderr=stream,
                    cwd="/", env=environment(), start_new_session=True,
                )  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(key.hex().encode() + b"\n")
        self.process.stdin.flush()  # and stays open: its end tells the helper that we are gone
        return begin

    def _connect(self, address: str, key: bytes) -> Connection:
        """Connect as soon as the helper listens. Ended by a timer when it does not say that it is ready in time."""
        assert self.process is not None
        self._alarm.start()
        while self.process.poll() is None:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return Client(address, family="AF_UNIX", authkey=key)
            time.sleep(0.02)
        raise EOFError("it ended before it began")

    def _talk(self, connection: Connection) -> None:
        """Write and read until it is over; the process is gone afterwards."""
        writer = threading.Thread(target=self._write, args=(connection,), daemon=True, name="assist writer")
        writer.start()
        try:
            self._listen(connection)
        finally:
            self._outgoing.put(None)
            self._bury()  # a writer that is stuck in a full socket comes free
            writer.join()
            connection.close()

    def _listen(self, connection: Connection) -> None:
        """Read until the helper leaves, dies, or is silent for too long while questions are open."""
        tick = min(TICK_S, self.silence_s / 4)
        silent = 0.0  # counted in ticks, not by the clock: we may have been stopped ourselves (^Z)
        while True:
            if not connection.poll(tick):
                silent = silent + tick if self.ready and self.client._has_questions() else 0.0
                if silent > self.silence_s:
                    self.end(f"said nothing for {self.silence_s:.0f} s and was ended")
                continue
            try:
                message = unpack(connection.recv_bytes(LARGEST))
            except (EOFError, ConnectionError):
                return
            silent = 0.0
            if not self._understand(message):
                return

    def _understand(self, message: Message) -> bool:
        """Act on a message; False for the last one."""
        head = message[0]
        if head["type"] == "hello" and head.get("protocol") != PROTOCOL:
            raise MiaError(f"is of another version ({head.get('version')}): leave mia-tui and start it again")
        if head["type"] == "ready":
            self._alarm.cancel()
            self.ready = True
            self.client._tell_changed()
        elif head["type"] == "bye":
            self._left = True
            return False
        elif head["type"] != "hello":
            self.client._said(message)
        return True

    def _write(self, connection: Connection) -> None:
        while (message := self._outgoing.get()) is not None:
            try:
                connection.send_bytes(pack(message))
            except OSError:  # it has gone or is going: the reader finds out
                return

    def _bury(self) -> int | None:
        """Make sure that the process is gone; its exit code, None when there never was one."""
        if self.process is None:
            return None
        self._alarm.cancel()
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()  # tells a living one to go
        try:
            return self.process.wait(2.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def private_folder() -> Path:
    """A new folder that only its owner can enter, with a path short enough for a socket in it.

    Raises
    ------
    MiaError
        When there is no place for one.
    """
    places = [os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp", "/var/tmp"]
    problem = ""
    for place in places:
        if not place or len(os.fsencode(place)) + len("/mia-xxxxxxxx/s") > SOCKET_PATH:
            continue
        try:
            return Path(tempfile.mkdtemp(prefix="mia-", dir=place))
        except OSError as error:
            problem = f" ({error})"
    raise MiaError(f"cannot be started: no folder for its socket{problem}. Set TMPDIR to a short path")


def log_path() -> Path:
    """What the helper printed, also in its former lives."""
    return state_folder() / "assist.log"


def _open_log() -> IO[bytes]:
    path = log_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.exists() and path.stat().st_size > LOG_BYTES
        return open(path, "wb" if fresh else "ab")
    except OSError:  # a full or read-only home is no reason to do without help
        return open(os.devnull, "wb")


def _death(code: int | None, begin: int, kills: int | None) -> str:
    """How the process ended, from its exit code and the last line of its log; "" when it ended well or never lived."""
    if not code:
        return ""
    if code > 0:
        line = _last_line(begin)
        return f"ended with exit code {code}" + (f": {line} (see {log_path()})" if line else "")
    more = oom_kills()
    if code == -signal.SIGKILL and kills is not None and more is not None and more > kills:
        return "was killed because memory ran out"
    with contextlib.suppress(ValueError):
        return f"was killed ({signal.Signals(-code).name})"
    return f"was killed (signal {-code})"


def _last_line(begin: int) -> str:
    try:
        with open(log_path(), "rb") as stream:
            stream.seek(begin)
            lines = stream.read(2**16).decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip()[:300] if lines else ""


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        (folder / "s").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
