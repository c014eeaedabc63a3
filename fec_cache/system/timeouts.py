"""Reading files one after the other without waiting for ever: a read can hang in the system."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")
_TICK_S = 0.1


class TooSlow:
    """Stands for what an item would have given, had it not taken too long."""


class _Watched(Generic[_Item, _Found]):
    """What the thread that works and the one that watches share; guarded by `changed`."""

    def __init__(self, items: Iterable[_Item], work: Callable[[_Item], _Found]) -> None:
        self.changed = threading.Condition()
        self.found: deque[tuple[_Item, _Found | TooSlow]] = deque()
        self.current: _Item | None = None
        self.number = 0
        self.is_done = False
        self.error: BaseException | None = None
        self._items, self._work = iter(items), work
        self._worker = 0

    def hire(self) -> None:
        """Let a thread go on where the last one hangs; that one is heard no more."""
        with self.changed:
            self._worker += 1
            # A daemon: it may hang for ever, and must not hold the program's end.
            threading.Thread(
                target=self._run, args=(self._worker,), name="read", daemon=True
            ).start()

    def dismiss(self) -> None:
        """Let the thread end after the item it is at."""
        with self.changed:
            self._worker += 1

    def _run(self, worker: int) -> None:
        try:
            for item in iter(lambda: self._next(worker), None):
                found = self._work(item)
                with self.changed:
                    if worker == self._worker:
                        self.found.append((item, found))
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
    items: Iterable[_Item], work: Callable[[_Item], _Found], limit_s: float
) -> Iterator[tuple[_Item, _Found | TooSlow]]:
    """Each item with what `work` gives for it, in order; what takes longer than `limit_s` is left.

    Time counts as it is seen to pass here, so that a program that was halted for an hour does not
    find its file late. What `work` raises is raised here.

    Args:
        items: none of them None.
        work: called in a thread of its own, one item after the other.
        limit_s: seconds for one item.
    """
    watched = _Watched(items, work)
    watched.hire()
    try:
        number, age_s, before = 0, 0.0, time.monotonic()
        while True:
            with watched.changed:
                if not watched.is_done:
                    watched.changed.wait(_TICK_S)
                now = time.monotonic()
                age_s += min(now - before, 2 * _TICK_S)
                before = now
                if watched.number != number or watched.is_done:
                    number, age_s = watched.number, 0.0
                is_late = age_s > limit_s
                if is_late and watched.current is not None:
                    watched.found.append((watched.current, TooSlow()))
                    age_s = 0.0
                    watched.hire()
                ready, is_done = tuple(watched.found), watched.is_done
                watched.found.clear()
            yield from ready
            if is_done:
                if watched.error is not None:
                    raise watched.error
                return
    finally:
        watched.dismiss()
