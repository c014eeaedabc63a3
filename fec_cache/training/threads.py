"""Threads and memory of a training step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fec_cache.errors import OutOfMemory

# Below this, a step is so short that threads mostly wait for each other: with a busy second core,
# two threads were measured to be 15 to 30 times slower than one.
_MANY_PAIRS = 256
_SUBNORMAL = 1e-40


@contextmanager
def threads_for(batch_size: int, device: torch.device) -> Iterator[None]:
    """Train small batches on one CPU thread; the setting is restored at the end.

    The number of threads may change the last bits of a sum, so it depends on the batch size alone:
    the same seed gives the same bytes on a busy machine too. Subnormal numbers are flushed to zero:
    where features are mostly zero, Adam's moments decay to such numbers, and the original recipe
    took more than four times as long.
    """
    before, was_flushed = torch.get_num_threads(), is_flushed()
    if device.type == "cpu" and batch_size < _MANY_PAIRS:
        torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(was_flushed)


def is_flushed() -> bool:
    """Whether this thread flushes subnormal numbers to zero."""
    return not bool(torch.tensor([_SUBNORMAL]).mul(1.0).any())


@contextmanager
def memory_named(device: torch.device) -> Iterator[None]:
    """Turn the errors of torch and numpy for a lack of memory into one named error.

    Raises:
        OutOfMemory: memory ran out inside.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not _is_shortage(str(error)):
            raise
        advice = "or fewer heads at once" if device.type == "cpu" else "or --device cpu"
        raise OutOfMemory(
            f"The features, the heads or a batch do not fit into the memory of {device} "
            f"({str(error).splitlines()[0][:200] or 'no more of it'}). Try a smaller --batch-size, "
            f"smaller --hidden, fewer --features {advice}."
        ) from error


def _is_shortage(message: str) -> bool:
    return any(words in message for words in ("out of memory", "can't allocate memory"))
