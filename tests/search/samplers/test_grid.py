"""The grid, whole and in part."""

from fec_cache.search.samplers.grid import GridSampler
from fec_cache.search.space import grid, space_of
from tests.search.conftest import VALUES

SPACE = space_of({**VALUES, "lr": [1e-3, 3e-3, 1e-2], "seed": [0, 1]})


def test_all_settings_come_at_once_and_only_once():
    sampler = GridSampler(SPACE)
    assert sampler.num_settings == 6
    assert sampler.ask() == SPACE.settings()
    assert sampler.ask() == ()


def test_some_trials_are_a_part_of_the_grid_in_its_order():
    drawn = GridSampler(SPACE, 4, seed=1).ask()
    order = [SPACE.settings().index(point) for point in drawn]
    assert len(drawn) == 4
    assert order == sorted(order)
    assert GridSampler(SPACE, 4, seed=1).ask() == drawn
    assert {GridSampler(SPACE, 4, seed=seed).ask() for seed in range(20)} > {drawn}


def test_more_trials_than_settings_are_the_whole_grid():
    assert GridSampler(SPACE, 100).ask() == SPACE.settings()
    assert set(SPACE.settings()) < set(grid({**VALUES, "lr": [1e-3, 3e-3, 1e-2], "seed": [0, 1]}))
