"""Networks from names: every decoder, classifiers of all kinds, and what is said when a pair does not fit."""

import subprocess
import sys

import pytest
import segmentation_models_pytorch as smp
import timm
import torch

from mia_tui.engine.catalogue import architectures, known_encoders, own_size, timm_name
from mia_tui.engine.networks import CLASSIFIER, NetworkSpec, build_network, check_image_size, make_spec
from mia_tui.errors import MiaError


def answer(spec: NetworkSpec, height: int, width: int) -> tuple[int, ...]:
    with torch.inference_mode():
        return tuple(build_network(spec).eval()(torch.zeros(1, spec.in_channels, height, width)).shape)


# ---- segmentation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(128, 128), (160, 224)])
@pytest.mark.parametrize("architecture", architectures())
def test_every_decoder_answers_in_the_size_of_its_input(architecture: str, size: tuple[int, int]) -> None:
    encoder = "vit_tiny_patch16_224" if architecture == "DPT" else "resnet18"
    assert answer(make_spec(architecture, encoder, 5, 4), *size) == (1, 4, *size)


@pytest.mark.parametrize("architecture", sorted(set(architectures()) - {"DPT"}))
def test_every_decoder_takes_the_small_encoder_of_timm(architecture: str) -> None:
    assert answer(make_spec(architecture, "mobilenetv3_small_050", 2, 3), 160, 128) == (1, 3, 160, 128)


def test_timm_names_work_with_and_without_the_mark() -> None:
    marked, plain = (build_network(make_spec("FPN", name, 1, 2)) for name in ("tu-test_resnet", "test_resnet"))
    assert marked.state_dict().keys() == plain.state_dict().keys()


def test_windowed_transformers_are_freed_of_their_size() -> None:
    spec = make_spec("FPN", "tu-swin_tiny_patch4_window7_224", 1, 2)
    assert spec.image_size is None
    check_image_size(spec, 96, 160)


def test_a_network_of_one_size_says_so() -> None:
    spec = make_spec("FPN", "tu-maxvit_nano_rw_256", 1, 2)
    assert spec.image_size == 256
    check_image_size(spec, 256, 256)
    with pytest.raises(MiaError, match="256 x 256 pixels only, not 128 x 128"):
        check_image_size(spec, 128, 128)


@pytest.mark.parametrize(
    ("architecture", "encoder", "reason"),
    [
        ("Unet", "vit_tiny_patch16_224", "Take DPT"),
        ("Linknet", "mit_b0", "not supported"),
        ("DeepLabV3", "swin_tiny_patch4_window7_224", "dilated"),
        ("DPT", "mit_b0", "unknown encoder"),
    ],
)
def test_pairs_that_do_not_fit_are_explained(architecture: str, encoder: str, reason: str) -> None:
    with pytest.raises(MiaError, match=reason):
        build_network(make_spec(architecture, encoder, 1, 2))


def test_images_that_are_too_small_are_named_before_anything_runs() -> None:
    with pytest.raises(MiaError, match="PAN with encoder resnet18 cannot take images of 96 x 160"):
        check_image_size(make_spec("PAN", "resnet18", 1, 2), 96, 160)
    check_image_size(make_spec("Segformer", "mit_b0", 1, 2), 96, 160)


# ---- the narrow U-Net of full resolution ----------------------------------------------------------------------------


def test_the_plain_encoder_keeps_the_full_resolution() -> None:
    """One pixel of the input changes the output around it alone, as far as two convolutions see at full resolution,
    once the coarser scales are cut off."""
    model = build_network(make_spec("Unet", "plain", 2, 3)).eval()
    assert tuple(model(torch.zeros(1, 2, 64, 96)).shape) == (1, 3, 64, 96)
    for parameter in model.encoder.blocks[1].parameters():
        torch.nn.init.zeros_(parameter)
    image = torch.zeros(1, 2, 64, 64)
    image[0, 0, 32, 32] = 1
    with torch.inference_mode():
        changed = (model(image) != model(torch.zeros(1, 2, 64, 64))).any(1)[0].nonzero()
    assert changed.min() >= 32 - 4
    assert changed.max() <= 32 + 4
    assert len(changed)


def test_the_plain_encoder_sees_far_enough_for_large_objects() -> None:
    torch.manual_seed(0)
    model = build_network(make_spec("Unet", "plain", 1, 2)).train()  # batch norm in training keeps signals alive
    image = torch.randn(1, 1, 256, 256, requires_grad=True)
    model(image)[0, 0, 128, 128].backward()
    assert (image.grad[0, 0, 128, 128 - 45 : 128 + 45] != 0).float().mean() > 0.9


def test_widths_of_the_plain_encoder_are_the_deepest_first() -> None:
    model = build_network(make_spec("Unet", "plain", 1, 2, [24, 12, 6]))
    assert [block[0].out_channels for block in model.encoder.blocks] == [6, 12, 24]
    assert [block[0].in_channels for block in model.decoder.blocks] == [18, 36]
    assert model.segmentation_head.in_channels == 6


def test_the_plain_encoder_goes_with_a_unet_alone() -> None:
    assert "plain" in known_encoders("Unet")
    assert "plain" not in known_encoders("FPN")
    with pytest.raises(MiaError, match="encoder plain goes with architecture Unet, not with FPN"):
        build_network(make_spec("FPN", "plain", 1, 2))
    with pytest.raises(MiaError, match="plain"):
        build_network(make_spec(CLASSIFIER, "plain", 1, 2))


# ---- classification -------------------------------------------------------------------------------------------------

CLASSIFIERS = {
    "mobilenetv3_small_100": (96, None), "resnet18": (96, None), "convnext_atto": (96, None),
    "nasnetalarge": (96, None), "efficientnet_b0": (96, None), "efficientnet-b0": (96, None),
    "mobilenet_v2": (96, None), "vit_tiny_patch16_224": (96, 96), "swin_tiny_patch4_window7_224": (160, 160),
    "deit_tiny_patch16_224": (128, 128),
}  # fmt: skip


@pytest.mark.parametrize("encoder", CLASSIFIERS)
def test_classifiers_answer_with_one_number_per_class(encoder: str) -> None:
    size, kept = CLASSIFIERS[encoder]
    spec = make_spec("classifier", encoder, 2, 3, image_size=size)
    assert spec.image_size == kept
    assert answer(spec, size, size) == (1, 3)
    check_image_size(spec, size, size)


def test_a_transformer_gets_the_size_that_it_was_made_for_unless_told() -> None:
    assert make_spec("classifier", "vit_tiny_patch16_224", 3, 2).image_size == 224
    assert own_size("classifier", "resnet18") is None
    with pytest.raises(MiaError, match="made for 224 pixels"):
        check_image_size(make_spec("classifier", "efficientformer_l1", 3, 2, image_size=96), 96, 96)


@pytest.mark.parametrize("encoder", smp.encoders.encoders)
def test_the_encoders_of_smp_have_a_classifier(encoder: str) -> None:
    if encoder.startswith("mit_b") or encoder == "resnext101_32x48d":
        with pytest.raises(MiaError, match=encoder):
            timm_name("classifier", encoder)
    else:
        assert timm.is_model(timm_name("classifier", encoder))
        assert timm_name("Unet", encoder) is None


def test_dropout_acts_on_the_features_of_a_learning_classifier() -> None:
    model = build_network(make_spec("classifier", "test_resnet", 1, 2, dropout=0.5)).train()
    assert model.get_submodule("").drop_rate == 0.5


# ---- names and records ----------------------------------------------------------------------------------------------


def test_unknown_names_are_answered_with_the_closest() -> None:
    with pytest.raises(MiaError, match=r"Unet, .*classifier"):
        build_network(make_spec("Unett", "resnet18", 1, 2))
    with pytest.raises(MiaError, match=r"Close to it: .*resnet18") as caught:
        make_spec("Unet", "resnet19", 1, 2)
    assert len(str(caught.value)) < 300
    with pytest.raises(MiaError, match="decoder_channels"):
        build_network(make_spec("FPN", "resnet18", 1, 2, [8, 8]))
    with pytest.raises(MiaError, match="tv_in1k"):
        make_spec("classifier", "resnet18.no_such_tag", 1, 2)


def test_all_known_encoders_have_a_name_that_is_understood() -> None:
    for architecture in ("Unet", "DPT", "classifier"):
        known = known_encoders(architecture)
        assert len(known) == len(set(known)) > 1000
        for encoder in known[::50]:
            timm_name(architecture, encoder)


def test_records_of_older_versions_are_read() -> None:
    old = {
        "architecture": "Unet",
        "encoder": "resnet18",
        "in_channels": 1,
        "out_channels": 3,
        "decoder_channels": [8, 8],
    }
    spec = NetworkSpec.from_json(old)
    assert spec == NetworkSpec("Unet", "resnet18", 1, 3, (8, 8))
    assert (spec.image_size, spec.dropout) == (None, 0)
    fixed = make_spec("classifier", "vit_tiny_patch16_224", 1, 2, image_size=64, dropout=0.1)
    assert NetworkSpec.from_json(fixed.to_json()) == fixed


def test_a_batch_of_one_is_refused_where_nothing_could_be_normalised_over_it() -> None:
    spec = make_spec("Unet", "resnet18", 1, 2)
    check_image_size(spec, 64, 64, 1)
    check_image_size(spec, 32, 32, 2)
    with pytest.raises(MiaError, match="batch_size=2"):
        check_image_size(spec, 32, 32, 1)  # its deepest layer sees one pixel
    with pytest.raises(MiaError, match="batch_size=2"):
        check_image_size(make_spec("DeepLabV3", "resnet18", 1, 2), 128, 128, 1)  # means over whole images


def test_the_plain_network_needs_nothing_that_is_slow_to_import() -> None:
    """smp and timm take half of the time until the first prediction, the parts of SciPy another half second."""
    code = (
        "import sys, mia_tui.engine.predictor, mia_tui.engine.train\n"
        "from mia_tui.engine.networks import *\n"
        "spec = make_spec('Unet', 'plain', 1, 4); check_image_size(spec, 64, 64); build_network(spec)\n"
        "slow = {'timm', 'segmentation_models_pytorch', 'torchvision', 'scipy.stats', 'scipy.optimize'}\n"
        "print(slow & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
