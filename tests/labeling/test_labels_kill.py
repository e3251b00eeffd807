"""No acknowledged edit is lost when the editor is killed at any moment."""

import os
import random
import select
import signal

from shapely.geometry import box

from mia_tui.labeling import store as store_module
from mia_tui.labeling.objects import LabelObject
from mia_tui.labeling.store import FrameStore, read_frame

ROUNDS = 200
SIZE = 64


class Model:
    """What the frame must hold: the edits played on plain dictionaries, knowing nothing of files."""

    def __init__(self):
        self.objects, self.next_id, self.count = {}, 1, 0
        self.done, self.undone = [], []

    def copy(self):
        other = Model()
        other.objects, other.next_id, other.count = dict(self.objects), self.next_id, self.count
        other.done, other.undone = list(self.done), list(self.undone)
        return other

    def plan(self, rng):
        """The next thing to do: ("undo",), ("redo",) or ("edit", text, {id: position}, removed ids)."""
        self.count += 1
        kind = rng.choice(["add", "add", "remove", "correct", "undo", "undo", "redo"])
        if kind == "undo" and self.done:
            return ("undo",)
        if kind == "redo" and self.undone:
            return ("redo",)
        gone = rng.sample(sorted(self.objects), min(len(self.objects), rng.randint(1, 3)))
        new = {self.next_id: rng.randrange(SIZE - 4), self.next_id + 1: rng.randrange(SIZE - 4)}
        if kind == "remove" and gone:
            return ("edit", f"remove {self.count}", {}, gone)
        if kind == "correct" and gone:
            return ("edit", f"correct {self.count}", {gone[0]: rng.randrange(SIZE - 4)}, gone)
        return ("edit", f"add {self.count}", new, [])

    def play(self, step):
        if step[0] == "undo":
            text, before, after = self.done.pop()
            self.undone.append((text, before, after))
            self.objects = before
        elif step[0] == "redo":
            text, before, after = self.undone.pop()
            self.done.append((text, before, after))
            self.objects = after
        else:
            _, text, added, removed = step
            kept = {number: at for number, at in self.objects.items() if number not in removed}
            after = {**kept, **added}
            self.done.append((text, self.objects, after))
            self.undone = []
            self.objects = after
            self.next_id = max([self.next_id, *(number + 1 for number in added)])

    def looks(self):
        return self.objects, self.done[-1][0] if self.done else None, self.undone[-1][0] if self.undone else None


def looks(store):
    return positions(store.frame), store.undo_text, store.redo_text


def positions(frame):
    return {number: int(item.geometry.bounds[0]) for number, item in frame.objects.items()} if frame else {}


def thing(number, position):
    return LabelObject(number, box(position, position, position + 4, position + 4), "cell")


def edit_forever(path, model, rng, acknowledge):
    store = FrameStore(path, SIZE, SIZE)
    while True:
        step = model.plan(rng)
        if step[0] == "undo":
            store.undo()
        elif step[0] == "redo":
            store.redo()
        else:
            _, text, added, removed = step
            fresh = [number for number in added if number not in removed]
            if [store.new_id() for _ in fresh] != fresh:
                os.write(acknowledge, b"X")
            store.edit(text, add=[thing(number, at) for number, at in added.items()], remove=removed)
        model.play(step)
        os.write(acknowledge, b".")
        if rng.random() < 0.05:
            store.close()
            store = FrameStore(path, SIZE, SIZE)


def run_and_kill(path, model, seed, edits, delay):
    """Fork an editor, kill it `delay` seconds after it acknowledged so many edits; all acknowledgements it gave."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            edit_forever(path, model, random.Random(seed), writer)
        finally:
            os._exit(1)
    os.close(writer)
    said = b""
    while len(said) < edits and (piece := os.read(reader, edits - len(said))):
        said += piece
    select.select([], [], [], delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    while piece := os.read(reader, 65_536):
        said += piece
    os.close(reader)
    assert os.WIFSIGNALED(status), "the editor failed by itself"
    return said


def follow(model, seed, steps):
    rng = random.Random(seed)
    for _ in range(steps):
        model.play(model.plan(rng))
        rng.random()
    return model


def test_kill_9_at_any_moment_loses_no_acknowledged_edit(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "SNAPSHOT_EVERY", 4)
    path = tmp_path / "image.png" / "image.geojson"
    model = Model()
    clock = random.Random(11)
    acknowledged = 0
    for seed in range(ROUNDS):
        said = run_and_kill(path, model.copy(), seed, clock.randrange(9), clock.uniform(0, 0.004))
        assert b"X" not in said, "an id was handed out twice"
        acknowledged += len(said)
        at, behind = follow(model.copy(), seed, len(said)), follow(model.copy(), seed, len(said) + 1)
        seen = positions(read_frame(path))
        with FrameStore(path, SIZE, SIZE) as store:
            assert looks(store) in (at.looks(), behind.looks()), f"round {seed}, after {len(said)} acknowledged edits"
            assert seen == positions(store.frame)
            model = at if looks(store) == at.looks() else behind
    assert acknowledged > 3 * ROUNDS
    assert not list(path.parent.glob(".*.tmp"))
    monkeypatch.undo()
    check_history(path, model)


def check_history(path, model):
    """Everything can be taken back to the empty frame and done again, over all those deaths."""
    with FrameStore(path, SIZE, SIZE) as store:
        for text, before, _ in reversed(model.done):
            assert store.undo() == text
            assert positions(store.frame) == before
        assert store.undo() is None
        assert positions(store.frame) == {}
        for text, _, after in model.done:
            assert store.redo() == text
            assert positions(store.frame) == after
