"""What it costs to make the tracks of a model's predictions perfect: an oracle that knows the truth and presses keys.

    python bench/tracking_corrections.py [--frames 24] [--size 384] [--minutes 4] [--seed 0] [--keep DIR]

A time lapse of cells that move and divide is simulated, a network is trained on other simulated images, its predictions
are linked, and the oracle corrects the tracks at the track desk (`mia_tui/tracking/desk`), with what a terminal of
120 x 40 shows: first `tab` from problem to problem, with the fix of a digit where one helps, then by hand what no
problem points to. Perfect means: every predicted object that is a true one is linked as in truth, divisions included,
and what is none is in no track. What the network did not find stays a gap.

The oracle knows which fix is right and where the errors are that no problem points to; a person has to look for these.
Looking and deciding cost nothing here; a key that is known costs 0.28 s, a letter or digit to be read first 0.5 s.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from _output import show
from labelling_hand import Cost

from mia_tui import console
from mia_tui.demo import TRAINING
from mia_tui.engine.predict import predict_project
from mia_tui.errors import MiaError
from mia_tui.formats.masks import import_masks
from mia_tui.jobs import control
from mia_tui.project import Project
from mia_tui.simulate import write_dataset
from mia_tui.tracking.book import TrackBook
from mia_tui.tracking.desk.desk import TrackDesk
from mia_tui.tracking.desk.modes import Choosing
from mia_tui.tracking.options import LinkOptions
from mia_tui.tracking.sequence import Sequence, SequenceMasks, find_sequences
from mia_tui.tracking.solve import is_link
from mia_tui.tracking.store import TrackStore
from mia_tui.tracking.track import track_sequence

MODEL = "net"
SOURCE = f"predictions:{MODEL}"
ROWS, COLUMNS = 27, 118
"""Cells of the image in a terminal of 120 x 40."""


@dataclass
class View:
    """What the canvas shows: image pixels per cell, and the pixel in its top left corner."""

    scale: float
    top: float = 0.0
    left: float = 0.0
    rows: int = ROWS
    columns: int = COLUMNS

    def to_cell(self, y: float, x: float) -> tuple[int, int]:
        return int((y - self.top) // (2 * self.scale)), int((x - self.left) // self.scale)

    def to_image(self, row: float, column: float) -> tuple[float, float]:
        return self.top + row * 2 * self.scale, self.left + column * self.scale


@dataclass(frozen=True)
class Truth:
    """Of every detection: the true track (0: no true object). And who came from whom."""

    track: np.ndarray
    mothers: dict[int, int]

    def wanted(self, frame: np.ndarray) -> set[tuple[int, int]]:
        """The links between rows that there should be."""
        rows = {int(n): np.flatnonzero(self.track == n) for n in np.unique(self.track[self.track > 0])}
        links = {pair for own in rows.values() for pair in zip(own[:-1].tolist(), own[1:].tolist(), strict=True)}
        for daughter, mother in self.mothers.items():
            if daughter in rows and mother in rows and frame[rows[mother][-1]] < frame[rows[daughter][0]]:
                links.add((int(rows[mother][-1]), int(rows[daughter][0])))
        return links


def links_of(book: TrackBook) -> set[tuple[int, int]]:
    """The links between rows that there are."""
    found: set[tuple[int, int]] = set()
    for number in book.numbers:
        rows = book.rows(number)
        found |= set(zip(rows[:-1].tolist(), rows[1:].tolist(), strict=True))
        mother = book.rows(book.mothers.get(number, 0))
        if len(mother) and len(rows):
            found.add((int(mother[-1]), int(rows[0])))
    return found


@dataclass
class Oracle:
    """Presses keys until the tracks are as they should be."""

    desk: TrackDesk
    truth: Truth
    cost: Cost = field(default_factory=Cost)
    made: Counter[str] = field(default_factory=Counter)

    @property
    def book(self) -> TrackBook:
        return self.desk.book

    def errors(self) -> int:
        """Links that are missing or wrong, and false objects in tracks."""
        false = int(((self.truth.track == 0) & (self.book.track > 0)).sum())
        return len(links_of(self.book) ^ self.wanted) + false

    @property
    def wanted(self) -> set[tuple[int, int]]:
        return self.truth.wanted(self.book.detections.frame)

    def press(self, *keys: str, read: int = 0) -> None:
        """Press keys; the last `read` of them had to be read first."""
        for key in keys:
            self.desk.press(key)
        self.cost = self.cost + Cost(len(keys) - read, read)

    # ---- what the desk points to ------------------------------------------------------------------------------------

    def mend_problems(self) -> None:
        """From problem to problem, as long as fixes help."""
        seen: set[object] = set()
        while True:
            listed = [problem for problem in self.desk.problems.problems if problem not in seen]
            if not listed:
                return
            self.press("tab")
            problem = self.desk.problem
            if problem is None:
                return
            seen.add(problem)
            best = self._best_fix()
            if best is not None:
                self.press(str(best + 1), read=1)
                self.made[f"fix of {problem.kind}"] += 1

    def _best_fix(self) -> int | None:
        now = self.errors()
        after = [self._tried(fix.edit, fix.arguments) for fix in self.desk.fixes[:9]]
        best = min(range(len(after)), key=after.__getitem__, default=None)
        return best if best is not None and after[best] < now else None

    def _tried(self, edit: Callable[..., str], arguments: tuple[object, ...]) -> int:
        """Errors there would be; everything is taken back."""
        book = self.book
        try:
            with book.drafting() as draft:
                edit(book, draft, *arguments)
        except MiaError:
            return 10**9
        errors = self.errors()
        book.take_all(draft.steps, forward=False)
        return errors

    # ---- by hand ----------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Frame by frame, what is still wrong."""
        frame = self.book.detections.frame
        for row in range(len(frame)):
            if self.truth.track[row] == 0 and self.book.track[row]:
                self._take(row)
                self.press("d", "o", read=1)
                self.made["object dropped"] += 1
        mothers = {self.truth.mothers.get(n) for n in self.truth.mothers}
        for one, other in sorted(self.wanted, key=lambda pair: int(frame[pair[1]])):
            if self.truth.track[one] == self.truth.track[other] and not is_link(self.book, one, other):
                self._link(one, other)
        for mother in sorted(m for m in mothers if m):
            self._divide(mother)
        for one, other in sorted(links_of(self.book) - self.wanted, key=lambda pair: int(frame[pair[1]])):
            if not is_link(self.book, one, other):
                continue
            self._take(other)
            self.press("x" if self.book.track[one] == self.book.track[other] else "O")
            self.made["cut"] += 1

    def _link(self, one: int, other: int) -> None:
        if not self.book.track[one]:
            self._take(one)
            self.press("R", *str(self.book.next_number), "enter")
        self._take(other)
        if self.book.track[one] != self.book.track[other]:
            self._pick(int(self.book.track[one]), other, "r")
        self.made["re-assigned"] += 1

    def _divide(self, mother: int) -> None:
        daughters = [d for d, m in self.truth.mothers.items() if m == mother]
        rows = [np.flatnonzero(self.truth.track == d) for d in daughters]
        last = np.flatnonzero(self.truth.track == mother)
        firsts = [int(r[0]) for r in rows if len(r)]
        links = [(int(last[-1]), row) for row in firsts if len(last)]
        if (
            not links
            or all(is_link(self.book, *pair) for pair in links)
            or not all(pair in self.wanted for pair in links)
        ):
            return
        own, frames = int(self.book.track[last[-1]]), self.book.detections.frame[firsts]
        if len(links) < 2:
            self.made["division left: one daughter"] += 1
            return
        firsts = [firsts[i] for i in np.argsort(frames, kind="stable")]
        self._take(int(last[-1]))
        self._walk(int(frames.min()))
        goes_on = self.book.row_at(own, int(frames.min()))
        keys = ("D",)
        for row in firsts:
            if row != goes_on:
                self._pick(row, row, *keys)
                keys = ()
        self.made["divided"] += 1

    def _walk(self, frame: int) -> None:
        """Step to a frame."""
        while self.desk.frame != frame:
            way = "right" if frame > self.desk.frame else "left"
            self.press(f"shift+{way}" if abs(frame - self.desk.frame) >= 10 else way)

    def _take(self, row: int) -> None:
        """Go to the frame of an object and choose it by its letters."""
        self._walk(int(self.book.detections.frame[row]))
        if self.desk.row != row:
            self._pick(row, row, "apostrophe")

    def _pick(self, what: int, near: int, *keys: str) -> None:
        """Press keys that put letters on things, then those of one; when it has none in sight, zoom in to it first."""
        self.press(*keys)
        letters = self._letters(what)
        whole = self.desk.view
        if letters is None and keys:
            y, x = self.desk.at(near)
            self.desk.view = View(0.5, y - ROWS / 2, x - COLUMNS / 4)
            self.press("escape", "plus", "plus", *keys)
            letters = self._letters(what)
        if letters is None:
            raise SystemExit(f"no letters for {what} after {keys}: {self.desk.message}")
        self.press(*letters, read=len(letters))
        self.desk.view = whole

    def _letters(self, what: int) -> str | None:
        if not isinstance(self.desk.mode, Choosing):
            return None
        return next((hint.letters for hint in self.desk.mode.hints if hint.target.what == what), None)


def truth_of(project: Project, sequence: Sequence, masks: np.ndarray, lines: str, book: TrackBook) -> Truth:
    """Which true track every detection is: that of which it covers more than half, as the challenge counts."""
    found = SequenceMasks(project, sequence, SOURCE)
    tracks = np.zeros(len(book.track), np.int64)
    for frame in range(len(masks)):
        labels = found(frame)
        pairs, counts = np.unique(np.stack([labels.ravel(), masks[frame].ravel()]), axis=1, return_counts=True)
        of_truth = np.bincount(masks[frame].ravel())
        order = np.argsort(counts)  # of two in one, the larger
        for (label, truth), shared in zip(pairs.T[order].tolist(), counts[order].tolist(), strict=True):
            if label and truth and 2 * shared > of_truth[truth]:
                tracks[book.row((frame, 0, label))] = truth
    table = [tuple(map(int, line.split())) for line in lines.splitlines()]
    return Truth(tracks, {number: mother for number, _, _, mother in table if mother})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--minutes", type=float, default=4.0, help="of the training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--keep", type=Path, help="work here and keep everything; a project that is there is used again"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run(options.keep or Path(scratch), options)


def predicted(folder: Path, options: argparse.Namespace) -> Project:
    """A project with a trained model and its predictions of the time lapse."""
    images = folder / "images"
    write_dataset(images, train=6, predict=1, size=options.size, frames=options.frames, seed=options.seed)
    made = Project.create(
        folder / "project", images=images / "train", predict_images=images / "predict", classes=["nucleus"]
    )
    project = import_masks(made, images / "train_masks", kind="instance").project
    training = {**TRAINING, "epochs": 40, "threads": 1, "max_minutes": options.minutes, "seed": options.seed}
    run = control.start(project, {"kind": "train", "device": "auto", "train": training, "name": MODEL}, MODEL)
    console.check_ended_well(console.watch_run(run, stop_on_interrupt=True))
    predict_project(project, MODEL)
    return project


def run(folder: Path, options: argparse.Namespace) -> None:
    there = folder / "project"
    project = Project.load(there) if there.exists() else predicted(folder, options)
    sequence = next(s for s in find_sequences(project) if len(s.moments) > 1 and s.name.startswith("@predict/"))
    began = time.process_time()
    track_sequence(project, sequence, SOURCE, LinkOptions(), replace=True)
    linking = time.process_time() - began
    stack = next((folder / "images" / "predict_masks").glob("*.tif"))
    lines = stack.with_name(f"{stack.stem}_man_track.txt").read_text()
    with TrackStore(project, sequence, SOURCE) as store:
        desk = TrackDesk(store)
        desk.view = View(max(sequence.height / (2 * ROWS), sequence.width / COLUMNS))
        truth = truth_of(project, sequence, tifffile.imread(stack), lines, store.book)
        oracle = Oracle(desk, truth)
        before, listed = oracle.errors(), len(desk.problems.problems)
        oracle.mend_problems()
        middle, cost = oracle.errors(), oracle.cost
        oracle.sweep()
        after = oracle.errors()
        print(", ".join(f"{count} x {what}" for what, count in oracle.made.most_common()))
        mended = max(before - after, 1)
        show(
            "tracking-corrections",
            {
                "objects": len(truth.track), "of them false": int((truth.track == 0).sum()),
                "true links": len(oracle.wanted), "wrong or missing links at first": before,
                "problems listed": listed, "left after the fixes of problems": middle, "left in the end": after,
                "corrections": store.made, "keys": oracle.cost.keys, "seconds (model)": oracle.cost.seconds(),
                "seconds per error, all": oracle.cost.seconds() / mended,
                "seconds per error, by problems": cost.seconds() / max(before - middle, 1),
                "linking, CPU s": linking,
            },
            "no error is left",
        )  # fmt: skip


if __name__ == "__main__":
    main()
