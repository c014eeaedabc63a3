"""What all tests share: fixed seeds, one thread a process, no time limit on drawn examples."""

import logging
import os
import random
import signal

# Before torch is loaded. Beside a second worker, threads would mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

pytest_plugins = [
    "tests.processes_fixture",
    "tests.toy_workspace",
    "tests.workspace_fixtures",
]

# A busy machine makes no example wrong. In `.ci/run` the draws are always the same.
settings.register_profile("tests", deadline=None, print_blob=True)
settings.register_profile("ci", parent=settings.get_profile("tests"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tests"))

# Started in the background, pytest and the processes it starts would be deaf to interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_logging():
    """Whatever command an earlier test ran, however quiet, this one finds the logger as new."""
    logger = logging.getLogger("fec_cache")
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def fixed_seeds():
    """Each test begins with the same random state."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries draw from the old global state
    try:
        import torch
    except ImportError:
        return
    torch.manual_seed(0)
