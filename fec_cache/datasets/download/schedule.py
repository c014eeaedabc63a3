"""Whose turn it is: URLs by host, so many at once, and never before a host wants to be asked."""

import heapq
from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class _Host:
    """A host's URLs by their numbers in the ledger, as few bytes as can be."""

    name: str
    fresh: "array[int]" = field(default_factory=lambda: array("q"))
    retries: list[tuple[float, int]] = field(default_factory=list)
    num_running: int = 0
    not_before: float = 0.0
    is_listed: bool = False


class Schedule:
    """Gives out URLs, one host after the other.

    Each URL is fresh, waiting for a retry, or given out. Times are those of one clock, in seconds.
    """

    def __init__(self, per_host: int) -> None:
        self._per_host = per_host
        self._hosts: dict[str, _Host] = {}
        self._ready: deque[_Host] = deque()
        self._waiting: list[tuple[float, int, _Host]] = []
        self._num_pushed = 0
        self.num_left = 0

    def add(self, urls: Iterable[tuple[int, str]]) -> None:
        """Take in number and host of each URL."""
        touched = {}
        for number, name in urls:
            host = self._hosts.setdefault(name, _Host(name))
            host.fresh.append(number)
            touched[name] = host
            self.num_left += 1
        for host in touched.values():
            host.fresh.reverse()  # given out from the end
            self._list(host, 0.0)

    def take(self, now: float) -> tuple[int, str] | None:
        """A URL to fetch now and its host, or None if there is none now."""
        while self._waiting and self._waiting[0][0] <= now:
            host = heapq.heappop(self._waiting)[2]
            host.is_listed = False
            self._list(host, now)
        while self._ready:
            host = self._ready.popleft()
            host.is_listed = False
            number = self._next(host, now)
            if number is not None:
                host.num_running += 1
                self.num_left -= 1
                self._list(host, now)
                return number, host.name
            self._list(host, now)
        return None

    def next_time(self) -> float | None:
        """When the next waiting host may be asked; None if none waits."""
        return self._waiting[0][0] if self._waiting else None

    def release(self, name: str, now: float) -> bool:
        """A request to a host has ended; tell whether the host has nothing left at all."""
        host = self._hosts[name]
        host.num_running -= 1
        self._list(host, now)
        return not (host.num_running or host.fresh or host.retries)

    def retry(self, number: int, name: str, at: float) -> None:
        """Give a URL out again, not before a time."""
        heapq.heappush(self._hosts[name].retries, (at, number))
        self.num_left += 1

    def hold(self, name: str, until: float) -> None:
        """Ask a host nothing before a time."""
        host = self._hosts[name]
        host.not_before = max(host.not_before, until)

    def drop(self, name: str) -> list[int]:
        """Take all of a host's URLs out that are not given out."""
        host = self._hosts[name]
        numbers = [*host.fresh, *(number for _, number in host.retries)]
        host.fresh, host.retries = array("q"), []
        self.num_left -= len(numbers)
        return numbers

    def _next(self, host: _Host, now: float) -> int | None:
        if host.num_running >= self._per_host or host.not_before > now:
            return None
        if host.retries and host.retries[0][0] <= now:
            return heapq.heappop(host.retries)[1]
        return host.fresh.pop() if host.fresh else None

    def _list(self, host: _Host, now: float) -> None:
        """Put a host where it belongs: ready, waiting, or nowhere while it is busy or empty."""
        if host.is_listed or host.num_running >= self._per_host:
            return
        if not (host.fresh or host.retries):
            return
        due = host.not_before if host.fresh else max(host.not_before, host.retries[0][0])
        host.is_listed = True
        if due <= now:
            self._ready.append(host)
            return
        self._num_pushed += 1
        heapq.heappush(self._waiting, (due, self._num_pushed, host))
