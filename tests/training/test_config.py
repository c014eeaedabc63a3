"""Limits of a training configuration."""

import pytest

from fec_cache.errors import BadOption
from fec_cache.training.config import TrainConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": float("nan")}, "lr is nan, but it must be between 1e-12 and 1000"),
        ({"epochs": 0}, "epochs is 0, but it must be between 1 and 100000"),
        ({"batch_size": 0}, "batch size is 0"),
        ({"loss": "hinge"}, "loss is 'hinge', but it must be one of: bce, triplet"),
        ({"optimizer": "lion"}, "optimizer is 'lion', but it must be one of: adam, adamw, sgd"),
        ({"weight_decay": -1.0}, "weight decay is -1"),
        ({"patience": -1}, "patience is -1, but it must be at least 0"),
        ({"seed": 2**63}, "seed is"),
    ],
)
def test_values_out_of_range_are_named(settings, message):
    with pytest.raises(BadOption, match=message):
        TrainConfig(**settings)


def test_the_defaults_are_the_original_recipe():
    assert vars(TrainConfig()) == {
        "lr": 1e-3,
        "epochs": 20,
        "batch_size": 32,
        "loss": "bce",
        "optimizer": "adam",
        "weight_decay": 0.0,
        "patience": 0,
        "seed": 0,
    }
