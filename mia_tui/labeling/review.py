"""Reviewing predictions: accepted objects are copied into the labels, rejected ones are marked; predictions stay.

What is accepted is read from the labels: an object whose `origin` is `<model>#<id>`. What is rejected stands in the
prediction's own journal. So each can be undone in its own file, and nothing can disagree.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from mia_tui.errors import MiaError
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import fill
from mia_tui.labeling.store import FrameStore, class_colors, open_labels, read_frame
from mia_tui.project import PREDICT_PREFIX, Project

SAME_OBJECT_IOU = 0.5
"""A prediction that overlaps a label by more than this is the same object."""
SAME_POINT_PX = 6.0
"""A predicted point within this many pixels of a label point is the same object: the radius within which points match
when a detection is scored."""
CORRECTED_POINT_PX = 30.0
"""A label point that a person has moved by up to this many pixels is still known as the prediction it came from."""


@dataclass(frozen=True)
class ReviewState:
    """Where the review of one predicted frame stands.

    Attributes
    ----------
    predictions, labels : FrameLabels
        As they are on disk (labels without objects where there is no label file).
    accepted : dict
        Predicted id -> id of the label that came from it.
    rejected : frozenset of int
        Predicted ids that a person rejected.
    pending : tuple of int
        Predicted ids not decided on, the most doubtful (lowest score) first.
    """

    predictions: FrameLabels
    labels: FrameLabels
    accepted: dict[int, int]
    rejected: frozenset[int]
    pending: tuple[int, ...]


@dataclass(frozen=True)
class FrameCounts:
    """What `accept_all` did on one frame.

    `already` were accepted before, `rejected` by a person, `below` do not meet the rule, `overlapping` are the ids of
    predictions left out because the labels hold that object already.
    """

    key: str
    frame: str
    accepted: int
    already: int
    rejected: int
    below: int
    overlapping: tuple[int, ...]


@dataclass(frozen=True)
class AcceptReport:
    """What `accept_all` did. `problems` name the frames that could not be reviewed, and why."""

    model: str
    rule: str
    frames: tuple[FrameCounts, ...]
    problems: tuple[str, ...] = ()

    @property
    def totals(self) -> dict[str, int]:
        """Sums over all frames."""
        names = ("accepted", "already", "rejected", "below")
        sums = {name: sum(getattr(counts, name) for counts in self.frames) for name in names}
        return {**sums, "overlapping": sum(len(counts.overlapping) for counts in self.frames)}

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "totals": self.totals}


def review_state(
    project: Project,
    model: str,
    key: str,
    frame: str,
    *,
    labels: FrameStore | None = None,
    predictions: FrameStore | None = None,
) -> ReviewState:
    """Where the review of one frame stands. Reads only.

    Parameters
    ----------
    labels, predictions : FrameStore, optional
        The frame's stores where the caller has them open; else the files are read.

    Raises
    ------
    MiaError
        When the model has no prediction of the frame, or a file is damaged.
    """
    predicted = predictions.frame if predictions is not None else _predictions(project, model, key, frame)
    labelled = labels.frame if labels is not None else read_frame(project.labels_path(key, frame))
    return state_of(model, predicted, labelled or FrameLabels(predicted.height, predicted.width))


def accept(
    project: Project,
    model: str,
    key: str,
    frame: str,
    ids: Iterable[int],
    *,
    labels: FrameStore | None = None,
    predictions: FrameStore | None = None,
) -> list[int]:
    """Copy predicted objects into the labels, as one undo step there. What is accepted already is left alone.

    Returns
    -------
    list of int
        Ids of the new labels.

    Raises
    ------
    MiaError
        When there is no such prediction, its class is not in the project, or the labels cannot be edited.
    """
    state = review_state(project, model, key, frame, labels=labels, predictions=predictions)
    chosen = [item for item in _chosen(state, ids, model, key, frame) if item.id not in state.accepted]
    check_classes(project, model, {item.label_class for item in chosen})
    if not chosen:
        return []
    with _editing(labels, lambda: _open(project, key, frame, state)) as store:
        return _add(store, model, chosen)


def reject(
    project: Project,
    model: str,
    key: str,
    frame: str,
    ids: Iterable[int],
    *,
    labels: FrameStore | None = None,
    predictions: FrameStore | None = None,
) -> None:
    """Mark predicted objects as rejected; labels that were accepted from them and not corrected since are removed.

    The mark is an undo step of the prediction, the removal one of the labels.

    Raises
    ------
    MiaError
        When there is no such prediction, or a file cannot be edited.
    """
    state = review_state(project, model, key, frame, labels=labels, predictions=predictions)
    chosen = [item.id for item in _chosen(state, ids, model, key, frame)]
    with _editing(predictions, lambda: _open_predictions(project, model, key, frame, state)) as store:
        store.reject(chosen)
    copies = [state.accepted[number] for number in chosen if number in state.accepted]
    plain = [number for number in copies if state.labels.objects[number].source == "accepted"]
    if plain:
        with _editing(labels, lambda: _open(project, key, frame, state)) as store:
            store.edit(f"reject {len(plain)} accepted of {model}", remove=plain)


def unreject(
    project: Project, model: str, key: str, frame: str, ids: Iterable[int], *, predictions: FrameStore | None = None
) -> None:
    """Take the rejection of predicted objects back: they are pending again."""
    state = review_state(project, model, key, frame, predictions=predictions)
    chosen = [item.id for item in _chosen(state, ids, model, key, frame)]
    with _editing(predictions, lambda: _open_predictions(project, model, key, frame, state)) as store:
        store.unreject(chosen)


def accept_all(project: Project, model: str, rule: str = "all", split: str | None = None) -> AcceptReport:
    """Accept all pending predictions that meet a rule, on every predicted frame; one undo step per frame.

    Rejected ones are never accepted. A prediction that overlaps an existing label (IoU over `SAME_OBJECT_IOU`, in
    pixels) is left out and counted. A frame that cannot be read or edited is named in the report; the rest goes on.

    Parameters
    ----------
    rule : str
        "all", or a bound on the score such as "score>=0.9" or "score>0.5".
    split : str, optional
        Only the images of this root: "train" or "predict".

    Raises
    ------
    MiaError
        For a rule that is none, an unknown split, or a model without predictions.
    """
    meets = parse_rule(rule)
    if split is not None and split not in project.roots:
        raise MiaError(f"project {project.name} has no {split!r} images: choose one of {', '.join(project.roots)}")
    frames: list[FrameCounts] = []
    problems: list[str] = []
    for key, frame in project.frames_under(f"predictions:{model}"):
        if split is not None and key.startswith(PREDICT_PREFIX) != (split == "predict"):
            continue
        try:
            frames.append(_accept_frame(project, model, key, frame, meets))
        except MiaError as error:
            problems.append(f"{key} {frame}: {error}")
    return AcceptReport(model, rule, tuple(frames), tuple(problems))


def parse_rule(rule: str) -> Callable[[float | None], bool]:
    """The test behind "all", "score>=X" or "score>X" (0 <= X <= 1). Without a score only "all" is met.

    Raises
    ------
    MiaError
        For anything else.
    """
    text = rule.replace(" ", "")
    if text == "all":
        return lambda score: True
    match = re.fullmatch(r"score(>=|>)(\d*\.?\d+|\d+\.)", text)
    if match is None or not 0 <= float(match[2]) <= 1:
        raise MiaError(f'{rule!r} is no rule: give all, or a bound from 0 to 1 such as "score>=0.9"')
    bound = float(match[2])
    if match[1] == ">=":
        return lambda score: score is not None and score >= bound
    return lambda score: score is not None and score > bound


def already_labelled(items: Sequence[LabelObject], labels: FrameLabels, but: Iterable[int] = ()) -> set[int]:
    """Ids of the predictions that are the same object as one of the labels.

    Outlines are by the IoU of their pixels (over `SAME_OBJECT_IOU`); points by their distance (up to `SAME_POINT_PX`),
    each label being one prediction only, the nearest. Label points with the ids `but` are known to be others.
    """
    known = frozenset(but)
    free = [label.geometry for label in labels.objects.values() if _is_point(label) and label.id not in known]
    points = [item for item in items if _is_point(item)]
    outlines = [item for item in items if not _is_point(item)]
    return _labelled_points(points, free) | _labelled_outlines(outlines, labels)


# ---- inside ----------------------------------------------------------------------------------------------------------


def _is_point(item: LabelObject) -> bool:
    return item.geometry.geom_type == "Point"


def _labelled_points(items: Sequence[LabelObject], labelled: Sequence[BaseGeometry]) -> set[int]:
    """Ids of the points that pair with a labelled one, the nearest pairs first, each point in one pair."""
    if not items or not labelled:
        return set()
    tree = shapely.STRtree(labelled)
    pairs = tree.query([item.geometry for item in items], predicate="dwithin", distance=SAME_POINT_PX).T.tolist()
    found: set[int] = set()
    used: set[int] = set()
    for i, j in sorted(pairs, key=lambda pair: items[pair[0]].geometry.distance(labelled[pair[1]])):
        if items[i].id not in found and j not in used:
            found.add(items[i].id)
            used.add(j)
    return found


def _labelled_outlines(items: Sequence[LabelObject], labels: FrameLabels) -> set[int]:
    existing = [label.geometry for label in labels.objects.values()]
    if not existing or not items:
        return set()
    tree = shapely.STRtree([shapely.box(*geometry.bounds) for geometry in existing])
    boxes = [shapely.box(*item.geometry.bounds) for item in items]
    shape = (labels.height, labels.width)
    return {
        items[i].id
        for i, j in zip(*tree.query(boxes, predicate="intersects").tolist(), strict=True)
        if _iou(items[i].geometry, existing[j], shape) > SAME_OBJECT_IOU
    }


def _predictions(project: Project, model: str, key: str, frame: str) -> FrameLabels:
    found = read_frame(project.prediction_path(model, key, frame))
    if found is None:
        raise MiaError(f"model {model} has no prediction of {key} ({frame}). Make it with: mia-tui predict")
    return found


def state_of(model: str, predictions: FrameLabels, labels: FrameLabels) -> ReviewState:
    """Where the review stands, of a frame's predictions by `model` and its labels."""
    accepted: dict[int, int] = {}
    for label in labels.objects.values():
        name, _, number = (label.origin or "").rpartition("#")
        source = predictions.objects.get(int(number)) if name == model and number.isdigit() else None
        # A model that predicted anew may use the id for an object elsewhere.
        if source is not None and _same_place(source.geometry, label):
            accepted[source.id] = label.id
    rejected = predictions.rejected - accepted.keys()
    undecided = [item for item in predictions.objects.values() if item.id not in accepted and item.id not in rejected]
    undecided.sort(key=lambda item: (-1.0 if item.score is None else item.score, item.id))
    return ReviewState(predictions, labels, accepted, rejected, tuple(item.id for item in undecided))


def _same_place(predicted: BaseGeometry, label: LabelObject) -> bool:
    """Whether the boxes of a prediction and of the label that names it meet; points need only be near."""
    if predicted.geom_type == label.geometry.geom_type == "Point":
        slack = CORRECTED_POINT_PX if label.source == "corrected" else SAME_POINT_PX
        return bool(predicted.distance(label.geometry) <= slack)
    return _boxes_meet(predicted, label.geometry)


def _boxes_meet(a: BaseGeometry, b: BaseGeometry) -> bool:
    (a_left, a_top, a_right, a_bottom), (b_left, b_top, b_right, b_bottom) = a.bounds, b.bounds
    return bool(a_left <= b_right and b_left <= a_right and a_top <= b_bottom and b_top <= a_bottom)


def _chosen(state: ReviewState, ids: Iterable[int], model: str, key: str, frame: str) -> list[LabelObject]:
    chosen = list(dict.fromkeys(ids))
    unknown = [number for number in chosen if number not in state.predictions.objects]
    if unknown:
        raise MiaError(f"model {model} has no predicted object {unknown[0]} on {key} ({frame})")
    return [state.predictions.objects[number] for number in chosen]


def check_classes(project: Project, model: str, names: Iterable[str]) -> None:
    """Refuse predictions of classes that the project does not have."""
    known = {entry.name for entry in project.classes}
    unknown = sorted(set(names) - known)
    if unknown:
        raise MiaError(
            f"model {model} predicts the class {unknown[0]!r}, which project {project.name} does not have "
            f"({', '.join(sorted(known))}). Add it: C on the labelling screen, or mia-tui classes."
        )


def _add(store: FrameStore, model: str, chosen: Sequence[LabelObject]) -> list[int]:
    new = [
        replace(item, id=store.new_id(), source="accepted", origin=f"{model}#{item.id}", extra={}) for item in chosen
    ]
    store.edit(f"accept {len(new)} of {model}", add=new)
    return [item.id for item in new]


def _open(project: Project, key: str, frame: str, state: ReviewState) -> FrameStore:
    return open_labels(project, key, frame, state.predictions.height, state.predictions.width)


def _open_predictions(project: Project, model: str, key: str, frame: str, state: ReviewState) -> FrameStore:
    path = project.prediction_path(model, key, frame)
    return FrameStore(path, state.predictions.height, state.predictions.width, colors=class_colors(project))


@contextmanager
def _editing(store: FrameStore | None, open_store: Callable[[], FrameStore]) -> Iterator[FrameStore]:
    """The caller's store, left open, or one of our own, closed in the end."""
    if store is not None:
        yield store
        return
    with open_store() as own:
        yield own


def _accept_frame(
    project: Project, model: str, key: str, frame: str, meets: Callable[[float | None], bool]
) -> FrameCounts:
    state = review_state(project, model, key, frame)
    pending = [state.predictions.objects[number] for number in state.pending]
    fitting = [item for item in pending if meets(item.score)]
    overlapping = already_labelled(fitting, state.labels, but=state.accepted.values())
    chosen = sorted(item.id for item in fitting if item.id not in overlapping)
    if chosen:
        accept(project, model, key, frame, chosen)
    return FrameCounts(
        key, frame, len(chosen), len(state.accepted), len(state.rejected), len(pending) - len(fitting),
        tuple(sorted(overlapping)),
    )  # fmt: skip


def _iou(a: BaseGeometry, b: BaseGeometry, shape: tuple[int, int]) -> float:
    """Intersection over union of the pixels of two outlines."""
    a_rows, a_columns, a_mask = fill(a, shape)
    b_rows, b_columns, b_mask = fill(b, shape)
    top, bottom = max(a_rows.start, b_rows.start), min(a_rows.stop, b_rows.stop)
    left, right = max(a_columns.start, b_columns.start), min(a_columns.stop, b_columns.stop)
    if top >= bottom or left >= right:
        return 0.0
    a_part = a_mask[top - a_rows.start : bottom - a_rows.start, left - a_columns.start : right - a_columns.start]
    b_part = b_mask[top - b_rows.start : bottom - b_rows.start, left - b_columns.start : right - b_columns.start]
    common = int(np.count_nonzero(a_part & b_part))
    union = int(np.count_nonzero(a_mask)) + int(np.count_nonzero(b_mask)) - common
    return common / union if union else 0.0
