import dataclasses

import numpy as np
import pytest
import torch
import toy

from fec_cache.errors import BadOption
from fec_cache.features.backbones import load_backbone
from fec_cache.features.network import Network, choose_device

CPU = torch.device("cpu")


def test_colours_are_scaled_then_normalised():
    backbone = dataclasses.replace(toy.toy_backbone(), mean=(0.2, 0.0, 0.5), std=(0.5, 1.0, 0.25))
    pictures = np.full((1, 4, 4, 3), (102, 51, 255), np.uint8)
    features = Network(backbone, CPU).features(pictures)["avgpool"]
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, [[0.4, 0.2, 2.0]], rtol=1e-6)


def test_layers_come_flat():
    class Map(torch.nn.Module):
        def forward(self, images):
            return {"layer1": images[:, :, :2, :2], "avgpool": images.mean((2, 3))}

    backbone = dataclasses.replace(toy.toy_backbone(), module=Map())
    pictures = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    features = Network(backbone, CPU).features(pictures)
    wanted = pictures[:, :2, :2].transpose(0, 3, 1, 2).reshape(2, 12) / 255.0
    np.testing.assert_allclose(features["layer1"], wanted, rtol=1e-6)


def test_convolutions_are_not_rounded_to_tf32_and_settings_are_given_back():
    found = []

    class Looking(torch.nn.Module):
        def forward(self, images):
            cudnn = torch.backends.cudnn
            found.append((cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark))
            return {"avgpool": images.mean((2, 3))}

    before = (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic)
    backbone = dataclasses.replace(toy.toy_backbone(), module=Looking())
    Network(backbone, CPU).features(np.zeros((1, 4, 4, 3), np.uint8))
    assert found == [(False, True, False)]
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_gives_what_a_cpu_gives():
    pictures = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), dtype=np.uint8)
    first, second = (
        Network(load_backbone("resnet18", "random:0"), torch.device(name)).features(pictures)
        for name in ("cpu", "cuda")
    )
    # TF32 would be off by about 1e-3 of the largest value.
    largest = np.abs(first["avgpool"]).max()
    assert np.abs(first["avgpool"] - second["avgpool"]).max() < 1e-5 * largest


def test_devices():
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    for wanted in ("gpu", "cuda:99", ""):
        with pytest.raises(BadOption, match=rf"device '{wanted}' cannot be used here: .* Try cpu"):
            choose_device(wanted)
