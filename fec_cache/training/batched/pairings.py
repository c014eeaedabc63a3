"""How rows of faces become a trunk's inputs, and its outputs logits; and the gradients' way back.

Shapes: `*k` is (K,) for K heads side by side, or () for one; B items of a batch; each item is
F = 2 faces of a pair or 3 of a triplet, and has P = 1 or 3 pairs.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from fec_cache.heads.base import EmbeddingHead, PairHead
from fec_cache.pairs.build import PAIRS_OF_TRIPLET
from fec_cache.training.batched.mlp import Trunk, TrunkSpace, initial_layers
from fec_cache.training.batched.parameters import Parameters, place_of, side_by_side
from fec_cache.training.batched.resident import Resident

_PAIR = ((0, 1),)


class Space:
    """Where a batch lives on its way through a head.

    `gathered` features [n, width] become the trunk's inputs. `logits` and `logit_grads` are
    [*k, B, P]; `share` is 1 / B.
    """

    def __init__(
        self,
        trunk: Trunk,
        gathered: Tensor,
        inputs: Tensor,
        logits_shape: Sequence[int],
        ends_in_logits: bool = True,
    ) -> None:
        self.inputs, self.trunk = inputs, TrunkSpace(trunk, inputs)
        self.gathered = gathered
        self.share = torch.tensor(1.0 / logits_shape[-2], device=inputs.device)
        outputs, grads = self.trunk.outputs[-1], self.trunk.grads[-1]
        if ends_in_logits:
            self.logits, self.logit_grads = outputs.view(*logits_shape), grads.view(*logits_shape)
        else:
            self.logits = outputs.new_empty(logits_shape)
            self.logit_grads = torch.empty_like(self.logits)


class Wiring(ABC):
    """One kind of head around a trunk, with all that it learns in `parameters`."""

    def __init__(
        self, heads: Sequence[PairHead], noise: Sequence[torch.Generator], resident: Resident
    ) -> None:
        """Take copies of the heads' weights.

        Args:
            heads: K heads of one shape.
            noise: where each draws its dropout masks from.
            resident: the prepared features.
        """
        layers = initial_layers(heads)
        self.parameters = Parameters([*layers, *self.initial_own(heads)], len(heads))
        num = len(layers)
        dropout = [head.config.dropout for head in heads]
        values, grads = self.parameters.values, self.parameters.grads
        self.trunk = Trunk(values[:num], grads[:num], dropout, noise)
        self.own, self.own_grads = values[num:], grads[num:]
        self.resident = resident
        self.lead = (len(heads),) if len(heads) > 1 else ()

    def initial_own(self, heads: Sequence[PairHead]) -> list[Tensor]:
        """What the heads learn beside their layers: tensors [*k, ...]."""
        return []

    @staticmethod
    def columns(rows: Tensor) -> Tensor:
        """Which faces an item needs, [T, F] -> [T, number of rows to gather]."""
        return rows

    @abstractmethod
    def space(self, batch_size: int, num_faces: int) -> Space:
        """Memory for batches of B items of F faces."""

    @abstractmethod
    def forward(self, rows: Tensor, space: Space) -> Tensor:
        """Logits [*k, B, P] of rows [*k, B * columns]."""

    @abstractmethod
    def backward(self, logit_grads: Tensor, space: Space) -> None:
        """Fill the gradients of all parameters.

        Args:
            logit_grads: [*k, B, P], of the loss by the logits; `space.logit_grads` or another.
            space: as the forward pass left it.
        """

    def distances(self, logits: Tensor) -> Tensor:
        """Distances [*k, B, P] that belong to logits, as `PairHead.distance` gives them."""
        return torch.sigmoid(-logits)

    def backward_from(self, distance_grads: Tensor, distances: Tensor, space: Space) -> None:
        """Fill the gradients of all parameters from those by the distances, both [*k, B, P]."""
        self.backward(distance_grads * distances * (distances - 1.0), space)

    @property
    def offset_grad(self) -> Tensor:
        """Gradient of what is added to every logit alike."""
        return self.trunk.bias_grads[-1]

    def write_to(self, head: PairHead, place: int) -> None:
        """Copy what was learned into the module of one head."""
        self.trunk.write_to(head, place)


class ConcatWiring(Wiring):
    """[a; b] into the trunk, which ends in the logit."""

    @staticmethod
    def columns(rows: Tensor) -> Tensor:
        """Both faces of every pair: [T, 2] or [T, 6]."""
        return rows if rows.shape[1] == 2 else rows[:, PAIRS_OF_TRIPLET].flatten(1)

    def space(self, batch_size: int, num_faces: int) -> Space:
        """Memory for batches of B items."""
        num_pairs = 1 if num_faces == 2 else 3
        width = 2 * self.resident.width
        pairs = self.resident.empty(*self.lead, batch_size * num_pairs, width)
        inputs = self.inputs_for(pairs)
        gathered = pairs.view(-1, self.resident.width)
        return Space(self.trunk, gathered, inputs, (*self.lead, batch_size, num_pairs))

    def inputs_for(self, pairs: Tensor) -> Tensor:
        """The trunk's inputs for pairs of faces [*k, n, 2 * width]: here the same memory."""
        return pairs

    def forward(self, rows: Tensor, space: Space) -> Tensor:
        """Logits [*k, B, P] of rows [*k, B * 2P]."""
        self.resident.gather(rows, space.gathered)
        self.trunk.forward(space.trunk)
        return space.logits

    def backward(self, logit_grads: Tensor, space: Space) -> None:
        """Fill the gradients of all parameters."""
        if logit_grads is not space.logit_grads:
            space.logit_grads.copy_(logit_grads)
        self.trunk.backward(space.trunk)


class SymmetricWiring(ConcatWiring):
    """[abs(a - b), a * b] into the trunk, which ends in the logit."""

    def inputs_for(self, pairs: Tensor) -> Tensor:
        """The trunk's inputs for pairs of faces [*k, n, 2 * width]: memory of their own."""
        return torch.empty_like(pairs)

    def forward(self, rows: Tensor, space: Space) -> Tensor:
        """Logits [*k, B, P] of rows [*k, B * 2P]."""
        self.resident.gather(rows, space.gathered)
        width = self.resident.width
        pairs = space.gathered.view(space.inputs.shape)
        a, b = pairs[..., :width], pairs[..., width:]
        torch.sub(a, b, out=space.inputs[..., :width]).abs_()
        torch.mul(a, b, out=space.inputs[..., width:])
        self.trunk.forward(space.trunk)
        return space.logits


class EmbeddingSpace(Space):
    """A batch of an embedding head: unit vectors [*k, B, F, E], their gaps [*k, B, P, E]."""

    def __init__(self, trunk: Trunk, faces: Tensor, num_items: int, num_faces: int) -> None:
        self.pairs = _PAIR if num_faces == 2 else PAIRS_OF_TRIPLET
        shape = (*faces.shape[:-2], num_items, len(self.pairs))
        super().__init__(trunk, faces.view(-1, faces.shape[-1]), faces, shape, ends_in_logits=False)
        outputs, grads = self.trunk.outputs[-1], self.trunk.grads[-1]
        lead, width = outputs.shape[:-2], outputs.shape[-1]
        self.raw = outputs.view(*lead, num_items, num_faces, width)
        self.raw_grads = grads.view(self.raw.shape)
        self.units, self.unit_grads = torch.empty_like(self.raw), torch.empty_like(self.raw)
        self.gaps = self.raw.new_empty(*lead, num_items, len(self.pairs), width)
        self.squares = torch.empty_like(self.gaps)
        self.norms = self.raw[..., :1]


class EmbeddingWiring(Wiring):
    """Each face once into the trunk; logits from the distances of its outputs' directions."""

    def initial_own(self, heads: Sequence[PairHead]) -> list[Tensor]:
        """Logarithm of the scale, and threshold: [*k, 1, 1], to stand beside [*k, B, P]."""
        known = [cast(EmbeddingHead, head) for head in heads]
        scales = [head.log_scale.detach().view(1, 1) for head in known]
        thresholds = [head.threshold.detach().view(1, 1) for head in known]
        return [side_by_side(scales), side_by_side(thresholds)]

    def space(self, batch_size: int, num_faces: int) -> EmbeddingSpace:
        """Memory for batches of B items of F faces."""
        faces = self.resident.empty(*self.lead, batch_size * num_faces, self.resident.width)
        return EmbeddingSpace(self.trunk, faces, batch_size, num_faces)

    def forward(self, rows: Tensor, space: Space) -> Tensor:
        """Logits [*k, B, P] of rows [*k, B * F]."""
        place = cast(EmbeddingSpace, space)
        self.resident.gather(rows, place.gathered)
        self.trunk.forward(place.trunk)
        norms = torch.linalg.vector_norm(place.raw, dim=-1, keepdim=True)
        place.norms = norms.clamp_min_(1e-12)
        torch.div(place.raw, place.norms, out=place.units)
        for pair, (one, other) in enumerate(place.pairs):
            gap = place.gaps[..., pair, :]
            torch.sub(place.units[..., one, :], place.units[..., other, :], out=gap)
        torch.mul(place.gaps, place.gaps, out=place.squares)
        log_scale, threshold = self.own
        place.logits = (threshold - place.squares.sum(-1)).mul_(log_scale.exp())
        return place.logits

    def backward(self, logit_grads: Tensor, space: Space) -> None:
        """Fill the gradients of all parameters."""
        scale = self.own[0].exp()
        scale_grad, threshold_grad = self.own_grads
        torch.sum(logit_grads * space.logits, dim=(-2, -1), keepdim=True, out=scale_grad)
        torch.sum(logit_grads, dim=(-2, -1), keepdim=True, out=threshold_grad)
        threshold_grad.mul_(scale)
        self._back(logit_grads * -scale, cast(EmbeddingSpace, space))

    def distances(self, logits: Tensor) -> Tensor:
        """Squared distances of the embeddings."""
        log_scale, threshold = self.own
        return threshold - logits / log_scale.exp()

    def backward_from(self, distance_grads: Tensor, distances: Tensor, space: Space) -> None:
        """Distances know nothing of scale and threshold: their gradients stay zero."""
        self._back(distance_grads, cast(EmbeddingSpace, space))

    @property
    def offset_grad(self) -> Tensor:
        """Gradient of the threshold."""
        return self.own_grads[1]

    def write_to(self, head: PairHead, place: int) -> None:
        """Copy what was learned into the module of one head."""
        super().write_to(head, place)
        known, num_heads = cast(EmbeddingHead, head), self.parameters.num_heads
        for parameter, own in zip((known.log_scale, known.threshold), self.own, strict=True):
            parameter.data.copy_(place_of(own, place, num_heads)[0, 0])

    def _back(self, distance_grads: Tensor, place: EmbeddingSpace) -> None:
        torch.mul(place.gaps, 2.0 * distance_grads[..., None], out=place.squares)
        place.unit_grads.zero_()
        for pair, (one, other) in enumerate(place.pairs):
            place.unit_grads[..., one, :].add_(place.squares[..., pair, :])
            place.unit_grads[..., other, :].sub_(place.squares[..., pair, :])
        along = (place.unit_grads * place.units).sum(dim=-1, keepdim=True)
        torch.addcmul(place.unit_grads, place.units, along, value=-1.0, out=place.raw_grads)
        place.raw_grads.div_(place.norms)
        self.trunk.backward(place.trunk)


WIRINGS: dict[str, type[Wiring]] = {
    "concat": ConcatWiring,
    "symmetric": SymmetricWiring,
    "embedding": EmbeddingWiring,
}
