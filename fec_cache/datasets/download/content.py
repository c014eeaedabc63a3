"""Bytes that a server sent -> the picture they are, or the kind of failure.

Neither the header nor the ending of the URL is believed. What decodes a picture is handed in, since
pictures are the next stage's affair.
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
    """What a decoder says of some bytes.

    Attributes:
        problem: empty, or `not-a-picture`, `damaged` or `bomb`.
        detail: the problem in words.
        width: of the upright picture, in pixels.
        height: of the upright picture, in pixels.
        crops: one encoded picture for each box that was asked for.
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
# md5, because that is what the web knows them by: i.imgur.com/removed.png.
_KNOWN_PLACEHOLDERS = {"d835884373f4d6c8f24742ceabe74946": "imgur: image removed"}
# Where hosts send the reader of a picture that is gone.
_PLACEHOLDER_PATHS = re.compile(
    r"/photo_unavailable[^/]*\.(png|gif|jpg)$|^/removed\.png$|/photo_not_available[^/]*$", re.I
)
_FLICKR_PHOTO = re.compile(r"^(\d{6,})_[0-9a-f]{8,}(_[a-z0-9]{1,2})?\.[a-z]+$", re.I)


def check_content(content: bytes, examine: Examine, boxes: Sequence[Box] = ()) -> Examined:
    """Decode what a server sent.

    Args:
        content: the body.
        examine: decodes; called from several threads.
        boxes: faces to cut out.

    Raises:
        FetchFailed: `empty`, `html`, `not-a-picture`, `damaged`, `bomb` or `placeholder`.
    """
    if not content:
        raise FetchFailed("empty", "0 bytes")
    head = content[:1024].lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n\0").lower()
    if head.startswith(_HTML):
        raise FetchFailed("html", "a page instead of a picture")
    known = _KNOWN_PLACEHOLDERS.get(hashlib.md5(content, usedforsecurity=False).hexdigest())
    if known:
        raise FetchFailed("placeholder", known)
    found = examine(content, boxes)
    if found.problem:
        raise FetchFailed(found.problem, found.detail)
    return found


def is_quick(content: bytes) -> bool:
    """Whether bytes are decoded in a millisecond or two: a short JPEG or PNG of few pixels.

    Such a picture is checked faster than it could be handed to another thread. The header is only
    asked how long decoding may take, never whether the picture is whole.
    """
    return len(content) <= _QUICK_BYTES and 0 < _num_pixels(content) <= _QUICK_PIXELS


def _num_pixels(content: bytes) -> int:
    """Width times height as a JPEG's or a PNG's header has it; 0 for anything else."""
    if content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) >= 24:
        return int.from_bytes(content[16:20], "big") * int.from_bytes(content[20:24], "big")
    place = 2 if content.startswith(b"\xff\xd8") else len(content)
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = content[place + 5 : place + 7], content[place + 7 : place + 9]
            return int.from_bytes(height, "big") * int.from_bytes(width, "big")
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return 0


def check_place(url_path: str) -> None:
    """Turn down an address that is known to show nothing but "this photo is gone".

    Raises:
        FetchFailed: `placeholder`.
    """
    if _PLACEHOLDER_PATHS.search(url_path):
        raise FetchFailed("placeholder", f"the server pointed to {url_path[:80]}")


def photo_of(url: str) -> str:
    """Names the photo behind a URL: the same for one Flickr photo on all of its hosts and sizes."""
    plain = url.partition("#")[0]
    _, _, address = plain.partition("://")
    try:
        name = urlsplit(plain).path.rpartition("/")[2]
    except ValueError:
        return address
    flickr = _FLICKR_PHOTO.match(name)
    return f"flickr:{flickr[1]}" if flickr else address
