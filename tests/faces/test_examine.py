import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fec_cache.errors import BadImage
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.examine import examine
from fec_cache.faces.images import crop_face, decode_image
from fec_cache.faces.recrop import KEPT_MARGIN, crop_window
from fec_cache.testing.picture_server.pictures import canvas_bomb


def packed(pixels, kind="JPEG", **options):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, **options)
    return content.getvalue()


def noise(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("kind", "options"), [
    ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("GIF", {}),
    ("BMP", {}), ("TIFF", {}),
])  # fmt: skip
def test_a_whole_picture_has_its_size(kind, options):
    found = examine(packed(noise(90, 70), kind, **options), ())
    assert (found.problem, found.width, found.height) == ("", 90, 70)


def test_the_size_is_that_of_the_upright_picture():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = packed(noise(90, 70), exif=exif)
    assert decode_image(content, "x").size == (70, 90)
    found = examine(content, ())
    assert (found.width, found.height) == (70, 90)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_file_is_damaged_wherever_reading_it_for_features_would_fail(progressive):
    content = packed(noise(200, 150), quality=90, progressive=progressive)
    for share in (0.02, 0.1, 0.3, 0.5, 0.8, 0.95, 0.99):
        cut = content[: int(share * len(content))]
        with pytest.raises(BadImage):
            decode_image(cut, "x")
        assert examine(cut, ()).problem in ("damaged", "not-a-picture")


def test_bombs_and_other_things_are_named():
    assert examine(canvas_bomb(), ()).problem == "bomb"
    assert examine(canvas_bomb(10_001), ()).problem == "bomb"
    assert examine(b"%!PS-Adobe-3.0 EPSF-3.0\n", ()).problem == "not-a-picture"
    assert examine(b"\xff\xd8\xff\xe0 and then nothing", ()).problem
    assert examine(b"words", ((0, 1, 0, 1),)).problem == "not-a-picture"
    assert examine(packed(noise(90, 70))[:-900], ((0, 1, 0, 1),)).problem == "damaged"


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
    expected = crop_face(whole, box, crop)
    np.testing.assert_array_equal(crop_face(whole.crop(window.pixels), window.box, crop), expected)


@pytest.mark.parametrize(
    ("left", "right", "size", "margin"),
    [
        (0.4762816855616718, 0.9275550782604436, (104, 35), 0.3),
        (0.4134873898737281, 0.8895133203535446, (33, 81), 0.4),
        (0.4390001249002329, 0.8036397533166788, (136, 74), 0.25),
    ],
)
def test_a_box_on_the_very_edge_of_rounding_is_moved_to_give_the_same_pixels(
    left, right, size, margin
):
    pixels, box = Image.fromarray(noise(*size)), (left, right, 0.4, 0.41)
    window = crop_window(box, size)
    plain = (left * size[0] - window.pixels[0]) / (window.pixels[2] - window.pixels[0])
    assert 0 < abs(window.box[0] - plain) < 1e-4
    crop = CropConfig(input_size=24, margin=margin)
    given = crop_face(pixels.crop(window.pixels), window.box, crop)
    np.testing.assert_array_equal(given, crop_face(pixels, box, crop))


def test_crops_come_back_as_they_were_cut():
    pixels = noise(300, 200)
    boxes = ((0.4, 0.6, 0.3, 0.6), (0.0, 0.2, 0.0, 0.3))
    content = packed(pixels, "PNG")
    found = examine(content, boxes)
    assert (found.problem, found.width, found.height) == ("", 300, 200)
    crop = CropConfig(input_size=64, margin=KEPT_MARGIN)
    for box, kept in zip(boxes, found.crops, strict=True):
        part = decode_image(kept, "crop")
        assert part.width < 150
        expected = crop_face(Image.fromarray(pixels), box, crop)
        inner = crop_window(box, (300, 200)).box
        np.testing.assert_array_equal(crop_face(part, inner, crop), expected)
