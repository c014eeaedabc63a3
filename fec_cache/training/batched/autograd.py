"""K heads of any kind, one after the other by autograd, for heads without hand-written steps.

Steps by hand are in `pairings` and `embeddings`. Shapes as in `pairings`.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from fec_cache.errors import HeadMismatch
from fec_cache.heads.base import PairHead
from fec_cache.training.batched.pairings import BatchBuffers, StackedHeads
from fec_cache.training.batched.parameters import Parameters, side_by_side, slice_of
from fec_cache.training.batched.resident import Resident


class StackedByAutograd(StackedHeads):
    """Copies of the heads whose parameters are views of the memory that the optimiser sweeps."""

    # Dropout in a module draws from the global generator, which a CUDA graph does not record here.
    is_graphable = False

    def __init__(
        self, heads: Sequence[PairHead], noise: Sequence[torch.Generator], resident: Resident
    ) -> None:
        """Take copies of the heads.

        Raises:
            HeadMismatch: the heads have no parameters.
        """
        super().__init__(heads, noise, resident)
        self._noise = tuple(noise)
        self._heads = [copy.deepcopy(head).train() for head in heads]
        self._learned = [[p for p in head.parameters() if p.requires_grad] for head in self._heads]
        if not self._learned[0]:
            raise HeadMismatch(f"A {heads[0].kind.name} head has no parameters to train by steps.")
        initial = [
            side_by_side([parameter.detach() for parameter in same])
            for same in zip(*self._learned, strict=True)
        ]
        self.parameters = Parameters(initial, len(heads))
        for index, own in enumerate(self._learned):
            for parameter, value in zip(own, self.parameters.values, strict=True):
                parameter.data = slice_of(value, index, len(heads))
        self._logits: list[Tensor] = []
        self._distances: list[Tensor] = []

    def buffers(self, batch_size: int, num_faces: int) -> BatchBuffers:
        """Memory for batches of B items."""
        shape = (*self.lead, batch_size, 1 if num_faces == 2 else 3)
        pairs = self.resident.empty(*shape, 2, self.resident.width)
        gathered = pairs.view(-1, self.resident.width)
        return BatchBuffers(gathered, pairs.new_empty(shape), pairs.new_empty(shape))

    def forward(self, rows: Tensor, buffers: BatchBuffers) -> Tensor:
        """Logits [*k, B, P] of rows [*k, B * 2P]."""
        self.resident.gather(rows, buffers.gathered)
        shape = (len(self._heads), *buffers.logits.shape[-2:])
        pairs = buffers.gathered.view(len(self._heads), -1, 2, self.resident.width)
        self._logits = []
        for head, own_pairs, generator in zip(self._heads, pairs, self._noise, strict=True):
            with torch.enable_grad(), _drawing_from(generator):
                logits = head.compare(own_pairs[:, 0], own_pairs[:, 1])
                self._logits.append(logits.view(shape[1:]))
        return self._detached(self._logits)

    def distances(self, logits: Tensor) -> Tensor:
        """Distances [*k, B, P] of the last forward pass."""
        with torch.enable_grad():
            self._distances = [
                head.distance(own) for head, own in zip(self._heads, self._logits, strict=True)
            ]
        return self._detached(self._distances)

    def backward(self, logit_grads: Tensor, buffers: BatchBuffers) -> None:
        """Fill the gradients of all parameters from those by the logits, [*k, B, P]."""
        self._back(self._logits, logit_grads)

    def backward_from(
        self, distance_grads: Tensor, distances: Tensor, buffers: BatchBuffers
    ) -> None:
        """Fill the gradients of all parameters from those by the distances, both [*k, B, P]."""
        self._back(self._distances, distance_grads)

    def hold_offset(self) -> None:
        """Nothing: which parameter shifts all logits is unknown.

        Its gradient is a rounding error, so it drifts, which changes no triplet's answer and is
        undone by the calibration.
        """

    def write_to(self, head: PairHead, index: int) -> None:
        """Copy what the head at an index learned into its module."""
        head.load_state_dict(self._heads[index].state_dict())

    def _back(self, outputs: list[Tensor], output_grads: Tensor) -> None:
        num_heads = len(self._heads)
        for index, (output, own) in enumerate(zip(outputs, self._learned, strict=True)):
            # With allow_unused torch gives None where its annotation says Tensor.
            grads: Sequence[Tensor | None] = torch.autograd.grad(
                output, own, slice_of(output_grads, index, num_heads), allow_unused=True
            )
            for stacked, grad in zip(self.parameters.grads, grads, strict=True):
                target = slice_of(stacked, index, num_heads)
                if grad is None:
                    target.zero_()
                else:
                    target.copy_(grad)

    def _detached(self, parts: Sequence[Tensor]) -> Tensor:
        return side_by_side([part.detach() for part in parts])


@contextmanager
def _drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let the global generator of a CPU or GPU continue from another generator's state."""
    device = generator.device
    get: Callable[[], Tensor] = torch.get_rng_state
    put: Callable[[Tensor], None] = torch.set_rng_state
    if device.type == "cuda":
        get = partial(torch.cuda.get_rng_state, device)
        put = partial(torch.cuda.set_rng_state, device=device)
    before = get()
    put(generator.get_state())
    try:
        yield
    finally:
        generator.set_state(get())
        put(before)
