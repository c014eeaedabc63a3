"""A face's picture: open, upright, RGB, cropped to a square. Everything about pixels is here."""

import functools
import io
import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from fec_cache.config import CropConfig
from fec_cache.errors import BadImage
from fec_cache.faces.files import read_regular
from fec_cache.sources.annotations import FaceRef

MAX_PIXELS = 100_000_000
_BACKGROUND = (255, 255, 255)
_Box = tuple[float, float, float, float]


class _Quiet:
    """Hides Pillow's warnings of big pictures and odd metadata while any thread decodes.

    `warnings.catch_warnings` alone is not safe in threads: two that overlap can leave the filter
    of one in place for good. So the first thread in sets it and the last one out takes it back.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._num_inside = 0
        self._stack = ExitStack()

    @contextmanager
    def pillow(self) -> Iterator[None]:
        """Pillow's warnings are ignored inside, in any number of threads."""
        with self._guard:
            self._num_inside += 1
            if self._num_inside == 1:
                self._stack.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            yield
        finally:
            with self._guard:
                self._num_inside -= 1
                if self._num_inside == 0:
                    self._stack.close()


_QUIET = _Quiet()
without_warnings = _QUIET.pillow


def read_image(path: Path) -> Image.Image:
    """Read and decode an image file; see `decode_image`.

    Raises:
        BadImage: the file cannot be read or is no picture.
    """
    try:
        content = read_regular(path)
    except OSError as error:
        raise BadImage(f"{path} cannot be read: {error.strerror or error}.") from error
    return decode_image(content, str(path))


def decode_image(content: bytes, name: str) -> Image.Image:
    """Decode a picture of any kind that Pillow knows to upright 8-bit RGB.

    EXIF orientation is applied, transparency is laid on white, 16-bit grey is scaled to 8 bits, and
    of a moving picture the first frame counts.

    Args:
        content: the file's bytes.
        name: what to call the picture in an error.

    Raises:
        BadImage: no picture, truncated, or more than `MAX_PIXELS` pixels.
    """
    if not content:
        raise BadImage(f"{name} is empty (0 bytes). Expected a picture.")
    try:
        with without_warnings():
            image = Image.open(io.BytesIO(content), formats=raster_formats())
            if not 0 < math.prod(image.size) <= MAX_PIXELS:
                raise BadImage(
                    f"{name} has {image.width} x {image.height} pixels. Expected at least one and "
                    f"at most {MAX_PIXELS}."
                )
            return _to_rgb(ImageOps.exif_transpose(image))
    except BadImage:
        raise
    except Image.DecompressionBombError as error:
        raise BadImage(f"{name} has too many pixels: {error}. Make it smaller.") from error
    except Exception as error:  # Pillow's plugins raise nearly any type on damaged bytes
        raise BadImage(f"{name} is not a usable picture: {_in_words(error, content)}.") from error


def crop_face(image: Image.Image, box: _Box, crop: CropConfig) -> npt.NDArray[np.uint8]:
    """Cut a face out of an upright RGB image, as the crop configuration says.

    Args:
        image: the whole picture.
        box: left, right, top, bottom as fractions of width and height.
        crop: margin and size of the square.

    Returns:
        [S, S, 3] uint8, RGB.

    Raises:
        BadImage: the square has more than `MAX_PIXELS` pixels, as in a long and narrow picture.
    """
    left, top, side = square_of(box, image.size, crop.margin)
    if side * side > MAX_PIXELS:
        raise BadImage(
            f"The box needs a square of {side} x {side} pixels in a picture of {image.width} x "
            f"{image.height}, more than the cap of {MAX_PIXELS}. Give a smaller box or picture."
        )
    window = _padded_window(image, left, top, side)
    resized = window.resize((crop.input_size, crop.input_size), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def load_face(images_dir: Path, ref: FaceRef, crop: CropConfig) -> npt.NDArray[np.uint8]:
    """Read one face's picture from its image file: [S, S, 3] uint8, RGB.

    Raises:
        BadImage: the file is missing, no picture, or too large.
    """
    return crop_face(read_image(images_dir / ref.image_path), ref.box, crop)


@functools.cache
def raster_formats() -> tuple[str, ...]:
    """All formats that Pillow reads by itself; EPS would start Ghostscript on a stranger's file."""
    Image.init()
    return tuple(name for name in Image.ID if name != "EPS")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _deep_to_rgb(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (*_BACKGROUND, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _deep_to_rgb(image: Image.Image) -> Image.Image:
    # Pillow's own conversion clips 16-bit values to 255, which turns most of a picture white.
    values = np.asarray(image).astype(np.float64)
    values = np.clip(np.where(np.isfinite(values), values, 0.0), 0.0, None)
    grey = (values * (255.0 / _white_of(image.mode, float(values.max())))).round()
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


def _white_of(mode: str, top: float) -> float:
    """The value that means white: the mode's own, or the smallest usual one that holds the top."""
    if mode.startswith("I;16"):
        return 65535.0
    usual = (1.0, 255.0, 65535.0) if mode == "F" else (255.0, 65535.0)
    return next((white for white in usual if top <= white), top)


def square_of(box: _Box, size: tuple[int, int], margin: float) -> tuple[int, int, int]:
    """Left, top and side of the square in pixels; it may leave the image."""
    width, height = size
    left, right, top, bottom = box
    face_width, face_height = (right - left) * width, (bottom - top) * height
    side = max(1, round(max(face_width, face_height) * (1.0 + 2.0 * margin)))
    centre_x, centre_y = (left + right) / 2.0 * width, (top + bottom) / 2.0 * height
    return round(centre_x - side / 2.0), round(centre_y - side / 2.0), side


def _padded_window(image: Image.Image, left: int, top: int, side: int) -> Image.Image:
    """The square window, with edge pixels repeated where it leaves the image."""
    width, height = image.size
    inner = (
        min(max(left, 0), width - 1),
        min(max(top, 0), height - 1),
        max(min(left + side, width), 1),
        max(min(top + side, height), 1),
    )
    window = image.crop(inner)
    if window.size == (side, side):
        return window
    before_x, before_y = inner[0] - left, inner[1] - top
    after_x, after_y = left + side - inner[2], top + side - inner[3]
    pads = ((before_y, after_y), (before_x, after_x), (0, 0))
    return Image.fromarray(np.pad(np.asarray(window), pads, mode="edge"))


def _in_words(error: Exception, content: bytes) -> str:
    head = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head")):
        return "the file holds HTML, perhaps an error page of the server it came from"
    if "cannot identify" in str(error):
        return "no known picture format"
    return str(error) or type(error).__name__
