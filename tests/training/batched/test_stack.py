"""Stacked training: every job ends as if it had been trained alone."""

import dataclasses
import resource

import pytest

from fec_cache.errors import OutOfMemory, TrainingDiverged
from fec_cache.heads.config import HeadConfig
from fec_cache.testing.planted import planted_split
from fec_cache.training.batched.stack import Stack, TrainingJob, stack_key
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit
from tests.training.jobs import PLAIN, assert_same, variants


@pytest.mark.parametrize("head", ["concat", "symmetric", "embedding"])
def test_each_job_of_a_stack_equals_the_head_trained_alone(head):
    data = planted_split()
    stack = Stack(*data, variants(head))
    stack.advance(1)
    stack.advance(99)
    for job, result in zip(variants(head), stack.finish(), strict=True):
        assert_same(result, fit(*data, job.head, job.train))


def test_dropped_jobs_leave_the_others_alone():
    data = planted_split()
    jobs = variants()
    stack = Stack(*data, jobs)
    stack.advance(1)
    stack.keep([2, 0])
    stack.advance(2)
    assert [len(history) for history in stack.histories] == [3, 3]
    first, second = stack.finish()
    assert_same(first, fit(*data, jobs[2].head, jobs[2].train))
    assert_same(second, fit(*data, jobs[0].head, jobs[0].train))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("head", ["concat", "symmetric", "embedding"])
def test_the_last_one_goes_on_alone_as_it_was(head, optimizer):
    """A single head is swept as one vector, several as tensors: nothing remembered is lost."""
    data = planted_split()
    train = TrainConfig(epochs=3, batch_size=256, optimizer=optimizer)
    jobs = [TrainingJob(HeadConfig(head, (8,)), dataclasses.replace(train, seed=n)) for n in (0, 1)]
    stack = Stack(*data, jobs)
    stack.advance(1)
    stack.keep([1])
    stack.advance(2)
    (result,) = stack.finish()
    assert_same(result, fit(*data, jobs[1].head, jobs[1].train))


def test_a_diverging_job_is_named_and_disturbs_no_other():
    features, train, validation = planted_split()
    features = features * 1e4
    wild = TrainConfig(lr=1e3, epochs=3, batch_size=64, optimizer="sgd")
    tame = dataclasses.replace(wild, lr=1e-12)
    jobs = [
        TrainingJob(HeadConfig(), tame),
        TrainingJob(HeadConfig(), wild),
        TrainingJob(HeadConfig(), tame),
    ]
    stack = Stack(features, train, validation, jobs)
    stack.advance(3)
    first, bad, last = stack.finish()
    assert isinstance(bad, TrainingDiverged)
    assert "lr 1000" in str(bad)
    alone = fit(features, train, validation, HeadConfig(), tame)
    assert_same(first, alone)
    assert_same(last, alone)


def test_jobs_of_other_shapes_have_other_keys():
    job = TrainingJob(HeadConfig(), PLAIN)
    for head in (HeadConfig("symmetric"), HeadConfig(hidden=(8,)), HeadConfig(prepare="l2")):
        assert stack_key(TrainingJob(head, PLAIN)) != stack_key(job)
    for change in ({"loss": "triplet"}, {"optimizer": "sgd"}, {"batch_size": 8}):
        assert stack_key(
            TrainingJob(HeadConfig(), dataclasses.replace(PLAIN, **change))
        ) != stack_key(job)
    for change in ({"lr": 0.1}, {"weight_decay": 0.1}, {"seed": 3}, {"epochs": 9}):
        assert stack_key(
            TrainingJob(HeadConfig(), dataclasses.replace(PLAIN, **change))
        ) == stack_key(job)
    assert stack_key(TrainingJob(HeadConfig(dropout=0.5), PLAIN)) == stack_key(job)


def test_lack_of_memory_is_named():
    features, train, validation = planted_split()
    huge = TrainingJob(HeadConfig(hidden=(65536, 65536, 65536)), TrainConfig(batch_size=64))
    soft = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, soft[1]))
    try:
        with pytest.raises(OutOfMemory, match=r"do not fit into the memory of cpu .* --batch-size"):
            Stack(features, train, validation, [huge])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, soft)
