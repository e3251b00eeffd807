"""The class of a whole image: one object whose outline is the whole frame. Set, clear, and many frames at once.

Predictions of classification models are stored the same way, with their `score`.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import shapely

from mia_tui.errors import MiaError
from mia_tui.imaging.image import open_ref
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.store import Edit, FrameStore, open_labels, read_frame
from mia_tui.project import ImageRef, Project

SINGLE_PLANE = frozenset({".png", ".jpg", ".jpeg", ".bmp"})
"""Files of these kinds hold one plane: they need not be opened to know their frames."""

Frame = tuple[str, str]
"""Image key and name of the frame."""


# ---- one frame -------------------------------------------------------------------------------------------------------


def image_labels(frame: FrameLabels | None) -> list[LabelObject]:
    """The objects that cover exactly the whole frame, by ascending id."""
    if frame is None:
        return []
    size = frame.width, frame.height
    return [item for item in frame.objects.values() if _covers(item, *size)]


def _covers(item: LabelObject, width: int, height: int) -> bool:
    outline = item.geometry
    return outline.geom_type == "Polygon" and outline.bounds == (0, 0, width, height) and outline.area == width * height


def image_label(frame: FrameLabels | None) -> LabelObject | None:
    """The label (or prediction) of the whole frame; the newest, should another program have written several."""
    found = image_labels(frame)
    return found[-1] if found else None


def image_class(frame: FrameLabels | None) -> str | None:
    """The class of the whole frame, None without one."""
    found = image_label(frame)
    return None if found is None else found.label_class


def set_image_class(
    store: FrameStore, name: str, text: str = "", *, predicted: LabelObject | None = None, model: str = ""
) -> Edit | None:
    """Give the frame a class, in place of the one it has, as one undo step; None when it has that class already.

    Parameters
    ----------
    text : str
        For the undo message; "class NAME" when empty.
    predicted, model : LabelObject, str
        The prediction that a person accepts (of class `name`) or corrects (of another class), and its model.
    """
    old = image_labels(store.frame)
    if len(old) == 1 and old[0].label_class == name:
        return None
    frame = store.frame
    new = LabelObject(
        id=old[-1].id if old else store.new_id(),
        geometry=shapely.box(0, 0, frame.width, frame.height),
        label_class=name,
        source="manual" if predicted is None else "accepted" if predicted.label_class == name else "corrected",
        score=predicted.score if predicted is not None and predicted.label_class == name else None,
        origin=f"{model}#{predicted.id}" if predicted is not None else None,
    )
    return store.edit(text or f"class {name}", add=[new], remove=[item.id for item in old])


def clear_image_class(store: FrameStore, text: str = "no class") -> Edit | None:
    """Take the class of the frame away, as one undo step; None when it has none."""
    old = image_labels(store.frame)
    return store.edit(text, remove=[item.id for item in old]) if old else None


# ---- many frames -----------------------------------------------------------------------------------------------------


def frames_of(project: Project, refs: Iterable[ImageRef], report: Callable[[int], None] | None = None) -> list[Frame]:
    """All frames of images, in their order. What cannot be opened counts as one frame `image`.

    `report` is called with the number of images looked at.
    """
    found: list[Frame] = []
    for number, ref in enumerate(refs):
        if report is not None:
            report(number)
        if ref.path.suffix.lower() in SINGLE_PLANE and ref.key not in project.axes:
            found.append((ref.key, "image"))
            continue
        try:
            with open_ref(project, ref) as image:
                found += [(ref.key, name) for name in image.frames]
        except MiaError:
            found.append((ref.key, "image"))
    return found


def frame_size(project: Project, key: str) -> tuple[int, int]:
    """(height, width) of an image in pixels."""
    with open_ref(project, project.image(key)) as image:
        return image.info.sizes[3], image.info.sizes[4]


@dataclass(frozen=True)
class ClassReport:
    """What `classify_frames` did: frames that have the class now, frames left alone, and why others could not be."""

    name: str
    done: tuple[Frame, ...] = ()
    skipped: tuple[Frame, ...] = ()
    problems: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def classify_frames(
    project: Project,
    frames: Iterable[Frame],
    name: str,
    text: str = "",
    *,
    replace: bool = False,
    report: Callable[[int], None] | None = None,
) -> ClassReport:
    """Give many frames one class; one undo step per frame. Those that have a class are left alone unless `replace`.

    A frame that cannot be read or is being edited elsewhere is named in the report; the rest goes on.

    Raises
    ------
    MiaError
        When the project has no class `name`.
    """
    if all(entry.name != name for entry in project.classes):
        raise MiaError(f"project {project.name} has no class {name!r}: {', '.join(c.name for c in project.classes)}")
    done: list[Frame] = []
    skipped: list[Frame] = []
    problems: list[str] = []
    sizes: dict[str, tuple[int, int]] = {}
    for number, (key, frame) in enumerate(frames):
        if report is not None:
            report(number)
        try:
            present = image_class(read_frame(project.labels_path(key, frame)))
            if present == name or (present is not None and not replace):
                skipped.append((key, frame))
                continue
            if key not in sizes:
                sizes[key] = frame_size(project, key)
            with open_labels(project, key, frame, *sizes[key]) as store:
                set_image_class(store, name, text)
            done.append((key, frame))
        except MiaError as error:
            problems.append(f"{key} {frame}: {error}")
    return ClassReport(name, tuple(done), tuple(skipped), tuple(problems))
