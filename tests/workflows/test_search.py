"""What a search says while it runs."""

from fec_cache.search.ledger import FAILED, Outcome
from fec_cache.search.progress import SearchProgress
from fec_cache.testing.recording import RecordingReporter
from fec_cache.workflows.search import _shown


def test_failed_points_are_warned_of_as_they_come():
    reporter = RecordingReporter()
    bad = Outcome("k" * 16, {"lr": 1.0}, FAILED, error="no memory")
    with reporter.live("Searching") as show:
        _shown(reporter, show)(SearchProgress(1, 2, 0, 0.5, "", (bad,), (bad,)))
    assert reporter.warnings == ["point kkkkkkkkkkkkkkkk failed: no memory"]
    assert len(reporter.snapshots) == 1
