"""Max pooling of a frozen network: only the maxima, not their positions."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fec_cache.inference.winograd import largest_divisor

_ONEDNN: Any = torch.ops.mkldnn
# Larger maps do not fit into CPU caches, and the C library returns their memory to the system and
# maps it again, page by page, in every pass: 1.4 ms per face of ResNet18 in fp32.
_BYTES_AT_ONCE = 1 << 22


def strided_max(
    images: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    is_rectified: bool,
    out: Tensor | None = None,
) -> Tensor:
    """Return the maxima; torch's own pooling also computes their positions, and is slower.

    Args:
        images: [B, C, H, W], a floating-point type.
        kernel: height and width, at least 2 and more than twice the padding.
        stride: along height and width.
        padding: on each side of height and width.
        is_rectified: whether no value is negative.
        out: tensor for the maxima; without one, a new tensor.
    """
    dtype = images.dtype
    if is_rectified and dtype != torch.float16:
        # The bits of non-negative floats are ordered like the floats, and integers compare faster.
        # A NaN with its sign bit set would get lost: in float16, sums do overflow to NaN.
        integer = torch.int16 if dtype.itemsize == 2 else torch.int32
        images, out = images.view(integer), None if out is None else out.view(integer)
    sizes = zip((2, 3), kernel, stride, padding, (None, out), strict=True)
    for dim, size, step, edge, target in sizes:
        images = _max_along(images, dim, size, step, edge, target)
    return images.view(dtype)


def _max_along(
    images: Tensor, dim: int, kernel: int, stride: int, padding: int, out: Tensor | None
) -> Tensor:
    length = images.shape[dim]
    num = (length + 2 * padding - kernel) // stride + 1
    # For each offset inside the kernel, the outputs that it contributes to; full ranges first.
    spans = []
    for offset in range(-padding, kernel - padding):
        first = max(0, -(offset // stride))
        spans.append((offset, first, min(num, (length - 1 - offset) // stride + 1) - first))
    spans.sort(key=lambda span: -span[2])
    parts = [
        images[(slice(None),) * dim + (slice(first * stride + offset, None, stride),)].narrow(
            dim, 0, count
        )
        for offset, first, count in spans
    ]
    result = torch.maximum(parts[0], parts[1], out=out)
    for part, (_, first, count) in zip(parts[2:], spans[2:], strict=True):
        reached = result.narrow(dim, first, count)
        torch.maximum(reached, part, out=reached)
    return result


def pooled_convolution(
    images: Tensor,
    rows: int,
    convolution: Sequence[Any],
    pool: Sequence[Any],
    shape: Sequence[int],
) -> Tensor:
    """Return the max-pooled output of a convolution, computed for a few pictures at a time.

    The output of a network's first convolution is by far its largest map; pooled at once, it never
    exists as a whole.

    Args:
        images: [B, C, H, W].
        rows: pictures at a time, see `rows_at_once`.
        convolution: arguments of `torch.ops.mkldnn._convolution_pointwise` after the images.
        pool: arguments of `strided_max` after the images.
        shape: of the result, [B, O, H', W'].

    Returns:
        The pooled maps [B, O, H', W'], channels last.
    """
    result = torch.empty(list(shape), dtype=images.dtype, memory_format=torch.channels_last)
    kernel, stride, padding, is_rectified = pool
    for part, target in zip(images.split(rows), result.split(rows), strict=True):
        maps = _ONEDNN._convolution_pointwise(part, *convolution)
        strided_max(maps, kernel, stride, padding, is_rectified, out=target)
    return result


def rows_at_once(num: int, num_bytes: int) -> int:
    """Return how many pictures to process at a time: a divisor of their number.

    Args:
        num: B, the number of pictures.
        num_bytes: size of the map of one picture.
    """
    return largest_divisor(num, _BYTES_AT_ONCE // num_bytes)
