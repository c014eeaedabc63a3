"""The layers of K heads side by side, forward and backward by hand and in place.

Autograd spends more time on its bookkeeping than the products of a batch of 32 take, and it
allocates memory for each gradient. Shapes: `*k` is (K,), or () for one head.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fec_cache.errors import HeadMismatch
from fec_cache.heads.base import PairHead
from fec_cache.training.batched.parameters import side_by_side, slice_of


class MlpBuffers:
    """The activations and their gradients of one batch size: [*k, n, width] each."""

    def __init__(self, mlp: "StackedMlp", inputs: Tensor) -> None:
        device = inputs.device
        shapes = [(*inputs.shape[:-1], weight.shape[-1]) for weight in mlp.weights]
        self.inputs = inputs
        self.outputs = [torch.empty(shape, device=device) for shape in shapes]
        self.grads = [torch.empty(shape, device=device) for shape in shapes]
        # Views cost as much as small kernels: they are made once.
        self.below = [inputs, *self.outputs[:-1]]
        self.turned = [tensor.mT for tensor in self.below]
        self.noise = [
            torch.ones(shape, device=device) if any(mlp.dropout) else inputs
            for shape in shapes[:-1]
        ]


class StackedMlp:
    """Linear, ReLU and dropout layers of K heads.

    Weights are [*k, in, out], transposed against torch's own, which is faster for small
    batches; biases are [*k, 1, out].
    """

    def __init__(
        self,
        values: Sequence[Tensor],
        grads: Sequence[Tensor],
        dropout: Sequence[float],
        noise: Sequence[torch.Generator],
    ) -> None:
        """Work on parameters in the order of `initial_layers`.

        Args:
            values: weights, then biases.
            grads: where their gradients go.
            dropout: the rate of each head.
            noise: where each head draws its dropout masks from.
        """
        num_layers = len(values) // 2
        self.weights, self.biases = list(values[:num_layers]), list(values[num_layers:])
        self._weight_grads, self.bias_grads = grads[:num_layers], grads[num_layers:]
        self._turned = [weight.mT for weight in self.weights]
        self.num_heads = len(dropout)
        self.dropout, self._noise = tuple(dropout), tuple(noise)
        self._is_dropping = any(dropout)
        self._is_single = self.num_heads == 1

    def forward(self, space: MlpBuffers) -> Tensor:
        """Outputs [*k, n, out] of the inputs in the space, with dropout."""
        # In float32: products of bfloat16 pieces on AMX make a step 1.3 times as fast, but some
        # ReLU then falls on the other side and 200 steps end at other weights (decision 8).
        affine = torch.addmm if self._is_single else torch.baddbmm
        last = len(self.weights) - 1
        for layer, outputs in enumerate(space.outputs):
            affine(self.biases[layer], space.below[layer], self.weights[layer], out=outputs)
            if layer < last:
                outputs.clamp_min_(0.0)
                if self._is_dropping:
                    self._drop(outputs, space.noise[layer])
        return space.outputs[-1]

    def backward(self, space: MlpBuffers) -> None:
        """Fill the gradients of weights and biases from `space.grads[-1]`, the outputs' own.

        The features have nothing to learn: no gradient reaches the inputs.
        """
        product = torch.mm if self._is_single else torch.bmm
        for layer in range(len(self.weights) - 1, -1, -1):
            grads = space.grads[layer]
            product(space.turned[layer], grads, out=self._weight_grads[layer])
            torch.sum(grads, dim=-2, keepdim=True, out=self.bias_grads[layer])
            if layer:
                reaching = space.grads[layer - 1]
                product(grads, self._turned[layer], out=reaching)
                if self._is_dropping:
                    reaching.mul_(space.noise[layer - 1])
                # What ReLU or dropout set to zero has no gradient.
                torch.ops.aten.threshold_backward.grad_input(
                    reaching, space.below[layer], 0.0, grad_input=reaching
                )

    def write_to(self, head: PairHead, index: int) -> None:
        """Copy the weights of one head into its module."""
        for layer, weight, bias in zip(linear_layers(head), self.weights, self.biases, strict=True):
            layer.weight.data.copy_(slice_of(weight, index, self.num_heads).t())
            layer.bias.data.copy_(slice_of(bias, index, self.num_heads)[0])

    def _drop(self, outputs: Tensor, noise: Tensor) -> None:
        for index, (rate, generator) in enumerate(zip(self.dropout, self._noise, strict=True)):
            if rate:
                mask = slice_of(noise, index, self.num_heads)
                mask.bernoulli_(1.0 - rate, generator=generator).div_(1.0 - rate)
        outputs.mul_(noise)


def initial_layers(heads: Sequence[PairHead]) -> list[Tensor]:
    """Weights [*k, in, out] of all layers of heads of one shape, then their biases [*k, 1, out].

    Raises:
        HeadMismatch: a head has layers of another kind.
    """
    same = list(zip(*(linear_layers(head) for head in heads), strict=True))
    weights = [side_by_side([layer.weight.detach().t() for layer in layers]) for layers in same]
    biases = [side_by_side([layer.bias.detach()[None] for layer in layers]) for layers in same]
    return [*weights, *biases]


def linear_layers(head: PairHead) -> list[nn.Linear]:
    """The linear layers of a head, first to last.

    Raises:
        HeadMismatch: there are none, or layers of another kind between them.
    """
    layers = getattr(head, "layers", None)
    known = (nn.Linear, nn.ReLU, nn.Dropout)
    if not isinstance(layers, nn.Sequential) or not all(isinstance(a, known) for a in layers):
        raise HeadMismatch(f"A {head.config.head} head has no layers that can be trained in steps.")
    return [layer for layer in layers if isinstance(layer, nn.Linear)]
