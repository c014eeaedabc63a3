"""A run's configuration as JSON: read back equal, refused field by field."""

import dataclasses
import json

import pytest

from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.config import PairConfig
from fec_cache.runs.config import RunConfig
from fec_cache.training.config import TrainConfig
from tests.recipes import toy_recipe

CONFIG = RunConfig(
    (toy_recipe(12), toy_recipe(5)),
    HeadConfig("embedding", hidden=(16, 8), blocks=(12, 5), shrinkage=0.5),
    TrainConfig(lr=3e-4),
    PairConfig(),
    {"digest": "d"},
    {"head.safetensors": "0" * 64},
)


def changed(**fields):
    return json.dumps({**json.loads(CONFIG.to_json()), **fields})


def test_json_gives_the_configuration_back():
    read = RunConfig.from_json(CONFIG.to_json())
    assert read == CONFIG
    assert read.files == CONFIG.files
    assert read.width == 17
    assert not read.is_original


def test_version_1_has_one_recipe_and_no_digests():
    fields = json.loads(dataclasses.replace(CONFIG, recipes=CONFIG.recipes[:1]).to_json())
    fields |= {"format_version": 1, "recipe": fields.pop("recipes")[0]}
    fields |= {"fingerprint": fields.pop("fingerprints")[0]}
    fields["head"]["blocks"] = []
    del fields["files"]
    read = RunConfig.from_json(json.dumps(fields))
    assert (read.recipes, read.files) == (CONFIG.recipes[:1], {})


def test_only_defaults_are_the_original_recipe():
    plain = RunConfig((toy_recipe(4),), HeadConfig(), TrainConfig(seed=9), PairConfig(), {})
    assert plain.is_original
    assert not dataclasses.replace(plain, train=TrainConfig(lr=1.0)).is_original


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format_version": 3}, "format_version is 3, but 1 to 2 are known"),
        ({"format_version": True}, "format_version is True"),
        ({"recipes": {}}, "recipes is not a list of recipes"),
        ({"fingerprints": ["0", "1"]}, "does not match its fingerprint"),
        ({"train": {"lr": "fast"}}, "lr is 'fast'"),
        ({"train": {"speed": 1}}, "TrainConfig has no speed"),
        ({"train": []}, "TrainConfig is list, but it must be a JSON object"),
        ({"train": {"lr": -1}}, "lr is -1, but it must be between"),
        ({"head": {}}, r"blocks \(\) are not the widths of the recipes"),
    ],
)
def test_damage_is_named(fields, message):
    with pytest.raises(ValueError, match=message):
        RunConfig.from_json(changed(**fields))


def test_a_missing_field_is_named():
    fields = json.loads(CONFIG.to_json())
    del fields["pairs"]
    with pytest.raises(ValueError, match="'pairs' is missing"):
        RunConfig.from_json(json.dumps(fields))
