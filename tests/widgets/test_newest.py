"""Work in a thread: one at a time, the newest request wins."""

import threading

from textual.app import App

from mia_tui.errors import MiaError
from mia_tui.widgets.newest import Newest


class Worker(App):
    def __init__(self, work) -> None:
        super().__init__()
        self.done, self.failed = [], []
        self.newest = Newest(
            self, work, lambda request, result: self.done.append((request, result)),
            lambda request, error: self.failed.append((request, str(error))),
        )  # fmt: skip


async def test_what_waits_is_replaced_by_what_is_newer() -> None:
    gate, started = threading.Event(), []

    def work(number):
        started.append(number)
        assert gate.wait(20)
        return number * 10

    app = Worker(work)
    async with app.run_test() as pilot:
        for number in range(1, 6):
            app.newest.ask(number)
            while not started:
                await pilot.pause(0.01)
        gate.set()
        await app.workers.wait_for_complete()
        assert started == [1, 5]
        assert app.done == [(1, 10), (5, 50)]
        app.newest.ask(7)
        await app.workers.wait_for_complete()
        assert app.done[-1] == (7, 70)


async def test_a_failure_is_told_and_the_next_request_is_done() -> None:
    def work(number):
        if number == 1:
            raise MiaError("one is bad")
        return number

    app = Worker(work)
    async with app.run_test():
        app.newest.ask(1)
        await app.workers.wait_for_complete()
        app.newest.ask(2)
        await app.workers.wait_for_complete()
        assert app.failed == [(1, "one is bad")]
        assert app.done == [(2, 2)]
