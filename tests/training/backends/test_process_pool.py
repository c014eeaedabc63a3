"""Jobs of any keys, in one process or several."""

import pytest

from fec_cache.testing.planted import planted_split
from fec_cache.training.backends.process_pool import JobPool, StackPlan
from fec_cache.training.fit import fit
from tests.training.jobs import assert_same, variants


@pytest.mark.parametrize("num_processes", [1, 2])
def test_a_pool_trains_jobs_of_any_keys_in_their_order(num_processes):
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
