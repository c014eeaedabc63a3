import dataclasses

import numpy as np
import pytest

from fec_cache.errors import BadOption
from fec_cache.faces.crop import CropConfig, plain_number


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input_size": 0}, "input size is 0, but it must be between 1 and 4096"),
        ({"input_size": 4097}, "input size is 4097"),
        ({"margin": -0.1}, "crop margin is -0.1, but it must be between 0 and 2"),
        ({"margin": float("nan")}, "crop margin is nan"),
        ({"pad": "zero"}, "pad is 'zero', but it must be one of: edge"),
        ({"resize": "nearest"}, "resize is 'nearest'"),
        ({"decode": "half"}, "decode is 'half', but it must be one of: scaled, full, gpu"),
        ({"colour": "BGR"}, "colour order is 'BGR', but it must be one of: RGB"),
    ],
)
def test_a_crop_checks_its_values(fields, message):
    with pytest.raises(BadOption, match=message):
        CropConfig(**fields)


def test_equal_numbers_are_stored_in_one_spelling():
    crop = CropConfig(input_size=np.int32(96), margin=0)
    assert repr(dataclasses.astuple(crop)[:2]) == "(96, 0.0)"
    assert repr(CropConfig(margin=-0.0).margin) == "0.0"
    assert repr(plain_number(np.float64(0.25))) == "0.25"


def test_a_fractional_input_size_is_refused():
    with pytest.raises(TypeError):
        CropConfig(input_size=224.0)
