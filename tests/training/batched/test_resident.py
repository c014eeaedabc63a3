"""Prepared features on the device: the same whether prepared at once or batch by batch."""

import numpy as np
import pytest
import torch

from fec_cache.errors import NothingToTrain
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.testing.planted import planted_split
from fec_cache.training.batched.resident import (
    Resident,
    check_features,
    matrix_on,
    share_preparation,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("max_bytes", [0, 2**30])
def test_gathered_features_are_the_prepared_ones(max_bytes):
    features = np.random.default_rng(0).normal(3, 2, (20, 6)).astype(np.float16)
    head = build_head(HeadConfig("symmetric"), 6)
    resident = Resident(features, np.arange(15), head, CPU, max_bytes)
    mean = features[:15].astype(float).mean(0)
    np.testing.assert_allclose(head.preparation.mean, mean, rtol=1e-5)
    wanted = head.prepare(torch.from_numpy(features.astype(np.float32)))
    rows = torch.tensor([[4, 19], [4, 0]])
    out = resident.empty(4, 6)
    resident.gather(rows, out)
    torch.testing.assert_close(out, wanted[rows.flatten()])
    torch.testing.assert_close(resident.take(torch.tensor([7])), wanted[[7]])
    torch.testing.assert_close(resident.all(), wanted)
    assert resident.width == 6


def test_the_matrix_keeps_its_dtype_and_is_not_copied():
    for dtype in (np.float16, np.float32):
        features = np.ones((3, 2), dtype)
        assert matrix_on(features, CPU).data_ptr() == features.ctypes.data
    assert matrix_on(np.ones((3, 2)), CPU).dtype == torch.float32


def test_a_shared_preparation_prepares_alike():
    fitted, other = (build_head(HeadConfig("symmetric"), 6) for _ in range(2))
    features = torch.randn(9, 6)
    fitted.fit_preparation(features)
    share_preparation(fitted, other)
    assert torch.equal(fitted.prepare(features), other.prepare(features))


def test_features_that_are_not_finite_are_counted():
    features, train, validation = planted_split()
    check_features(features, train, validation)
    features[[3, 5], 1] = np.inf
    with pytest.raises(NothingToTrain, match="The features of 2 of 180 faces are not finite"):
        check_features(features, train, validation)
