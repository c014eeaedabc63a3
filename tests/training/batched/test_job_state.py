"""One job's state: its random streams, its best epoch, its end."""

import math

import numpy as np
import pytest
import torch

from fec_cache.errors import TrainingDiverged
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.scoring import similarity_of, triplet_accuracy
from fec_cache.testing.planted import planted_split
from fec_cache.training.batched.job_state import JobState, ValidationSet
from fec_cache.training.batched.resident import Resident
from fec_cache.training.config import TrainConfig

CPU = torch.device("cpu")


class Scripted:
    """A validation set that gives chosen accuracies."""

    similar = torch.eye(3, dtype=torch.bool)

    def __init__(self, *accuracies):
        self.accuracies = list(accuracies)

    def figures(self, head):
        return 0.5, self.accuracies.pop(0)

    def logits(self, head):
        return torch.arange(9.0).view(3, 3)


def state_of(**settings):
    return JobState(HeadConfig(hidden=(4,)), TrainConfig(**settings), 6, CPU)


def test_validation_equals_scoring_the_plain_features():
    features, train, validation = planted_split()
    state = JobState(HeadConfig("symmetric", (4,)), TrainConfig(), 12, CPU)
    resident = Resident(features, np.unique(train.rows), state.head, CPU)
    loss, accuracy = ValidationSet(validation, resident).figures(state.head.eval())
    logits = torch.from_numpy(similarity_of(state.head, features, validation.rows))
    odd = torch.from_numpy(validation.odd)
    assert accuracy == triplet_accuracy(logits, odd)
    target = (odd[:, None] == torch.arange(3)).float()
    bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    assert loss == pytest.approx(bce.item(), rel=1e-5)


def test_weights_order_and_masks_follow_from_the_seed():
    one, same, other = (state_of(seed=seed) for seed in (3, 3, 4))
    weights = [state.head.layers[0].weight for state in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(one.order(50), same.order(50))
    assert one.order(50).sort().values.tolist() == list(range(50))
    assert torch.equal(one.noise.get_state(), same.noise.get_state())


def test_the_first_of_equally_good_epochs_is_kept_and_patience_counts_from_it():
    state = state_of(epochs=9, patience=2)
    script = Scripted(0.4, 0.6, 0.6, 0.5)
    for number in range(1, 5):
        assert not state.is_over
        with torch.no_grad():
            state.head.layers[-1].bias.fill_(float(number))
        state.record(0.1, script, 0.0)
    assert state.is_over
    result = state.finish(script, 1.0)
    assert result.best.epoch == 2
    assert result.head.layers[-1].bias.item() == 2.0
    assert result.duration_s == pytest.approx(1.0 + sum(e.seconds for e in state.history))


def test_a_loss_that_is_not_finite_ends_the_job():
    state = state_of(epochs=9, lr=7.0)
    assert state.record(math.nan, Scripted(0.4), 0.0) is None
    assert state.is_over
    error = state.finish(Scripted(), 0.0)
    assert isinstance(error, TrainingDiverged)
    assert "in epoch 1 with adam, lr 7 and weight decay 0" in str(error)
