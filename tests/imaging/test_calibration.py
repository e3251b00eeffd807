"""Physical sizes: only what the file really says."""

import numpy as np
import pytest
import tifffile

from mia_tui.imaging.image import open_image


def info_of(path, **options):
    tifffile.imwrite(path, np.zeros((3, 8, 8), np.uint8), photometric="minisblack", **options)
    with open_image(path) as image:
        return image.info


@pytest.mark.parametrize(
    ("unit", "pixels_per_unit", "micrometres"),
    [
        ("um", (4, 2), (0.5, 0.25)),
        ("micron", (4, 2), (0.5, 0.25)),
        ("\\u00B5m", (2, 2), (0.5, 0.5)),
        ("nm", (0.01, 0.01), (0.1, 0.1)),
        ("mm", (1000, 1000), (1.0, 1.0)),
        ("cm", (10000, 10000), (1.0, 1.0)),
        ("inch", (25400, 25400), (1.0, 1.0)),
        ("pixel", (1, 1), None),
        ("", (1, 1), None),
    ],
)
def test_imagej_units(tmp_path, unit, pixels_per_unit, micrometres) -> None:
    metadata = {"axes": "ZYX", "unit": unit, "spacing": 3.0}
    info = info_of(tmp_path / "a.tif", imagej=True, resolution=pixels_per_unit, metadata=metadata)
    if micrometres is None:
        assert info.pixel_size is None
        assert info.z_step is None
    else:
        assert info.pixel_size == pytest.approx(micrometres)
        assert info.z_step == pytest.approx(3.0 * micrometres[1] * pixels_per_unit[0])


def test_imagej_time_units(tmp_path) -> None:
    assert info_of(tmp_path / "a.tif", imagej=True, metadata={"axes": "TYX", "finterval": 2.5}).frame_interval == 2.5
    minutes = {"axes": "TYX", "finterval": 2.5, "tunit": "min"}
    assert info_of(tmp_path / "a.tif", imagej=True, metadata=minutes).frame_interval == 150.0
    assert info_of(tmp_path / "a.tif", imagej=True, metadata={"axes": "TYX"}).frame_interval is None


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((20000, 10000), 3, (1.0, 0.5)),  # pixels per centimetre
        ((25400, 25400), 2, (1.0, 1.0)),  # pixels per inch
        ((300, 300), 2, None),  # a printer's
        ((72, 72), 2, None),
        ((100000, 100000), 1, None),  # no unit
    ],
)
def test_plain_tiff_resolution_only_when_it_is_a_microscopes(tmp_path, resolution, unit, expected) -> None:
    info = info_of(tmp_path / "a.tif", resolution=resolution, resolutionunit=unit, metadata=None)
    assert info.pixel_size == (None if expected is None else pytest.approx(expected))


def test_ome_without_physical_sizes(tmp_path) -> None:
    info = info_of(tmp_path / "a.ome.tif", ome=True, metadata={"axes": "TYX"})
    assert (info.pixel_size, info.z_step, info.frame_interval) == (None, None, None)
    assert info.channel_names == ("channel 1",)


def test_imagej_labels_name_channels(tmp_path) -> None:
    metadata = {"axes": "CYX", "Labels": ["DNA", "actin", "tubulin"]}
    assert info_of(tmp_path / "a.tif", imagej=True, metadata=metadata).channel_names == ("DNA", "actin", "tubulin")
    metadata = {"axes": "TYX", "Labels": ["one", "two", "three"]}
    assert info_of(tmp_path / "a.tif", imagej=True, metadata=metadata).channel_names == ("channel 1",)
