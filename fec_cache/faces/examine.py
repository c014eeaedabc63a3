"""Check of a downloaded file: the picture's size and its faces' crops, or why it is unusable."""

import io
import math
from collections.abc import Sequence

from PIL import Image

from fec_cache.datasets.boxes import Box
from fec_cache.datasets.download.content import Examined
from fec_cache.errors import BadImage
from fec_cache.faces.decode import decode_image, raster_formats, without_warnings
from fec_cache.faces.recrop import crop_window
from fec_cache.faces.windows import MAX_PIXELS

_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_MAX_REASON_CHARS = 200


def examine(content: bytes, boxes: Sequence[Box]) -> Examined:
    """Decode a whole picture, and cut faces out of it if boxes are given.

    Args:
        content: the file's bytes.
        boxes: left, right, top, bottom as fractions of the upright picture.

    Returns:
        Width and height of the upright picture and the crops as PNG files, or the problem: "bomb",
        "not-a-picture" or "damaged", with a reason.
    """
    try:
        with without_warnings():
            image = Image.open(io.BytesIO(content), formats=raster_formats())
            width, height = image.size
    except Image.DecompressionBombError as error:
        return Examined("bomb", str(error), 0, 0)
    except Exception as error:  # Pillow's plugins raise nearly any type on strange bytes
        return Examined("not-a-picture", _reason(error), 0, 0)
    if not 0 < math.prod(image.size) <= MAX_PIXELS:
        return Examined("bomb", f"{width} x {height} pixels, at most {MAX_PIXELS}", 0, 0)
    try:
        if boxes:
            return _cut(content, boxes)
        return _decode(image)
    except BadImage as error:
        return Examined("damaged", str(error), 0, 0)
    except Exception as error:
        return Examined("damaged", _reason(error), 0, 0)


def _reason(error: Exception) -> str:
    return str(error)[:_MAX_REASON_CHARS] or type(error).__name__


def _decode(image: Image.Image) -> Examined:
    width, height = image.size
    with without_warnings():
        # A draft at 1/8 also reads every byte of a JPEG, and is three times as fast.
        image.draft(image.mode, (max(1, width // 8), max(1, height // 8)))
        image.load()
        if image.getexif().get(_ORIENTATION, 1) in _SIDEWAYS:
            width, height = height, width
    return Examined("", "", width, height)


def _cut(content: bytes, boxes: Sequence[Box]) -> Examined:
    image = decode_image(content, "the picture")
    crops = []
    for box in boxes:
        png = io.BytesIO()
        image.crop(crop_window(box, image.size).pixels).save(png, "PNG")
        crops.append(png.getvalue())
    return Examined("", "", image.width, image.height, tuple(crops))
