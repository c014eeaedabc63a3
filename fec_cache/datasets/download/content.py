"""Bytes from a server -> the picture that they contain, or the kind of failure.

Neither the header nor the URL's suffix is trusted. The decoder is passed in, because decoding
belongs to the next stage, `faces`.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from fec_cache.datasets.boxes import Box
from fec_cache.datasets.download.config import FetchFailed


@dataclass(frozen=True)
class Examined:
    """A decoder's result for the bytes of one file.

    Attributes:
        problem: empty, or `not-a-picture`, `damaged` or `bomb`.
        detail: the problem in words.
        width: pixels of the upright picture.
        height: pixels of the upright picture.
        crops: one encoded picture for each requested box.
    """

    problem: str
    detail: str
    width: int
    height: int
    crops: tuple[bytes, ...] = ()


Examine = Callable[[bytes, Sequence[Box]], Examined]
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<?xml", b"<script", b"<title")
_QUICK_BYTES = 65_536
_QUICK_PIXELS = 500_000
# By md5, as lists on the web identify them. The file is i.imgur.com/removed.png.
_KNOWN_PLACEHOLDERS = {"d835884373f4d6c8f24742ceabe74946": "imgur: image removed"}
# Where hosts redirect requests for a removed picture.
_PLACEHOLDER_PATHS = re.compile(
    r"/photo_unavailable[^/]*\.(png|gif|jpg)$|^/removed\.png$|/photo_not_available[^/]*$", re.I
)
_FLICKR_PHOTO = re.compile(r"^(\d{6,})_[0-9a-f]{8,}(_[a-z0-9]{1,2})?\.[a-z]+$", re.I)


def check_content(content: bytes, examine: Examine, boxes: Sequence[Box] = ()) -> Examined:
    """Decode what a server sent.

    Args:
        content: the body.
        examine: the decoder; called from several threads.
        boxes: faces to crop.

    Raises:
        FetchFailed: `empty`, `html`, `not-a-picture`, `damaged`, `bomb` or `placeholder`.
    """
    if not content:
        raise FetchFailed("empty", "0 bytes")
    head = content[:1024].lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n\0").lower()
    if head.startswith(_HTML):
        raise FetchFailed("html", "a web page instead of a picture")
    known = _KNOWN_PLACEHOLDERS.get(hashlib.md5(content, usedforsecurity=False).hexdigest())
    if known:
        raise FetchFailed("placeholder", known)
    examined = examine(content, boxes)
    if examined.problem:
        raise FetchFailed(examined.problem, examined.detail)
    return examined


def is_quick(content: bytes) -> bool:
    """Whether bytes decode in a millisecond or two: a small JPEG or PNG of few pixels.

    The header only predicts how long decoding takes; whether the picture is whole is checked later.
    """
    # Small pictures are checked on the event loop's own thread: 0.88 instead of 1.35 ms of CPU per
    # URL, as handing one to another thread costs more than decoding it (docs/download.md).
    return len(content) <= _QUICK_BYTES and 0 < _num_pixels(content) <= _QUICK_PIXELS


def _num_pixels(content: bytes) -> int:
    """Width times height from the header of a JPEG or PNG; 0 for anything else."""
    if content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) >= 24:
        return int.from_bytes(content[16:20], "big") * int.from_bytes(content[20:24], "big")
    offset = 2 if content.startswith(b"\xff\xd8") else len(content)
    while offset + 9 <= len(content) and content[offset] == 0xFF:
        marker = content[offset + 1]
        # C0 to CF are frame headers, but C4, C8 and CC: tables and a reserved code (ITU-T T.81).
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = content[offset + 5 : offset + 7], content[offset + 7 : offset + 9]
            return int.from_bytes(height, "big") * int.from_bytes(width, "big")
        offset += 2 + int.from_bytes(content[offset + 2 : offset + 4], "big")
    return 0


def check_url_path(url_path: str) -> None:
    """Refuse a path that is known to show only "this photo was removed".

    Raises:
        FetchFailed: `placeholder`.
    """
    if _PLACEHOLDER_PATHS.search(url_path):
        raise FetchFailed("placeholder", f"the server redirected to {url_path[:80]}")


def photo_of(url: str) -> str:
    """Identifier of the photo behind a URL: one for all hosts and sizes of a Flickr photo."""
    plain = url.partition("#")[0]
    _, _, address = plain.partition("://")
    try:
        name = urlsplit(plain).path.rpartition("/")[2]
    except ValueError:
        return address
    flickr = _FLICKR_PHOTO.match(name)
    return f"flickr:{flickr[1]}" if flickr else address
