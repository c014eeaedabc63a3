"""How many threads a training step is worth."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Below this, a step is so short that threads mostly wait for each other: with a busy second core
# two threads were measured 15 to 30 times slower than one.
_MANY_PAIRS = 1024


@contextmanager
def threads_for(batch_size: int, device: torch.device) -> Iterator[None]:
    """Train small batches on one CPU thread; the caller's setting comes back at the end.

    The number of threads may change the last bits of a sum, so it follows from the batch size alone
    and the same seed gives the same bytes on a busy machine too.
    """
    before = torch.get_num_threads()
    if device.type == "cpu" and batch_size < _MANY_PAIRS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
