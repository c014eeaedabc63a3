"""Stacks in this process: made when needed, freed when done."""

import dataclasses

import torch

from fec_cache.heads.config import HeadConfig
from fec_cache.testing.planted import planted_split
from fec_cache.training.backends.local import LocalBackend
from fec_cache.training.batched.shared_data import SharedData
from fec_cache.training.batched.stack import TrainingJob
from tests.training.jobs import PLAIN, assert_same


def backend(stacks):
    return LocalBackend(SharedData(*planted_split(), torch.device("cpu")), stacks)


def test_stacks_exist_from_their_first_epoch_to_their_results():
    job = TrainingJob(HeadConfig(hidden=(4,)), dataclasses.replace(PLAIN, epochs=2))
    local = backend([[job], [job, job]])
    epochs, results = [], {}
    local.advance([1], 1, lambda *event: epochs.append(event[:2]))
    assert list(local._stacks) == [1]
    assert epochs == [(1, 0), (1, 1)]
    local.keep(1, [1])
    local.complete([0, 1], 9, lambda *_: None, results.__setitem__)
    assert [len(results[number]) for number in (0, 1)] == [1, 1]
    assert not local._stacks
    assert_same(results[1][0], results[0][0])


def test_a_stack_of_which_nothing_is_kept_is_freed():
    local = backend([[TrainingJob(HeadConfig(hidden=(4,)), PLAIN)]])
    local.advance([0], 1, lambda *_: None)
    local.keep(0, [])
    assert not local._stacks
