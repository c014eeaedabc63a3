import dataclasses

import numpy as np
import pytest
import torch

from fec_cache.errors import BadOption
from fec_cache.inference import precision as module
from fec_cache.inference.folding import smallest_cosine
from fec_cache.inference.precision import choose_precision
from fec_cache.testing import toy

CPU = torch.device("cpu")


def backbone(error=0.0):
    """A toy whose bf16 is off by so much of its third number."""

    class Rounding(torch.nn.Module):
        def forward(self, images):
            means = images.float().mean((2, 3))
            off = error if images.dtype == torch.bfloat16 else 0.0
            return {"avgpool": means * torch.tensor([1.0, 1.0, 1.0 - off])}

    return dataclasses.replace(toy.toy_backbone(), module=Rounding(), input_size=64)


@pytest.mark.parametrize(
    ("has_bf16", "error", "precision", "reason"),
    [
        (True, 0.0, "bf16", "cpu has it in hardware; cosine 1.0000"),
        (True, 0.5, "fp32", "bf16 would change features of toy: cosine 0.9"),
        (False, 0.0, "fp32", "cpu has no bf16 in hardware"),
    ],
)
def test_auto_is_bf16_where_hardware_and_features_allow_it(
    monkeypatch, has_bf16, error, precision, reason
):
    monkeypatch.setattr(module, "has_bf16", lambda device: has_bf16)
    choice = choose_precision("auto", backbone(error), CPU)
    assert choice.precision == precision
    assert choice.reason.startswith(reason)


def test_a_precision_that_was_asked_for_is_taken():
    for wanted in ("fp32", "bf16", "fp16"):
        assert choose_precision(wanted, backbone(0.5), CPU).precision == wanted
    with pytest.raises(BadOption, match="precision is 'int8'"):
        choose_precision("int8", backbone(), CPU)


def test_the_smallest_cosine_is_the_worst_rows():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 7))
    slow = min(x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x, y in zip(a, b, strict=True))
    found = smallest_cosine(torch.from_numpy(a), torch.from_numpy(b))
    assert found == pytest.approx(slow)
    zeros, ones = torch.zeros(1, 3), torch.ones(1, 3)
    assert smallest_cosine(zeros, zeros) == 1.0
    assert smallest_cosine(zeros, ones) == 0.0
    assert smallest_cosine(ones * float("nan"), ones) == -1.0
