"""Groups of points that are trained side by side, and heads in closed form."""

import dataclasses
import math

import pytest

from fec_cache.search.space import space_of
from fec_cache.search.trainer import ONE_BY_ONE, plan_for
from fec_cache.training.backends.process_pool import StackPlan
from tests.search.conftest import search_in

MIXED = space_of({"head": ["concat", "embedding", "scatter"], "hidden": [(8,)], "seed": [0, 1, 2]})
CLOSED = space_of({"head": ["scatter"], "shrinkage": [0.1, 0.5]})


def trainer_of(folder, width, num_processes):
    plan = StackPlan(width, num_processes, math.nan, "")
    return dataclasses.replace(search_in(folder).trainer, plan=plan)


def heads_of(groups):
    return [[point.head.head for point in group] for group in groups]


def test_groups_hold_one_shape_and_the_width_of_the_plan(tmp_path):
    points = MIXED.points()
    groups = trainer_of(tmp_path, 2, 1).groups(points)
    assert heads_of(groups) == [
        ["concat"] * 2,
        ["concat"],
        ["embedding"] * 2,
        ["embedding"],
        ["scatter"],
    ]
    assert [p for group in groups for p in group] == list(points)


def test_processes_share_larger_groups_and_closed_heads_stand_alone(tmp_path):
    trainer = dataclasses.replace(trainer_of(tmp_path, 2, 2), group_points=5)
    groups = trainer.groups(MIXED.points())
    # Four side by side; a second round would be eight points, more than five.
    assert heads_of(groups) == [["scatter"], ["concat"] * 3 + ["embedding"], ["embedding"] * 2]


def test_closed_heads_are_solved_once_and_kept_by_index(tmp_path):
    trainer, epochs, results = trainer_of(tmp_path, 2, 1), [], []
    training = trainer.begin(CLOSED.points())
    training.advance(1, lambda index, epoch: epochs.append(index))
    training.advance(1, lambda index, epoch: epochs.append(index))
    assert epochs == [0, 1]
    second = training.histories[1]
    training.keep([1])
    assert training.histories == (second,)
    training.complete(
        1, None, lambda indices, done: results.extend(zip(indices, done, strict=True))
    )
    ((index, result),) = results
    assert (index, result.history) == (0, second)
    assert result.head.config.shrinkage == 0.5


def test_closed_heads_need_no_plan_and_no_timing(tmp_path):
    trainer = trainer_of(tmp_path, 2, 1)
    assert plan_for(trainer.features, trainer.split, CLOSED.points(), "cpu") == ONE_BY_ONE
    assert math.isnan(trainer.seconds_per_epoch(CLOSED.points()[0]))
    assert trainer.seconds_per_epoch(MIXED.points()[0]) > 0


@pytest.mark.parametrize("num_processes", [1, 2])
def test_groups_do_not_depend_on_what_is_open(tmp_path, num_processes):
    trainer = trainer_of(tmp_path, 2, num_processes)
    assert trainer.groups(MIXED.points()) == trainer.groups(MIXED.points())
