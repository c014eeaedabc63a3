import dataclasses

import pytest

from fec_cache.errors import BadOption
from fec_cache.pairs.config import PairConfig


def test_all_triplets_count_and_a_tenth_validates_by_default():
    assert dataclasses.astuple(PairConfig()) == (0.0, 0.1, 0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_agreement": 1.1}, "min agreement is 1.1, but it must be between 0 and 1"),
        ({"validation_share": 0.0}, "validation share is 0, but it must be between 0.01 and 0.9"),
        ({"validation_share": 1.0}, "validation share is 1"),
        ({"split_seed": -1}, "split seed is -1"),
    ],
)
def test_values_out_of_range_are_refused(fields, message):
    with pytest.raises(BadOption, match=message):
        PairConfig(**fields)
