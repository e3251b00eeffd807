"""The project folder and its `project.toml`: names, classes, where the images are and where everything else goes."""

import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mia_tui.errors import MiaError
from mia_tui.storage import write_bytes

FILE_NAME = "project.toml"
TASKS = ("segmentation", "detection", "classification")
OWN_FOLDERS = ("labels", "predictions", "tracks", "runs", "models", "results")
RESERVED_CLASS = "annotated area"
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})

PREDICT_PREFIX = "@predict/"
"""Images of the predict root carry this prefix in their key, so that the two roots may hold files of one name."""

# Okabe and Ito's colours (jfly.uni-koeln.de/color): told apart with every kind of colour vision.
PALETTE = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#0072B2", "#999999")


@dataclass(frozen=True)
class LabelClass:
    """One class of objects. `color` is `#RRGGBB`; `key` is the digit that selects it ("" for none)."""

    name: str
    color: str
    key: str = ""


@dataclass(frozen=True)
class ImageRef:
    """One image (a file, or a folder of frames declared as a series) of a project.

    `key` is the path relative to its root with forward slashes and with its extension; images of the predict root are
    prefixed with `@predict/`. It names the image everywhere: in labels/, predictions/, tables and the UI.
    """

    key: str
    path: Path
    split: str


@dataclass(frozen=True)
class Project:
    """A project folder, as read from its `project.toml`.

    Attributes
    ----------
    folder : Path
        The project folder, absolute.
    roots : dict
        "train" and, when given, "predict": absolute folders of images. Never written to.
    pixel_size : float, optional
        Side of a pixel in micrometres; overrides what the files say.
    frame_interval : float, optional
        Seconds between two frames; overrides what the files say.
    axes : dict
        Image key -> axes string (letters of TCZYXS in the order stored) where the guess was wrong.
    series : tuple of str
        Image keys of folders whose files are the frames of one time series.
    """

    folder: Path
    name: str
    task: str
    classes: tuple[LabelClass, ...]
    roots: dict[str, Path]
    pixel_size: float | None = None
    frame_interval: float | None = None
    axes: dict[str, str] = field(default_factory=dict)
    series: tuple[str, ...] = ()

    # ---- files ------------------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        images: Path,
        predict_images: Path | None = None,
        task: str = "segmentation",
        classes: Sequence[str] = ("cell",),
        name: str | None = None,
        series: Sequence[str] = (),
    ) -> "Project":
        """Make a new project folder. Refuses a folder that already holds a project; images are only pointed at."""
        folder = folder.expanduser().resolve()
        if (folder / FILE_NAME).exists():
            raise MiaError(f"{folder} already is a project. Open it with: mia-tui {folder}")
        if task not in TASKS:
            raise MiaError(f"unknown task {task!r}: choose one of {', '.join(TASKS)}")
        roots = {"train": images.expanduser().resolve()}
        if predict_images is not None:
            roots["predict"] = predict_images.expanduser().resolve()
        for root in roots.values():
            if not root.is_dir():
                raise MiaError(f"{root} is not a folder of images. Give an existing folder.")
        project = cls(
            folder=folder, name=name or folder.name, task=task, classes=make_classes(classes), roots=roots,
            series=tuple(series),
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        project.save()
        return project

    @classmethod
    def load(cls, folder: Path) -> "Project":
        """Read a project; every problem in the file is a `MiaError` that names it."""
        folder = folder.expanduser().resolve()
        path = folder / FILE_NAME
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise MiaError(f"{folder} is not a project: it has no {FILE_NAME}. Make one with: mia-tui new") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise MiaError(f"{path} cannot be read: {error}") from None
        try:
            return cls._from_toml(folder, data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MiaError(f"{path}: bad or missing entry ({type(error).__name__}: {error})") from None

    @classmethod
    def _from_toml(cls, folder: Path, data: dict[str, Any]) -> "Project":
        if data["task"] not in TASKS:
            raise ValueError(f"task {data['task']!r} is none of {', '.join(TASKS)}")
        calibration = data.get("calibration", {})
        return cls(
            folder=folder,
            name=str(data["name"]),
            task=str(data["task"]),
            classes=tuple(LabelClass(c["name"], _color(c["color"]), str(c.get("key", ""))) for c in data["classes"]),
            roots={split: (folder / Path(root).expanduser()).resolve() for split, root in data["images"].items()},
            pixel_size=_optional_float(calibration.get("pixel_size")),
            frame_interval=_optional_float(calibration.get("frame_interval")),
            axes={str(key): str(axes).upper() for key, axes in data.get("axes", {}).items()},
            series=tuple(str(key) for key in data.get("series", ())),
        )

    def save(self) -> None:
        """Write `project.toml` atomically. Comments and unknown entries of an existing file are kept."""
        import tomlkit

        path = self.folder / FILE_NAME
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
        values: dict[str, Any] = {"name": self.name, "task": self.task, "series": list(self.series)}
        values["images"] = {split: _portable(root, self.folder) for split, root in self.roots.items()}
        calibration = {"pixel_size": self.pixel_size, "frame_interval": self.frame_interval}
        values["calibration"] = {key: value for key, value in calibration.items() if value is not None}
        values["axes"] = dict(self.axes)
        values["classes"] = [{"name": c.name, "color": c.color, "key": c.key} for c in self.classes]
        for key, value in values.items():
            if document.get(key, type(value)()) != value:  # what is empty and was not there is not written
                document[key] = value
        write_bytes(path, tomlkit.dumps(document).encode())

    def with_classes(self, names: Sequence[str]) -> "Project":
        """The project with classes added at the end for the `names` it does not know yet (not saved)."""
        known = [c.name for c in self.classes]
        new = make_classes([*known, *(name for name in names if name not in known)])
        return replace(self, classes=self.classes + new[len(self.classes) :])

    # ---- images -----------------------------------------------------------------------------------------------------

    def images(self, split: str | None = None) -> list[ImageRef]:
        """All images of the train and predict roots (or of one), in natural order of their keys."""
        return [ref for name in self.roots if split in (None, name) for ref in self._scan(name)]

    def _scan(self, split: str) -> Iterator[ImageRef]:
        root = self.roots[split]
        if not root.is_dir():
            raise MiaError(
                f"{root} is missing: the {split} images of project {self.name}. Mount it or edit {FILE_NAME}."
            )
        prefix = PREDICT_PREFIX if split == "predict" else ""
        nested = [other for other in self.roots.values() if root in other.parents]
        own = [self.folder / name for name in OWN_FOLDERS]
        seen_series: set[str] = set()
        for path in sorted(root.rglob("*"), key=lambda p: natural_key(p.relative_to(root).as_posix())):
            relative = path.relative_to(root)
            if path.suffix.lower() not in IMAGE_SUFFIXES or any(part.startswith(".") for part in relative.parts):
                continue
            if any(folder in path.parents for folder in (*nested, *own)):
                continue
            series = next((s for s in self.series if (prefix + relative.as_posix()).startswith(s + "/")), None)
            if series is None:
                yield ImageRef(prefix + relative.as_posix(), path, split)
            elif series not in seen_series:
                seen_series.add(series)
                yield ImageRef(series, root / series.removeprefix(prefix), split)

    def image(self, key: str) -> ImageRef:
        """The image with this key.

        Raises
        ------
        MiaError
            When no image of the project has it.
        """
        split = "predict" if key.startswith(PREDICT_PREFIX) else "train"
        root = self.roots.get(split)
        path = None if root is None else root / key.removeprefix(PREDICT_PREFIX)
        if path is None or not path.exists():
            raise MiaError(f"project {self.name} has no image {key!r}. mia-tui info {self.folder} lists them.")
        return ImageRef(key, path, split)

    # ---- places -----------------------------------------------------------------------------------------------------

    def labels_path(self, key: str, frame: str) -> Path:
        """The GeoJSON of what people made on one frame."""
        return self.folder / "labels" / key / f"{frame}.geojson"

    def prediction_path(self, model: str, key: str, frame: str) -> Path:
        """The GeoJSON of what a model found on one frame; the label image stands beside it as `.tif`."""
        return self.folder / "predictions" / model / key / f"{frame}.geojson"

    @property
    def runs_folder(self) -> Path:
        return self.folder / "runs"

    @property
    def models_folder(self) -> Path:
        return self.folder / "models"

    @property
    def results_folder(self) -> Path:
        return self.folder / "results"

    def models(self) -> list[str]:
        """Names of the models in the project, newest first."""
        found = [path.parent for path in self.models_folder.glob("*/model.json")]
        return [path.name for path in sorted(found, key=lambda p: (p / "model.json").stat().st_mtime, reverse=True)]

    def frames_under(self, source: str) -> list[tuple[str, str]]:
        """(image key, frame) of every frame with a file in `source`: "labels" or "predictions:MODEL"."""
        base = self.source_folder(source)
        # Unlike a glob, a walk does not mind a folder that vanishes meanwhile: labelling takes its empty ones away.
        paths = (Path(folder, name) for folder, _, files in os.walk(base) for name in files)
        names = {path.with_suffix("") for path in paths if path.suffix in (".geojson", ".journal")}
        found = [(path.parent.relative_to(base).as_posix(), path.name) for path in names]
        return sorted(found, key=lambda pair: (natural_key(pair[0]), pair[1]))

    def source_folder(self, source: str) -> Path:
        """The folder behind "labels" or "predictions:MODEL"."""
        if source == "labels":
            return self.folder / "labels"
        kind, _, model = source.partition(":")
        folder = self.folder / "predictions" / model
        if kind != "predictions" or not model:
            raise MiaError(f"unknown source {source!r}: give labels or predictions:MODEL")
        if not folder.is_dir():
            raise MiaError(
                f"project {self.name} has no predictions of model {model!r}. Make them with: mia-tui predict"
            )
        return folder


def frame_name(t: int, z: int, *, single: bool) -> str:
    """Name of a frame's files: "image" for an image of one plane, else `t0000z0000` (0-based)."""
    return "image" if single else f"t{t:04d}z{z:04d}"


def parse_frame(name: str) -> tuple[int, int]:
    """(t, z) of a frame's name, the inverse of `frame_name`."""
    if name == "image":
        return 0, 0
    match = re.fullmatch(r"t(\d+)z(\d+)", name)
    if match is None:
        raise MiaError(f"{name!r} is not the name of a frame (image or t0000z0000)")
    return int(match[1]), int(match[2])


def make_classes(names: Sequence[str]) -> tuple[LabelClass, ...]:
    """Classes with colours from `PALETTE` and the keys 1 to 9.

    Raises
    ------
    MiaError
        For no name, an empty name or one given twice.
    """
    cleaned = [name.strip() for name in names]
    if not cleaned or "" in cleaned or len(set(cleaned)) < len(cleaned):
        raise MiaError(f"class names must be given, not empty and all different, not {', '.join(names) or 'none'}")
    if RESERVED_CLASS in cleaned:
        raise MiaError(f"no class can be called {RESERVED_CLASS!r}: it marks where a frame is annotated")
    return tuple(
        LabelClass(name, PALETTE[i % len(PALETTE)], str(i + 1) if i < 9 else "") for i, name in enumerate(cleaned)
    )


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sort key in which runs of digits compare as numbers (`t2` before `t10`)."""
    parts = re.split(r"(\d+)", text.lower())
    return [(0, int(part), part) if part.isdigit() else (1, 0, part) for part in parts]


def is_color(text: str) -> bool:
    """Whether a text is a colour as project files hold it: `#RRGGBB`."""
    return re.fullmatch(r"#[0-9A-Fa-f]{6}", text) is not None


def _color(value: Any) -> str:
    if not is_color(str(value)):
        raise ValueError(f"color {value!r} is not of the form #RRGGBB")
    return str(value)


def _optional_float(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not number > 0:
        raise ValueError(f"{value!r} must be a positive number")
    return number


def _portable(root: Path, folder: Path) -> str:
    """A root inside the project folder is stored relative, so that the folder can be moved."""
    return root.relative_to(folder).as_posix() if root.is_relative_to(folder) else str(root)
