"""The part of a picture to store if only crops are kept, and the face's box inside that part."""

import itertools
import math
from dataclasses import dataclass

from fec_cache.datasets.boxes import Box
from fec_cache.faces.windows import square_of

KEPT_MARGIN = 0.4
"""Recipes up to this margin see the same pixels in the crop as in the whole picture."""

_CHECKED_MARGINS = tuple(step / 100 for step in range(0, 41, 5))
_SHIFTS = (0.0, 1e-7, -1e-7, 1e-6, -1e-6, 1e-5, -1e-5)


@dataclass(frozen=True)
class Window:
    """A part of a picture that is kept.

    Attributes:
        pixels: left, top, right, bottom, in the order of Pillow's `crop`.
        box: the face inside the part, as fractions of it: left, right, top, bottom.
    """

    pixels: tuple[int, int, int, int]
    box: Box


def crop_window(box: Box, size: tuple[int, int]) -> Window:
    """Return the part of a picture that contains a face with 40 % margin on each side.

    A corner of the face's square can lie so close to a rounding boundary that the box inside the
    part rounds to another pixel than the original box. Then the box is shifted by less than a
    thousandth of a pixel, so that both give the same pixels.

    Args:
        box: the face, as fractions of the picture: left, right, top, bottom.
        size: width and height of the upright picture, in pixels.
    """
    width, height = size
    left, top, side = square_of(box, size, KEPT_MARGIN)
    # One pixel more on each side: the squares of smaller margins may be rounded outwards.
    first_x, first_y = min(max(0, left - 1), width - 1), min(max(0, top - 1), height - 1)
    last_x = max(first_x + 1, min(width, left + side + 1))
    last_y = max(first_y + 1, min(height, top + side + 1))
    pixels = (first_x, first_y, last_x, last_y)
    exact = _inside_part(box, size, pixels)
    best, fewest = exact, _num_changed(exact, box, size, pixels)
    for x, y in itertools.product(_SHIFTS, _SHIFTS):
        if not fewest:
            break
        shifted = _shifted(exact, x, y)
        num_changed = _num_changed(shifted, box, size, pixels)
        if num_changed < fewest:
            best, fewest = shifted, num_changed
    return Window(pixels, best)


def _inside_part(box: Box, size: tuple[int, int], pixels: tuple[int, int, int, int]) -> Box:
    x0, y0, x1, y1 = pixels
    width, height = size
    sides = (
        (box[0] * width - x0) / (x1 - x0),
        (box[1] * width - x0) / (x1 - x0),
        (box[2] * height - y0) / (y1 - y0),
        (box[3] * height - y0) / (y1 - y0),
    )
    return _clipped(sides)


def _shifted(box: Box, x: float, y: float) -> Box:
    sides = (box[0] + x, box[1] + x, box[2] + y, box[3] + y)
    return _clipped(sides)


def _clipped(sides: Box) -> Box:
    left, right, top, bottom = (min(max(side, 0.0), 1.0) for side in sides)
    # A box much smaller than a pixel must not become empty by rounding.
    left, top = min(left, math.nextafter(1.0, 0.0)), min(top, math.nextafter(1.0, 0.0))
    return left, max(right, math.nextafter(left, 1.0)), top, max(bottom, math.nextafter(top, 1.0))


def _num_changed(
    inner: Box, box: Box, size: tuple[int, int], pixels: tuple[int, int, int, int]
) -> int:
    """Count the margins at which the inner box gives another square than the original box."""
    x0, y0, x1, y1 = pixels
    changed = 0
    for margin in _CHECKED_MARGINS:
        left, top, side = square_of(box, size, margin)
        changed += square_of(inner, (x1 - x0, y1 - y0), margin) != (left - x0, top - y0, side)
    return changed
