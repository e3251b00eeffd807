"""Bad files and bad axes: an error that names the file and the way out, nothing on the terminal, no wrong numbers."""

import logging
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from mia_tui.errors import MiaError
from mia_tui.imaging.image import open_image, open_ref
from mia_tui.project import ImageRef, Project

RNG = np.random.default_rng(6)


def read_all(path):
    with open_image(path) as image:
        return [image.frame(name) for name in image.frames]


def stack(path, shape=(9, 64, 64), **options):
    data = RNG.integers(0, 60000, shape, dtype=np.uint16)
    tifffile.imwrite(path, data, **{"photometric": "minisblack", **options})
    return data


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg", "a.bmp", "a.tiff", "a.jpeg"])
def test_empty_and_foreign_files(tmp_path, name) -> None:
    path = tmp_path / name
    path.write_bytes(b"")
    with pytest.raises(MiaError, match=rf"{name} is empty \(0 bytes\)"):
        open_image(path)
    path.write_bytes(b"this is text, whatever its name says")
    with pytest.raises(MiaError, match=rf"{name} is not a .* image"):
        open_image(path)
    path.unlink()
    with pytest.raises(MiaError, match=rf"{name} does not exist"):
        open_image(path)


def test_wrong_extension(tmp_path) -> None:
    PillowImage.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.tif")
    with pytest.raises(MiaError, match=r"a\.tif is PNG inside, not TIFF\. Rename it to a\.png"):
        open_image(tmp_path / "a.tif")
    (tmp_path / "b.lif").write_bytes(b"\x70\0\0\0" + bytes(100))
    with pytest.raises(MiaError, match=r"LIF is not read here.*OME-TIFF"):
        open_image(tmp_path / "b.lif")


WRITERS = {
    "imagej.tif": {"imagej": True, "metadata": {"axes": "TYX"}},
    "own.tif": {},
    "plain.tif": {"metadata": None},
    "zlib.tif": {"compression": "zlib"},
    "pages.tif": {"metadata": None, "compression": "zlib", "rowsperstrip": 16},
    "tiles.tif": {"tile": (32, 32), "metadata": None},
    "a.ome.tif": {"ome": True, "metadata": {"axes": "TYX"}},
}


@pytest.mark.parametrize("name", list(WRITERS))
@pytest.mark.parametrize("part", [0.999, 0.7, 0.3, 0.02])
def test_truncated_tiff_never_gives_made_up_values(tmp_path, capfd, name, part) -> None:
    path = tmp_path / name
    stack(path, **WRITERS[name])
    size = path.stat().st_size
    with open(path, "r+b") as stream:
        stream.truncate(int(size * part) if part < 0.99 else size - 2000)
    with pytest.raises(MiaError, match=name.replace(".", r"\.")):
        read_all(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp"])
def test_truncated_picture(tmp_path, capfd, name) -> None:
    noise = RNG.integers(0, 255, (60, 60, 3), dtype=np.uint8)
    PillowImage.fromarray(noise).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for part in (0.6, 0.2, 0.004):
        (tmp_path / name).write_bytes(whole[: max(4, int(len(whole) * part))])
        with pytest.raises(MiaError, match=name):
            read_all(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_damaged_compressed_data(tmp_path, capfd) -> None:
    path = tmp_path / "a.tif"
    stack(path, compression="zlib")
    raw = bytearray(path.read_bytes())
    raw[3000:9000] = bytes(6000)
    path.write_bytes(raw)
    with pytest.raises(MiaError, match=r"a\.tif"):
        read_all(path)
    assert capfd.readouterr() == ("", "")


def test_no_pixels_and_pixel_types_that_are_not_read(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((8, 8), np.complex64))
    with pytest.raises(MiaError, match=r"c\.tif has pixels of type complex64"):
        open_image(tmp_path / "c.tif")
    with pytest.warns(UserWarning, match="zero-size"):
        tifffile.imwrite(tmp_path / "z.tif", np.zeros((0, 8, 8), np.uint8))
    with pytest.raises(MiaError, match=r"z\.tif"):
        open_image(tmp_path / "z.tif")
    tifffile.imwrite(tmp_path / "k.tif", np.zeros((8, 8, 4), np.uint8), photometric="separated")
    with pytest.raises(MiaError, match=r"k\.tif is in the colour space SEPARATED"):
        open_image(tmp_path / "k.tif")
    assert not logging.getLogger("tifffile").propagate


def test_zero_samples_per_pixel(tmp_path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), metadata=None)
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags["SamplesPerPixel"]
    raw = bytearray(path.read_bytes())
    raw[tag.valueoffset : tag.valueoffset + 2] = struct.pack("<H", 0)
    path.write_bytes(raw)
    with pytest.raises(MiaError, match=r"a\.tif has no channels"):
        open_image(path)


def test_ome_planes_in_missing_files_are_an_error_not_zeros(tmp_path, capfd) -> None:
    data = stack(tmp_path / "a.ome.tif", (3, 16, 16), ome=True, metadata={"axes": "TYX"})
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        xml = file.ome_metadata
    head, _, tail = xml.partition("<TiffData")
    tail = tail[tail.index(">") + 1 :]
    first = '<TiffData IFD="0" FirstT="0" PlaneCount="3"/>'
    assert 'SizeT="3"' in head
    longer = (head.replace('SizeT="3"', 'SizeT="5"') + first + tail).replace("</TiffData>", "")
    tifffile.imwrite(tmp_path / "b.ome.tif", data, description=longer, metadata=None, photometric="minisblack")
    with open_image(tmp_path / "b.ome.tif") as image:
        assert image.info.sizes[0] == 5
        assert any("2 of 5 planes are missing" in warning for warning in image.info.warnings)
        np.testing.assert_array_equal(image.plane(2)[0], data[2])
        with pytest.raises(MiaError, match=r"b\.ome\.tif: plane 3 is missing"):
            image.plane(3)
    assert capfd.readouterr() == ("", "")


# ---- axes -----------------------------------------------------------------------------------------------------------


def test_override(tmp_path) -> None:
    data = stack(tmp_path / "a.tif", (6, 20, 30))
    with open_image(tmp_path / "a.tif", "zyx") as image:
        assert (image.info.axes, image.info.axes_source) == ("ZYX", "override")
        assert image.info.sizes == (1, 1, 6, 20, 30)
        np.testing.assert_array_equal(image.plane(0, 4)[0], data[4])
    with open_image(tmp_path / "a.tif", "CYX") as image:
        np.testing.assert_array_equal(image.plane(), data)
    with open_image(tmp_path / "a.tif", "YXT") as image:  # even when rows are pages
        assert image.info.sizes == (30, 1, 1, 6, 20)
        np.testing.assert_array_equal(image.plane(7)[0], data[:, :, 7])


@pytest.mark.parametrize(
    ("axes", "reason"),
    [
        ("ABYX", "letter 'A'"),
        ("TZYX", "4 letters, but the image has 3 dimensions: 6x20x30"),
        ("YX", "2 letters"),
        ("TTYX", "every letter once"),
        ("TZC", "must name Y and X"),
        ("SYX", "S is 3 or 4 colour samples, this dimension has 6"),
    ],
)
def test_bad_override(tmp_path, axes, reason) -> None:
    stack(tmp_path / "a.tif", (6, 20, 30))
    with pytest.raises(MiaError, match=reason) as error:
        open_image(tmp_path / "a.tif", axes)
    assert "a.tif" in str(error.value)


def test_unclear_axes_ask_for_an_override(tmp_path) -> None:
    data = stack(tmp_path / "a.tif", (2, 5, 20, 30))
    with pytest.raises(MiaError, match=r"a\.tif: the file calls its dimensions QQYX \(2x5x20x30\).*\[axes\].*CZYX"):
        open_image(tmp_path / "a.tif")
    with open_image(tmp_path / "a.tif", "TCYX") as image:
        np.testing.assert_array_equal(image.plane(1), data[1])


def test_project_settings_win_over_the_file(tmp_path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    stack(images / "a.tif", (4, 20, 30), imagej=True, metadata={"axes": "TYX", "unit": "um"}, resolution=(2, 2))
    project = Project.create(tmp_path / "p", images=images)
    ref = project.image("a.tif")
    with open_ref(project, ref) as image:
        assert image.info.pixel_size == (0.5, 0.5)
    changed = Project(**{**vars(project), "axes": {"a.tif": "ZYX"}, "pixel_size": 0.1, "frame_interval": 7.0})
    with open_ref(changed, ref) as image:
        assert image.info.sizes == (1, 1, 4, 20, 30)
        assert (image.info.pixel_size, image.info.frame_interval) == ((0.1, 0.1), 7.0)


def test_what_is_out_of_range_is_said(tmp_path) -> None:
    stack(tmp_path / "a.tif", (4, 20, 30))
    with open_image(tmp_path / "a.tif") as image:
        for t, z in ((4, 0), (-1, 0), (0, 1)):
            with pytest.raises(MiaError, match=f"no t={t}, z={z}"):
                image.plane(t, z)
        with pytest.raises(MiaError, match="no channel 1"):
            image.channel(0, 1, 0)
    with pytest.raises(MiaError, match="was closed"):
        image.plane()


# ---- folders --------------------------------------------------------------------------------------------------------


def movie(folder, count=12, shape=(20, 30)):
    folder.mkdir()
    frames = RNG.integers(0, 255, (count, *shape), dtype=np.uint8)
    for i, frame in enumerate(frames):
        PillowImage.fromarray(frame).save(folder / f"t{i}.png")
    return frames


def test_folder_in_natural_order(tmp_path) -> None:
    frames = movie(tmp_path / "m")
    (tmp_path / "m" / "notes.txt").write_text("not an image")
    with open_image(tmp_path / "m") as image:
        assert (image.info.axes, image.info.shape) == ("TYX", (12, 20, 30))
        np.testing.assert_array_equal(image.plane(10)[0], frames[10])
    with open_image(tmp_path / "m", "ZYX") as image:
        np.testing.assert_array_equal(image.plane(0, 10)[0], frames[10])


def test_folder_names_the_first_frame_that_differs(tmp_path) -> None:
    movie(tmp_path / "m")
    PillowImage.new("L", (31, 20)).save(tmp_path / "m" / "t7.png")
    PillowImage.new("L", (9, 9)).save(tmp_path / "m" / "t9.png")
    with pytest.raises(MiaError, match=r"t7\.png is YX 20x31 uint8, but the first frame .* t0\.png, is YX 20x30 uint8"):
        open_image(tmp_path / "m")
    PillowImage.new("I;16", (30, 20)).save(tmp_path / "m" / "t7.png")
    with pytest.raises(MiaError, match=r"t7\.png is YX 20x30 uint16"):
        open_image(tmp_path / "m")
    (tmp_path / "m" / "t3.png").write_bytes(b"")
    with pytest.raises(MiaError, match=r"t3\.png is empty"):
        open_image(tmp_path / "m")


def test_folder_without_images_and_folder_of_stacks(tmp_path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(MiaError, match="has no images in it"):
        open_image(tmp_path / "none")
    (tmp_path / "stacks").mkdir()
    data = stack(tmp_path / "stacks" / "a.tif", (5, 20, 30))
    with pytest.raises(MiaError, match=r"its files are stacks \(TYX, 5x20x30\)"):
        open_image(tmp_path / "stacks")
    with open_image(tmp_path / "stacks", "TZYX") as image:
        np.testing.assert_array_equal(image.plane(0, 3)[0], data[3])


def test_series_of_a_project(tmp_path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    movie(images / "m", 6)
    project = Project.create(tmp_path / "p", images=images, series=["m"])
    assert project.images() == [ImageRef("m", images / "m", "train")]
    with open_ref(project, project.images()[0]) as image:
        assert image.info.sizes == (6, 1, 1, 20, 30)
