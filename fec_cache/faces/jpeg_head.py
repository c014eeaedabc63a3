"""Size of a plain JPEG from its header, without Pillow."""

import simplejpeg

from fec_cache.faces.windows import MAX_PIXELS

_JPEG_START, _SCAN_START = b"\xff\xd8", b"\xff\xda"
# Segments of a JPEG header that cannot contain an orientation: all except FFE1 (EXIF and XMP).
_SKIPPED = {bytes([0xFF, code]) for code in (*range(0xC0, 0xD0), 0xDB, 0xDD, 0xE0, 0xFE)}
_SKIPPED |= {bytes([0xFF, code]) for code in range(0xE2, 0xF0)}
_USUAL_COLOURS = ("YCbCr", "Gray", "RGB")


def size_of_plain_jpeg(content: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG without orientation; None if Pillow has to look at it."""
    # Pillow takes as long for the header as for a third of the pixels: 0.16 ms, this 0.02 ms.
    if not content.startswith(_JPEG_START):
        return None
    position = 2
    while (marker := content[position : position + 2]) in _SKIPPED:
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    if marker != _SCAN_START:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    is_usual = colours in _USUAL_COLOURS and 0 < width * height <= MAX_PIXELS
    return (width, height) if is_usual else None
