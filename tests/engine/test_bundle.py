"""Model folders."""

import json

import pytest
import torch
from engine_helpers import card, tiny_network

from mia_tui.engine.bundle import load_model, save_model
from mia_tui.engine.inputs import Inputs
from mia_tui.engine.normalize import Normalization
from mia_tui.engine.separation.border import Options
from mia_tui.engine.tasks.classification import NoDecoding
from mia_tui.engine.tasks.detection import PointDecoding
from mia_tui.engine.tasks.segmentation import Decoding
from mia_tui.errors import MiaError


def test_a_model_comes_back_bit_for_bit(tmp_path) -> None:
    model = tiny_network()
    save_model(tmp_path / "m", card(inputs=Inputs(2, (0, 3), 1, 0.5)), model.state_dict())
    loaded_card, loaded = load_model(tmp_path / "m")
    assert loaded_card == card(inputs=Inputs(2, (0, 3), 1, 0.5))
    state = loaded.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_damaged_models_are_named(tmp_path) -> None:
    save_model(tmp_path / "m", card(), tiny_network().state_dict())
    with pytest.raises(MiaError, match="no model"):
        load_model(tmp_path / "other")
    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(MiaError, match="damaged"):
        load_model(tmp_path / "m")
    (tmp_path / "m" / "model.json").write_text("{")
    with pytest.raises(MiaError, match=r"model\.json is damaged"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize(
    "changes",
    [
        {"decoding": Decoding("border", 7, Options(0.4, 0.6, 3, 0.2))},
        {"decoding": Decoding("off", 7)},
        {"task": "detection", "decoding": PointDecoding(0.4, 3.0, 5.0)},
        {"task": "classification", "decoding": NoDecoding(), "image_size": 96},
        {"normalization": Normalization(2, 98, "dataset", ((1.0, 9.0),))},
        {"normalization": Normalization(kind="imagenet", mean=(0.4,), std=(0.2,))},
    ],
)
def test_every_kind_of_card_survives_its_file(changes: dict) -> None:
    values = json.loads(json.dumps(card(**changes).to_json()))
    assert type(card()).from_json(values) == card(**changes)


def test_model_files_of_the_first_version_still_load(tmp_path) -> None:
    save_model(tmp_path / "m", card(), tiny_network().state_dict())
    path = tmp_path / "m" / "model.json"
    values = json.loads(path.read_text())
    del values["inputs"], values["image_size"]
    values["channels"] = {"count": 1, "chosen": None}
    values["normalization"] = {"low": 1.0, "high": 99.8}
    values["decoding"] = {
        "touching": "border", "foreground": 0.5, "inside": 0.7, "min_seed": 6, "waist": 0.1, "min_size": 10,
    }  # fmt: skip
    path.write_text(json.dumps(values))
    loaded, _ = load_model(tmp_path / "m")
    assert loaded.inputs == Inputs(1)
    assert loaded.normalization == Normalization()
    assert loaded.decoding == Decoding("border", 10, Options())
