"""The simulator's masks, tracks and light, against what they promise."""

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from mia_tui.errors import MiaError
from mia_tui.imaging.image import open_image
from mia_tui.simulate import Optics, man_track, simulate, write_dataset


@pytest.fixture(scope="module", params=["sparse", "medium", "touching"])
def lapse(request):
    return request.param, simulate(10, 140, 170, seed=11, density=request.param, cycle=9.0, speed=2.0, drift=(1.0, 2.0))


def test_shapes_types_and_range(lapse) -> None:
    _, result = lapse
    assert result.images.shape == result.masks.shape == (10, 140, 170)
    assert result.images.dtype == result.masks.dtype == np.uint16
    assert result.images.max() <= 4095
    assert result.images.std() > 50


def test_every_number_is_one_connected_object(lapse) -> None:
    _, result = lapse
    for mask in result.masks:
        for number in np.unique(mask[mask > 0]):
            _, parts = ndimage.label(mask == number)
            assert parts == 1
            assert (mask == number).sum() >= 20


def test_lineage(lapse) -> None:
    _, result = lapse
    tracks = {track[0]: track for track in result.tracks}
    assert sorted(tracks) == list(range(1, len(tracks) + 1))
    present = {number: np.flatnonzero((result.masks == number).any(axis=(1, 2))) for number in tracks}
    for number, first, last, mother in result.tracks:
        assert present[number].tolist() == list(range(first, last + 1))  # no gaps, nothing outside
        if mother:
            assert tracks[mother][2] == first - 1
    assert set(np.unique(result.masks)) - {0} == set(tracks)
    mothers = [track[3] for track in result.tracks if track[3]]
    assert mothers
    assert all(mothers.count(mother) == 2 for mother in mothers)
    assert all(first > 0 for _, first, _, mother in result.tracks if mother)


def test_daughters_start_where_the_mother_was(lapse) -> None:
    _, result = lapse
    for number, first, _, mother in result.tracks:
        if mother:
            centre = np.array(ndimage.center_of_mass(result.masks[first] == number))
            before = np.array(ndimage.center_of_mass(result.masks[first - 1] == mother))
            assert np.hypot(*(centre - before)) < 25


def test_same_seed_same_bits_and_another_seed_others() -> None:
    one, two, other = (simulate(3, 64, 80, 8, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.images, two.images)
    np.testing.assert_array_equal(one.masks, two.masks)
    assert one.tracks == two.tracks
    assert (one.images != other.images).any()


def test_nuclei_are_brighter_than_the_ground(lapse) -> None:
    _, result = lapse
    for image, mask in zip(result.images.astype(float), result.masks, strict=True):
        ground = image[ndimage.distance_transform_edt(mask == 0) > 4]
        for number in np.unique(mask[mask > 0]):
            inside = image[mask == number]
            assert inside.mean() > ground.mean() + 4 * ground.std() / np.sqrt(inside.size)


def test_touching_nuclei_touch_and_sparse_ones_do_not() -> None:
    def touching_share(density: str) -> float:
        mask = simulate(1, 200, 200, 26, seed=2, density=density, divisions=False).masks[0]
        pairs = [(mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1])]
        met = set()
        for a, b in pairs:
            different = (a != b) & (a > 0) & (b > 0)
            met |= set(a[different]) | set(b[different])
        return len(met) / (len(np.unique(mask)) - 1)

    assert touching_share("touching") > 0.6
    assert touching_share("sparse") < 0.05
    assert 0.05 < touching_share("medium") < touching_share("touching")


def test_noise_grows_with_the_signal_as_photons_do() -> None:
    """Shots of one scene differ by the camera's noise alone: variance = gain^2 * photons + read noise^2."""
    optics = Optics(psf=0.0, haze=0.0, unevenness=0.0, gain=4.0, offset=100.0, read_noise=6.0)
    still = simulate(1, 96, 96, 12, seed=3, optics=optics)
    from mia_tui.simulate.picture import expose

    emission = np.where(still.masks[0] > 0, 200.0, 0.0)
    rng = np.random.default_rng(0)
    shots = np.stack([expose(emission, np.ones((96, 96)), 10.0, optics, rng) for _ in range(60)]).astype(float)
    for place, photons in ((still.masks[0] > 0, 220.0), (still.masks[0] == 0, 20.0)):
        assert shots[:, place].mean() == pytest.approx(100 + 4 * photons, rel=0.02)
        assert shots[:, place].var(axis=0).mean() == pytest.approx(16 * photons + 36 + 1 / 12, rel=0.05)


def test_light_is_uneven() -> None:
    optics = Optics(background=300.0, unevenness=0.5)
    image = simulate(1, 128, 128, 0, seed=1, optics=optics).images[0].astype(float)
    smooth = ndimage.gaussian_filter(image, 8) - 100
    assert smooth.min() < 0.65 * smooth.max()


def test_number_of_cells_movement_and_growth() -> None:
    still = simulate(2, 240, 240, 20, seed=6, divisions=False, speed=0.0, drift=(0.0, 0.0), density="sparse")
    whole = [n for n in np.unique(still.masks[0])[1:] if not _at_border(still.masks[0] == n)]
    assert 14 <= len(whole) <= 21
    assert all(track[3] == 0 for track in still.tracks)
    drifting = simulate(6, 240, 240, 20, seed=6, divisions=False, speed=0.0, drift=(1.0, 3.0), density="sparse")
    for number in (n for n in np.unique(drifting.masks[0])[1:] if not _at_border(drifting.masks[0] == n, 25)):
        start, end = (np.array(ndimage.center_of_mass(drifting.masks[t] == number)) for t in (0, 5))
        np.testing.assert_allclose(end - start, [5, 15], atol=1.5)


def _at_border(mask: np.ndarray, margin: int = 1) -> bool:
    inner = mask[margin:-margin, margin:-margin]
    return int(inner.sum()) < int(mask.sum())


def test_empty_field_and_bad_requests() -> None:
    empty = simulate(2, 32, 32, 0, seed=1)
    assert empty.tracks == []
    assert not empty.masks.any()
    for arguments, reason in (
        ({"cells": 500}, "do not fit"),
        ({"density": "packed"}, "unknown density"),
        ({"height": 4}, "at least"),
        ({"frames": 0}, "at least"),
    ):
        with pytest.raises(MiaError, match=reason):
            simulate(**{"frames": 1, "height": 64, "width": 64, "cells": 3, "seed": 1, **arguments})


def test_man_track_text() -> None:
    assert man_track([(1, 0, 4, 0), (2, 5, 9, 1), (3, 5, 7, 1)]) == "1 0 4 0\n2 5 9 1\n3 5 7 1\n"


def test_dataset_on_disk(tmp_path) -> None:
    counts = write_dataset(tmp_path, seed=1, train=3, predict=2, size=96, frames=4)
    assert counts == {"train": 3, "train_masks": 3, "predict": 2, "predict_masks": 2}
    for split in ("train", "predict"):
        names = sorted(path.name for path in (tmp_path / split).iterdir())
        assert len(names) == counts[split]
        assert names == sorted(path.name for path in (tmp_path / f"{split}_masks").glob("*.tif"))
        for name in names:
            mask = tifffile.imread(tmp_path / f"{split}_masks" / name)
            with open_image(tmp_path / split / name) as image:
                assert mask.shape == tuple(size for size in image.info.shape)
                assert image.info.pixel_size == pytest.approx((0.65, 0.65), rel=1e-4)
                assert image.info.dtype == "uint16"
            assert mask.max() > 0
    with open_image(tmp_path / "predict" / "timelapse_02.tif") as movie:
        assert movie.info.sizes == (4, 1, 1, 96, 96)
        assert (movie.info.axes_source, movie.info.frame_interval) == ("imagej", 300.0)
    lines = (tmp_path / "predict_masks" / "timelapse_02_man_track.txt").read_text().splitlines()
    masks = tifffile.imread(tmp_path / "predict_masks" / "timelapse_02.tif")
    assert [int(line.split()[0]) for line in lines] == np.unique(masks)[1:].tolist()
    first = sorted((tmp_path / "train").iterdir())[0].read_bytes()
    write_dataset(tmp_path / "again", seed=1, train=3, predict=2, size=96, frames=4)
    assert sorted((tmp_path / "again" / "train").iterdir())[0].read_bytes() == first
