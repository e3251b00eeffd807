"""Driving the app in tests: type texts, read the screen, wait for something to become true."""

import time

KEYS = {"/": "slash", ".": "full_stop", ",": "comma", "-": "minus", "_": "underscore", " ": "space", "@": "at"}


def screen_text(app) -> str:
    """What is in sight, line by line."""
    return "\n".join("".join(s.text for s in strip) for strip in app.screen._compositor.render_strips())


async def type_text(pilot, text) -> None:
    await pilot.press(*(KEYS.get(char, char) for char in text))


async def until(pilot, condition, seconds=20.0) -> None:
    """Let the app run until `condition()` holds; fail with what is in sight after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, screen_text(pilot.app)
        await pilot.pause(0.02)
