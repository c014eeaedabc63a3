"""Parameters in one vector: aligned views, one slice per head."""

import torch

from fec_cache.training.batched.parameters import Parameters, laid_out, side_by_side, slice_of


def test_views_are_aligned_and_share_the_vector():
    tensors = [torch.arange(5.0), torch.ones(2, 3), torch.tensor(7.0)]
    flat, views = laid_out(tensors)
    assert flat.shape == (48,)
    assert flat.tolist() == [0, 1, 2, 3, 4, *[0] * 11, *[1] * 6, *[0] * 10, 7, *[0] * 15]
    assert [view.shape for view in views] == [(5,), (2, 3), ()]
    views[1].fill_(3.0)
    assert flat[16:22].tolist() == [3.0] * 6


def test_one_head_is_swept_as_one_vector_and_several_as_tensors():
    alone = Parameters([torch.ones(3), torch.zeros(2, 2)], 1)
    assert [swept.shape for swept in alone.swept] == [(32,)]
    several = Parameters([torch.ones(4, 3), torch.zeros(4, 2, 2)], 4)
    assert several.swept is several.values
    assert all(not grad.any() for grad in several.grads)


def test_slices_are_the_stacked_parts():
    parts = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])]
    stacked = side_by_side(parts)
    assert slice_of(stacked, 1, 2).tolist() == [3.0, 4.0]
    alone = side_by_side(parts[:1])
    assert slice_of(alone, 0, 1) is alone
    assert alone.data_ptr() != parts[0].data_ptr()
