"""What holds while a head is trained on a CPU."""

import pytest
import torch

from fec_cache.training.threads import is_flushed, threads_for


def test_subnormal_numbers_are_zero_in_training_only():
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush subnormal numbers")
    torch.set_flush_denormal(False)
    assert torch.tensor([1e-40]).mul(1.0).item() > 0
    with threads_for(32, torch.device("cpu")):
        assert is_flushed()
        assert torch.tensor([1e-30]).mul(1e-10).item() == 0
        with threads_for(512, torch.device("cpu")):
            pass
        assert is_flushed()
    assert not is_flushed()
    assert torch.tensor([1e-40]).mul(1.0).item() > 0
