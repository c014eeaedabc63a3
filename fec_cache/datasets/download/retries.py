"""What to do when a URL fails: try again later, pause its host, or give up."""

import random
from dataclasses import dataclass

from fec_cache.datasets.download.config import TRANSIENT, DownloadConfig, FetchFailed

DEAD_AFTER = 8
"""A host counts as down after this many requests in a row that did not reach it."""

# A request to slow down is not the URL's fault, so it gets more tries, but not without end.
_LIMITED_EXTRA = 5
_MOST_DOUBLINGS = 6
_UNREACHED = {"dns", "connect"}


@dataclass(frozen=True)
class RetryDecision:
    """What to do after a failure.

    Attributes:
        action: `retry` the URL, `fail` it, `park` the host for a later run, or call it `down`.
        wait_s: seconds until the URL's next request.
        hold_s: seconds until the host's next request.
    """

    action: str
    wait_s: float = 0.0
    hold_s: float = 0.0


class RetryPolicy:
    """Decides about failures; remembers how each host behaved.

    Args:
        config: limits.
        rng: source of the jitter.
    """

    def __init__(self, config: DownloadConfig, rng: random.Random | None = None) -> None:
        self._config = config
        self._rng = rng or random.Random()
        self._unreached: dict[str, int] = {}
        self._limited: dict[str, int] = {}

    def succeeded(self, host: str) -> None:
        """Forget a host's failures after it sent a picture."""
        self._unreached.pop(host, None)
        self._limited.pop(host, None)

    def decide(self, host: str, failure: FetchFailed, tries: int) -> RetryDecision:
        """What to do after a failed request.

        Args:
            host: the requested host.
            failure: how the request ended.
            tries: requests for this URL so far, including this one.
        """
        if failure.kind == "rate-limited":
            return self._limit(host, failure, tries)
        if failure.kind in _UNREACHED:
            self._unreached[host] = self._unreached.get(host, 0) + 1
            if self._unreached[host] >= DEAD_AFTER:
                return RetryDecision("down")
        else:
            self._unreached.pop(host, None)
        if failure.kind not in TRANSIENT or tries >= self._config.tries:
            return RetryDecision("fail")
        return RetryDecision("retry", wait_s=self._pause_s(tries - 1))

    def _limit(self, host: str, failure: FetchFailed, tries: int) -> RetryDecision:
        level = self._limited.get(host, 0)
        self._limited[host] = level + 1
        requested_s = failure.retry_after_s
        hold_s = self._pause_s(level) if requested_s is None else requested_s + self._jitter(0.1)
        if hold_s > self._config.longest_wait_s:
            return RetryDecision("park")
        if tries >= self._config.tries + _LIMITED_EXTRA:
            return RetryDecision("fail", hold_s=hold_s)
        return RetryDecision("retry", wait_s=hold_s, hold_s=hold_s)

    def _pause_s(self, doublings: int) -> float:
        # Half to all of the doubled time, so that URLs that failed together do not return together.
        full = self._config.backoff_s * 2.0 ** min(doublings, _MOST_DOUBLINGS)
        return full * (0.5 + self._jitter(0.5))

    def _jitter(self, most: float) -> float:
        return self._rng.uniform(0.0, most)
