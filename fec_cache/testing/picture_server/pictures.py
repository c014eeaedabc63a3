"""The pictures that the server sends: numbered JPEGs, and a PNG that pretends to be huge."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def picture(number: int) -> bytes:
    """A JPEG of 160 x 120 that differs from all others: its number is in a JPEG comment."""
    # FF FE is the comment marker; its length, 10, counts the two length bytes and the number.
    return _BASE[:2] + b"\xff\xfe\x00\x0a" + struct.pack(">Q", number) + _BASE[2:]


def canvas_bomb(side: int = 30_000) -> bytes:
    """A PNG of about a hundred bytes whose header claims `side` x `side` pixels.

    Source: Portable Network Graphics, W3C recommendation, third edition, sections 5.3 and 11.2.2.
    """
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def _base() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((160, 120)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


_BASE = _base()
