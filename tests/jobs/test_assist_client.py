"""The interface's end of the assist helper: it returns at once, and survives whatever the helper does."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest

from mia_tui.engine.assist.messages import AssistRequest, Pixels
from mia_tui.engine.assist.registry import AssistEntry
from mia_tui.errors import MiaError
from mia_tui.jobs.assist import AssistClient
from mia_tui.jobs.assist_process import SOCKET_PATH, private_folder

STAND_IN = Path(__file__).with_name("stand_in_assist.py")
ROOT = Path(__file__).parents[2]


def wait_until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return value


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has, too: nobody may be there to wait for it)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes clients of a stand-in helper; ends them."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MIA_TUI_STATE", str(tmp_path / "state"))
    made = []

    def make(mode: str, **options) -> AssistClient:
        made.append(AssistClient(helper=(sys.executable, str(STAND_IN), mode), **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def request_(tmp_path) -> AssistRequest:
    return AssistRequest(AssistEntry("cells", "sam", tmp_path / "asked"))


def asked(request: AssistRequest) -> list[str]:
    """Process ids of the helpers that got a question, in order."""
    return request.entry.file.read_text().split() if request.entry.file.exists() else []


def test_asking_starts_the_helper_and_returns_at_once(make, request_) -> None:
    states, texts = [], []
    client = make("answers", changed=lambda: states.append(client.state))
    assert client.state == "off"
    begin = time.monotonic()
    future = client.ask(request_, texts.append)
    assert time.monotonic() - begin < 0.2
    assert client.state.startswith("starting")
    assert future.result(30).seconds == 0.25
    assert texts == ["at it"]
    assert client.state == "ready"
    assert states[0].startswith("starting")
    assert "working" in states
    assert states[-1] == "ready"


def test_start_readies_the_helper_without_a_question(make, request_) -> None:
    client = make("answers")
    client.start()
    wait_until(lambda: client.state == "ready")
    first = client.pid
    client.start()
    client.ask(request_).result(30)
    assert client.pid == first


def test_closing_ends_the_helper_and_leaves_nothing(make, request_, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    client = make("silent")
    future = client.ask(request_)
    wait_until(lambda: asked(request_))
    pid = client.pid
    client.close()
    assert gone(pid)
    assert client.state == "off"
    with pytest.raises(CancelledError):
        future.result(0)
    assert list(tmp_path.glob("mia-*")) == []


def test_closing_while_it_starts(make, request_) -> None:
    client = make("never ready")
    client.ask(request_)
    client.close()
    assert client.state == "off"
    client.ask(request_)
    pid = wait_until(lambda: client.pid)
    client.close()
    wait_until(lambda: gone(pid))


def test_a_killed_helper_is_told_and_the_next_question_starts_another(make, request_) -> None:
    client = make("silent")
    future = client.ask(request_)
    wait_until(lambda: asked(request_))
    os.kill(client.pid, signal.SIGKILL)
    with pytest.raises(MiaError, match=r"cells gives no answer: the helper process was killed \(SIGKILL\)"):
        future.result(30)
    assert client.state == "dead: was killed (SIGKILL)"
    client.ask(request_)
    wait_until(lambda: len(asked(request_)) == 2)
    assert len(set(asked(request_))) == 2


def test_a_silent_helper_is_ended(make, request_) -> None:
    client = make("silent", silence_s=0.3)
    client.start()
    wait_until(lambda: client.state == "ready")
    pid = client.pid
    begin = time.monotonic()
    while time.monotonic() - begin < 1.0:  # without a question it may be silent for as long as it likes
        assert not gone(pid)
    with pytest.raises(MiaError, match="said nothing for 0 s and was ended"):
        client.ask(request_).result(30)
    wait_until(lambda: gone(pid))


def test_a_stopped_helper_is_ended_too_and_asking_it_never_blocks(make, request_) -> None:
    client = make("answers", silence_s=0.5)
    client.ask(request_).result(30)
    os.kill(client.pid, signal.SIGSTOP)
    large = AssistRequest(request_.entry, Pixels(np.zeros((1, 2000, 2000), np.uint8)))  # more than a socket holds
    begin = time.monotonic()
    futures = [client.ask(large) for _ in range(5)]
    assert time.monotonic() - begin < 0.4
    with pytest.raises(MiaError, match="said nothing"):
        futures[-1].result(30)


def test_a_helper_that_never_gets_ready_is_ended(make, request_) -> None:
    client = make("never ready", start_s=1.0)
    with pytest.raises(MiaError, match="did not start within 1 s"):
        client.ask(request_).result(30)


def test_a_helper_that_cannot_start_says_why(make, request_) -> None:
    client = make("die")
    with pytest.raises(MiaError, match=r"exit code 1: RuntimeError: no such device \(see .*assist\.log\)"):
        client.ask(request_).result(30)
    assert client.state.startswith("dead: ended with exit code 1")


def test_a_helper_of_another_version_is_refused(make, request_) -> None:
    with pytest.raises(MiaError, match=r"another version \(9\.9\): leave mia-tui and start it again"):
        make("other version").ask(request_).result(30)


@pytest.mark.parametrize("mode", ["babbles", "half"])
def test_answers_that_make_no_sense_are_errors(make, request_, mode) -> None:
    with pytest.raises(MiaError, match=r"(can|cannot) be understood"):
        make(mode).ask(request_).result(30)


def test_a_question_in_the_moment_of_leaving_is_asked_again(make, request_) -> None:
    client = make("leaves once")
    assert client.ask(request_).result(30).seconds == 0.25
    assert len(set(asked(request_))) == 2


def test_a_newer_question_cancels_the_older_one_of_the_same_assist_only(make, request_, tmp_path) -> None:
    client = make("silent")
    other = AssistRequest(AssistEntry("edges", "hed", tmp_path / "other"))
    first, beside, second = client.ask(request_), client.ask(other), client.ask(request_)
    assert first.cancelled()
    assert not beside.done()
    assert not second.done()
    wait_until(lambda: client.state == "working")
    assert second.cancel()
    assert client.state == "working"
    assert beside.cancel()
    assert client.state == "ready"


def test_a_receiver_that_fails_does_no_harm(make, request_) -> None:
    def fail(*_) -> None:
        raise RuntimeError("no widget")

    client = make("answers", changed=fail)
    assert client.ask(request_, fail).result(30).seconds == 0.25
    assert client.ask(request_).result(30).seconds == 0.25


def test_what_cannot_be_asked_is_refused_without_starting_anything(make, request_) -> None:
    client = make("answers")
    missing = AssistEntry("hed", "hed", None, False, "put hed.pth into the folder")
    with pytest.raises(MiaError, match=r"hed is not ready: put hed\.pth into the folder"):
        client.ask(AssistRequest(missing)).result(0)
    huge = np.broadcast_to(np.zeros((1, 1, 1), np.uint8), (1, 2**15, 2**15))
    with pytest.raises(MiaError, match="1024 MB are too much"):
        client.ask(AssistRequest(request_.entry, Pixels(huge))).result(0)
    assert client.state == "off"


def test_many_threads_may_ask(make, tmp_path) -> None:
    client = make("answers")
    results = []

    def ask(number: int) -> None:
        entry = AssistEntry(f"assist {number}", "sam", tmp_path / "asked")
        results.append(client.ask(AssistRequest(entry)).result(30).seconds)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [0.25] * 16
    assert len(set((tmp_path / "asked").read_text().split())) == 1


def test_the_socket_is_private_and_its_path_short(tmp_path, monkeypatch) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    folder = private_folder()
    try:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert len(os.fsencode(folder / "s")) <= SOCKET_PATH
    finally:
        folder.rmdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    private = private_folder()
    assert private.parent == tmp_path
    private.rmdir()


CRASH = """
import json, os, signal, sys, time
from pathlib import Path
from mia_tui.jobs.assist import AssistClient, AssistEntry
from mia_tui.engine.assist.messages import AssistRequest
client = AssistClient(helper=(sys.executable, sys.argv[1], "silent"))
asked = Path(sys.argv[2])
client.ask(AssistRequest(AssistEntry("cells", "sam", asked)))
while not asked.exists():
    time.sleep(0.01)
print(json.dumps({"pid": client.pid, "session": os.getsid(client.pid)}), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_helper_ends_with_a_crashed_interface(tmp_path) -> None:
    result = subprocess.run(
        [sys.executable, "-P", "-c", CRASH, str(STAND_IN), str(tmp_path / "asked")],
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": ""},
    )  # fmt: skip
    assert result.returncode == -signal.SIGKILL, result.stderr
    helper = json.loads(result.stdout)
    assert helper["session"] == helper["pid"]
    wait_until(lambda: gone(helper["pid"]))
    assert list(tmp_path.glob("mia-*")) == []
