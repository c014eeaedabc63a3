"""Limits and defaults of a head's configuration."""

import dataclasses

import pytest

from fec_cache.errors import BadOption
from fec_cache.heads.config import HeadConfig, split_preparation
from fec_cache.training.config import TrainConfig


def test_preparations_are_split_at_the_colon():
    assert split_preparation("pca:128") == ("pca", 128)
    assert split_preparation("l2") == ("l2", None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "siamese"}, "head is 'siamese', but it must be one of: concat, symmetric"),
        ({"init": "zeros"}, "init is 'zeros', but it must be one of: random, scatter"),
        ({"hidden": (0,)}, "hidden is 0, but it must be between 1 and 65536"),
        ({"dropout": 1.0}, "dropout is 1, but it must be between 0 and 0.95"),
        ({"shrinkage": -0.1}, "shrinkage is -0.1, but it must be between 0 and 1"),
        ({"components": 0}, "components is 0, but it must be between 1 and 512"),
        ({"blocks": (3, 0)}, "block is 0, but it must be at least 1"),
        ({"init": "scatter"}, "init scatter is a start for the head embedding, not concat"),
        (
            {"head": "embedding", "init": "scatter", "hidden": (31,)},
            r"every hidden layer needs 2 units per dimension of the embedding \(16\): at least 32",
        ),
    ],
)
def test_values_out_of_range_are_named(settings, message):
    with pytest.raises(BadOption, match=message):
        HeadConfig(**settings)


def test_default_preparations():
    assert HeadConfig("concat").preparation_for(9999) == "none"
    assert HeadConfig("concat", blocks=(2, 3)).preparation_for(5) == "standardize"
    assert HeadConfig("concat", prepare="l2").preparation_for(5) == "l2"
    for head in ("symmetric", "embedding"):
        assert HeadConfig(head).preparation_for(9999) == "standardize"
    assert HeadConfig("scatter").preparation_for(1024) == "standardize"
    assert HeadConfig("scatter").preparation_for(1025) == "pca:512"


def test_every_field_has_a_help_text():
    for config in (HeadConfig, TrainConfig):
        for field in dataclasses.fields(config):
            assert field.metadata["help"], field.name
