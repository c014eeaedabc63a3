"""The public door: what it exports, how quickly it opens, and that its examples run."""

import doctest
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fec_cache

ROOT = Path(__file__).parent.parent
NAMES = [name for name in fec_cache.__all__ if name not in ("LOGGING", "SILENT")]


def documented(name):
    """The object whose docstring has the example: `search` is a folder that can be called."""
    return inspect.unwrap(getattr(fec_cache, name))


def examples_of(name):
    finder = doctest.DocTestFinder(recurse=True)
    return [test for test in finder.find(documented(name), name) if test.examples]


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example_that_runs(name, toy_folder):
    tests = examples_of(name)
    assert tests, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in tests:
        assert not all(example.options.get(doctest.SKIP) for example in test.examples)
        failures, _ = runner.run(test, out=lambda text: pytest.fail(text))
        assert failures == 0


def test_the_door_is_lazy_and_quick():
    code = (
        "import sys, fec_cache\n"
        "assert not {'torch', 'numpy', 'h5py', 'click', 'PIL'} & set(sys.modules)\n"
        "assert set(fec_cache.__all__) <= set(dir(fec_cache))\n"
        "from fec_cache import HeadConfig, PairConfig, SyntheticConfig, TrainConfig, Workspace\n"
        "from fec_cache import ExtractConfig, FecError, load_pairs\n"
        "assert 'torch' not in sys.modules\n"
    )
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    after = os.times()
    spent_s = after.children_user - before.children_user
    assert spent_s < 2.0


def test_importing_the_package_takes_under_a_tenth_of_a_second():
    line = "import time; t = time.process_time(); import fec_cache; print(time.process_time() - t)"
    words = [sys.executable, "-c", line]
    times = [
        float(subprocess.run(words, capture_output=True, check=True, cwd=ROOT).stdout)
        for _ in range(2)
    ]
    assert min(times) < 0.1


def test_search_is_a_folder_and_a_function():
    import fec_cache.search.space
    from fec_cache import search
    from fec_cache.workflows.search import search as function

    assert callable(search)
    assert inspect.signature(search) == inspect.signature(function)
    assert fec_cache.search is sys.modules["fec_cache.search"]


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'Jugde'"):
        fec_cache.Jugde  # noqa: B018
