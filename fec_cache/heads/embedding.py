"""The `embedding` head: a projection to unit vectors whose distance says how similar faces are."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from fec_cache.errors import BadOption
from fec_cache.heads.base import PairHead
from fec_cache.heads.calibration import fit_platt
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.kinds import HeadKind
from fec_cache.heads.mlp import mlp
from fec_cache.heads.registry import register
from fec_cache.heads.scatter_directions import SHRINKAGES, find_scatter
from fec_cache.heads.scoring import sample_triplets, similar_pairs, table_logits
from fec_cache.pairs.build import TripletTable
from fec_cache.system.wording import counted

KIND = HeadKind(
    name="embedding",
    summary="the distance in a learned low-dimensional space",
    reads=("hidden", "dropout", "embedding_dim", "init", "both_orders"),
    steps="embedding",
    is_symmetric=True,
    has_embedding=True,
    # Starting from the scatter head gains 1.0 to 1.7 points on real faces (docs/experiments.md).
    starts={"random": 0, "scatter": 2},
    start_reads=("shrinkage",),
    in_default_grid=True,
    order=30,
)
# Uninformative similarities give a slope of 0, whose logarithm is infinite.
_LEAST_SCALE = 1e-3


@register
class EmbeddingHead(PairHead):
    """Projection to unit vectors; logit = scale * (threshold - squared distance).

    Exactly symmetric. 16 dimensions are FECNet's (arXiv:1811.11283).
    """

    kind = KIND

    def __init__(self, config: HeadConfig, width: int) -> None:
        super().__init__(config, width)
        self.layers = mlp(
            self.preparation.width, config.hidden, config.embedding_dim, config.dropout
        )
        self.log_scale = nn.Parameter(torch.tensor(math.log(5.0)))
        self.threshold = nn.Parameter(torch.tensor(1.0))

    def embed(self, features: Tensor) -> Tensor:
        """Embedding [B, E] of unit length of features [B, D]."""
        return self._embed_prepared(self.prepare(features))

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits [B] of prepared features [B, K]."""
        return self.meet(self._embed_prepared(a), self._embed_prepared(b))

    def roles(self, prepared: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding [N, E], the same for both faces of a pair."""
        embedding = self._embed_prepared(prepared)
        return embedding, embedding

    def meet(self, first: Tensor, second: Tensor) -> Tensor:
        """Logits [B] of embeddings [B, E]."""
        gap = first - second
        return self.log_scale.exp() * (self.threshold - gap.square().sum(dim=-1))

    def distance(self, logits: Tensor) -> Tensor:
        """Squared distance of the embeddings, in [0, 4]."""
        return self.threshold - logits / self.log_scale.exp()

    def start(self, prepared: Tensor, train: TripletTable, validation: TripletTable) -> None:
        """Start with the scatter head's answers, as `init="scatter"` asks.

        The first `embedding_dim` directions of the scatter head become the projection. Hidden
        layers let it through unchanged: the first units of each hold the projection's positive and
        negative parts, whose difference the last layer takes; the other units start at random and
        have no influence on the output.

        Args:
            prepared: [N, K] float32, all faces, as `prepare` gives them.
            train: triplets that the directions, scale and threshold are fitted on.
            validation: triplets that choose the shrinkage.

        Raises:
            BadOption: the embedding has more dimensions than the prepared features.
        """
        size = self.config.embedding_dim
        if size > prepared.shape[1]:
            raise BadOption(
                f"embedding dim is {size}, but prepared features have only "
                f"{counted(prepared.shape[1], 'number')}. Use {prepared.shape[1]} or fewer."
            )
        shrinkage = self.config.shrinkage
        shrinkages = SHRINKAGES if shrinkage is None else (shrinkage,)
        with torch.no_grad():
            best = find_scatter(prepared, train, validation, shrinkages, (size,))
            self._write_linear(best.projection.T)
            was_training = self.training
            sample = sample_triplets(train)
            logits = table_logits(self.eval(), prepared, sample)
            cosines = 1.0 - self.distance(logits) / 2.0
            self.train(was_training)
            # A calibrated cosine as a logit: slope * cosine + offset = scale * (threshold - d).
            slope, offset = fit_platt(cosines.flatten(), similar_pairs(sample).flatten())
            scale = max(slope / 2.0, _LEAST_SCALE)
            self.log_scale.fill_(math.log(scale))
            self.threshold.fill_(2.0 + offset / scale)

    def _embed_prepared(self, prepared: Tensor) -> Tensor:
        return functional.normalize(self.layers(prepared), dim=-1)

    def _write_linear(self, projection: Tensor) -> None:
        """Make the layers compute `projection @ x` for a projection [E, K]."""
        *hidden, last = [layer for layer in self.layers if isinstance(layer, nn.Linear)]
        last.bias.zero_()
        if not hidden:
            last.weight.copy_(projection)
            return
        size = len(projection)
        both_signs = torch.cat([projection, -projection])
        identity = torch.eye(2 * size, device=projection.device)
        for number, layer in enumerate(hidden):
            layer.bias[: 2 * size] = 0.0
            if number:
                layer.weight[: 2 * size] = 0.0
                layer.weight[: 2 * size, : 2 * size] = identity
            else:
                layer.weight[: 2 * size] = both_signs
        last.weight.zero_()
        signs = torch.cat([identity[:size, :size], -identity[:size, :size]], dim=1)
        last.weight[:, : 2 * size] = signs
