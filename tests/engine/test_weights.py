"""Pre-trained encoder weights: seven ways to have them without a network, any number of channels, and bad files."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file
from timm.models import save_for_hf

from mia_tui.engine import weight_search
from mia_tui.engine.networks import NetworkSpec, build_network, make_spec
from mia_tui.engine.weights import input_statistics, load_encoder_weights
from mia_tui.errors import MiaError

SMALL = "mobilenetv3_small_050"
REVISION = smp.encoders.encoders["mobilenet_v2"]["pretrained_settings"]["imagenet"]["revision"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches of Hugging Face and torch, and no folder of weights."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("MIA_WEIGHTS", "MIA_ONLINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "hub"


def started(spec: NetworkSpec, weights: str | Path, **more: object) -> tuple[dict[str, torch.Tensor], str]:
    """The tensors of the encoder after the start, and what was said."""
    notes: list[str] = []
    model = build_network(spec)
    assert load_encoder_weights(spec, str(weights), model, say=notes.append, **more) is model
    encoder = model if spec.is_classifier else model.get_submodule("encoder")
    return encoder.state_dict(), notes[0]


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], without: tuple[str, ...] = ()) -> None:
    """Bit-equal tensors under the same names, but for last layers."""
    keys = [key for key in expected if not key.startswith(without or ("\0",))]
    assert len(keys) > 10
    assert all(torch.equal(found[key], expected[key]) for key in keys)


def smp_encoder(name: str = "mobilenet_v2", seed: int = 5) -> torch.nn.Module:
    torch.manual_seed(seed)
    return smp.encoders.get_encoder(name, weights=None)


def timm_file(path: Path, name: str = SMALL) -> torch.nn.Module:
    torch.manual_seed(6)
    model = timm.create_model(name)
    (save_file if path.suffix == ".safetensors" else torch.save)(model.state_dict(), path)
    return model


def lay(state: dict[str, torch.Tensor], folder: Path) -> Path:
    folder.mkdir(parents=True)
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    return folder


# ---- the seven ways -------------------------------------------------------------------------------------------------


def test_a_cache_laid_by_hand_gives_what_smp_reads_from_it(cache: Path) -> None:
    lay(smp_encoder().state_dict(), cache / "models--smp-hub--mobilenet_v2.imagenet" / "snapshots" / REVISION)
    found, note = started(make_spec("Unet", "mobilenet_v2", 3, 2), "imagenet")
    same(found, smp.encoders.get_encoder("mobilenet_v2", weights="imagenet").state_dict())
    assert REVISION in note


def test_a_cache_laid_by_hand_serves_timm_too(cache: Path) -> None:
    model = timm.create_model(SMALL)
    lay(model.state_dict(), cache / f"models--timm--{SMALL}.lamb_in1k" / "snapshots" / "0123abc")
    same(started(make_spec("classifier", SMALL, 3, 2), "imagenet")[0], model.state_dict(), ("classifier",))
    encoder, _ = started(make_spec("Unet", f"tu-{SMALL}", 3, 2), "imagenet")
    assert torch.equal(encoder["model.conv_stem.weight"], model.state_dict()["conv_stem.weight"])


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", ".bin"])
def test_a_file_of_an_encoder(tmp_path: Path, suffix: str) -> None:
    encoder, path = smp_encoder(), tmp_path / f"w{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(encoder.state_dict(), path)
    same(started(make_spec("PSPNet", "mobilenet_v2", 3, 2), path)[0], encoder.state_dict())


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_a_file_of_a_classifier_is_fitted_as_timm_does(tmp_path: Path, suffix: str, channels: int) -> None:
    path = tmp_path / f"w{suffix}"
    timm_file(path)
    found, _ = started(make_spec("classifier", SMALL, channels, 2), path)
    overlay = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(path)}}
    expected = timm.create_model(SMALL, in_chans=channels, num_classes=2, **overlay).state_dict()
    same(found, expected, ("classifier",))
    encoder, _ = started(make_spec("FPN", f"tu-{SMALL}", channels, 2), path)
    theirs = smp.FPN(
        f"tu-{SMALL}", encoder_weights=True, in_channels=channels, pretrained_cfg_overlay={"file": str(path)}
    )
    same(encoder, theirs.encoder.state_dict())


def test_a_checkpoint_as_timm_reads_it(tmp_path: Path) -> None:
    model, path = timm.create_model(SMALL), tmp_path / "last.pth"
    torch.save({"epoch": 3, "state_dict": {f"module.{key}": value for key, value in model.state_dict().items()}}, path)
    expected = timm.create_model(SMALL, checkpoint_path=str(path)).state_dict()
    same(started(make_spec("classifier", SMALL, 3, 2), path)[0], expected, ("classifier",))


@pytest.mark.parametrize("mark", ["", "local-dir:"])
def test_a_folder_as_timm_saves_it(tmp_path: Path, mark: str) -> None:
    model = timm.create_model(SMALL)
    save_for_hf(model, tmp_path / "saved", safe_serialization=True)
    found, _ = started(make_spec("classifier", SMALL, 3, 2), f"{mark}{tmp_path / 'saved'}")
    expected = timm.create_model(f"local-dir:{tmp_path / 'saved'}", pretrained=True).state_dict()
    same(found, expected, ("classifier",))


@pytest.mark.parametrize("encoder", ["mobilenet_v2", f"tu-{SMALL}"])
def test_a_folder_of_a_whole_network_gives_its_encoder(tmp_path: Path, encoder: str) -> None:
    smp.FPN(encoder, encoder_weights=None).save_pretrained(tmp_path / "saved")
    found, note = started(make_spec("Unet", encoder, 3, 2), tmp_path / "saved")
    same(found, smp.from_pretrained(tmp_path / "saved").encoder.state_dict())
    assert "the encoder of the whole network in" in note


# ---- other files ----------------------------------------------------------------------------------------------------


def test_one_encoder_serves_both_tasks_where_the_layers_are_the_same(tmp_path: Path) -> None:
    encoder = smp_encoder("resnet18")
    save_file(encoder.state_dict(), tmp_path / "resnet18.imagenet.safetensors")
    for architecture in ("Unet", "classifier"):
        found, _ = started(make_spec(architecture, "resnet18", 3, 2), "imagenet", folders=[tmp_path])
        same(found, encoder.state_dict(), ("fc",))


def test_a_model_of_ours_with_one_channel_starts_one_with_three(tmp_path: Path) -> None:
    ours = build_network(make_spec("Unet", f"tu-{SMALL}", 1, 2))
    save_file(ours.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "model.json").write_text("{}")
    found, _ = started(make_spec("FPN", f"tu-{SMALL}", 3, 2), tmp_path)
    kernel = ours.state_dict()["encoder.model.conv_stem.weight"]
    torch.testing.assert_close(found["model.conv_stem.weight"].sum(1, keepdim=True), kernel)
    same(found, ours.get_submodule("encoder").state_dict(), ("model.conv_stem",))


def test_names_of_the_first_authors_are_translated(tmp_path: Path) -> None:
    """ConvNeXt as its authors publish it: layers are called otherwise."""
    model = timm.create_model("test_convnext")
    names = (
        ("stem.", "downsample_layers.0."), (".conv_dw.", ".dwconv."), (".mlp.fc1.", ".pwconv1."), (".blocks.", "."),
        (".mlp.fc2.", ".pwconv2."), ("head.norm.", "norm."), ("head.fc.", "head."),
    )  # fmt: skip
    theirs = {}
    for key, value in model.state_dict().items():
        stage = key.split(".")[1]
        name = key.replace(f"stages.{stage}.downsample", f"downsample_layers.{stage}")
        for ours, other in names:
            name = name.replace(ours, other)
        theirs[name] = value
    torch.save({"model": theirs}, tmp_path / "convnext.pth")
    found, _ = started(make_spec("classifier", "test_convnext", 3, 2), tmp_path / "convnext.pth")
    same(found, model.state_dict(), ("head.fc",))
    with_one, _ = started(make_spec("Unet", "tu-test_convnext", 1, 2), tmp_path / "convnext.pth")
    torch.testing.assert_close(
        with_one["model.stem_0.weight"], model.state_dict()["stem.0.weight"].sum(1, keepdim=True)
    )


def test_a_grid_of_positions_is_fitted_to_another_image_size(tmp_path: Path) -> None:
    path = tmp_path / "vit.safetensors"
    timm_file(path, "vit_tiny_patch16_224")
    spec = make_spec("classifier", "vit_tiny_patch16_224", 3, 2, image_size=96)
    overlay = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(path)}}
    expected = timm.create_model("vit_tiny_patch16_224", img_size=96, num_classes=2, **overlay).state_dict()
    assert expected["pos_embed"].shape == (1, 37, 192)
    same(started(spec, path)[0], expected, ("head",))


@pytest.mark.parametrize("architecture", ["DeepLabV3Plus", "PAN", "PSPNet"])
def test_shortened_and_dilated_encoders_take_the_same_file(tmp_path: Path, architecture: str) -> None:
    model = timm_file(tmp_path / "w.safetensors")
    found, _ = started(make_spec(architecture, f"tu-{SMALL}", 3, 2), tmp_path / "w.safetensors")
    same({key.removeprefix("model."): value for key, value in found.items()},
         {key: value for key, value in model.state_dict().items() if f"model.{key}" in found})  # fmt: skip


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_first_kernels_keep_the_size_of_the_answer(tmp_path: Path, channels: int) -> None:
    save_file(smp_encoder().state_dict(), tmp_path / "w.safetensors")
    found, _ = started(make_spec("Unet", "mobilenet_v2", channels, 2), tmp_path / "w.safetensors")
    rgb = smp_encoder().state_dict()["features.0.0.weight"]
    if channels == 1:
        expected = rgb.sum(1, keepdim=True)
    else:
        expected = torch.stack([rgb[:, i % 3] for i in range(channels)], dim=1) * (3 / channels)
    torch.testing.assert_close(found["features.0.0.weight"], expected, rtol=0, atol=0)
    same(found, smp_encoder().state_dict(), ("features.0.0",))


# ---- where names are looked for -------------------------------------------------------------------------------------


def test_folders_come_before_the_variable_before_the_caches(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec("Unet", "mobilenet_v2", 3, 2)
    monkeypatch.setenv("MIA_WEIGHTS", str(tmp_path / "shared"))
    places = [
        tmp_path / "torch" / "hub" / "checkpoints" / "mobilenet_v2-0123abcd.pth",
        cache / "models--smp-hub--mobilenet_v2.imagenet" / "snapshots" / REVISION / "model.safetensors",
        tmp_path / "shared" / "mobilenet_v2.imagenet" / "model.safetensors",
        tmp_path / "weights" / "mobilenet_v2.safetensors",
    ]
    for seed, place in enumerate(places):
        place.parent.mkdir(parents=True)
        state = smp_encoder(seed=seed).state_dict()
        (save_file if place.suffix == ".safetensors" else torch.save)(state, place)
        found, note = started(spec, "imagenet", folders=[tmp_path / "weights"])
        same(found, state)
        assert str(place) in note


def test_a_relative_path_is_meant_in_the_folders(tmp_path: Path) -> None:
    save_file(smp_encoder().state_dict(), tmp_path / "mine.safetensors")
    spec = make_spec("Unet", "mobilenet_v2", 3, 2)
    same(started(spec, "mine.safetensors", folders=[tmp_path])[0], smp_encoder().state_dict())
    with pytest.raises(MiaError, match=f"{tmp_path}/yours.safetensors"):
        started(spec, "yours.safetensors", folders=[tmp_path])


def test_a_damaged_file_does_not_hide_a_good_one(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "mobilenet_v2.imagenet").mkdir()
    (tmp_path / "mobilenet_v2.safetensors").write_text("<html>")
    spec = make_spec("Unet", "mobilenet_v2", 3, 2)
    with pytest.raises(MiaError, match=r"mobilenet_v2.safetensors holds no weights: it is a web page"):
        started(spec, "imagenet", folders=[tmp_path])
    lay(smp_encoder().state_dict(), cache / "models--smp-hub--mobilenet_v2.imagenet" / "snapshots" / REVISION)
    same(started(spec, "imagenet", folders=[tmp_path])[0], smp_encoder().state_dict())


def test_what_is_not_there_is_explained_in_full(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(MiaError) as caught:
        started(make_spec("Unet", "mobilenet_v2", 3, 2), "imagenet", folders=[tmp_path])
    text = str(caught.value)
    for part in (
        "'imagenet' of mobilenet_v2", "smp-hub/mobilenet_v2.imagenet", "model.safetensors", REVISION, str(tmp_path),
        "$MIA_WEIGHTS: not set", str(cache), str(tmp_path / "torch"), "MIA_ONLINE=1",
        "hf download smp-hub/mobilenet_v2.imagenet --local-dir mobilenet_v2.imagenet",
        f"to {tmp_path}/mobilenet_v2.imagenet", "random weights",
    ):  # fmt: skip
        assert part in text


def test_unknown_tags_are_answered_with_the_known() -> None:
    with pytest.raises(MiaError, match="There is: imagenet, ssl, swsl"):
        started(make_spec("Unet", "resnet18", 3, 2), "imagenets")
    with pytest.raises(MiaError, match="lamb_in1k"):
        started(make_spec("Unet", f"tu-{SMALL}", 3, 2), "imagenets")


def test_the_plain_encoder_has_no_weights_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(MiaError, match="no published weights 'imagenet' of plain"):
        started(make_spec("Unet", "plain", 1, 2), "imagenet")
    torch.save(smp_encoder().state_dict(), tmp_path / "any.pth")
    with pytest.raises(MiaError, match="plain has no pre-trained weights"):
        started(make_spec("Unet", "plain", 1, 2), str(tmp_path / "any.pth"))


def test_a_fresh_process_without_a_network_answers_by_itself(tmp_path: Path) -> None:
    """With $HF_HOME alone, and with HF_HUB_OFFLINE unset: nothing asks the network (the proxy would refuse)."""
    lay(
        smp_encoder().state_dict(), tmp_path / "hub" / "models--smp-hub--mobilenet_v2.imagenet" / "snapshots" / REVISION
    )
    code = (
        "from mia_tui.engine.networks import *; from mia_tui.engine.weights import *\n"
        "for name in ('mobilenet_v2', 'resnet18'):\n"
        "    spec = make_spec('Unet', name, 1, 2)\n"
        "    try: load_encoder_weights(spec, 'imagenet', build_network(spec), say=print)\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "MIA_"))}
    environment |= {"HF_HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert f"mobilenet_v2 starts from {tmp_path}" in done.stdout
    assert "MiaError encoder weights 'imagenet' of resnet18" in done.stdout


# ---- the hub --------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub on this machine that has mobilenet_v2 only; the addresses that it was asked for."""
    save_file(smp_encoder().state_dict(), tmp_path / "served")
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if "mobilenet_v2" not in self.path:
                self.send_error(404)
                return
            content = (tmp_path / "served").read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()
    server.server_close()


def test_the_hub_is_asked_when_allowed_and_only_once(hub: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec("Unet", "mobilenet_v2", 1, 2)
    with pytest.raises(MiaError, match="MIA_ONLINE"):
        started(spec, "imagenet")
    assert hub == []
    monkeypatch.setenv("MIA_ONLINE", "1")
    for _ in range(2):
        same(started(spec, "imagenet")[0], smp_encoder().state_dict(), ("features.0.0",))
    assert hub == [f"/smp-hub/mobilenet_v2.imagenet/resolve/{REVISION}/model.safetensors"]


def test_what_the_hub_has_not_is_named(hub: list[str], monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("MIA_ONLINE", "1")
    with pytest.raises(MiaError, match="404 Not Found"):
        started(make_spec("classifier", SMALL, 1, 2), "imagenet")
    assert [path.rsplit("/", 1)[-1] for path in hub] == ["model.safetensors", "pytorch_model.bin"]
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_silent_hub_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIA_ONLINE", "1")
    monkeypatch.setattr(weight_search, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(MiaError, match="timed out"):
            started(make_spec("Unet", "mobilenet_v2", 1, 2), "imagenet")


# ---- bad files ------------------------------------------------------------------------------------------------------


class Harmful:
    """What a malicious pickle does: run a command when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def make_bad(name: str, path: Path) -> None:
    if name == "code":
        torch.save({"conv1.weight": torch.zeros(2), "x": Harmful(path.parent / "harm")}, path)
    elif name == "cut":
        save_file(smp_encoder().state_dict(), path)
        path.write_bytes(path.read_bytes()[:100_000])
    elif name == "cut pickle":
        torch.save(smp_encoder().state_dict(), path)
        path.write_bytes(path.read_bytes()[:100_000])
    elif name == "list":
        torch.save([1, 2], path)
    else:
        contents = {
            "page": b"\n<!DOCTYPE html><html>Sign in</html>",
            "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n",
            "keras": b"\x89HDF\r\n\x1a\n" + bytes(600), "noise": bytes(range(256)) * 4, "empty": b"",
        }  # fmt: skip
        path.write_bytes(contents[name])


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [("page", "web page"), ("pointer", "git-lfs pointer"), ("keras", "HDF5"), ("noise", "damaged"), ("empty", "empty"),
     ("cut", r"damaged or cut short.*100,000 bytes"), ("cut pickle", "damaged or cut short"), ("list", "no table"),
     ("code", r"refused: it holds code \(posix.system\)")],
)  # fmt: skip
def test_bad_files_are_explained_and_never_run(tmp_path: Path, name: str, reason: str, suffix: str) -> None:
    path = tmp_path / f"bad{suffix}"
    make_bad(name, path)
    with pytest.raises(MiaError, match=reason) as caught:
        started(make_spec("Unet", "mobilenet_v2", 1, 2), path)
    assert str(path) in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "harm").exists()


def test_a_folder_without_weights_or_with_several(tmp_path: Path) -> None:
    spec = make_spec("Unet", "mobilenet_v2", 1, 2)
    with pytest.raises(MiaError, match=r"no weights: put model\.safetensors"):
        started(spec, tmp_path)
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(MiaError, match=r"2 files of weights \(a\.pth, b\.pth\)"):
        started(spec, tmp_path)


@pytest.mark.parametrize(
    "target", ["Unet mobilenet_v2", f"Unet tu-{SMALL}", f"classifier {SMALL}", "classifier dla46_c"]
)
def test_weights_of_another_network_are_refused_with_the_first_names(tmp_path: Path, target: str) -> None:
    """dla46_c too, where timm itself loads what it can and leaves the rest at random."""
    timm_file(tmp_path / "other.safetensors", "test_resnet")
    architecture, encoder = target.split()
    pattern = r"other\.safetensors does not fit encoder .*: of \d+ tensors \d+ missing \((\S+, ){2}\S+\); .*unexpected"
    with pytest.raises(MiaError, match=pattern):
        started(make_spec(architecture, encoder, 3, 2), tmp_path / "other.safetensors")


def test_a_deeper_network_of_the_same_family_is_refused(tmp_path: Path) -> None:
    """resnet34 holds every tensor of resnet18, in the same shapes, and more."""
    save_file(smp.encoders.get_encoder("resnet34", weights=None).state_dict(), tmp_path / "w.safetensors")
    for architecture in ("Unet", "classifier"):
        with pytest.raises(MiaError, match=r"unexpected \(layer1\.2"):
            started(make_spec(architecture, "resnet18", 1, 2), tmp_path / "w.safetensors")


def test_a_refused_file_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    timm_file(tmp_path / "w.safetensors", "test_resnet")
    spec = make_spec("Unet", "mobilenet_v2", 3, 2)
    model = build_network(spec)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(MiaError):
        load_encoder_weights(spec, str(tmp_path / "w.safetensors"), model)
    same(model.state_dict(), before)


# ---- input statistics -----------------------------------------------------------------------------------------------


def test_input_statistics_are_those_of_the_encoder() -> None:
    usual = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    half = ((0.5,) * 3, (0.5,) * 3)
    for encoder in ("resnet18", "mobilenet_v2", "efficientnet-b0", "tu-resnet18", "mit_b0", "timm-efficientnet-b0"):
        assert input_statistics(make_spec("Unet", encoder, 3, 2)) == usual
    for encoder in ("xception", "inceptionv4", "tu-vit_tiny_patch16_224", "timm-tf_efficientnet_lite0"):
        assert input_statistics(NetworkSpec("classifier", encoder, 3, 2)) == half
    assert input_statistics(make_spec("Unet", "timm-efficientnet-b0", 3, 2), "advprop") == half


def test_input_statistics_follow_the_channels_as_the_kernels_do() -> None:
    mean, deviation = input_statistics(make_spec("Unet", "resnet18", 1, 2))
    assert mean == pytest.approx([(0.485 + 0.456 + 0.406) / 3])
    assert deviation == pytest.approx([(0.229 + 0.224 + 0.225) / 3])
    assert input_statistics(make_spec("Unet", "resnet18", 5, 2))[0] == (0.485, 0.456, 0.406, 0.485, 0.456)
