"""The parts of the assist helper, one by one, in this process."""

import json
from itertools import pairwise
from pathlib import Path

import assist_models
import numpy as np
import pytest
import shapely
import tifffile
import torch
from engine_helpers import card, make_project, tiny_network
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import save_file
from scipy import ndimage
from torch.nn import functional
from torchvision.models import vgg16

from mia_tui.engine.assist import hed, registry, sam
from mia_tui.engine.assist.exported import clicks_of, gaussians
from mia_tui.engine.assist.hed import MEAN_BGR, Hed, HedNetwork
from mia_tui.engine.assist.ladders import level_sets
from mia_tui.engine.assist.messages import (
    AssistAnswer,
    AssistRequest,
    Click,
    EdgeMap,
    Pixels,
    PlaneRef,
    Prompt,
    Proposal,
    Rung,
    Stroke,
    answer_message,
    pack,
    read_answer,
    read_request,
    request_message,
    unpack,
)
from mia_tui.engine.assist.models import Superseded
from mia_tui.engine.assist.planes import Planes
from mia_tui.engine.assist.registry import AssistEntry, assists, read_card
from mia_tui.engine.assist.trained import Trained
from mia_tui.engine.bundle import save_model
from mia_tui.engine.networks import NetworkSpec
from mia_tui.engine.normalize import Normalization
from mia_tui.engine.predictor import Predictor
from mia_tui.engine.separation.border import Options
from mia_tui.engine.tasks.segmentation import Decoding
from mia_tui.engine.tiling import Tiling
from mia_tui.errors import MiaError
from mia_tui.labeling.raster import fill, shapes_from_labels
from mia_tui.project import Project

CPU = torch.device("cpu")
ENTRY = AssistEntry("cells", "sam", Path("/models/cells"))


def quiet(_: str) -> None:
    """Nobody listens to progress."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "assist"
    folder.mkdir()
    monkeypatch.setenv("MIA_TUI_ASSIST", str(folder))
    return folder


def listed(project=None) -> dict[str, AssistEntry]:
    return {entry.name: entry for entry in assists(project)}


# ---- the list --------------------------------------------------------------------------------------------------------


def test_without_any_file_each_kind_says_what_to_put_where(folder, tmp_path) -> None:
    (tmp_path / "images").mkdir()
    project = Project.create(tmp_path / "project", images=tmp_path / "images")
    found = assists(project)
    assert [entry.kind for entry in found] == ["model", "sam", "dextr", "points", "hed"]
    assert not any(entry.ready for entry in found)
    assert f"mia-tui train {project.folder}" in found[0].reason
    assert all(str(project.folder / "models" / "assist") in entry.reason for entry in found[1:])
    assert all(str(folder) in entry.reason for entry in assists(None))


def test_models_files_of_the_project_and_of_the_user_in_this_order(folder, tmp_path) -> None:
    (tmp_path / "images").mkdir()
    project = Project.create(tmp_path / "project", images=tmp_path / "images")
    own = project.models_folder / "assist"
    save_model(project.models_folder / "first", card(), tiny_network().state_dict())
    assist_models.add(own, "mine", assist_models.Bright(), "dextr")
    assist_models.add(folder, "yours", assist_models.Bright(), "points")
    assist_models.add(folder, "mine", assist_models.Bright(), "edges")
    (folder / "hed-bsds.pth").write_bytes(b"weights")
    found = assists(project)
    assert [(e.name, e.kind) for e in found if e.ready] == [
        ("first", "model"), ("mine", "dextr"), ("yours", "points"), ("hed-bsds", "hed"),
    ]  # fmt: skip
    assert found[1].file == own / "mine.json"
    assert [e.kind for e in found if not e.ready] == ["sam"]
    assert found[1].prompts == ("extremes",)
    assert found[3].gives_edges


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ('{"kind": "dextr", "size": 64}', "'file' is missing"),
        ('{"kind": "dextr", "file": "a.pt2"}', "'size' is missing"),
        ('{"kind": "magic", "file": "a.pt2", "size": 64}', "kind 'magic' is none of dextr, points, edges"),
        ('{"kind": "dextr", "file": "a.pt2", "size": 64, "sise": 3}', "unknown entry sise"),
        ('{"kind": "dextr", "file": "a.pt2", "size": 64, "mean": [1, 2]}', r"1 number \(grey\) or 3"),
        ('{"kind": "dextr", "file": "a.pt2", "size": 64, "mean": [0], "std": [0]}', "std above 0"),
        ('{"kind": "dextr", "file": "a.pt2", "size": "big"}', "big"),
        ('{"kind": "dextr", "file": "a.pt2", "size": 64, "output": "mask"}', "neither logits nor probability"),
        ('{"kind": "dextr", "file": "b.pt2", "size": 64}', r"b\.pt2 is not there"),
    ],
)
def test_a_faulty_card_is_listed_with_its_fault(folder, text, said) -> None:
    (folder / "a.pt2").write_bytes(b"model")
    (folder / "a.json").write_text(text)
    with pytest.raises(MiaError, match=said) as error:
        read_card(folder / "a.json")
    entry = listed()["a"]
    assert not entry.ready
    assert entry.reason == str(error.value)
    assert "a.json" in entry.reason


def test_a_model_without_a_card_says_what_to_write(folder) -> None:
    (folder / "net.pt2").write_bytes(b"model")
    entry = listed()["net"]
    assert not entry.ready
    text = entry.reason[entry.reason.index("{") : entry.reason.index("}") + 1]
    (folder / "net.json").write_text(text)
    assert listed()["net"].ready


def test_sam_folders(folder, monkeypatch) -> None:
    for name, kind in (("vit", "sam"), ("edge", "edgetam_video"), ("empty", "sam2"), ("other", "bert")):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps({"model_type": kind}))
        if name != "empty":
            (folder / name / "model.safetensors").write_bytes(b"weights")
    (folder / "notes").mkdir()
    found = listed()
    assert "notes" not in found
    assert "no *.safetensors" in found["empty"].reason
    assert "bert" in found["other"].reason
    monkeypatch.setattr(registry, "_has_transformers", lambda: True)
    assert listed()["vit"].ready
    assert listed()["edge"].ready
    monkeypatch.setattr(registry, "_has_transformers", lambda: False)
    assert 'pip install "mia-tui[sam]"' in listed()["vit"].reason


# ---- messages --------------------------------------------------------------------------------------------------------

numbers = st.floats(-1e6, 1e6)
pairs = st.tuples(numbers, numbers)
prompts = st.builds(
    Prompt,
    points=st.lists(st.builds(Click, numbers, numbers, st.booleans()), max_size=3).map(tuple),
    box=st.none() | st.tuples(numbers, numbers, numbers, numbers),
    extremes=st.lists(pairs, max_size=4).map(tuple),
    strokes=st.lists(
        st.builds(Stroke, st.lists(pairs, min_size=1, max_size=3).map(tuple), st.booleans()), max_size=2
    ).map(tuple),
)
boxes = st.tuples(*[st.integers(-9, 9999)] * 4)
requests = st.builds(
    AssistRequest, st.just(ENTRY), st.none() | st.builds(PlaneRef, st.just(Path("/p")), st.text(), st.integers(0, 9)),
    prompts, st.none() | boxes, st.lists(st.integers(0, 5), max_size=3).map(tuple),
)  # fmt: skip


@given(requests)
def test_a_request_arrives_as_it_was_sent(request_) -> None:
    assert read_request(unpack(pack(request_message(request_, 3)))) == request_


@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16, np.float32]), st.tuples(*[st.integers(1, 4)] * 3)))
def test_pixels_arrive_as_they_were_sent(values) -> None:
    sent = AssistRequest(ENTRY, Pixels(np.flip(values, 1), True, "hand"))
    got = read_request(unpack(pack(request_message(sent, 1)))).plane
    assert (got.rgb, got.name, got.values.dtype) == (True, "hand", values.dtype)
    np.testing.assert_array_equal(got.values, np.flip(values, 1))


def test_an_answer_arrives_as_it_was_sent() -> None:
    ring = shapely.box(0, 0, 9, 9).difference(shapely.box(2, 2, 4, 4))
    two = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(5, 5, 8, 9)])
    objects = (
        Proposal((Rung(shapely.box(1, 1, 3, 3), 0.5, 0.7), Rung(ring, 0.25, 0.1)), 1, "nucleus"),
        Proposal((Rung(two, 0.125, None),)),
    )
    edges = EdgeMap(np.arange(6, dtype=np.float16).reshape(2, 3), (4, 5))
    got = read_answer(unpack(pack(answer_message(AssistAnswer(objects, edges, 1.5), 3))))
    assert got.objects == objects
    assert got.edges.offset == (4, 5)
    np.testing.assert_array_equal(got.edges.values, edges.values)
    assert read_answer(unpack(pack(answer_message(AssistAnswer(), 3)))) == AssistAnswer()


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_message_is_refused_and_nothing_worse(data) -> None:
    sent = AssistRequest(ENTRY, Pixels(np.ones((1, 2, 2), np.uint8)), Prompt(points=(Click(1, 2),)))
    whole = bytearray(pack(request_message(sent, 3)))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for read in (read_request, read_answer):
        try:
            read(unpack(cut))
        except MiaError as error:
            assert "understood" in str(error)  # noqa: PT017


# ---- prompts and ladders ---------------------------------------------------------------------------------------------


def test_maps_of_points_are_gaussians_of_height_one() -> None:
    found = gaussians([(10.5, 20.5), (40.5, 20.5)], 64, 5.0)
    assert found[10, 20] == found[40, 20] == 1
    assert found[10, 25] == pytest.approx(np.exp(-0.5), abs=1e-6)
    assert found[25, 20] == pytest.approx(np.exp(-(15**2) / 50), abs=1e-6)  # the maximum, not the sum
    assert not gaussians([], 64, 5.0).any()


def test_strokes_are_points_at_short_distances() -> None:
    prompt = Prompt(points=(Click(1, 1, False),), strokes=(Stroke(((0, 0), (0, 32), (16, 32))), Stroke(((7, 7),))))
    positive, negative = clicks_of(prompt)
    assert negative == [(1, 1)]
    assert positive[0] == (0, 0)
    assert positive[-2:] == [(16, 32), (7, 7)]
    assert np.hypot(*np.diff(positive[:-1], axis=0).T).max() <= 8


def pixels(outline, shape) -> np.ndarray:
    rows, columns, inside = fill(outline, shape)
    mask = np.zeros(shape, bool)
    mask[rows, columns] = inside
    return mask


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.booleans())
def test_a_ladder_is_nested_and_made_of_level_sets(seed, every) -> None:
    rng = np.random.default_rng(seed)
    probability = ndimage.gaussian_filter(rng.random((40, 50)), 3)
    probability = ((probability - probability.min()) / np.ptp(probability)).astype(np.float32)
    seeds = np.zeros(probability.shape, bool)
    seeds[10:20, 12:30] = True
    found = level_sets(probability, seeds, (0, 0), every=every)
    assert found is not None
    masks = [pixels(rung.outline, probability.shape) for rung in found.rungs]
    for smaller, larger in pairwise(masks):
        assert not (smaller & ~larger).any()
        assert smaller.sum() < larger.sum()
    for rung, mask in zip(found.rungs, masks, strict=True):
        assert probability[mask].min() > rung.level
        assert rung.score == pytest.approx(probability[mask].mean(), abs=1e-4)
        parts, _ = ndimage.label(probability > rung.level)
        assert mask.sum() == sum((parts == parts[y, x]).sum() for y, x in firsts(parts, mask))
        assert every or len(firsts(parts, mask)) == 1
    best = min(abs(rung.level - 0.5) for rung in found.rungs)
    assert abs(found.rungs[found.chosen].level - 0.5) == best


def firsts(parts, mask) -> list[tuple[int, int]]:
    """A pixel of each connected part under a mask."""
    return [tuple(np.argwhere((parts == part) & mask)[0]) for part in np.unique(parts[mask])]


def test_nothing_at_the_seeds_is_no_object_and_offsets_shift() -> None:
    probability = np.zeros((20, 20), np.float32)
    probability[2:8, 3:9] = 0.8
    seeds = np.zeros((20, 20), bool)
    assert level_sets(probability, seeds, (0, 0), every=True) is None
    seeds[15, 15] = True
    assert level_sets(probability, seeds, (0, 0), every=False) is None
    seeds[4, 4] = True
    found = level_sets(probability, seeds, (100, 200), every=False)
    assert len(found.rungs) == 1
    assert found.outline.equals(shapely.box(203, 102, 209, 108))


# ---- planes ----------------------------------------------------------------------------------------------------------


def test_pictures_of_planes() -> None:
    planes = Planes()
    grey = planes.get(Pixels(np.arange(100, dtype=np.uint16).reshape(1, 10, 10)))
    assert planes.get(Pixels(np.arange(100, dtype=np.uint16).reshape(1, 10, 10), name="again")) is grey
    picture = grey.picture((-2, 5, 10, 13), (), 3)
    assert picture.shape == (3, 12, 8)
    assert (picture[0] == picture[2]).all()
    assert not picture[:, :2].any()
    assert not picture[:, :, 5:].any()
    assert picture[0, 11, 4] == 1
    colour = planes.get(Pixels(np.stack([np.eye(10), np.ones((10, 10)), np.zeros((10, 10))]), rgb=True))
    assert not (colour.picture((0, 0, 10, 10), (), 3)[0] == colour.picture((0, 0, 10, 10), (), 3)[2]).all()
    stains = planes.get(Pixels(np.stack([np.eye(10), np.eye(10)[::-1]])))
    both = stains.picture((0, 0, 10, 10), (), 1)[0]
    assert both[0, 0] == both[0, 9] == 0.5
    assert (stains.picture((0, 0, 10, 10), (1,), 1)[0] == np.eye(10)[::-1]).all()
    with pytest.raises(MiaError, match="has 2 channels; channel 2"):
        stains.picture((0, 0, 10, 10), (2,), 1)


def test_an_image_that_changes_on_disk_is_read_again(tmp_path) -> None:
    project = make_project(tmp_path, 1, 0)
    planes, ref = Planes(), PlaneRef(project.folder, "im0.tif")
    first = planes.get(ref)
    assert planes.get(ref) is first
    path = tmp_path / "train" / "im0.tif"
    tifffile.imwrite(path, np.zeros((20, 30), np.uint8))
    assert planes.get(ref).shape == (20, 30)
    path.unlink()
    with pytest.raises(MiaError, match=r"im0\.tif"):
        planes.get(ref)


# ---- HED -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hed_network():
    torch.manual_seed(1)
    network = HedNetwork().eval()
    with torch.no_grad():
        for side in network.side:  # random side outputs are all alike: make them differ
            side.weight.mul_(40)
    return network


def reference_hed(network: HedNetwork, picture: torch.Tensor) -> torch.Tensor:
    """HED put together from torchvision's VGG16."""
    features = vgg16(weights=None).features.eval()
    convolutions = [layer for layer in features if isinstance(layer, torch.nn.Conv2d)]
    for layer, own in zip(convolutions, [c for block in network.blocks for c in block], strict=True):
        layer.load_state_dict(own.state_dict())
    sides, x = [], picture
    for index, layer in enumerate(features):
        x = layer(x)
        if index in (3, 8, 15, 22, 29):  # the last ReLU before each pooling
            side = network.side[len(sides)](x)
            sides.append(functional.interpolate(side, size=picture.shape[-2:], mode="bilinear", align_corners=False))
    return torch.sigmoid(network.fuse(torch.cat(sides, 1)))


def port_name(name: str) -> str:
    """The name of a weight in the widespread PyTorch port."""
    place, _, kind = name.rpartition(".")
    numbers = ("One", "Two", "Three", "Four", "Five")
    if place == "fuse":
        return f"moduleCombine.0.{kind}"
    if place.startswith("side"):
        return f"moduleScore{numbers[int(place[-1])]}.{kind}"
    _, block, layer = place.split(".")
    return f"moduleVgg{numbers[int(block)]}.{2 * int(layer) + (block != '0')}.{kind}"


@pytest.mark.parametrize("name", ["hed.safetensors", "hed.pth", "hed-port.pth"])
def test_hed_weights_are_read_from_either_kind_of_file(tmp_path, hed_network, name) -> None:
    state = hed_network.state_dict()
    saved = {port_name(key): value for key, value in state.items()} if "port" in name else state
    (save_file if name.endswith("safetensors") else torch.save)(saved, tmp_path / name)
    loaded = Hed.load(tmp_path / name, CPU).network.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


def test_hed_is_vgg16_with_side_outputs(hed_network, monkeypatch) -> None:
    monkeypatch.setattr(hed, "SIDE", 128)
    rgb = np.random.default_rng(0).integers(0, 256, (3, 80, 70)).astype(np.uint8)
    plane = Planes().get(Pixels(rgb, rgb=True))
    model = Hed(hed_network, CPU)
    request = AssistRequest(ENTRY, view=(10, 5, 60, 65))
    edges = model.answer(request, plane, quiet).edges
    assert edges.values.shape == (50, 60)
    assert edges.offset == (10, 5)
    assert edges.values.dtype == np.float16
    assert edges.values.min() >= 0
    assert edges.values.max() <= 1
    assert np.ptp(edges.values) > 0.01
    np.testing.assert_array_equal(model.answer(request, plane, quiet).edges.values, edges.values)
    tile = plane.picture((10 - 32, 5 - 32, 10 - 32 + 128, 5 - 32 + 128), (), 3) * 255
    bgr = torch.from_numpy(tile[::-1].copy())[None] - torch.tensor(MEAN_BGR)[None, :, None, None]
    with torch.inference_mode():
        expected = reference_hed(hed_network, bgr)[0, 0, 32:82, 32:92].numpy()
    np.testing.assert_allclose(edges.values, expected, atol=2e-3)


def test_other_files_are_no_hed_weights(tmp_path) -> None:
    torch.save({"fc.weight": torch.zeros(3)}, tmp_path / "hed.pth")
    (tmp_path / "hed-lfs.pth").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "hed-cut.safetensors").write_bytes(b"\x10\x00\x00")
    (tmp_path / "hed-empty.pth").write_bytes(b"")
    for name, said in (("hed", "other weights than HED's"), ("hed-lfs", "git-lfs pointer"), ("hed-empty", "is empty")):
        with pytest.raises(MiaError, match=said):
            Hed.load(tmp_path / f"{name}.pth", CPU)
    with pytest.raises(MiaError, match="may be damaged"):
        Hed.load(tmp_path / "hed-cut.safetensors", CPU)


def test_a_question_given_up_stops_between_tiles(hed_network) -> None:
    calls = []

    def tell(text: str) -> None:
        calls.append(text)
        raise Superseded

    plane = Planes().get(Pixels(np.zeros((1, 50, 50), np.uint8)))
    with pytest.raises(Superseded):
        Hed(hed_network, CPU).answer(AssistRequest(ENTRY), plane, tell)
    assert calls == ["edges 1 of 1"]


# ---- the SAM family --------------------------------------------------------------------------------------------------


def tiny_sam(folder: Path):
    """A random SAM with an input of 64 pixels, saved as `hf download` leaves one."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    vision = {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64, "patch_size": 4,
        "output_channels": 16, "mlp_dim": 32, "window_size": 4, "global_attn_indexes": [1], "num_pos_feats": 8,
    }  # fmt: skip
    prompt = {
        "hidden_size": 16,
        "image_size": 64,
        "patch_size": 4,
        "image_embedding_size": 16,
        "mask_input_channels": 4,
    }
    mask = {
        "hidden_size": 16, "mlp_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
    }  # fmt: skip
    config = transformers.SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=mask)
    network = transformers.SamModel(config).eval()
    network.save_pretrained(folder)
    return network


def tiny_sam2(folder: Path):
    """The same for SAM 2."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    backbone = {
        "hidden_size": 12, "num_attention_heads": 1, "image_size": [64, 64], "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [12, 24, 48, 96], "num_attention_heads_per_stage": [1, 1, 2, 4],
        "window_size_per_stage": [4, 4, 4, 4], "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [2, 2],
    }  # fmt: skip
    vision = {
        "backbone_config": transformers.Sam2HieraDetConfig(**backbone), "backbone_channel_list": [96, 48, 24, 12],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "fpn_hidden_size": 16,
    }  # fmt: skip
    prompt = {"hidden_size": 16, "image_size": 64, "mask_input_channels": 4}
    mask = {
        "hidden_size": 16, "mlp_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
    }  # fmt: skip
    config = transformers.Sam2Config(
        vision_config=transformers.Sam2VisionConfig(**vision), prompt_encoder_config=prompt, mask_decoder_config=mask,
    )  # fmt: skip
    network = transformers.Sam2Model(config).eval()
    network.save_pretrained(folder)
    return network


@pytest.mark.parametrize("build", [tiny_sam, tiny_sam2])
def test_a_sam_from_a_folder_answers_as_transformers_does(folder, build) -> None:
    network = build(folder / "tiny")
    assert listed()["tiny"].ready
    model = sam.Sam.load(folder / "tiny", CPU)
    assert model.side == 64
    rgb = np.random.default_rng(5).integers(0, 256, (3, 64, 64)).astype(np.uint8)
    plane = Planes().get(Pixels(rgb, rgb=True))
    prompt = Prompt(points=(Click(20, 30), Click(50, 8, positive=False)), box=(10, 12, 40, 50))
    answer = model.answer(AssistRequest(listed()["tiny"], prompt=prompt), plane, quiet)
    mean, std = (np.array(v, np.float32)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        out = network(
            pixel_values=torch.from_numpy((plane.picture((0, 0, 64, 64), (), 3) - mean) / std)[None],
            input_points=torch.tensor([[[[30.0, 20.0], [8.0, 50.0]]]]), input_labels=torch.tensor([[[1, 0]]]),
            input_boxes=torch.tensor([[[12.0, 10.0, 50.0, 40.0]]]), multimask_output=True,
        )  # fmt: skip
    logits = functional.interpolate(out.pred_masks[0], size=(64, 64), mode="bilinear", align_corners=False)[0].numpy()
    scores = out.iou_scores[0, 0].numpy().clip(0, 1)
    expected = {int((mask > 0).sum()): score for mask, score in zip(logits, scores, strict=True)}
    expected = {area: score for area, score in expected.items() if area >= 4}
    found = answer.objects[0].rungs if answer.objects else ()
    assert expected, "random weights that find something make the better test"
    assert [rung.outline.area for rung in found] == pytest.approx(sorted(expected), abs=2)
    assert [rung.score for rung in found] == pytest.approx([expected[area] for area in sorted(expected)], abs=1e-3)
    assert answer.objects[0].score == max(rung.score for rung in found)


def test_an_image_is_embedded_once(folder) -> None:
    tiny_sam(folder / "tiny")
    model = sam.Sam.load(folder / "tiny", CPU)
    said: list[str] = []
    plane = Planes().get(Pixels(np.random.default_rng(1).random((1, 60, 200), np.float32)))

    def ask(prompt: Prompt, channels: tuple[int, ...] = ()) -> AssistAnswer:
        return model.answer(AssistRequest(ENTRY, prompt=prompt, channels=channels), plane, said.append)

    assert ask(Prompt(points=())).objects == ()
    assert said == ["embedding the picture, once"]
    ask(Prompt(points=(Click(30, 100),)))
    ask(Prompt(extremes=((20, 95), (40, 95), (30, 90), (30, 104))))
    assert said.count("embedding the picture, once") == 1
    found = ask(Prompt(points=(Click(30, 180),)))
    assert said.count("embedding the picture, once") == 2
    assert all(shapely.box(136, 0, 200, 60).covers(rung.outline) for o in found.objects for rung in o.rungs)


def test_windows_lie_on_a_grid_and_hold_the_prompt() -> None:
    assert sam.choose_window((30, 30), 0, (50, 60), 1024) == (0, 0, 60, 60)
    assert sam.choose_window((100, 100), 20, (3000, 3000), 1024) == (0, 0, 1024, 1024)
    assert sam.choose_window((1000, 2990), 20, (3000, 3000), 1024) == (512, 1976, 1536, 3000)
    assert sam.choose_window((1010, 2990), 20, (3000, 3000), 1024) == (512, 1976, 1536, 3000)
    top, left, bottom, right = sam.choose_window((1500, 1500), 700, (3000, 3000), 1024)
    assert bottom - top == right - left == 2048
    assert top <= 1500 - 350
    assert bottom >= 1500 + 350


@settings(max_examples=200)
@given(st.integers(20, 5000), st.integers(20, 5000), st.data())
def test_a_window_always_holds_its_prompt(height, width, data) -> None:
    extent = data.draw(st.integers(0, min(height, width)))
    y = data.draw(st.integers(extent // 2, height - extent // 2))
    x = data.draw(st.integers(extent // 2, width - extent // 2))
    top, left, bottom, right = sam.choose_window((y, x), extent, (height, width), 1024)
    assert top <= y - extent // 2
    assert left <= x - extent // 2
    assert bottom >= y + extent // 2
    assert right >= x + extent // 2
    assert 0 <= top < height
    assert 0 <= left < width


def test_a_broken_sam_folder_is_explained(folder) -> None:
    tiny_sam(folder / "tiny")
    (folder / "tiny" / "model.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(MiaError, match=r"tiny cannot be loaded .*Copy the folder again"):
        sam.Sam.load(folder / "tiny", CPU)


# ---- trained models --------------------------------------------------------------------------------------------------


class ByBrightness(torch.nn.Module):
    """Logits of background, inside and border of bright pixels, each from its neighbourhood alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        smooth = functional.avg_pool2d(functional.pad(x, (3, 3, 3, 3), mode="reflect"), 7, 1)
        background = (0.45 - smooth) * 12
        inside = (smooth - 0.75) * 12
        return torch.cat([background, inside, torch.full_like(inside, -1.0)], 1)


@pytest.fixture(scope="module")
def trained():
    spec = NetworkSpec("Unet", "tu-mobilenetv3_small_050", 1, 3, (16, 8, 8, 8, 8))
    tiles = Tiling(96, 32, 4)
    return Trained(
        Predictor(
            card(network=spec, decoding=Decoding(min_size=20, options=Options(waist=0.1)), tiling=tiles),
            ByBrightness(),
            device="cpu",
        )
    )


def field_of_discs() -> np.ndarray:
    """(1, 300, 400) uint16 with discs, some of which touch."""
    rng, picture = np.random.default_rng(7), np.zeros((300, 400))
    yy, xx = np.indices(picture.shape)
    for _ in range(45):
        y, x, radius = rng.uniform(0, 300), rng.uniform(0, 400), rng.uniform(6, 13)
        picture = np.maximum(picture, np.clip(1.2 - np.hypot(yy - y, xx - x) / radius / 1.2, 0, 1))
    return (picture * 1000).astype(np.uint16)[None]


def test_a_trained_model_proposes_what_predicting_the_frame_gives(trained) -> None:
    plane = Planes().get(Pixels(field_of_discs()))
    found = trained.answer(AssistRequest(ENTRY), plane, quiet).objects
    expected = trained.predictor.part(plane.values, Normalization().limits(plane.values)).found
    shapes = shapes_from_labels(expected.labels)
    assert len(found) == len(shapes) > 15
    for proposal, index in zip(found, shapes, strict=True):
        assert proposal.outline.equals(shapes[index])
        assert proposal.score == pytest.approx(expected.scores[index], abs=1e-4)
        assert proposal.label_class == "cell"


def test_ladders_of_a_trained_model_are_nested_and_leave_the_neighbours_alone(trained) -> None:
    plane = Planes().get(Pixels(field_of_discs()))
    found = trained.answer(AssistRequest(ENTRY), plane, quiet).objects
    assert np.mean([len(proposal.rungs) for proposal in found]) > 4
    chosen = [pixels(proposal.outline, plane.shape) for proposal in found]
    for index, proposal in enumerate(found):
        masks = [pixels(rung.outline, plane.shape) for rung in proposal.rungs]
        assert all(not (a & ~b).any() for a, b in pairwise(masks))
        levels = [rung.level for rung in proposal.rungs]
        assert levels == sorted(levels, reverse=True)
        others = np.any([mask for other, mask in enumerate(chosen) if other != index], axis=0)
        assert not (masks[-1] & others).any()
        assert isinstance(proposal.rungs[0].outline, shapely.Polygon)


def test_a_view_gives_the_whole_objects_in_it(trained) -> None:
    plane = Planes().get(Pixels(np.tile(field_of_discs(), (1, 2, 2))))
    view = (250, 330, 330, 420)
    everything = trained.answer(AssistRequest(ENTRY), plane, quiet).objects
    found = trained.answer(AssistRequest(ENTRY, view=view), plane, quiet).objects
    looking = pixels(shapely.box(view[1], view[0], view[3], view[2]), plane.shape)
    expected = [p for p in everything if (pixels(p.outline, plane.shape) & looking).any()]
    assert len(found) == len(expected) > 3
    same = [any(p.outline.equals(q.outline) for q in expected) for p in found]
    assert np.mean(same) > 0.9  # tiles lie differently, so a pixel at a threshold may fall to the other side


def test_an_object_cut_by_the_margin_is_left_out(trained) -> None:
    picture = np.zeros((1, 400, 700), np.uint16)
    picture[:, 100:300, 20:600] = 1000
    picture[:, 330:350, 300:320] = 1000
    plane = Planes().get(Pixels(picture))
    found = trained.answer(AssistRequest(ENTRY, view=(200, 280, 380, 340)), plane, quiet).objects
    assert [round(p.outline.centroid.x) for p in found] == [310]


def test_a_model_folder_is_loaded_and_a_damaged_one_explained(tmp_path) -> None:
    save_model(tmp_path / "good", card(), tiny_network().state_dict())
    model = Trained.load(tmp_path / "good", CPU)
    plane = Planes().get(Pixels(np.zeros((1, 70, 90), np.uint8)))
    said: list[str] = []
    assert isinstance(model.answer(AssistRequest(ENTRY), plane, said.append), AssistAnswer)
    assert said[0].startswith("tile ")
    three = Planes().get(Pixels(np.zeros((2, 70, 90), np.uint8), name="stains.tif"))
    with pytest.raises(MiaError, match=r"stains\.tif has 2 channels, the model works on 1"):
        model.answer(AssistRequest(ENTRY), three, quiet)
    (tmp_path / "good" / "model.safetensors").write_bytes(b"no")
    with pytest.raises(MiaError, match="is damaged"):
        Trained.load(tmp_path / "good", CPU)
