"""Any keys at all, then undo until nothing is left: the frame is as it was. Then redo, also after a restart."""

import os

import hypothesis.strategies as st
import pytest
import shapely
from desks import KEY, WHOLE, at_desk, box, contents, make_project, opened, pixels, predict, propose
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mia_tui.labeling.store import FrameStore, read_frame
from mia_tui.widgets.canvas.view import View

PLACES = [box(5 + 17 * column, 3 + 19 * row, size) for row in range(3) for column in range(5) for size in (8, 14)]
POINTS = [shapely.Point(5 + 17 * column, 3 + 19 * row) for row in range(3) for column in range(5)]
KEYS = (
    *"yyyxxnnpAT..12'drmaet;;358uuUU", "enter", "space", "backspace", "tab", "delete", "ctrl+a", "escape", "escape",
    "ctrl+z", "ctrl+r", *"fjdksleE", "w", "s", "b", "plus", "minus", "ctrl+d",
)  # fmt: skip
VIEWS = (WHOLE, WHOLE, View(10, 40, 0.0, 0.0, 1.0), View(10, 30, 20.0, 30.0, 0.7))
NAMES = {"'": "apostrophe", ".": "full_stop", ";": "semicolon"}
UNDOING = {"u", "U", "ctrl+z", "ctrl+r"}


class Keys(RuleBasedStateMachine):
    """Presses keys at random on a frame that other people have worked on before."""

    task = "segmentation"
    folder = None
    count = 0

    @initialize(predicted=st.booleans(), before=st.booleans())
    def begin(self, predicted, before) -> None:
        Keys.count += 1
        self.project = make_project(self.folder / f"{self.task}{Keys.count}", task=self.task)
        shapes = PLACES if self.task == "segmentation" else POINTS
        self.model = "net" if predicted else None
        self.predicted = predict(self.project, shapes)
        self.predicted_before = contents(read_frame(self.predicted))
        if before:
            self.there_before()
        self.desk = at_desk(self.project, model=self.model)
        if not predicted:
            propose(self.desk, shapes)
        self.first = self.desk.candidates
        self.start = self.state()

    def there_before(self) -> None:
        """Labels of an earlier session, of which nothing can be undone at this desk."""
        with FrameStore(self.project.labels_path(KEY, "image"), 60, 90) as store:
            store.edit("drawn", add=[])
        from mia_tui.labeling.objects import FrameLabels, LabelObject
        from mia_tui.labeling.store import write_frame

        shape = box(60, 40, 15) if self.task == "segmentation" else shapely.Point(60, 40)
        frame = FrameLabels.of(60, 90, [LabelObject(1, shape, "cell"), LabelObject(4, shapely.Point(3, 50), "debris")])
        write_frame(self.project.labels_path(KEY, "image"), frame)

    def state(self) -> tuple:
        """Labels, marks and areas as another reader finds them on disk, and what is pending here."""
        labels = read_frame(self.project.labels_path(KEY, "image"))
        marks = read_frame(self.predicted)
        return (
            {} if labels is None else contents(labels),
            () if labels is None else tuple(area.wkb for area in labels.areas),
            marks.rejected,
            # Proposals that were made anew are others.
            frozenset(item.number for item in self.desk.pending if self.desk.candidates is self.first),
        )

    # ---- keys -------------------------------------------------------------------------------------------------------

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=8), view=st.sampled_from(VIEWS))
    def press(self, keys, view) -> None:
        self.desk.view = view
        for key in keys:
            self.desk.press(NAMES.get(key, key))

    @rule(number=st.integers(0, 10_000), menu=st.sampled_from(("", "t", "comma")))
    def any_action(self, number, menu) -> None:
        """Any key of the table, from one of the menus, too."""
        if menu:
            self.desk.press(menu)
        context = self.desk.mode.name if menu and self.desk.mode is not None else ""
        keys = [key for action in self.desk.actions if action.context == context for key in action.key_names]
        self.desk.press(keys[number % len(keys)])

    @rule(number=st.integers(0, 10_000))
    def key_of_the_mode(self, number) -> None:
        names = {mode.name for mode in self.desk.modes}
        keys = [key for action in self.desk.actions if action.context in names for key in action.key_names]
        if keys:
            self.desk.press(keys[number % len(keys)])

    @rule(y=st.integers(0, 59), x=st.integers(0, 89), key=st.sampled_from(("enter", "click")))
    def point(self, y, x, key) -> None:
        self.desk.cursor = (y, x)
        if key == "click":
            self.desk.click(y + 0.5, x + 0.5)
        else:
            self.desk.press("enter")

    @rule(number=st.integers(0, 20))
    def hint(self, number) -> None:
        """Type one of the hints that are shown."""
        hints = self.desk.sketch().hints
        for letter in hints[number % len(hints)].letters if hints else "":
            self.desk.press(letter)

    # ---- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def what_is_shown_is_on_disk(self) -> None:
        if hasattr(self, "desk"):
            labels = read_frame(self.project.labels_path(KEY, "image"))
            assert contents(self.desk.labels) == ({} if labels is None else contents(labels))

    @invariant()
    def predictions_change_by_nothing_but_marks(self) -> None:
        if hasattr(self, "desk"):
            assert contents(read_frame(self.predicted)) == self.predicted_before

    @invariant()
    def no_two_labels_share_pixels(self) -> None:
        if hasattr(self, "desk"):
            shapes = [item.geometry for item in self.desk.labels.objects.values() if item.geometry.geom_type != "Point"]
            found = [pixels(shape) for shape in shapes]
            assert all(found)
            assert sum(map(len, found)) == len(set().union(*found)) if found else True

    @rule()
    def undo_all_and_redo_all(self) -> None:
        """In this session: back to how it was opened, and forth to how it is."""
        self.desk.press("escape")
        end, steps = self.state(), 0
        while self.desk.undo() is not None:
            steps += 1
            assert steps < 1000
        assert self.state()[:3] == self.start[:3]
        if self.desk.candidates is self.first:
            assert self.state() == self.start
        for _ in range(steps):
            assert self.desk.redo() is not None
        assert self.state() == end

    @precondition(lambda self: self.model is not None)
    @rule()
    def restart(self) -> None:
        """All that was done is there again, and undo goes on where it was."""
        if self.desk.candidates is not self.first:  # proposals have taken the place of the model
            return
        before, would_undo = self.state(), self.desk._histories()
        texts = [(history.undo_text, history.redo_text) for history in would_undo]
        self.desk.close()
        fresh = at_desk(self.project, model=self.model)
        assert self.state_of(fresh) == before
        assert [(history.undo_text, history.redo_text) for history in fresh._histories()] == texts
        # What a later edit in the other file has overtaken is known to the session that saw it only.
        fresh._overtaken = self.desk._overtaken
        self.desk, self.first = fresh, fresh.candidates

    def state_of(self, desk) -> tuple:
        self.desk, self.first = desk, desk.candidates
        return self.state()

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.undo_all_and_redo_all()
            self.desk.close()
            opened(self.desk, model=self.model)
            self.desk.close()


class PointKeys(Keys):
    task = "detection"


LIMITS = settings(
    max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


@pytest.mark.parametrize("machine", [Keys, PointKeys])
def test_any_keys_can_be_undone_and_done_again(machine, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # how durable it is, others test
    from hypothesis.stateful import run_state_machine_as_test

    machine.folder = tmp_path
    run_state_machine_as_test(machine, settings=LIMITS)
