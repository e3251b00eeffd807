"""The command line as a script sees it: every command a process of its own, on one small project and a tiny network."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from typer.main import get_command

import mia_tui
from mia_tui.cli import app, main
from mia_tui.engine.predict import choose_images
from mia_tui.errors import MiaError
from mia_tui.project import Project

ROOT = Path(__file__).parents[1]
COMMANDS = (
    "doctor", "new", "info", "import", "export", "train", "runs", "predict", "evaluate", "score", "models", "measure",
    "review", "demo", "classes", "classify", "keys", "tune", "augment", "track", "motion", "crossval",
)  # fmt: skip
TINY = {
    "encoder": "tu-mobilenetv3_small_050", "decoder_channels": "16,8,8,8,8", "patch_size": 64, "batch_size": 2,
    "steps_per_epoch": 30, "epochs": 2, "learning_rate": 0.01, "ema": 0, "augmentation": "none", "validation": 0.34,
    "threads": 1, "device": "cpu",
}  # fmt: skip
"""Large enough that 60 steps find most of the disks."""

Lab = namedtuple("Lab", "folder project created imported")


def command_line(*arguments) -> list[str]:
    return [sys.executable, "-m", "mia_tui.cli", *map(str, arguments)]


def call(*arguments, code=0, seconds=180):
    """Run a command to its end."""
    done = subprocess.run(
        command_line(*arguments), cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds
    )
    said = f"{arguments}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == code, said
    assert "Traceback" not in said, said
    return done


def last_json(text):
    """The object in the last line; NaN and Infinity are no JSON."""

    def refuse(name):
        raise AssertionError(f"{name} in {text[-2000:]}")

    value = json.loads(text.splitlines()[-1], parse_constant=refuse)
    assert isinstance(value, dict)
    return value


def answer(*arguments, **options):
    """What a command says to a program."""
    return last_json(call(*arguments, "--json", **options).stdout)


def settings(**changes) -> list[str]:
    return [part for key, value in {**TINY, **changes}.items() for part in ("--set", f"{key}={value}")]


def disks(seed, size=96, count=12):
    """A noisy image of bright disks and their instance masks."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:size, :size]
    masks = np.zeros((size, size), np.uint16)
    for number in range(1, count + 1):
        y, x, radius = rng.uniform(8, size - 8), rng.uniform(8, size - 8), rng.uniform(5, 9)
        masks[((yy - y) ** 2 + (xx - x) ** 2 <= radius**2) & (masks == 0)] = number
    image = np.where(masks > 0, 900, 150) + rng.normal(0, 40, masks.shape)
    return image.clip(0).astype(np.uint16), masks


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Lab:
    """Images, their masks (one is missing, one has no image), and a project that has imported them."""
    folder = tmp_path_factory.mktemp("lab")
    for split, count, first in (("train", 4, 0), ("predict", 2, 100)):
        for part in (split, f"{split}_masks"):
            (folder / part).mkdir()
        for number in range(count):
            image, masks = disks(first + number)
            tifffile.imwrite(folder / split / f"im{number}.tif", image)
            tifffile.imwrite(folder / f"{split}_masks" / f"im{number}.tif", masks)
    (folder / "train_masks" / "im3.tif").rename(folder / "train_masks" / "other.tif")
    project = folder / "project"
    made = answer(
        "new", project, "--images", folder / "train", "--predict-images", folder / "predict", "--classes", "nucleus"
    )
    return Lab(folder, project, made, call("import", project, folder / "train_masks", "--json"))


@pytest.fixture(scope="module")
def training(lab):
    """A training in the foreground: the finished process."""
    return call("train", lab.project, "--name", "m1", *settings(), "--json")


@pytest.fixture(scope="module")
def predicted(lab, training):
    return answer("predict", lab.project, "--model", "m1", "--device", "cpu")


def copy_of(lab, tmp_path) -> Path:
    """The project as it is now, to be changed."""
    return Path(shutil.copytree(lab.project, tmp_path / "copy"))


def label_files(project) -> dict[str, list[dict]]:
    """Image -> features of its label file, read as plain GeoJSON."""
    base = project / "labels"
    return {
        path.parent.relative_to(base).as_posix(): json.loads(path.read_text())["features"]
        for path in base.rglob("*.geojson")
    }


# ---- what every command keeps to -------------------------------------------------------------------------------------


def test_version_and_help_name_what_there_is() -> None:
    assert call("--version").stdout.strip() == f"mia-tui {mia_tui.__version__}"
    text = call("--help").stdout
    assert all(f"\n  {name} " in text for name in COMMANDS), text
    assert call("train", "--help").stdout.count("--detach") == 1


def test_every_command_takes_json() -> None:
    commands = get_command(app).commands
    assert sorted(commands) == sorted(COMMANDS)
    for name, command in commands.items():
        assert any("--json" in parameter.opts for parameter in command.params), name


BAD = [
    # arguments, exit code, words of the message; P is the project, L its folder of images and masks
    (["runs", "L/nowhere"], 1, ["L/nowhere", "not a project"]),
    (["train", "P", "--set", "loss=huber"], 1, ["loss", "huber"]),
    (["augment", "P", "--set", "augment_blur=9"], 1, ["augment_blur", "5"]),
    (["augment", "P", "--out", "L/sheet.jpg"], 1, ["L/sheet.jpg", ".png"]),
    (["augment", "L/unlabelled"], 1, ["unlabelled", "no labels"]),
    (["train", "L/damaged"], 1, ["L/damaged/project.toml", "cannot be read"]),
    (["info", "L/classless"], 1, ["L/classless/project.toml", "missing entry", "classes"]),
    (["info", "L/nowhere.tif"], 1, ["L/nowhere.tif", "does not exist"]),
    (["info", "L/broken.tif"], 1, ["L/broken.tif"]),
    (["info", "L/empty"], 1, ["L/empty", "no images"]),
    (["new", "P", "--images", "L/train"], 1, ["P", "already is a project"]),
    (["new", "L/other", "--images", "L/nowhere"], 1, ["L/nowhere", "not a folder"]),
    (["new", "L/other", "--images", "L/train", "--task", "counting"], 1, ["counting", "segmentation"]),
    (["new", "L/other", "--images", "L/train", "--classes", "a,,b"], 1, ["class names"]),
    (["new", "L/other"], 2, ["--images"]),
    (["import", "P", "L/nowhere"], 1, ["L/nowhere", "does not exist"]),
    (["import", "P", "L/train_masks", "--format", "psd"], 1, ["psd", "masks", "geojson"]),
    (["import", "P", "L/train_masks", "--kind", "odd"], 1, ["odd", "instance"]),
    (["export", "P", "L/train/out"], 1, ["L/train", "not written to"]),
    (["export", "P", "L/out", "--from", "predictions:none"], 1, ["none", "mia-tui predict"]),
    (["train", "P", "--set", "epoch=3"], 1, ["epoch", "unknown setting", "epochs"]),
    (["train", "P", "--set", "epochs"], 1, ["epochs", "key=value"]),
    (["train", "P", "--set", "epochs=many", "--set", "clip=-1"], 1, ["epochs", "integer", "clip", "greater"]),
    (["train", "P", "--set", "device=tpu"], 1, ["tpu", "cpu"]),
    (["train", "P", "--config", "L/nowhere.toml"], 1, ["L/nowhere.toml", "cannot be read"]),
    (["train", "P", "--resume", "nothing"], 1, ["nothing", "no run"]),
    (["train", "P", "--resume", "a", "--name", "b"], 2, ["--resume"]),
    (["train", "L/unlabelled"], 1, ["unlabelled", "no labels", "mia-tui import"]),
    (["runs", "P", "show", "nothing"], 1, ["nothing", "no run"]),
    (["runs", "P", "show", "../project"], 1, ["no run"]),
    (["runs", "P", "start"], 2, ["start", "resume"]),
    (["runs", "P", "show"], 2, ["name of a run"]),
    (["models", "P", "show", "nothing"], 1, ["nothing", "no model"]),
    (["models", "P", "rm"], 2, ["rm NAME"]),
    (["predict", "P", "--model", "nothing"], 1, ["nothing", "no model"]),
    (["predict", "P"], 2, ["--model"]),
    (["evaluate", "P", "--model", "nothing"], 1, ["nothing", "no model"]),
    (["score", "L/nowhere", "L/train_masks"], 1, ["L/nowhere", "does not exist"]),
    (["score", "L/train_masks", "L/predict_masks", "--metric", "size"], 1, ["size", "ap"]),
    (["measure", "P", "--from", "guesses"], 1, ["guesses", "predictions:MODEL"]),
    (["measure", "P", "--out", "L/table.xls"], 1, ["L/table.xls", ".parquet"]),
    (["review", "P", "--from", "labels", "--accept", "all"], 2, ["predictions:MODEL"]),
    (["nowhere"], 2, ["nowhere", "neither a command nor a folder"]),
    (["info"], 2, ["PROJECT|IMAGE"]),
]


@pytest.fixture(scope="module")
def bad_places(lab):
    """Things that are wrong, beside the project."""
    for name in ("damaged", "classless", "empty"):
        (lab.folder / name).mkdir()
    (lab.folder / "damaged" / "project.toml").write_text('name = "x\n')
    (lab.folder / "classless" / "project.toml").write_text(
        'name = "x"\ntask = "segmentation"\nimages = {train = "."}\n'
    )
    (lab.folder / "broken.tif").write_bytes(b"II*\0 not an image")
    call("new", lab.folder / "unlabelled", "--images", lab.folder / "train")
    return lab


def fill(text, lab):
    if text == "P":
        return str(lab.project)
    return text.replace("L/", f"{lab.folder}/") if text.startswith("L/") else text


@pytest.mark.parametrize(("arguments", "code", "words"), BAD, ids=[" ".join(case[0])[:50] for case in BAD])
def test_bad_input_gets_one_clear_message(bad_places, arguments, code, words, monkeypatch, capsys) -> None:
    # in this process, forty starts of Python are saved: a traceback would be an exception other than SystemExit
    monkeypatch.setattr(sys, "argv", ["mia-tui", *(fill(part, bad_places) for part in arguments), "--json"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == code
    said = capsys.readouterr()
    for text in (said.err, last_json(said.out)["error"]):
        assert all(fill(word, bad_places) in text for word in words), text
    assert sorted(path.name for path in (bad_places.project / "runs").glob("*")) in ([], ["m1"])
    assert not (bad_places.folder / "other").exists()


def test_an_empty_folder_of_images_is_pointed_out(lab, tmp_path) -> None:
    (tmp_path / "none").mkdir()
    made = call("new", tmp_path / "p", "--images", tmp_path / "none", "--json")
    assert f"0 in {tmp_path / 'none'}: put" in made.stdout
    assert last_json(made.stdout)["images"] == {"train": 0}
    [problem] = answer("info", tmp_path / "p")["problems"]
    assert problem == {"file": str(tmp_path / "none"), "problem": "holds no images"}
    with pytest.raises(MiaError, match=f"{tmp_path / 'none'} holds no images to predict"):
        choose_images(Project.load(tmp_path / "p"), None)


def test_the_interface_needs_a_terminal(lab) -> None:
    assert "needs a terminal" in call(lab.project, code=1).stderr
    assert "usage: mia-tui [PROJECT]" in call(lab.project, "--graphics", "gold", code=2).stdout


# ---- project and labels ----------------------------------------------------------------------------------------------


def test_new_and_info_count_what_there_is(lab) -> None:
    assert lab.created == {
        "project": str(lab.project), "task": "segmentation", "images": {"train": 4, "predict": 2},
    }  # fmt: skip
    found = answer("info", lab.project)
    assert (found["kind"], found["classes"], found["images"]) == ("project", ["nucleus"], {"train": 4, "predict": 2})
    assert (found["labelled_frames"], found["axes"], found["dtypes"]) == (3, {"YX": 6}, {"uint16": 6})
    text = call("info", lab.folder / "train" / "im0.tif").stdout
    assert "96 x 96" in text
    assert "uint16" in text


def test_import_says_what_it_guessed_and_what_has_no_partner(lab) -> None:
    said = lab.imported.stdout
    assert "read as instance masks: " in said
    assert "image without a file: im3.tif" in said
    assert f"file without an image: {lab.folder}/train_masks/other.tif" in said
    report = last_json(said)
    drawn = {f"im{i}.tif": len(np.unique(disks(i)[1])) - 1 for i in range(3)}
    assert (report["kind"], report["objects"]) == ("instance", sum(drawn.values()))
    assert report["unpaired_images"] == ["im3.tif"]
    assert report["unpaired_files"] == [str(lab.folder / "train_masks" / "other.tif")]
    assert {key: len(features) for key, features in label_files(lab.project).items()} == drawn


def test_import_leaves_labels_alone_unless_told(lab, tmp_path) -> None:
    project = copy_of(lab, tmp_path)
    again = answer("import", project, lab.folder / "train_masks")
    assert (again["objects"], len(again["skipped"])) == (0, 3)
    replaced = answer("import", project, lab.folder / "train_masks", "--replace")
    assert (len(replaced["frames"]), replaced["skipped"]) == (3, [])


@pytest.mark.parametrize("kind", ["instance", "class"])
def test_exported_masks_are_the_imported_ones(lab, tmp_path, kind) -> None:
    report = answer("export", lab.project, tmp_path / "out", "--kind", kind)
    assert len(report["files"]) == 3
    for number in range(3):
        written = tifffile.imread(tmp_path / "out" / f"im{number}.tif.tif")
        truth = disks(number)[1]
        np.testing.assert_array_equal(written, truth if kind == "instance" else truth > 0)


def test_exported_geojson_is_read_back_as_the_same_objects(lab, tmp_path) -> None:
    answer("export", lab.project, tmp_path / "out", "--format", "geojson")
    answer("new", tmp_path / "p", "--images", lab.folder / "train", "--classes", "nucleus")
    report = answer("import", tmp_path / "p", tmp_path / "out", "--format", "geojson")
    old, new = label_files(lab.project), label_files(tmp_path / "p")
    assert report["objects"] == sum(map(len, old.values()))
    outlines = [
        {key: sorted(json.dumps(f["geometry"]) for f in features) for key, features in files.items()}
        for files in (old, new)
    ]
    assert outlines[0] == outlines[1]


# ---- training --------------------------------------------------------------------------------------------------------


def test_train_in_the_foreground_reports_every_epoch_and_leaves_a_model(lab, training) -> None:
    epochs = [line for line in training.stderr.splitlines() if line.startswith("epoch ")]
    assert len(epochs) == 2, training.stderr
    assert "run m1 finished" in training.stdout
    row = last_json(training.stdout)
    assert (row["run"], row["state"], row["model"]) == ("m1", "finished", "m1")
    assert (row["epoch"], row["epochs"], row["step"], row["steps"]) == (2, 2, 60, 60)
    assert row["metrics"]["ap50"] > 0.3
    status = json.loads((lab.project / "runs" / "m1" / "status.json").read_text())
    assert status["state"] == "finished"


def test_augment_draws_the_samples_and_says_what_each_switch_costs(lab, tmp_path) -> None:
    chosen = settings(augmentation="phase", augment_rotate=0)
    said = call("augment", lab.project, *chosen, "--out", tmp_path / "sheet.png", "--prices", "--json").stdout
    found = last_json(said)
    with PIL.Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size == (4 * 64 + 6, 4 * 64 + 6)
    assert (found["strengths"]["rotate"], found["strengths"]["shear"]) == (0, 5)
    row = next(line.split() for line in said.splitlines() if line.startswith("rotate"))
    assert row[:2] == ["rotate", "off"]
    assert int(row[2]) == round(found["prices"]["rotate"])


def test_models_are_listed_shown_and_removed(lab, training, tmp_path) -> None:
    project = copy_of(lab, tmp_path)
    [row] = answer("models", project)["models"]
    assert (row["model"], row["epochs"], row["network"]) == ("m1", 2, "Unet/tu-mobilenetv3_small_050")
    assert row["metrics"] == last_json(training.stdout)["metrics"]
    card = answer("models", project, "show", "m1")
    assert [c["name"] for c in card["classes"]] == ["nucleus"]
    assert card["training"]["config"]["patch_size"] == 64
    answer("models", project, "rm", "m1")
    assert answer("models", project)["models"] == []
    assert not (project / "models" / "m1").exists()
    assert (project / "runs" / "m1").exists()


def test_a_finished_run_is_neither_resumed_nor_stopped_nor_its_model_replaced(lab, training) -> None:
    assert "has finished" in call("train", lab.project, "--resume", "m1", code=1).stderr
    assert "has finished" in call("runs", lab.project, "resume", "m1", code=1).stderr
    assert "finished already" in call("runs", lab.project, "stop", "m1", code=1).stderr
    refused = call("train", lab.project, "--name", "m1", *settings(), code=1).stderr
    assert "'m1' already" in refused
    assert answer("runs", lab.project)["runs"][0]["state"] == "finished"


def start(*arguments) -> subprocess.Popen:
    return subprocess.Popen(
        command_line(*arguments), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def wait_for_line(process, beginning):
    for line in process.stderr:
        if line.startswith(beginning):
            return
    raise AssertionError(f"{beginning!r} never came; it said: {process.stdout.read()}")


def wait_for_epoch(project, run, epoch, seconds=90):
    deadline = time.monotonic() + seconds
    while (row := answer("runs", project, "show", run))["epoch"] < epoch:
        assert row["state"] in ("queued", "starting", "running"), row
        assert time.monotonic() < deadline, row
    return row


def test_a_run_is_interrupted_resumed_watched_stopped_and_removed(lab, training, tmp_path) -> None:
    project = copy_of(lab, tmp_path)
    (tmp_path / "long.toml").write_text("epochs = 5000\nsteps_per_epoch = 50\n")
    options = [*settings()[:8], "--set", "threads=1", "--set", "device=cpu", "--config", tmp_path / "long.toml"]
    foreground = start("train", project, "--name", "long", *options, "--json")
    wait_for_line(foreground, "epoch ")
    foreground.send_signal(signal.SIGINT)
    said, _ = foreground.communicate(timeout=90)
    stopped = last_json(said)
    assert (foreground.returncode, stopped["state"]) == (0, "stopped"), said
    assert stopped["model"] == "long"

    detached = answer("train", project, "--resume", "long", "--detach")
    assert detached["run"] == "long"
    try:
        running = wait_for_epoch(project, "long", stopped["epoch"] + 1)
        assert running["step"] >= stopped["step"]
        states = {row["run"]: row["state"] for row in answer("runs", project)["runs"]}
        assert states == {"long": "running", "m1": "finished"}
        watching = start("runs", project, "watch", "long", "--json")
        wait_for_line(watching, "epoch ")
        for action, word in (("resume", "it is running"), ("rm", "it is running")):
            assert word in call("runs", project, action, "long", code=1).stderr
    finally:
        end = answer("runs", project, "stop", "long")
    assert end["state"] == "stopped"
    said, _ = watching.communicate(timeout=60)
    assert (watching.returncode, last_json(said)["state"]) == (0, "stopped"), said
    answer("runs", project, "rm", "long")
    assert not (project / "runs" / "long").exists()
    assert "no run" in call("runs", project, "show", "long", code=1).stderr
    assert (project / "models" / "long" / "model.json").exists()


# ---- prediction and results ------------------------------------------------------------------------------------------


def predicted_files(lab) -> dict[str, list[dict]]:
    base = lab.project / "predictions" / "m1"
    return {
        path.parent.relative_to(base).as_posix(): json.loads(path.read_text())["features"]
        for path in base.rglob("*.geojson")
    }


def test_predict_writes_shapes_and_label_images_into_the_project(lab, predicted) -> None:
    files = predicted_files(lab)
    assert sorted(files) == ["@predict/im0.tif", "@predict/im1.tif"]
    assert predicted == {"images": 2, "frames": 2, "objects": sum(map(len, files.values())), "failed": {}}
    assert predicted["objects"] >= 8
    for key, features in files.items():
        labels = tifffile.imread(lab.project / "predictions" / "m1" / key / "image.tif")
        assert labels.shape == (96, 96)
        assert sorted(set(np.unique(labels)) - {0}) == sorted(f["properties"]["id"] for f in features)


def test_predict_out_writes_the_same_labels_beside_no_project(lab, predicted, tmp_path) -> None:
    outside = tmp_path / "deep" / "inside"
    outside.mkdir(parents=True)
    shutil.copy(lab.folder / "predict" / "im1.tif", outside / "new.tif")
    before = sorted(lab.project.rglob("*"))
    images = ("--images", "@predict/im0.tif", "--images", lab.folder / "train" / "im1.tif", "--images", tmp_path)
    found = answer("predict", lab.project, "--model", "m1", *images, "--out", tmp_path / "out", "--device", "cpu")
    assert (found["images"], found["failed"]) == (3, {})
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert written == ["deep/inside/new.tif.tif", "im0.tif.tif", "im1.tif.tif"]
    own = lab.project / "predictions" / "m1" / "@predict"
    for name, key in (("im0.tif.tif", "im0.tif"), ("deep/inside/new.tif.tif", "im1.tif")):
        labels = tifffile.imread(tmp_path / "out" / name)
        assert labels.dtype == np.uint16
        np.testing.assert_array_equal(labels, tifffile.imread(own / key / "image.tif"))
    assert sorted(lab.project.rglob("*")) == before


def test_an_image_that_fails_is_named_and_the_rest_is_predicted(lab, predicted, tmp_path) -> None:
    (tmp_path / "bad.tif").write_bytes(b"II*\0 not an image")
    arguments = ["--images", tmp_path / "bad.tif", "--images", "im0.tif", "--out", tmp_path / "out", "--device", "cpu"]
    done = call("predict", lab.project, "--model", "m1", *arguments, "--json", code=1)
    assert "failed: bad.tif: " in done.stdout
    assert "bad.tif" in last_json(done.stdout)["error"]
    assert (tmp_path / "out" / "im0.tif.tif").exists()


def test_evaluate_agrees_with_the_training_and_with_score_on_exported_files(lab, predicted, tmp_path) -> None:
    metrics = last_json(call("models", lab.project, "show", "m1", "--json").stdout)["metrics"]
    evaluated = answer("evaluate", lab.project, "--model", "m1", "--split", "val", "--device", "cpu")
    assert math.isclose(evaluated["totals"][0]["pooled"]["accuracy"], metrics["ap50"], abs_tol=1e-9)

    answer("export", lab.project, tmp_path / "out", "--from", "predictions:m1", "--split", "predict")
    scored = call("score", tmp_path / "out", lab.folder / "predict_masks", "--json")
    assert "24 true" in scored.stdout
    at_half = last_json(scored.stdout)["totals"][0]["pooled"]
    assert at_half["n_pred"] == predicted["objects"]
    assert at_half["tp"] + at_half["fn"] == 24
    assert at_half["accuracy"] == at_half["tp"] / (at_half["tp"] + at_half["fp"] + at_half["fn"]) > 0.3


def test_score_of_the_truth_is_one_and_a_missing_file_is_named(lab, tmp_path) -> None:
    truth = lab.folder / "predict_masks"
    perfect = answer("score", truth, truth)
    assert {row["pooled"]["accuracy"] for row in perfect["totals"]} == {1.0}
    (tmp_path / "few").mkdir()
    shutil.copy(truth / "im0.tif", tmp_path / "few")
    assert "im1" in call("score", tmp_path / "few", truth, code=1).stderr
    lenient = answer("score", tmp_path / "few", truth, "--allow-missing")
    assert (lenient["totals"][0]["pooled"]["tp"], lenient["totals"][0]["pooled"]["fn"]) == (12, 12)
    pixels = answer("score", truth, truth, "--metric", "classes")
    assert pixels["pooled"]["pixel_accuracy"] == 1.0


def test_measure_writes_a_row_per_object_as_csv_and_parquet(lab, predicted, tmp_path) -> None:
    import csv

    import pyarrow.parquet

    said = answer("measure", lab.project)
    assert Path(said["file"]) == lab.project / "results" / "objects-labels.csv"
    with open(said["file"], newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert (said["rows"], said["problems"], len(rows)) == (36, [], 36)
    for row in rows:
        image, masks = disks(int(row["image"][2]))
        inside = image[masks == int(row["id"])]
        assert float(row["area"]) == inside.size
        assert math.isclose(float(row["intensity_mean_c0"]), inside.mean(), rel_tol=1e-6)

    out = tmp_path / "found.parquet"
    said = answer("measure", lab.project, "--from", "predictions:m1", "--out", out)
    table = pyarrow.parquet.read_table(out)
    assert said["rows"] == table.num_rows == predicted["objects"]
    assert set(table.column_names) >= {"image", "frame", "id", "class", "area", "score"}


def test_review_accepts_what_meets_the_bound_once(lab, predicted, tmp_path) -> None:
    project = copy_of(lab, tmp_path)
    scores = [f["properties"]["score"] for features in predicted_files(lab).values() for f in features]
    bound = sorted(scores)[len(scores) // 2]
    report = answer("review", project, "--from", "predictions:m1", "--accept", f"score>={bound}")
    good = sum(score >= bound for score in scores)
    assert 0 < good < len(scores)
    assert (report["totals"]["accepted"], report["totals"]["below"]) == (good, len(scores) - good)
    labels = answer("measure", project)
    assert labels["rows"] == 36 + good
    again = answer("review", project, "--from", "predictions:m1", "--accept", "all", "--split", "predict")
    assert (again["totals"]["accepted"], again["totals"]["already"]) == (len(scores) - good, good)
    assert "no rule" in call("review", project, "--from", "predictions:m1", "--accept", "best", code=1).stderr
