from dataclasses import fields

import pytest

from fec_cache.datasets.synthetic.config import MIN_FACES, SyntheticConfig
from fec_cache.errors import BadOption


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("faces", 12, "faces is 12, but it must be between 18 and 99999."),
        ("triplets", 5, "triplets is 5, but it must be between 6 and 10000000."),
        ("seed", -1, "seed is -1, but it must be between 0 and 4294967295."),
        ("test_share", 0.9, "test share is 0.9, but it must be between 0.02 and 0.5."),
        ("jpeg_quality", 100, "JPEG quality is 100, but it must be between 1 and 95."),
    ],
)
def test_bad_options_are_named(option, value, message):
    with pytest.raises(BadOption) as caught:
        SyntheticConfig(**{option: value})
    assert str(caught.value) == message


def test_limits_are_allowed():
    assert SyntheticConfig(faces=2 * MIN_FACES, triplets=6, test_share=0.5).faces == 18


def test_every_field_has_a_help_text():
    assert all(field.metadata["help"].endswith(".") for field in fields(SyntheticConfig))
