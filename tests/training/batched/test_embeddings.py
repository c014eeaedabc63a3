"""Embedding heads side by side: logits, distances and gradients of a batch against autograd."""

import numpy as np
import torch

from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.pairs.build import PAIRS_OF_TRIPLET
from fec_cache.training.batched.embeddings import StackedEmbeddings
from fec_cache.training.batched.resident import Resident

FEATURES = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
ROWS = torch.tensor([[0, 1, 2], [3, 4, 5], [8, 0, 6]])


def made():
    config = HeadConfig("embedding", hidden=(5,), embedding_dim=3, prepare="none")
    model = build_head(config, 4)
    resident = Resident(FEATURES, np.arange(9), model, torch.device("cpu"))
    heads = StackedEmbeddings([model], [torch.Generator()], resident)
    buffers = heads.buffers(3, 3)
    logits = heads.forward(heads.columns(ROWS).flatten(), buffers).clone()
    faces = torch.from_numpy(FEATURES)[ROWS]
    wanted = torch.stack(
        [model.compare(faces[:, i], faces[:, j]) for i, j in PAIRS_OF_TRIPLET], dim=1
    )
    return model, heads, buffers, logits, wanted


def test_each_face_is_gathered_once():
    assert StackedEmbeddings.columns(ROWS) is ROWS


def test_gradients_by_logits_equal_autograds():
    model, heads, buffers, logits, wanted = made()
    torch.testing.assert_close(logits, wanted.detach())
    grads = torch.randn(3, 3)
    heads.backward(grads, buffers)
    wanted.backward(grads)
    torch.testing.assert_close(heads.parameters.grads[0], model.layers[0].weight.grad.t())
    torch.testing.assert_close(heads.own_grads[0].view(()), model.log_scale.grad)
    torch.testing.assert_close(heads.own_grads[1].view(()), model.threshold.grad)
    heads.hold_offset()
    assert heads.own_grads[1].item() == 0.0


def test_gradients_by_distances_leave_scale_and_threshold_alone():
    model, heads, buffers, logits, wanted = made()
    distances = heads.distances(logits)
    torch.testing.assert_close(distances, model.distance(wanted).detach())
    grads = torch.randn(3, 3)
    heads.backward_from(grads, distances, buffers)
    model.distance(wanted).backward(grads)
    torch.testing.assert_close(
        heads.parameters.grads[0], model.layers[0].weight.grad.t(), rtol=1e-4, atol=1e-6
    )
    assert not any(grad.any() for grad in heads.own_grads)
