import io
import struct

import pytest
from PIL import Image

from fec_cache.datasets.download import content as module
from fec_cache.datasets.download.config import FetchFailed
from fec_cache.datasets.download.content import (
    Examined,
    check_content,
    check_url_path,
    is_quick,
    photo_of,
)

GOOD = Examined("", "", 4, 3)


def encoded(kind, size, **options):
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n<!DOCTYPE html><p>", "html"),
        (b"<?xml version='1.0'?>", "html"),
        (b"words", "damaged"),
    ],
)
def test_bytes_that_are_no_picture_have_their_kind(content, kind):
    with pytest.raises(FetchFailed) as caught:
        check_content(content, lambda *_: Examined("damaged", "cut off", 0, 0))
    assert caught.value.kind == kind


def test_a_picture_is_examined_with_its_boxes():
    asked = []
    boxes = [(0.0, 1.0, 0.0, 1.0)]
    assert check_content(b"x", lambda *args: asked.append(args) or GOOD, boxes) is GOOD
    assert asked == [(b"x", boxes)]


def test_a_placeholder_is_known_by_its_md5(monkeypatch):
    # md5 of b"abc", RFC 1321
    monkeypatch.setattr(
        module, "_KNOWN_PLACEHOLDERS", {"900150983cd24fb0d6963f7d28e17f72": "abc: removed"}
    )
    with pytest.raises(FetchFailed, match="abc: removed") as caught:
        check_content(b"abc", lambda *_: GOOD)
    assert caught.value.kind == "placeholder"


@pytest.mark.parametrize(
    ("kind", "size", "options", "quick"),
    [
        ("PNG", (800, 600), {}, True),
        ("PNG", (900, 600), {}, False),
        ("JPEG", (800, 600), {}, True),
        ("JPEG", (800, 600), {"progressive": True, "exif": b"Exif\0\0" + b"\0" * 500}, True),
        ("JPEG", (900, 600), {}, False),
        ("GIF", (8, 6), {}, False),
    ],
)
def test_small_jpegs_and_pngs_are_quick(kind, size, options, quick):
    content = encoded(kind, size, **options)
    assert is_quick(content) == quick
    if kind != "GIF":
        assert module._num_pixels(content) == size[0] * size[1]
        assert not is_quick(content + b"\0" * 70_000)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\xff\xd8\xff" + struct.pack(">H", 0)])
def test_a_broken_header_is_not_quick(content):
    assert not is_quick(content)


@pytest.mark.parametrize(
    ("path", "is_placeholder"),
    [
        ("/pw/images/en-us/photo_unavailable.png", True),
        ("/x/photo_unavailable_l.gif", True),
        ("/removed.png", True),
        ("/a/removed.png", False),
        ("/1/photo.jpg", False),
    ],
)
def test_paths_of_placeholders(path, is_placeholder):
    if is_placeholder:
        with pytest.raises(FetchFailed, match="redirected to"):
            check_url_path(path)
    else:
        check_url_path(path)


@pytest.mark.parametrize(
    ("url", "photo"),
    [
        ("https://live.staticflickr.com/65/1234567890_abcdef0123_b.jpg", "flickr:1234567890"),
        ("http://farm1.example/1234567890_abcdef0123.jpg?x", "flickr:1234567890"),
        ("http://a.example/1.jpg#top", "a.example/1.jpg"),
        ("http://[broken/1.jpg", "[broken/1.jpg"),
    ],
)
def test_one_photo_has_one_identifier(url, photo):
    assert photo_of(url) == photo
