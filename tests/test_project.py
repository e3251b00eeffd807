"""The project folder: what it finds, what it refuses, and what it keeps of a file a person edited."""

from pathlib import Path

import pytest

from mia_tui.errors import MiaError
from mia_tui.project import Project, frame_name, natural_key, parse_frame


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_images_are_named_by_path_in_natural_order(tmp_path) -> None:
    images = touch(
        tmp_path / "in", "t10.tif", "t2.tif", "a/t1.PNG", "a/t1.tif", "notes.txt", ".hidden/x.tif", "a/.y.tif"
    )
    project = Project.create(tmp_path / "p", images=images)
    assert [ref.key for ref in project.images()] == ["a/t1.PNG", "a/t1.tif", "t2.tif", "t10.tif"]


def test_two_roots_may_hold_files_of_one_name(tmp_path) -> None:
    project = Project.create(
        tmp_path / "p", images=touch(tmp_path / "a", "1.tif"), predict_images=touch(tmp_path / "b", "1.tif")
    )
    assert [ref.key for ref in project.images()] == ["1.tif", "@predict/1.tif"]
    assert project.image("@predict/1.tif").path == tmp_path / "b" / "1.tif"
    assert project.labels_path("1.tif", "image") != project.labels_path("@predict/1.tif", "image")


def test_nested_roots_and_own_files_are_not_counted_twice(tmp_path) -> None:
    images = touch(tmp_path / "data", "1.tif", "test/2.tif", "p/predictions/m/1.tif/image.tif", "p/results/x.png")
    project = Project.create(images / "p", images=images, predict_images=images / "test")
    assert [ref.key for ref in project.images()] == ["1.tif", "@predict/2.tif"]


def test_a_declared_series_is_one_image(tmp_path) -> None:
    images = touch(tmp_path / "in", "movie/t1.tif", "movie/t2.tif", "single.tif")
    project = Project.create(tmp_path / "p", images=images, series=["movie"])
    refs = {ref.key: ref.path for ref in project.images()}
    assert refs == {"movie": images / "movie", "single.tif": images / "single.tif"}
    assert Project.load(tmp_path / "p").series == ("movie",)


def test_saving_keeps_what_a_person_wrote(tmp_path) -> None:
    project = Project.create(tmp_path / "p", images=touch(tmp_path / "in", "1.tif"), classes=["cell"])
    path = project.folder / "project.toml"
    path.write_text("# measured on the Nikon\n" + path.read_text() + '\n[mine]\nnote = "keep"\n')
    Project.load(project.folder).with_classes(["cell", "mitosis"]).save()
    text = path.read_text()
    assert "# measured on the Nikon" in text
    assert 'note = "keep"' in text
    assert [c.name for c in Project.load(project.folder).classes] == ["cell", "mitosis"]


def test_calibration_and_axes_come_from_the_file(tmp_path) -> None:
    project = Project.create(tmp_path / "p", images=touch(tmp_path / "in", "1.tif"))
    path = project.folder / "project.toml"
    path.write_text(path.read_text() + '\n[calibration]\npixel_size = 0.5\n[axes]\n"1.tif" = "tyx"\n')
    loaded = Project.load(project.folder)
    assert (loaded.pixel_size, loaded.frame_interval, loaded.axes) == (0.5, None, {"1.tif": "TYX"})


@pytest.mark.parametrize(
    ("change", "named"),
    [(("task = ", "tusk = "), "task"), (('"segmentation"', '"sorcery"'), "sorcery"),
     (("name = ", "name "), "cannot be read"),
     (("[calibration]", "[calibration]\npixel_size = -1"), "positive")],
)  # fmt: skip
def test_a_damaged_file_is_named_with_its_fault(tmp_path, change: tuple[str, str], named: str) -> None:
    project = Project.create(tmp_path / "p", images=touch(tmp_path / "in", "1.tif"))
    path = project.folder / "project.toml"
    text = path.read_text() if "[calibration]" in path.read_text() else path.read_text() + "\n[calibration]\n"
    path.write_text(text.replace(*change))
    with pytest.raises(MiaError, match=named) as caught:
        Project.load(project.folder)
    assert "project.toml" in str(caught.value)


def test_what_cannot_be_made_is_refused_and_nothing_is_written(tmp_path) -> None:
    images = touch(tmp_path / "in", "1.tif")
    for wrong in ({"task": "magic"}, {"classes": ["a", "a"]}, {"classes": [" "]}, {"classes": ["annotated area"]},
                  {"images": tmp_path / "nowhere"}):  # fmt: skip
        with pytest.raises(MiaError):
            Project.create(tmp_path / "p", **{"images": images, **wrong})
        assert not (tmp_path / "p" / "project.toml").exists()
    Project.create(tmp_path / "p", images=images)
    with pytest.raises(MiaError, match="already is a project"):
        Project.create(tmp_path / "p", images=images)
    with pytest.raises(MiaError, match="mia-tui new"):
        Project.load(tmp_path / "nowhere")


def test_frame_names_go_there_and_back() -> None:
    assert frame_name(3, 12, single=False) == "t0003z0012"
    assert parse_frame("t0003z0012") == (3, 12)
    assert parse_frame(frame_name(0, 0, single=True)) == (0, 0)
    with pytest.raises(MiaError):
        parse_frame("frame3")


def test_natural_order() -> None:
    assert sorted(["b10", "b9", "a", "10", "9"], key=natural_key) == ["9", "10", "a", "b9", "b10"]
