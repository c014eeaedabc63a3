"""The recording reporter keeps everything, in order."""

import doctest

from fec_cache.system.reporter import Snapshot, Table
from fec_cache.testing import recording
from fec_cache.testing.recording import RecordingReporter


def test_lines_and_results_are_kept_in_order():
    reporter = RecordingReporter()
    table = Table("Faces", ("name", "count"), (("used", "3"),))
    for text in ("one", "two"):
        reporter.message(text)
        reporter.warning(f"careful, {text}")
    reporter.show(["Done.", table])
    assert reporter.messages == ["one", "two"]
    assert reporter.warnings == ["careful, one", "careful, two"]
    assert reporter.results == [["Done.", table]]


def test_steps_keep_the_label_of_their_work_even_side_by_side():
    reporter = RecordingReporter()
    with reporter.progress("Reading", "faces") as read, reporter.progress("Writing", "MB") as write:
        read(1, 4, "")
        write(5, 9, "shard 0")
        read(4, 4, "done")
    assert reporter.steps == [
        ("Reading", 1, 4, ""),
        ("Writing", 5, 9, "shard 0"),
        ("Reading", 4, 4, "done"),
    ]


def test_snapshots_are_kept():
    reporter = RecordingReporter()
    snapshots = [Snapshot(f"{num} of 2", Table("Heads", (), ()), is_end=num == 2) for num in (1, 2)]
    with reporter.live("Searching") as show:
        for snapshot in snapshots:
            show(snapshot)
    assert reporter.snapshots == snapshots


def test_two_reporters_share_nothing():
    RecordingReporter().message("for the first one only")
    assert RecordingReporter().messages == []


def test_the_example_in_the_documentation_runs():
    assert doctest.testmod(recording) == (0, 3)
