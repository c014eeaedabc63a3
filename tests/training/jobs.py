"""Jobs that can be trained side by side, and what it means that a result is the same."""

import dataclasses

import torch

from fec_cache.heads.config import HeadConfig
from fec_cache.training.batched.stack import TrainingJob
from fec_cache.training.config import TrainConfig

PLAIN = TrainConfig(epochs=3, batch_size=64)


def variants(head="concat"):
    """Jobs of one key that differ in all that may differ."""
    shape = HeadConfig(head=head, hidden=(16,))
    return [
        TrainingJob(shape, PLAIN),
        TrainingJob(dataclasses.replace(shape, dropout=0.3), dataclasses.replace(PLAIN, seed=5)),
        TrainingJob(shape, dataclasses.replace(PLAIN, lr=1e-2, weight_decay=0.1, seed=1)),
    ]


def assert_same(ours, alone):
    assert [e.epoch for e in ours.history] == [e.epoch for e in alone.history]
    for name, value in alone.head.state_dict().items():
        if name not in ("calibration", "bends"):
            torch.testing.assert_close(ours.head.state_dict()[name], value, rtol=1e-4, atol=1e-6)
