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
        out, said = await asyncio.gather(process.stdout.read(), _narrate(process.stderr, on_line))
        code = await process.wait()
    finally:
        await _end(process)
    last = out.decode(errors="replace").strip().rpartition("\n")[2]
    if code != 0:
        raise MiaError(said or last or f"mia-tui {arguments[0]} ended with exit code {code}")
    try:
        value: dict[str, Any] = json.loads(last)
    except ValueError:
        raise MiaError(f"mia-tui {arguments[0]} did not say what it did, but: {last[:200] or 'nothing'}") from None
    return value


async def _narrate(stream: asyncio.StreamReader, on_line: Callable[[str], None]) -> str:
    """Hand on each line (also those rewritten with a carriage return); return the last ones, for an error."""
    tail: list[str] = []
    rest = ""
    while chunk := await stream.read(4096):
        *lines, rest = (rest + chunk.decode(errors="replace")).replace("\r", "\n").split("\n")
        for line in filter(None, (line.strip() for line in lines)):
            tail = [*tail[-4:], line]
            on_line(line)
    return "\n".join([*tail, rest.strip()] if rest.strip() else tail)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End what is still running: ask its process group first, kill it after `GRACE_S`."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(process.wait()), GRACE_S)
