"""The decisions of a review: what is written, in which order, and how it is taken back. No widgets; runs in threads."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mia_tui.errors import MiaError
from mia_tui.labeling import review
from mia_tui.labeling.review import ReviewState
from mia_tui.labeling.store import FrameStore, class_colors, open_labels
from mia_tui.project import Project


@dataclass(frozen=True)
class Place:
    """One predicted frame: image key and name of the frame."""

    key: str
    frame: str


@dataclass(frozen=True)
class Decision:
    """One step that undo takes back: its undo step in the label file and the one in the prediction ("": none)."""

    place: Place
    labels: str = ""
    predictions: str = ""

    @property
    def text(self) -> str:
        return self.labels or self.predictions


class ReviewDesk:
    """Accepts and rejects predictions of one model, one call at a time.

    The stores of the frame that is worked on stay open, so that a decision costs one appended line; they are opened at
    the first decision (looking never locks or writes) and closed when the work moves to another frame.
    """

    def __init__(self, project: Project, model: str) -> None:
        self.project = project
        self.model = model
        self._open: tuple[Place, FrameStore, FrameStore] | None = None
        self._lock = threading.Lock()
        self._done: list[Decision] = []
        self._undone: list[Decision] = []

    def places(self) -> list[Place]:
        """All predicted frames, in natural order."""
        return [Place(key, frame) for key, frame in self.project.frames_under(f"predictions:{self.model}")]

    def state(self, place: Place) -> ReviewState:
        """Where the review of a frame stands."""
        with self._lock:
            if self._open is not None and self._open[0] == place:
                return self._state(*self._open)
            return review.review_state(self.project, self.model, place.key, place.frame)

    def accept(self, place: Place, ids: Iterable[int]) -> ReviewState:
        """Copy predicted objects into the labels; one undo step."""
        return self._decide(place, list(ids), review.accept)

    def reject(self, place: Place, ids: Iterable[int]) -> ReviewState:
        """Mark predicted objects as rejected; one undo step."""
        return self._decide(place, list(ids), review.reject)

    def undo(self, place: Place) -> Decision | None:
        """Take back the last decision of this session, wherever it was; before the first, the last one on `place`.

        Raises
        ------
        MiaError
            When another program has edited the files since: its edit is not taken back from here.
        """
        with self._lock:
            decision = self._done[-1] if self._done else self._last_on_disk(place, redo=False)
            if decision is not None:
                self._step(decision, "undo")
                self._done = self._done[:-1]
                self._undone.append(decision)
            return decision

    def redo(self, place: Place) -> Decision | None:
        """Do the last undone decision again. Raises as `undo` does."""
        with self._lock:
            decision = self._undone[-1] if self._undone else self._last_on_disk(place, redo=True)
            if decision is not None:
                self._step(decision, "redo")
                self._undone = self._undone[:-1]
                self._done.append(decision)
            return decision

    def accept_frame(self, place: Place) -> tuple[ReviewState, int]:
        """Accept everything pending on a frame, as one undo step, but for what the labels hold already.

        Returns the state then, and how many were left out because they overlap a label (IoU over 0.5).
        """
        state = self.state(place)
        pending = [state.predictions.objects[number] for number in state.pending]
        known = review.already_labelled(pending, state.labels)
        state = self.accept(place, [number for number in state.pending if number not in known])
        return state, len(known)

    def accept_all(self, rule: str) -> review.AcceptReport:
        """Accept everything pending that meets a rule, on all frames; each frame is one undo step."""
        with self._lock:
            self._close()
            report = review.accept_all(self.project, self.model, rule)
            done = [counts for counts in report.frames if counts.accepted]
            self._done += [Decision(Place(c.key, c.frame), f"accept {c.accepted} of {self.model}") for c in done]
            self._undone = []
            return report

    def next_pending(self, places: list[Place], start: int, step: int) -> int | None:
        """Index of the first frame from `start` on, forwards (1) or backwards (-1), that has something pending."""
        for index in range(start, len(places) if step > 0 else -1, step):
            if self.state(places[index]).pending:
                return index
        return None

    def close(self) -> None:
        """Close the stores of the frame that was worked on."""
        with self._lock:
            self._close()

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        if self._open is None:
            return
        _, labels, predictions = self._open
        self._open = None
        try:
            labels.close()
        finally:
            predictions.close()

    def _decide(self, place: Place, ids: list[int], act: Callable[..., object]) -> ReviewState:
        with self._lock:
            labels, predictions = self._stores(place)
            before = labels.frame, predictions.frame
            act(self.project, self.model, place.key, place.frame, ids, labels=labels, predictions=predictions)
            decision = Decision(
                place,
                (labels.undo_text or "") if labels.frame is not before[0] else "",
                (predictions.undo_text or "") if predictions.frame is not before[1] else "",
            )
            if decision.text:
                self._done.append(decision)
                self._undone = []
            return self._state(place, labels, predictions)

    def _state(self, place: Place, labels: FrameStore, predictions: FrameStore) -> ReviewState:
        return review.review_state(
            self.project, self.model, place.key, place.frame, labels=labels, predictions=predictions
        )

    def _step(self, decision: Decision, way: str) -> None:
        """Undo or redo a decision in its files, after a look whether it is the last edit there."""
        place = decision.place
        stores = zip(self._stores(place), (decision.labels, decision.predictions), strict=True)
        concerned = [(store, text) for store, text in stores if text]
        for store, text in concerned:
            if text != (store.undo_text if way == "undo" else store.redo_text):
                raise MiaError(f"{store.path} was edited elsewhere since: {way} leaves that edit alone. Decide again.")
        for store, _ in concerned:
            if way == "undo":
                store.undo()
            else:
                store.redo()

    def _stores(self, place: Place) -> tuple[FrameStore, FrameStore]:
        if self._open is not None and self._open[0] == place:
            return self._open[1], self._open[2]
        self._close()
        state = review.review_state(self.project, self.model, place.key, place.frame)
        size = state.predictions.height, state.predictions.width
        labels = open_labels(self.project, place.key, place.frame, *size)
        try:
            path = self.project.prediction_path(self.model, place.key, place.frame)
            predictions = FrameStore(path, *size, colors=class_colors(self.project))
        except BaseException:
            labels.close()
            raise
        self._open = place, labels, predictions
        return labels, predictions

    def _last_on_disk(self, place: Place, *, redo: bool) -> Decision | None:
        """The step of an earlier session on this frame that is next in time, in whichever file it stands."""
        labels, predictions = self._stores(place)
        found: list[tuple[float, Decision]] = []
        for store in (labels, predictions):
            text = store.redo_text if redo else store.undo_text
            if text is not None and text.startswith(("accept", "reject", "take back")):
                decision = Decision(place, text, "") if store is labels else Decision(place, "", text)
                found.append((store.redo_time if redo else -store.undo_time, decision))
        return min(found, key=lambda pair: pair[0])[1] if found else None
