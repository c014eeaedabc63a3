import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from fec_cache.errors import BadImage
from fec_cache.faces import images, jpeg_head
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.images import Picture
from fec_cache.faces.jpeg_head import size_of_plain_jpeg

CROP = CropConfig(input_size=8, margin=0.1)
BOX = (0.1, 0.8, 0.0, 0.9)
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>"""


def jpeg(mode="RGB", size=(40, 24), **options):
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, options.pop("kind", "JPEG"), **options)
    return buffer.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    return {"exif": exif}


PLAIN = {
    "colour": jpeg(),
    "grey": jpeg("L"),
    "progressive": jpeg(progressive=True),
    "ICC profile": jpeg(icc_profile=b"\xff\xda" * 40000),
    "comment": jpeg(comment=b"\xff\xd8\xff\xda"),
    "restarts": jpeg(restart_marker_blocks=1),
    "4:4:4": jpeg(subsampling=0),
}
OTHER = {
    "CMYK": jpeg("CMYK"),
    "XMP": jpeg(xmp=XMP),
    "PNG": jpeg(kind="PNG"),
    "nothing": b"",
    "no head": b"\xff\xd8",
    "cut in the head": jpeg()[:200],
    **{f"EXIF {number}": jpeg(**turned(number)) for number in range(1, 9)},
}


@pytest.mark.parametrize("name", PLAIN)
def test_the_head_of_a_plain_jpeg_is_read_without_pillow(name, monkeypatch):
    content = PLAIN[name]
    assert size_of_plain_jpeg(content) == (40, 24)
    quick = Picture(content, name).cut(BOX, CROP)
    monkeypatch.setattr(images, "size_of_plain_jpeg", lambda content: None)
    assert np.array_equal(quick, Picture(content, name).cut(BOX, CROP))


@pytest.mark.parametrize("name", OTHER)
def test_other_pictures_are_left_to_pillow(name):
    assert size_of_plain_jpeg(OTHER[name]) is None


def test_a_jpeg_too_large_is_left_to_pillow(monkeypatch):
    monkeypatch.setattr(jpeg_head, "MAX_PIXELS", 40 * 24 - 1)
    assert size_of_plain_jpeg(PLAIN["colour"]) is None


@given(st.sampled_from([*PLAIN, *OTHER]), st.integers(0, 700), st.integers(0, 255))
def test_damage_never_gives_another_size_than_pillow(name, position, value):
    content = bytearray((PLAIN | OTHER)[name])
    if position < len(content):
        content[position] = value
    actual = size_of_plain_jpeg(bytes(content))
    if actual is None:
        return
    try:
        with Image.open(io.BytesIO(content)) as image:
            assert actual == ImageOps.exif_transpose(image).size
    except OSError:  # what Pillow cannot decode is not usable
        with pytest.raises(BadImage):
            Picture(bytes(content), name).cut(BOX, CropConfig(input_size=8, decode="full"))
