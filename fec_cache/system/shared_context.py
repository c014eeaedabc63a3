"""A setting of the whole process, active while any thread needs it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager


class SharedContext:
    """Lets overlapping threads share one context: the first enters it, the last one leaves it.

    A context that saves and restores a setting of the process is not thread-safe: if two overlap,
    the setting of one can stay active forever.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[object]]) -> None:
        """Take the function that makes the context; it is called again after all have left."""
        self._make = make
        self._guard = threading.Lock()
        self._num_inside = 0
        self._stack = ExitStack()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Hold the context active in the `with` block, in any number of threads."""
        with self._guard:
            self._num_inside += 1
            if self._num_inside == 1:
                self._stack.enter_context(self._make())
        try:
            yield
        finally:
            with self._guard:
                self._num_inside -= 1
                if self._num_inside == 0:
                    self._stack.close()
