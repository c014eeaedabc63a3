"""Winograd's F(4 x 4, 3 x 3): a 3 x 3 convolution with a quarter of the multiplications.

A map is cut into patches of 6 x 6 that overlap by two. Patches and weights are transformed to
another basis, in which the convolution is one matrix product for each of the 36 positions; the
products are transformed back to tiles of 4 x 4. All steps are matrix products that the BLAS library
runs at full speed, on pieces that stay in a core's cache. In float32 the result loses about two
bits of precision.

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
# The second column of `_OUTPUT` is ones: a value added at its position reaches all outputs alike.
_BIAS_POSITION = _PATCH + 1

# For each of the 36 positions: 4.7 MB in total, about the size of a core's cache.
_VALUES_AT_ONCE = 1 << 15
# Cost of a tile in multiplications of a direct convolution: per product in the new basis, per input
# channel transformed, per output channel transformed back. Measured from 32 channels at 112 x 112
# to 512 at 7 x 7, with AVX512; with AVX2 the gain is the same or larger.
_PRODUCT_COST, _INPUT_COST, _OUTPUT_COST = 1.23, 3350, 2510
_LEAST_GAIN = 1.05
_CACHE_LINE = 16  # float32 values


def is_worthwhile(channels_in: int, channels_out: int, height: int, width: int) -> bool:
    """Whether a 3 x 3 convolution with stride 1 is faster by this algorithm, judged by its shape.

    Not measured at run time, so that the same pictures always go through the same arithmetic.
    """
    tiles = -(-height // _TILE) * -(-width // _TILE)
    products = _PRODUCT_COST * _PATCH * _PATCH * channels_in * channels_out
    cost = tiles * (products + _INPUT_COST * channels_in + _OUTPUT_COST * channels_out)
    return 9 * height * width * channels_in * channels_out >= _LEAST_GAIN * cost


def winograd_weights(weight: Tensor) -> Tensor:
    """Transform the weights of a convolution, [O, C, 3, 3] float32, to [36, C, O] float32."""
    outputs, channels = weight.shape[:2]
    transformed = torch.mm(_WEIGHT_2D, weight.permute(2, 3, 1, 0).reshape(9, -1))
    return transformed.view(_PATCH * _PATCH, channels, outputs)


def winograd_convolution(
    images: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    other: Tensor | None,
    has_relu: bool,
    in_place: bool = False,
) -> Tensor:
    """Return a 3 x 3 convolution with stride 1 and padding 1, plus a residual, rectified.

    Args:
        images: [B, C, H, W] float32; fastest with channels last.
        weights: [36, C, O] float32, see `winograd_weights`.
        bias: [O] float32, or None.
        other: [B, O, H, W] float32 to add, or None.
        has_relu: whether negative values become zero.
        in_place: whether the result may overwrite `other`, if that is channels last; it must not
            share memory with the images.

    Returns:
        [B, O, H, W] float32, channels last.
    """
    plan = _plan(images.shape, weights.shape[2])
    workspace = _Workspace(plan, weights, bias)
    images, added = images.permute(0, 2, 3, 1), None if other is None else other.permute(0, 2, 3, 1)
    if added is not None and in_place and added.is_contiguous():
        result = added
    else:
        result = images.new_empty(*images.shape[:3], weights.shape[2])
    for start in range(0, len(images), plan.chunk):
        chunk = slice(start, start + plan.chunk)
        workspace.load(images[chunk])
        for row in range(0, plan.rows, plan.strip):
            strip = slice(_TILE * row, _TILE * (row + plan.strip))
            residual = None if added is None else added[chunk, strip]
            _assemble(workspace.tiles(row), result[chunk, strip], residual, has_relu)
    return result.permute(0, 3, 1, 2)


class _Plan(NamedTuple):
    """How a batch is cut into pieces: a few whole pictures, or a strip of tile rows of one."""

    rows: int
    columns: int
    channels: int
    chunk: int
    strip: int


def _plan(shape: Sequence[int], outputs: int) -> _Plan:
    num, channels, height, width = shape
    rows, columns = -(-height // _TILE), -(-width // _TILE)
    max_tiles = max(1, _VALUES_AT_ONCE // max(channels, outputs))
    strip = largest_divisor(rows, max_tiles // columns)
    chunk = largest_divisor(num, max_tiles // (rows * columns)) if strip == rows else 1
    return _Plan(rows, columns, channels, chunk, strip)


class _Workspace:
    """A thread's memory for one piece at a time, reused from call to call.

    If it were freed, the system would map it again page by page in each call, which takes as long
    as the products.
    """

    _of_thread = threading.local()

    def __init__(self, plan: _Plan, weights: Tensor, bias: Tensor | None) -> None:
        positions, channels, outputs = weights.shape
        self._plan, self._weights, self._bias = plan, weights, bias
        num = plan.chunk * plan.strip * plan.columns
        shapes = (
            (plan.chunk, _TILE * plan.rows + 2, _TILE * plan.columns + 2, channels),
            (positions, num, channels),
            (positions, num, channels),
            (positions, num, outputs),
            (_TILE * _TILE, num, outputs),
        )
        parts = self._parts(shapes)
        self._padded, self._patches, self._transformed, self._products, self._tiles = parts
        self._padded.zero_()

    def _parts(self, shapes: Sequence[Sequence[int]]) -> list[Tensor]:
        """Return tensors of these shapes, each aligned to a cache line."""
        sizes = [-(-math.prod(shape) // _CACHE_LINE) * _CACHE_LINE for shape in shapes]
        memory: Tensor | None = getattr(self._of_thread, "memory", None)
        if memory is None or len(memory) < sum(sizes):
            # Outside of inference mode, so that calls in either mode can write to it.
            with torch.inference_mode(False):
                memory = self._of_thread.memory = torch.empty(sum(sizes))
        parts = memory[: sum(sizes)].split(sizes)
        return [
            part[: math.prod(shape)].view(shape) for part, shape in zip(parts, shapes, strict=True)
        ]

    def load(self, images: Tensor) -> None:
        """Copy a few whole pictures, [b, H, W, C], into the zero padding."""
        height, width = images.shape[1:3]
        self._padded[:, 1 : height + 1, 1 : width + 1].copy_(images)

    def tiles(self, row: int) -> Tensor:
        """Return the output tiles [4, 4, b, r, c, O] of a strip of r tile rows, from `row` on."""
        patches = self._patches_of(row)
        self._patches.view(patches.shape).copy_(patches)
        torch.mm(_INPUT_2D, self._patches.flatten(1), out=self._transformed.flatten(1))
        torch.bmm(self._transformed, self._weights, out=self._products)
        if self._bias is not None:
            self._products[_BIAS_POSITION].add_(self._bias)
        torch.mm(_OUTPUT_2D, self._products.flatten(1), out=self._tiles.flatten(1))
        return self._tiles.view(_TILE, _TILE, *patches.shape[2:5], self._products.shape[2])

    def _patches_of(self, row: int) -> Tensor:
        """Return overlapping patches [6, 6, b, r, c, C], a view."""
        padded, plan = self._padded, self._plan
        image, line, pixel, channel = padded.stride()
        return padded.as_strided(
            (_PATCH, _PATCH, len(padded), plan.strip, plan.columns, plan.channels),
            (line, pixel, image, _TILE * line, _TILE * pixel, channel),
            padded.storage_offset() + _TILE * row * line,
        )


def _assemble(tiles: Tensor, out: Tensor, residual: Tensor | None, has_relu: bool) -> None:
    """Write tiles [4, 4, b, r, c, O] to [b, H, W, O]; tiles at the edge are clipped."""
    for rows, columns in product(_spans(out.shape[1]), _spans(out.shape[2])):
        part = tiles[: rows.size, : columns.size, :, rows.tiles, columns.tiles]
        part = part.permute(2, 3, 0, 4, 1, 5)
        target = _in_tiles(out, rows, columns)
        if residual is not None:
            torch.add(part, _in_tiles(residual, rows, columns), out=target)
            if has_relu:
                target.relu_()
        elif has_relu:
            torch.clamp_min(part, 0.0, out=target)
        else:
            target.copy_(part)


class _Span(NamedTuple):
    """Tiles along one axis of which `size` of the 4 pixels are used."""

    tiles: slice
    num: int
    size: int

    @property
    def pixels(self) -> slice:
        """Pixels that they cover."""
        start = _TILE * self.tiles.start
        return slice(start, start + self.num * self.size)


def _spans(length: int) -> list[_Span]:
    whole, part = divmod(length, _TILE)
    spans = [_Span(slice(0, whole), whole, _TILE), _Span(slice(whole, whole + 1), 1, part)]
    return [span for span in spans if span.num and span.size]


def _in_tiles(maps: Tensor, rows: _Span, columns: _Span) -> Tensor:
    """Return a part of maps [b, H, W, O] as [b, r, h, c, w, O], a view."""
    part = maps[:, rows.pixels, columns.pixels]
    num, outputs = len(maps), maps.shape[3]
    return part.view(num, rows.num, rows.size, columns.num, columns.size, outputs)


def largest_divisor(number: int, limit: int) -> int:
    """Return the largest divisor of a number that does not exceed a limit, but at least 1."""
    return next((part for part in range(min(number, limit), 1, -1) if number % part == 0), 1)
