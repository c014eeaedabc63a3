import dataclasses

import numpy as np
import pytest
import torch

from fec_cache.errors import BadOption, PrecisionLost
from fec_cache.inference import precision as module
from fec_cache.inference.network import Network
from fec_cache.inference.precision import check_features, choose_precision
from fec_cache.testing import toy

CPU = torch.device("cpu")


def backbone(error=0.0):
    """A toy whose third value is off by this fraction in bf16."""

    class Rounding(torch.nn.Module):
        def forward(self, images):
            means = images.float().mean((2, 3))
            off = error if images.dtype == torch.bfloat16 else 0.0
            return {"avgpool": means * torch.tensor([1.0, 1.0, 1.0 - off])}

    return dataclasses.replace(toy.toy_backbone(), module=Rounding(), input_size=64)


@pytest.mark.parametrize(
    ("has_bf16", "error", "precision", "reason"),
    [
        (True, 0.0, "bf16", "cpu multiplies it in hardware; cosine 1.0000"),
        (True, 0.5, "fp32", "bf16 changes features of toy: cosine 0.9"),
        (False, 0.0, "fp32", "cpu does not multiply bf16 in hardware"),
    ],
)
def test_auto_is_bf16_where_hardware_and_features_allow_it(
    monkeypatch, has_bf16, error, precision, reason
):
    monkeypatch.setattr(module, "has_bf16", lambda device: has_bf16)
    choice = choose_precision("auto", backbone(error), CPU)
    assert choice.precision == precision
    assert choice.reason.startswith(reason)


def test_a_requested_precision_is_used():
    for wanted in ("fp32", "bf16", "fp16"):
        assert choose_precision(wanted, backbone(0.5), CPU).precision == wanted
    with pytest.raises(BadOption, match="precision is 'int8'"):
        choose_precision("int8", backbone(), CPU)


def test_changed_features_end_the_run_and_unchanged_ones_do_not():
    network = Network(toy.toy_backbone(), CPU)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    features = network.runner().features(pictures)
    assert check_features(features, network, pictures, [0, 1, 2]) == pytest.approx(1.0)
    changed = {view: values[:, ::-1].copy() for view, values in features.items()}
    with pytest.raises(PrecisionLost, match=r"toy in fp32 on cpu changes features: .* 2 faces"):
        check_features(changed, network, pictures, [0, 2])
