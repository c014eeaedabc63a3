"""Forked processes: errors, divergence and death reach the parent."""

import pytest

from fec_cache.errors import OutOfMemory, TrainingDiverged
from fec_cache.heads.config import HeadConfig
from fec_cache.testing.planted import planted_split
from fec_cache.training.backends.process_pool import JobPool, StackPlan
from fec_cache.training.backends.processes import can_fork
from fec_cache.training.batched.stack import TrainingJob
from fec_cache.training.config import TrainConfig
from tests.training.jobs import PLAIN


def test_processes_hand_errors_and_divergence_on(caplog):
    features, train, validation = planted_split()
    wild = TrainConfig(lr=1e3, epochs=2, batch_size=64, optimizer="sgd")
    jobs = [TrainingJob(HeadConfig(), wild), TrainingJob(HeadConfig(), PLAIN)]
    pool = JobPool(features * 1e4, train, validation, jobs, StackPlan(1, 2, 0.0, ""))
    pool.advance(2)
    bad, good = pool.finish()
    assert isinstance(bad, TrainingDiverged)
    assert len(good.history) == 2
    pool.close()
    pool = JobPool(features, train, validation, jobs, StackPlan(1, 2, 0.0, ""))
    for process in pool._backend._workers.values():
        process.kill()
    with pytest.raises(OutOfMemory, match="ended by itself"):
        pool.advance(1)
    pool.close()


def test_jobs_for_autograd_do_not_fork(monkeypatch):
    by_hand = TrainingJob(HeadConfig(), PLAIN)
    by_autograd = TrainingJob(HeadConfig("scatter"), PLAIN)
    assert by_autograd.head.kind.steps == "autograd"
    monkeypatch.setattr("sys.platform", "linux")
    assert can_fork([by_hand])
    assert not can_fork([by_hand, by_autograd])
    monkeypatch.setattr("sys.platform", "darwin")
    assert not can_fork([by_hand])
