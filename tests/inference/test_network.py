import dataclasses

import numpy as np
import pytest
import torch

from fec_cache.backbones.load import load_backbone
from fec_cache.errors import BadOption, OutOfMemory
from fec_cache.inference.network import Network, choose_device
from fec_cache.testing import toy

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
    actual = []

    class Looking(torch.nn.Module):
        def forward(self, images):
            cudnn = torch.backends.cudnn
            actual.append((cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark))
            return {"avgpool": images.mean((2, 3))}

    before = (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic)
    backbone = dataclasses.replace(toy.toy_backbone(), module=Looking())
    Network(backbone, CPU).features(np.zeros((1, 4, 4, 3), np.uint8))
    assert actual == [(False, True, False)]
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == before


def test_out_of_memory_halves_the_batch_and_continues(caplog):
    class Small(torch.nn.Module):
        def forward(self, images):
            if len(images) > 2:
                raise torch.OutOfMemoryError("too many")
            return {"avgpool": images.mean((2, 3))}

    backbone = dataclasses.replace(toy.toy_backbone(), module=Small())
    pictures = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)
    network = Network(backbone, CPU)
    actual = network.features(pictures)["avgpool"]
    np.testing.assert_allclose(actual, pictures.mean((1, 2)) / 255.0, rtol=1e-5)
    assert network.max_rows == 2
    messages = [message for message in caplog.messages if "out of memory" in message]
    assert messages == [f"cpu is out of memory: continuing with batches of {n}" for n in (4, 2)]


def test_no_memory_for_a_single_picture_is_a_named_error():
    class Full(torch.nn.Module):
        def forward(self, images):
            raise torch.OutOfMemoryError("too many")

    backbone = dataclasses.replace(toy.toy_backbone(), module=Full())
    with pytest.raises(OutOfMemory, match="too little memory for a single picture of toy"):
        Network(backbone, CPU).features(np.zeros((4, 4, 4, 3), np.uint8))


def test_batch_normalisation_is_folded_and_changes_nothing():
    backbone = load_backbone("resnet18", "random:0", ("avgpool", "layer2:grid4"))
    for part in backbone.module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
            part.weight.data.uniform_(0.5, 2.0)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    fast, plain = Network(backbone, CPU), Network(backbone, CPU, plain=True)
    assert not any(isinstance(p, torch.nn.BatchNorm2d) for p in fast.module.modules())
    assert any(isinstance(p, torch.nn.BatchNorm2d) for p in plain.module.modules())
    actual, wanted = fast.features(pictures), plain.features(pictures)
    for layer in wanted:
        np.testing.assert_allclose(actual[layer], wanted[layer], rtol=1e-3, atol=1e-4)


def test_modules_behind_the_last_layer_read_run_once_only():
    backbone = load_backbone("resnet18", "random:0", ("layer1", "layer2"))
    runs = []
    network = backbone.module.network
    for name in ("layer2", "layer3", "fc"):
        network.get_submodule(name).register_forward_hook(lambda *_, name=name: runs.append(name))
    images = torch.zeros(1, 3, 224, 224)
    with torch.inference_mode():
        first, second = backbone.module(images), backbone.module(images)
    assert runs == ["layer2", "layer3", "fc"]  # a tap ends the second pass before other hooks run
    assert all(torch.equal(first[layer], second[layer]) for layer in first)


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
        with pytest.raises(BadOption, match=rf"device '{wanted}' cannot be used here: .*cpu"):
            choose_device(wanted)
