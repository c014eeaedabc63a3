import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from fec_cache.backbones.load import load_backbone
from fec_cache.inference.compilation import Compiler, fuse_network
from fec_cache.inference.graph import trace, use_onednn
from fec_cache.inference.network import Network
from fec_cache.inference.winograd import winograd_convolution
from fec_cache.testing import toy

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="oneDNN is not in this torch"
)


class Residual(nn.Module):
    """Convolutions with everything that can follow them, and a branch that is read again later."""

    def __init__(self, read_later=None):
        super().__init__()
        self.read_later = read_later
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.inner = nn.Conv2d(8, 8, 1)
        self.third = nn.Conv2d(8, 8, 1, groups=2, bias=False)

    def forward(self, images):
        branch = self.first(images).relu_()
        branch = functional.max_pool2d(branch, 3, 2, 1)
        seen = {"view": branch.flatten(2), "itself": branch}.get(self.read_later)
        total = functional.relu(self.second(self.inner(branch).relu()) + branch)
        total = self.inner(total) + total
        total = functional.hardtanh(self.third(total), 0.0, 6.0) + total
        features = {"avgpool": total.mean((2, 3))}
        if seen is not None:
            features["branch"] = seen.flatten(2).mean(2)
        return features


def images(side=12, batch=3):
    drawn = torch.Generator().manual_seed(0)
    actual = torch.randn(batch, 3, side, side, generator=drawn)
    return actual.contiguous(memory_format=torch.channels_last)


def targets(graph):
    return [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize("read_later", [None, "view", "itself"])
def test_fused_operations_give_the_same_numbers(read_later):
    torch.manual_seed(0)
    module = Residual(read_later).eval().requires_grad_(False)
    module = module.to(memory_format=torch.channels_last)
    graph = trace(module, images())
    wanted = module(images())
    assert use_onednn(graph)
    for _ in range(2):  # the graph changes only its own tensors
        given = images()
        actual = graph(given)
        assert torch.equal(given, images())
        for name in wanted:
            torch.testing.assert_close(actual[name], wanted[name], rtol=1e-5, atol=1e-6)
    names = targets(graph)
    in_place = [name for name in names if "_convolution_pointwise_.binary" in name]
    # The pooled branch may be overwritten only if nothing reads it later, and the sum of a
    # convolution with its own input never.
    assert len(in_place) == (1 if read_later is None else 0)
    assert sum(".binary" in name for name in names) == 2
    assert not any(name.startswith(("aten.convolution", "aten.relu")) for name in names)
    assert not any("max_pool" in name for name in names)


class Wide(nn.Module):
    """A residual block wide enough for Winograd's algorithm, whose branch may be read again."""

    def __init__(self, read_later=False):
        super().__init__()
        self.read_later = read_later
        self.first, self.second = nn.Conv2d(3, 64, 1), nn.Conv2d(64, 64, 3, padding=1)
        self.third = nn.Conv2d(64, 64, 3, padding=1, bias=False)

    def forward(self, images):
        branch = self.first(images).relu()
        total = (self.third(self.second(branch).relu()) + branch).relu()
        features = {"avgpool": total.mean((2, 3))}
        if self.read_later:
            features["branch"] = branch.mean((2, 3))
        return features


@pytest.mark.parametrize("read_later", [False, True])
def test_a_wide_block_goes_by_winograd_and_overwrites_an_unread_residual(read_later):
    torch.manual_seed(0)
    module = Wide(read_later).eval().requires_grad_(False).to(memory_format=torch.channels_last)
    graph = trace(module, images(16))
    wanted = module(images(16))
    assert use_onednn(graph)
    nodes = [node for node in graph.graph.nodes if node.target is winograd_convolution]
    assert [node.args[4] for node in nodes] == [True, True]
    assert [len(node.args) > 5 for node in nodes] == [False, not read_later]
    for _ in range(2):
        actual = graph(images(16))
        for name in wanted:
            torch.testing.assert_close(actual[name], wanted[name], rtol=1e-4, atol=1e-5)


class Crossing(nn.Module):
    """Two convolutions that are run side by side, and whose sums are taken crosswise afterwards."""

    def __init__(self, width, later):
        super().__init__()
        self.later = later
        self.one, self.other = nn.Conv2d(3, width, 1), nn.Conv2d(3, width, 1)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, images):
        a, c = self.one(images).relu(), self.other(images).relu()
        second, first = self.second(c), self.first(a)
        total = (second + a).relu()  # a is read by `first`, which may move behind this
        if self.later == "sum":
            rest = (first + c).relu()
        else:
            rest = functional.max_pool2d(first, 3, 2, 1) if self.later == "pool" else first.relu()
        return {"avgpool": total.mean((2, 3)), "rest": rest.mean((2, 3))}


@pytest.mark.parametrize("later", ["sum", "pool", "relu"])
@pytest.mark.parametrize("width", [8, 64])
def test_operations_that_move_behind_a_sum_still_read_the_right_values(width, later):
    torch.manual_seed(0)
    module = Crossing(width, later).eval().requires_grad_(False)
    module = module.to(memory_format=torch.channels_last)
    graph, wanted = trace(module, images(16)), module(images(16))
    assert use_onednn(graph)
    actual = graph(images(16))
    for name in wanted:
        torch.testing.assert_close(actual[name], wanted[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("precision", "num_winograd", "num_sums", "rtol"), [("fp32", 13, 0, 1e-3), ("bf16", 0, 8, 0.2)]
)
def test_a_resnet_is_fused_throughout_and_keeps_its_features(
    precision, num_winograd, num_sums, rtol
):
    backbone = load_backbone("resnet18", "random:0", ("layer2:grid4", "avgpool"))
    network, plain = Network(backbone, CPU, precision), Network(backbone, CPU, plain=True)
    assert fuse_network(network, 3) == ""
    names = targets(network.fixed.forward)
    assert sum("winograd_convolution" in name for name in names) == num_winograd
    assert sum("_convolution_pointwise" in name for name in names) == 19 - num_winograd
    assert sum("pooled_convolution" in name for name in names) == 1
    assert sum(".binary" in name for name in names) == num_sums
    assert sum(name.startswith(("aten.relu", "aten.add", "aten.conv")) for name in names) == 0
    drawn = np.random.default_rng(0)
    # Batches of another size are not fused.
    for num_faces in (3, 2):
        pictures = drawn.integers(0, 256, (num_faces, 224, 224, 3), dtype=np.uint8)
        actual, wanted = network.features(pictures), plain.features(pictures)
        for layer in wanted:
            np.testing.assert_allclose(actual[layer], wanted[layer], rtol=rtol, atol=rtol / 100)


def a_network(forward):
    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)

        def forward(self, images):
            return {"avgpool": forward(self.layer(images)).mean((2, 3))}

    module = Module().eval().requires_grad_(False)
    return Network(dataclasses.replace(toy.toy_backbone(), module=module), CPU)


def by_values(maps):
    return maps.relu() if maps.max() > 0 else maps


@pytest.mark.parametrize(
    ("forward", "reason"),
    [(by_values, ""), (torch.sigmoid, "its activations and sums do not follow")],
)
def test_a_network_that_cannot_be_fused_stays_unchanged(forward, reason, caplog):
    caplog.set_level("INFO", logger="fec_cache.inference.compilation")
    network = a_network(forward)
    compiler = Compiler(network, "off", 2, 1)
    compiler.prepare()
    assert network.fixed is None
    assert compiler.engine == "eager"
    (message,) = caplog.messages
    assert message.startswith(f"not fused: {reason}")
    assert "\n" not in message


def test_a_graph_that_gives_other_features_is_not_used(monkeypatch):
    from fec_cache.inference import compilation as compiled

    def wrong(graph):
        for node in graph.graph.nodes:
            if "relu" in str(node.target):
                node.replace_all_uses_with(node.args[0])
        graph.recompile()
        return True

    monkeypatch.setattr(compiled, "use_onednn", wrong)
    network = a_network(torch.relu)
    assert fuse_network(network, 2).startswith("its features would differ (cosine ")
    assert network.fixed is None
