"""Masks in and out."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from scipy import ndimage
from shapely.geometry import box

from mia_tui.errors import MiaError
from mia_tui.formats import FORMATS, load
from mia_tui.formats.mask_kind import MaskStats, guess_kind
from mia_tui.formats.masks import export_masks, import_masks
from mia_tui.labeling.objects import FrameLabels, LabelObject
from mia_tui.labeling.raster import area_mask, label_image
from mia_tui.labeling.store import FrameStore, open_labels, read_frame, write_frame
from mia_tui.project import Project

DATA = Path(os.environ.get("MIA_TUI_DATA", Path(__file__).parents[3] / "shared" / "data"))
H, W = 48, 64


def save(path, array, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Picture.fromarray(array).save(path)
    else:
        tifffile.imwrite(path, array, **more)


def blobs(seed=0, share=0.72, shape=(H, W)):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 2)
    return noise > np.quantile(noise, share)


EIGHT = np.ones((3, 3))


def instances(seed=0, shape=(H, W)):
    """Objects with holes, touching ones and one in two parts, ids with gaps."""
    labels = ndimage.label(blobs(seed, 0.6, shape), EIGHT)[0].astype(np.uint16) * 3
    labels[:, shape[1] // 2 :][labels[:, shape[1] // 2 :] > 0] += 400
    return labels


def class_mask(seed=0):
    return blobs(seed).astype(np.uint8) + 2 * (blobs(seed + 50, 0.9) & ~blobs(seed)).astype(np.uint8)


@pytest.fixture
def project(tmp_path):
    for name in ("a.png", "sub/b.png"):
        save(tmp_path / "images" / name, np.zeros((H, W), np.uint8))
    return Project.create(tmp_path / "project", images=tmp_path / "images", classes=["cell"])


@pytest.fixture
def masks(tmp_path):
    return tmp_path / "masks"


def frame(project, key, name="image"):
    return read_frame(project.labels_path(key, name))


def exported(project, tmp_path, **how):
    report = export_masks(project, tmp_path / "out", **how)
    assert report.problems == []
    return {Path(p).relative_to(tmp_path / "out").as_posix(): tifffile.imread(p) for p in report.files}


def everything(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ---- round trips -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "suffix"),
    [
        ("uint16", ".tif"),
        ("uint32", ".tif"),
        ("int32", ".tiff"),
        ("float32", ".tif"),
        ("uint16", ".png"),
        ("int64", ".tif"),
    ],
)
def test_instance_masks_of_every_type_come_back_bit_for_bit(project, masks, tmp_path, dtype, suffix):
    save(masks / f"a{suffix}", instances(1).astype(dtype))
    save(masks / f"sub/b{suffix}", instances(2).astype(dtype))
    report = import_masks(project, masks)
    assert (report.kind, report.problems, report.unpaired_images, report.unpaired_files) == ("instance", [], [], [])
    assert report.frames == ["a.png image", "sub/b.png image"]
    assert {item.source for item in frame(project, "a.png").objects.values()} == {"imported"}
    out = exported(project, tmp_path)
    assert (out["a.png.tif"] == instances(1)).all()
    assert (out["sub/b.png.tif"] == instances(2)).all()
    assert out["a.png.tif"].dtype == np.uint16


def test_what_was_exported_can_be_imported(project, masks, tmp_path):
    save(masks / "a.tif", instances(1))
    save(masks / "sub" / "b.tif", instances(2))
    import_masks(project, masks)
    first = exported(project, tmp_path)
    other = Project.create(tmp_path / "other", images=tmp_path / "images")
    assert import_masks(other, tmp_path / "out").problems == []
    again = export_masks(other, tmp_path / "out2")
    assert all(
        (tifffile.imread(p) == first[Path(p).relative_to(tmp_path / "out2").as_posix()]).all() for p in again.files
    )


def test_class_masks_come_back_bit_for_bit_and_bring_their_classes(project, masks, tmp_path):
    mask = class_mask(3)
    save(masks / "a.png", mask)
    report = import_masks(project, masks)
    assert (report.kind, report.new_classes) == ("class", ["class 2"])
    assert [entry.name for entry in Project.load(project.folder).classes] == ["cell", "class 2"]
    found = frame(project, "a.png").objects.values()
    for number, name in ((1, "cell"), (2, "class 2")):
        pieces = ndimage.label(mask == number, EIGHT)[1]
        assert sum(item.label_class == name for item in found) == pieces
    assert (exported(report.project, tmp_path, kind="class")["a.png.tif"] == mask).all()


@pytest.mark.parametrize(
    ("white", "dtype"), [(255, "uint8"), (1, "uint8"), (65_535, "uint16"), (1, "bool"), (1, "float32")]
)
def test_binary_masks_are_pieces_of_the_first_class(project, masks, tmp_path, white, dtype):
    mask = blobs(4)
    save(masks / "a.tif", (mask * white).astype(dtype))
    report = import_masks(project, masks)
    assert report.kind == "binary"
    assert report.objects == ndimage.label(mask, EIGHT)[1]
    out = exported(project, tmp_path, kind="class")["a.png.tif"]
    assert (out == mask).all()
    assert out.dtype == np.uint8


def test_a_black_and_white_png_is_binary(project, masks):
    masks.mkdir()
    Picture.fromarray(blobs(4)).save(masks / "a.png")
    assert import_masks(project, masks).kind == "binary"
    assert (label_image(frame(project, "a.png").objects.values(), (H, W)) > 0).tolist() == blobs(4).tolist()


def test_a_palette_png_means_its_indices(project, masks):
    picture = Picture.fromarray(class_mask(3), mode="P")
    picture.putpalette([0, 0, 0, 200, 10, 10, 10, 200, 10] + [0] * 759)
    masks.mkdir()
    picture.save(masks / "a.png")
    report = import_masks(project, masks)
    assert (report.kind, report.problems) == ("class", [])


def test_a_grey_picture_saved_as_rgb_is_read_and_a_coloured_one_named(project, masks):
    save(masks / "a.png", np.repeat((blobs(1) * np.uint8(255))[..., None], 3, axis=2))
    coloured = np.zeros((H, W, 3), np.uint8)
    coloured[5:9, 5:9] = (200, 0, 0)
    save(masks / "sub/b.png", coloured)
    report = import_masks(project, masks)
    assert (report.kind, report.frames) == ("binary", ["a.png image"])
    assert len(report.problems) == 1
    assert "sub/b.png is a colour picture" in report.problems[0]


def test_large_ids_take_32_bits(project, masks, tmp_path):
    mask = np.zeros((H, W), np.uint32)
    mask[3:9, 3:9], mask[20:30, 20:30] = 70_000, 4_000_000_000
    save(masks / "a.tif", mask)
    import_masks(project, masks)
    out = exported(project, tmp_path)["a.png.tif"]
    assert out.dtype == np.uint32
    assert (out == mask).all()


def test_an_empty_mask_is_an_annotated_frame_without_objects(project, masks, tmp_path):
    save(masks / "a.tif", np.zeros((H, W), np.uint8))
    report = import_masks(project, masks)
    assert (report.reason, report.frames, report.objects) == ("all masks are empty", ["a.png image"], 0)
    assert frame(project, "a.png").objects == {}
    assert not exported(project, tmp_path)["a.png.tif"].any()


# ---- what the values mean --------------------------------------------------------------------------------------------


def stats_of(*planes):
    stats = MaskStats()
    for plane in planes:
        stats.add(np.asarray(plane))
    return stats


def test_the_guess_and_its_reason():
    assert guess_kind(stats_of(instances()), 1).kind == "instance"
    assert "pieces per value" in guess_kind(stats_of(instances()), 1).reason
    assert guess_kind(stats_of(class_mask()), 1).kind == "class"
    assert guess_kind(stats_of(blobs() * 255), 1).kind == "binary"
    # A few objects of their own values are objects, even with several classes in the project.
    few = np.zeros((20, 20), int)
    few[2:5, 2:5], few[8:12, 8:12] = 1, 2
    assert guess_kind(stats_of(few), 2).kind == "instance"
    # The value of a class alone.
    assert guess_kind(stats_of(blobs() * 2), 2).kind == "class"
    assert guess_kind(stats_of(blobs() * 2), 1).kind == "binary"


@pytest.mark.parametrize("kind", ["binary", "class", "instance"])
def test_the_kind_can_be_forced(project, masks, kind):
    mask = class_mask(3)
    save(masks / "a.png", mask)
    report = import_masks(project, masks, kind=kind)
    expected = {
        "binary": ndimage.label(mask > 0, EIGHT)[1],
        "class": sum(ndimage.label(mask == value, EIGHT)[1] for value in (1, 2)),
        "instance": 2,
    }
    assert (report.kind, report.reason, report.objects) == (kind, "asked for", expected[kind])


def test_one_decision_holds_for_the_whole_set(project, masks):
    """A file with one piece per class alone would look like objects."""
    single = np.zeros((H, W), np.uint8)
    single[2:6, 2:6], single[20:30, 20:30] = 1, 2
    save(masks / "a.png", single)
    save(masks / "sub/b.png", class_mask(3))
    import_masks(project, masks)
    assert [item.label_class for item in frame(project, "a.png").objects.values()] == ["cell", "class 2"]


def test_masks_of_the_original_mia_have_255_as_background(project, masks):
    mask = class_mask(3)
    save(masks / "a.png", np.where(mask == 0, 255, mask).astype(np.uint8))
    report = import_masks(project, masks)
    assert (report.kind, report.problems) == ("class", [])
    assert "255 is background" in report.reason
    labels = frame(project, "a.png")
    assert labels.areas == ()
    assert ((label_image(labels.objects.values(), (H, W)) > 0) == (mask > 0)).all()


def test_in_masks_of_the_original_mia_0_is_not_annotated(project, masks):
    mask = np.where(class_mask(3) == 0, 255, class_mask(3)).astype(np.uint8)
    mask[:, 50:] = 0
    save(masks / "a.png", mask)
    report = import_masks(project, masks)
    assert "0 is not annotated" in report.reason
    labels = frame(project, "a.png")
    assert (area_mask(labels) == (mask != 0)).all()
    assert ((label_image(labels.objects.values(), (H, W)) > 0) == ((mask == 1) | (mask == 2))).all()


def test_a_mask_whose_255_may_mean_two_things_is_not_guessed(project, masks):
    """Insides 255, rims 1: read as MIA's it would be inverted."""
    inside = blobs(3)
    mask = np.where(inside, 255, ndimage.binary_dilation(inside)).astype(np.uint8)
    save(masks / "a.png", mask)
    with pytest.raises(MiaError, match=r"255 may be background.*kind"):
        import_masks(project, masks)
    assert frame(project, "a.png") is None
    assert import_masks(project, masks, kind="binary").objects == ndimage.label(mask > 0, EIGHT)[1]


def test_values_that_are_neither_objects_nor_classes_are_not_guessed(project, masks):
    save(masks / "a.png", class_mask(3) * np.uint8(100))
    with pytest.raises(MiaError, match="100, 200"):
        import_masks(project, masks)
    with pytest.raises(MiaError, match=r"value 200.*up to 32"):
        import_masks(project, masks, kind="class")
    assert Project.load(project.folder).classes == project.classes


def test_the_rasters_of_the_original_mia(tmp_path):
    paths = sorted((DATA / "mia-labels" / "expected").glob("*_seg_raw.png"))
    if not paths:
        pytest.skip("no test data")
    for path in paths:
        raw = np.asarray(Picture.open(path))
        save(tmp_path / "images" / path.name, np.zeros(raw.shape, np.uint8))
    project = Project.create(tmp_path / "p", images=tmp_path / "images", classes=["nucleus", "debris"])
    report = import_masks(project, paths[0].parent, kind="class")
    assert (report.problems, len(report.frames), report.new_classes) == ([], len(paths), [])
    out = exported(project, tmp_path, kind="class")
    for path in paths:
        raw = np.asarray(Picture.open(path))
        assert (out[path.name + ".tif"] == np.where(raw == 255, 0, raw)).all()
        areas = area_mask(frame(project, path.name))
        assert (areas is None) == raw.all()
        assert areas is None or (areas == (raw != 0)).all()


# ---- which file belongs to which image -------------------------------------------------------------------------------


def test_names_are_exact_and_everything_unpaired_is_named(project, masks):
    save(masks / "a.tif", instances())
    save(masks / "b.tif", instances())  # the image is sub/b.png
    save(masks / "aa.tif", instances())
    save(masks / ".a.tif", instances())
    (masks / "notes.txt").write_text("x")
    report = import_masks(project, masks)
    assert report.frames == ["a.png image"]
    assert report.unpaired_images == ["sub/b.png"]
    assert [Path(p).name for p in report.unpaired_files] == ["aa.tif", "b.tif"]
    json.dumps(report.as_dict())


def test_several_files_of_one_name_are_a_problem_of_that_image_only(project, masks):
    save(masks / "a.tif", instances())
    save(masks / "a.png", instances().astype(np.uint8))
    save(masks / "sub/b.tif", instances())
    report = import_masks(project, masks)
    assert report.frames == ["sub/b.png image"]
    assert len(report.problems) == 1
    assert "a.png" in report.problems[0]
    assert "a.tif" in report.problems[0]
    assert report.unpaired_images == []


def test_a_file_that_fits_two_images_is_a_problem_unless_it_carries_the_whole_name(project, masks, tmp_path):
    save(tmp_path / "images" / "a.tif", np.zeros((H, W), np.uint8))
    save(masks / "a.tif", instances())
    # a.tif is exactly one image's key, minus the suffix it is the stem of both.
    report = import_masks(project, masks)
    assert report.frames == []
    assert "fits the images a.png and a.tif" in report.problems[0]
    (masks / "a.tif").rename(masks / "a.png.tif")
    assert import_masks(project, masks).frames == ["a.png image"]


def test_cellpose_names_are_taken_only_when_nothing_fits_exactly(project, masks):
    save(masks / "a_masks.tif", instances())
    report = import_masks(project, masks)
    assert report.frames == ["a.png image"]
    assert "_masks" in report.notes[0]
    save(masks / "sub/b.tif", instances())
    report = import_masks(project, masks, replace=True)
    assert report.frames == ["sub/b.png image"]
    assert [Path(p).name for p in report.unpaired_files] == ["a_masks.tif"]


def test_cellpose_masks_beside_their_images(tmp_path):
    for name in ("x", "y"):
        save(tmp_path / "images" / f"{name}.tif", np.zeros((H, W), np.uint16))
    save(tmp_path / "images" / "x_masks.tif", instances())
    project = Project.create(tmp_path / "p", images=tmp_path / "images")
    report = import_masks(project, tmp_path / "images")
    assert report.frames == ["x.tif image"]
    assert report.unpaired_images == ["y.tif"]
    assert report.unpaired_files == []


def test_nothing_that_fits_is_an_error_with_examples(project, masks):
    save(masks / "other.tif", instances())
    with pytest.raises(MiaError, match=r"other\.tif.*a\.png"):
        import_masks(project, masks)
    with pytest.raises(MiaError, match="does not exist"):
        import_masks(project, masks / "nowhere")
    with pytest.raises(MiaError, match="'predict' images"):
        import_masks(project, masks, split="predict")
    save(masks / "a.tif", instances())
    with pytest.raises(MiaError, match="unknown kind"):
        import_masks(project, masks, kind="rgb")


def test_one_file_can_be_imported(project, masks):
    save(masks / "a.tif", instances())
    assert import_masks(project, masks / "a.tif").frames == ["a.png image"]


def test_the_images_of_the_predict_root(tmp_path, masks):
    for root in ("one", "two"):
        save(tmp_path / root / "a.png", np.zeros((H, W), np.uint8))
    project = Project.create(tmp_path / "p", images=tmp_path / "one", predict_images=tmp_path / "two")
    save(masks / "a.tif", instances())
    assert import_masks(project, masks, split="predict").frames == ["@predict/a.png image"]
    assert frame(project, "a.png") is None
    out = exported(project, tmp_path)
    assert list(out) == ["@predict/a.png.tif"]
    report = export_masks(project, tmp_path / "alone", split="predict")
    assert [Path(name).name for name in report.files] == ["a.png.tif"]
    assert (tmp_path / "alone" / "a.png.tif").exists(), "one root alone needs no prefix"
    assert import_masks(project, tmp_path / "out", split="predict", replace=True).frames == ["@predict/a.png image"]
    with pytest.raises(MiaError, match="nothing under labels"):
        export_masks(project, tmp_path / "none", split="train")


# ---- bad files -------------------------------------------------------------------------------------------------------


def test_bad_files_are_named_and_the_rest_goes_on(tmp_path, masks):
    bad = {
        "size": np.zeros((H, W + 1), np.uint8),
        "half": np.full((H, W), 0.5, np.float32),
        "nan": np.full((H, W), np.nan, np.float32),
        "minus": np.full((H, W), -1, np.int16),
        "stack": np.zeros((5, H, W), np.uint8),
    }
    for name in [*bad, "torn", "good"]:
        save(tmp_path / "images" / f"{name}.png", np.zeros((H, W), np.uint8))
    for name, array in bad.items():
        save(masks / f"{name}.tif", array)
    (masks / "torn.tif").write_bytes(b"II*\0")
    save(masks / "good.tif", instances())
    project = Project.create(tmp_path / "p", images=tmp_path / "images")
    report = import_masks(project, masks)
    assert report.frames == ["good.png image"]
    assert len(report.problems) == len(bad) + 1
    for name, reason in [
        ("size", "48 x 65, but its image size.png is 48 x 64"),
        ("half", "no whole numbers"),
        ("nan", "no whole numbers"),
        ("minus", "from -1 to -1"),
        ("stack", "frames"),
        ("torn", ""),
    ]:
        assert any(f"{name}.tif" in text and reason in text for text in report.problems), name


def test_labels_that_exist_are_left_alone_unless_asked(project, masks):
    with open_labels(project, "a.png", "image", H, W) as store:
        store.edit("draw", add=[LabelObject(1, box(0, 0, 5, 5), "cell")])
    before = everything(project.folder)
    save(masks / "a.tif", instances())
    report = import_masks(project, masks)
    assert (report.frames, report.skipped, report.objects) == ([], ["a.png image"], 0)
    assert "left alone" in report.notes[0]
    assert everything(project.folder) == before
    report = import_masks(project, masks, replace=True)
    assert report.skipped == []
    assert (label_image(frame(project, "a.png").objects.values(), (H, W)) == instances()).all()
    with open_labels(project, "a.png", "image", H, W) as store:
        assert store.undo() == "import a.tif"
        assert [item.source for item in store.frame.objects.values()] == ["manual"]


def test_a_frame_being_edited_is_a_problem(project, masks):
    save(masks / "a.tif", instances(1))
    save(masks / "sub/b.tif", instances(2))
    with open_labels(project, "a.png", "image", H, W):
        report = import_masks(project, masks)
    assert report.frames == ["sub/b.png image"]
    assert "being edited" in report.problems[0]


# ---- stacks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("axes", "shape"), [("TYX", (3,)), ("ZYX", (4,)), ("TZYX", (2, 3))])
def test_stacks_come_back_bit_for_bit_with_their_axes(tmp_path, masks, axes, shape):
    save(tmp_path / "images" / "s.tif", np.zeros((*shape, H, W), np.uint16), imagej=True, metadata={"axes": axes})
    stack = np.stack([instances(i) for i in range(int(np.prod(shape)))]).reshape(*shape, H, W)
    save(masks / "s.tif", stack, imagej=True, metadata={"axes": axes})
    project = Project.create(tmp_path / "p", images=tmp_path / "images")
    report = import_masks(project, masks)
    assert (report.problems, len(report.frames)) == ([], int(np.prod(shape)))
    out = export_masks(project, tmp_path / "out")
    with tifffile.TiffFile(out.files[0]) as file:
        assert file.is_imagej
        assert file.series[0].axes == axes
        assert file.pages[0].compression.name.endswith("DEFLATE")
        assert (file.asarray() == stack).all()


def test_a_plain_stack_is_matched_to_the_only_long_axis_of_its_image(tmp_path, masks):
    save(tmp_path / "images" / "s.tif", np.zeros((3, H, W), np.uint16), imagej=True, metadata={"axes": "TYX"})
    stack = np.stack([instances(i) for i in range(3)])
    save(masks / "s.tif", stack, photometric="minisblack")  # what its three planes are is not said
    project = Project.create(tmp_path / "p", images=tmp_path / "images")
    assert import_masks(project, masks).problems == []
    assert (tifffile.imread(export_masks(project, tmp_path / "out").files[0]) == stack).all()


def test_a_stack_of_another_length_is_named_with_both(tmp_path, masks):
    save(tmp_path / "images" / "s.tif", np.zeros((3, H, W), np.uint16), imagej=True, metadata={"axes": "TYX"})
    save(masks / "s.tif", np.zeros((4, H, W), np.uint16), imagej=True, metadata={"axes": "TYX"})
    project = Project.create(tmp_path / "p", images=tmp_path / "images")
    report = import_masks(project, masks)
    assert report.frames == []
    assert "4 frames" in report.problems[0]
    assert "has 3" in report.problems[0]


def test_a_folder_of_frames_takes_a_folder_or_a_stack_of_masks(tmp_path, masks):
    stack = np.stack([instances(i) for i in range(3)])
    for t in range(3):
        save(tmp_path / "images" / "movie" / f"t{t}.tif", np.zeros((H, W), np.uint8))
        save(masks / "movie" / f"mask{t}.tif", stack[t])
    save(tmp_path / "stacks" / "movie.tif", stack, imagej=True, metadata={"axes": "TYX"})
    for number, source in enumerate((masks, tmp_path / "stacks")):
        project = Project.create(tmp_path / f"p{number}", images=tmp_path / "images", series=["movie"])
        report = import_masks(project, source)
        assert (report.problems, report.unpaired_files) == ([], [])
        assert report.frames == [f"movie t000{t}z0000" for t in range(3)]
        out = export_masks(project, tmp_path / f"out{number}")
        assert [Path(p).name for p in out.files] == ["movie.tif"]
        assert (tifffile.imread(out.files[0]) == stack).all()


def test_frames_without_labels_are_0_in_an_exported_stack(tmp_path):
    save(tmp_path / "images" / "s.tif", np.zeros((3, H, W), np.uint16), imagej=True, metadata={"axes": "TYX"})
    project = Project.create(tmp_path / "p", images=tmp_path / "images")
    with open_labels(project, "s.tif", "t0001z0000", H, W) as store:
        store.edit("draw", add=[LabelObject(7, box(2, 3, 6, 9), "cell")])
    out = exported(project, tmp_path)["s.tif.tif"]
    assert out.shape == (3, H, W)
    assert [plane.sum() for plane in out] == [0, 7 * 24, 0]


# ---- export ----------------------------------------------------------------------------------------------------------


def test_predictions_are_exported_without_the_rejected_ones(project, tmp_path):
    path = project.prediction_path("net", "a.png", "image")
    objects = [LabelObject(number, box(number, 0, number + 1, 1), "cell", "predicted") for number in (1, 2, 3)]
    write_frame(path, FrameLabels.of(H, W, objects))
    with FrameStore(path, H, W) as store:
        store.reject([2])
    out = exported(project, tmp_path, source="predictions:net")["a.png.tif"]
    assert out[0, :5].tolist() == [0, 1, 0, 3, 0]


def test_what_cannot_be_seen_in_the_export_is_named(project, tmp_path):
    with open_labels(project, "a.png", "image", H, W) as store:
        small, large = LabelObject(1, box(2, 2, 4, 4), "cell"), LabelObject(2, box(0, 0, 9, 9), "cell")
        store.edit("draw", add=[small, large, replace(small, id=3, geometry=box(900, 900, 910, 910))])
    report = export_masks(project, tmp_path / "out")
    assert report.notes == ["a.png image: no pixel shows the objects 1, 3 (points, outside, or covered by others)"]


def test_an_object_of_an_unknown_class_is_a_problem_of_its_image(project, masks, tmp_path):
    save(masks / "sub" / "b.tif", instances())
    import_masks(project, masks)
    with open_labels(project, "a.png", "image", H, W) as store:
        store.edit("draw", add=[LabelObject(1, box(2, 2, 4, 4), "nerve")])
    report = export_masks(project, tmp_path / "out", kind="class")
    assert [Path(p).name for p in report.files] == ["b.png.tif"]
    assert "nerve" in report.problems[0]
    assert not (tmp_path / "out" / "a.png.tif").exists()


def test_exports_go_nowhere_near_images_and_labels(project, masks, tmp_path):
    save(masks / "a.tif", instances())
    import_masks(project, masks)
    before = everything(tmp_path)
    for dest in (
        tmp_path / "images",
        tmp_path / "images" / "sub",
        project.folder / "labels",
        tmp_path / "masks" / "a.tif",
    ):
        with pytest.raises(MiaError, match=r"not written to|is a file"):
            export_masks(project, dest)
    with pytest.raises(MiaError, match="unknown kind"):
        export_masks(project, tmp_path / "out", kind="colour")
    with pytest.raises(MiaError, match="unknown source"):
        export_masks(project, tmp_path / "out", source="tracks")
    assert everything(tmp_path) == before


def test_nothing_to_export_is_said(project, tmp_path):
    with pytest.raises(MiaError, match="nothing"):
        export_masks(project, tmp_path / "out")


def test_the_registry_has_import_and_export_of_every_format():
    for name in FORMATS:
        assert callable(load(name).import_)
        assert callable(load(name).export)
    with pytest.raises(MiaError, match=r"'xyz'.*masks"):
        load("xyz")


@pytest.mark.parametrize("name", ["dsb2018", "bbbc039", "usiigaci_phase"])
def test_real_label_images_come_back_bit_for_bit(tmp_path, name):
    source = DATA / name / "train"
    paths = sorted((source / "labels").glob("*.tif"))[::6]
    if not paths:
        pytest.skip("no test data")
    for path in paths:
        save(tmp_path / "labels" / path.name, tifffile.imread(path))
    project = Project.create(tmp_path / "p", images=source / "images", classes=["nucleus"])
    report = import_masks(project, tmp_path / "labels")
    assert (report.kind, report.problems, report.unpaired_files, len(report.frames)) == ("instance", [], [], len(paths))
    out = exported(project, tmp_path)
    for path in paths:
        key = next(key for key in out if key.startswith(path.stem + "."))
        assert (out[key] == tifffile.imread(path)).all()
