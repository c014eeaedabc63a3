"""Decoding of any picture that Pillow can read to upright 8-bit RGB."""

import functools
import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps

from fec_cache.errors import BadImage
from fec_cache.faces.windows import MAX_PIXELS
from fec_cache.system.shared_context import SharedContext

_BACKGROUND = (255, 255, 255)


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Hide Pillow's warnings about large pictures and unusual metadata."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


# Shared, because `catch_warnings` is not thread-safe: overlapping threads could leave the filters
# of one of them in place for good.
without_warnings = SharedContext(_quiet_pillow).entered


def decode_image(content: bytes, name: str) -> Image.Image:
    """Decode a picture of any kind that Pillow knows to upright 8-bit RGB.

    EXIF orientation is applied, transparency becomes white, 16-bit grey is scaled to 8 bits, and
    only the first frame of an animation is used.

    Args:
        content: the file's bytes.
        name: name of the picture for errors.

    Raises:
        BadImage: not a picture, truncated, or more than `MAX_PIXELS` pixels.
    """
    with naming_damage(content, name), without_warnings():
        return to_rgb(ImageOps.exif_transpose(open_image(content, name)))


def open_image(content: bytes, name: str) -> Image.Image:
    """Open a picture without decoding its pixels.

    Raises:
        BadImage: no pixels, or more than `MAX_PIXELS`.
        Exception: nearly any type, if Pillow cannot read the header.
    """
    image = Image.open(io.BytesIO(content), formats=raster_formats())
    if not 0 < math.prod(image.size) <= MAX_PIXELS:
        raise BadImage(
            f"{name} has {image.width} x {image.height} pixels. Expected at least one and "
            f"at most {MAX_PIXELS}."
        )
    return image


@contextmanager
def naming_damage(content: bytes, name: str) -> Iterator[None]:
    """Turn whatever Pillow raises inside into a `BadImage` that names the picture."""
    if not content:
        raise BadImage(f"{name} is empty (0 bytes). Expected a picture.")
    try:
        yield
    except BadImage:
        raise
    except Image.DecompressionBombError as error:
        raise BadImage(f"{name} has too many pixels: {error}. Make it smaller.") from error
    except Exception as error:  # Pillow's plugins raise nearly any type on damaged bytes
        raise BadImage(f"{name} is not a usable picture: {_reason(error, content)}.") from error


@functools.cache
def raster_formats() -> tuple[str, ...]:
    """Return all formats that Pillow decodes itself.

    EPS is left out: Pillow would run Ghostscript on a file from an unknown source.
    """
    Image.init()
    return tuple(name for name in Image.ID if name != "EPS")


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an upright image to 8-bit RGB: transparency on white, deep grey scaled to 8 bits."""
    if image.mode.startswith(("I", "F")):
        return _deep_to_rgb(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        background = Image.new("RGBA", layer.size, (*_BACKGROUND, 255))
        return Image.alpha_composite(background, layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _deep_to_rgb(image: Image.Image) -> Image.Image:
    # Pillow's own conversion clips 16-bit values to 255, which turns most of a picture white.
    values = np.asarray(image).astype(np.float64)
    values = np.clip(np.where(np.isfinite(values), values, 0.0), 0.0, None)
    grey = (values * (255.0 / _white_of(image.mode, float(values.max())))).round()
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


def _white_of(mode: str, largest: float) -> float:
    """Return the value of white: that of the mode, or the lowest usual one that is not exceeded."""
    if mode.startswith("I;16"):
        return 65535.0
    usual = (1.0, 255.0, 65535.0) if mode == "F" else (255.0, 65535.0)
    return next((white for white in usual if largest <= white), largest)


def _reason(error: Exception, content: bytes) -> str:
    head = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head")):
        return "the file holds HTML, perhaps an error page of the server it came from"
    if "cannot identify" in str(error):
        return "no known picture format"
    return str(error) or type(error).__name__
