import dataclasses

import pytest

from fec_cache.errors import BadOption
from fec_cache.training.config import TrainConfig


def test_the_defaults_are_the_original_recipe():
    assert dataclasses.asdict(TrainConfig()) == {
        "lr": 1e-3,
        "epochs": 20,
        "batch_size": 32,
        "loss": "bce",
        "optimizer": "adam",
        "weight_decay": 0.0,
        "patience": 0,
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lr": 0.0}, "lr is 0, but it must be between 1e-12 and 1000"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"epochs": 0}, "epochs is 0, but it must be between 1 and 100000"),
        ({"batch_size": 0}, "batch size is 0"),
        ({"loss": "mse"}, "loss is 'mse', but it must be one of: bce, triplet, odd-one-out"),
        ({"optimizer": "lion"}, "optimizer is 'lion', but it must be one of: adam, adamw, sgd"),
        ({"weight_decay": -1e-9}, "weight decay is -1e-09"),
        ({"patience": -1}, "patience is -1, but it must be at least 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_values_out_of_range_are_refused(fields, message):
    with pytest.raises(BadOption, match=message):
        TrainConfig(**fields)
