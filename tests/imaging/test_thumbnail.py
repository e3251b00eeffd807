"""Thumbnails: the right picture, and never more in memory than it takes."""

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from mia_tui.errors import MiaError
from mia_tui.imaging import thumbnail as module
from mia_tui.imaging.image import Image
from mia_tui.imaging.thumbnail import thumbnail
from mia_tui.project import Project


@pytest.fixture
def project(tmp_path) -> Project:
    (tmp_path / "images").mkdir()
    return Project.create(tmp_path / "project", images=tmp_path / "images")


def quarters(size, dtype=np.uint8) -> np.ndarray:
    """Black, dark grey, light grey and white quarters."""
    picture = np.zeros((size, size), dtype)
    half = size // 2
    picture[:half, half:], picture[half:, :half], picture[half:, half:] = 85, 170, 255
    return picture


def levels(picture) -> list[int]:
    """The grey levels in the middle of the four quarters."""
    high, wide = picture.shape[0] // 4, picture.shape[1] // 4
    return [int(picture[y, x, 0]) for y in (high, 3 * high) for x in (wide, 3 * wide)]


def never_whole(monkeypatch) -> None:
    """Large images may not be read whole."""
    monkeypatch.setattr(module, "WHOLE", 100_000)
    monkeypatch.setattr(Image, "plane", lambda *_: pytest.fail("the whole plane was read"))


def test_a_small_image_stays_as_it_is_and_a_large_one_becomes_small(project) -> None:
    root = project.roots["train"]
    for size in (20, 301):
        tifffile.imwrite(root / f"{size}.tif", quarters(size))
    assert thumbnail(project, project.image("20.tif"), 0, 0, 32).shape == (20, 20, 3)
    small = thumbnail(project, project.image("301.tif"), 0, 0, 32)
    assert 32 <= small.shape[0] == small.shape[1] < 64
    assert levels(small) == [0, 85, 170, 255]


def test_colours_and_planes(project) -> None:
    root = project.roots["train"]
    rgb = np.zeros((90, 120, 3), np.uint8)
    rgb[..., 1] = 200
    Pillow.fromarray(rgb).save(root / "rgb.png")
    small = thumbnail(project, project.image("rgb.png"), 0, 0, 30)
    assert small.shape == (30, 40, 3)
    assert (small == (0, 200, 0)).all()
    stack = np.stack([quarters(64, np.uint16), quarters(64, np.uint16)[::-1]])
    tifffile.imwrite(root / "t.tif", stack, imagej=True, metadata={"axes": "TYX"})
    assert levels(thumbnail(project, project.image("t.tif"), 1, 0, 32)) == [170, 255, 0, 85]


def test_a_large_uncompressed_image_is_read_by_stride(project, monkeypatch) -> None:
    never_whole(monkeypatch)
    tifffile.imwrite(project.roots["train"] / "a.tif", quarters(1000))
    small = thumbnail(project, project.image("a.tif"), 0, 0, 32)
    assert 32 <= small.shape[0] < 64
    assert levels(small) == [0, 85, 170, 255]


def test_a_pyramid_is_read_at_its_small_level(project, monkeypatch) -> None:
    never_whole(monkeypatch)
    with tifffile.TiffWriter(project.roots["train"] / "a.ome.tif", ome=True) as writer:
        options = {"tile": (64, 64), "compression": "zlib", "metadata": {"axes": "YX"}}
        writer.write(quarters(1024), subifds=2, **options)
        writer.write(quarters(256), subfiletype=1, tile=(64, 64), compression="zlib")
        writer.write(quarters(64), subfiletype=1, tile=(64, 64), compression="zlib")
    small = thumbnail(project, project.image("a.ome.tif"), 0, 0, 32)
    assert small.shape == (32, 32, 3)
    assert levels(small) == [0, 85, 170, 255]


def test_a_large_jpeg_is_decoded_small(project, monkeypatch) -> None:
    never_whole(monkeypatch)
    Pillow.fromarray(quarters(1024)).save(project.roots["train"] / "a.jpg", quality=95)
    assert np.allclose(levels(thumbnail(project, project.image("a.jpg"), 0, 0, 32)), [0, 85, 170, 255], atol=4)


def test_what_cannot_be_made_small_says_so(project, monkeypatch) -> None:
    never_whole(monkeypatch)
    monkeypatch.setattr(module, "LARGEST", 200_000)
    tifffile.imwrite(project.roots["train"] / "a.tif", quarters(1000), compression="zlib", tile=(256, 256))
    with pytest.raises(MiaError, match=r"a\.tif is too large for a thumbnail"):
        thumbnail(project, project.image("a.tif"), 0, 0, 32)
