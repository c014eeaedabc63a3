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


def test_without_a_compiler_the_work_goes_on_with_one_line(network, monkeypatch, caplog):
    monkeypatch.setenv("CXX", "no-such-compiler")
    compiler = Compiler(network, "on", 2, 1)
    compiler.prepare()
    assert compiler.told == "not compiled: no C++ compiler (no-such-compiler) is installed"
    assert caplog.messages == [compiler.told]
    assert network.fixed is None


@pytest.mark.parametrize(("mode", "seconds", "begins"), [("auto", 1e4, True), ("auto", 5, False)])
def test_auto_compiles_only_for_long_work(network, monkeypatch, mode, seconds, begins):
    compiler = Compiler(network, mode, 2, 1)
    begun = []
    monkeypatch.setattr(compiler, "_compile", lambda: begun.append(1))
    compiler.consider(seconds)
    compiler.consider(seconds)
    if compiler._thread is not None:
        compiler._thread.join()
    assert begun == [1] * begins


@pytest.mark.parametrize("mode", ["on", "off"])
def test_only_auto_considers(network, mode):
    compiler = Compiler(network, mode, 2, 1)
    compiler.consider(1e9)
    assert compiler._thread is None


@pytest.mark.parametrize(
    ("offset", "ratio", "told", "used"),
    [
        (0.0, 2.0, "compiled: 2.00 times as fast", True),
        (0.0, 1.0, "compiled, not used: 1.00 times as fast", False),
        (9.0, 2.0, "compiled, not used: its features differ", False),
    ],
)
def test_what_was_compiled_is_used_if_it_is_the_same_and_faster(
    network, monkeypatch, offset, ratio, told, used
):
    monkeypatch.setattr(module, "missing_compiler", lambda: "")
    monkeypatch.setattr(module, "compile_network", fake(network, offset))
    times = iter([ratio, 1.0])
    monkeypatch.setattr(module, "_seconds", lambda *_: next(times))
    compiler = Compiler(network, "auto", 2, 1)
    compiler._compile()
    assert compiler.told.startswith(told)
    assert (network.fixed is not None) == used
    assert compiler.engine == ("compiled" if used else "eager")


def test_a_toolchain_that_fails_is_told_in_one_line(network, monkeypatch):
    def failing(*_):
        raise RuntimeError("C++ compile error\nline two")

    monkeypatch.setattr(module, "missing_compiler", lambda: "")
    monkeypatch.setattr(module, "compile_network", failing)
    compiler = Compiler(network, "on", 2, 1)
    compiler.prepare()
    assert compiler.told == "not compiled: C++ compile error line two"


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
    assert compiler.engine == "compiled", compiler.told
    torch.testing.assert_close(network.features(pictures)["avgpool"], wanted)
    # What was compiled with frozen weights is what runs: it was not compiled anew at work.
    assert counters["stats"]["unique_graphs"] == before + 1
