import dataclasses

import pytest
import torch
from torch._dynamo.utils import counters

from fec_cache.inference import compilation as module
from fec_cache.inference.compilation import Compiler
from fec_cache.inference.network import Network
from fec_cache.testing import toy

CPU = torch.device("cpu")


@pytest.fixture
def network():
    return Network(toy.toy_backbone(), CPU)


def fake(network, factor, delay_s=0.0):
    def forward(images):
        return {"avgpool": images.mean((2, 3)) + torch.tensor([0.0, 0.0, factor])}

    return lambda *_: forward


def test_without_a_compiler_the_work_continues_with_one_message(network, monkeypatch, caplog):
    monkeypatch.setenv("CXX", "no-such-compiler")
    compiler = Compiler(network, "on", 2, 1)
    compiler.prepare()
    assert compiler.message == "not compiled: no C++ compiler (no-such-compiler) is installed"
    assert caplog.messages == [compiler.message]
    assert network.fixed is None


@pytest.mark.parametrize(
    ("mode", "seconds", "is_started"), [("auto", 1e4, True), ("auto", 5, False)]
)
def test_auto_compiles_only_for_long_work(network, monkeypatch, mode, seconds, is_started):
    compiler = Compiler(network, mode, 2, 1)
    started = []
    monkeypatch.setattr(compiler, "_compile", lambda: started.append(1))
    compiler.consider(seconds)
    compiler.consider(seconds)
    if compiler._thread is not None:
        compiler._thread.join()
    assert started == [1] * is_started


@pytest.mark.parametrize("mode", ["on", "off"])
def test_only_auto_compiles_later(network, mode):
    compiler = Compiler(network, mode, 2, 1)
    compiler.consider(1e9)
    assert compiler._thread is None


@pytest.mark.parametrize(
    ("offset", "ratio", "message", "is_used"),
    [
        (0.0, 2.0, "compiled: 2.00 times as fast", True),
        (0.0, 1.0, "compiled, not used: 1.00 times as fast", False),
        (9.0, 2.0, "compiled, not used: its features differ", False),
    ],
)
def test_a_compiled_network_is_used_if_it_is_equal_and_faster(
    network, monkeypatch, offset, ratio, message, is_used
):
    monkeypatch.setattr(module, "missing_compiler", lambda: "")
    monkeypatch.setattr(module, "compile_network", fake(network, offset))
    times = iter([ratio, 1.0])
    monkeypatch.setattr(module, "_seconds", lambda *_: next(times))
    compiler = Compiler(network, "auto", 2, 1)
    compiler._compile()
    assert compiler.message.startswith(message)
    assert (network.fixed is not None) == is_used
    assert compiler.engine == ("compiled" if is_used else "eager")


def test_a_toolchain_that_fails_is_reported_in_one_line(network, monkeypatch):
    def failing(*_):
        raise RuntimeError("C++ compile error\nline two")

    monkeypatch.setattr(module, "missing_compiler", lambda: "")
    monkeypatch.setattr(module, "compile_network", failing)
    compiler = Compiler(network, "on", 2, 1)
    compiler.prepare()
    assert compiler.message == "not compiled: C++ compile error line two"


@pytest.mark.skipif(bool(module.missing_compiler()), reason="there is no C++ compiler here")
def test_a_network_is_compiled_and_gives_its_own_features():
    class Tiny(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 5, 3)

        def forward(self, images):
            return {"avgpool": self.layer(images).relu().mean((2, 3))}

    backbone = dataclasses.replace(toy.toy_backbone(), module=Tiny().eval().requires_grad_(False))
    network = Network(backbone, CPU)
    pictures = torch.randint(0, 256, (2, 4, 4, 3), dtype=torch.uint8).numpy()
    wanted = network.features(pictures)["avgpool"]
    before = counters["stats"]["unique_graphs"]
    compiler = Compiler(network, "on", 2, 1)
    compiler.prepare()
    assert compiler.engine == "compiled", compiler.message
    torch.testing.assert_close(network.features(pictures)["avgpool"], wanted)
    # The pass that was compiled with frozen weights is the one that runs: no second compilation.
    assert counters["stats"]["unique_graphs"] == before + 1
