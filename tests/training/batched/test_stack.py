"""Stacked training: every job ends as if it had been trained alone."""

import dataclasses
import re
import resource

import pytest
import torch

from fec_cache.errors import OutOfMemory, TrainingDiverged
from fec_cache.heads.config import HeadConfig
from fec_cache.testing.planted import planted_split
from fec_cache.training.backends.planning import plan_stacks
from fec_cache.training.backends.process_pool import JobPool, StackPlan
from fec_cache.training.batched.stack import Stack, TrainingJob, stack_key
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit

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


def test_a_diverging_job_is_named_and_disturbs_nobody():
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


@pytest.mark.parametrize("num_processes", [1, 2])
def test_a_crew_trains_jobs_of_any_keys_in_their_order(num_processes):
    data = planted_split()
    jobs = [*variants(), *variants("embedding")]
    mixed = [jobs[index] for index in (3, 0, 4, 1, 5, 2)]
    pool = JobPool(*data, mixed, StackPlan(2, num_processes, 0.0, ""))
    seen = []
    pool.advance(1, lambda index, epoch: seen.append((index, epoch.epoch)))
    assert sorted(seen) == [(index, 1) for index in range(6)]
    pool.keep([5, 2, 0])
    pool.advance(99)
    assert [len(history) for history in pool.histories] == [3, 3, 3]
    for index, result in zip((5, 2, 0), pool.finish(), strict=True):
        assert_same(result, fit(*data, mixed[index].head, mixed[index].train))
    pool.close()


@pytest.mark.parametrize("num_processes", [1, 2])
def test_results_come_stack_by_stack(num_processes):
    data = planted_split()
    jobs = [*variants(), *variants("embedding")]
    pool = JobPool(*data, jobs, StackPlan(2, num_processes, 0.0, ""))
    pool.advance(1)
    pool.keep([5, 2, 0])
    found, known = {}, []

    def done(indices, results):
        known.append([len(history) for history in pool.histories])
        found.update(zip(indices, results, strict=True))

    pool.complete(99, None, done)
    pool.close()
    assert known[0] != [3, 3, 3]
    assert known[-1] == [3, 3, 3]
    for index, job in enumerate(jobs[number] for number in (5, 2, 0)):
        assert_same(found[index], fit(*data, job.head, job.train))


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


def test_a_plan_says_what_it_measured():
    data = planted_split()
    jobs = [
        TrainingJob(HeadConfig(hidden=(16,)), dataclasses.replace(PLAIN, seed=s)) for s in range(9)
    ]
    plan = plan_stacks(*data, jobs)
    assert plan.width in (1, 8)
    assert plan.seconds_per_epoch > 0
    assert re.match(
        r"Calibration, per head: one head alone .* 8 side by side .*Chosen: ", plan.sentence
    )
    assert plan_stacks(*data, jobs[:1]).width == 1
