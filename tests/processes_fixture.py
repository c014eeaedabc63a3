"""Processes that are started in a tenth of a second: a fixture of all tests."""

import multiprocessing

import pytest


@pytest.fixture(scope="session")
def processes():
    """Starts processes as forks of a server that has loaded torch, in a tenth of a second each.

    There is one server for all of pytest: whoever starts it says what it loads. It never computes,
    so that no child inherits a thread's locks.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("needs processes that can be forked")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fec_cache.extraction.extract"])
    return context
