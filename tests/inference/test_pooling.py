import itertools

import pytest
import torch
from torch.nn import functional

from fec_cache.inference.graph import _is_supported_pool, trace
from fec_cache.inference.pooling import pooled_convolution, rows_at_once, strided_max


def pooling(*sizes):
    return lambda maps: {"pool": torch.max_pool2d(maps, *sizes)}


@pytest.mark.parametrize("is_rectified", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_strided_maxima_are_torchs_own(dtype, is_rectified):
    num_tried = 0
    for side, kernel, stride, padding in itertools.product(
        (6, 7, 8, 13), (2, 3, 5), (1, 2, 3), (0, 1, 2)
    ):
        if padding > kernel // 2:
            continue
        maps = torch.randn(2, 4, side, side + 1).to(dtype)
        maps = maps.relu() if is_rectified else maps
        maps[0, 0, 0, 0] = float("inf")
        maps = maps.contiguous(memory_format=torch.channels_last)

        pool = pooling(kernel, stride, padding)
        graph = trace(pool, maps)
        if not any(map(_is_supported_pool, graph.graph.nodes)):
            continue
        num_tried += 1
        actual = strided_max(maps, [kernel] * 2, [stride] * 2, [padding] * 2, is_rectified)
        assert torch.equal(actual, pool(maps)["pool"]), (side, kernel, stride, padding)
    assert num_tried >= 50


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN in this torch")
@pytest.mark.parametrize("rows", [1, 2, 6])
def test_a_convolution_pooled_in_pieces_is_the_same_in_one(rows):
    drawn = torch.Generator().manual_seed(0)
    images = torch.randn(6, 3, 20, 24, generator=drawn)
    images = images.contiguous(memory_format=torch.channels_last)
    weights, bias = torch.randn(8, 3, 7, 7, generator=drawn), torch.randn(8, generator=drawn)
    rest = [weights, bias, [3, 3], [2, 2], [1, 1], 1, "relu", [], ""]
    actual = pooled_convolution(images, rows, rest, [[3, 3], [2, 2], [1, 1], True], [6, 8, 5, 6])
    wanted = functional.conv2d(images.double(), weights.double(), bias.double(), 2, 3).relu()
    wanted = functional.max_pool2d(wanted, 3, 2, 1)
    torch.testing.assert_close(actual.double(), wanted, rtol=1e-5, atol=1e-4)
    assert actual.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("num", "num_bytes", "rows"),
    [
        (16, 1, 16),
        (16, 1 << 20, 4),
        (16, 3 << 18, 4),
        (7, 3 << 18, 1),
        (6, 5 << 18, 3),
        (8, 1 << 30, 1),
    ],
)
def test_pieces_stay_within_4_mb_and_are_all_of_one_size(num, num_bytes, rows):
    assert rows_at_once(num, num_bytes) == rows
