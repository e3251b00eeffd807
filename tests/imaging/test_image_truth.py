"""All of a real collection of multi-dimensional TIFFs opens with the right axes and the right values."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from mia_tui.errors import MiaError
from mia_tui.imaging.image import open_image

DATA = Path(os.environ.get("MIA_TUI_DATA", "../shared/data")) / "neubias_multidim"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real images are not at {DATA} (set MIA_TUI_DATA)")


def rows() -> list[dict[str, str]]:
    with open(DATA / "index.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def test_axes_shape_and_type_of_every_file() -> None:
    wrong = []
    for row in (row for row in rows() if row["flavour"] != "czi"):
        with open_image(DATA / row["file"]) as image:
            info = image.info
            found = (info.axes, "x".join(map(str, info.shape)), info.dtype, info.flavour)
        if found != (row["axes"], row["shape"], row["dtype"], row["flavour"]):
            wrong.append((row["file"], found))
    assert len(rows()) > 80
    assert wrong == []


def test_every_plane_holds_the_values_of_the_whole_stack() -> None:
    for path in sorted(DATA.glob("*.tif")):
        whole = tifffile.imread(path)
        with open_image(path) as image:
            times, channels, depths, height, width = image.info.sizes
            letters = image.info.axes.replace("S", "C")
            order = [letters.index(letter) for letter in "TCZYX" if letter in letters]
            expected = whole.transpose(order).reshape(image.info.sizes)
            for t, z in {(0, 0), (times - 1, depths - 1), (times // 2, depths // 2)}:
                plane = image.plane(t, z)
                assert plane.shape == (channels, height, width)
                assert plane.dtype.isnative
                np.testing.assert_array_equal(plane, expected[t, :, z], err_msg=path.name)
                np.testing.assert_array_equal(image.channel(t, channels - 1, z), expected[t, -1, z])


def test_a_vendor_file_is_named_with_the_way_out() -> None:
    with pytest.raises(MiaError, match=r"xyz__multiple_images\.czi: CZI is not read here.*OME-TIFF.*bfconvert"):
        open_image(DATA / "xyz__multiple_images.czi")


def test_a_folder_of_frames_is_one_movie() -> None:
    with open_image(DATA / "mitocheck-movie") as movie:
        assert movie.info.sizes == (30, 1, 1, 190, 211)
        assert (movie.info.axes, movie.info.axes_source) == ("TYX", "series")
        assert movie.frames[-1] == "t0029z0000"
        last = next((DATA / "mitocheck-movie").glob("*T00029*"))
        np.testing.assert_array_equal(movie.frame("t0029z0000")[0], tifffile.imread(last))


def test_calibration_of_real_imagej_files() -> None:
    with open_image(DATA / "xyz_calibrated_16bit__golgi_bfa.tif") as image:
        assert image.info.pixel_size == pytest.approx((0.35143, 0.35143), rel=1e-4)
        assert image.info.z_step == pytest.approx(0.3876)
        assert image.info.frame_interval == pytest.approx(59.86)
    with open_image(DATA / "xyz_8bit__chromosomes.tif") as image:  # its unit is written as \u00B5m
        assert image.info.pixel_size == pytest.approx((1 / 29.53846,) * 2)
    with open_image(DATA / "xyz_8bit__em_volume_tiff_series" / "c_elegans_em_z0000.tif") as image:
        assert image.info.pixel_size is None  # resolution 1, but no unit
