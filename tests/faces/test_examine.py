import io

import numpy as np
import pytest
from PIL import Image

from fec_cache.errors import BadImage
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.decode import decode_image
from fec_cache.faces.examine import examine
from fec_cache.faces.recrop import KEPT_MARGIN, crop_window
from fec_cache.faces.windows import cut_window
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
    examined = examine(packed(noise(90, 70), kind, **options), ())
    assert (examined.problem, examined.width, examined.height) == ("", 90, 70)


def test_the_size_is_that_of_the_upright_picture():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = packed(noise(90, 70), exif=exif)
    assert decode_image(content, "x").size == (70, 90)
    examined = examine(content, ())
    assert (examined.width, examined.height) == (70, 90)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_file_is_damaged_wherever_reading_it_for_features_would_fail(progressive):
    content = packed(noise(200, 150), quality=90, progressive=progressive)
    for share in (0.02, 0.1, 0.3, 0.5, 0.8, 0.95, 0.99):
        cut = content[: int(share * len(content))]
        with pytest.raises(BadImage):
            decode_image(cut, "x")
        assert examine(cut, ()).problem in ("damaged", "not-a-picture")


def test_bombs_and_other_problems_are_reported():
    assert examine(canvas_bomb(), ()).problem == "bomb"
    assert examine(canvas_bomb(10_001), ()).problem == "bomb"
    assert examine(b"%!PS-Adobe-3.0 EPSF-3.0\n", ()).problem == "not-a-picture"
    assert examine(b"\xff\xd8\xff\xe0 and then nothing", ()).problem
    assert examine(b"words", ((0, 1, 0, 1),)).problem == "not-a-picture"
    assert examine(packed(noise(90, 70))[:-900], ((0, 1, 0, 1),)).problem == "damaged"


def test_crops_contain_the_same_pixels():
    pixels = noise(300, 200)
    boxes = ((0.4, 0.6, 0.3, 0.6), (0.0, 0.2, 0.0, 0.3))
    content = packed(pixels, "PNG")
    examined = examine(content, boxes)
    assert (examined.problem, examined.width, examined.height) == ("", 300, 200)
    crop = CropConfig(input_size=64, margin=KEPT_MARGIN)
    for box, kept in zip(boxes, examined.crops, strict=True):
        part = decode_image(kept, "crop")
        assert part.width < 150
        expected = cut_window(Image.fromarray(pixels), box, crop)
        inner = crop_window(box, (300, 200)).box
        np.testing.assert_array_equal(cut_window(part, inner, crop), expected)
