"""What all tests share: no test reads or writes the user's own settings, state, cache or device queue."""

import os

import pytest

# Before anything reads it: tests run two at a time, and threads that wait for each other are many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ALONE = ("tests/e2e/", "tests/engine/test_memory.py", "tests/screens/test_bytes.py")
"""Tests that play a real terminal, count what is drawn until it is quiet, or measure the memory of their process."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(item.config.rootpath).as_posix().startswith(ALONE):
            item.add_marker("alone")


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory) -> None:
    """Settings, state (with the queue of the device) and cache of the session in temporary folders.

    Set for good, not restored at the end: a run that outlives its test must not queue on the user's device.
    """
    base = tmp_path_factory.mktemp("mia-tui")
    for name in ("CONFIG", "STATE", "CACHE"):
        os.environ[f"MIA_TUI_{name}"] = str(base / name.lower())
