"""What every assist is in the helper, how one is loaded, and keeping the last ones used."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch

from mia_tui.engine.assist.messages import AssistAnswer, AssistRequest
from mia_tui.engine.assist.planes import Plane, Recent
from mia_tui.errors import MiaError

Tell = Callable[[str], None]
"""Says what is being done. Raises `Superseded` when nobody waits for the answer any more: call it between steps."""


class Superseded(Exception):
    """Nobody waits for this answer any more."""


class Assist(Protocol):
    """A loaded model that answers."""

    def answer(self, request: AssistRequest, plane: Plane, tell: Tell) -> AssistAnswer:
        """The answer to a request about a plane. Raises MiaError where the request does not fit the model."""
        ...


Loader = Callable[[Path, torch.device], Assist]


def _load_exported(path: Path, device: torch.device) -> Assist:
    from mia_tui.engine.assist.exported import Exported

    return Exported.load(path, device)


def _load_hed(path: Path, device: torch.device) -> Assist:
    from mia_tui.engine.assist.hed import Hed

    return Hed.load(path, device)


def _load_sam(path: Path, device: torch.device) -> Assist:
    from mia_tui.engine.assist.sam import Sam

    return Sam.load(path, device)


def _load_trained(path: Path, device: torch.device) -> Assist:
    from mia_tui.engine.assist.trained import Trained

    return Trained.load(path, device)


LOADERS: dict[str, Loader] = {
    "model": _load_trained,
    "sam": _load_sam,
    "dextr": _load_exported,
    "points": _load_exported,
    "edges": _load_exported,
    "hed": _load_hed,
}
"""A new kind of assist is one file, one line here and one in `registry.PROMPTS`."""


class Models:
    """Loads models and keeps the last two: a person switches between one that proposes and one that is pointed at."""

    def __init__(self, device: torch.device, count: int = 2) -> None:
        self._device = device
        self._recent: Recent[Assist] = Recent(count)

    def get(self, kind: str, path: Path, tell: Tell) -> Assist:
        """The model in a file or folder, loaded when it is not or has been changed since."""

        def load() -> Assist:
            tell(f"loading {path.name}")
            return LOADERS[kind](path, self._device)

        return self._recent.get((kind, path, _version(path)), load)


def _version(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, times and sizes of the files of a model: other ones mean that it must be loaded anew."""
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path, *path.parent.glob(f"{path.stem}.*")]
        return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    except OSError as error:
        raise MiaError(f"{path} cannot be read: {error.strerror or error}. Was it moved?") from None


# ---- reading files ---------------------------------------------------------------------------------------------------


def check_real(path: Path) -> None:
    """Refuse what is not a model at all but was saved under its name.

    Raises
    ------
    MiaError
        For a missing or empty file, a web page, or a git-lfs pointer.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
    except OSError as error:
        raise MiaError(f"{path} cannot be read: {error.strerror or error}") from None
    if not head:
        raise MiaError(f"{path} is empty. Copy it again.")
    if head.lstrip()[:1] == b"<" or head.startswith(b"version https://git-lfs"):
        raise MiaError(f"{path} holds no model but a web page or a git-lfs pointer. Copy the real file.")


def one_line(error: BaseException) -> str:
    """What an exception says, in one line for a person. TorchScript puts that last, under its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[-1 if "TorchScript" in lines[0] else 0][:300]
