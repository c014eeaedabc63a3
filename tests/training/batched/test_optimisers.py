"""Optimisers for heads side by side against torch's own."""

import pytest
import torch

from fec_cache.training.batched.optimisers import FusedOptimiser, WrittenOptimiser
from fec_cache.training.batched.parameters import Parameters
from fec_cache.training.config import OPTIMIZERS, TrainConfig
from tests.training.plain_losses import torch_optimizer


@pytest.mark.parametrize("make", [FusedOptimiser, WrittenOptimiser])
@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("num_heads", [1, 3])
def test_optimisers_equal_torchs(make, kind, num_heads):
    configs = [
        TrainConfig(optimizer=kind, lr=10.0**-index, weight_decay=0.1 * index)
        for index in range(1, num_heads + 1)
    ]
    lead = (num_heads,) if num_heads > 1 else ()
    initial = [torch.randn(*lead, 5, 3), torch.randn(*lead, 1, 2)]
    parameters = Parameters(initial, num_heads)
    optimiser = make(parameters, configs)
    plain = [
        [torch.nn.Parameter((t[index] if lead else t).clone()) for t in initial]
        for index in range(num_heads)
    ]
    theirs = [
        torch_optimizer(torch.nn.ParameterList(own), config)
        for own, config in zip(plain, configs, strict=True)
    ]
    for step in range(7):
        if step == 4:  # a stack that goes on with some of its heads hands the memory over
            state = optimiser.state_of(range(num_heads))
            optimiser = make(parameters, configs)
            optimiser.restore(state)
        for grad, initial_value in zip(parameters.grads, initial, strict=True):
            grad.copy_(torch.randn_like(initial_value))
        for index, own in enumerate(plain):
            for parameter, grad in zip(own, parameters.grads, strict=True):
                parameter.grad = (grad[index] if lead else grad).clone()
        optimiser.step()
        for optimizer in theirs:
            optimizer.step()
    for index, own in enumerate(plain):
        for parameter, value in zip(own, parameters.values, strict=True):
            ours = value[index] if lead else value
            torch.testing.assert_close(ours, parameter.data, rtol=1e-5, atol=1e-7)
