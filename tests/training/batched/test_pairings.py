"""Pairs into stacked MLPs: which rows are gathered, and gradients by distances."""

import numpy as np
import pytest
import torch

from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.pairs.build import PAIRS_OF_TRIPLET
from fec_cache.training.batched.pairings import StackedPairMlps
from fec_cache.training.batched.resident import Resident

FEATURES = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)


def stacked(head):
    model = build_head(HeadConfig(head, hidden=(5,), prepare="none"), 4)
    resident = Resident(FEATURES, np.arange(9), model, torch.device("cpu"))
    return model, StackedPairMlps([model], [torch.Generator()], resident)


def test_columns_name_both_faces_of_every_pair():
    pairs = torch.tensor([[4, 5], [6, 7]])
    assert StackedPairMlps.columns(pairs) is pairs
    triplet = torch.tensor([[10, 11, 12]])
    assert StackedPairMlps.columns(triplet).tolist() == [[11, 12, 10, 12, 10, 11]]


@pytest.mark.parametrize("head", ["concat", "symmetric"])
def test_gradients_by_distances_equal_autograds(head):
    model, heads = stacked(head)
    rows = torch.tensor([[0, 1, 2], [3, 4, 5], [8, 0, 6]])
    buffers = heads.buffers(3, 3)
    logits = heads.forward(heads.columns(rows).flatten(), buffers).clone()
    faces = torch.from_numpy(FEATURES)[rows]
    compared = [model.compare(faces[:, i], faces[:, j]) for i, j in PAIRS_OF_TRIPLET]
    wanted = torch.stack(compared, dim=1)
    torch.testing.assert_close(logits, wanted.detach())
    distance_grads = torch.randn(3, 3)
    heads.backward_from(distance_grads, heads.distances(logits), buffers)
    model.distance(wanted).backward(distance_grads)
    weight = model.layers[0].weight.grad
    torch.testing.assert_close(heads.parameters.grads[0], weight.t())
    heads.hold_offset()
    assert heads.parameters.grads[-1].item() == 0.0
