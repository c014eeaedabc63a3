"""A setting of the whole process, in force while any thread needs it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager


class SharedContext:
    """Lets overlapping threads share one context: the first in enters it, the last out leaves it.

    A context that keeps and puts back a setting of the process is not safe in threads: two that
    overlap can leave the setting of one in place for good.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[object]]) -> None:
        """Take what makes the context; it is made anew whenever nobody is inside."""
        self._make = make
        self._guard = threading.Lock()
        self._num_inside = 0
        self._stack = ExitStack()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The context is in force inside, in any number of threads."""
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
