"""What the interface and the helper say to each other: plain data, and the same as bytes.

A message is a JSON object and NumPy arrays: four bytes with the length of the JSON, the JSON, then the raw bytes of the
arrays, whose dtypes and shapes stand in the JSON under "arrays". Outlines travel as WKB. Nothing is pickled, so a
message can be wrong but never run code; and it comes from a peer that knew the key (see `server`).
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from mia_tui.engine.assist.registry import PROMPTS, AssistEntry
from mia_tui.errors import MiaError

PROTOCOL = 1
"""Told in the hello: both ends are parts of one installation, but it may be updated while the interface runs."""
LARGEST = 2**30
"""Bytes of the longest message."""

Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels; bottom and right are the first ones outside."""


# ---- what is asked ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlaneRef:
    """A plane by its file: the helper opens it, with the project's axes. The usual way: nothing large is sent."""

    project: Path
    key: str
    t: int = 0
    z: int = 0


@dataclass(frozen=True)
class Pixels:
    """A plane by its values, (C, Y, X), for what is in no project. `name` is for messages."""

    values: NDArray[Any] = field(repr=False)
    rgb: bool = False
    name: str = "the picture"


@dataclass(frozen=True)
class Click:
    """A point inside (`positive`) or outside the object; (0.5, 0.5) is the middle of the first pixel."""

    y: float
    x: float
    positive: bool = True


@dataclass(frozen=True)
class Stroke:
    """A line drawn over the object (`positive`) or over what is not the object: (y, x) of its corners."""

    path: tuple[tuple[float, float], ...]
    positive: bool = True


@dataclass(frozen=True)
class Prompt:
    """What a person pointed at; `PROMPTS` says which kind of assist understands which part.

    `box` is (top, left, bottom, right), `extremes` the (y, x) of the topmost, bottommost, leftmost and rightmost point
    of the object in any order.
    """

    points: tuple[Click, ...] = ()
    box: tuple[float, float, float, float] | None = None
    extremes: tuple[tuple[float, float], ...] = ()
    strokes: tuple[Stroke, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.points or self.box or self.extremes or self.strokes)


@dataclass(frozen=True)
class AssistRequest:
    """One question.

    Attributes
    ----------
    entry : AssistEntry
        Who is asked.
    plane : PlaneRef or Pixels, optional
        None only loads the model, so that the first question is answered quickly.
    prompt : Prompt
        Empty for "model", "edges" and "hed"; an empty one only prepares "sam" for the plane (its slow part).
    view : Box, optional
        The part of the plane that is of interest; None is all of it.
    channels : tuple of int
        Channels that a model made for photographs sees, () for all. A trained model knows its own.
    """

    entry: AssistEntry
    plane: PlaneRef | Pixels | None = None
    prompt: Prompt = Prompt()
    view: Box | None = None
    channels: tuple[int, ...] = ()


# ---- what is answered ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rung:
    """One mask of a ladder.

    `outline` is a Polygon or MultiPolygon along pixel edges, (x, y) in pixels of the whole plane; `score` 0..1; `level`
    the probability threshold that made it, None where the model itself offers several masks.
    """

    outline: BaseGeometry
    score: float
    level: float | None = None


@dataclass(frozen=True)
class Proposal:
    """One object: a ladder of masks from the smallest to the largest, and which of them is proposed.

    `label_class` is the name of its class where the model knows classes, else "".
    """

    rungs: tuple[Rung, ...]
    chosen: int = 0
    label_class: str = ""

    @property
    def outline(self) -> BaseGeometry:
        return self.rungs[self.chosen].outline

    @property
    def score(self) -> float:
        return self.rungs[self.chosen].score


@dataclass(frozen=True)
class EdgeMap:
    """Strength of edges, (Y, X) float16 0..1, of the part of the plane whose first pixel is `offset` (y, x)."""

    values: NDArray[np.float16] = field(repr=False)
    offset: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class AssistAnswer:
    """What came back: objects, or an edge map, and the seconds that the helper computed."""

    objects: tuple[Proposal, ...] = ()
    edges: EdgeMap | None = None
    seconds: float = 0.0


# ---- bytes -----------------------------------------------------------------------------------------------------------

Message = tuple[dict[str, Any], list[NDArray[Any]]]
"""A JSON object, and the arrays that go with it."""


def pack(message: Message) -> bytes:
    """A message as bytes.

    Raises
    ------
    MiaError
        When it is longer than `LARGEST`.
    """
    head, arrays = message
    check_size(arrays)
    plain = [np.ascontiguousarray(array) for array in arrays]
    listed = [[array.dtype.str, array.shape] for array in plain]
    text = json.dumps({**head, "arrays": listed}).encode()
    return b"".join([struct.pack("<I", len(text)), text, *(array.data.cast("B") for array in plain if array.size)])


def check_size(arrays: Sequence[NDArray[Any]]) -> None:
    """Refuse arrays that the other end would not take."""
    size = sum(array.nbytes for array in arrays)
    if size > LARGEST // 2:
        raise MiaError(f"{size / 2**20:.0f} MB are too much to send at once: ask about a smaller part of the image")


def unpack(data: bytes) -> Message:
    """The message in these bytes.

    Raises
    ------
    MiaError
        When they are no message.
    """
    try:
        (length,) = struct.unpack_from("<I", data)
        head = json.loads(data[4 : 4 + length])
        arrays, position = [], 4 + length
        for kind, shape in head.pop("arrays"):
            array, position = _array(data, position, np.dtype(kind), tuple(shape))
            arrays.append(array)
        if position != len(data) or not isinstance(head["type"], str):
            raise ValueError("its length is not what it says")
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MiaError(f"no message that can be understood ({type(error).__name__}: {error})") from None
    return head, arrays


def _array(data: bytes, position: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> tuple[NDArray[Any], int]:
    if dtype.kind not in "biuf" or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError(f"an array of {dtype} {shape}")
    count = int(np.prod(shape, dtype=object))
    if position + count * dtype.itemsize > len(data):
        raise ValueError("it was cut short")
    array = np.frombuffer(data, dtype, count, position).reshape(shape)
    return array, position + count * dtype.itemsize


def request_message(request: AssistRequest, number: int) -> Message:
    """A request as a message with the number under which it is answered; a MiaError when its pixels are too many."""
    head: dict[str, Any] = {
        "type": "ask", "id": number, "name": request.entry.name, "kind": request.entry.kind,
        "file": str(request.entry.file), "view": request.view, "channels": request.channels,
        "prompt": _prompt_json(request.prompt), "plane": None,
    }  # fmt: skip
    plane = request.plane
    if isinstance(plane, PlaneRef):
        head["plane"] = {"project": str(plane.project), "key": plane.key, "t": plane.t, "z": plane.z}
    elif plane is not None:
        check_size([plane.values])
        head["plane"] = {"name": plane.name, "rgb": plane.rgb}
        return head, [plane.values]
    return head, []


def read_request(message: Message) -> AssistRequest:
    """The request in a message.

    Raises
    ------
    MiaError
        When something in it is missing or of the wrong kind.
    """
    head, arrays = message
    try:
        entry = AssistEntry(str(head["name"]), str(head["kind"]), Path(head["file"]))
        if entry.kind not in PROMPTS:
            raise ValueError(f"kind {entry.kind!r}")
        view = head["view"]
        return AssistRequest(
            entry=entry,
            plane=_read_plane(head["plane"], arrays),
            prompt=_read_prompt(head["prompt"]),
            view=None if view is None else (int(view[0]), int(view[1]), int(view[2]), int(view[3])),
            channels=tuple(int(channel) for channel in head["channels"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise MiaError(f"a question that cannot be understood ({type(error).__name__}: {error})") from None


def _read_plane(values: dict[str, Any] | None, arrays: Sequence[NDArray[Any]]) -> PlaneRef | Pixels | None:
    if values is None:
        return None
    if "project" in values:
        return PlaneRef(Path(values["project"]), str(values["key"]), int(values["t"]), int(values["z"]))
    if arrays[0].ndim != 3 or not arrays[0].size:
        raise ValueError(f"a plane is (C, Y, X), not {arrays[0].shape}")
    return Pixels(arrays[0], bool(values["rgb"]), str(values["name"]))


def _prompt_json(prompt: Prompt) -> dict[str, Any]:
    return {
        "points": [[click.y, click.x, click.positive] for click in prompt.points],
        "box": prompt.box,
        "extremes": prompt.extremes,
        "strokes": [[stroke.path, stroke.positive] for stroke in prompt.strokes],
    }


def _read_prompt(values: dict[str, Any]) -> Prompt:
    def pair(point: Sequence[Any]) -> tuple[float, float]:
        y, x = point
        return float(y), float(x)

    box = values["box"]
    prompt = Prompt(
        points=tuple(Click(float(y), float(x), bool(positive)) for y, x, positive in values["points"]),
        box=None if box is None else (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        extremes=tuple(pair(point) for point in values["extremes"]),
        strokes=tuple(Stroke(tuple(pair(p) for p in path), bool(positive)) for path, positive in values["strokes"]),
    )
    numbers = [n for click in prompt.points for n in (click.y, click.x)] + list(prompt.box or ())
    numbers += [n for y_x in (*prompt.extremes, *(p for s in prompt.strokes for p in s.path)) for n in y_x]
    if not np.isfinite(numbers).all():
        raise ValueError("a point that is no number")
    return prompt


def answer_message(answer: AssistAnswer, number: int) -> Message:
    """An answer as a message."""
    rungs = [rung for proposal in answer.objects for rung in proposal.rungs]
    wkb = [shapely.to_wkb(rung.outline) for rung in rungs]
    head: dict[str, Any] = {
        "type": "answer", "id": number, "seconds": answer.seconds,
        "objects": [[len(proposal.rungs), proposal.chosen, proposal.label_class] for proposal in answer.objects],
        "rungs": [[len(blob), rung.score, rung.level] for blob, rung in zip(wkb, rungs, strict=True)],
        "edges": None,
    }  # fmt: skip
    arrays: list[NDArray[Any]] = [np.frombuffer(b"".join(wkb), np.uint8)]
    if answer.edges is not None:
        head["edges"] = answer.edges.offset
        arrays.append(answer.edges.values)
    return head, arrays


def read_answer(message: Message) -> AssistAnswer:
    """The answer in a message.

    Raises
    ------
    MiaError
        When it cannot be understood.
    """
    head, arrays = message
    try:
        rungs = _read_rungs(arrays[0].tobytes(), head["rungs"])
        objects, first = [], 0
        for count, chosen, label_class in head["objects"]:
            objects.append(Proposal(tuple(rungs[first : first + count]), int(chosen), str(label_class)))
            first += count
        edges = None
        if head["edges"] is not None:
            y, x = head["edges"]
            edges = EdgeMap(arrays[1], (int(y), int(x)))
        return AssistAnswer(tuple(objects), edges, float(head["seconds"]))
    except (KeyError, TypeError, ValueError, IndexError, ShapelyError) as error:
        raise MiaError(f"an answer that cannot be understood ({type(error).__name__}: {error})") from None


def _read_rungs(data: bytes, listed: Sequence[Sequence[Any]]) -> list[Rung]:
    ends = np.cumsum([size for size, _, _ in listed], dtype=np.int64)
    outlines = shapely.from_wkb([data[end - size : end] for end, (size, _, _) in zip(ends, listed, strict=True)])
    return [
        Rung(outline, float(score), None if level is None else float(level))
        for outline, (_, score, level) in zip(outlines, listed, strict=True)
    ]
