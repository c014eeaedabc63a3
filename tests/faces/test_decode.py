import io
import math
import threading
import time
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, __version__

from fec_cache.errors import BadImage
from fec_cache.faces import decode as module
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.decode import decode_image
from fec_cache.faces.windows import cut_window
from tests.faces.pictures import STORED, UPRIGHT, WHOLE, encoded, gradient, grey

PIL_VERSION = tuple(map(int, __version__.split(".")[:2]))


def decode(image, kind="PNG", **options):
    return np.asarray(decode_image(encoded(image, kind, **options), "x"))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, kind):
    exif = Image.Exif()
    exif[274] = orientation
    stored = Image.fromarray(grey(np.array(STORED[orientation], np.uint8)))
    options = {"lossless": True} if kind == "WEBP" else {}
    actual = decode(stored, kind, exif=exif, **options)
    assert actual.tolist() == grey(UPRIGHT).tolist()


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_unknown_orientation_is_ignored(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    assert decode(Image.fromarray(UPRIGHT), exif=exif).tolist() == grey(UPRIGHT).tolist()


def test_a_jpeg_is_rotated_too():
    exif = Image.Exif()
    exif[274] = 6
    halves = np.zeros((16, 32, 3), np.uint8)
    halves[:, 16:] = 255
    actual = decode(Image.fromarray(halves), "JPEG", exif=exif, quality=100)
    assert actual.shape == (32, 16, 3)
    assert (actual[:14] < 20).all()
    assert (actual[18:] > 235).all()


@pytest.mark.parametrize(
    ("mode", "value", "kind", "expected"),
    [
        ("RGB", (1, 2, 3), "PNG", (1, 2, 3)),
        ("L", 7, "PNG", (7, 7, 7)),
        ("1", 1, "PNG", (255, 255, 255)),
        ("RGBA", (0, 100, 200, 255), "PNG", (0, 100, 200)),
        ("RGBA", (0, 100, 200, 0), "PNG", (255, 255, 255)),
        ("RGBA", (0, 100, 200, 51), "PNG", (204, 224, 244)),  # 255 - 0.2 * (255 - value)
        ("LA", (0, 51), "PNG", (204, 204, 204)),
        ("PA", (0, 0), "TIFF", (255, 255, 255)),
        ("CMYK", (255, 0, 0, 0), "TIFF", (0, 255, 255)),
        ("CMYK", (0, 0, 0, 255), "JPEG", (0, 0, 0)),
        pytest.param(
            *("YCbCr", (255, 128, 128), "TIFF", (255, 255, 255)),
            marks=pytest.mark.skipif(PIL_VERSION <= (12, 0), reason="Pillow writes it cut short"),
        ),
        ("LAB", (255, 128, 128), "TIFF", None),
        ("I;16", 65535, "PNG", (255, 255, 255)),
        ("I;16", 32896, "PNG", (128, 128, 128)),
        ("I;16", 257, "TIFF", (1, 1, 1)),
        ("I;16", 128, "PNG", (0, 0, 0)),
        ("I;16B", 32896, "TIFF", (128, 128, 128)),
        ("I", 32896, "TIFF", (128, 128, 128)),
        ("I", 200, "TIFF", (200, 200, 200)),
        ("I", -5, "TIFF", (0, 0, 0)),
        ("F", 0.2, "TIFF", (51, 51, 51)),
        ("F", 200.4, "TIFF", (200, 200, 200)),
        ("F", float("nan"), "TIFF", (0, 0, 0)),
        ("F", float("inf"), "TIFF", (0, 0, 0)),
    ],
)
def test_every_mode_becomes_rgb(mode, value, kind, expected):
    actual = decode(Image.new(mode, (3, 2), value), kind)
    assert (actual.shape, actual.dtype) == ((2, 3, 3), np.uint8)
    if expected is not None:
        assert {tuple(pixel) for pixel in actual.reshape(-1, 3).tolist()} == {expected}


def test_deep_pictures_keep_their_shades():
    values = np.array([[0, 257, 25700], [65535, 32896, 514]])
    actual = decode(Image.fromarray(values.astype(np.uint16)), "PNG")
    assert actual.tolist() == grey([[0, 1, 100], [255, 128, 2]]).tolist()
    deep = Image.fromarray((values * 1000).astype(np.int32))  # white is the brightest one
    assert decode(deep, "TIFF").tolist() == actual.tolist()
    hdr = Image.fromarray((values * 1000.0).astype(np.float32))
    assert decode(hdr, "TIFF").tolist() == actual.tolist()
    assert decode(Image.fromarray(np.array([[0.0, 1.0]], np.float32)), "TIFF")[0, 1, 0] == 255


@pytest.mark.parametrize(
    ("mode", "key", "shown"),
    [("RGB", (9, 8, 7), (1, 2, 3)), ("L", 9, 5), ("1", 1, 0)],
)
def test_a_transparent_colour_becomes_white(mode, key, shown):
    image = Image.new(mode, (2, 1), key)
    image.putpixel((1, 0), shown)
    actual = decode(image, "PNG", transparency=key)
    expected = (shown,) * 3 if isinstance(shown, int) else shown
    assert actual.tolist() == [[[255, 255, 255], list(expected)]]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
@pytest.mark.parametrize("transparency", [None, 0])
def test_palettes_with_and_without_transparency(kind, transparency):
    image = Image.new("P", (2, 1))
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.putpixel((1, 0), 1)
    options = {} if transparency is None else {"transparency": transparency}
    first = [200, 0, 0] if transparency is None else [255, 255, 255]
    assert decode(image, kind, **options).tolist() == [[first, [0, 0, 200]]]


def test_a_palette_with_half_transparent_colours():
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 0, 0, 0])
    image.putpixel((1, 0), 1)
    actual = decode(image, "PNG", transparency=bytes([51, 255]))
    assert actual.tolist() == [[[204] * 3, [0] * 3]]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_only_the_first_frame_of_an_animation_is_used(kind):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(content)).n_frames == 2
    assert np.unique(np.asarray(decode_image(content, "x")).reshape(-1, 3), axis=0).tolist() == [
        [255, 0, 0]
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty (0 bytes)"),
        (b"<!DOCTYPE html><html>gone</html>", "HTML, perhaps an error page"),
        (b"\xef\xbb\xbf\n <HTML>", "HTML, perhaps an error page"),
        (b"GIF89a", "is not a usable picture"),
        (b"no picture", "no known picture format"),
        (encoded(gradient(64, 64), "JPEG")[:500], "is not a usable picture"),
        (encoded(gradient(64, 64), "PNG")[:100], "is not a usable picture"),
        (encoded(gradient(64, 64), "WEBP")[:60], "is not a usable picture"),
        (encoded(gradient(64, 64), "TIFF")[:60], "is not a usable picture"),
    ],
)
def test_files_that_are_not_pictures_are_reported_with_a_reason(content, words):
    with pytest.raises(BadImage) as caught:
        decode_image(content, "the.jpg")
    assert words in str(caught.value)
    assert str(caught.value).startswith("the.jpg ")


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]),
    changes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6),
    length=st.none() | st.integers(0, 2000),
)
def test_damaged_bytes_give_a_picture_or_a_named_error(kind, changes, length):
    content = bytearray(encoded(gradient(20, 12), kind))
    for position, value in changes:
        content[position % len(content)] = value
    try:
        image = decode_image(bytes(content[:length]), "x")
        assert cut_window(image, WHOLE, CropConfig(4, 0.0)).shape == (4, 4, 3)
    except BadImage as error:
        assert str(error).startswith(("x ", "The box needs"))


def png_of_size(width, height):
    """A PNG that consists of its header only, which claims this size."""
    content = bytearray(encoded(Image.new("L", (1, 1))))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    checksum = zlib.crc32(content[12:29]).to_bytes(4, "big")
    content[29:33] = checksum
    return bytes(content)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((10_000, 10_001), "has 10000 x 10001 pixels. Expected at least one and at most 100000000"),
        ((60_000, 60_000), "has too many pixels"),
    ],
)
def test_decompression_bombs_are_refused_without_decoding(size, words):
    with pytest.raises(BadImage) as caught:
        decode_image(png_of_size(*size), "x")
    assert words in str(caught.value)


def test_a_picture_without_pixels_is_refused(monkeypatch):
    # Some versions of Pillow open such files.
    monkeypatch.setattr(module.Image, "open", lambda *_, **__: Image.new("RGB", (0, 5)))
    with pytest.raises(BadImage, match=r"x has 0 x 5 pixels\. Expected at least one"):
        decode_image(b"x", "x")


def test_pillows_warnings_are_hidden_and_others_are_not():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(BadImage):
            decode_image(png_of_size(10_000, 10_001), "x")
        assert caught == []
        warnings.warn("mine", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["mine"]


def test_decoding_in_threads_leaves_the_warning_filters_alone(monkeypatch):
    before = list(warnings.filters)
    slow = [0.06, 0.02, 0.04]

    def wait(image):
        time.sleep(slow.pop())
        return image

    monkeypatch.setattr(module, "to_rgb", wait)
    content = encoded(Image.fromarray(UPRIGHT))
    threads = [threading.Thread(target=decode_image, args=(content, "x")) for _ in range(3)]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    assert warnings.filters != before
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_the_cap_is_on_pixels_not_on_sides():
    assert math.prod(decode_image(encoded(Image.new("L", (1, 70_000))), "x").size) == 70_000


def test_postscript_is_refused_without_being_run():
    with pytest.raises(BadImage, match="no known picture format"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", "a.eps")
