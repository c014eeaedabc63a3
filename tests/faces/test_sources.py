"""The same picture from a path, bytes, Pillow or an array gives the same pixels."""

import doctest

import numpy as np
import pytest
from PIL import Image

from fec_cache.errors import BadImage
from fec_cache.faces import sources
from fec_cache.faces.sources import open_picture
from tests.faces.pictures import STORED, UPRIGHT, WHOLE, crop_config, encoded, gradient, grey

BOX = (0.25, 0.45, 0.2, 0.6)


def test_every_kind_of_source_gives_the_same_pixels(tmp_path):
    picture = gradient(20, 10)
    path = tmp_path / "gradient.png"
    path.write_bytes(encoded(picture))
    kinds = (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), picture,
             np.asarray(picture))  # fmt: skip
    for source in kinds:
        face = open_picture(source).cut(BOX, crop_config(4))
        # The box is 4 x 4 pixels from column 5 and row 2; red counts columns and green rows.
        assert face[..., 0].tolist() == [[5, 6, 7, 8]] * 4
        assert face[..., 1].tolist() == [[row] * 4 for row in (2, 3, 4, 5)]


def test_a_picture_that_a_camera_stored_turned_is_turned_upright():
    stored = Image.fromarray(grey(np.array(STORED[6], np.uint8)))
    stored.getexif()[274] = 6
    face = open_picture(stored).cut(WHOLE, crop_config(3))
    # Three columns, two rows: the square repeats the lower edge.
    assert face[..., 0].tolist() == [*UPRIGHT.tolist(), UPRIGHT[1].tolist()]


def test_other_colour_modes_become_rgb_and_strided_arrays_are_read():
    face = open_picture(Image.new("L", (4, 4), 77)).cut(WHOLE, crop_config(4))
    assert (face == 77).all()
    mirrored = np.asarray(gradient(4, 4))[:, ::-1]
    face = open_picture(mirrored).cut(WHOLE, crop_config(4))
    assert face[0, :, 0].tolist() == [3, 2, 1, 0]


def test_names_are_given_or_follow_from_the_source(tmp_path):
    path = tmp_path / "one.png"
    path.write_bytes(encoded(gradient(4, 4)))
    pixels = np.zeros((4, 4, 3), np.uint8)
    sources_and_names = [(path, str(path)), (path.read_bytes(), "the picture"),
                         (gradient(4, 4), "the picture"), (pixels, "the array")]  # fmt: skip
    for source, name in sources_and_names:
        assert open_picture(source).name == name
        assert open_picture(source, "mine").name == "mine"


@pytest.mark.parametrize(
    ("pixels", "what"),
    [
        (np.zeros((4, 4, 3), np.float32), r"shape \[4, 4, 3\] and dtype float32"),
        (np.zeros((4, 4), np.uint8), r"shape \[4, 4\] and dtype uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \[4, 4, 4\] and dtype uint8"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \[0, 4, 3\] and dtype uint8"),
    ],
)
def test_other_arrays_are_refused_with_their_shape(pixels, what):
    with pytest.raises(BadImage, match=rf"^mine has {what}; expected \[H, W, 3\] uint8"):
        open_picture(pixels, "mine")


def test_other_things_are_refused_with_their_type():
    with pytest.raises(BadImage, match=r"^A picture was given as int; expected a path, bytes"):
        open_picture(7)


def test_the_example_in_the_documentation_runs():
    assert doctest.testmod(sources) == (0, 2)
