"""One life of the assist helper: starting it, meeting it on a socket, talking to it, and finding out how it ended."""

import contextlib
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import IO, Protocol

from mia_tui.engine.assist.messages import LARGEST, PROTOCOL, Message, pack, unpack
from mia_tui.errors import MiaError
from mia_tui.jobs.cgroup import oom_kills
from mia_tui.jobs.launch import environment
from mia_tui.settings import state_folder

START_S = 120.0
"""How long the helper may take to import torch (a cold NFS takes a minute)."""
SILENCE_S = 180.0
"""How long it may compute without a word (progress counts as one) before it is taken for hung and ended."""
TICK_S = 0.5
LOG_BYTES = 2**20
"""The log is begun anew when it has grown beyond this."""
SOCKET_PATH = 100
"""Bytes of the longest path of a socket: the kernel has room for 107 (Linux) or 103 (BSD)."""


class Owner(Protocol):
    """Who keeps a helper. Called from the helper's thread."""

    def is_waiting(self) -> bool:
        """Whether an answer is expected."""
        ...

    def changed(self) -> None:
        """The helper became ready."""
        ...

    def said(self, message: Message) -> None:
        """It said something about a question."""
        ...

    def ended(self, helper: "Helper", reason: str) -> None:
        """It has gone; without a reason it left by itself, because nothing was asked."""
        ...


class Helper:
    """One life of the helper process, with the two threads that write to it and read from it.

    Parameters
    ----------
    owner : Owner
        Who is told what it says and how it ended.
    command : sequence of str
        What starts it; the log and the socket are put behind it.
    start_s, silence_s : float
        Seconds: see `START_S` and `SILENCE_S`.
    """

    def __init__(self, owner: Owner, command: Sequence[str], start_s: float, silence_s: float) -> None:
        self.owner = owner
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
        self.owner.ended(self, "" if self._left else why)

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
                silent = silent + tick if self.ready and self.owner.is_waiting() else 0.0
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
            self.owner.changed()
        elif head["type"] == "bye":
            self._left = True
            return False
        elif head["type"] != "hello":
            self.owner.said(message)
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
