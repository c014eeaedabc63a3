from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fec_cache.errors import BadImage
from fec_cache.faces.windows import cut_window, part_inside, square_of, upright, usable_square
from tests.faces.pictures import WHOLE, crop_config, gradient


def test_a_box_in_the_middle_is_cut_exactly():
    face = cut_window(gradient(20, 10), (0.25, 0.45, 0.2, 0.6), crop_config(4))
    assert (face.shape, face.dtype) == ((4, 4, 3), np.uint8)
    assert face[..., 0].tolist() == [[5, 6, 7, 8]] * 4
    assert face[..., 1].tolist() == [[row] * 4 for row in (2, 3, 4, 5)]
    assert (face[..., 2] == 0).all()


def test_the_shorter_side_is_extended_and_the_margin_added():
    # 4 x 2 pixels around (7, 4), extended to 4 x 4, with a quarter on each side 6 x 6.
    face = cut_window(gradient(20, 10), (0.25, 0.45, 0.3, 0.5), crop_config(6, margin=0.25))
    assert face[0, :, 0].tolist() == [4, 5, 6, 7, 8, 9]
    assert face[:, 0, 1].tolist() == [1, 2, 3, 4, 5, 6]


def test_beyond_the_border_the_edge_is_repeated():
    # 4 x 4 pixels at the right bottom corner, with half on each side: 2 pixels lie outside.
    face = cut_window(gradient(10, 10), (0.6, 1.0, 0.6, 1.0), crop_config(8, margin=0.5))
    assert face[0, :, 0].tolist() == [4, 5, 6, 7, 8, 9, 9, 9]
    assert face[:, 0, 1].tolist() == [4, 5, 6, 7, 8, 9, 9, 9]
    face = cut_window(gradient(10, 10), (0.0, 0.4, 0.0, 0.4), crop_config(8, margin=0.5))
    assert face[0, :, 0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5]
    assert face[:, 0, 1].tolist() == [0, 0, 0, 1, 2, 3, 4, 5]


def test_the_whole_of_an_oblong_picture_is_made_square():
    face = cut_window(gradient(4, 8), WHOLE, crop_config(8))
    assert face[0, :, 0].tolist() == [0, 0, 0, 1, 2, 3, 3, 3]
    assert face[:, 0, 1].tolist() == list(range(8))


def test_a_very_narrow_picture_is_cropped():
    face = cut_window(gradient(1, 5000), WHOLE, crop_config(8, margin=0.1))
    assert face.shape == (8, 8, 3)
    assert (face[..., 0] == 0).all()


def test_a_square_that_would_fill_the_memory_is_refused():
    with pytest.raises(
        BadImage, match="needs a square of 60000 x 60000 pixels in a picture of 2 x"
    ):
        cut_window(Image.new("RGB", (2, 60_000)), WHOLE, crop_config(8))


def fractions():
    return st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted).filter(lambda s: s[0] < s[1])


def half_up(value):
    """Exact, on the nearest 1024th of a pixel."""
    steps = (Fraction(value) * 1024 + Fraction(1, 2)).__floor__()
    return (Fraction(steps, 1024) + Fraction(1, 2)).__floor__()


@settings(max_examples=200, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    x=fractions(),
    y=fractions(),
    margin=st.sampled_from([0.0, 0.1, 0.5, 2.0]),
)
def test_crops_agree_with_a_slow_loop(size, x, y, margin):
    image, (width, height) = gradient(*size), size
    side = max(1, half_up(max((x[1] - x[0]) * width, (y[1] - y[0]) * height) * (1 + 2 * margin)))
    left = half_up((x[0] + x[1]) / 2 * width - side / 2)
    top = half_up((y[0] + y[1]) / 2 * height - side / 2)
    expected = [
        [(min(max(left + j, 0), width - 1), min(max(top + i, 0), height - 1), 0)
         for j in range(side)] for i in range(side)
    ]  # fmt: skip
    # A crop that has the target's size is not resampled, so that pixels can be compared one by one.
    got = cut_window(image, (*x, *y), crop_config(side, margin))
    assert got.tolist() == [[list(pixel) for pixel in row] for row in expected]


@pytest.mark.parametrize(
    ("box", "margin", "expected"),
    [
        (WHOLE, 0.0, (0, -30, 100)),
        ((0.2, 0.4, 0.0, 1.0), 0.0, (10, 0, 40)),
        ((0.2, 0.4, 0.0, 1.0), 0.25, (0, -10, 60)),
        ((0.5, 0.5001, 0.5, 0.5001), 0.0, (50, 20, 1)),
    ],
)
def test_squares_worked_out_by_hand(box, margin, expected):
    assert square_of(box, (100, 40), margin) == expected
    assert usable_square(box, (100, 40), margin) == expected


@pytest.mark.parametrize(
    ("start", "side", "length", "expected"),
    [(2, 3, 10, (2, 5)), (-4, 6, 10, (0, 2)), (8, 6, 10, (8, 10)), (-5, 20, 10, (0, 10)),
     (12, 3, 10, (9, 10)), (-9, 3, 10, (0, 1))],
)  # fmt: skip
def test_the_part_inside_has_at_least_one_pixel(start, side, length, expected):
    assert part_inside(start, side, length) == expected


def test_upright_is_a_view():
    pixels = np.zeros((2, 3, 3), np.uint8)
    for orientation in range(1, 9):
        turned = upright(pixels, orientation)
        assert np.shares_memory(turned, pixels)
        assert turned.shape == ((2, 3, 3) if orientation < 5 else (3, 2, 3))
