"""Kinds of files: the values come back as they were written, plane by plane."""

import itertools
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from mia_tui.errors import MiaError
from mia_tui.imaging.image import Image, open_image

RNG = np.random.default_rng(5)


def bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


def noise(shape, dtype="uint16"):
    if np.dtype(dtype).kind == "f":
        return RNG.normal(0, 1000, shape).astype(dtype)
    info = np.iinfo(dtype)
    return RNG.integers(info.min, int(info.max) + 1, shape, dtype=dtype)


def whole(image: Image) -> np.ndarray:
    """Everything as TCZYX, read plane by plane."""
    times, _, depths, _, _ = image.info.sizes
    return np.stack([np.stack([image.plane(t, z) for z in range(depths)], axis=1) for t in range(times)])


# ---- TIFF -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_pixel_types_and_byte_orders(tmp_path, dtype, order) -> None:
    data = noise((3, 20, 17), dtype)
    tifffile.imwrite(tmp_path / "a.tif", data, byteorder=order, metadata={"axes": "TYX"}, photometric="minisblack")
    with open_image(tmp_path / "a.tif") as image:
        assert image.info.dtype == dtype
        found = whole(image)[:, 0, 0]
    assert found.dtype == np.dtype(dtype)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, data)


@pytest.mark.parametrize("axes", ["".join(p) + "YX" for n in range(4) for p in itertools.permutations("TCZ", n)])
def test_every_order_of_axes(tmp_path, axes) -> None:
    shape = tuple({"T": 2, "C": 3, "Z": 4, "Y": 12, "X": 15}[letter] for letter in axes)
    data = noise(shape)
    tifffile.imwrite(tmp_path / "a.tif", data, metadata={"axes": axes}, photometric="minisblack")
    order = [axes.index(letter) for letter in "TCZYX" if letter in axes]
    with open_image(tmp_path / "a.tif") as image:
        assert image.info.axes == axes
        assert image.info.axes_source == "file"
        np.testing.assert_array_equal(whole(image), data.transpose(order).reshape(image.info.sizes))
        for t, c, z in itertools.product(*(range(size) for size in image.info.sizes[:3])):
            np.testing.assert_array_equal(image.channel(t, c, z), image.plane(t, z)[c])


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {"compression": "lzw", "predictor": True},
        {"compression": "zstd"},
        {"compression": "packbits"},
        {"tile": (16, 16)},
        {"tile": (32, 16), "compression": "zlib"},
        {"rowsperstrip": 7},
        {"bigtiff": True},
        {"metadata": None},
    ],
)
def test_compressed_tiled_and_striped_stacks(tmp_path, options) -> None:
    data = noise((9, 50, 45))
    tifffile.imwrite(tmp_path / "a.tif", data, **{"photometric": "minisblack", **options})
    with open_image(tmp_path / "a.tif") as image:
        assert (image.info.axes, image.info.axes_source) == ("TYX", "guess")
        np.testing.assert_array_equal(whole(image)[:, 0, 0], data)


def test_imagej_hyperstack(tmp_path) -> None:
    data = noise((5, 3, 2, 30, 40))
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata={"axes": "TZCYX", "finterval": 2.5, "unit": "um"})
    with open_image(tmp_path / "a.tif") as image:
        assert (image.info.axes, image.info.axes_source, image.info.flavour) == ("TZCYX", "imagej", "ImageJ")
        assert image.info.sizes == (5, 2, 3, 30, 40)
        assert image.info.frame_interval == 2.5
        assert image.frames[:4] == ["t0000z0000", "t0000z0001", "t0000z0002", "t0001z0000"]
        np.testing.assert_array_equal(image.frame("t0004z0002"), data[4, 2])
        np.testing.assert_array_equal(whole(image), data.transpose(0, 2, 1, 3, 4))


def test_imagej_stack_with_a_single_directory(tmp_path) -> None:
    """Beyond 4 GB ImageJ writes one directory for the whole stack."""
    data = noise((6, 20, 30))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, imagej=True, metadata={"axes": "TYX"})
    with tifffile.TiffFile(path) as file:
        end = file.pages[0].offset + 2 + 12 * len(file.pages[0].tags)
    raw = bytearray(path.read_bytes())
    raw[end : end + 4] = bytes(4)
    path.write_bytes(raw)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 1
    with open_image(path) as image:
        assert image.info.sizes == (6, 1, 1, 20, 30)
        np.testing.assert_array_equal(whole(image)[:, 0, 0], data)


def test_ome_tiff(tmp_path) -> None:
    data = noise((2, 3, 4, 20, 30))
    metadata = {
        "axes": "TCZYX", "PhysicalSizeX": 650, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.7, "PhysicalSizeZ": 0.002,
        "PhysicalSizeZUnit": "mm", "TimeIncrement": 2, "TimeIncrementUnit": "min",
        "Channel": {"Name": ["DAPI", "GFP", "RFP"]},
    }  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", data, ome=True, metadata=metadata, photometric="minisblack")
    with open_image(tmp_path / "a.ome.tif") as image:
        info = image.info
        assert (info.axes, info.axes_source, info.flavour) == ("TCZYX", "ome", "OME-TIFF")
        assert info.pixel_size == pytest.approx((0.7, 0.65))
        assert info.z_step == pytest.approx(2.0)
        assert info.frame_interval == pytest.approx(120.0)
        assert info.channel_names == ("DAPI", "GFP", "RFP")
        np.testing.assert_array_equal(whole(image), data)


def test_ome_tiff_in_two_files(tmp_path) -> None:
    data = noise((4, 20, 30))
    planes = "".join(
        f'<TiffData IFD="{t % 2}" FirstT="{t}" PlaneCount="1"><UUID FileName="{name}.ome.tif">urn:uuid:{name}</UUID>'
        "</TiffData>"
        for t, name in enumerate("aabb")
    )
    for name, part in (("a", data[:2]), ("b", data[2:])):
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{name}">'
            '<Image ID="Image:0">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="30" SizeY="20" SizeC="1" SizeZ="1" '
            f'SizeT="4"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
        )
        path = tmp_path / f"{name}.ome.tif"
        tifffile.imwrite(path, part, description=xml, metadata=None, photometric="minisblack")
    for name in "ab":
        with open_image(tmp_path / f"{name}.ome.tif") as image, warnings.catch_warnings():
            warnings.simplefilter("error")
            assert image.info.axes == "TYX"
            np.testing.assert_array_equal(whole(image)[:, 0, 0], data)
    (tmp_path / "b.ome.tif").unlink()
    with open_image(tmp_path / "a.ome.tif") as image:
        np.testing.assert_array_equal(image.plane(1)[0], data[1])
        with pytest.raises(MiaError, match=r"a\.ome\.tif: plane 2 is missing"):
            image.plane(2)


def test_pyramid_shows_its_largest_level(tmp_path) -> None:
    data = noise((256, 320, 3), "uint8")
    for subifds, name in ((2, "sub.tif"), (0, "pages.tif")):
        with tifffile.TiffWriter(tmp_path / name) as writer:
            for level in (0, 1, 2):
                writer.write(
                    data[:: 2**level, :: 2**level],
                    tile=(64, 64), photometric="rgb", subifds=subifds if level == 0 else None,
                    subfiletype=1 if level else 0, metadata=None,
                )  # fmt: skip
        with open_image(tmp_path / name) as image:
            assert image.info.rgb
            assert image.info.sizes == (1, 3, 1, 256, 320)
            np.testing.assert_array_equal(image.plane(), data.transpose(2, 0, 1))
            assert image.frames == ["image"]


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_rgb_tiff_without_its_alpha(tmp_path, planar, alpha, dtype) -> None:
    data = noise((24, 31, 4 if alpha else 3), dtype)
    stored = data if planar == "contig" else data.transpose(2, 0, 1)
    extra = {"extrasamples": ["unassalpha"]} if alpha else {}
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar, **extra)
    with open_image(tmp_path / "a.tif") as image:
        assert image.info.rgb
        assert image.info.axes == ("YXS" if planar == "contig" else "SYX")
        assert image.info.shape == stored.shape
        assert image.info.channel_names == ("red", "green", "blue")
        np.testing.assert_array_equal(image.plane(), data[..., :3].transpose(2, 0, 1))
        np.testing.assert_array_equal(image.channel(0, 2, 0), data[..., 2])


def test_twelve_bit_and_one_bit_tiff(tmp_path) -> None:
    data = RNG.integers(0, 4096, (10, 16), dtype=np.uint16)
    bits = RNG.integers(0, 2, (10, 16)).astype(bool)
    tifffile.imwrite(tmp_path / "bits.tif", bits)
    with open_image(tmp_path / "bits.tif") as image:
        assert image.info.dtype == "bool"
        np.testing.assert_array_equal(image.plane()[0], bits)
    pixels = np.array([f"{value:012b}" for value in data.ravel()]).tolist()
    packed = int("".join(pixels), 2).to_bytes(10 * 16 * 12 // 8, "big")
    write_packed_tiff(tmp_path / "twelve.tif", packed, 16, 10, 12)
    with open_image(tmp_path / "twelve.tif") as image:
        assert image.info.dtype == "uint16"
        np.testing.assert_array_equal(image.plane()[0], data)


def write_packed_tiff(path: Path, pixels: bytes, width: int, height: int, bits: int) -> None:
    """A minimal TIFF 6.0 file by hand: one strip of packed grey samples."""
    entries = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, height)]
    entries.append((279, len(pixels)))
    directory = len(entries).to_bytes(2, "little")
    for tag, value in entries:
        directory += tag.to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little")
        directory += value.to_bytes(4, "little")
    offset = (8 + len(pixels)).to_bytes(4, "little")
    path.write_bytes(b"II*\0" + offset + pixels + directory + bytes(4))


def test_palette_tiff_gives_its_colours_and_on_request_its_indices(tmp_path) -> None:
    indices = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
    colours = RNG.integers(0, 256, (3, 256), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "p.tif", indices, photometric="palette", colormap=colours * 257, metadata=None)
    with open_image(tmp_path / "p.tif") as image:
        assert image.info.rgb
        assert image.info.sizes == (1, 3, 1, 20, 30)
        np.testing.assert_array_equal(image.plane(), colours[:, indices])
    with open_image(tmp_path / "p.tif", indices=True) as image:
        np.testing.assert_array_equal(image.plane()[0], indices)


# ---- PNG, JPEG, BMP -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P"])
def test_png_and_bmp(tmp_path, suffix, mode) -> None:
    shape = (19, 23) if mode in "1LP" else (19, 23, len(mode))
    data = noise(shape, "uint8") if mode != "1" else RNG.integers(0, 2, shape).astype(bool)
    picture = PillowImage.fromarray(data) if mode != "P" else PillowImage.fromarray(data, "L").convert("P")
    if mode == "P":
        picture.putpalette(noise((256, 3), "uint8").tobytes())
    path = tmp_path / f"a{suffix}"
    picture.save(path)
    expected = np.asarray(picture.convert("RGB")) if mode == "P" else data
    with open_image(path) as image:
        assert (image.info.flavour, image.info.axes_source) == (suffix[1:].upper(), "file")
        plane = image.plane()
    if expected.ndim == 2:
        np.testing.assert_array_equal(plane[0], expected)
    else:
        assert image.info.rgb
        np.testing.assert_array_equal(plane, expected[..., :3].transpose(2, 0, 1))


def test_grey_palette_is_one_channel(tmp_path) -> None:
    indices = RNG.integers(0, 4, (9, 9), dtype=np.uint8)
    picture = PillowImage.fromarray(indices, "L").convert("P")
    picture.putpalette(np.repeat([10, 200, 30, 90], 3).astype(np.uint8).tobytes())
    picture.save(tmp_path / "a.png")
    with open_image(tmp_path / "a.png") as image:
        assert image.info.sizes == (1, 1, 1, 9, 9)
        np.testing.assert_array_equal(image.plane()[0], np.array([10, 200, 30, 90])[indices])
    with open_image(tmp_path / "a.png", indices=True) as image:
        np.testing.assert_array_equal(image.plane()[0], indices)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_sixteen_bits(tmp_path, channels) -> None:
    import imagecodecs

    data = noise((11, 13) if channels == 1 else (11, 13, channels))
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(data))
    with open_image(tmp_path / "a.png") as image:
        assert image.info.dtype == "uint16"
        kept = {1: 1, 2: 1, 3: 3, 4: 3}[channels]
        expected = data.reshape(11, 13, channels)[..., :kept].transpose(2, 0, 1)
        assert image.info.sizes == (1, kept, 1, 11, 13)
        np.testing.assert_array_equal(image.plane(), expected)


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_png_of_few_bits_is_not_scaled(tmp_path, bits) -> None:
    import struct
    import zlib

    data = RNG.integers(0, 2**bits, (6, 8), dtype=np.uint8)
    rows = b"".join(
        b"\0" + int("".join(f"{value:0{bits}b}" for value in row), 2).to_bytes(8 * bits // 8, "big") for row in data
    )

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 8, 6, bits, 0, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    with open_image(path) as image:
        np.testing.assert_array_equal(image.plane()[0], data)


def test_jpeg_keeps_its_stored_pixels(tmp_path) -> None:
    ramp = np.linspace(0, 255, 64 * 32).reshape(32, 64).astype(np.uint8)
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees to show"
    PillowImage.fromarray(ramp).save(tmp_path / "a.jpg", quality=95, exif=exif)
    PillowImage.fromarray(np.stack([ramp, ramp // 2, ramp // 3], -1)).save(tmp_path / "b.jpeg", quality=95)
    with open_image(tmp_path / "a.jpg") as image:
        assert image.info.sizes == (1, 1, 1, 32, 64)
        assert np.abs(image.plane()[0].astype(int) - ramp).max() < 12
    with open_image(tmp_path / "b.jpeg") as image:
        assert image.info.rgb
        assert image.plane().shape == (3, 32, 64)


# ---- laziness and threads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["imagej", "ome", "plain", "zlib"])
def test_one_plane_reads_one_plane(tmp_path, kind) -> None:
    data = np.broadcast_to(np.arange(40, dtype=np.uint16)[:, None, None], (40, 256, 256))
    time = {"metadata": {"axes": "TYX"}}
    options = {"imagej": {"imagej": True, **time}, "ome": {"ome": True, **time}, "plain": {"metadata": None}}.get(
        kind, {}
    )
    if kind == "zlib":
        data, options = noise(data.shape), {"compression": "zlib", "metadata": None}
    path = tmp_path / ("a.ome.tif" if kind == "ome" else "a.tif")
    tifffile.imwrite(path, data, photometric="minisblack", **options)
    with open_image(path):
        pass  # imports
    size, before = os.path.getsize(path), bytes_read()
    with open_image(path) as image:
        opened = bytes_read() - before
        plane = image.plane(39)
    assert opened < 0.01 * size
    assert bytes_read() - before < 0.05 * size
    np.testing.assert_array_equal(plane[0], data[39])


@pytest.mark.parametrize(
    "options",
    [{"imagej": True, "metadata": {"axes": "TYX"}}, {"compression": "zlib"}, {"metadata": None}, {"tile": (32, 32)}],
)
def test_threads_read_side_by_side(tmp_path, options) -> None:
    data = noise((24, 100, 100))
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", **options)
    order = RNG.permutation(np.repeat(np.arange(24), 6)).tolist()
    with open_image(tmp_path / "a.tif") as image, ThreadPoolExecutor(6) as pool:
        for t, plane in zip(order, pool.map(image.plane, order), strict=True):
            np.testing.assert_array_equal(plane[0], data[t])


def test_the_result_may_be_written_to(tmp_path) -> None:
    data = noise((2, 8, 8))
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata={"axes": "TYX"})
    with open_image(tmp_path / "a.tif") as image:
        plane = image.plane()
        plane += 1
        np.testing.assert_array_equal(image.plane()[0], data[0])


def test_importing_costs_no_more_than_numpy() -> None:
    modules = "image, contrast, describe, tiff, raster, series"
    heavy = {"tifffile", "PIL", "imagecodecs", "scipy", "cv2", "skimage", "shapely", "pydantic", "torch"}
    code = f"import sys; from mia_tui.imaging import {modules}; print(*({heavy!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
