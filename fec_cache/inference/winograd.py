"""Winograd's F(4 x 4, 3 x 3): a convolution of 3 x 3 with a quarter of the multiplications.

A map is cut into tiles of 6 x 6 that overlap by two. Tiles and weights are brought into another
basis, where the convolution is one product of matrices for each of the 36 places, and what comes
out goes back as tiles of 4 x 4. Everything is a product that the BLAS library does at full speed,
on pieces that stay in a core's cache. In float32 this costs about two bits of the last digits.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.2.
"""

import math
import threading
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

_TILE, _PATCH = 4, 6
_INPUT = torch.tensor(
    [
        [4.0, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_WEIGHT = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
_OUTPUT = torch.tensor(
    [
        [1.0, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ]
)
_INPUT_2D, _WEIGHT_2D = torch.kron(_INPUT, _INPUT), torch.kron(_WEIGHT, _WEIGHT)
_OUTPUT_2D = torch.kron(_OUTPUT, _OUTPUT)
# The second column of `_OUTPUT` is ones: what is added at its place reaches all outputs alike.
_PLACE_OF_BIAS = _PATCH + 1

# Of one of the 36 places: 4.7 MB in all, about what a core's cache holds.
_NUMBERS_AT_ONCE = 1 << 15
# What a tile costs, as multiplications of a direct convolution: each of the products inside, each
# channel that is brought there, each that is brought back. Measured from 32 channels at 112 x 112
# to 512 at 7 x 7, with AVX512; with AVX2 the gain is the same or larger.
_PRODUCT, _INTO, _BACK = 1.23, 3350, 2510
_LEAST_GAIN = 1.05
_CACHE_LINE = 16  # numbers


def is_worthwhile(channels_in: int, channels_out: int, height: int, width: int) -> bool:
    """Whether a convolution of 3 x 3 at stride 1 is faster this way, judged by its shape.

    Not measured, so that the same pictures always meet the same arithmetic.
    """
    tiles = -(-height // _TILE) * -(-width // _TILE)
    inside = _PRODUCT * _PATCH * _PATCH * channels_in * channels_out
    cost = tiles * (inside + _INTO * channels_in + _BACK * channels_out)
    return 9 * height * width * channels_in * channels_out >= _LEAST_GAIN * cost


def winograd_weights(weight: Tensor) -> Tensor:
    """Weights of a convolution, [O, C, 3, 3] float32, in the other basis: [36, C, O] float32."""
    outputs, channels = weight.shape[:2]
    inside = torch.mm(_WEIGHT_2D, weight.permute(2, 3, 1, 0).reshape(9, -1))
    return inside.view(_PATCH * _PATCH, channels, outputs)


def winograd_convolution(
    images: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    other: Tensor | None,
    has_relu: bool,
    in_place: bool = False,
) -> Tensor:
    """Convolution of 3 x 3, stride 1, one zero around; plus a residual, and rectified.

    Args:
        images: [B, C, H, W] float32; fastest channels last.
        weights: [36, C, O], see `winograd_weights`.
        bias: [O], or None.
        other: [B, O, H, W] to add, or None.
        has_relu: whether numbers below zero become zero.
        in_place: whether `other`, channels last and not the images, may become the result.

    Returns:
        [B, O, H, W] float32, channels last.
    """
    plan = _plan(images.shape, weights.shape[2])
    work = _Work(plan, weights, bias)
    images, added = images.permute(0, 2, 3, 1), None if other is None else other.permute(0, 2, 3, 1)
    if added is not None and in_place and added.is_contiguous():
        result = added
    else:
        result = images.new_empty(*images.shape[:3], weights.shape[2])
    for start in range(0, len(images), plan.chunk):
        chunk = slice(start, start + plan.chunk)
        work.take(images[chunk])
        for row in range(0, plan.rows, plan.strip):
            strip = slice(_TILE * row, _TILE * (row + plan.strip))
            rest = None if added is None else added[chunk, strip]
            _put_together(work.tiles(row), result[chunk, strip], rest, has_relu)
    return result.permute(0, 3, 1, 2)


class _Plan(NamedTuple):
    """How a batch is cut into pieces: some whole pictures, or a strip of rows of tiles of one."""

    rows: int
    columns: int
    channels: int
    chunk: int
    strip: int


def _plan(shape: Sequence[int], outputs: int) -> _Plan:
    num, channels, height, width = shape
    rows, columns = -(-height // _TILE), -(-width // _TILE)
    most = max(1, _NUMBERS_AT_ONCE // max(channels, outputs))
    strip = largest_divisor(rows, most // columns)
    chunk = largest_divisor(num, most // (rows * columns)) if strip == rows else 1
    return _Plan(rows, columns, channels, chunk, strip)


class _Work:
    """A thread's memory for one piece at a time, kept from call to call.

    Given back and taken anew, it would be mapped page by page each time, which takes as long as the
    products do.
    """

    _mine = threading.local()

    def __init__(self, plan: _Plan, weights: Tensor, bias: Tensor | None) -> None:
        places, channels, outputs = weights.shape
        self._plan, self._weights, self._bias = plan, weights, bias
        num = plan.chunk * plan.strip * plan.columns
        shapes = (
            (plan.chunk, _TILE * plan.rows + 2, _TILE * plan.columns + 2, channels),
            (places, num, channels),
            (places, num, channels),
            (places, num, outputs),
            (_TILE * _TILE, num, outputs),
        )
        parts = self._parts(shapes)
        self._padded, self._patches, self._inside, self._products, self._tiles = parts
        self._padded.zero_()

    def _parts(self, shapes: Sequence[Sequence[int]]) -> list[Tensor]:
        """Tensors of these shapes, each on a cache line's edge."""
        sizes = [-(-math.prod(shape) // _CACHE_LINE) * _CACHE_LINE for shape in shapes]
        numbers: Tensor | None = getattr(self._mine, "numbers", None)
        if numbers is None or len(numbers) < sum(sizes):
            with torch.inference_mode(False):
                numbers = self._mine.numbers = torch.empty(sum(sizes))
        parts = numbers[: sum(sizes)].split(sizes)
        return [
            part[: math.prod(shape)].view(shape) for part, shape in zip(parts, shapes, strict=True)
        ]

    def take(self, images: Tensor) -> None:
        """Read some whole pictures, [b, H, W, C]; around them is zero."""
        height, width = images.shape[1:3]
        self._padded[:, 1 : height + 1, 1 : width + 1].copy_(images)

    def tiles(self, row: int) -> Tensor:
        """The convolution's tiles [4, 4, b, r, c, O] of a strip of rows, from the given one on."""
        patches = self._patches_of(row)
        self._patches.view(patches.shape).copy_(patches)
        torch.mm(_INPUT_2D, self._patches.flatten(1), out=self._inside.flatten(1))
        torch.bmm(self._inside, self._weights, out=self._products)
        if self._bias is not None:
            self._products[_PLACE_OF_BIAS].add_(self._bias)
        torch.mm(_OUTPUT_2D, self._products.flatten(1), out=self._tiles.flatten(1))
        return self._tiles.view(_TILE, _TILE, *patches.shape[2:5], self._products.shape[2])

    def _patches_of(self, row: int) -> Tensor:
        """Overlapping patches: [6, 6, b, r, c, C], a view."""
        padded, plan = self._padded, self._plan
        image, line, pixel, channel = padded.stride()
        return padded.as_strided(
            (_PATCH, _PATCH, len(padded), plan.strip, plan.columns, plan.channels),
            (line, pixel, image, _TILE * line, _TILE * pixel, channel),
            padded.storage_offset() + _TILE * row * line,
        )


def _put_together(tiles: Tensor, out: Tensor, rest: Tensor | None, has_relu: bool) -> None:
    """Tiles [4, 4, b, r, c, O] -> their places in [b, H, W, O]; of the last ones only a part."""
    for rows, columns in product(_spans(out.shape[1]), _spans(out.shape[2])):
        part = tiles[: rows.size, : columns.size, :, rows.tiles, columns.tiles]
        part = part.permute(2, 3, 0, 4, 1, 5)
        place = _in_tiles(out, rows, columns)
        if rest is not None:
            torch.add(part, _in_tiles(rest, rows, columns), out=place)
            if has_relu:
                place.relu_()
        elif has_relu:
            torch.clamp_min(part, 0.0, out=place)
        else:
            place.copy_(part)


class _Span(NamedTuple):
    """Tiles along one axis of which the same part is needed."""

    tiles: slice
    num: int
    size: int

    @property
    def pixels(self) -> slice:
        """Where they lie."""
        start = _TILE * self.tiles.start
        return slice(start, start + self.num * self.size)


def _spans(length: int) -> list[_Span]:
    whole, part = divmod(length, _TILE)
    spans = [_Span(slice(0, whole), whole, _TILE), _Span(slice(whole, whole + 1), 1, part)]
    return [span for span in spans if span.num and span.size]


def _in_tiles(maps: Tensor, rows: _Span, columns: _Span) -> Tensor:
    """Part of maps [b, H, W, O] as [b, r, h, c, w, O], a view."""
    part = maps[:, rows.pixels, columns.pixels]
    num, outputs = len(maps), maps.shape[3]
    return part.view(num, rows.num, rows.size, columns.num, columns.size, outputs)


def largest_divisor(number: int, most: int) -> int:
    """The largest divisor of a number that is at most another, and at least 1."""
    return next((part for part in range(min(number, most), 1, -1) if number % part == 0), 1)
