"""Gradients of the losses by hand against autograd."""

import pytest
import torch

from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.testing.planted import planted_set
from fec_cache.training.batched.gradients import GRADIENTS
from fec_cache.training.config import LOSSES
from fec_cache.training.losses import training_columns
from tests.training.plain_losses import batch_loss


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_losses_equal_autograds(loss):
    head = build_head(HeadConfig("embedding"), 4)
    _, train = planted_set(num_triplets=40)
    answers = tuple(torch.from_numpy(column) for column in training_columns(loss, train)[1:])
    answers = tuple(a if a.dim() == 2 else a[:, None] for a in answers)
    written = GRADIENTS[loss]
    logits = torch.randn(len(answers[0]), 3 if len(answers[0]) == 40 else 1, requires_grad=True)
    flat = logits.squeeze(-1)
    plain = tuple(a if a.shape[1] == 3 else a[:, 0] for a in answers)
    wanted_loss = batch_loss_of(loss, head, flat, plain)
    (wanted,) = torch.autograd.grad(wanted_loss, logits)
    with torch.no_grad():
        values = head.distance(logits) if written.of_distances else logits
        share, out = torch.tensor(1 / len(logits)), torch.empty_like(logits)
        ours = written.gradient(values, answers, share, out)
        if written.of_distances:
            ours = -ours / head.log_scale.exp()
        each = written.per_item(values, answers)
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-8)
    assert each.mean().item() == pytest.approx(wanted_loss.item(), rel=1e-5)


def batch_loss_of(loss, head, logits, answers):
    """The loss of given logits: a head that compares nothing hands them on."""

    class Given:
        distance = staticmethod(head.distance)
        calls = 0

        def compare(self, a, b):
            self.calls += 1
            return logits if logits.dim() == 1 else logits[:, self.calls - 1]

    return batch_loss(loss, Given(), torch.zeros(len(logits), 3, 1), answers)
