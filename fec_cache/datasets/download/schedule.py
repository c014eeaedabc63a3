"""The order of requests: URLs by host, a limited number at a time, with pauses per host."""

import heapq
from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class _Host:
    """A host and its URLs, as numbers in the ledger."""

    name: str
    # 8 bytes per URL: FEC has 156,000 of them.
    fresh: "array[int]" = field(default_factory=lambda: array("q"))
    retries: list[tuple[float, int]] = field(default_factory=list)
    num_running: int = 0
    not_before: float = 0.0
    is_listed: bool = False


class Schedule:
    """Hands out URLs, one host after the other.

    Each URL is fresh, waiting for a retry, or handed out. All times are seconds of one clock.
    """

    def __init__(self, per_host: int) -> None:
        self._per_host = per_host
        self._hosts: dict[str, _Host] = {}
        self._ready: deque[_Host] = deque()
        self._waiting: list[tuple[float, int, _Host]] = []
        self._num_pushed = 0
        self.num_left = 0

    def add(self, urls: Iterable[tuple[int, str]]) -> None:
        """Add URLs, each as number and host."""
        touched = {}
        for number, name in urls:
            host = self._hosts.setdefault(name, _Host(name))
            host.fresh.append(number)
            touched[name] = host
            self.num_left += 1
        for host in touched.values():
            host.fresh.reverse()  # URLs are popped from the end
            self._list(host, 0.0)

    def take(self, now: float) -> tuple[int, str] | None:
        """Number and host of a URL to fetch now; None if there is none now."""
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
        """When the next waiting host may be requested; None if no host waits."""
        return self._waiting[0][0] if self._waiting else None

    def release(self, name: str, now: float) -> bool:
        """Note that a request to a host has ended; returns whether the host has nothing left."""
        host = self._hosts[name]
        host.num_running -= 1
        self._list(host, now)
        return not (host.num_running or host.fresh or host.retries)

    def retry(self, number: int, name: str, at: float) -> None:
        """Hand out a URL again, not before a time."""
        heapq.heappush(self._hosts[name].retries, (at, number))
        self.num_left += 1

    def hold(self, name: str, until: float) -> None:
        """Send a host no request before a time."""
        host = self._hosts[name]
        host.not_before = max(host.not_before, until)

    def drop(self, name: str) -> list[int]:
        """Remove and return all of a host's URLs that are not handed out."""
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
        """Queue a host as ready or waiting, unless it is queued already, busy or empty."""
        if host.is_listed or host.num_running >= self._per_host:
            return
        if not (host.fresh or host.retries):
            return
        due = host.not_before if host.fresh else max(host.not_before, host.retries[0][0])
        host.is_listed = True
        if due <= now:
            self._ready.append(host)
            return
        # The counter breaks ties of the heap, as hosts cannot be compared.
        self._num_pushed += 1
        heapq.heappush(self._waiting, (due, self._num_pushed, host))
