"""Stacked layers by hand against torch's modules and autograd."""

import pytest
import torch
from torch import nn

from fec_cache.errors import HeadMismatch
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.training.batched.mlp import MlpBuffers, StackedMlp, initial_layers, linear_layers
from fec_cache.training.batched.parameters import Parameters


@pytest.mark.parametrize("num_heads", [1, 3])
@pytest.mark.parametrize("hidden", [(), (5, 4)])
def test_outputs_and_gradients_equal_autograds(num_heads, hidden):
    torch.manual_seed(0)
    heads = [build_head(HeadConfig(hidden=hidden), 3) for _ in range(num_heads)]
    parameters = Parameters(initial_layers(heads), num_heads)
    mlp = StackedMlp(parameters.values, parameters.grads, [0.0] * num_heads, [])
    lead = (num_heads,) if num_heads > 1 else ()
    buffers = MlpBuffers(mlp, torch.randn(*lead, 7, 6))
    outputs = mlp.forward(buffers).clone()
    buffers.grads[-1].copy_(torch.randn_like(outputs))
    mlp.backward(buffers)
    for index, head in enumerate(heads):
        inputs, ours, grads = (
            tensor[index] if lead else tensor
            for tensor in (buffers.inputs, outputs, buffers.grads[-1])
        )
        wanted = head.layers(inputs)
        torch.testing.assert_close(ours, wanted.detach())
        layers = linear_layers(head)
        tensors = [*(layer.weight for layer in layers), *(layer.bias for layer in layers)]
        for own, grad in zip(
            parameters.grads, torch.autograd.grad(wanted, tensors, grads), strict=True
        ):
            own = own[index] if lead else own
            torch.testing.assert_close(own, grad.t() if grad.dim() == 2 else grad[None])


def test_weights_come_back_into_the_modules():
    source, target = (build_head(HeadConfig(hidden=(4,)), 3) for _ in range(2))
    parameters = Parameters(initial_layers([source]), 1)
    StackedMlp(parameters.values, parameters.grads, [0.0], []).write_to(target, 0)
    for name, value in source.state_dict().items():
        assert torch.equal(value, target.state_dict()[name]), name


def test_layers_of_another_kind_are_refused():
    head = build_head(HeadConfig(hidden=(4,)), 3)
    head.layers[1] = nn.Tanh()
    with pytest.raises(HeadMismatch, match="concat head has no layers that can be trained"):
        linear_layers(head)
