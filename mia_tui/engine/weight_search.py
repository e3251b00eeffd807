"""Finding pre-trained weights by name: in the user's folders, in caches of other programs, on the hub when allowed.

Only paths are looked at, so an answer takes milliseconds and never waits for a network, whatever HF_HUB_OFFLINE says.
"""

import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub.constants
import segmentation_models_pytorch as smp
import timm
import torch

from mia_tui.engine.catalogue import timm_name
from mia_tui.engine.networks import NetworkSpec
from mia_tui.engine.weight_files import SUFFIXES, USUAL_NAMES
from mia_tui.errors import MiaError

TIMEOUT_S = 5.0
"""How long the hub may keep us waiting for an answer."""


@dataclass(frozen=True)
class Source:
    """Where published weights of an encoder come from.

    `repo` is a repository of the Hugging Face hub; `revision` its commit, "main" when any will do; `url` the address of
    the same weights elsewhere, whose last part is their name in torch's cache; `names` what a file may be called.
    """

    repo: str
    revision: str
    url: str
    names: tuple[str, ...]

    @property
    def short(self) -> str:
        """Name of the repository without its owner: how `hf download --local-dir` folders are best called."""
        return self.repo.split("/")[-1]


def sources(spec: NetworkSpec, tag: str) -> list[Source]:
    """Published weights called `tag` of the spec's encoder; "imagenet" is the library's default.

    Raises
    ------
    MiaError
        When the libraries list no such weights; the message has those that they list.
    """
    name = timm_name(spec.architecture, spec.encoder)
    found = [] if name is None else _timm_sources(name, tag, (spec.encoder,))
    own = smp.encoders.encoders.get(spec.encoder)
    if own is not None and tag in own["pretrained_settings"] and (name is None or name == spec.encoder):
        # timm's network of the same name has the same layers, so a classifier can start from smp's file as well
        setting = own["pretrained_settings"][tag]
        found.append(Source(setting["repo_id"], setting["revision"], "", (f"{spec.encoder}.{tag}", spec.encoder)))
    if found:
        return found
    known = list(own["pretrained_settings"]) if own is not None and name is None else _tags(name or "")
    listed = f"There is: {', '.join(known)}" if known else "There is none"
    raise MiaError(
        f"no published weights {tag!r} of {spec.encoder} are known. {listed}. "
        "Name one, give a file or folder, or leave encoder_weights empty to start from random weights."
    )


def _timm_sources(name: str, tag: str, names: tuple[str, ...]) -> list[Source]:
    arch = name.split(".")[0]
    full = name if tag == "imagenet" else f"{arch}.{tag}"
    if full != arch and full.split(".", 1)[1] not in _tags(arch):
        return []
    config = timm.get_pretrained_cfg(full)
    if config is None or not config.hf_hub_id:
        return []
    with_tag = f"{arch}.{config.tag}" if config.tag else arch
    url = config.url if isinstance(config.url, str) else ""
    return [Source(config.hf_hub_id, "main", url, (with_tag, *([arch, *names] if full == name else [])))]


def _tags(name: str) -> list[str]:
    arch = name.split(".")[0]
    return [found.removeprefix(f"{arch}.") for found in timm.list_models(f"{arch}.*", pretrained=True)]


def search_folders(folders: Sequence[Path]) -> list[Path]:
    """The user's folders of weights, in the order of search: `folders`, then `$MIA_WEIGHTS`."""
    named = os.environ.get("MIA_WEIGHTS")
    return [*folders, *([Path(named).expanduser()] if named else [])]


def local_files(source: Source, folders: Sequence[Path]) -> list[Path]:
    """Files, or folders with one, that may hold the weights, best first: folders, Hugging Face cache, torch's cache."""
    found = [path for folder in search_folders(folders) for path in _in_folder(folder, source)]
    found += _in_cache(Path(huggingface_hub.constants.HF_HUB_CACHE), source)
    return found + _in_torch_cache(source)


def _in_folder(folder: Path, source: Source) -> list[Path]:
    """`<name>.safetensors` and the like, `<name>/` as hf download and save_pretrained write it, or a copied cache."""
    names = dict.fromkeys((source.short, *source.names))
    files = [folder / f"{name}{suffix}" for name in names for suffix in SUFFIXES]
    if source.url:
        files.insert(0, folder / source.url.rsplit("/", 1)[-1])
    places = [folder / source.repo, *(folder / name for name in names)]
    found = [path for path in files if path.is_file()]
    found += [place for place in places if place.is_dir()]
    return found + _in_cache(folder, source) + _in_cache(folder / "hub", source)


def _in_cache(cache: Path, source: Source) -> list[Path]:
    """Snapshots in a cache of the Hugging Face hub, also one laid by hand: the wanted revision, then the newest."""
    repo = cache / f"models--{source.repo.replace('/', '--')}"
    reference = repo / "refs" / source.revision
    wanted = reference.read_text().strip() if reference.is_file() else source.revision
    snapshots = sorted(
        (repo / "snapshots").glob("*"), key=lambda path: (path.name == wanted, path.stat().st_mtime), reverse=True
    )
    return [path / name for path in snapshots for name in USUAL_NAMES if (path / name).is_file()]


def _in_torch_cache(source: Source) -> list[Path]:
    """What torch.hub has fetched: the file of the url, or torchvision's `<name>-<8 hexadecimal digits>.pth`."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if source.url:
        path = folder / source.url.rsplit("/", 1)[-1]
        return [path] if path.is_file() else []
    return sorted(folder.glob(f"{source.names[-1]}-{'[0-9a-f]' * 8}.pth"))


def online() -> bool:
    """Whether the user has allowed look-ups on the hub."""
    return os.environ.get("MIA_ONLINE", "") not in ("", "0")


def fetch(source: Source) -> Path:
    """Download the weights into the Hugging Face cache, where later look-ups find them.

    Raises
    ------
    MiaError
        When the hub does not answer within `TIMEOUT_S`, or has no such file.
    """
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    cache = Path(huggingface_hub.constants.HF_HUB_CACHE) / f"models--{source.repo.replace('/', '--')}"
    reasons = []
    for name in USUAL_NAMES[:2]:
        address = f"{endpoint}/{source.repo}/resolve/{source.revision}/{name}"
        target = cache / "snapshots" / source.revision / name
        try:
            _download(address, target)
            return target
        except urllib.error.HTTPError as error:  # the other name may be there
            reasons.append(f"{address}: {error.code} {error.reason}")
        except OSError as error:
            reasons.append(f"{address}: {getattr(error, 'reason', None) or error}")
            break
    raise MiaError("; ".join(reasons))


def _download(address: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part{os.getpid()}")
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer, part.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
            length = answer.headers.get("Content-Length")
        if length is not None and part.stat().st_size != int(length):
            raise OSError(f"the connection ended after {part.stat().st_size:,} of {int(length):,} bytes")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def not_found(
    spec: NetworkSpec, tag: str, wanted: Sequence[Source], folders: Sequence[Path], tried: list[str]
) -> MiaError:
    """The error that says what was wanted, where it was looked for, what was wrong there, and what to do."""
    first = wanted[0]
    revision = "" if first.revision == "main" else f", revision {first.revision}"
    places = [f"{folder}: {_emptiness(folder, first)}" for folder in search_folders(folders)]
    if not os.environ.get("MIA_WEIGHTS"):
        places.append("$MIA_WEIGHTS: not set")
    caches = (Path(huggingface_hub.constants.HF_HUB_CACHE), Path(torch.hub.get_dir()) / "checkpoints")
    places += [f"{cache}: {'not found' if cache.is_dir() else 'no such folder'}" for cache in caches]
    if not online():
        places.append("the hub: not asked (MIA_ONLINE=1 allows it)")
    lines = "".join(f"\n  {line}" for line in [*places, *tried])
    keep = search_folders(folders)[0] if search_folders(folders) else Path("the folder that $MIA_WEIGHTS names")
    return MiaError(
        f"encoder weights {tag!r} of {spec.encoder} cannot be had. Wanted: {first.repo}, {USUAL_NAMES[0]}{revision}. "
        f"Looked in:{lines}\nOn a machine with internet: hf download {first.repo} --local-dir {first.short}\n"
        f"then copy the folder {first.short} to {keep}/{first.short}. Or leave encoder_weights empty to start from "
        "random weights."
    )


def _emptiness(folder: Path, source: Source) -> str:
    if not folder.is_dir():
        return "no such folder"
    return f"no {source.short}/ and no {source.names[0]}{SUFFIXES[0]}"
