import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from fec_cache.backbones.load import load_backbone
from fec_cache.inference.cuda_graph import RecordedPass, record_pass
from fec_cache.inference.network import Network, exact_arithmetic


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_failed_recording_is_reported_in_one_line(caplog):
    caplog.set_level("INFO", logger="fec_cache.inference.cuda_graph")
    assert record_pass(lambda images: {"avgpool": images}, torch.zeros(1, 3, 4, 4)) is None
    (message,) = caplog.messages
    assert message.startswith("no CUDA graph: ")
    assert "\n" not in message


def runner_of(precision, flip):
    backbone = load_backbone("resnet18", "random:0", ("layer2:grid4", "avgpool"))
    network = Network(backbone, torch.device("cuda"), precision, flip=flip)
    network.recorded_rows = 8
    return network.runner()


def pictures(num, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num, 224, 224, 3), dtype=np.uint8)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_recorded_pass_gives_the_same_bits(precision, flip):
    runner, plain = runner_of(precision, flip), runner_of(precision, flip)
    plain.network.recorded_rows = 0
    with exact_arithmetic():
        for seed in range(4):
            actual, wanted = (each.features(pictures(8, seed)) for each in (runner, plain))
            assert actual.keys() == wanted.keys()
            for view in wanted:
                np.testing.assert_array_equal(actual[view], wanted[view])
        # Batches of another size are not replayed.
        three = runner.features(pictures(8, seed)[:3])
    for view in actual:
        np.testing.assert_allclose(three[view], actual[view][:3], rtol=0.05, atol=0.05)
    assert isinstance(runner._recorded, RecordedPass)
    assert runner.network.is_recorded
    assert plain._recorded is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_two_threads_that_start_at_once_both_record():
    first, together = runner_of("fp32", False), threading.Barrier(2)
    runners = [first, first.network.runner()]

    def work(runner):
        together.wait()
        return runner.features(pictures(8))

    with exact_arithmetic(), ThreadPoolExecutor(2) as pool:
        one, other = pool.map(work, runners)
    assert all(isinstance(runner._recorded, RecordedPass) for runner in runners)
    for view in one:
        np.testing.assert_array_equal(one[view], other[view])


class ReadsValues(nn.Module):
    """Reads a value in its forward pass, which cannot be recorded."""

    def forward(self, images):
        return {"avgpool": images if images.max() > 0 else -images}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_network_that_reads_values_is_not_recorded():
    with torch.cuda.stream(torch.cuda.Stream()), torch.inference_mode():
        assert record_pass(ReadsValues(), torch.ones(2, 3, 4, 4, device="cuda")) is None
        # The device is usable afterwards.
        assert float(torch.ones(3, device="cuda").sum()) == 3.0
