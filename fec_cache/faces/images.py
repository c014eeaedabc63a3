"""Picture files and the faces in them: read, decode as small as possible, cut.

`decode` decodes whole pictures, `windows` cuts the square around a face, `resize` scales it.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from fec_cache.datasets.annotations import FaceRef
from fec_cache.datasets.boxes import Box
from fec_cache.errors import BadImage
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.decode import decode_image, naming_damage, open_image, without_warnings
from fec_cache.faces.jpeg_head import size_of_plain_jpeg
from fec_cache.faces.windows import Pixels, cut_window, square_of, upright
from fec_cache.system.regular_files import read_regular

_ORIENTATION_TAG = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
# A square that is decoded larger than needed is still filtered by the resize, as a whole one is:
# cosines with features of whole pictures were 0.982 at 1.0 and 0.995 to 0.998 at 1.25.
_LEAST_OVERSIZE = 1.25


def read_image(path: Path) -> Image.Image:
    """Read and decode an image file; see `decode_image`.

    Raises:
        BadImage: the file cannot be read or is not a picture.
    """
    return decode_image(read_picture(path), str(path))


def read_picture(path: Path) -> bytes:
    """Read the bytes of a picture file.

    Raises:
        BadImage: it does not exist, is not a regular file, or cannot be read.
    """
    try:
        return read_regular(path)
    except OSError as error:
        raise BadImage(f"{path} cannot be read: {error.strerror or error}.") from error


def load_face(images_dir: Path, ref: FaceRef, crop: CropConfig) -> npt.NDArray[np.uint8]:
    """Read one face from its image file, exactly as extraction does: [S, S, 3] uint8, RGB.

    Raises:
        BadImage: the file is missing, not a picture, or too large.
    """
    path = images_dir / ref.image_path
    return Picture(read_picture(path), str(path)).cut(ref.box, crop)


class Picture:
    """A picture file whose header was read; pixels are decoded when a face is cut.

    The same face gives the same values whatever else is cut from the picture.
    """

    def __init__(self, content: bytes, name: str) -> None:
        """Read the header.

        Raises:
            BadImage: not a picture, or more than `MAX_PIXELS` pixels.
        """
        self._content, self.name = content, name
        self._decoded: dict[int, Pixels] = {}
        self._orientation, self._is_jpeg = 1, True
        self.plain_size = size_of_plain_jpeg(content)
        """Width and height of a JPEG without orientation; None for all other pictures."""
        if self.plain_size is None:
            self._read_header()
        else:
            self._size = self.plain_size

    def _read_header(self) -> None:
        content, name = self._content, self.name
        with naming_damage(content, name), without_warnings():
            image = open_image(content, name)
            self._orientation = image.getexif().get(_ORIENTATION_TAG, 1)
            # Pillow decodes CMYK and the rarer kinds of JPEG, and all other formats.
            self._is_jpeg = image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L")
            self._size = image.size[::-1] if self._orientation in _SIDEWAYS else image.size

    def size_bytes(self, boxes: Sequence[Box], crop: CropConfig) -> int:
        """Return roughly how much memory decoding for these boxes takes at its peak."""
        pixels = math.prod(self._size)
        scales = {self._scale(box, crop) for box in boxes}
        # Pillow needs four bytes per pixel, and as many again while it rotates the picture.
        each = 3 if self._is_jpeg else 8
        return sum(each * pixels // (scale * scale) for scale in scales)

    def cut(self, box: Box, crop: CropConfig) -> npt.NDArray[np.uint8]:
        """Cut one face: [S, S, 3] uint8, RGB.

        Args:
            box: left, right, top, bottom as fractions of width and height.
            crop: margin and size of the square, and how JPEGs are decoded.

        Raises:
            BadImage: the picture is damaged, or the square larger than `MAX_PIXELS` pixels.
        """
        scale = self._scale(box, crop)
        if scale not in self._decoded:
            self._decoded[scale] = self._decode(scale)
        return cut_window(self._decoded[scale], box, crop)

    def _scale(self, box: Box, crop: CropConfig) -> int:
        """Return the largest of libjpeg's divisors at which enough pixels are left for the crop."""
        if not self._is_jpeg or crop.decode != "scaled":
            return 1
        side = square_of(box, self._size, crop.margin)[2]
        least = _LEAST_OVERSIZE * crop.input_size
        return next(scale for scale in (8, 4, 2, 1) if side >= scale * least or scale == 1)

    def _decode(self, scale: int) -> Pixels:
        if self._is_jpeg:
            width, height = self._size[::-1] if self._orientation in _SIDEWAYS else self._size
            sides = {"min_height": -(-height // scale), "min_width": -(-width // scale)}
            try:
                pixels = simplejpeg.decode_jpeg(self._content, "RGB", min_factor=scale, **sides)
                return upright(pixels, self._orientation)
            except ValueError:
                # libjpeg is strict: Pillow decides whether the picture is usable.
                return decode_image(self._content, self.name)
        return decode_image(self._content, self.name)
