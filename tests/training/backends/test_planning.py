"""The plan follows from what was measured."""

import dataclasses
import re

from fec_cache.heads.config import HeadConfig
from fec_cache.testing.planted import planted_split
from fec_cache.training.backends import planning
from fec_cache.training.backends.planning import plan_stacks
from fec_cache.training.batched.stack import TrainingJob
from tests.training.jobs import PLAIN


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


def trial(width, num_processes, seconds):
    return planning._Trial(width, num_processes, seconds)


def test_wider_stacks_are_tried_until_they_get_slower(monkeypatch):
    seconds = {1: 1.0, 8: 4.0, 32: 64.0, 128: 1.0}
    tried = []

    class Timed:
        def __init__(self, jobs):
            self.num = len(jobs)
            tried.append(self.num)

        def seconds_per_epoch(self):
            return seconds[self.num]

    monkeypatch.setattr(planning, "stack_on", lambda shared, jobs: Timed(jobs))
    found = planning._stacked_trials(None, [None] * 200)
    assert tried == [1, 8, 32]
    assert found == [trial(1, 1, 1.0), trial(8, 1, 0.5), trial(32, 1, 2.0)]


def test_the_sentence_names_the_choice():
    trials = [trial(1, 1, 2.0), trial(8, 1, 1.5), trial(1, 4, 0.5)]
    assert planning._sentence(trials, trials[2]) == (
        "Calibration, per head: one head alone 2 s per epoch, 8 side by side 1.5 s, "
        "in 4 processes 0.5 s. Chosen: 4 processes of one thread, one head at a time each."
    )
    assert planning._sentence(trials[:2], trials[1]).endswith("Chosen: 8 heads side by side.")
    assert planning._sentence(trials[:1], trials[0]).endswith("Chosen: one head at a time.")
