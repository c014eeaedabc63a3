import io
import math
import os
import threading
import time
import warnings
import zlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, __version__

from fec_cache.datasets.annotations import FaceRef
from fec_cache.errors import BadImage
from fec_cache.faces import images as module
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.images import Picture, crop_face, decode_image, load_face, read_image
from fec_cache.faces.resize import resize_square

WHOLE = (0.0, 1.0, 0.0, 1.0)
# Upright: 3 wide, 2 high, every pixel another grey.
UPRIGHT = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)
# How a camera stores it for each orientation (EXIF 2.3, tag 274), worked out by hand.
STORED = {
    1: [[10, 20, 30], [40, 50, 60]],
    2: [[30, 20, 10], [60, 50, 40]],
    3: [[60, 50, 40], [30, 20, 10]],
    4: [[40, 50, 60], [10, 20, 30]],
    5: [[10, 40], [20, 50], [30, 60]],
    6: [[30, 60], [20, 50], [10, 40]],
    7: [[60, 30], [50, 20], [40, 10]],
    8: [[40, 10], [50, 20], [60, 30]],
}

PIL_VERSION = tuple(map(int, __version__.split(".")[:2]))


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decode(image, kind="PNG", **options):
    return np.asarray(decode_image(encoded(image, kind, **options), "x"))


def grey(values):
    return np.repeat(np.asarray(values)[..., None], 3, axis=2)


def crop_config(size, margin=0.0):
    return CropConfig(input_size=size, margin=margin)


def gradient(width, height):
    """Red counts columns, green counts rows: every pixel tells its place."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, kind):
    exif = Image.Exif()
    exif[274] = orientation
    stored = Image.fromarray(grey(np.array(STORED[orientation], np.uint8)))
    options = {"lossless": True} if kind == "WEBP" else {}
    found = decode(stored, kind, exif=exif, **options)
    assert found.tolist() == grey(UPRIGHT).tolist()


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_is_ignored(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    assert decode(Image.fromarray(UPRIGHT), exif=exif).tolist() == grey(UPRIGHT).tolist()


def test_a_jpeg_is_turned_too():
    exif = Image.Exif()
    exif[274] = 6
    halves = np.zeros((16, 32, 3), np.uint8)
    halves[:, 16:] = 255
    found = decode(Image.fromarray(halves), "JPEG", exif=exif, quality=100)
    assert found.shape == (32, 16, 3)
    assert (found[:14] < 20).all()
    assert (found[18:] > 235).all()


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
    found = decode(Image.new(mode, (3, 2), value), kind)
    assert (found.shape, found.dtype) == ((2, 3, 3), np.uint8)
    if expected is not None:
        assert {tuple(pixel) for pixel in found.reshape(-1, 3).tolist()} == {expected}


def test_deep_pictures_keep_their_shades():
    values = np.array([[0, 257, 25700], [65535, 32896, 514]])
    found = decode(Image.fromarray(values.astype(np.uint16)), "PNG")
    assert found.tolist() == grey([[0, 1, 100], [255, 128, 2]]).tolist()
    deep = Image.fromarray((values * 1000).astype(np.int32))  # white is the brightest one
    assert decode(deep, "TIFF").tolist() == found.tolist()
    hdr = Image.fromarray((values * 1000.0).astype(np.float32))
    assert decode(hdr, "TIFF").tolist() == found.tolist()
    assert decode(Image.fromarray(np.array([[0.0, 1.0]], np.float32)), "TIFF")[0, 1, 0] == 255


@pytest.mark.parametrize(
    ("mode", "key", "shown"),
    [("RGB", (9, 8, 7), (1, 2, 3)), ("L", 9, 5), ("1", 1, 0)],
)
def test_a_colour_named_transparent_is_laid_on_white(mode, key, shown):
    image = Image.new(mode, (2, 1), key)
    image.putpixel((1, 0), shown)
    found = decode(image, "PNG", transparency=key)
    expected = (shown,) * 3 if isinstance(shown, int) else shown
    assert found.tolist() == [[[255, 255, 255], list(expected)]]


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
    found = decode(image, "PNG", transparency=bytes([51, 255]))
    assert found.tolist() == [[[204] * 3, [0] * 3]]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_a_moving_picture_the_first_frame_counts(kind):
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
def test_what_is_no_picture_says_why(content, words):
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
    for place, value in changes:
        content[place % len(content)] = value
    try:
        image = decode_image(bytes(content[:length]), "x")
        assert crop_face(image, WHOLE, crop_config(4)).shape == (4, 4, 3)
    except BadImage as error:
        assert str(error).startswith(("x ", "The box needs"))


def png_of_size(width, height):
    """A PNG's head alone: it claims its size."""
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
def test_decompression_bombs_are_turned_down_unopened(size, words):
    with pytest.raises(BadImage) as caught:
        decode_image(png_of_size(*size), "x")
    assert words in str(caught.value)


def test_a_picture_without_pixels_is_turned_down(monkeypatch):
    # Some versions of Pillow open such files, and there is nothing to crop.
    monkeypatch.setattr(module.Image, "open", lambda *_, **__: Image.new("RGB", (0, 5)))
    with pytest.raises(BadImage, match=r"x has 0 x 5 pixels\. Expected at least one"):
        decode_image(b"x", "x")


def test_files_are_read_and_their_names_told(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(UPRIGHT)))
    assert np.asarray(read_image(tmp_path / "a.png")).tolist() == grey(UPRIGHT).tolist()
    with pytest.raises(BadImage, match=r"none\.png cannot be read: No such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(BadImage, match="cannot be read: Is a directory"):
        read_image(tmp_path)


def test_a_face_is_loaded_by_its_reference(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(gradient(8, 8)))
    face = load_face(tmp_path, FaceRef("a.png", 0.25, 0.75, 0.5, 1.0), crop_config(4))
    assert face[..., 0].tolist() == [[2, 3, 4, 5]] * 4
    assert face[..., 1].tolist() == [[row] * 4 for row in (4, 5, 6, 7)]


def test_a_box_in_the_middle_is_cut_exactly():
    face = crop_face(gradient(20, 10), (0.25, 0.45, 0.2, 0.6), crop_config(4))
    assert (face.shape, face.dtype) == ((4, 4, 3), np.uint8)
    assert face[..., 0].tolist() == [[5, 6, 7, 8]] * 4
    assert face[..., 1].tolist() == [[row] * 4 for row in (2, 3, 4, 5)]
    assert (face[..., 2] == 0).all()


def test_the_shorter_side_is_grown_and_the_margin_added():
    # 4 x 2 pixels around (7, 4), grown to 4 x 4, with a quarter on each side 6 x 6.
    face = crop_face(gradient(20, 10), (0.25, 0.45, 0.3, 0.5), crop_config(6, margin=0.25))
    assert face[0, :, 0].tolist() == [4, 5, 6, 7, 8, 9]
    assert face[:, 0, 1].tolist() == [1, 2, 3, 4, 5, 6]


def test_beyond_the_border_the_edge_is_repeated():
    # 4 x 4 pixels at the right bottom corner, with half on each side: 2 pixels lie outside.
    face = crop_face(gradient(10, 10), (0.6, 1.0, 0.6, 1.0), crop_config(8, margin=0.5))
    assert face[0, :, 0].tolist() == [4, 5, 6, 7, 8, 9, 9, 9]
    assert face[:, 0, 1].tolist() == [4, 5, 6, 7, 8, 9, 9, 9]
    face = crop_face(gradient(10, 10), (0.0, 0.4, 0.0, 0.4), crop_config(8, margin=0.5))
    assert face[0, :, 0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5]
    assert face[:, 0, 1].tolist() == [0, 0, 0, 1, 2, 3, 4, 5]


def test_the_whole_of_an_oblong_picture_is_made_square():
    face = crop_face(gradient(4, 8), WHOLE, crop_config(8))
    assert face[0, :, 0].tolist() == [0, 0, 0, 1, 2, 3, 3, 3]
    assert face[:, 0, 1].tolist() == list(range(8))


def test_resizing_is_antialiased():
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 200  # a plain bilinear sample of every fourth pixel would see one colour
    face = crop_face(Image.fromarray(stripes), WHOLE, crop_config(2))
    assert (abs(face.astype(int) - 100) < 15).all()


def test_a_very_narrow_picture_is_cropped():
    face = crop_face(gradient(1, 5000), WHOLE, crop_config(8, margin=0.1))
    assert face.shape == (8, 8, 3)
    assert (face[..., 0] == 0).all()


def test_a_square_that_would_fill_the_memory_is_turned_down():
    with pytest.raises(
        BadImage, match="needs a square of 60000 x 60000 pixels in a picture of 2 x"
    ):
        crop_face(Image.new("RGB", (2, 60_000)), WHOLE, crop_config(8))


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
    # A crop of its own size is not resampled, so that pixels can be compared one by one.
    found = crop_face(image, (*x, *y), crop_config(side, margin))
    assert found.tolist() == [[list(pixel) for pixel in row] for row in expected]


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

    monkeypatch.setattr(module, "_to_rgb", wait)
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


def portrait(width, height, seed=0):
    """A smooth picture with some detail in it, which JPEG treats as it treats a photo."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("width", "height"), [(64, 64), (100, 70), (70, 131), (33, 257)])
@pytest.mark.parametrize("side", [16, 64, 90])
def test_the_resize_is_pillows_to_one_grey_level(width, height, side):
    image = portrait(width, height)
    theirs = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR)).astype(int)
    ours = resize_square(np.asarray(image), side).astype(int)
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize("orientation", STORED)
def test_a_jpeg_is_turned_as_pillow_turns_it(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(portrait(96, 64), "JPEG", exif=exif, quality=95)
    whole = decode_image(content, "x")
    for box in (WHOLE, (0.1, 0.4, 0.5, 0.9)):
        wanted = crop_face(whole, box, crop_config(24)).astype(int)
        found = Picture(content, "x").cut(box, CropConfig(24, 0.0, decode="full")).astype(int)
        assert np.abs(found - wanted).max() <= 3  # two decoders round colours differently
        scaled = Picture(content, "x").cut(box, crop_config(24)).astype(int)
        assert np.abs(scaled - wanted).mean() < 6  # sharper; another turn is off by 60


@pytest.mark.parametrize(
    ("size", "box", "scale"),
    [
        ((80, 80), WHOLE, 4),
        ((79, 80), WHOLE, 4),
        ((79, 79), WHOLE, 2),
        ((39, 39), WHOLE, 1),
        ((160, 900), WHOLE, 8),
        ((80, 80), (0.0, 0.5, 0.0, 0.5), 2),
        ((80, 80), (0.0, 0.49, 0.0, 0.49), 1),
    ],
)
def test_a_jpeg_is_decoded_as_small_as_the_crop_allows(monkeypatch, size, box, scale):
    found = []
    decode = module.simplejpeg.decode_jpeg

    def noting(*args, **kwargs):
        found.append(decode(*args, **kwargs))
        return found[-1]

    monkeypatch.setattr(module.simplejpeg, "decode_jpeg", noting)
    picture = Picture(encoded(portrait(*size), "JPEG"), "x")
    assert picture.cut(box, crop_config(16)).shape == (16, 16, 3)
    assert found[0].shape == (-(-size[1] // scale), -(-size[0] // scale), 3)
    assert picture.size_bytes([box], crop_config(16)) == 3 * size[0] * size[1] // scale**2


def test_a_face_does_not_depend_on_what_else_is_cut_from_its_picture():
    content = encoded(portrait(128, 128), "JPEG")
    small, large = (0.2, 0.4, 0.2, 0.4), WHOLE
    together = Picture(content, "x")
    for box in (large, small, large):
        alone = Picture(content, "x").cut(box, crop_config(16))
        assert together.cut(box, crop_config(16)).tolist() == alone.tolist()


@pytest.mark.parametrize("mode", ["CMYK", "L", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
def test_every_kind_of_jpeg_is_cut(mode, progressive):
    image = portrait(40, 40).convert("L").convert(mode)
    content = encoded(image, "JPEG", progressive=progressive, quality=95)
    found = Picture(content, "x").cut(WHOLE, crop_config(20)).astype(int)
    wanted = crop_face(decode_image(content, "x"), WHOLE, crop_config(20)).astype(int)
    assert np.abs(found - wanted).mean() <= 4


def test_a_jpeg_cut_short_is_refused_whatever_decodes_it():
    content = encoded(portrait(256, 256), "JPEG")
    for decoder in ("scaled", "full"):
        picture = Picture(content[: len(content) // 2], "half.jpg")
        with pytest.raises(BadImage, match=r"half\.jpg is not a usable picture: .*truncated"):
            picture.cut(WHOLE, CropConfig(64, decode=decoder))


def test_a_pipe_is_no_picture_and_nobody_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(BadImage, match="cannot be read: not a regular file"):
        read_image(tmp_path / "a.jpg")
    found = ImageDigests(tmp_path).lookup(tmp_path, ["a.jpg"])
    assert found == {"a.jpg": ("", "cannot be read: not a regular file")}
