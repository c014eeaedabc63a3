import pytest

from fec_cache.datasets.download.config import DownloadConfig, FetchFailed
from fec_cache.datasets.download.retries import DEAD_AFTER, RetryDecision, RetryPolicy


class NoJitter:
    """Stands in for random.Random: always the longest pause."""

    def uniform(self, low, high):
        return high


def policy(**options):
    return RetryPolicy(DownloadConfig(tries=3, backoff_s=2.0, **options), NoJitter())


def test_transient_failures_are_retried_with_doubled_pauses():
    rules, failure = policy(), FetchFailed("broken", "")
    assert rules.decide("a", failure, 1) == RetryDecision("retry", wait_s=2.0)
    assert rules.decide("a", failure, 2) == RetryDecision("retry", wait_s=4.0)
    assert rules.decide("a", failure, 3) == RetryDecision("fail")


def test_permanent_failures_are_not_retried():
    assert policy().decide("a", FetchFailed("not-found", ""), 1) == RetryDecision("fail")


def test_a_host_is_down_after_several_failures_in_a_row():
    rules, failure = policy(), FetchFailed("connect", "")
    actions = [rules.decide("a", failure, 3).action for _ in range(DEAD_AFTER)]
    assert actions == ["fail"] * (DEAD_AFTER - 1) + ["down"]
    assert rules.decide("b", failure, 3).action == "fail"
    rules.succeeded("a")
    assert rules.decide("a", failure, 3).action == "fail"


def test_a_requested_pause_holds_the_host():
    rules = policy(longest_wait_s=60.0)
    failure = FetchFailed("rate-limited", "", 429, 30.0)
    assert rules.decide("a", failure, 1) == RetryDecision("retry", wait_s=30.1, hold_s=30.1)
    assert rules.decide("a", failure, 8) == RetryDecision("fail", hold_s=30.1)
    hours = FetchFailed("rate-limited", "", 429, 7200.0)
    assert rules.decide("a", hours, 1) == RetryDecision("park")


def test_without_a_requested_pause_the_pauses_grow_up_to_64_times():
    rules, failure = policy(longest_wait_s=900.0), FetchFailed("rate-limited", "", 429)
    holds = [rules.decide("a", failure, 1).hold_s for _ in range(9)]
    assert holds == [2.0 * 2**level for level in (0, 1, 2, 3, 4, 5, 6, 6, 6)]


def test_jitter_takes_at_most_half_of_a_pause():
    rules = RetryPolicy(DownloadConfig(backoff_s=2.0))
    waits = [rules.decide("a", FetchFailed("broken", ""), 1).wait_s for _ in range(200)]
    assert min(waits) >= 1.0
    assert max(waits) <= 2.0
    assert max(waits) - min(waits) == pytest.approx(1.0, abs=0.3)
