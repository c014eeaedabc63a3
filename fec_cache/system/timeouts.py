"""Reading files one after the other with a time limit: a read can hang inside the system."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_TICK_S = 0.1
# Counted per tick at most: after the program was halted for an hour, no file is late.
_MOST_COUNTED_S = 2 * _TICK_S


class TooSlow:
    """Stands for the result of an item that took too long."""


class _Watched(Generic[_Item, _Result]):
    """State shared by the working thread and the watching one; guarded by `changed`."""

    def __init__(self, items: Iterable[_Item], work: Callable[[_Item], _Result]) -> None:
        self.changed = threading.Condition()
        self.results: deque[tuple[_Item, _Result | TooSlow]] = deque()
        self.current: _Item | None = None
        self.number = 0
        self.is_done = False
        self.error: BaseException | None = None
        self._items, self._work = iter(items), work
        self._worker = 0

    def start_worker(self) -> None:
        """Start a thread at the next item; results of the thread before it are ignored."""
        with self.changed:
            self._worker += 1
            # A daemon: a thread that hangs in a read must not keep the program from ending.
            threading.Thread(
                target=self._run, args=(self._worker,), name="read", daemon=True
            ).start()

    def stop_worker(self) -> None:
        """Let the thread end after its current item."""
        with self.changed:
            self._worker += 1

    def _run(self, worker: int) -> None:
        try:
            for item in iter(lambda: self._next(worker), None):
                result = self._work(item)
                with self.changed:
                    if worker == self._worker:
                        self.results.append((item, result))
        except BaseException as error:
            with self.changed:
                if worker == self._worker:
                    self.error, self.is_done = error, True
                    self.changed.notify_all()

    def _next(self, worker: int) -> _Item | None:
        with self.changed:
            if worker != self._worker:
                return None
            self.current = next(self._items, None)
            self.number += 1
            if self.current is None:
                self.is_done = True
                self.changed.notify_all()
            return self.current


def each_in_time(
    items: Iterable[_Item], work: Callable[[_Item], _Result], limit_s: float
) -> Iterator[tuple[_Item, _Result | TooSlow]]:
    """Each item with its result, in order; `TooSlow` stands for a result after `limit_s`.

    An exception raised by `work` is raised here.

    Args:
        items: the items; none of them may be None.
        work: called in another thread, one item after the other.
        limit_s: seconds allowed for one item.
    """
    watched = _Watched(items, work)
    watched.start_worker()
    try:
        number, age_s, before = 0, 0.0, time.monotonic()
        while True:
            with watched.changed:
                if not watched.is_done:
                    watched.changed.wait(_TICK_S)
                now = time.monotonic()
                age_s += min(now - before, _MOST_COUNTED_S)
                before = now
                if watched.number != number or watched.is_done:
                    number, age_s = watched.number, 0.0
                is_late = age_s > limit_s
                if is_late and watched.current is not None:
                    watched.results.append((watched.current, TooSlow()))
                    age_s = 0.0
                    watched.start_worker()
                ready, is_done = tuple(watched.results), watched.is_done
                watched.results.clear()
            yield from ready
            if is_done:
                if watched.error is not None:
                    raise watched.error
                return
    finally:
        watched.stop_worker()
