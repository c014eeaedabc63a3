import numpy as np
import pytest
import torch
from torch import nn

from fec_cache.inference.folding import fold_batch_norms, smallest_cosine


class Features(nn.Module):
    """A convolution with a norm, applied as often as `num_runs` says, and a norm without one."""

    def __init__(self, num_runs=1):
        super().__init__()
        self.num_runs = num_runs
        self.first = nn.BatchNorm2d(3)
        self.convolution, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        for norm in (self.first, self.norm):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2.0)

    def forward(self, images):
        maps = self.first(images)
        for _ in range(self.num_runs):
            maps = self.norm(self.convolution(maps))
        return {"avgpool": maps.mean((2, 3))}


def frozen(module):
    return module.eval().requires_grad_(False)


def num_norms(module):
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


def test_only_the_norm_behind_a_convolution_is_folded():
    module, images = frozen(Features()), torch.randn(4, 3, 8, 8)
    folded = fold_batch_norms(module, images)
    assert (num_norms(module), num_norms(folded)) == (2, 1)
    assert isinstance(folded.first, nn.BatchNorm2d)
    expected = module(images)["avgpool"]
    torch.testing.assert_close(folded(images)["avgpool"], expected, rtol=1e-5, atol=1e-6)
    norm, weight = module.norm, module.convolution.weight
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    torch.testing.assert_close(folded.convolution.weight, weight * scale[:, None, None, None])


def test_a_convolution_that_runs_twice_keeps_its_norm():
    module = frozen(Features(num_runs=2))
    assert num_norms(fold_batch_norms(module, torch.randn(2, 3, 8, 8))) == 2


def test_a_network_whose_features_would_change_is_left_unfolded():
    module = frozen(Features())

    def without_norms(part, args):
        # Reads the network's structure: once the norm is gone, it gives other features.
        return args[0] if num_norms(part) == 2 else torch.flip(args[0], (1,))

    module.register_forward_pre_hook(without_norms)
    copied = fold_batch_norms(module, torch.randn(2, 3, 8, 8))
    assert copied is not module
    assert num_norms(copied) == 2


def test_hooks_of_replaced_parts_stay():
    module, maps = frozen(Features()), []
    module.norm.register_forward_hook(lambda part, args, output: maps.append(output))
    folded = fold_batch_norms(module, torch.randn(2, 3, 8, 8))
    maps.clear()
    features = folded(torch.ones(1, 3, 8, 8))["avgpool"]
    assert torch.equal(maps[0].mean((2, 3)), features)


def test_the_smallest_cosine_is_that_of_the_worst_row():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 7))
    slow = min(x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x, y in zip(a, b, strict=True))
    got = smallest_cosine(torch.from_numpy(a), torch.from_numpy(b))
    assert got == pytest.approx(slow)
    zeros, ones = torch.zeros(1, 3), torch.ones(1, 3)
    assert smallest_cosine(zeros, zeros) == 1.0
    assert smallest_cosine(zeros, ones) == 0.0
    assert smallest_cosine(ones * float("nan"), ones) == -1.0
