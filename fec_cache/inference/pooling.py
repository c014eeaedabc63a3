"""Max pooling of a frozen network: maxima only, and not their places."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fec_cache.inference.winograd import largest_divisor

_ONEDNN: Any = torch.ops.mkldnn
# Larger maps leave the caches, and the C library gives memory that it takes for them back to the
# system and asks for it anew, page by page.
_BYTES_AT_ONCE = 1 << 22


def strided_max(
    images: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    is_rectified: bool,
    out: Tensor | None = None,
) -> Tensor:
    """Max pooling; torch's own also finds where each maximum stands, and is slower.

    Args:
        images: [B, C, H, W].
        kernel: height and width, at least 2 and more than twice the padding.
        stride: along height and width.
        padding: on each side of height and width.
        is_rectified: whether no number is below zero.
        out: where to put the maxima, if not in a tensor of their own.
    """
    dtype = images.dtype
    if is_rectified and dtype != torch.float16:
        # Floats from zero up stand in the order of their bits, and integers compare faster. Some
        # numbers that are none would be lost: in float16 sums overflow to them in earnest.
        whole = torch.int16 if dtype.itemsize == 2 else torch.int32
        images, out = images.view(whole), None if out is None else out.view(whole)
    sizes = zip((2, 3), kernel, stride, padding, (None, out), strict=True)
    for dim, size, step, edge, place in sizes:
        images = _max_along(images, dim, size, step, edge, place)
    return images.view(dtype)


def _max_along(
    images: Tensor, dim: int, kernel: int, stride: int, padding: int, out: Tensor | None
) -> Tensor:
    length = images.shape[dim]
    num = (length + 2 * padding - kernel) // stride + 1
    # For each place inside of the kernel the outputs that it reaches, those that reach all first.
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
    """A convolution and the maxima of what it gives, some pictures at a time.

    The first convolution of a network gives its largest map by far; pooled at once, it never is
    there as a whole.

    Args:
        images: [B, C, H, W].
        rows: pictures at a time, see `rows_at_once`.
        convolution: what `torch.ops.mkldnn._convolution_pointwise` takes behind the images.
        pool: what `strided_max` takes behind the images.
        shape: of the result, [B, O, H', W'].

    Returns:
        The pooled maps, channels last.
    """
    order = torch.channels_last
    result = torch.empty(list(shape), dtype=images.dtype, memory_format=order)
    kernel, stride, padding, is_rectified = pool
    for part, place in zip(images.split(rows), result.split(rows), strict=True):
        maps = _ONEDNN._convolution_pointwise(part, *convolution)
        strided_max(maps, kernel, stride, padding, is_rectified, out=place)
    return result


def rows_at_once(num: int, num_bytes: int) -> int:
    """How many pictures of a batch to take at a time, a divisor of their number.

    Args:
        num: B.
        num_bytes: of the map of one picture.
    """
    return largest_divisor(num, _BYTES_AT_ONCE // num_bytes)
