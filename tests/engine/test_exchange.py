"""Models that leave for other programs and come back: the same outputs, and clear words for files that are wrong."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_helpers import make_project

from mia_tui.engine.bundle import ModelCard, load_model, save_model
from mia_tui.engine.exchange import FORMATS, default_name, export_model, import_model, parity
from mia_tui.engine.exchange import onnx as onnx_format
from mia_tui.engine.exchange.onnx_runtime import CARD, WEIGHTS, OnnxNetwork, fast_network
from mia_tui.engine.networks import build_network
from mia_tui.engine.predict import Predictor
from mia_tui.engine.tiling import TiledNetwork
from mia_tui.errors import MiaError

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

ROOT = Path(__file__).parents[2]
VALUES = {
    "format": 1, "task": "segmentation", "classes": [{"name": "cell", "color": "#56B4E9"}],
    "network": {"architecture": "Unet", "encoder": "tu-mobilenetv3_small_050", "in_channels": 1, "out_channels": 3,
                "decoder_channels": [16, 8, 8, 8, 8]},
    "channels": {"count": 1, "chosen": None}, "normalization": {"low": 1.0, "high": 99.8},
    "decoding": {"touching": "border", "foreground": 0.5, "inside": 0.7, "min_seed": 6, "waist": 0.1, "min_size": 10},
    "tiling": {"size": 64, "overlap": 16, "batch": 2, "least": 64}, "pixel_size": 0.65,
    "training": {"epochs": 3}, "metrics": {"ap50": 0.5},
}  # fmt: skip
PREDICT = """
import sys
import numpy as np
from mia_tui.engine.bundle import load_model
from mia_tui.engine.predict import Predictor

folders, source, target = sys.argv[1:-2], *sys.argv[-2:]
image = np.load(source)
found = {}
for folder in folders:
    network = Predictor(*load_model(__import__("pathlib").Path(folder)), device="cpu").network
    bands = network.bands(*image.shape[1:], lambda rows, columns: image[:, rows, columns])
    found[folder.rpartition("/")[2]] = np.concatenate([band for _, band in bands], axis=1)
np.savez(target, **found)
"""


def card() -> ModelCard:
    return ModelCard.from_json(VALUES)


def network(seed: int = 0) -> torch.nn.Module:
    """Random weights, the head scaled so that raw outputs vary by about 2 as those of a trained network do."""
    torch.manual_seed(seed)
    model = build_network(card().network).eval()
    with torch.no_grad():
        found = model(torch.from_numpy(parity.sample_tiles(card())))
        head = model.get_submodule("segmentation_head")[0]
        head.weight.mul_(2 / found.std((0, 2, 3))[:, None, None, None])
        head.bias.copy_(-model(torch.from_numpy(parity.sample_tiles(card()))).mean((0, 2, 3)))
    return model


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with the model `m`, whose ONNX graph is made once for all tests."""
    made = make_project(tmp_path_factory.mktemp("exchange"), images=1)
    save_model(made.models_folder / "m", card(), network().state_dict())
    fast_network(made.models_folder / "m")
    return made


@pytest.fixture(scope="module")
def model(project) -> Path:
    return project.models_folder / "m"


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> dict[str, Path]:
    """One file of each format."""
    folder = tmp_path_factory.mktemp("exported")
    wanted = [name for name in FORMATS if name != "bioimageio" or _has_spec()]
    files = {name: folder / f"m{FORMATS[name].suffix}" for name in wanted}
    for name, path in files.items():
        report = export_model(model, path, name, authors=("A. Person",))
        assert (report.files, report.tiles) == ((path,), 3)
        assert report.max_difference < (1e-4 if name in ("onnx", "bioimageio") else 1e-9)
        assert report.agreement > 0.9999
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in files.values()), "no drafts stay"
    return files


def test_the_plain_network_leaves_too(tmp_path) -> None:
    """It is none of a library's, so that a bioimage.io package holds its graph alone."""
    spec = {"architecture": "Unet", "encoder": "plain", "in_channels": 1, "out_channels": 3}
    plain = ModelCard.from_json({**VALUES, "network": {**spec, "decoder_channels": [8, 8, 4, 4, 4]}})
    torch.manual_seed(0)
    save_model(tmp_path / "m", plain, build_network(plain.network).state_dict())
    for name in FORMATS if _has_spec() else set(FORMATS) - {"bioimageio"}:
        report = export_model(tmp_path / "m", tmp_path / f"m{FORMATS[name].suffix}", name, authors=("A. Person",))
        assert report.max_difference < 1e-4
    if _has_spec():
        names = zipfile.ZipFile(tmp_path / f"m{FORMATS['bioimageio'].suffix}").namelist()
        assert "model.onnx" in names
        assert "weights.pt" not in names


def _has_spec() -> bool:
    try:
        import bioimageio.spec  # noqa: F401
    except ImportError:
        return False
    return True


def image(height: int = 100, width: int = 150) -> np.ndarray:
    return np.random.default_rng(0).random((1, height, width), np.float32)


def predict(folder: Path, picture: np.ndarray) -> np.ndarray:
    tiled = Predictor(*load_model(folder), device="cpu").network
    bands = tiled.bands(*picture.shape[1:], lambda rows, columns: picture[:, rows, columns])
    return np.concatenate([band for _, band in bands], axis=1)


def torch_outputs(folder: Path, batch: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return load_model(folder)[1](torch.from_numpy(batch)).numpy()


# ---- out and back ----------------------------------------------------------------------------------------------------


def test_what_comes_back_predicts_the_same_in_a_fresh_process(model, exported, tmp_path) -> None:
    folders = [import_model(path, tmp_path / "models", name) for name, path in exported.items()]
    np.save(tmp_path / "image.npy", image())
    command = [sys.executable, "-c", PREDICT, *map(str, folders), str(tmp_path / "image.npy"), str(tmp_path / "o.npz")]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(), timeout=240)
    assert done.returncode == 0, done.stderr
    expected = predict(model, image())
    found = np.load(tmp_path / "o.npz")
    for name in exported:
        if name == "onnx":
            np.testing.assert_allclose(found[name], expected, atol=1e-5)
        else:
            assert (found[name] == expected).all(), name
    cards = {json.dumps(json.loads((folder / "model.json").read_text())) for folder in folders}
    assert cards == {json.dumps(json.loads((model / "model.json").read_text()))}
    assert not list((tmp_path / "models").glob(".*"))


def test_a_zip_keeps_every_byte_and_a_folder_is_a_zip_unpacked(model, exported, tmp_path) -> None:
    back = import_model(exported["safetensors"], tmp_path, "back")
    copied = import_model(back, tmp_path, "copied")
    for folder in (back, copied):
        assert sorted(p.name for p in folder.iterdir()) == ["model.json", "model.safetensors"]
        assert (folder / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()


def test_the_onnx_file_stands_alone_and_takes_any_batch_and_size(model, exported) -> None:
    proto = onnx.load(exported["onnx"])
    onnx.checker.check_model(proto)
    entries = {entry.key: entry.value for entry in proto.metadata_props}
    assert json.loads(entries[CARD])["classes"] == VALUES["classes"]
    session = onnxruntime.InferenceSession(str(exported["onnx"]), providers=["CPUExecutionProvider"])
    for shape in ((1, 1, 64, 64), (3, 1, 96, 128), (1, 1, 32, 32), (5, 1, 32, 96)):
        batch = np.random.default_rng(shape[3]).random(shape, np.float32)
        [found] = session.run(["output"], {"input": batch})
        np.testing.assert_allclose(found, torch_outputs(model, batch), atol=1e-4)


def test_a_graph_that_this_version_cannot_build_still_runs(model, exported, tmp_path) -> None:
    program = torch.export.load(str(exported["pt2"]))
    strange = {**VALUES, "network": {**VALUES["network"], "decoder_channels": [16, 16, 16, 16, 16]}}
    strange["tiling"] = {**VALUES["tiling"], "least": 32}
    torch.export.save(program, str(tmp_path / "s.pt2"), extra_files={"model.json": json.dumps(strange)})
    folder = import_model(tmp_path / "s.pt2", tmp_path, "s")
    assert sorted(p.name for p in folder.iterdir()) == ["model.json", "model.pt2"]
    picture = image(20, 130)  # lower than what the program takes: mirrored, as for the model
    assert (predict(folder, picture) == predict(model, picture)).all()
    export_model(folder, tmp_path / "again.pt2", "pt2")
    assert (tmp_path / "again.pt2").read_bytes() == (folder / "model.pt2").read_bytes()
    with pytest.raises(MiaError, match="can only be exported to pt2"):
        export_model(folder, tmp_path / "s.onnx", "onnx")


def test_a_model_that_came_as_onnx_goes_on_as_onnx_alone(model, exported, tmp_path) -> None:
    folder = import_model(exported["onnx"], tmp_path, "o")
    export_model(folder, tmp_path / "again.onnx", "onnx")
    again = import_model(tmp_path / "again.onnx", tmp_path, "again")
    assert (predict(again, image()) == predict(folder, image())).all()
    with pytest.raises(MiaError, match=r"imported as model\.onnx"):
        export_model(folder, tmp_path / "o.zip", "safetensors")


def test_networks_that_judge_whole_images_are_exported_too(tmp_path) -> None:
    class Judge(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 8, 3, 2)
            self.head = torch.nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.conv(x).relu().mean((2, 3)))

    torch.manual_seed(0)
    judge = Judge().eval()
    graph = OnnxNetwork(onnx_format._export(card(), judge).SerializeToString())
    for shape in ((1, 1, 64, 64), (3, 1, 96, 80)):
        batch = np.random.default_rng(1).random(shape, np.float32)
        found = parity.compare(parity.outputs_of(judge), graph, batch)
        assert graph(batch).shape == (shape[0], 4)
        assert (found.agreement, found.tiles) == (1, shape[0])
        assert found.max_difference < 1e-5


# ---- parity ----------------------------------------------------------------------------------------------------------


def test_parity_by_hand() -> None:
    ours = np.array([[[[1, 5], [0, 2]], [[2, 4], [3, 1]]]], np.float32)  # argmax 1 0 / 1 0
    theirs = ours.copy()
    theirs[0, :, 0, 0] = 2.5, 2  # argmax becomes 0; differs by 1.5
    found = parity.compare(lambda x: ours, lambda x: theirs, np.zeros((1, 1, 2, 2), np.float32))
    assert found == parity.Parity(1.5, 0.75, 1)
    with pytest.raises(MiaError, match=r"75\.000%"):
        parity.check(found, "x")
    parity.check(parity.Parity(1e-3, 0.999, 3), "x")
    for broken in (parity.Parity(2e-3, 1, 3), parity.Parity(0, 0.998, 3)):
        with pytest.raises(MiaError, match="not written"):
            parity.check(broken, "x")
    nan = parity.compare(lambda x: ours, lambda x: ours * np.float32(np.nan), np.zeros((1, 1, 2, 2), np.float32))
    with pytest.raises(MiaError, match="inf"):
        parity.check(nan, "x")


@pytest.mark.parametrize("name", ["onnx", "pt2"])
def test_an_export_that_says_something_else_is_refused(model, exported, tmp_path, monkeypatch, name: str) -> None:
    _, other = load_model(model)
    with torch.no_grad():
        other.get_submodule("segmentation_head")[0].bias[0] += 0.01
    module = FORMATS[name].load()
    monkeypatch.setattr(module, "outputs", lambda path: parity.outputs_of(other))
    monkeypatch.setattr(module, "write", lambda source, target: shutil.copyfile(exported[name], target))
    there = tmp_path / f"there{FORMATS[name].suffix}"
    there.write_text("kept")
    with pytest.raises(MiaError, match=r"was not written.* 0\.01 "):
        export_model(model, there, name)
    assert list(tmp_path.iterdir()) == [there]
    assert there.read_text() == "kept"


# ---- bad files -------------------------------------------------------------------------------------------------------


def test_damaged_files_are_named_and_leave_nothing(exported, tmp_path) -> None:
    models = tmp_path / "models"
    for name, path in exported.items():
        damaged = tmp_path / path.name
        damaged.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(MiaError, match=path.name):
            import_model(damaged, models, name)
        damaged.write_text("<!DOCTYPE html><html>Sign in</html>")
        with pytest.raises(MiaError, match=path.name):
            import_model(damaged, models, name)
    assert not models.exists() or not list(models.iterdir())


def test_weights_damaged_inside_a_zip_are_found(exported, tmp_path) -> None:
    with zipfile.ZipFile(exported["safetensors"]) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["model.safetensors"] = parts["model.safetensors"][:5000]
    with zipfile.ZipFile(tmp_path / "cut.zip", "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(MiaError, match=r"cut\.zip is damaged"):
        import_model(tmp_path / "cut.zip", tmp_path / "models", "x")


def test_networks_of_others_are_refused_with_what_is_missing(tmp_path) -> None:
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Relu", ["a"], ["b"])
    shape = ["n", 1, "h", "w"]
    graph = onnx.helper.make_graph([node], "g", [value("a", 1, shape)], [value("b", 1, shape)])
    onnx.save(onnx.helper.make_model(graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 18)]),
              tmp_path / "foreign.onnx")  # fmt: skip
    program = torch.export.export(torch.nn.ReLU(), (torch.zeros(2, 3),))
    torch.export.save(program, str(tmp_path / "foreign.pt2"))
    for name in ("foreign.onnx", "foreign.pt2"):
        with pytest.raises(MiaError, match=rf"{name} holds a network but no card .*normalisation"):
            import_model(tmp_path / name, tmp_path / "models", "x")
    for name, inside in (("a.zip", "readme.txt"), ("b.zip", "rdf.yaml")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(inside, "x")
        with pytest.raises(MiaError, match=name):
            import_model(tmp_path / name, tmp_path / "models", "x")


def test_a_card_that_does_not_fit_its_graph_is_found(exported, tmp_path) -> None:
    proto = onnx.load(exported["onnx"])
    wrong = {**VALUES, "network": {**VALUES["network"], "in_channels": 3}}
    onnx.helper.set_model_props(proto, {CARD: json.dumps(wrong)})
    onnx.save(proto, tmp_path / "wrong.onnx")
    with pytest.raises(MiaError, match=r"1 input channels, its card says 3"):
        import_model(tmp_path / "wrong.onnx", tmp_path / "models", "x")
    assert not list((tmp_path / "models").iterdir())


def test_names_and_kinds_are_checked_first(model, exported, tmp_path) -> None:
    import_model(exported["safetensors"], tmp_path, "taken")
    for name, reason in (("taken", "already"), ("a/b", "cannot be the name"), ("..", "cannot be"), ("", "cannot be")):
        with pytest.raises(MiaError, match=reason):
            import_model(exported["safetensors"], tmp_path, name)
    (tmp_path / "net.h5").write_bytes(b"x")
    for source, reason in (
        ("net.h5", r"\.bioimageio\.zip, \.onnx"),
        ("none.onnx", "not there"),
        (".", "no model folder"),
    ):
        with pytest.raises(MiaError, match=reason):
            import_model(tmp_path / source, tmp_path, "x")
    with pytest.raises(MiaError, match="safetensors, onnx, pt2, bioimageio"):
        export_model(model, tmp_path / "m.h5", "keras")
    with pytest.raises(MiaError, match="is a folder"):
        export_model(model, tmp_path, "safetensors")
    with pytest.raises(MiaError, match=r"should end in \.zip"):
        export_model(model, tmp_path / "m.safetensors", "safetensors")
    assert [default_name(Path(n)) for n in ("a.b.onnx", "a.bioimageio.zip", "a.zip", "dir")] == ["a.b", "a", "a", "dir"]


# ---- bioimage.io -----------------------------------------------------------------------------------------------------


def test_the_package_says_how_its_test_output_comes_about(exported, tmp_path) -> None:
    """Follow the description with NumPy and ONNX Runtime alone."""
    yaml = pytest.importorskip("ruyaml", reason="bioimageio.spec is not installed")
    with zipfile.ZipFile(exported["bioimageio"]) as archive:
        archive.extractall(tmp_path)
    described = yaml.YAML(typ="safe").load((tmp_path / "rdf.yaml").read_text())
    [into], [out] = described["inputs"], described["outputs"]
    [stretch] = [step["kwargs"] for step in into["preprocessing"] if step["id"] == "scale_range"]
    assert stretch["axes"] == ["y", "x"]
    raw = np.load(tmp_path / into["test_tensor"]["source"])
    low, high = np.percentile(raw, [stretch["min_percentile"], stretch["max_percentile"]], axis=(2, 3), keepdims=True)
    values = np.clip((raw - low) / (high - low), 0, 1).astype(np.float32)
    session = onnxruntime.InferenceSession(str(tmp_path / described["weights"]["onnx"]["source"]))
    [logits] = session.run(None, {"input": values})
    powers = np.exp(logits - logits.max(1, keepdims=True))
    assert out["postprocessing"][0]["id"] == "softmax"
    expected = np.load(tmp_path / out["test_tensor"]["source"])
    np.testing.assert_allclose(powers / powers.sum(1, keepdims=True), expected, atol=1e-5)
    assert expected.shape == (1, 3, *raw.shape[2:])
    assert out["axes"][1]["channel_names"] == ["background", "cell", "border"]
    assert {axis["scale"] for axis in into["axes"] if axis["type"] == "space"} == {0.65}
    assert described["authors"] == [{"name": "A. Person"}]
    assert described["license"] == "CC-BY-4.0"


def test_bioimageio_core_passes_the_package(exported) -> None:
    core = pytest.importorskip("bioimageio.core", reason="bioimageio.core is not installed (pip install --no-deps)")
    summary = core.test_description(exported["bioimageio"], determinism="seed_only")
    problems = [(detail.name, detail.errors) for detail in summary.details if detail.errors]
    assert summary.status == "passed", problems
    formats = {name for name in ("onnx", "pytorch_state_dict") for d in summary.details if f"({name})" in d.name}
    assert formats == {"onnx", "pytorch_state_dict"}


def test_the_package_is_valid_without_running_it(exported) -> None:
    spec = pytest.importorskip("bioimageio.spec")
    described = spec.load_description(exported["bioimageio"])
    assert isinstance(described, spec.ModelDescr), described.validation_summary


# ---- ONNX Runtime as predictor ---------------------------------------------------------------------------------------


def test_onnx_runtime_needs_no_torch(model) -> None:
    program = (
        "import sys, json, numpy as np; from pathlib import Path\n"
        "from mia_tui.engine.exchange.onnx_runtime import fast_network\n"
        "out = fast_network(Path(sys.argv[1]))(np.ones((1, 1, 64, 64), np.float32))\n"
        "print(json.dumps([list(out.shape), float(out.sum()), 'torch' in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(model)], capture_output=True, text=True, env=_environment(), timeout=120
    )
    shape, total, has_torch = json.loads(done.stdout)
    assert shape == [1, 3, 64, 64]
    assert total == pytest.approx(torch_outputs(model, np.ones((1, 1, 64, 64), np.float32)).sum(), rel=1e-4)
    assert not has_torch


def test_fast_prediction_says_the_same(model) -> None:
    _, quick = load_model(model, fast=True)
    slow = predict(model, image())
    tiled = Predictor(card(), quick, device="cpu").network
    bands = tiled.bands(100, 150, lambda rows, columns: image()[:, rows, columns])
    np.testing.assert_allclose(np.concatenate([band for _, band in bands], axis=1), slow, atol=1e-5)


def test_the_graph_is_made_again_for_other_weights(model, tmp_path, monkeypatch) -> None:
    shutil.copytree(model, tmp_path / "m")
    exports = []

    def cheap(of_card: ModelCard, of: torch.nn.Module):
        """The kept graph with the new bias: what an export would give, without its seconds."""
        exports.append(of)
        proto = onnx.load(model / "model.onnx")
        [bias] = [i for i in proto.graph.initializer if i.name == "segmentation_head.0.bias"]
        bias.CopyFrom(onnx.numpy_helper.from_array(of.state_dict()["segmentation_head.0.bias"].numpy(), bias.name))
        return proto

    monkeypatch.setattr(onnx_format, "_export", cheap)
    fast_network(tmp_path / "m")
    assert not exports, "the weights are those it was made from"
    changed = load_model(model)[1].state_dict()
    changed["segmentation_head.0.bias"] += 1
    save_model(tmp_path / "m", card(), changed)
    batch = np.ones((1, 1, 64, 64), np.float32)
    np.testing.assert_allclose(fast_network(tmp_path / "m")(batch), torch_outputs(tmp_path / "m", batch), atol=1e-4)
    assert len(exports) == 1
    path = tmp_path / "m" / "model.onnx"
    path.write_bytes(path.read_bytes()[:1000])
    fast_network(tmp_path / "m")
    assert len(exports) == 2, "a damaged one, too"
    assert OnnxNetwork(path).metadata[WEIGHTS] != OnnxNetwork(model / "model.onnx").metadata[WEIGHTS]


def test_onnx_runtime_gives_the_same_bits_whatever_the_batch_and_threads(model) -> None:
    tiles = np.random.default_rng(3).random((4, 1, 64, 64), np.float32)
    results = []
    for threads in (1, 2):
        net = OnnxNetwork(model / "model.onnx", threads)
        for size in (1, 2, 4):
            results.append(np.concatenate([net(tiles[i : i + size]) for i in range(0, 4, size)]))
    assert all((result == results[0]).all() for result in results)


def test_torch_gives_the_same_bits_whatever_the_batch(model) -> None:
    results = []
    for batch in (1, 2, 4):
        values = {**VALUES, "tiling": {**VALUES["tiling"], "batch": batch}}
        tiled: TiledNetwork = Predictor(ModelCard.from_json(values), load_model(model)[1], device="cpu").network
        bands = tiled.bands(64, 200, lambda rows, columns: image(64, 200)[:, rows, columns])
        results.append(np.concatenate([band for _, band in bands], axis=1))
    assert all((result == results[0]).all() for result in results)


# ---- the command line ------------------------------------------------------------------------------------------------


def test_the_command_exports_and_imports(project, exported) -> None:
    report = _call("models", project.folder, "export", "m", "--format", "onnx")
    assert report["files"] == [str(project.results_folder / "m.onnx")]
    assert report["tiles"] == 3
    assert report["max_difference"] < 1e-4
    assert report["agreement"] > 0.999
    row = _call("models", project.folder, "import", project.results_folder / "m.onnx", "--name", "back")
    assert (row["model"], row["task"], row["epochs"]) == ("back", "segmentation", 3)
    assert set(project.models()) == {"m", "back"}
    for arguments, reason in (
        (("import", project.results_folder / "m.onnx", "--name", "back"), "already"),
        (("export", "m", "--format", "keras"), "onnx, pt2"),
        (("export", "other"), "no model 'other'"),
    ):
        assert reason in _call("models", project.folder, *arguments, code=1)["error"]


def _call(*arguments: object, code: int = 0) -> dict:
    command = [sys.executable, "-m", "mia_tui.cli", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(), timeout=240)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code == 0 and "export" in arguments:
        assert "outputs differ by at most" in done.stdout
    return json.loads(done.stdout.splitlines()[-1])


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
