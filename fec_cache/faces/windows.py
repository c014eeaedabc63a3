"""The square window around a face: its position, its pixels with repeated edges, its resize."""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from fec_cache.datasets.boxes import Box
from fec_cache.errors import BadImage
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.resize import resize_square

MAX_PIXELS = 100_000_000
Pixels = Image.Image | npt.NDArray[np.uint8]


def square_of(box: Box, size: tuple[int, int], margin: float) -> tuple[int, int, int]:
    """Return left, top and side of a face's square in pixels; it may extend beyond the image.

    Args:
        box: left, right, top, bottom as fractions of width and height.
        size: width and height of the upright image.
        margin: added on each side, as a fraction of the longer side.
    """
    width, height = size
    left, right, top, bottom = box
    face_width, face_height = (right - left) * width, (bottom - top) * height
    side = max(1, _rounded(max(face_width, face_height) * (1.0 + 2.0 * margin)))
    centre_x, centre_y = (left + right) / 2.0 * width, (top + bottom) / 2.0 * height
    return _rounded(centre_x - side / 2.0), _rounded(centre_y - side / 2.0), side


def _rounded(value: float) -> int:
    # Halves round up, also if floating point put them slightly below a half: so a face has the
    # same pixels in a crop of its picture as in the whole picture.
    return math.floor(math.floor(value * 1024.0 + 0.5) / 1024.0 + 0.5)


def cut_window(image: Pixels, box: Box, crop: CropConfig) -> npt.NDArray[np.uint8]:
    """Cut a face's square out of an upright RGB image and resize it.

    Args:
        image: a Pillow image, or [H, W, 3] uint8.
        box: left, right, top, bottom as fractions of width and height.
        crop: margin and size of the square.

    Returns:
        [S, S, 3] uint8, RGB.

    Raises:
        BadImage: the square has more than `MAX_PIXELS` pixels, as in a long and narrow picture.
    """
    left, top, side = usable_square(box, _size_of(image), crop.margin)
    return resize_square(_padded_window(image, left, top, side), crop.input_size)


def usable_square(box: Box, size: tuple[int, int], margin: float) -> tuple[int, int, int]:
    """Return left, top and side as `square_of` does, if the square fits in memory.

    Raises:
        BadImage: the square has more than `MAX_PIXELS` pixels.
    """
    left, top, side = square_of(box, size, margin)
    if side * side > MAX_PIXELS:
        raise BadImage(
            f"The box needs a square of {side} x {side} pixels in a picture of {size[0]} x "
            f"{size[1]}, more than the limit of {MAX_PIXELS}. Use a smaller box or picture."
        )
    return left, top, side


def part_inside(start: int, side: int, length: int) -> tuple[int, int]:
    """Return start and end, along one axis, of the part of a square inside a picture.

    It has at least one pixel, so that there is an edge to repeat.
    """
    return min(max(start, 0), length - 1), max(min(start + side, length), 1)


def upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Rotate and mirror [H, W, 3] by an EXIF orientation from 1 to 8.

    Returns:
        A view, nothing is copied.

    Source: EXIF 2.3, tag 274.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else None)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else None)
    return pixels[rows, columns]


def _size_of(image: Pixels) -> tuple[int, int]:
    if isinstance(image, Image.Image):
        return image.size
    return image.shape[1], image.shape[0]


def _padded_window(image: Pixels, left: int, top: int, side: int) -> npt.NDArray[np.uint8]:
    """Return the square window, with edge pixels repeated beyond the image."""
    width, height = _size_of(image)
    (x0, x1), (y0, y1) = part_inside(left, side, width), part_inside(top, side, height)
    if isinstance(image, Image.Image):
        inner: npt.NDArray[np.uint8] = np.asarray(image.crop((x0, y0, x1, y1)))
    else:
        inner = image[y0:y1, x0:x1]
    if inner.shape[:2] == (side, side):
        return inner
    above, before = y0 - top, x0 - left
    below, after = above + inner.shape[0], before + inner.shape[1]
    # Written out, because np.pad takes as long as decoding the picture.
    window = np.empty((side, side, 3), np.uint8)
    window[above:below, before:after] = inner
    window[above:below, :before] = np.repeat(inner[:, :1], before, axis=1)
    window[above:below, after:] = np.repeat(inner[:, -1:], side - after, axis=1)
    window[:above] = window[above]
    window[below:] = window[below - 1]
    return window
