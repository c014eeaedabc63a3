"""Samplers are found by their files; their names load neither Optuna nor torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fec_cache.errors import BadOption
from fec_cache.search.samplers import base
from fec_cache.search.samplers.grid import GridSampler
from fec_cache.search.space import space_of

SPACE = space_of({"lr": [1e-3, 1e-2]})


def test_each_file_of_the_folder_registers_the_sampler_of_its_name():
    files = {path.stem for path in Path(base.__file__).parent.glob("*.py")}
    assert set(base.samplers()) == files - {"__init__", "base", "optuna_sampler"}
    assert all(sampler.name == name for name, sampler in base.samplers().items())
    assert base.DEFAULT_SAMPLER in base.samplers()


def test_only_the_grid_covers_the_combinations():
    assert [name for name, s in base.samplers().items() if s.covers_grid] == ["grid"]


def test_a_sampler_is_made_by_its_name():
    sampler = base.make_sampler(SPACE, "grid", None, 0)
    assert isinstance(sampler, GridSampler)
    assert sampler.ask() == SPACE.settings()


@pytest.mark.parametrize(
    ("name", "trials", "message"),
    [
        ("sobol", None, "sampler is 'sobol', but it must be one of: grid, random, tpe"),
        ("grid", 0, "trials is 0, but it must be at least 1"),
        ("tpe", None, "--sampler tpe needs the number of settings to draw. Add --trials 50"),
        ("random", 100_001, "trials is 100001, but it must be between 1 and 100000"),
    ],
)
def test_wrong_requests_are_named(name, trials, message):
    with pytest.raises(BadOption, match=message):
        base.make_sampler(SPACE, name, trials, 0)


def test_names_load_neither_optuna_nor_torch():
    code = (
        "import sys; from fec_cache.search.samplers.base import samplers; samplers(); "
        "print(sorted({'optuna', 'torch', 'numpy'} & set(sys.modules)))"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.stdout.strip() == "[]"
