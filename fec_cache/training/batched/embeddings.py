"""K embedding heads side by side: each face of an item goes through the MLP once.

Shapes as in `pairings`; E is the size of the embedding.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from fec_cache.heads.base import PairHead
from fec_cache.heads.embedding import EmbeddingHead
from fec_cache.pairs.build import PAIRS_OF_TRIPLET
from fec_cache.training.batched.mlp import StackedMlp
from fec_cache.training.batched.pairings import BatchBuffers, MlpBatch, StackedMlpHeads
from fec_cache.training.batched.parameters import side_by_side, slice_of

_PAIR = ((0, 1),)


class EmbeddingBatch(MlpBatch):
    """A batch of an embedding head: unit vectors [*k, B, F, E], their gaps [*k, B, P, E]."""

    def __init__(self, mlp: StackedMlp, faces: Tensor, num_items: int, num_faces: int) -> None:
        self.pairs = _PAIR if num_faces == 2 else PAIRS_OF_TRIPLET
        shape = (*faces.shape[:-2], num_items, len(self.pairs))
        super().__init__(mlp, faces.view(-1, faces.shape[-1]), faces, shape, ends_in_logits=False)
        outputs, grads = self.mlp.outputs[-1], self.mlp.grads[-1]
        lead, width = outputs.shape[:-2], outputs.shape[-1]
        self.raw = outputs.view(*lead, num_items, num_faces, width)
        self.raw_grads = grads.view(self.raw.shape)
        self.units, self.unit_grads = torch.empty_like(self.raw), torch.empty_like(self.raw)
        self.gaps = self.raw.new_empty(*lead, num_items, len(self.pairs), width)
        self.squares = torch.empty_like(self.gaps)
        self.norms = self.raw[..., :1]


class StackedEmbeddings(StackedMlpHeads):
    """Logits come from the distances of the normalised outputs of an MLP."""

    def initial_own(self, heads: Sequence[PairHead]) -> list[Tensor]:
        """Logarithm of the scale, and threshold: [*k, 1, 1], to broadcast against [*k, B, P]."""
        known = [cast(EmbeddingHead, head) for head in heads]
        scales = [head.log_scale.detach().view(1, 1) for head in known]
        thresholds = [head.threshold.detach().view(1, 1) for head in known]
        return [side_by_side(scales), side_by_side(thresholds)]

    @staticmethod
    def columns(rows: Tensor) -> Tensor:
        """Each face once: [T, F]."""
        return rows

    def buffers(self, batch_size: int, num_faces: int) -> EmbeddingBatch:
        """Memory for batches of B items of F faces."""
        faces = self.resident.empty(*self.lead, batch_size * num_faces, self.resident.width)
        return EmbeddingBatch(self.mlp, faces, batch_size, num_faces)

    def forward(self, rows: Tensor, buffers: BatchBuffers) -> Tensor:
        """Logits [*k, B, P] of rows [*k, B * F]."""
        batch = cast(EmbeddingBatch, buffers)
        self.resident.gather(rows, batch.gathered)
        self.mlp.forward(batch.mlp)
        norms = torch.linalg.vector_norm(batch.raw, dim=-1, keepdim=True)
        batch.norms = norms.clamp_min_(1e-12)
        torch.div(batch.raw, batch.norms, out=batch.units)
        for pair, (first, second) in enumerate(batch.pairs):
            gap = batch.gaps[..., pair, :]
            torch.sub(batch.units[..., first, :], batch.units[..., second, :], out=gap)
        torch.mul(batch.gaps, batch.gaps, out=batch.squares)
        log_scale, threshold = self.own
        batch.logits = (threshold - batch.squares.sum(-1)).mul_(log_scale.exp())
        return batch.logits

    def backward(self, logit_grads: Tensor, buffers: BatchBuffers) -> None:
        """Fill the gradients of all parameters from those by the logits, [*k, B, P]."""
        scale = self.own[0].exp()
        scale_grad, threshold_grad = self.own_grads
        torch.sum(logit_grads * buffers.logits, dim=(-2, -1), keepdim=True, out=scale_grad)
        torch.sum(logit_grads, dim=(-2, -1), keepdim=True, out=threshold_grad)
        threshold_grad.mul_(scale)
        self._back(logit_grads * -scale, cast(EmbeddingBatch, buffers))

    def distances(self, logits: Tensor) -> Tensor:
        """Squared distances of the embeddings, in [0, 4], from their logits; both [*k, B, P]."""
        log_scale, threshold = self.own
        return threshold - logits / log_scale.exp()

    def backward_from(
        self, distance_grads: Tensor, distances: Tensor, buffers: BatchBuffers
    ) -> None:
        """Fill the gradients of the MLP from those by the distances, both [*k, B, P].

        Scale and threshold do not affect distances: their gradients stay zero.
        """
        self._back(distance_grads, cast(EmbeddingBatch, buffers))

    def hold_offset(self) -> None:
        """Set the gradient of the threshold to zero."""
        self.own_grads[1].zero_()

    def write_to(self, head: PairHead, index: int) -> None:
        """Copy what the head at an index learned into its module."""
        super().write_to(head, index)
        known, num_heads = cast(EmbeddingHead, head), self.parameters.num_heads
        for parameter, own in zip((known.log_scale, known.threshold), self.own, strict=True):
            parameter.data.copy_(slice_of(own, index, num_heads)[0, 0])

    def _back(self, distance_grads: Tensor, batch: EmbeddingBatch) -> None:
        torch.mul(batch.gaps, 2.0 * distance_grads[..., None], out=batch.squares)
        batch.unit_grads.zero_()
        for pair, (first, second) in enumerate(batch.pairs):
            batch.unit_grads[..., first, :].add_(batch.squares[..., pair, :])
            batch.unit_grads[..., second, :].sub_(batch.squares[..., pair, :])
        along = (batch.unit_grads * batch.units).sum(dim=-1, keepdim=True)
        torch.addcmul(batch.unit_grads, batch.units, along, value=-1.0, out=batch.raw_grads)
        batch.raw_grads.div_(batch.norms)
        self.mlp.backward(batch.mlp)
