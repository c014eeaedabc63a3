"""A face's picture: open, upright, RGB; `windows` cuts the square and `resize` scales it."""

import functools
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, ImageOps

from fec_cache.datasets.annotations import FaceRef
from fec_cache.datasets.boxes import Box
from fec_cache.errors import BadImage
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.windows import MAX_PIXELS, Pixels, cut_window, square_of, upright
from fec_cache.system.regular_files import read_regular
from fec_cache.system.shared_context import SharedContext

_BACKGROUND = (255, 255, 255)
_ORIENTATION = 0x0112
# A square that is left larger than needed is still filtered by the resize, as a whole one is.
_RESERVE = 1.25
_SIDEWAYS = (5, 6, 7, 8)
_JPEG_START, _PIXELS_BEGIN = b"\xff\xd8", b"\xff\xda"
# Parts of a JPEG's head in which no orientation stands: all but FFE1.
_SKIPPED = {bytes([0xFF, code]) for code in (*range(0xC0, 0xD0), 0xDB, 0xDD, 0xE0, 0xFE)}
_SKIPPED |= {bytes([0xFF, code]) for code in range(0xE2, 0xF0)}
_USUAL_COLOURS = ("YCbCr", "Gray", "RGB")


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Hides Pillow's warnings of big pictures and odd metadata."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


without_warnings = SharedContext(_quiet_pillow).entered


def read_image(path: Path) -> Image.Image:
    """Read and decode an image file; see `decode_image`.

    Raises:
        BadImage: the file cannot be read or is no picture.
    """
    return decode_image(read_picture(path), str(path))


def read_picture(path: Path) -> bytes:
    """Read a file that is to hold a picture.

    Raises:
        BadImage: there is none, it is no regular file, or it cannot be read.
    """
    try:
        return read_regular(path)
    except OSError as error:
        raise BadImage(f"{path} cannot be read: {error.strerror or error}.") from error


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
    with _naming_damage(content, name), without_warnings():
        return to_rgb(ImageOps.exif_transpose(_open(content, name)))


def crop_face(image: Image.Image, box: Box, crop: CropConfig) -> npt.NDArray[np.uint8]:
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
    return cut_window(image, box, crop)


class Picture:
    """A picture file whose head was read; pixels are decoded when a face is cut.

    The same face gives the same values whatever else is cut from the picture.
    """

    def __init__(self, content: bytes, name: str) -> None:
        """Read the head.

        Raises:
            BadImage: no picture, or more than `MAX_PIXELS` pixels.
        """
        self._content, self.name = content, name
        self._decoded: dict[int, Pixels] = {}
        self._turn, self._is_jpeg = 1, True
        self.plain_size = _size_of_plain_jpeg(content)
        """Width and height of a JPEG that nothing turns; None of all other pictures."""
        if self.plain_size is None:
            self._look()
        else:
            self._size = self.plain_size

    def _look(self) -> None:
        """Let Pillow read the head."""
        content, name = self._content, self.name
        with _naming_damage(content, name), without_warnings():
            image = _open(content, name)
            self._turn = image.getexif().get(_ORIENTATION, 1)
            # CMYK and the rarer kinds of JPEG are left to Pillow, and so is all that is no JPEG.
            self._is_jpeg = image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L")
            self._size = image.size[::-1] if self._turn in _SIDEWAYS else image.size

    def size_bytes(self, boxes: Sequence[Box], crop: CropConfig) -> int:
        """Memory that decoding for these boxes takes at its highest, roughly."""
        pixels = math.prod(self._size)
        scales = {self._scale(box, crop) for box in boxes}
        # Pillow holds the picture in four bytes a pixel, and once more while it turns it.
        each = 3 if self._is_jpeg else 8
        return sum(each * pixels // (scale * scale) for scale in scales)

    def cut(self, box: Box, crop: CropConfig) -> npt.NDArray[np.uint8]:
        """Cut one face: [S, S, 3] uint8, RGB.

        Raises:
            BadImage: the picture is damaged, or the square larger than `MAX_PIXELS` pixels.
        """
        scale = self._scale(box, crop)
        if scale not in self._decoded:
            self._decoded[scale] = self._decode(scale)
        return cut_window(self._decoded[scale], box, crop)

    def _scale(self, box: Box, crop: CropConfig) -> int:
        if not self._is_jpeg or crop.decode != "scaled":
            return 1
        side = square_of(box, self._size, crop.margin)[2]
        least = _RESERVE * crop.input_size
        return next(scale for scale in (8, 4, 2, 1) if side >= scale * least or scale == 1)

    def _decode(self, scale: int) -> Pixels:
        if self._is_jpeg:
            width, height = self._size[::-1] if self._turn in _SIDEWAYS else self._size
            sides = {"min_height": -(-height // scale), "min_width": -(-width // scale)}
            try:
                pixels = simplejpeg.decode_jpeg(self._content, "RGB", min_factor=scale, **sides)
                return upright(pixels, self._turn)
            except ValueError:
                # What libjpeg finds fault with, Pillow judges, and the whole of it.
                return decode_image(self._content, self.name)
        return decode_image(self._content, self.name)


def _size_of_plain_jpeg(content: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG that nothing turns; None leaves the matter to Pillow.

    Pillow takes as long for the head as for a third of the pixels.
    """
    if not content.startswith(_JPEG_START):
        return None
    place = 2
    while (marker := content[place : place + 2]) in _SKIPPED:
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    if marker != _PIXELS_BEGIN:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    is_usual = colours in _USUAL_COLOURS and 0 < width * height <= MAX_PIXELS
    return (width, height) if is_usual else None


def load_face(images_dir: Path, ref: FaceRef, crop: CropConfig) -> npt.NDArray[np.uint8]:
    """Read one face's picture from its image file: [S, S, 3] uint8, RGB.

    Raises:
        BadImage: the file is missing, no picture, or too large.
    """
    return read_face(images_dir / ref.image_path, ref.box, crop)


def read_face(path: Path, box: Box, crop: CropConfig) -> npt.NDArray[np.uint8]:
    """Read the face in a box of a picture file, exactly as extraction does: [S, S, 3] uint8, RGB.

    Args:
        path: the picture.
        box: left, right, top, bottom as fractions of width and height.
        crop: of the recipe.

    Raises:
        BadImage: the file is missing, no picture, or too large.
    """
    return Picture(read_picture(path), str(path)).cut(box, crop)


@contextmanager
def _naming_damage(content: bytes, name: str) -> Iterator[None]:
    if not content:
        raise BadImage(f"{name} is empty (0 bytes). Expected a picture.")
    try:
        yield
    except BadImage:
        raise
    except Image.DecompressionBombError as error:
        raise BadImage(f"{name} has too many pixels: {error}. Make it smaller.") from error
    except Exception as error:  # Pillow's plugins raise nearly any type on damaged bytes
        raise BadImage(f"{name} is not a usable picture: {_in_words(error, content)}.") from error


def _open(content: bytes, name: str) -> Image.Image:
    image = Image.open(io.BytesIO(content), formats=raster_formats())
    if not 0 < math.prod(image.size) <= MAX_PIXELS:
        raise BadImage(
            f"{name} has {image.width} x {image.height} pixels. Expected at least one and "
            f"at most {MAX_PIXELS}."
        )
    return image


@functools.cache
def raster_formats() -> tuple[str, ...]:
    """All formats that Pillow reads by itself; EPS would start Ghostscript on a stranger's file."""
    Image.init()
    return tuple(name for name in Image.ID if name != "EPS")


def to_rgb(image: Image.Image) -> Image.Image:
    """The image as 8-bit RGB: transparency on white, deep grey scaled to 8 bits."""
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


def _in_words(error: Exception, content: bytes) -> str:
    head = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head")):
        return "the file holds HTML, perhaps an error page of the server it came from"
    if "cannot identify" in str(error):
        return "no known picture format"
    return str(error) or type(error).__name__
