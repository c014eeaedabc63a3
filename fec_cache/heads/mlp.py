"""Multilayer perceptrons, and the heads that are one on a fixed function of both faces."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from fec_cache.heads.base import PairHead
from fec_cache.heads.config import HeadConfig


def mlp(width: int, hidden: tuple[int, ...], out: int, dropout: float) -> nn.Sequential:
    """Linear layers from `width` to `out` numbers, with ReLU and dropout after each hidden one."""
    layers: list[nn.Module] = []
    for num_units in hidden:
        layers += [nn.Linear(width, num_units), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = num_units
    return nn.Sequential(*layers, nn.Linear(width, out))


class PairMlpHead(PairHead):
    """An MLP on a function of both faces that has nothing to learn; its output is the logit.

    Such heads can declare `steps="pair-mlp"` in their `KIND`.
    """

    def __init__(self, config: HeadConfig, width: int) -> None:
        super().__init__(config, width)
        self.layers = mlp(self.input_width(), config.hidden, 1, config.dropout)

    def input_width(self) -> int:
        """I: how many numbers the MLP gets for a pair."""
        return 2 * self.preparation.width

    @abstractmethod
    def inputs(self, a: Tensor, b: Tensor) -> Tensor:
        """What the MLP gets, [..., I], for prepared features a and b, both [..., K]."""

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits [B] of prepared features [B, K]."""
        logits: Tensor = self.layers(self.inputs(a, b))
        return logits.squeeze(-1)

    def input_memory(self, pairs: Tensor) -> Tensor:
        """Memory [..., I] for the inputs of pairs [..., 2K], the faces of a pair side by side."""
        return torch.empty((*pairs.shape[:-1], self.input_width()), device=pairs.device)

    def write_inputs(self, pairs: Tensor, out: Tensor) -> None:
        """Write the inputs of pairs [..., 2K] to `out`, the memory that `input_memory` gave."""
        a, b = pairs.chunk(2, dim=-1)
        out.copy_(self.inputs(a, b))
