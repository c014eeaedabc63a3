"""The steps for any head: they end where the hand-written ones end."""

import pytest
import torch

from fec_cache.errors import HeadMismatch
from fec_cache.heads.config import HeadConfig
from fec_cache.testing.planted import planted_split
from fec_cache.training.batched import engine
from fec_cache.training.batched.autograd import StackedByAutograd, _drawing_from
from fec_cache.training.batched.stack import Stack, TrainingJob
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit


@pytest.mark.parametrize("loss", ["bce", "triplet", "odd-one-out", "contrastive"])
@pytest.mark.parametrize("head", ["concat", "symmetric", "embedding"])
def test_autograd_ends_where_steps_by_hand_end(head, loss, monkeypatch):
    data = planted_split()
    # By hand, an embedding head draws a mask per face; by autograd, one per face of each pair.
    config = HeadConfig(head, (8,), 0.0 if head == "embedding" else 0.3)
    train = TrainConfig(epochs=1, batch_size=64, loss=loss, optimizer="sgd", lr=1e-2)
    by_hand = fit(*data, config, train)
    monkeypatch.setitem(engine.STEPS, config.kind.steps, StackedByAutograd)
    by_autograd = fit(*data, config, train)
    (ours,), (wanted,) = by_autograd.history, by_hand.history
    assert ours.train_loss == pytest.approx(wanted.train_loss, rel=1e-4)
    assert ours.val_loss == pytest.approx(wanted.val_loss, rel=1e-4)


def test_a_head_without_parameters_is_refused():
    job = TrainingJob(HeadConfig("scatter"), TrainConfig())
    with pytest.raises(HeadMismatch, match="A scatter head has no parameters to train by steps"):
        Stack(*planted_split(), [job])


def test_draws_come_from_the_given_generator_and_the_global_state_returns():
    generator, same = (torch.Generator().manual_seed(5) for _ in range(2))
    before = torch.get_rng_state()
    with _drawing_from(generator):
        first = torch.rand(3)
    with _drawing_from(generator):
        second = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    wanted = [torch.rand(3, generator=same) for _ in range(2)]
    assert torch.equal(torch.cat([first, second]), torch.cat(wanted))
