"""What all tests share: fixed seeds and a small synthetic workspace."""

import random
import signal

import numpy as np
import pytest

# Started in the background, pytest and the processes it starts would be deaf to interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
