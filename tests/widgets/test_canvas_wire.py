"""What is large goes out in small writes, one heavy frame at a time; a silent terminal holds nothing back."""

from textual.app import App
from textual.drivers.headless_driver import HeadlessDriver

from mia_tui.widgets.canvas.wire import ASK, PIECE, Wired, in_pieces, pieces


class Shell(Wired, App):
    """Writes to a list as to a terminal."""

    is_headless = False

    def listen(self) -> list[str]:
        heard: list[str] = []
        self._driver.write = heard.append
        return heard


def test_no_write_is_longer_than_64_kb_whatever_the_characters() -> None:
    text = "a" * 50_000 + "\U0010eeee" * 50_000
    assert "".join(pieces(text)) == text
    assert max(len(piece.encode()) for piece in pieces(text)) <= 64_000
    written = []

    class Recorder(HeadlessDriver):
        def write(self, data: str) -> None:
            written.append(data)

    cutting = in_pieces(Recorder)
    cutting.write(object.__new__(cutting), text)
    assert "".join(written) == text
    assert max(map(len, written)) <= PIECE


async def test_a_second_heavy_frame_waits_for_the_answer_to_the_first() -> None:
    app = Shell()
    async with app.run_test():
        heard = app.listen()
        done = []
        app.wire.send(["one"], heavy=True)
        assert "".join(heard).count(ASK) == 1
        assert app.wire.busy
        app.wire.when_free("me", lambda: done.append("old"))
        app.wire.when_free("me", lambda: done.append("new"))
        assert done == []
        app.wire.answered()
        assert done == ["new"]
        assert not app.wire.busy
        app.wire.when_free("me", lambda: done.append("now"))
        assert done == ["new", "now"]


async def test_many_strings_are_sent_some_at_a_time() -> None:
    app = Shell()
    async with app.run_test():
        heard = app.listen()
        strings = [f"<{i}>" for i in range(11)]
        app.wire.send(strings, heavy=True)
        assert "<3>" in heard
        assert "<4>" not in heard
        for _ in range(6):
            app.wire.answered()
        assert [text for text in heard if text != ASK] == strings


async def test_a_terminal_that_never_answers_is_waited_for_once(monkeypatch) -> None:
    monkeypatch.setattr("mia_tui.widgets.canvas.wire.PATIENCE_S", 0.05)
    app = Shell()
    async with app.run_test() as pilot:
        app.listen()
        done = []
        app.wire.send(["one"], heavy=True)
        app.wire.when_free("me", lambda: done.append(1))
        for _ in range(100):
            await pilot.pause(0.01)
            if done:
                break
        assert done == [1]
        app.wire.send(["two"], heavy=True)
        assert not app.wire.busy
        app.wire.answered()  # at last: from now on it is asked again
        app.wire.send(["three"], heavy=True)
        assert app.wire.busy
