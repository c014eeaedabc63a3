"""The `scatter` head: cosine of a linear projection that is found in closed form."""

import logging
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from fec_cache.errors import BadOption
from fec_cache.heads.base import ClosedFormHead
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.kinds import HeadKind
from fec_cache.heads.registry import register
from fec_cache.heads.scatter_directions import (
    COMPONENTS,
    SHRINKAGES,
    Scatters,
    find_scatter,
    pair_scatters,
)
from fec_cache.pairs.build import TripletTable
from fec_cache.system.wording import counted

log = logging.getLogger(__name__)

# On real faces it is 11.4 points better than the original recipe (4 x 4 grid) and trains in about
# a second where that takes twenty (docs/experiments.md, 2026-11-23).
KIND = HeadKind(
    name="scatter",
    summary="a linear embedding in closed form",
    reads=("shrinkage", "components"),
    is_closed_form=True,
    is_symmetric=True,
    has_embedding=True,
    order=40,
)


@register
class ScatterHead(ClosedFormHead):
    """Cosine of a linear projection; `scatter_directions` finds it.

    `projection` has room for the largest number of directions that may be chosen; the columns of
    those that were not chosen are zero.
    """

    kind = KIND
    projection: Tensor

    def __init__(self, config: HeadConfig, width: int) -> None:
        super().__init__(config, width)
        inner = self.preparation.width
        num_kept = config.components or min(COMPONENTS[-1], inner)
        if num_kept > inner:
            raise BadOption(
                f"components is {num_kept}, but prepared features have only "
                f"{counted(inner, 'number')}. Use {inner} or fewer."
            )
        self.register_buffer("projection", torch.zeros(inner, num_kept))

    def project(self, prepared: Tensor) -> Tensor:
        """Projected features of unit length: [B, k] float32 for [B, K]."""
        return functional.normalize(prepared @ self.projection, dim=-1)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Cosines [B] of projected features [B, k]."""
        return (a * b).sum(dim=-1)

    def distance(self, logits: Tensor) -> Tensor:
        """One minus the cosine, in [0, 2]."""
        return 1.0 - logits

    def statistics(self, prepared: Tensor, train: TripletTable) -> Scatters:
        """Scatters [K, K] float64 of similar and of different pairs of features [N, K]."""
        return pair_scatters(prepared, train)

    def solve(
        self,
        prepared: Tensor,
        statistics: object,
        train: TripletTable,
        validation: TripletTable,
    ) -> float:
        """Set the best projection; shrinkage and components that are not given are chosen.

        Args:
            prepared: [N, K] float32, features by the preparation alone.
            statistics: what `statistics` gave for them.
            train: triplets to learn from.
            validation: triplets to choose by.

        Returns:
            Triplet accuracy on `validation`, in [0, 1].
        """
        config = self.config
        shrinkages = SHRINKAGES if config.shrinkage is None else (config.shrinkage,)
        components = COMPONENTS if config.components is None else (config.components,)
        best = find_scatter(
            prepared, train, validation, shrinkages, components, cast(Scatters, statistics)
        )
        num_kept = best.projection.shape[1]
        log.info("scatter: shrinkage %g, %d directions", best.shrinkage, num_kept)
        self.projection[:, :num_kept].copy_(best.projection)
        return best.val_triplet_accuracy
