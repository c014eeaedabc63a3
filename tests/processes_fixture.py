"""A fixture for all tests: processes that start in a tenth of a second."""

import multiprocessing

import pytest


@pytest.fixture(scope="session")
def processes():
    """Start processes as forks of a server that has loaded torch, in a tenth of a second each.

    Python keeps one server per process, and its first start fixes what it preloads. The server
    never computes, so no child inherits the locks of a thread.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("needs processes that can be forked")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fec_cache.extraction.extract"])
    return context
