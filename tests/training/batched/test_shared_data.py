"""What stacks share: one fit per preparation, one layout per loss."""

import torch

from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.testing.planted import planted_split
from fec_cache.training.batched.shared_data import SharedData


def made():
    return SharedData(*planted_split(), torch.device("cpu"))


def test_heads_of_one_preparation_share_it_and_others_do_not():
    shared = made()
    first = shared.prepare(HeadConfig("symmetric"))
    assert shared.prepare(HeadConfig("embedding", hidden=(3,))) is first
    assert shared.prepare(HeadConfig("symmetric", prepare="l2")) is not first
    head = build_head(HeadConfig("embedding"), shared.width)
    resident, validation_set = shared.give_preparation(head)
    assert (resident, validation_set) == first[:2]
    assert torch.equal(head.preparation.mean, first[2].preparation.mean)


def test_items_follow_loss_orders_and_steps():
    shared = made()
    concat = HeadConfig("concat")
    pairs = shared.items("bce", concat)
    assert shared.items("bce", HeadConfig("symmetric")) is pairs
    assert pairs.rows.shape == (3 * len(shared.train), 2)
    both = shared.items("bce", HeadConfig("concat", both_orders=True))
    assert len(both) == 2 * len(pairs)
    assert shared.items("triplet", concat).rows.shape == (len(shared.train), 6)
    assert shared.items("triplet", HeadConfig("embedding")).rows.shape == (len(shared.train), 3)


def test_preparing_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    made().prepare(HeadConfig())
    assert torch.equal(torch.get_rng_state(), before)
