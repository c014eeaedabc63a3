import math

import numpy as np
import pytest

from fec_cache.errors import BadOption
from fec_cache.system.checks import check_choice, check_range, check_type, check_whole


def test_a_choice_names_what_is_allowed():
    check_choice("colour", "red", ("red", "blue"))
    with pytest.raises(BadOption) as caught:
        check_choice("colour", "green", ("red", "blue"))
    assert str(caught.value) == "colour is 'green', but it must be one of: red, blue."


@pytest.mark.parametrize("value", [1, 2, 2.5, 3])
def test_both_ends_belong_to_a_range(value):
    check_range("size", value, 1, 3)


@pytest.mark.parametrize(
    ("value", "text"), [(0.999, "0.999"), (4, "4"), (math.nan, "nan"), (-math.inf, "-inf")]
)
def test_outside_of_a_range_both_ends_are_named(value, text):
    with pytest.raises(BadOption) as caught:
        check_range("size", value, 1, 3)
    assert str(caught.value) == f"size is {text}, but it must be between 1 and 3."


def test_a_range_without_an_upper_end_is_still_finite():
    check_range("size", 10**9, 1, math.inf)
    for value in (0, math.inf):
        with pytest.raises(BadOption, match="but it must be at least 1"):
            check_range("size", value, 1, math.inf)


@pytest.mark.parametrize("value", ["1", None, [1]])
def test_only_numbers_have_a_range(value):
    with pytest.raises(BadOption) as caught:
        check_range("size", value, 1, 3)
    assert str(caught.value) == f"size is {value!r}, but it must be a number."


@pytest.mark.parametrize("value", [2.5, 2.0, True, "2", None])
def test_a_whole_number_is_nothing_else(value):
    check_whole("size", 2, 1, 3)
    check_whole("size", np.int64(2), 1, 3)
    with pytest.raises(BadOption) as caught:
        check_whole("size", value, 1, 3)
    assert str(caught.value) == f"size is {value!r}, but it must be a whole number."


def test_a_wrong_type_is_named_beside_the_expected_one():
    check_type("split", "train", str, "a word")
    with pytest.raises(BadOption) as caught:
        check_type("split", 3, str, "a word")
    assert str(caught.value) == "split is of type int, but it must be a word."
