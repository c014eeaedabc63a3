"""What K heads learn and its gradients, laid out so that one kernel can update them.

Shapes: `*k` is (K,) for K heads side by side, or () for one: a plain product is faster than a
batched one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

# Views begin at multiples of 16 numbers: 64 bytes, one cache line and one AVX-512 vector.
_ALIGNMENT = 16


def side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """Stack tensors of equal shape [...] to a contiguous [*k, ...]."""
    return torch.stack(list(parts)).contiguous() if len(parts) > 1 else parts[0].clone()


def slice_of(stacked: Tensor, index: int, num_heads: int) -> Tensor:
    """The part [...] of one head in a tensor [*k, ...]."""
    return stacked[index] if num_heads > 1 else stacked


class Parameters:
    """Tensors [*k, ...] that are learned, as `values`, and their gradients, as `grads`.

    `swept` and `swept_grads` are what an optimiser works on: for one head a single vector each,
    because launching a kernel costs as much as a thousand numbers; for several the tensors.
    """

    def __init__(self, initial: Sequence[Tensor], num_heads: int) -> None:
        """Copy initial values [*k, ...], all on one device."""
        self.num_heads = num_heads
        flat, self.values = laid_out(initial)
        flat_grads, self.grads = laid_out([torch.zeros_like(tensor) for tensor in initial])
        is_single = num_heads == 1
        self.swept = [flat] if is_single else self.values
        self.swept_grads = [flat_grads] if is_single else self.grads


def laid_out(tensors: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """One zero-padded vector that holds all tensors, and a view [...] of each in it."""
    sizes = [-(-tensor.numel() // _ALIGNMENT) * _ALIGNMENT for tensor in tensors]
    flat = torch.zeros(sum(sizes), device=tensors[0].device)
    views, start = [], 0
    for tensor, size in zip(tensors, sizes, strict=True):
        view = flat[start : start + tensor.numel()].view(tensor.shape)
        view.copy_(tensor)
        views.append(view)
        start += size
    return flat, views
