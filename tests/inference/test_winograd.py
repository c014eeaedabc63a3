import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from fec_cache.inference import winograd
from fec_cache.inference.winograd import is_worthwhile, winograd_convolution, winograd_weights


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def convolved(images, weight, bias=None, other=None, has_relu=False):
    """The definition, in double precision."""
    images, weight = images.double(), weight.double()
    actual = functional.conv2d(images, weight, None if bias is None else bias.double(), padding=1)
    actual = actual if other is None else actual + other.double()
    return actual.relu() if has_relu else actual


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 22), st.integers(1, 22)),
    outputs=st.integers(1, 9),
    has_bias=st.booleans(),
    has_other=st.booleans(),
    has_relu=st.booleans(),
    is_last=st.booleans(),
    most=st.sampled_from([1, 40, 1 << 15]),
)
def test_any_shape_gives_the_convolution(
    shape, outputs, has_bias, has_other, has_relu, is_last, most
):
    num, channels, height, width = shape
    order = torch.channels_last if is_last else torch.contiguous_format
    images = drawn(*shape).contiguous(memory_format=order)
    weight = drawn(outputs, channels, 3, 3, seed=1)
    bias = drawn(outputs, seed=2) if has_bias else None
    other = drawn(num, outputs, height, width, seed=3) if has_other else None
    before = images.clone()
    with pytest.MonkeyPatch.context() as patch:
        # Small pieces: several strips, and several pictures at a time.
        patch.setattr(winograd, "_VALUES_AT_ONCE", most)
        actual = winograd_convolution(images, winograd_weights(weight), bias, other, has_relu)
    wanted = convolved(images, weight, bias, other, has_relu)
    torch.testing.assert_close(actual.double(), wanted, rtol=1e-4, atol=2e-4)
    assert actual.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
def test_a_residual_becomes_the_result_only_where_it_may(in_place, order):
    images, weight = drawn(2, 5, 9, 7), drawn(6, 5, 3, 3, seed=1)
    other = drawn(2, 6, 9, 7, seed=2).contiguous(memory_format=order)
    before = other.clone()
    inside = winograd_weights(weight)
    actual = winograd_convolution(images, inside, None, other, True, in_place)
    wanted = convolved(images, weight, None, before, True)
    torch.testing.assert_close(actual.double(), wanted, rtol=1e-4, atol=2e-4)
    is_taken = in_place and order is torch.channels_last
    assert (actual.data_ptr() == other.data_ptr()) is is_taken
    assert torch.equal(other, actual if is_taken else before)


def test_float32_loses_no_more_than_a_few_roundings():
    images, weight = drawn(2, 256, 14, 14).relu(), drawn(256, 256, 3, 3, seed=1) / 48.0
    actual = winograd_convolution(images, winograd_weights(weight), None, None, False)
    wanted = convolved(images, weight)
    lost = float((actual.double() - wanted).norm() / wanted.norm())
    assert lost < 4e-6
    assert torch.equal(
        actual, winograd_convolution(images, winograd_weights(weight), None, None, False)
    )


def test_weights_are_those_of_the_paper():
    # One weight in the middle: G's second column times itself.
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1, 1] = 1.0
    column = torch.tensor([0.0, -1 / 6, 1 / 6, 1 / 12, -1 / 12, 0.0])
    actual = winograd_weights(weight).view(6, 6)
    torch.testing.assert_close(actual, torch.outer(column, column), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("channels_in", "channels_out", "height", "width", "is_wanted"),
    [
        (64, 64, 56, 56, True),
        (512, 512, 7, 7, True),
        (32, 32, 112, 112, False),  # few channels: the transforms cost more than they save
        (3, 64, 224, 224, False),
        (64, 256, 13, 13, False),
        (96, 96, 35, 35, True),
        (512, 512, 2, 2, False),  # tiles are mostly padding
        (512, 512, 4, 5, True),
        (512, 512, 3, 3, True),
        (512, 512, 4, 4, True),
    ],
)
def test_the_shape_decides(channels_in, channels_out, height, width, is_wanted):
    assert is_worthwhile(channels_in, channels_out, height, width) is is_wanted
