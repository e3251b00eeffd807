"""Running `mia-tui` commands beside the screen: the process that draws never computes."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from mia_tui.errors import MiaError

GRACE_S = 5.0
"""How long a cancelled command may take to end before it is killed."""


async def run_command(arguments: Sequence[str], on_line: Callable[[str], None]) -> dict[str, Any]:
    """Run `mia-tui ARGUMENTS --json` in a process of its own and return the JSON object it prints last.

    `on_line` is given every line of its progress. Cancelling the task that waits here ends the process.

    Raises
    ------
    MiaError
        With what the command said, when it failed.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mia_tui.cli", *arguments, "--json",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        said, complained = await asyncio.gather(_lines(process.stdout, on_line), _lines(process.stderr, on_line))
        code = await process.wait()
    finally:
        await _end(process)
    value = _parse(said[-1] if said else "")
    if code != 0:
        reason = value.get("error") or "\n".join(complained[-5:]) or f"it ended with exit code {code}"
        raise MiaError(f"mia-tui {arguments[0]}: {reason}")
    if not value:
        raise MiaError(f"mia-tui {arguments[0]} did not say what it did")
    return value


async def _lines(stream: asyncio.StreamReader, on_line: Callable[[str], None]) -> list[str]:
    """The last lines of a stream; each is handed on as it comes (JSON is not), also one rewritten in place."""
    kept: list[str] = []
    rest = b""
    while True:
        chunk = await stream.read(65536)
        *whole, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in (part.decode(errors="replace").strip() for part in (whole if chunk else [*whole, rest])):
            if line:
                kept = [*kept[-20:], line]
                if not line.startswith("{"):
                    on_line(line)
        if not chunk:
            return kept


def _parse(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


async def _end(process: asyncio.subprocess.Process) -> None:
    """End what is still running: ask its process group first, kill it after `GRACE_S`."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(process.wait()), GRACE_S)
