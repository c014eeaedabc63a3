import math

import pytest

from fec_cache.datasets.boxes import SIDES, WHOLE_PICTURE, check_box


def test_a_box_comes_back_in_fecs_order():
    assert check_box(0.1, 0.5, 0.2, 0.6) == (0.1, 0.5, 0.2, 0.6)
    assert check_box(*WHOLE_PICTURE) == (0.0, 1.0, 0.0, 1.0)
    assert SIDES == ("left", "right", "top", "bottom")


@pytest.mark.parametrize("value", [-0.1, 1.001, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("place", range(4))
def test_a_side_that_is_no_fraction_is_named(place, value):
    sides = [0.1, 0.9, 0.1, 0.9]
    sides[place] = value
    with pytest.raises(ValueError, match="between 0 and 1") as caught:
        check_box(*sides)
    assert str(caught.value) == (
        f"{SIDES[place]} is {value:g}, but box sides are fractions of the picture, between 0 and 1"
    )


@pytest.mark.parametrize(
    "sides", [(0.5, 0.5, 0.0, 1.0), (0.6, 0.5, 0.0, 1.0), (0.0, 1.0, 0.5, 0.5), (0.0, 1.0, 1.0, 0)]
)
def test_an_empty_box_shows_its_sides(sides):
    left, right, top, bottom = sides
    with pytest.raises(ValueError, match="empty box") as caught:
        check_box(*sides)
    assert str(caught.value) == (
        f"empty box: left {left}, right {right}, top {top}, bottom {bottom}; "
        "expected left < right and top < bottom"
    )
