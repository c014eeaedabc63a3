"""Pictures from any source: a path, bytes, a Pillow image, or an array of pixels."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from fec_cache.datasets.boxes import Box
from fec_cache.errors import BadImage
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.decode import to_rgb
from fec_cache.faces.images import Picture, read_picture
from fec_cache.faces.windows import MAX_PIXELS, Pixels, cut_window

PictureSource: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | npt.NDArray[np.uint8]"


class CuttablePicture(Protocol):
    """A picture that faces can be cut out of."""

    name: str

    def cut(self, box: Box, crop: CropConfig) -> npt.NDArray[np.uint8]:
        """Cut one face: [S, S, 3] uint8, RGB."""


class PixelPicture:
    """A picture whose pixels are in memory already."""

    def __init__(self, pixels: Pixels, name: str) -> None:
        """Take upright RGB pixels, [H, W, 3] uint8 or a Pillow image of mode RGB."""
        self.name, self._pixels = name, pixels

    def cut(self, box: Box, crop: CropConfig) -> npt.NDArray[np.uint8]:
        """Cut one face: [S, S, 3] uint8, RGB.

        Raises:
            BadImage: the square has more than `MAX_PIXELS` pixels.
        """
        return cut_window(self._pixels, box, crop)


def check_pictures(paths: Sequence[Path]) -> None:
    """Check that files are pictures, before networks are loaded to look at them.

    Raises:
        BadImage: one cannot be read or is no picture.
    """
    for path in paths:
        try:
            open_picture(path)
        except BadImage as error:
            raise BadImage(f"{error} Give two pictures, as JPEG or PNG.") from error


def open_picture(source: PictureSource, name: str = "") -> CuttablePicture:
    """Open a picture of any accepted kind.

    Args:
        source: the path of a file, a file's bytes, a Pillow image, or an array [H, W, 3] uint8,
            RGB.
        name: what to call it in messages; a path is its own name.

    Raises:
        BadImage: the file cannot be read or is no picture, or `source` is none of these kinds.

    Example:
        >>> import numpy as np
        >>> open_picture(np.zeros((8, 8, 3), np.uint8), "black").name
        'black'
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        return Picture(read_picture(path), name or str(path))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Picture(bytes(source), name or "the picture")
    if isinstance(source, Image.Image):
        return PixelPicture(_upright_rgb(source, name or "the picture"), name or "the picture")
    if isinstance(source, np.ndarray):
        return PixelPicture(_checked(source, name or "the array"), name or "the array")
    raise BadImage(
        f"A picture was given as {type(source).__name__}; expected a path, bytes, a Pillow image, "
        "or a NumPy array [H, W, 3] uint8 in RGB order."
    )


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    if not 0 < math.prod(image.size) <= MAX_PIXELS:
        raise BadImage(
            f"{name} has {image.width} x {image.height} pixels. Expected at least one and at most "
            f"{MAX_PIXELS}."
        )
    try:
        return to_rgb(ImageOps.exif_transpose(image))
    # Pillow decodes here, not in `Image.open`: its plugins raise nearly any type on damaged bytes.
    except Exception as error:
        raise BadImage(f"{name} is not a usable picture: {error}.") from error


def _checked(pixels: npt.NDArray[np.uint8], name: str) -> npt.NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise BadImage(
            f"{name} has shape {list(pixels.shape)} and dtype {pixels.dtype}; expected "
            "[H, W, 3] uint8 in RGB order."
        )
    return np.ascontiguousarray(pixels)
