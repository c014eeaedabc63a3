import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fec_cache.faces.crop import CropConfig
from fec_cache.faces.recrop import crop_window
from fec_cache.faces.windows import cut_window


def noise(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


sides = st.floats(0, 1, allow_nan=False)
grid = st.integers(0, 40).map(lambda n: n / 40)  # centres between two pixels are frequent here
spans = st.tuples(sides | grid, sides | grid).filter(lambda s: s[0] != s[1]).map(sorted)


@settings(max_examples=1500, deadline=None)
@given(
    x=spans, y=spans, width=st.integers(1, 200), height=st.integers(1, 200),
    margin=st.sampled_from([0.0, 0.05, 0.1, 0.13, 0.2, 0.25, 0.333, 0.4]),
)  # fmt: skip
def test_a_kept_crop_gives_the_same_pixels_as_the_whole_picture(x, y, width, height, margin):
    whole = Image.fromarray(noise(width, height))
    box = (x[0], x[1], y[0], y[1])
    window = crop_window(box, whole.size)
    assert 0 <= window.box[0] < window.box[1] <= 1
    assert 0 <= window.box[2] < window.box[3] <= 1
    crop = CropConfig(input_size=24, margin=margin)
    expected = cut_window(whole, box, crop)
    np.testing.assert_array_equal(cut_window(whole.crop(window.pixels), window.box, crop), expected)


@pytest.mark.parametrize(
    ("left", "right", "size", "margin"),
    [
        (0.4762816855616718, 0.9275550782604436, (104, 35), 0.3),
        (0.4134873898737281, 0.8895133203535446, (33, 81), 0.4),
        (0.4390001249002329, 0.8036397533166788, (136, 74), 0.25),
    ],
)
def test_a_box_on_a_rounding_boundary_is_shifted_to_give_the_same_pixels(left, right, size, margin):
    pixels, box = Image.fromarray(noise(*size)), (left, right, 0.4, 0.41)
    window = crop_window(box, size)
    plain = (left * size[0] - window.pixels[0]) / (window.pixels[2] - window.pixels[0])
    assert 0 < abs(window.box[0] - plain) < 1e-4
    crop = CropConfig(input_size=24, margin=margin)
    given = cut_window(pixels.crop(window.pixels), window.box, crop)
    np.testing.assert_array_equal(given, cut_window(pixels, box, crop))


def test_a_part_in_the_middle_has_the_margin_and_one_pixel_more():
    window = crop_window((0.4, 0.6, 0.45, 0.55), (100, 100))
    # The face is 20 wide, its square with 40 % on each side 36, with a pixel on each side 38.
    assert window.pixels == (31, 31, 69, 69)
    expected = (9 / 38, 29 / 38, 14 / 38, 24 / 38)
    np.testing.assert_allclose(window.box, expected, rtol=1e-9)
