"""Counts of points and epochs, and the clock."""

import pytest

from fec_cache.search.ledger import Outcome
from fec_cache.search.progress import ProgressTracker


def outcome(key):
    return Outcome(key, {}, val_triplet_accuracy=0.5, epochs=3)


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("fec_cache.search.progress.time.monotonic", lambda: now[0])
    return now


def test_points_are_counted_as_known_open_and_done(clock):
    seen = []
    tracker = ProgressTracker({"a": outcome("a")}, seen.append)
    tracker.begin(3, {"b", "c"})
    tracker.num_unasked = 2
    tracker.add([outcome("b")])
    assert tracker.num_open == 1
    (progress,) = seen
    assert (progress.num_done, progress.num_points, progress.num_known) == (2, 5, 1)
    assert [o.key for o in progress.new] == ["b"]
    assert [o.key for o in progress.outcomes] == ["a", "b"]


def test_work_is_the_share_of_epochs_and_counts_unasked_points_alike(clock):
    seen = []
    tracker = ProgressTracker({}, seen.append)
    tracker.begin(2, {"a", "b"})
    tracker.expect(4)
    tracker.take(2, 2)
    tracker.on_epoch()
    tracker.add([outcome("a")])
    assert seen[0].in_hand == "2 heads in training up to epoch 2"
    assert [progress.work for progress in seen] == [0.0, 0.25]
    tracker.num_unasked = 2  # as many points again, of which no epoch is trained
    tracker.add([outcome("b")])
    assert seen[-1].work == 0.125


def test_epochs_are_reported_ten_times_a_second_at_most(clock):
    seen = []
    tracker = ProgressTracker({}, seen.append)
    tracker.expect(100)
    for _ in range(100):
        clock[0] += 0.03
        tracker.on_epoch()
    assert len(seen) == 25  # the first, then each fourth epoch
    assert seen[-1].work == 0.97


def test_time_is_up_at_the_limit_and_never_without_one(clock):
    tracker, endless = ProgressTracker({}, timeout_s=5.0), ProgressTracker({})
    clock[0] += 4.9
    assert not tracker.is_time_up
    clock[0] += 0.2
    assert tracker.is_time_up
    assert not endless.is_time_up
