import numpy as np
import pytest
from PIL import Image

from fec_cache.faces.resize import resize_square
from tests.faces.pictures import portrait


@pytest.mark.parametrize(("width", "height"), [(64, 64), (100, 70), (70, 131), (33, 257)])
@pytest.mark.parametrize("side", [16, 64, 90])
def test_the_resize_is_pillows_to_one_grey_level(width, height, side):
    image = portrait(width, height)
    theirs = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR)).astype(int)
    ours = resize_square(np.asarray(image), side).astype(int)
    assert np.abs(ours - theirs).max() <= 1


def test_resizing_is_antialiased():
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 200  # a plain bilinear sample of every fourth pixel would see one colour
    assert (abs(resize_square(stripes, 2).astype(int) - 100) < 15).all()


def test_a_window_of_the_right_size_is_not_resampled():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    assert resize_square(pixels, 5).tolist() == pixels.tolist()
    mirrored = pixels[:, ::-1]
    resized = resize_square(mirrored, 5)
    assert resized.flags.c_contiguous
    assert resized.tolist() == mirrored.tolist()


def test_a_view_that_torch_cannot_read_gives_the_same_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    wanted = resize_square(np.ascontiguousarray(pixels[:, ::-1]), 4)
    frozen = pixels[:, ::-1].copy()
    frozen.flags.writeable = False
    assert resize_square(pixels[:, ::-1], 4).tolist() == wanted.tolist()
    assert resize_square(frozen, 4).tolist() == wanted.tolist()
