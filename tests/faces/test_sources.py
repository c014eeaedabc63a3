"""Pictures of every kind, against what the same picture gives as a file."""

import numpy as np
import pytest
from PIL import Image

from fec_cache.errors import BadImage
from fec_cache.faces.sources import open_picture
from tests.faces.pictures import STORED, UPRIGHT, WHOLE, crop_config, encoded, grey, portrait

CROP = crop_config(4)
_ORIENTATION_TAG = 274


def pixels_of(source, size=4):
    return open_picture(source).cut(WHOLE, crop_config(size))


def same_as_file(image, tmp_path, kind="PNG", **options):
    """The pixels of an image's file; its bytes and the reopened image must give the same."""
    path = tmp_path / f"picture.{kind.lower()}"
    image.save(path, kind, **options)
    wanted = pixels_of(path)
    np.testing.assert_array_equal(pixels_of(str(path)), wanted)
    for content in (path.read_bytes(), bytearray(path.read_bytes()), memoryview(path.read_bytes())):
        np.testing.assert_array_equal(pixels_of(content), wanted)
    with Image.open(path) as reopened:
        np.testing.assert_array_equal(pixels_of(reopened), wanted)
    return wanted


@pytest.mark.parametrize("orientation", STORED)
def test_a_pillow_image_is_turned_upright_as_its_file_is(orientation, tmp_path):
    stored = Image.fromarray(np.array(STORED[orientation], np.uint8)).convert("RGB")
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = orientation
    pixels = same_as_file(stored, tmp_path, exif=exif.tobytes())
    np.testing.assert_array_equal(pixels, pixels_of(grey(UPRIGHT)))


def test_transparency_is_laid_on_white(tmp_path):
    image = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    image.paste((200, 100, 50, 255), (0, 0, 2, 4))
    pixels = same_as_file(image, tmp_path)
    assert pixels[0].tolist() == [[200, 100, 50]] * 2 + [[255, 255, 255]] * 2
    np.testing.assert_array_equal(pixels_of(image), pixels)


def test_deep_grey_is_scaled_to_eight_bits(tmp_path):
    levels = np.repeat(np.array([[0, 257 * 100, 257 * 200, 65535]], np.uint16), 4, axis=0)
    image = Image.fromarray(levels)
    pixels = same_as_file(image, tmp_path)
    assert pixels[:1].tolist() == grey([[0, 100, 200, 255]]).tolist()
    np.testing.assert_array_equal(pixels_of(image), pixels)


def test_a_palette_is_looked_up(tmp_path):
    image = portrait(4, 4).quantize(8)
    assert image.mode == "P"
    pixels = same_as_file(image, tmp_path)
    np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))
    np.testing.assert_array_equal(pixels_of(image), pixels)


@pytest.mark.parametrize("mode", ["L", "CMYK", "LA", "1"])
def test_other_modes_of_pillow_are_as_in_a_file(mode, tmp_path):
    image = portrait(4, 4).convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    np.testing.assert_array_equal(pixels_of(image), same_as_file(image, tmp_path, kind))


def test_arrays_are_taken_as_they_are_even_if_not_contiguous():
    pixels = np.asarray(portrait(6, 5))
    view = pixels[::-1][::-1][:, ::-1][:, ::-1]
    np.testing.assert_array_equal(pixels_of(view), pixels_of(encoded(portrait(6, 5))))
    before = pixels.copy()
    pixels_of(pixels)
    np.testing.assert_array_equal(pixels, before)


def test_names_are_paths_or_as_given(tmp_path):
    path = tmp_path / "a.png"
    portrait(4, 4).save(path)
    assert open_picture(path).name == str(path)
    assert open_picture(path, "mine").name == "mine"
    assert open_picture(path.read_bytes()).name == "the picture"
    assert open_picture(portrait(4, 4)).name == "the picture"
    assert open_picture(np.asarray(portrait(4, 4))).name == "the array"


@pytest.mark.parametrize("source", [None, 3, [[0]], {"path": "a.png"}])
def test_other_types_are_named_with_what_was_expected(source):
    with pytest.raises(BadImage, match=f"given as {type(source).__name__}; expected a path"):
        open_picture(source)


def test_a_truncated_or_closed_pillow_image_is_a_bad_image(tmp_path):
    path = tmp_path / "half.png"
    path.write_bytes(encoded(portrait(64, 64))[:200])
    with Image.open(path) as image, pytest.raises(BadImage, match="face 7 is not a usable picture"):
        open_picture(image, "face 7")
    portrait(8, 8).save(path)
    closed = Image.open(path)
    closed.close()
    with pytest.raises(BadImage, match="not a usable picture"):
        open_picture(closed)


def test_an_empty_pillow_image_is_a_bad_image():
    with pytest.raises(BadImage, match="0 x 4 pixels"):
        open_picture(Image.new("RGB", (0, 4)))
