"""What to do when a URL fails: ask again later, leave its host alone, or give up."""

import random
from dataclasses import dataclass

from fec_cache.datasets.download.config import TRANSIENT, DownloadConfig, FetchFailed

DEAD_AFTER = 8
"""So many requests in a row that reached no server, and a host counts as down."""

_LIMITED_EXTRA = 5  # being told to wait is no failure of the URL, within reason
_MOST_DOUBLINGS = 6
_UNREACHED = {"dns", "connect"}


@dataclass(frozen=True)
class Verdict:
    """What to do.

    Attributes:
        action: `retry` the URL, `fail` it, `park` the host for a later run, or call it `down`.
        wait_s: before the URL is asked for again.
        hold_s: before anything is asked of the host.
    """

    action: str
    wait_s: float = 0.0
    hold_s: float = 0.0


class Manners:
    """Judges failures; remembers how each host behaved.

    Args:
        config: limits.
        rng: of the jitter.
    """

    def __init__(self, config: DownloadConfig, rng: random.Random | None = None) -> None:
        self._config = config
        self._rng = rng or random.Random()
        self._unreached: dict[str, int] = {}
        self._limited: dict[str, int] = {}

    def welcomed(self, host: str) -> None:
        """A host answered."""
        self._unreached.pop(host, None)
        self._limited.pop(host, None)

    def judge(self, host: str, failure: FetchFailed, tries: int) -> Verdict:
        """What to do after a failed request.

        Args:
            host: that was asked.
            failure: how the request ended.
            tries: requests for this URL so far, this one included.
        """
        if failure.kind == "rate-limited":
            return self._limit(host, failure, tries)
        if failure.kind in _UNREACHED:
            self._unreached[host] = self._unreached.get(host, 0) + 1
            if self._unreached[host] >= DEAD_AFTER:
                return Verdict("down")
        else:
            self._unreached.pop(host, None)
        if failure.kind not in TRANSIENT or tries >= self._config.tries:
            return Verdict("fail")
        return Verdict("retry", wait_s=self._pause_s(tries - 1))

    def _limit(self, host: str, failure: FetchFailed, tries: int) -> Verdict:
        level = self._limited.get(host, 0)
        self._limited[host] = level + 1
        asked = failure.retry_after_s
        hold_s = self._pause_s(level) if asked is None else asked + self._jitter(0.1)
        if hold_s > self._config.longest_wait_s:
            return Verdict("park")
        if tries >= self._config.tries + _LIMITED_EXTRA:
            return Verdict("fail", hold_s=hold_s)
        return Verdict("retry", wait_s=hold_s, hold_s=hold_s)

    def _pause_s(self, doublings: int) -> float:
        # From half to all of the doubled time: those that failed together do not return together.
        full = self._config.backoff_s * 2.0 ** min(doublings, _MOST_DOUBLINGS)
        return full * (0.5 + self._jitter(0.5))

    def _jitter(self, most: float) -> float:
        return self._rng.uniform(0.0, most)
