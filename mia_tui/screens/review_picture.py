"""What is drawn over the image during a review."""

from dataclasses import replace

from mia_tui.labeling.objects import FrameLabels
from mia_tui.labeling.review import ReviewState
from mia_tui.screens.frames import Overlay, layer_of
from mia_tui.widgets.canvas.overlay import trace
from mia_tui.widgets.canvas.scene import Layer, Mark

WHITE, GREY = (255, 255, 255), (120, 120, 120)
SIGNS = {"✓": (141, 220, 141), "✗": (225, 120, 120)}


def other_labels(state: ReviewState, before: Overlay | None) -> Overlay:
    """The labels that do not come from this model's predictions; `before` is used again when they are the same."""
    own = set(state.accepted.values())
    others = [item for item in state.labels.objects.values() if item.id not in own]
    if before is not None and [before.frame.objects[i] for i in before.ids] == others:
        return before
    frame = FrameLabels.of(state.labels.height, state.labels.width, others)
    return Overlay(frame, tuple(frame.objects), trace([item.geometry for item in others]))


def prediction_layer(
    overlay: Overlay, state: ReviewState, colors: dict[str, tuple[int, int, int]], current: int | None
) -> Layer:
    """Pending outlines are dashed, accepted ones solid, rejected ones grey and dashed, the current one white."""
    layer = layer_of(overlay, colors, dashed=True)
    painted, dashed = layer.colors.copy(), layer.dashed.copy()
    for index, number in enumerate(overlay.ids):
        if number == current:
            painted[index], dashed[index] = WHITE, False
        elif number in state.accepted:
            dashed[index] = False
        elif number in state.rejected:
            painted[index] = GREY
    return replace(layer, colors=painted, dashed=dashed)


def signs(overlay: Overlay, state: ReviewState, *, scores: bool) -> tuple[Mark, ...]:
    """A sign on each decided object; with `scores` the score on each pending one."""
    marks = []
    for number, box in zip(overlay.ids, overlay.outlines.boxes, strict=True):
        sign = "✓" if number in state.accepted else "✗" if number in state.rejected else ""
        if scores and not sign:
            score = state.predictions.objects[number].score
            sign = "" if score is None else f"{score:.2f}".removeprefix("0")
        if sign:
            marks.append(Mark(float(box[1] + box[3]) / 2, float(box[0] + box[2]) / 2, sign, SIGNS.get(sign, WHITE)))
    return tuple(marks)


def box_of(overlay: Overlay, current: int | None) -> tuple[float, ...] | None:
    """The bounding box of the current object: min x, min y, max x, max y."""
    if current not in overlay.ids:
        return None
    return tuple(overlay.outlines.boxes[overlay.ids.index(current)].tolist())
