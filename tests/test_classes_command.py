"""`mia-tui classes`, the twin of the screen of classes; project.toml and the label files say what happened."""

import json

import pytest
import shapely

from mia_tui.cli import main
from mia_tui.labeling.image_class import image_class
from mia_tui.labeling.objects import LabelObject
from mia_tui.labeling.store import open_labels, read_frame
from mia_tui.project import Project


@pytest.fixture
def project(tmp_path) -> Project:
    (tmp_path / "images").mkdir()
    made = Project.create(tmp_path / "project", images=tmp_path / "images", classes=["cell", "debris"])
    with open_labels(made, "a.tif", "image", 20, 30) as store:
        store.edit("two", add=[LabelObject(i, shapely.box(i, 1, i + 3, 4), "cell") for i in (1, 2)])
    return made


@pytest.fixture
def classes(project, monkeypatch, capsys):
    """Runs `mia-tui classes PROJECT ...`; exit code, and the JSON of its last line."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["mia-tui", "classes", str(project.folder), *arguments, "--json"])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


def names(project):
    return [c.name for c in Project.load(project.folder).classes]


def test_list_counts_labels_and_names_unknown_classes(project, classes) -> None:
    with open_labels(project, "a.tif", "image", 20, 30) as store:
        store.edit("ghost", add=[LabelObject(3, shapely.box(9, 9, 12, 12), "ghost")])
    code, found = classes()
    assert code == 0
    assert [(row["name"], row["key"], row["objects"], row["frames"]) for row in found["classes"]] == [
        ("cell", "1", 2, 1),
        ("debris", "2", 0, 0),
    ]
    assert found["unknown"] == {"ghost": 1}
    assert classes("rename", "ghost", "cell")[1]["classes"][0]["objects"] == 3


def test_add_rename_recolor_key_and_move(project, classes) -> None:
    assert classes("add", "mito", "--color", "#00ff00", "--key", "5")[0] == 0
    assert classes("rename", "cell", "nucleus")[0] == 0
    assert classes("recolor", "debris", "#123456")[0] == 0
    assert classes("key", "debris", "0")[0] == 0
    assert classes("move", "mito", "1")[0] == 0
    made = Project.load(project.folder).classes
    assert [(c.name, c.color, c.key) for c in made] == [
        ("mito", "#00FF00", "5"),
        ("nucleus", "#56B4E9", "1"),
        ("debris", "#123456", "0"),
    ]
    frame = read_frame(project.labels_path("a.tif", "image"))
    assert [item.label_class for item in frame.objects.values()] == ["nucleus", "nucleus"]


def test_remove_wants_to_know_what_becomes_of_labels(project, classes) -> None:
    code, found = classes("remove", "cell")
    assert code == 1
    assert "2 labels on 1 frames" in found["error"]
    assert "--give-to" in found["error"]
    assert "--delete-labels" in found["error"]
    assert classes("remove", "cell", "--give-to", "nothing")[0] == 1
    assert names(project) == ["cell", "debris"]
    assert classes("remove", "cell", "--give-to", "debris")[1]["classes"][0]["objects"] == 2
    assert names(project) == ["debris"]


def test_whole_images_get_a_class(project, monkeypatch, capsys) -> None:
    from PIL import Image

    for key in ("a/1.png", "a/2.png", "b/3.png"):
        path = project.roots["train"] / key
        path.parent.mkdir(exist_ok=True)
        Image.new("L", (30, 20)).save(path)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["mia-tui", "classify", str(project.folder), *arguments, "--json"])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, json.loads(capsys.readouterr().out.splitlines()[-1])

    def on_disk():
        frames = [read_frame(project.labels_path(key, "image")) for key in ("a/1.png", "a/2.png", "b/3.png")]
        return [None if frame is None else image_class(frame) for frame in frames]

    assert run("debris", "--images", "a/2.png")[0] == 0
    code, found = run("cell", "--images", "a/")
    assert (code, found["done"], found["skipped"]) == (0, [["a/1.png", "image"]], [["a/2.png", "image"]])
    assert on_disk() == ["cell", "debris", None]
    assert run("cell", "--replace")[0] == 0
    assert on_disk() == ["cell", "cell", "cell"]
    assert run("cell", "--images", "c")[0] == 1
    assert run("ghost")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["paint"], 2, "'paint' is none of list, add"),
        (["rename", "cell"], 2, "needs the class and its new name"),
        (["add", "cell"], 1, "a class 'cell' already"),
        (["recolor", "cell", "red"], 1, "is no colour"),
        (["move", "cell", "first"], 1, "a number from 1 to 2"),
        (["remove", "ghost"], 1, "no class 'ghost'"),
    ],
)
def test_what_is_wrong_is_said(project, classes, arguments, code, words) -> None:
    found = classes(*arguments)
    assert found[0] == code
    assert words in found[1]["error"]
    assert names(project) == ["cell", "debris"]
