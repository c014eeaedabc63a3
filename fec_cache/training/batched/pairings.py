"""How a batch's faces become logits, and how gradients come back, for K heads side by side.

Shapes: `*k` is (K,) for K heads side by side, or () for one; B items of a batch; each item is
F = 2 faces of a pair or 3 of a triplet, and has P = 1 or 3 pairs.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from fec_cache.heads.base import PairHead
from fec_cache.heads.mlp import PairMlpHead
from fec_cache.pairs.build import PAIRS_OF_TRIPLET
from fec_cache.training.batched.mlp import MlpBuffers, StackedMlp, initial_layers
from fec_cache.training.batched.parameters import Parameters
from fec_cache.training.batched.resident import Resident


class BatchBuffers:
    """The memory of one batch size.

    `gathered` [n, K] takes prepared features. `logits` and `logit_grads` are [*k, B, P]; `share` is
    1 / B.
    """

    def __init__(self, gathered: Tensor, logits: Tensor, logit_grads: Tensor) -> None:
        self.gathered, self.logits, self.logit_grads = gathered, logits, logit_grads
        self.share = torch.tensor(1.0 / logits.shape[-2], device=logits.device)


class StackedHeads(ABC):
    """K heads of one kind and shape; all that they learn is in `parameters`."""

    # Whether all steps are the same kernels on the same memory, as a CUDA graph needs.
    is_graphable = True
    parameters: Parameters

    def __init__(
        self, heads: Sequence[PairHead], noise: Sequence[torch.Generator], resident: Resident
    ) -> None:
        """Take copies of the heads' weights.

        Args:
            heads: K heads of one shape.
            noise: where each draws its dropout masks from.
            resident: the prepared features.
        """
        self.resident = resident
        self.lead = (len(heads),) if len(heads) > 1 else ()

    @staticmethod
    def columns(rows: Tensor) -> Tensor:
        """The rows to gather for each item: both faces of every pair, [T, F] -> [T, 2P]."""
        return rows if rows.shape[1] == 2 else rows[:, PAIRS_OF_TRIPLET].flatten(1)

    @abstractmethod
    def buffers(self, batch_size: int, num_faces: int) -> BatchBuffers:
        """Memory for batches of B items of F faces."""

    @abstractmethod
    def forward(self, rows: Tensor, buffers: BatchBuffers) -> Tensor:
        """Logits [*k, B, P] of rows [*k, B * number of columns]."""

    @abstractmethod
    def backward(self, logit_grads: Tensor, buffers: BatchBuffers) -> None:
        """Fill the gradients of all parameters.

        Args:
            logit_grads: [*k, B, P], of the loss by the logits; `buffers.logit_grads` or another.
            buffers: as the forward pass left them.
        """

    def distances(self, logits: Tensor) -> Tensor:
        """Distances [*k, B, P] of the forward pass's logits, as `PairHead.distance` gives them."""
        return torch.sigmoid(-logits)

    def backward_from(
        self, distance_grads: Tensor, distances: Tensor, buffers: BatchBuffers
    ) -> None:
        """Fill the gradients of all parameters from those by the distances, both [*k, B, P]."""
        self.backward(distance_grads * distances * (distances - 1.0), buffers)

    @abstractmethod
    def hold_offset(self) -> None:
        """Set the gradient of what is added to every logit alike to zero."""

    @abstractmethod
    def write_to(self, head: PairHead, index: int) -> None:
        """Copy what the head at an index learned into its module."""


class MlpBatch(BatchBuffers):
    """A batch of heads around an MLP that ends in the logit or in an embedding."""

    def __init__(
        self,
        mlp: StackedMlp,
        gathered: Tensor,
        inputs: Tensor,
        shape: Sequence[int],
        ends_in_logits: bool = True,
    ) -> None:
        self.mlp = MlpBuffers(mlp, inputs)
        outputs, grads = self.mlp.outputs[-1], self.mlp.grads[-1]
        if ends_in_logits:
            super().__init__(gathered, outputs.view(*shape), grads.view(*shape))
        else:
            super().__init__(gathered, outputs.new_empty(shape), outputs.new_empty(shape))


class StackedMlpHeads(StackedHeads):
    """Heads around an MLP, and what they learn beside it."""

    def __init__(
        self, heads: Sequence[PairHead], noise: Sequence[torch.Generator], resident: Resident
    ) -> None:
        super().__init__(heads, noise, resident)
        layers = initial_layers(heads)
        self.parameters = Parameters([*layers, *self.initial_own(heads)], len(heads))
        num = len(layers)
        dropout = [head.config.dropout for head in heads]
        values, grads = self.parameters.values, self.parameters.grads
        self.mlp = StackedMlp(values[:num], grads[:num], dropout, noise)
        self.own, self.own_grads = values[num:], grads[num:]

    def initial_own(self, heads: Sequence[PairHead]) -> list[Tensor]:
        """What the heads learn beside their layers: tensors [*k, ...]."""
        return []

    def hold_offset(self) -> None:
        """Set the gradient of the last bias to zero."""
        self.mlp.bias_grads[-1].zero_()

    def write_to(self, head: PairHead, index: int) -> None:
        """Copy what the head at an index learned into its module."""
        self.mlp.write_to(head, index)


class StackedPairMlps(StackedMlpHeads):
    """Heads that are an MLP on a fixed function of both faces (`PairMlpHead`)."""

    def __init__(
        self, heads: Sequence[PairHead], noise: Sequence[torch.Generator], resident: Resident
    ) -> None:
        super().__init__(heads, noise, resident)
        self._head = cast(PairMlpHead, heads[0])

    def buffers(self, batch_size: int, num_faces: int) -> BatchBuffers:
        """Memory for batches of B items."""
        num_pairs = 1 if num_faces == 2 else 3
        width = 2 * self.resident.width
        pairs = self.resident.empty(*self.lead, batch_size * num_pairs, width)
        inputs = self._head.input_memory(pairs)
        gathered, shape = pairs.view(-1, self.resident.width), (*self.lead, batch_size, num_pairs)
        return PairMlpBatch(self.mlp, gathered, inputs, shape)

    def forward(self, rows: Tensor, buffers: BatchBuffers) -> Tensor:
        """Logits [*k, B, P] of rows [*k, B * 2P]."""
        batch = cast(PairMlpBatch, buffers)
        self.resident.gather(rows, batch.gathered)
        self._head.write_inputs(batch.pairs, batch.mlp.inputs)
        self.mlp.forward(batch.mlp)
        return batch.logits

    def backward(self, logit_grads: Tensor, buffers: BatchBuffers) -> None:
        """Fill the gradients of all parameters from those by the logits, [*k, B, P]."""
        if logit_grads is not buffers.logit_grads:
            buffers.logit_grads.copy_(logit_grads)
        self.mlp.backward(cast(PairMlpBatch, buffers).mlp)


class PairMlpBatch(MlpBatch):
    """A batch of pairs [*k, n, 2K], the faces of a pair side by side."""

    def __init__(
        self, mlp: StackedMlp, gathered: Tensor, inputs: Tensor, shape: Sequence[int]
    ) -> None:
        super().__init__(mlp, gathered, inputs, shape)
        self.pairs = gathered.view(*inputs.shape[:-1], -1)
