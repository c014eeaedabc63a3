"""Layers of the right kinds, and inputs written in place like those computed afresh."""

import pytest
import torch

from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head

WIDTH = 24


def made(head, **settings):
    torch.manual_seed(1)
    model = build_head(HeadConfig(head=head, **settings), WIDTH)
    model.fit_preparation(torch.randn(50, WIDTH) * 3 + 1)
    return model.eval()


def test_any_number_of_hidden_layers_and_dropout():
    model = made("symmetric", hidden=(8, 4, 2), dropout=0.3)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["Linear", "ReLU", "Dropout"] * 3 + ["Linear"]
    assert len(made("symmetric", hidden=()).layers) == 1


@pytest.mark.parametrize("head", ["concat", "symmetric"])
def test_inputs_written_in_place_equal_computed_ones(head):
    model = made(head)
    a, b = torch.randn(7, WIDTH), torch.randn(7, WIDTH)
    pairs = torch.cat([a, b], dim=-1)
    memory = model.input_memory(pairs)
    model.write_inputs(pairs, memory)
    assert torch.equal(memory, model.inputs(a, b))
    assert torch.equal(pairs, torch.cat([a, b], dim=-1))
