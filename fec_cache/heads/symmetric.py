"""The `symmetric` head: an MLP on the difference and the product of two faces."""

import torch
from torch import Tensor

from fec_cache.heads.kinds import HeadKind
from fec_cache.heads.mlp import PairMlpHead
from fec_cache.heads.registry import register

# It has no embedding: on planted faces it reached 81 % of the oracle's accuracy where the
# embedding head reached 96 % (docs/experiments.md, 2026-11-23).
KIND = HeadKind(
    name="symmetric",
    summary="an MLP on their absolute difference and product",
    reads=("hidden", "dropout", "both_orders"),
    steps="pair-mlp",
    is_symmetric=True,
    in_default_grid=True,
    order=20,
)


@register
class SymmetricHead(PairMlpHead):
    """MLP on [abs(a - b), a * b]: exactly symmetric."""

    kind = KIND

    def inputs(self, a: Tensor, b: Tensor) -> Tensor:
        """[abs(a - b), a * b], [..., 2K]."""
        return torch.cat([(a - b).abs(), a * b], dim=-1)

    def write_inputs(self, pairs: Tensor, out: Tensor) -> None:
        """Write the inputs of pairs [..., 2K] to `out` [..., 2K], without memory between."""
        a, b = pairs.chunk(2, dim=-1)
        difference, product = out.chunk(2, dim=-1)
        torch.sub(a, b, out=difference).abs_()
        torch.mul(a, b, out=product)
