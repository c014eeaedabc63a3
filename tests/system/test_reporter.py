"""What workflows say to a reporter, and what the two ready-made reporters do with it."""

import logging

from fec_cache.system.reporter import LOGGING, SILENT, Snapshot, Table


def test_the_silent_reporter_accepts_everything(capsys, caplog):
    SILENT.message("a")
    SILENT.warning("b")
    SILENT.show(["c", Table("t", ["x"], [["1"]])])
    with SILENT.progress("Extracting", "faces") as step, SILENT.live("Searching") as show:
        step(1, 2, "")
        show(Snapshot("1/2", Table("", [], [])))
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []


def test_the_logging_reporter_logs_messages_and_warnings(caplog):
    caplog.set_level(logging.INFO, "fec_cache")
    LOGGING.message("3 faces")
    LOGGING.warning("100 % of them")
    assert caplog.record_tuples == [
        ("fec_cache", logging.INFO, "3 faces"),
        ("fec_cache", logging.WARNING, "100 % of them"),
    ]
