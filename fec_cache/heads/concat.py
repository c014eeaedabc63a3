"""The `concat` head: both faces side by side into an MLP, the original recipe."""

import torch
from torch import Tensor
from torch.nn import functional

from fec_cache.heads.kinds import HeadKind
from fec_cache.heads.mlp import PairMlpHead
from fec_cache.heads.registry import register

KIND = HeadKind(
    name="concat",
    summary="an MLP on both faces side by side",
    reads=("hidden", "dropout", "both_orders"),
    steps="pair-mlp",
    # The original recipe reads features as they are.
    default_preparation="none",
    in_default_grid=True,
    order=10,
)


@register
class ConcatHead(PairMlpHead):
    """[a; b] -> Linear -> ReLU -> ... -> Linear.

    Not symmetric, unless `both_orders`: outside of training it then gives the mean of the logits of
    (a, b) and (b, a); in training the batches hold both orders.
    """

    kind = KIND

    def inputs(self, a: Tensor, b: Tensor) -> Tensor:
        """[a; b], [..., 2K]."""
        return torch.cat([a, b], dim=-1)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits [B] of prepared features [B, K]."""
        if self.config.both_orders and not self.training:
            return (super().compare(a, b) + super().compare(b, a)) / 2.0
        return super().compare(a, b)

    def roles(self, prepared: Tensor) -> tuple[Tensor, Tensor]:
        """Products with both halves of the first layer, [N, H] each; [N, 2H] for both orders."""
        weight, bias = self.layers[0].parameters()
        left, right = weight.chunk(2, dim=1)
        first = functional.linear(prepared, left)
        second = functional.linear(prepared, right, bias)
        if not self.config.both_orders:
            return first, second
        return torch.cat([first, second], dim=-1), torch.cat([second, first], dim=-1)

    def meet(self, first: Tensor, second: Tensor) -> Tensor:
        """Logits [B]: the sum of the products goes through the other layers."""
        layers, summed = self.layers[1:], first + second
        if not self.config.both_orders:
            logits: Tensor = layers(summed)
            return logits.squeeze(-1)
        forwards, backwards = summed.chunk(2, dim=-1)
        mean: Tensor = (layers(forwards) + layers(backwards)) / 2.0
        return mean.squeeze(-1)

    def input_memory(self, pairs: Tensor) -> Tensor:
        """The pairs [..., 2K] themselves: they already are the inputs."""
        return pairs

    def write_inputs(self, pairs: Tensor, out: Tensor) -> None:
        """Nothing to write: `out` is `pairs` [..., 2K]."""
